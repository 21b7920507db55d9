//! People and keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Exchanges a single-use login key for a key of one's own. The login key is the request's bearer token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// What the new key will be called in lists: the machine, say.
    pub label: String,
}

/// Enrols a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPerson {
    /// Their name in the node's namespace: letters, digits, hyphens.
    pub name: String,
    /// viewer, operator, reviewer, admin.
    pub roles: Vec<String>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonRecord {
    /// Their name.
    pub name: String,
    /// The namespace that enrolled them.
    pub namespace: String,
    /// What they may do, by policy.
    pub roles: Vec<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// When they were enrolled.
    pub added_at: String,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// People, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonList {
    /// The people.
    pub people: Vec<PersonRecord>,
}

/// Makes a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// The person it is for. Neither person nor agent: for oneself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The agent it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it is called in lists.
    pub label: String,
    /// all, read, act, agents, people, keys, policy, login. At most what its holder may do.
    pub scopes: Vec<String>,
    /// How long it is good for, in seconds; 90 days if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<u64>,
    /// Whether it is good for one request only.
    #[serde(default)]
    pub single_use: bool,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRecord {
    /// `key_…`.
    pub id: String,
    /// Whose it is: `olivia@acme.internal`, `scribe.acme.internal`.
    pub holder: String,
    /// `person` or `agent`.
    pub holder_kind: String,
    /// What it is called.
    pub label: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Good for one request only.
    pub single_use: bool,
    /// `active`, `used`, `revoked` or `expired`.
    pub status: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends by itself.
    pub expires_at: String,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// A new key with its secret, which is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    pub key: KeyRecord,
    /// The bearer token: `stw_…`. It is not kept; only its hash is.
    pub secret: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey").field("key", &self.key).field("secret", &"***").finish()
    }
}

/// Keys, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<KeyRecord>,
}
