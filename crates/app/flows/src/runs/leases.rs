//! The secrets that a run needs: it has a lease of each, or nothing is done with them.
//!
//! A lease is issued while the run takes no step, so that its end knows of every lease. The value of a secret that is made for each lease is made
//! before that, so that no end of a run waits for a program; a run that ended meanwhile gets no lease, and what was made is ended. Whatever is then done with the secret is committed under
//! the guards of lease and secret: a lease or a secret that is revoked in the same moment wins.
//!
//! Deliberately absent: what a lease is (app/secrets), and how it is renewed and ended (follow.rs, in the commit of the run's step).

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_app_secrets::{Asks, Found, Has, Needs, Unleased};
use steward_naming::{LeaseId, Name};
use steward_permit::Action;

use super::{call::Standing, runner::Runner};
use crate::gateway::no_secret;

/// The leases by which something is done.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// What must still hold of them.
    pub(crate) needs: Needs,
    /// Which has a value that was made for it, by its secret.
    pub(crate) made: BTreeMap<String, LeaseId>,
}

impl Runner {
    /// That a run has a lease of each of these secrets, which are needed for an action.
    ///
    /// # Errors
    /// It has none and gets none, which is on record; or it is stale.
    pub(crate) async fn leased(
        &self,
        standing: &Standing,
        action: &Action,
        secrets: impl IntoIterator<Item = &str>,
    ) -> Result<Leases, Error> {
        let context = &self.context;
        let (run, caller) = (&standing.run, &standing.caller);
        let asks = Asks {
            agent: run.state.agent.clone(),
            run: run.id().clone(),
            trace: run.trace.clone(),
            lifetime_ms: steward_app_runs::lifetime_ms(run.state.tier),
            holds: caller.guards.clone(),
        };
        let mut leases = Leases::default();
        let used_by = format!("{}:{}", action.name(), action.resource().id());
        for name in secrets {
            let found = match steward_app_secrets::look(context, &self.keeper, &asks, name)? {
                Ok(Found::Lacks(lacks)) if lacks.is_made() => self.made_for(&asks, name, &used_by).await?,
                Ok(Found::Lacks(_)) => {
                    // One that cannot be had is not leased.
                    self.keeper.take(name).map_err(no_secret)?;
                    let live = self.live(run.id());
                    let _turn = match &live {
                        Some(live) => Some(live.turn.lock().await),
                        None => None,
                    };
                    // Another call of the run may have been quicker.
                    match steward_app_secrets::look(context, &self.keeper, &asks, name)? {
                        Ok(Found::Lacks(lacks)) => {
                            Ok(steward_app_secrets::issue(context, &asks, lacks, None, &used_by).await?)
                        }
                        Ok(Found::Has(has)) => Ok(has),
                        Err(unleased) => Err(unleased),
                    }
                }
                Ok(Found::Has(has)) => Ok(has),
                Err(unleased) => Err(unleased),
            };
            let Has { needs, lease } = self.or_refuse(found, caller, action).await?;
            leases.needs.extend(needs);
            if self.keeper.is_made(name) {
                leases.made.insert(name.to_owned(), lease);
            }
        }
        Ok(leases)
    }

    /// A lease with a value that is made for it. It goes on to its end whoever gives up waiting: a program that was told to make something is
    /// never told to end it while it still makes it.
    async fn made_for(&self, asks: &Asks, name: &str, used_by: &str) -> Result<Result<Has, Unleased>, Error> {
        let Some(live) = self.live(&asks.run) else {
            return Err(Error::new(Kind::Refused, code::RUN_OVER, "the run ended before the secret was made"));
        };
        // One at a time: another call of the run may be about to have the same made.
        let making = Arc::clone(&live.making).lock_owned().await;
        let (context, keeper, generators) =
            (Arc::clone(&self.context), self.keeper.clone(), Arc::clone(&self.generators));
        let (asks, name, used_by) = (asks.clone(), name.to_owned(), used_by.to_owned());
        let made = tokio::spawn(async move {
            let _making = making;
            let lacks = match steward_app_secrets::look(&context, &keeper, &asks, &name)? {
                Ok(Found::Lacks(lacks)) => lacks,
                Ok(Found::Has(has)) => return Ok(Ok(has)),
                Err(unleased) => return Ok(Err(unleased)),
            };
            let made = generators.make(&context, &keeper, &asks, &lacks).await?;
            // Its end knows of every lease; whether it ended meanwhile is a guard.
            let _turn = live.turn.lock().await;
            steward_app_secrets::issue(&context, &asks, lacks, Some(made), &used_by).await.map(Ok)
        });
        made.await.map_err(Error::broken)?
    }

    /// The same for an agent that is in no run: it has no lease, and uses only what is not granted to others.
    ///
    /// # Errors
    /// It may not, which is on record.
    pub(crate) async fn granted(
        &self,
        agent: &Name,
        caller: &Caller,
        action: &Action,
        secret: Option<&str>,
    ) -> Result<Needs, Error> {
        let Some(name) = secret else { return Ok(Vec::new()) };
        let found = steward_app_secrets::may_use(&self.context, agent, name, false)?;
        self.or_refuse(found, caller, action).await
    }

    async fn or_refuse<T>(&self, found: Result<T, Unleased>, caller: &Caller, action: &Action) -> Result<T, Error> {
        match found {
            Ok(found) => Ok(found),
            Err(Unleased { code, why }) => Err(self.context.refuse_for(caller, action.clone(), code, why).await?),
        }
    }

    /// The names of secrets, and the versions of their values, as an entry has them.
    pub(crate) fn versions<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Value {
        let version = |name: &str| self.keeper.version(name).map_or(Value::Null, |version| version.to_string().into());
        secrets.into_iter().map(|name| (name.to_owned(), version(name))).collect::<Map<_, _>>().into()
    }
}

/// Whether secrets are such that an agent may have the use of them now, in a run or in none.
pub(crate) fn may_have<'a>(
    context: &Context,
    agent: &Name,
    in_run: bool,
    secrets: impl IntoIterator<Item = &'a str>,
) -> Result<bool, Error> {
    for name in secrets {
        if steward_app_secrets::may_use(context, agent, name, in_run)?.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
