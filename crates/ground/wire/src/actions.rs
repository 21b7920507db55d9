//! Actions: what was asked, decided and done.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Asks for one action of an agent, and has it done if it is allowed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// What is to be done: `fs.write`.
    pub action: String,
    /// What it is to be done to: a path in the agent's folder.
    pub resource: String,
    /// The content, in base 64, of an action that writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// How sure the agent says it is, in basis points (10,000 is certain). Recorded, never believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_bp: Option<u16>,
}

/// Asks whether an agent may do something that is enforced elsewhere; the decision is recorded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// The agent. May be left out by an agent's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What is to be done: `http.get`.
    pub action: String,
    /// The kind of thing it is to be done to: file, command, host, plan, agent, person, key, policy, ledger, node.
    pub kind: String,
    /// What it is to be done to.
    pub resource: String,
    /// How sure the agent says it is, in basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_bp: Option<u16>,
}

/// A policy that made a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatchedPolicy {
    /// Its id.
    pub id: String,
    /// The file that it stands in.
    pub file: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionRecord {
    /// `act_…`: the decision, and the effect that it allowed.
    pub id: String,
    /// `allow` or `deny`.
    pub decision: String,
    /// Why it was denied: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The policies that made it.
    pub policies: Vec<MatchedPolicy>,
    /// The version of the policy in force.
    pub policy_version: String,
    /// The ledger entry that records it. A refusal that was only counted, because the same one was just recorded, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
}

/// What became of an allowed action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectRecord {
    /// `intended`, `publishing`, `succeeded`, `failed` or `unknown`.
    pub status: String,
    /// Why it failed: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The digest of what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// The answer to [`Act`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionResult {
    /// The action as it stands now.
    pub action: ActionRecord,
}

/// An action: asked, decided and, if it was allowed, done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionRecord {
    /// `act_…`.
    pub id: String,
    /// When it was asked.
    pub time: String,
    /// Who asked: `agent scribe.acme.internal`.
    pub actor: String,
    /// The person whose key drove the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The agent's tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What was asked, as policies know it.
    pub action: String,
    /// The kind of thing it was to be done to.
    pub kind: String,
    /// What it was to be done to.
    pub resource: String,
    /// What was decided.
    pub decision: DecisionRecord,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectRecord>,
    /// The ledger entries about it, in order.
    pub entries: Vec<u64>,
    /// The request that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// Actions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionList {
    /// The actions.
    pub actions: Vec<ActionRecord>,
    /// Ask again with `before` set to this for older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Proof that an entry is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// The entry.
    pub entry: u64,
    /// `c2sp.org/tlog-proof@v1`, with the signed tree head.
    pub proof: String,
    /// The verifier key of the tree heads, which you should have from elsewhere.
    pub vkey: String,
}

/// Why an action was allowed or refused, in words and in data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The action.
    pub action: ActionRecord,
    /// The explanation, a sentence each, for a person who reads no code.
    pub sentences: Vec<String>,
    /// The decision's ledger entry, as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The proof that it is in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}
