//! The routes of `/v1`, and the tree's own files beside it, in the order of the OpenAPI document.

use serde::Serialize;
use steward_wire::{
    Act, ActionList, ActionRecord, ActionResult, AddAgent, AddPerson, AgentList, AgentRecord, Consistency, CreateKey,
    CreatedKey, Decide, DecisionRecord, Doctor, EntryList, EntryRecord, ExplainPolicy, Explanation, ExportQuery,
    InclusionProof, KeyList, KeyRecord, LedgerHead, Login, NodeStatus, PersonList, PersonRecord, PolicyList,
    PolicyVerdict, SearchQuery, VerifierKey,
};

use crate::{
    call::{Caller, Export},
    error::CallError,
};

/// Which actions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ActionQuery {
    /// The agent's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Older than this one: [`ActionList::next`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Nothing is asked for but the route itself.
#[derive(Serialize)]
struct Nothing {}

/// Two sizes of the tree.
#[derive(Serialize)]
struct Sizes {
    from: u64,
    to: u64,
}

/// Each returns what the route answers, or why there is no answer.
#[expect(clippy::missing_errors_doc, reason = "every method's errors are `CallError`'s, described there")]
impl Caller {
    /// `POST /v1/login`: exchanges the caller's single-use login key for a key of one's own.
    pub async fn login(&self, login: &Login) -> Result<CreatedKey, CallError> {
        self.post(&["v1", "login"], login).await
    }

    /// `GET /v1/people`.
    pub async fn people(&self) -> Result<PersonList, CallError> {
        self.get(&["v1", "people"]).await
    }

    /// `POST /v1/people`: enrols a person.
    pub async fn add_person(&self, person: &AddPerson) -> Result<PersonRecord, CallError> {
        self.post(&["v1", "people"], person).await
    }

    /// `POST /v1/people/{name}/disable`.
    pub async fn disable_person(&self, name: &str) -> Result<PersonRecord, CallError> {
        self.post(&["v1", "people", name, "disable"], &Nothing {}).await
    }

    /// `GET /v1/keys`.
    pub async fn keys(&self) -> Result<KeyList, CallError> {
        self.get(&["v1", "keys"]).await
    }

    /// `POST /v1/keys`: makes a key; its secret is in the answer and nowhere else.
    pub async fn create_key(&self, key: &CreateKey) -> Result<CreatedKey, CallError> {
        self.post(&["v1", "keys"], key).await
    }

    /// `POST /v1/keys/{id}/revoke`.
    pub async fn revoke_key(&self, id: &str) -> Result<KeyRecord, CallError> {
        self.post(&["v1", "keys", id, "revoke"], &Nothing {}).await
    }

    /// `GET /v1/agents`.
    pub async fn agents(&self) -> Result<AgentList, CallError> {
        self.get(&["v1", "agents"]).await
    }

    /// `POST /v1/agents`: registers an agent.
    pub async fn add_agent(&self, agent: &AddAgent) -> Result<AgentRecord, CallError> {
        self.post(&["v1", "agents"], agent).await
    }

    /// `GET /v1/agents/{name}`.
    pub async fn agent(&self, name: &str) -> Result<AgentRecord, CallError> {
        self.get(&["v1", "agents", name]).await
    }

    /// `POST /v1/agents/{name}/actions`: asks for one action of an agent, and has it done if it is allowed.
    pub async fn act(&self, agent: &str, act: &Act) -> Result<ActionResult, CallError> {
        self.post(&["v1", "agents", agent, "actions"], act).await
    }

    /// `POST /v1/decisions`: asks for a decision that is enforced elsewhere, and has it recorded.
    pub async fn decide(&self, decide: &Decide) -> Result<DecisionRecord, CallError> {
        self.post(&["v1", "decisions"], decide).await
    }

    /// `GET /v1/actions`, newest first.
    pub async fn actions(&self, query: &ActionQuery) -> Result<ActionList, CallError> {
        self.ask(&["v1", "actions"], query).await
    }

