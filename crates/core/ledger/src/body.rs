//! What an entry says to those who may read it.
//!
//! [`Body::permitted`] and [`Body::refused`] make a body from a decision, so that the record cannot say anything else than
//! what was decided; the verb adds outcome, detail and trace, and the store adds the rows. The bytes are canonical JSON
//! (RFC 8785) without floats, and a body has exactly one spelling.
//!
//! Deliberately absent: the time and the kind, which stand in the [leaf](crate::Leaf); secrets, of any kind.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use steward_clock::Timestamp;
use steward_naming::{ActionId, KeyId, TraceId};
use steward_permit::{
    Action, Actor, Circumstances, Denial, DenialCode, Matched, Permit, ResourceKind, Role, Ruling, Tier,
};
use steward_seal::Digest;

use crate::{
    canonical::{self, Sorted},
    row::RowDigest,
};

/// The most bytes of a body: enough for some thousand rows, little enough to read whole.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// What is certain, in basis points.
const FULL_CONFIDENCE_BP: u16 = 10_000;

/// The body of an entry. Fields that are empty are not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    // In the order of RFC 8785, here and in every struct of this file: a test holds the bytes against it.
    /// Who did it, or asked for it.
    pub actor: BodyActor,
    /// Blobs that were written or read, by their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Digest>,
    /// How sure the actor says it is, in basis points: 10000 is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_bp: Option<u16>,
    /// What was decided, if something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<BodyDecision>,
    /// What else the kind of entry has to say. No floats, no integers beyond 2^53.
    #[serde(default, skip_serializing_if = "Map::is_empty", serialize_with = "write_detail")]
    pub detail: Map<String, Value>,
    /// The key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The namespace that it happened in.
    pub namespace: String,
    /// How it ended, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<BodyOutcome>,
    /// The rows that were written in the same transaction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowDigest>,
    /// What it is about: an agent's or person's full name, a key's id …
    pub subject: String,
    /// What joins everything that one request caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// The person who drove the agent with a key of their own, by full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyActor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The full name: `scribe.acme.internal`, `olivia@acme.internal`; for the node its namespace.
    pub name: String,
    /// The roles of a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// The tier of an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The version of an agent's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What kind of actor; the words are those of [`Actor::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// An agent.
    Agent,
    /// The node itself.
    Node,
    /// A person.
    Person,
}

impl ActorKind {
    /// `agent`, `node` or `person`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Node => "node",
            Self::Person => "person",
        }
    }
}

/// Whether something was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was.
    Allow,
    /// It was refused.
    Deny,
}

impl Verdict {
    /// `allow` or `deny`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What was decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyDecision {
    /// What was asked for: `fs.write`.
    pub action: String,
    /// The digest of the action's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Digest>,
    /// What else the policy was told, so that another can be asked the same. None in entries of nodes that did not write it yet, and of
    /// what no policy could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circumstances: Option<Circumstances>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<DenialCode>,
    /// The digest of the exact action.
    pub digest: Digest,
    /// Messages of policies that could not be evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The id of the decision and of its effect.
    pub id: ActionId,
    /// Allowed or refused.
    pub outcome: Verdict,
    /// The policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "write_policies")]
    pub policies: Vec<Matched>,
    /// The version of the policy in force.
    pub policy_version: Digest,
    /// What it was asked to be done to.
    pub resource: BodyResource,
}

/// What something was to be done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyResource {
    /// What it is named by.
    pub id: String,
    /// What kind of thing it is.
    pub kind: ResourceKind,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyOutcome {
    /// What went wrong, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// What kind of thing went wrong: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Whether it went well.
    pub success: bool,
}

/// The columns that the store writes beside an entry so that it can be searched; they say nothing that leaf and body do
/// not say, and the audit holds them against both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns<'a> {
    /// The leaf's time.
    pub time: Timestamp,
    /// The leaf's kind.
    pub kind: &'a str,
    /// The body's namespace.
    pub namespace: &'a str,
    /// The actor's full name.
    pub actor: &'a str,
    /// The body's subject.
    pub subject: &'a str,
    /// The decision's action: `fs.write`.
    pub action: Option<&'a str>,
    /// `allow` or `deny`.
    pub decision: Option<&'a str>,
    /// The decision's id: `act_…`.
    pub decision_id: Option<&'a str>,
    /// The trace.
    pub trace: Option<&'a str>,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not a body.
    #[error("this is not an entry's body: {0}")]
    Malformed(String),
    /// A body, but not in its one spelling.
    #[error("the body is not in canonical form (RFC 8785): its bytes were made or changed by something else")]
    NotCanonical,
    /// A float, or an integer beyond 2^53.
    #[error("a body holds no floats and no integers beyond 2^53; write the number in `detail` as a string")]
    Number,
    /// More than 10000 basis points.
    #[error("a confidence has at most 10000 basis points, and this one has {0}")]
    Confidence(u16),
    /// Too long.
    #[error("the body has {0} bytes; at most {MAX_BODY_BYTES} are kept, so write fewer rows at once")]
    TooLong(usize),
}

