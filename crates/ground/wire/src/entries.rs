//! The ledger.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The newest signed tree head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerHead {
    /// The ledger's origin.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// The Merkle root, in base 64.
    pub root: String,
    /// The signed note, which is what to keep.
    pub note: String,
}

/// The key that verifies tree heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifierKey {
    /// `name+hash+base64` (c2sp.org/signed-note).
    pub vkey: String,
    /// SHA-256 of the key's SPKI.
    pub fingerprint: String,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryRecord {
    /// Its place, counted from 0.
    pub seq: u64,
    /// When it was recorded.
    pub time: String,
    /// What kind of thing happened: `action.intended`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// Who: `agent scribe.acme.internal`.
    pub actor: String,
    /// About what.
    pub subject: String,
    /// The action that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `allow` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The entry that says that the body was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_by: Option<u64>,
    /// The body, unless it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The leaf, as it stands in the tree.
    pub leaf: String,
    /// The RFC 6962 hash of the leaf, in hex.
    pub leaf_hash: String,
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryList {
    /// The entries.
    pub entries: Vec<EntryRecord>,
    /// Ask again with `before` set to this for older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Whose: `agent scribe.acme.internal`, or just the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// About what: an action's id, a name, a key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Which action: `fs.write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `allow` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Which kind of entry: `action.refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which request: `trc_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Entries before this one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most so many; 50 if not said, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An entry whose body and salt were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RedactionRecord {
    /// The entry.
    pub entry: u64,
    /// The entry that records it.
    pub redacted_by: u64,
    /// When.
    pub at: String,
    /// Whether the store's log was folded back, so that the body stands in no file of it any more. Otherwise somebody is reading an older
    /// state: it is done at the latest when the node stops.
    pub folded: bool,
}

/// How long what the entries of the ledger say is kept, and what would be erased now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionReport {
    /// Every kind of entry.
    pub kinds: Vec<RetentionKind>,
}

/// A kind of entries, and for how long what they say is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionKind {
    /// The kind.
    pub kind: String,
    /// For how many days; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    /// How many entries have what they say.
    pub whole: u64,
    /// How many are older than that, and are erased with the next sweep.
    pub due: u64,
    /// How many are older, and are kept because something that is under way needs them.
    pub needed: u64,
    /// How many were erased, by age or by a person.
    pub erased: u64,
}

/// What to export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// A view of the ledger, `agent_actions` or `violations`; all entries if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// `jsonl` or `csv`.
    pub format: String,
}

/// An entry with the proof that it is in the ledger: all that a stranger needs, but for the verifier key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InclusionProof {
    /// The entry's place.
    pub seq: u64,
    /// `c2sp.org/tlog-proof@v1`, with the signed tree head.
    pub proof: String,
    /// The leaf, as it stands in the tree.
    pub leaf: String,
    /// The salt in hex, unless it was erased. `leaf.body` is HMAC-SHA256(salt, body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The body's exact text, unless it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The verifier key of the tree heads, which you should have from elsewhere.
    pub vkey: String,
}

/// Proof that one state of the ledger continues another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Consistency {
    /// The smaller size.
    pub from: u64,
    /// Its root, in base 64.
    pub from_root: String,
    /// The larger size.
    pub to: u64,
    /// Its root, in base 64.
    pub to_root: String,
    /// The hashes of the proof (RFC 9162), in base 64.
    pub hashes: Vec<String>,
}
