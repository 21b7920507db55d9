//! Asking for an action, and having it done.
//!
//! If the process dies on any line, [`crate::settle_interrupted`] finishes, and if it lives and cannot record how an effect
//! ended, [`crate::settle_left_behind`] does; nothing is dispatched a second time.

use steward_app_node::{Caller, Context, Error, Granted, Kind, Noted, code};
use steward_ledger::{BodyOutcome, kind};
use steward_naming::{ActionId, Name};
use steward_permit::{
    Action, ActionError, ActionName, Actor, Denial, Matched, Resource, ResourceKind, Ruling, Warrant,
};
use steward_policy::Question;
use steward_seal::Digest;
use steward_store::{Recorded, Refusal};
use steward_worker::EffectError;

use crate::rows::{EffectRow, Status};

/// The action that this node has a tool for.
const WRITE: &str = "fs.write";

/// What is asked for, as it was written.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// What is to be done.
    pub action: String,
    /// The kind of thing that it is to be done to; by the action's noun if not said.
    pub kind: Option<ResourceKind>,
    /// To what.
    pub resource: String,
    /// What is to be written.
    pub content: Option<Vec<u8>>,
    /// How sure the agent says it is, in basis points.
    pub confidence_bp: Option<u16>,
}

impl Asked {
    /// Reads it as an action of the node's namespace.
    fn parse(&self, context: &Context) -> Result<Action, ActionError> {
        let name = ActionName::parse(&self.action)?;
        let kind = self.kind.unwrap_or_else(|| kind_of(&name));
        let action = Action::new(context.namespace.clone(), name, Resource::new(kind, self.resource.as_str())?);
        Ok(match &self.content {
            Some(bytes) => action.with_arguments(Digest::of(bytes)),
            None => action,
        })
    }

    /// Records that something malformed was asked for: an auditor wants to see who tries what looks like something else.
    async fn refuse(&self, context: &Context, caller: &Caller) -> Result<(Denial, Noted), Error> {
        let now = context.now();
        let id = ActionId::new(now, context.dice.as_ref());
        let written = format!("{} {}", self.action, self.resource);
        let key = caller.key.as_ref().map(|key| key.id.clone());
        let engine = &context.policy().engine;
        let denial = engine.refuse_malformed(caller.actor.clone(), key, context.namespace.clone(), &written, id, now);
        let noted = context.refuse(caller, denial.clone(), &self.refusal()).await?;
        Ok((denial, noted))
    }

    fn refusal(&self) -> Refusal {
        Refusal { confidence_bp: self.confidence_bp, ..Refusal::default() }
    }
}

/// What an action is done to, by its noun.
fn kind_of(name: &ActionName) -> ResourceKind {
    match name.as_str().split('.').next().unwrap_or_default() {
        "fs" | "docs" | "logs" | "framework" | "module" => ResourceKind::File,
        "plan" => ResourceKind::Plan,
        "http" | "ssh" | "infra" | "production" | "staging" | "ansible" => ResourceKind::Host,
        "shell" | "exec" => ResourceKind::Command,
        "policy" | "governance" => ResourceKind::Policy,
        _ => ResourceKind::Node,
    }
}

/// Asks for one action as an agent; if it is allowed, has it done. Tells the action's id: what became of it is on record.
///
/// # Errors
/// The refusal, which is on record; or the node cannot record, and then nothing was done.
pub async fn act(context: &Context, mut caller: Caller, asked: Asked) -> Result<ActionId, Error> {
    let Actor::Agent { name: agent, .. } = caller.actor.clone() else {
        return Err(Error::invalid("actions are done by agents; name the agent"));
    };
    let action = match asked.parse(context) {
        Ok(action) => action,
        Err(error) => {
            let (denial, noted) = asked.refuse(context, &caller).await?;
            return Err(noted.tell(Error::from(&denial).saying(error)));
        }
    };
    let writes = action.name().as_str() == WRITE;
    let content = match &asked.content {
        None if writes => return Err(Error::invalid("`content` is missing: say what is to be written")),
        content => content.clone().unwrap_or_default(),
    };
    let question = context.question(&caller, action.clone(), Some(agent.to_string()));
    let id = question.id.clone();
    let granted = decided(context, &caller, question, &asked).await?;
    if !writes {
        let name = action.name();
        let message =
            format!("`{name}` is permitted, but this node has no tool that does it; fs.write is the one it has");
        let outcome = failed(code::NO_TOOL, &message);
        let change = context
            .change(&caller, granted, kind::ACTION_DECIDED, id.as_str())
            .confidence_bp(asked.confidence_bp)
            .outcome(outcome);
        context.commit(change).await?;
        return Err(Error::new(Kind::Refused, code::NO_TOOL, message).of_action(id));
    }
    let _working = context.under_way.begin(id.clone());
    let (warrant, effect) = intend(context, &caller, granted, &agent, &action, &asked).await?;
    caller.spent(effect.entry_seq);
    let effect = write(context, &caller, &agent, action, content, warrant, effect).await?;
    tracing::info!(action.id = id.as_str(), agent.name = %agent, status = effect.status.as_str(), "an action was settled");
    Ok(id)
}

