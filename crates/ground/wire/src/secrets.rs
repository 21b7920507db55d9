//! Secrets and leases. Values only travel inward: no shape that a node answers with has one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

/// The value of a secret, on its way in. Nothing shows it, and no error of reading it says what it was.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = String, format = Password)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self).map_err(|_| de::Error::custom("the value of a secret is a text"))
    }
}

/// Puts a secret into the keystore. One of `value`, `generate` and `made_by`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// Its name: small letters, digits and hyphens.
    pub name: String,
    /// What it holds: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<SecretText>,
    /// Of how many random bytes the node makes it, 16 to 1024; nobody ever sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<u64>,
    /// The generator of the node's configuration that makes a value for each lease; the secret has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

/// Gives a secret another value. One of `value` and `generate`; neither: as it was generated before, or made anew for each lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// What it holds from now on: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<SecretText>,
    /// Of how many random bytes the node makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<u64>,
}

/// Grants a secret to an agent, or takes that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantSecret {
    /// The agent; `*`: every agent that policy lets use what needs the secret, as it is before the first grant.
    pub to: String,
    /// Whether it is taken back.
    #[serde(default)]
    pub withdraw: bool,
}

/// A secret, without what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretRecord {
    /// Its name.
    pub name: String,
    /// `keystore`, or `file`: a file in the node's home.
    pub kind: String,
    /// `active` or `revoked`.
    pub status: String,
    /// The version of its value, from 1 on; 0 of a file.
    pub version: u64,
    /// Of how many random bytes the node made it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<u64>,
    /// The generator that makes a value for each lease, if it has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// `any`: of every agent that policy lets use what needs it; `granted`: of those that it was granted to.
    pub leased_to: String,
    /// The agents that it was granted to: full names.
    pub grants: Vec<String>,
    /// How many leases of it are not over.
    pub leases: u64,
    /// When it was put first; not known of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When its value was changed last, or it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// Why it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ledger entry that last changed this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
}

/// Secrets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// The secrets.
    pub secrets: Vec<SecretRecord>,
}

/// That a run may have a secret, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseRecord {
    /// `lse_…`.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// The version of its value.
    pub version: u64,
    /// The run.
    pub run: String,
    /// The run's agent.
    pub agent: String,
    /// `active`; `expired`: not renewed in time, and issued anew if it is needed; or why it is over: `run`, `lapsed`, `replaced`, `secret`,
    /// `person`.
    pub status: String,
    /// When it was issued.
    pub issued_at: String,
    /// Until when it holds, unless it is renewed.
    pub expires_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Leases, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseList {
    /// The leases.
    pub leases: Vec<LeaseRecord>,
}

#[cfg(test)]
mod tests {
    use super::PutSecret;

    #[test]
    fn a_value_is_shown_nowhere() {
        let put: PutSecret = serde_json::from_str(r#"{"name": "a", "value": "hush-hush"}"#).expect("it is one");
        assert_eq!(put.value.as_ref().map(|value| value.0.as_str()), Some("hush-hush"));
        assert!(!format!("{put:?}").contains("hush"));
        for wrong in [r#"{"name": "a", "value": 123456}"#, r#"{"name": "a", "value": ["hush"]}"#] {
            let error = serde_json::from_str::<PutSecret>(wrong).expect_err("it is none").to_string();
            assert!(!error.contains("123456") && !error.contains("hush"), "{error}");
        }
    }
}