impl Body {
    /// The body for something that was permitted.
    pub fn permitted(permit: &Permit, subject: &str) -> Self {
        Self::ruled(permit.ruling(), subject, Verdict::Allow)
    }

    /// The body for something that was refused.
    pub fn refused(denial: &Denial, subject: &str) -> Self {
        let mut body = Self::ruled(denial.ruling(), subject, Verdict::Deny);
        if let Some(decision) = &mut body.decision {
            decision.code = Some(denial.code());
            decision.errors = denial.errors().to_vec();
        }
        body
    }

    /// The body for what the node records without a decision: that the ledger was made, how often it refused.
    pub fn by_node(namespace: &str, subject: &str) -> Self {
        let actor = BodyActor {
            kind: ActorKind::Node,
            name: namespace.to_owned(),
            roles: Vec::new(),
            tier: None,
            version: None,
        };
        Self {
            actor,
            blobs: Vec::new(),
            confidence_bp: None,
            decision: None,
            detail: Map::new(),
            key: None,
            namespace: namespace.to_owned(),
            outcome: None,
            rows: Vec::new(),
            subject: subject.to_owned(),
            trace: None,
            via: None,
        }
    }

    fn ruled(ruling: &Ruling, subject: &str, outcome: Verdict) -> Self {
        let Ruling { id, actor, key, action, circumstances, policies, policy_version, at: _ } = ruling;
        let mut decision = BodyDecision::of(id, action, policies, policy_version, outcome);
        decision.circumstances.clone_from(circumstances);
        Self {
            actor: BodyActor::of(actor),
            key: key.clone(),
            via: actor.via().map(|person| format!("{person}@{}", actor.namespace())),
            decision: Some(decision),
            ..Self::by_node(action.namespace().as_str(), subject)
        }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// The body holds a number that cannot be written exactly, or is too long.
    pub fn encode(&self) -> Result<Vec<u8>, BodyError> {
        self.check()?;
        let bytes = canonical::to_vec(self);
        if bytes.len() > MAX_BODY_BYTES { Err(BodyError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads a body; every body has exactly one spelling, so this refuses duplicate keys, spaces and the like.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        if bytes.len() > MAX_BODY_BYTES {
            return Err(BodyError::TooLong(bytes.len()));
        }
        let malformed = |e: serde_json::Error| BodyError::Malformed(steward_seal::json::printable(&e.to_string()));
        let body: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        body.check()?;
        if canonical::is_spelling_of(bytes, &body) { Ok(body) } else { Err(BodyError::NotCanonical) }
    }

    fn check(&self) -> Result<(), BodyError> {
        match self.confidence_bp {
            Some(bp) if bp > FULL_CONFIDENCE_BP => Err(BodyError::Confidence(bp)),
            _ if self.detail.keys().any(|key| canonical::is_private(key)) => {
                Err(BodyError::Malformed("a key of `detail` is one that the JSON library keeps for itself".to_owned()))
            }
            _ if !self.detail.values().all(canonical::is_exact) => Err(BodyError::Number),
            _ => Ok(()),
        }
    }

    /// What is mirrored in columns beside the entry.
    pub fn columns<'a>(&'a self, kind: &'a str, time: Timestamp) -> Columns<'a> {
        let decision = self.decision.as_ref();
        Columns {
            time,
            kind,
            namespace: &self.namespace,
            actor: &self.actor.name,
            subject: &self.subject,
            action: decision.map(|d| d.action.as_str()),
            decision: decision.map(|d| d.outcome.as_str()),
            decision_id: decision.map(|d| d.id.as_str()),
            trace: self.trace.as_ref().map(TraceId::as_str),
        }
    }
}

impl BodyActor {
    /// The actor as it is recorded.
    pub fn of(actor: &Actor) -> Self {
        let (kind, roles) = match actor {
            Actor::Person { roles, .. } => (ActorKind::Person, roles.clone()),
            Actor::Agent { .. } => (ActorKind::Agent, Vec::new()),
            Actor::Node { .. } => (ActorKind::Node, Vec::new()),
        };
        Self { kind, name: actor.full_name(), roles, tier: actor.tier(), version: actor.version().map(str::to_owned) }
    }
}

impl BodyDecision {
    fn of(id: &ActionId, action: &Action, policies: &[Matched], policy_version: &Digest, outcome: Verdict) -> Self {
        Self {
            action: action.name().as_str().to_owned(),
            arguments: action.arguments().copied(),
            circumstances: None,
            code: None,
            digest: action.digest(),
            errors: Vec::new(),
            id: id.clone(),
            outcome,
            policies: policies.to_vec(),
            policy_version: *policy_version,
            resource: BodyResource { id: action.resource().id().to_owned(), kind: action.resource().kind() },
        }
    }
}

fn write_detail<S: Serializer>(detail: &Map<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    canonical::sorted(detail.iter().map(|(k, v)| (k, Sorted(v))), serializer)
}

fn write_policies<S: Serializer>(policies: &[Matched], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Policy<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        description: &'a Option<String>,
        file: &'a str,
        id: &'a str,
    }

    serializer.collect_seq(policies.iter().map(|p| Policy { description: &p.description, file: &p.file, id: &p.id }))
}

#[cfg(test)]
mod tests;
