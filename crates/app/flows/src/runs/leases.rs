//! The secrets that a run needs: it has a lease of each, or nothing is done with them.
//!
//! A lease is issued while the run takes no step, so that its end knows of every lease. Whatever is then done with the secret is committed under
//! the guards of lease and secret: a lease or a secret that is revoked in the same moment wins.
//!
//! Deliberately absent: what a lease is (app/secrets), and how it is renewed and ended (follow.rs, in the commit of the run's step).

use serde_json::{Map, Value};
use steward_app_node::{Caller, Context, Error};
use steward_app_secrets::{Asks, Found, Needs, Unleased};
use steward_naming::Name;
use steward_permit::Action;

use super::{call::Standing, runner::Runner};
use crate::gateway::no_secret;

impl Runner {
    /// That a run has a lease of each of these secrets, which are needed for an action: what must still hold of them.
    ///
    /// # Errors
    /// It has none and gets none, which is on record; or it is stale.
    pub(crate) async fn leased(
        &self,
        standing: &Standing,
        action: &Action,
        secrets: impl IntoIterator<Item = &str>,
    ) -> Result<Needs, Error> {
        let context = &self.context;
        let (run, caller) = (&standing.run, &standing.caller);
        let asks = Asks {
            agent: &run.state.agent,
            run: run.id(),
            trace: &run.trace,
            lifetime_ms: steward_app_runs::lifetime_ms(run.state.tier),
            holds: &caller.guards,
        };
        let mut needs = Vec::new();
        for name in secrets {
            let found = match steward_app_secrets::look(context, &asks, name)? {
                Ok(Found::Lacks(_)) => {
                    // One that cannot be had is not leased.
                    self.keeper.take(name).map_err(no_secret)?;
                    let live = self.live(run.id());
                    let _turn = match &live {
                        Some(live) => Some(live.turn.lock().await),
                        None => None,
                    };
                    // Another call of the run may have been quicker.
                    match steward_app_secrets::look(context, &asks, name)? {
                        Ok(Found::Lacks(lacks)) => {
                            let used_by = format!("{}:{}", action.name(), action.resource().id());
                            Ok(steward_app_secrets::issue(context, &asks, lacks, &used_by).await?)
                        }
                        Ok(Found::Has(has)) => Ok(has),
                        Err(unleased) => Err(unleased),
                    }
                }
                Ok(Found::Has(has)) => Ok(has),
                Err(unleased) => Err(unleased),
            };
            needs.extend(self.or_refuse(found, caller, action).await?);
        }
        Ok(needs)
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
        let found = steward_app_secrets::may_use(&self.context, agent, name)?;
        self.or_refuse(found, caller, action).await
    }

    async fn or_refuse(
        &self,
        found: Result<Needs, Unleased>,
        caller: &Caller,
        action: &Action,
    ) -> Result<Needs, Error> {
        match found {
            Ok(needs) => Ok(needs),
            Err(Unleased { code, why }) => Err(self.context.refuse_for(caller, action.clone(), code, why).await?),
        }
    }

    /// The names of secrets, and the versions of their values, as an entry has them.
    pub(crate) fn versions<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Value {
        let version = |name: &str| self.keeper.version(name).map_or(Value::Null, |version| version.to_string().into());
        secrets.into_iter().map(|name| (name.to_owned(), version(name))).collect::<Map<_, _>>().into()
    }
}

/// Whether secrets are such that runs of an agent may have them now.
pub(crate) fn may_have<'a>(
    context: &Context,
    agent: &Name,
    secrets: impl IntoIterator<Item = &'a str>,
) -> Result<bool, Error> {
    for name in secrets {
        if steward_app_secrets::may_use(context, agent, name)?.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
