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

/// Exchanges an ID token of an issuer for a key of one's own.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginToken {
    /// The ID token, as the issuer gave it. It is good for one exchange, within ten minutes.
    pub id_token: String,
    /// What its nonce was made from, if it has one: the nonce is base64url(SHA-256(proof)), without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What the new key will be called in lists: the machine, say.
    pub label: String,
}

impl std::fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginToken").field("id_token", &"***").field("label", &self.label).finish_non_exhaustive()
    }
}

/// An issuer by which people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginIssuer {
    /// Its address.
    pub url: String,
    /// The client that they log in as.
    pub client: String,
}

/// The issuers by which people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginIssuers {
    /// The issuers.
    pub issuers: Vec<LoginIssuer>,
}

/// Links a person with somebody of an issuer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPerson {
    /// The issuer's address: one of those that are configured.
    pub issuer: String,
    /// The issuer's name of them: `sub` of its tokens.
    pub subject: String,
    /// For a service's tokens, and not for logging in.
    #[serde(default)]
    pub service: bool,
}

/// Takes a link away, and with it every key and token that stood on it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlinkPerson {
    /// The issuer's address.
    pub issuer: String,
    /// The issuer's name of them.
    pub subject: String,
}

/// A person of the node, and who they are to an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkRecord {
    /// What stands in the record in the place of a key's id.
    pub id: String,
    /// The person's name.
    pub person: String,
    /// The issuer's address.
    pub issuer: String,
    /// The issuer's name of them.
    pub subject: String,
    /// `login` or `service`.
    pub purpose: String,
    /// Who linked them: a full name.
    pub linked_by: String,
    /// When.
    pub linked_at: String,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Links, by person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkList {
    /// The links.
    pub links: Vec<LinkRecord>,
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