    /// `GET /v1/actions/{id}`.
    pub async fn action(&self, id: &str) -> Result<ActionRecord, CallError> {
        self.get(&["v1", "actions", id]).await
    }

    /// `GET /v1/actions/{id}/explanation`.
    pub async fn explain_action(&self, id: &str) -> Result<Explanation, CallError> {
        self.get(&["v1", "actions", id, "explanation"]).await
    }

    /// `GET /v1/policy`: the policy in force.
    pub async fn policies(&self) -> Result<PolicyList, CallError> {
        self.get(&["v1", "policy"]).await
    }

    /// `POST /v1/policy/explain`: what would be decided. Nothing is done.
    pub async fn explain_policy(&self, question: &ExplainPolicy) -> Result<PolicyVerdict, CallError> {
        self.post(&["v1", "policy", "explain"], question).await
    }

    /// `GET /v1/ledger/head`: the newest signed tree head. Open its note before you believe it.
    pub async fn ledger_head(&self) -> Result<LedgerHead, CallError> {
        self.get(&["v1", "ledger", "head"]).await
    }

    /// `GET /v1/ledger/vkey`: the verifier key, which is worth pinning.
    pub async fn ledger_vkey(&self) -> Result<VerifierKey, CallError> {
        self.get(&["v1", "ledger", "vkey"]).await
    }

    /// `GET /v1/ledger/entries`, newest first.
    pub async fn entries(&self, query: &SearchQuery) -> Result<EntryList, CallError> {
        self.ask(&["v1", "ledger", "entries"], query).await
    }

    /// `GET /v1/ledger/entries/{seq}`.
    pub async fn entry(&self, seq: u64) -> Result<EntryRecord, CallError> {
        self.get(&["v1", "ledger", "entries", &seq.to_string()]).await
    }

    /// `GET /v1/ledger/entries/{seq}/proof`.
    pub async fn prove(&self, seq: u64) -> Result<InclusionProof, CallError> {
        self.get(&["v1", "ledger", "entries", &seq.to_string(), "proof"]).await
    }

    /// `GET /v1/ledger/consistency`: the proof that the tree of `to` entries continues that of `from`.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Consistency, CallError> {
        self.ask(&["v1", "ledger", "consistency"], &Sizes { from, to }).await
    }

    /// `GET /v1/ledger/export`, piece by piece.
    pub async fn export(&self, query: &ExportQuery) -> Result<Export, CallError> {
        self.stream(&["v1", "ledger", "export"], query).await
    }

    /// `GET /v1/node/status`.
    pub async fn node_status(&self) -> Result<NodeStatus, CallError> {
        self.get(&["v1", "node", "status"]).await
    }

    /// `GET /v1/node/doctor`.
    pub async fn doctor(&self) -> Result<Doctor, CallError> {
        self.get(&["v1", "node", "doctor"]).await
    }

    /// `GET /v1/openapi.json`, as it stands.
    pub async fn openapi(&self) -> Result<Vec<u8>, CallError> {
        self.get_bytes(&["v1", "openapi.json"]).await
    }

    /// `GET /healthz`: whether the node answers.
    pub async fn is_healthy(&self) -> Result<(), CallError> {
        self.get_bytes(&["healthz"]).await.map(|_| ())
    }

    /// `GET /ledger/checkpoint`: the newest signed note, as any tool for transparency logs reads it.
    pub async fn checkpoint(&self) -> Result<Vec<u8>, CallError> {
        self.get_bytes(&["ledger", "checkpoint"]).await
    }

    /// `GET /ledger/tile/…`: a tile by its path beneath `/ledger` (`tile/0/000.p/7`, `tile/entries/000`).
    pub async fn tile(&self, path: &str) -> Result<Vec<u8>, CallError> {
        let segments: Vec<&str> = std::iter::once("ledger").chain(path.split('/')).collect();
        self.get_bytes(&segments).await
    }
}
