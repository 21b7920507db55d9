//! Secrets and who holds them: a server of tools that was given a value which is not in force any more is ended.
//!
//! What was made for a lease is ended after whoever was given it.
//!
//! Deliberately absent: the verbs themselves (app/secrets), and models, which are given their key anew with every call.

use std::time::Duration;

use steward_app_node::{Caller, Error};
use steward_app_secrets::{NotEnded, RoundEnded, SecretRow, Value};
use steward_keeper::Keeper;
use steward_naming::Label;
use steward_permit::ResourceKind;

use tokio::time::timeout;

use crate::runs::Runner;

/// How often it is looked whether something is still being made.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a node that stops may take to end what was made.
const END_MADE_WITHIN: Duration = Duration::from_secs(10);

impl Runner {
    /// The node's secrets.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Puts a secret into the keystore, where it stands before a file of that name.
    ///
    /// # Errors
    /// As [`steward_app_secrets::put`]; or there is no such generator.
    pub async fn put_secret(&self, caller: &Caller, name: &str, value: &Value) -> Result<SecretRow, Error> {
        if let (Value::MadeBy(generator), Ok(label)) = (value, name.parse::<Label>()) {
            // Nobody who may not put one learns which generators there are.
            let action = self.context.action("secret.put", ResourceKind::Secret, label.as_str())?;
            self.context.allow(caller, action, None).await?;
            self.generators.look_for(generator.as_str())?;
        }
        let row = steward_app_secrets::put(&self.context, &self.keeper, caller, name, value).await?;
        self.gateway.end_those_with(name).await;
        Ok(row)
    }

    /// Gives a secret another value. Servers of tools that have the one before are ended, and started anew when they are called.
    ///
    /// # Errors
    /// As [`steward_app_secrets::rotate`].
    pub async fn rotate_secret(&self, caller: &Caller, name: &str, value: &Value) -> Result<SecretRow, Error> {
        let row = steward_app_secrets::rotate(&self.context, &self.keeper, caller, name, value).await?;
        self.gateway.end_those_with(name).await;
        Ok(row)
    }

    /// Revokes a secret. Servers of tools that have it are ended.
    ///
    /// # Errors
    /// As [`steward_app_secrets::revoke`].
    pub async fn revoke_secret(&self, caller: &Caller, name: &str, why: &str) -> Result<SecretRow, Error> {
        let row = steward_app_secrets::revoke(&self.context, &self.keeper, caller, name, why).await?;
        self.gateway.end_those_with(name).await;
        Ok(row)
    }

    /// Ends what a generator made and what is over. Done again and again, by one task for each generator.
    ///
    /// # Errors
    /// As [`steward_app_secrets::Generators::round`].
    pub async fn end_made(&self, generator: &str) -> Result<RoundEnded, Error> {
        // Servers that were given it are ended before it is.
        for lease in self.generators.over(&self.context, &self.keeper, generator)? {
            self.keeper.end_made(lease.as_str());
        }
        self.gateway.end_those_over().await;
        self.generators.round(&self.context, &self.keeper, generator).await
    }

    /// What generators made that is over and that they did not end, though they were told several times.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn not_ended(&self) -> Result<Vec<NotEnded>, Error> {
        self.generators.not_ended(&self.context, &self.keeper)
    }

    /// Ends what is over, of each generator until there is nothing more. What cannot be ended is put off, and keeps nothing else from it.
    async fn end_each_made(&self) {
        for generator in self.generators.names() {
            loop {
                match self.end_made(generator.as_str()).await {
                    Ok(RoundEnded { ended: 0, failed: 0, .. }) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, context = error.context(), "what was made could not be ended");
                        break;
                    }
                }
            }
        }
    }

    /// Ends whatever generators made, when the node stops; the next start goes on with what is not ended in time.
    pub(crate) async fn end_all_made(&self) {
        let ends = async {
            // A run that waits for a person goes on after the next start, without what this process has for it.
            self.keeper.end_all_made();
            self.end_each_made().await;
            // Of a run that is over: it is ended once it is made.
            while self.generators.are_making() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            self.keeper.end_all_made();
            self.end_each_made().await;
        };
        if timeout(END_MADE_WITHIN, ends).await.is_err() {
            tracing::warn!("secrets that were made for leases are not ended yet; the next start goes on");
        }
    }
}
