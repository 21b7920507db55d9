//! Servers whose secrets are made for each lease: each lease has a connection of its own, which is over when it is.
//!
//! For what the node asks itself, a value is made for the node. It is no run's, and ends with the node's connection, or in an hour.
//!
//! Deliberately absent: making and ending values (app/secrets).

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use steward_app_node::Error;
use steward_app_secrets::Made;
use steward_app_tools::ServerRow;
use steward_naming::{Label, LeaseId};
use steward_seal::secret::Secret;
use steward_store::Change;

use super::{Connection, Gateway, Slot, no_secret};

/// The leases by which a server is called, by the secrets whose values were made for them; none of them: by the node itself.
pub(crate) type ByLease = BTreeMap<String, LeaseId>;

/// Which connection of a server.
pub(super) type Place = (Label, ByLease);

/// What a server is given.
pub(super) struct Given {
    /// What holds each, and its value.
    pub(super) secrets: Vec<(String, Secret)>,
    /// The versions of their values.
    pub(super) given: BTreeMap<String, u64>,
    /// The leases that values were made for.
    pub(super) leases: Vec<LeaseId>,
    /// What was made for the node's own use.
    pub(super) own: Vec<Made>,
}

impl Gateway {
    /// The secrets of a server: made for these leases, or for the node, if they are made.
    pub(super) async fn given(&self, server: &ServerRow, by: &ByLease) -> Result<Given, Error> {
        let keeper = &self.parts.keeper;
        let mut all = Given { secrets: Vec::new(), given: BTreeMap::new(), leases: Vec::new(), own: Vec::new() };
        for (holder, name) in &server.secrets {
            let version = keeper.version(name);
            let lease = match (by.get(name), keeper.is_made(name)) {
                (Some(lease), _) => lease.clone(),
                // One value for all that hold it.
                (None, true) => match all.own.iter().find(|made| made.secret().as_str() == name) {
                    Some(made) => made.lease().clone(),
                    None => {
                        let made = self.made_for_node(name).await?;
                        let lease = made.lease().clone();
                        all.own.push(made);
                        lease
                    }
                },
                (None, false) => {
                    let taken = keeper.take(name).map_err(no_secret)?;
                    all.given.insert(name.clone(), taken.version);
                    all.secrets.push((holder.clone(), taken.secret));
                    continue;
                }
            };
            let value = keeper.made(lease.as_str()).ok_or_else(|| {
                Error::new(
                    steward_app_node::Kind::Stale,
                    steward_app_node::code::STALE,
                    format!("what was made of the secret `{name}` was ended meanwhile; try again"),
                )
            })?;
            all.given.insert(name.clone(), version.unwrap_or_default());
            all.secrets.push((holder.clone(), value));
            all.leases.push(lease);
        }
        Ok(all)
    }

    /// Has a value made for what the node asks itself. It is made to its end whoever gives up waiting.
    async fn made_for_node(&self, secret: &str) -> Result<Made, Error> {
        let (context, keeper, generators) =
            (Arc::clone(&self.parts.context), self.parts.keeper.clone(), Arc::clone(&self.parts.generators));
        let secret: Label = secret.parse()?;
        let made = tokio::spawn(async move { generators.make_for_node(&context, &keeper, &secret).await });
        made.await.map_err(Error::broken)?
    }

    /// Whether all that was made for a connection is still held: nothing of it is over.
    pub(super) fn has_all(&self, connection: &Connection) -> bool {
        connection.leases.iter().all(|lease| self.parts.keeper.made(lease.as_str()).is_some())
    }

    /// Ends the connections that were given something made that is over: nothing uses what its generator is told to end.
    pub(crate) async fn end_those_over(&self) {
        let all: Vec<(Place, Arc<Slot>)> = {
            let slots = self.slots.lock().expect("no holder of this lock panics");
            slots.iter().map(|(place, slot)| (place.clone(), Arc::clone(slot))).collect()
        };
        for ((server, by), slot) in all {
            // Whoever connects just now finds out that it is over.
            if let Ok(mut held) = slot.try_lock()
                && held.as_ref().is_some_and(|connection| !self.has_all(connection))
            {
                held.take();
            }
            if by.values().any(|lease| self.parts.keeper.made(lease.as_str()).is_none()) {
                self.slots.lock().expect("no holder of this lock panics").remove(&(server, by));
            }
        }
    }

    /// The places of a server, which are nobody's any more.
    pub(super) fn take_away(&self, server: &Label) -> Vec<Arc<Slot>> {
        let mut slots = self.slots.lock().expect("no holder of this lock panics");
        let places: Vec<Place> = slots.keys().filter(|(name, _)| name == server).cloned().collect();
        places.iter().filter_map(|place| slots.remove(place)).collect()
    }
}

/// The leases that values were made for, on record with what is given them.
pub(super) fn with_leases(change: Change, leases: &[LeaseId]) -> Change {
    if leases.is_empty() {
        return change;
    }
    change.detail("leases", leases.iter().map(|lease| Value::from(lease.as_str())).collect::<Value>())
}