/// A decision about something that is enforced elsewhere.
#[derive(Debug)]
pub struct Decided {
    /// The decision's id.
    pub id: ActionId,
    /// The refusal, if it was refused.
    pub denied: Option<Error>,
    /// The policies that made it.
    pub policies: Vec<Matched>,
    /// The version of the policy in force.
    pub policy_version: Digest,
    /// The entry that records it; a refusal that was only counted has none.
    pub recorded: Option<Recorded>,
}

impl Decided {
    fn of(ruling: &Ruling, denied: Option<Error>, recorded: Option<Recorded>) -> Self {
        let Ruling { id, policies, policy_version, .. } = ruling.clone();
        Self { id, denied, policies, policy_version, recorded }
    }

    fn refused(denial: &Denial, error: Error, noted: Noted) -> Self {
        Self::of(denial.ruling(), Some(noted.tell(error)), noted.entry())
    }
}

/// Decides, and records the decision, about something that is enforced elsewhere. A denial is an answer here.
///
/// # Errors
/// The node cannot record.
pub async fn decide(context: &Context, caller: &Caller, asked: Asked) -> Result<Decided, Error> {
    let action = match asked.parse(context) {
        Ok(action) => action,
        Err(error) => {
            let (denial, noted) = asked.refuse(context, caller).await?;
            return Ok(Decided::refused(&denial, Error::from(&denial).saying(error), noted));
        }
    };
    let owner = matches!(caller.actor, Actor::Agent { .. }).then(|| caller.actor.full_name());
    let question = context.question(caller, action, owner);
    let id = question.id.clone();
    match context.decide(caller, question, &asked.refusal()).await? {
        Err((denial, noted)) => Ok(Decided::refused(&denial, Error::from(&denial), noted)),
        Ok(granted) => {
            let ruling = granted.permit.ruling().clone();
            let change =
                context.change(caller, granted, kind::ACTION_DECIDED, id.as_str()).confidence_bp(asked.confidence_bp);
            let done = context.commit(change).await?;
            Ok(Decided::of(&ruling, None, Some(done.recorded)))
        }
    }
}

async fn decided(context: &Context, caller: &Caller, question: Question, asked: &Asked) -> Result<Granted, Error> {
    context
        .decide(caller, question, &asked.refusal())
        .await?
        .map_err(|(denial, noted)| noted.tell(Error::from(&denial)))
}

/// The first commit: the intention is on record.
async fn intend(
    context: &Context,
    caller: &Caller,
    granted: Granted,
    agent: &Name,
    action: &Action,
    asked: &Asked,
) -> Result<(Warrant, EffectRow), Error> {
    let effect = EffectRow {
        namespace: context.namespace.clone(),
        id: granted.id(),
        agent: agent.clone(),
        action: action.name().to_string(),
        resource: action.resource().id().to_owned(),
        arguments: *action.arguments().ok_or_else(|| Error::broken("a write has arguments"))?,
        status: Status::Intended,
        intended_at: context.now(),
        settled_at: None,
        error: None,
        written: None,
        entry_seq: 0,
    };
    let change = context
        .change(caller, granted, kind::ACTION_INTENDED, effect.id.as_str())
        .confidence_bp(asked.confidence_bp)
        .row(effect.row());
    let done = context.commit(change).await?;
    Ok((done.warrant, EffectRow { entry_seq: done.recorded.seq, ..effect }))
}

/// Stages, decides again, records that it is being published, publishes, settles.
async fn write(
    context: &Context,
    caller: &Caller,
    agent: &Name,
    action: Action,
    content: Vec<u8>,
    warrant: Warrant,
    effect: EffectRow,
) -> Result<EffectRow, Error> {
    let folders = std::sync::Arc::clone(&context.folders);
    let (to, what) = (agent.clone(), action.clone());
    let staged = match blocking(move || folders.stage(&warrant, &what, &to, &content)).await? {
        Ok(staged) => staged,
        Err(error) => return settle(context, effect, Err(&error)).await,
    };
    let publishing = match publishing(context, caller, &action, &effect).await {
        Ok(publishing) => publishing,
        Err(error) => {
            // Something changed between the two commits (a key was revoked, say), or it is no longer permitted.
            let refused = (error.code.to_owned(), error.message.clone());
            let effect = settled(context, effect, Status::Failed, Some(refused), None).await?;
            discard(context, &effect).await?;
            return Err(error.of_action(effect.id));
        }
    };
    let (warrant, effect) = publishing;
    let folders = std::sync::Arc::clone(&context.folders);
    let to = agent.clone();
    let published = blocking(move || folders.publish(warrant, &action, &to, staged)).await?;
    let effect = settle(context, effect, published.as_ref().map(|p| (p.digest, p.bytes))).await?;
    if effect.status == Status::Failed {
        discard(context, &effect).await?;
    }
    Ok(effect)
}

