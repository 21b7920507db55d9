//! Secrets and who holds them: a server of tools that was given a value which is not in force any more is ended.
//!
//! Deliberately absent: the verbs themselves (app/secrets), and models, which are given their key anew with every call.

use steward_app_node::{Caller, Error};
use steward_app_secrets::{SecretRow, Value};
use steward_keeper::Keeper;

use crate::runs::Runner;

impl Runner {
    /// The node's secrets.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Puts a secret into the keystore, where it stands before a file of that name.
    ///
    /// # Errors
    /// As [`steward_app_secrets::put`].
    pub async fn put_secret(&self, caller: &Caller, name: &str, value: &Value) -> Result<SecretRow, Error> {
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
}
