//! The routes of `/v1`, and the tree's own files beside it, in the order of the OpenAPI document.

use serde::Serialize;
use steward_wire::{
    Act, ActionList, ActionRecord, ActionResult, AddAgent, AddModel, AddPerson, AddTool, AgentHistory, AgentList,
    AgentRecord, AlertList, AllowTool, BudgetList, BudgetRecord, Consistency, CreateKey, CreatedKey, Decide,
    DecisionRecord, DiffPolicy, Doctor, EffectList, EffectSummary, EntryList, EntryRecord, EvidenceFile, ExplainPolicy,
    Explanation, ExportQuery, GrantSecret, HaltRecord, HandoffRecord, HookList, HookTested, InclusionProof, KeyList,
    KeyRecord, LeaseList, LeaseRecord, LedgerHead, LinkList, LinkPerson, LinkRecord, Login, LoginIssuers, LoginToken,
    ModelList, ModelRecord, ModelTested, NodeStatus, PersonList, PersonRecord, PolicyDiff, PolicyList, PolicyVerdict,
    PutSecret, Reason, RedactionRecord, ResolveEffect, RetentionReport, ReviewDetail, ReviewList, ReviewRecord,
    RevocationRecord, RotateSecret, RunDetail, RunList, RunRecord, RunReplay, SearchQuery, SecretList, SecretRecord,
    SetBudget, StartRun, StateList, TierChange, ToolServerList, ToolServerRecord, TracesRecord, UnlinkPerson,
    UsageReport, VerifierKey,
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

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunQuery {
    /// The agent's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Only those that are not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeaseQuery {
    /// Of this secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Also those that are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which effects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EffectQuery {
    /// `intended`, `publishing`, `succeeded`, `failed` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The run that they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Which reviews.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReviewQuery {
    /// `pending`, `approved`, `rejected`, `expired`, `voided` or `used`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `plan`, `action`, `criterion` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The run that waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Newer than this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What happened after an entry.
#[derive(Serialize)]
struct After {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

/// Keys of the state.
#[derive(Serialize)]
struct Match<'a> {
    r#match: &'a str,
}

/// A period.
#[derive(Serialize)]
struct Since<'a> {
    per: &'a str,
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

    /// `GET /v1/login/issuers`: by whom people can log in.
    pub async fn login_issuers(&self) -> Result<LoginIssuers, CallError> {
        self.get(&["v1", "login", "issuers"]).await
    }

    /// `POST /v1/login/token`: exchanges an ID token for a key of one's own.
    pub async fn login_by_token(&self, login: &LoginToken) -> Result<CreatedKey, CallError> {
        self.post(&["v1", "login", "token"], login).await
    }

    /// `GET /v1/links`: who people are to issuers.
    pub async fn links(&self) -> Result<LinkList, CallError> {
        self.get(&["v1", "links"]).await
    }

    /// `POST /v1/people/{name}/link`.
    pub async fn link_person(&self, name: &str, link: &LinkPerson) -> Result<LinkRecord, CallError> {
        self.post(&["v1", "people", name, "link"], link).await
    }

    /// `POST /v1/people/{name}/unlink`.
    pub async fn unlink_person(&self, name: &str, link: &UnlinkPerson) -> Result<LinkRecord, CallError> {
        self.post(&["v1", "people", name, "unlink"], link).await
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

    /// `POST /v1/agents/{name}/revoke`: stops it for good, until a person reinstates it.
    pub async fn revoke_agent(&self, name: &str, reason: &Reason) -> Result<RevocationRecord, CallError> {
        self.post(&["v1", "agents", name, "revoke"], reason).await
    }

    /// `POST /v1/agents/{name}/reinstate`: one tier lower.
    pub async fn reinstate_agent(&self, name: &str, reason: &Reason) -> Result<RevocationRecord, CallError> {
        self.post(&["v1", "agents", name, "reinstate"], reason).await
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

    /// `POST /v1/runs`: starts a run. Asking twice starts two, or is refused because the agent has one.
    pub async fn start_run(&self, start: &StartRun) -> Result<RunRecord, CallError> {
        self.post(&["v1", "runs"], start).await
    }

    /// `GET /v1/runs`, newest first.
    pub async fn runs(&self, query: &RunQuery) -> Result<RunList, CallError> {
        self.ask(&["v1", "runs"], query).await
    }

    /// `GET /v1/runs/{id}`: with what happened after the entry `after`, or since it began.
    pub async fn run(&self, id: &str, after: Option<u64>) -> Result<RunDetail, CallError> {
        self.ask(&["v1", "runs", id], &After { after }).await
    }

    /// `POST /v1/runs/{id}/stop`: ends it and its children; the agent keeps its standing.
    pub async fn stop_run(&self, id: &str, reason: &Reason) -> Result<RunRecord, CallError> {
        self.post(&["v1", "runs", id, "stop"], reason).await
    }

    /// `GET /v1/runs/{id}/replay`: lived again from its record.
    pub async fn replay_run(&self, id: &str) -> Result<RunReplay, CallError> {
        self.get(&["v1", "runs", id, "replay"]).await
    }

    /// `GET /v1/agents/{name}/history`: what the record says of an agent.
    pub async fn agent_history(&self, name: &str) -> Result<AgentHistory, CallError> {
        self.get(&["v1", "agents", name, "history"]).await
    }

    /// `GET /v1/runs/{id}/evidence`: what it leaves, for whoever wants to check it without the node.
    pub async fn evidence(&self, id: &str) -> Result<EvidenceFile, CallError> {
        self.get(&["v1", "runs", id, "evidence"]).await
    }

    /// `GET /v1/tasks/{task}/handoff`: the newest.
    pub async fn handoff(&self, task: &str) -> Result<HandoffRecord, CallError> {
        self.get(&["v1", "tasks", task, "handoff"]).await
    }

    /// `POST /v1/agents/{name}/promote`: asks that it gets a tier more.
    pub async fn promote_agent(&self, name: &str, reason: &Reason) -> Result<TierChange, CallError> {
        self.post(&["v1", "agents", name, "promote"], reason).await
    }

    /// `POST /v1/agents/{name}/appeal`: asks that it gets the tier back that was taken from it.
    pub async fn appeal_for_agent(&self, name: &str, reason: &Reason) -> Result<TierChange, CallError> {
        self.post(&["v1", "agents", name, "appeal"], reason).await
    }

    /// `POST /v1/agents/{name}/demote`: takes a tier from it, at once.
    pub async fn demote_agent(&self, name: &str, reason: &Reason) -> Result<TierChange, CallError> {
        self.post(&["v1", "agents", name, "demote"], reason).await
    }

    /// `GET /v1/reviews`, newest first.
    pub async fn reviews(&self, query: &ReviewQuery) -> Result<ReviewList, CallError> {
        self.ask(&["v1", "reviews"], query).await
    }

    /// `GET /v1/reviews/{id}`: with all that a person needs to decide it.
    pub async fn review(&self, id: &str) -> Result<ReviewDetail, CallError> {
        self.get(&["v1", "reviews", id]).await
    }

    /// `POST /v1/reviews/{id}/approve`.
    pub async fn approve_review(&self, id: &str, reason: &Reason) -> Result<ReviewRecord, CallError> {
        self.post(&["v1", "reviews", id, "approve"], reason).await
    }

    /// `POST /v1/reviews/{id}/reject`.
    pub async fn reject_review(&self, id: &str, reason: &Reason) -> Result<ReviewRecord, CallError> {
        self.post(&["v1", "reviews", id, "reject"], reason).await
    }

    /// `GET /v1/effects`, newest first.
    pub async fn effects(&self, query: &EffectQuery) -> Result<EffectList, CallError> {
        self.ask(&["v1", "effects"], query).await
    }

    /// `POST /v1/effects/{id}/resolve`: says what became of an effect of which the node does not know.
    pub async fn resolve_effect(&self, id: &str, resolve: &ResolveEffect) -> Result<EffectSummary, CallError> {
        self.post(&["v1", "effects", id, "resolve"], resolve).await
    }

    /// `GET /v1/state`: the keys of the runtime state that match `pattern`.
    pub async fn state(&self, pattern: &str) -> Result<StateList, CallError> {
        self.ask(&["v1", "state"], &Match { r#match: pattern }).await
    }

    /// `GET /v1/tools`: servers of tools, none of which is asked.
    pub async fn tools(&self) -> Result<ToolServerList, CallError> {
        self.get(&["v1", "tools"]).await
    }

    /// `POST /v1/tools`: puts a server behind the node, asks it for its tools, and pins them.
    pub async fn add_tool(&self, tool: &AddTool) -> Result<ToolServerRecord, CallError> {
        self.post(&["v1", "tools"], tool).await
    }

    /// `GET /v1/tools/{name}`: a server, which is asked for its tools.
    pub async fn tool(&self, name: &str) -> Result<ToolServerRecord, CallError> {
        self.get(&["v1", "tools", name]).await
    }

    /// `POST /v1/tools/{name}/pin`: pins what it says of its tools now.
    pub async fn pin_tool(&self, name: &str) -> Result<ToolServerRecord, CallError> {
        self.post(&["v1", "tools", name, "pin"], &Nothing {}).await
    }

    /// `POST /v1/tools/{name}/allow`: allows tools of it from a tier on, or takes that back.
    pub async fn allow_tool(&self, name: &str, allow: &AllowTool) -> Result<ToolServerRecord, CallError> {
        self.post(&["v1", "tools", name, "allow"], allow).await
    }

    /// `POST /v1/tools/{name}/remove`: takes it away, with all that was pinned and allowed of it.
    pub async fn remove_tool(&self, name: &str) -> Result<ToolServerRecord, CallError> {
        self.post(&["v1", "tools", name, "remove"], &Nothing {}).await
    }

    /// `GET /v1/models`.
    pub async fn models(&self) -> Result<ModelList, CallError> {
        self.get(&["v1", "models"]).await
    }

    /// `POST /v1/models`: puts a model behind the node, or replaces what is known of it.
    pub async fn add_model(&self, model: &AddModel) -> Result<ModelRecord, CallError> {
        self.post(&["v1", "models"], model).await
    }

    /// `POST /v1/models/{name}/test`: asks it something small.
    pub async fn test_model(&self, name: &str) -> Result<ModelTested, CallError> {
        self.post(&["v1", "models", name, "test"], &Nothing {}).await
    }

    /// `POST /v1/models/{name}/remove`: takes it away; what was used of it stays on record.
    pub async fn remove_model(&self, name: &str) -> Result<ModelRecord, CallError> {
        self.post(&["v1", "models", name, "remove"], &Nothing {}).await
    }

    /// `GET /v1/budgets`.
    pub async fn budgets(&self) -> Result<BudgetList, CallError> {
        self.get(&["v1", "budgets"]).await
    }

    /// `POST /v1/budgets`: sets a budget; without any limit it is taken away.
    pub async fn set_budget(&self, budget: &SetBudget) -> Result<BudgetRecord, CallError> {
        self.post(&["v1", "budgets"], budget).await
    }

    /// `GET /v1/usage`: what was used of models this `day` or `month`, or `ever`.
    pub async fn usage(&self, per: &str) -> Result<UsageReport, CallError> {
        self.ask(&["v1", "usage"], &Since { per }).await
    }

    /// `GET /v1/secrets`: without what they hold.
    pub async fn secrets(&self) -> Result<SecretList, CallError> {
        self.get(&["v1", "secrets"]).await
    }

    /// `POST /v1/secrets`: puts one into the keystore.
    pub async fn put_secret(&self, secret: &PutSecret) -> Result<SecretRecord, CallError> {
        self.post(&["v1", "secrets"], secret).await
    }

    /// `POST /v1/secrets/{name}/rotate`: gives it another value.
    pub async fn rotate_secret(&self, name: &str, rotate: &RotateSecret) -> Result<SecretRecord, CallError> {
        self.post(&["v1", "secrets", name, "rotate"], rotate).await
    }

    /// `POST /v1/secrets/{name}/revoke`: its value is erased, and nothing that needs it is done any more.
    pub async fn revoke_secret(&self, name: &str, reason: &Reason) -> Result<SecretRecord, CallError> {
        self.post(&["v1", "secrets", name, "revoke"], reason).await
    }

    /// `POST /v1/secrets/{name}/grant`: grants it to an agent, or takes that back.
    pub async fn grant_secret(&self, name: &str, grant: &GrantSecret) -> Result<SecretRecord, CallError> {
        self.post(&["v1", "secrets", name, "grant"], grant).await
    }

    /// `GET /v1/leases`, newest first.
    pub async fn leases(&self, query: &LeaseQuery) -> Result<LeaseList, CallError> {
        self.ask(&["v1", "leases"], query).await
    }

    /// `POST /v1/leases/{id}/revoke`: its run has the secret no more.
    pub async fn revoke_lease(&self, id: &str, reason: &Reason) -> Result<LeaseRecord, CallError> {
        self.post(&["v1", "leases", id, "revoke"], reason).await
    }

    /// `GET /v1/policy`: the policy in force.
    pub async fn policies(&self) -> Result<PolicyList, CallError> {
        self.get(&["v1", "policy"]).await
    }

    /// `POST /v1/policy/explain`: what would be decided. Nothing is done.
    pub async fn explain_policy(&self, question: &ExplainPolicy) -> Result<PolicyVerdict, CallError> {
        self.post(&["v1", "policy", "explain"], question).await
    }

    /// `POST /v1/policy/diff`: what would differ under another policy. Nothing is put in force.
    pub async fn diff_policy(&self, candidate: &DiffPolicy) -> Result<PolicyDiff, CallError> {
        self.post(&["v1", "policy", "diff"], candidate).await
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

    /// `GET /v1/ledger/retention`: how long what entries say is kept, and what would be erased.
    pub async fn retention(&self) -> Result<RetentionReport, CallError> {
        self.get(&["v1", "ledger", "retention"]).await
    }

    /// `POST /v1/ledger/entries/{seq}/redact`: erases its body and salt.
    pub async fn redact(&self, seq: u64, reason: &Reason) -> Result<RedactionRecord, CallError> {
        self.post(&["v1", "ledger", "entries", &seq.to_string(), "redact"], reason).await
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

    /// `GET /v1/alerts`: what is wrong now.
    pub async fn alerts(&self) -> Result<AlertList, CallError> {
        self.get(&["v1", "alerts"]).await
    }

    /// `GET /v1/traces`: where what agents did is sent as spans, and how that goes.
    pub async fn traces(&self) -> Result<TracesRecord, CallError> {
        self.get(&["v1", "traces"]).await
    }

    /// `GET /v1/hooks`: who is told what waits for people, and how it goes.
    pub async fn hooks(&self) -> Result<HookList, CallError> {
        self.get(&["v1", "hooks"]).await
    }

    /// `POST /v1/hooks/{name}/test`: tells it a test.
    pub async fn test_hook(&self, name: &str) -> Result<HookTested, CallError> {
        self.post(&["v1", "hooks", name, "test"], &Nothing {}).await
    }

    /// `POST /v1/node/halt`: no run and no effect until it is resumed, also after a restart.
    pub async fn halt(&self, reason: &Reason) -> Result<HaltRecord, CallError> {
        self.post(&["v1", "node", "halt"], reason).await
    }

    /// `POST /v1/node/resume`.
    pub async fn resume(&self, reason: &Reason) -> Result<HaltRecord, CallError> {
        self.post(&["v1", "node", "resume"], reason).await
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