/// The second commit, under the guards of the first: from here on the effect happens.
async fn publishing(
    context: &Context,
    caller: &Caller,
    action: &Action,
    effect: &EffectRow,
) -> Result<(Warrant, EffectRow), Error> {
    let question =
        Question { id: effect.id.clone(), ..context.question(caller, action.clone(), Some(effect.agent.to_string())) };
    let granted = decided(context, caller, question, &Asked::default()).await?;
    let publishing = EffectRow { status: Status::Publishing, ..effect.clone() };
    let change = context
        .change(caller, granted, kind::ACTION_PUBLISHING, effect.id.as_str())
        .guard(effect.guard())
        .row(publishing.row());
    let done = context.commit(change).await?;
    Ok((done.warrant, EffectRow { entry_seq: done.recorded.seq, ..publishing }))
}

async fn settle(
    context: &Context,
    effect: EffectRow,
    outcome: Result<(Digest, u64), &EffectError>,
) -> Result<EffectRow, Error> {
    match outcome {
        Ok(written) => settled(context, effect, Status::Succeeded, None, Some(written)).await,
        Err(error) => {
            if let Some(source) = std::error::Error::source(error) {
                tracing::warn!(action.id = effect.id.as_str(), code = error.code(), %source, "an effect failed");
            }
            let status = if matches!(error, EffectError::OutcomeUnknown(_)) { Status::Unknown } else { Status::Failed };
            settled(context, effect, status, Some((error.code().to_owned(), error.to_string())), None).await
        }
    }
}

/// The last commit: how it ended, by the node's own permit, because it must be recorded whatever became of the caller.
pub(crate) async fn settled(
    context: &Context,
    effect: EffectRow,
    status: Status,
    error: Option<(String, String)>,
    written: Option<(Digest, u64)>,
) -> Result<EffectRow, Error> {
    let node = Caller::node(&context.namespace);
    let action = context.action("effect.settle", ResourceKind::Node, effect.id.as_str())?;
    let outcome = match &error {
        None => BodyOutcome { success: true, error_type: None, error_message: None },
        Some((code, message)) => failed(code, message),
    };
    let row = EffectRow { status, settled_at: Some(context.now()), error, written, ..effect };
    for attempt in 1_u32.. {
        // A policy that does not let the node settle is broken; it is not the caller who is refused.
        let granted = context.permit(&node, action.clone(), None).await;
        let granted = granted
            .map_err(|e| if e.kind == Kind::Refused { Error::broken(e).of_action(row.id.clone()) } else { e })?;
        let change = context
            .change(&node, granted, kind::ACTION_SETTLED, row.id.as_str())
            .urgent()
            .guard(row.guard())
            .outcome(outcome.clone())
            .row(row.row());
        match context.commit(change).await {
            Ok(done) => return Ok(EffectRow { entry_seq: done.recorded.seq, ..row }),
            // Another policy came into force between the decision and the commit.
            Err(error) if error.kind == Kind::Stale && attempt < 3 => {}
            // Never stale to the caller: who is told so tries again, and this effect was dispatched already.
            Err(error) if error.kind == Kind::Stale => return Err(Error::broken(error)),
            Err(error) => {
                let message =
                    format!("{error}; how this action ended is not on record yet: look at it before asking again");
                return Err(error.saying(message).of_action(row.id));
            }
        }
    }
    Err(Error::broken("attempts are counted"))
}

fn failed(code: &str, message: &str) -> BodyOutcome {
    BodyOutcome { success: false, error_type: Some(code.to_owned()), error_message: Some(message.to_owned()) }
}

/// Removes what was staged, after its failure is on record.
pub(crate) async fn discard(context: &Context, effect: &EffectRow) -> Result<(), Error> {
    let folders = std::sync::Arc::clone(&context.folders);
    let (agent, id) = (effect.agent.clone(), effect.id.clone());
    // What cannot be removed now is removed when the node starts again.
    if let Err(error) = blocking(move || folders.discard(&agent, &id)).await? {
        tracing::warn!(action.id = effect.id.as_str(), %error, "staged bytes could not be removed");
    }
    Ok(())
}

/// Runs something that waits for the disk on a thread for such.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::broken)
}
