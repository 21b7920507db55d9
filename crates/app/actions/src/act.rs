//! Asking for an action, and having it done.
//!
//! [`act()`] is for whoever asks from outside; [`perform`] is the same with the tools of a run, and tells what they gave.
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

use crate::{
    rows::{EffectRow, Status},
    tools::{self, Product, Tool, Tools},
};

/// What is asked for, as it was written.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// What is to be done.
    pub action: String,
    /// The kind of thing that it is to be done to; by the action's noun if not said.
    pub kind: Option<ResourceKind>,
    /// To what.
    pub resource: String,
    /// What is to be written; of a shell, what it is to run.
    pub content: Option<Vec<u8>>,
    /// The program and its arguments, of an action that runs one.
    pub argv: Option<Vec<String>>,
    /// How sure the agent says it is, in basis points.
    pub confidence_bp: Option<u16>,
}

impl Asked {
    /// Reads it as an action of the node's namespace.
    fn parse(&self, context: &Context) -> Result<Action, ActionError> {
        let name = ActionName::parse(&self.action)?;
        let kind = self.kind.unwrap_or_else(|| kind_of(&name));
        let action = Action::new(context.namespace.clone(), name, Resource::new(kind, self.resource.as_str())?);
        Ok(match (tools::argv(self), &self.content) {
            (Some(argv), _) => action.with_arguments(tools::digest(&argv)),
            (None, Some(bytes)) => action.with_arguments(Digest::of(bytes)),
            (None, None) => action,
        })
    }

    /// The action, as a policy and a packet see it.
    ///
    /// # Errors
    /// It is malformed.
    pub fn action(&self, context: &Context) -> Result<Action, ActionError> {
        self.parse(context)
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
        "run" => ResourceKind::Agent,
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
pub async fn act(context: &Context, caller: Caller, asked: Asked) -> Result<ActionId, Error> {
    Ok(perform(context, caller, asked, None).await?.id)
}

/// An action that was allowed, and done or tried.
#[derive(Debug)]
pub struct Done {
    /// The action's id.
    pub id: ActionId,
    /// How it ended, if it is an effect: reading is none.
    pub effect: Option<EffectRow>,
    /// What it gave.
    pub product: Option<Product>,
}

/// The same with the tools of a run: running programs and fetching are done within runs only.
///
/// # Errors
/// The refusal, which is on record; or the node cannot record, and then nothing was done. That a tool failed is no error here:
/// it stands in the effect.
pub async fn perform(
    context: &Context,
    mut caller: Caller,
    asked: Asked,
    tools: Option<&Tools>,
) -> Result<Done, Error> {
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
    let tool = Tool::of(action.name().as_str(), tools.is_some());
    if tool == Some(Tool::Write) {
        context.has_room()?;
    }
    let content = match (&asked.content, tool) {
        (None, Some(Tool::Write)) => {
            return Err(Error::invalid("`content` is missing: say what is to be written"));
        }
        (content, _) => content.clone().unwrap_or_default(),
    };
    let owner = tools::owner(context, tools, &action, &agent);
    let question = context.question(&caller, action.clone(), Some(owner));
    let id = question.id.clone();
    let granted = decided(context, &caller, question, &asked).await?;
    let Some(tool) = tool else {
        return no_tool(context, &caller, granted, &action, &asked).await;
    };
    if tool == Tool::Read {
        return tools::read(context, &caller, granted, agent, action, asked.confidence_bp).await;
    }
    let _working = context.under_way.begin(id.clone());
    let (warrant, effect) = intend(context, &caller, granted, &agent, &action, &asked, tool).await?;
    caller.spent(effect.entry_seq);
    let (effect, product) = match (tool, tools) {
        (Tool::Write, _) | (_, None) => {
            (write(context, &caller, &agent, action, content, warrant, effect).await?, None)
        }
        (Tool::Run, Some(tools)) => tools::run(context, tools, warrant, action, &asked, effect).await?,
        (_, Some(tools)) => tools::fetch(context, tools, warrant, action, effect).await?,
    };
    let status = effect.status.as_str();
    tracing::info!(action.id = id.as_str(), agent.name = %agent, status, "an action was settled");
    Ok(Done { id, effect: Some(effect), product })
}

/// Records that something was permitted which nothing here does.
async fn no_tool(
    context: &Context,
    caller: &Caller,
    granted: Granted,
    action: &Action,
    asked: &Asked,
) -> Result<Done, Error> {
    let (id, name) = (granted.id(), action.name());
    let message = if Tool::of(name.as_str(), true).is_some() {
        format!("`{name}` is permitted, but only done within a run; `steward run start` begins one")
    } else {
        format!(
            "`{name}` is permitted, but this node has no tool that does it; it has fs.read and fs.write, and in runs exec, shell \
             and http.get"
        )
    };
    let change = context
        .change(caller, granted, kind::ACTION_DECIDED, id.as_str())
        .confidence_bp(asked.confidence_bp)
        .outcome(failed(code::NO_TOOL, &message));
    context.commit(change).await?;
    Err(Error::new(Kind::Refused, code::NO_TOOL, message).of_action(id))
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
    tool: Tool,
) -> Result<(Warrant, EffectRow), Error> {
    let effect = EffectRow {
        run: caller.run.as_ref().map(|run| run.id.clone()),
        trace: caller.trace.clone(),
        namespace: context.namespace.clone(),
        id: granted.id(),
        agent: agent.clone(),
        action: action.name().to_string(),
        resource: action.resource().id().to_owned(),
        arguments: action.arguments().copied().unwrap_or_else(|| Digest::of(b"")),
        status: tool.first_status(),
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

pub(crate) async fn settle(
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
    let node = Caller { trace: effect.trace.clone(), ..Caller::node(&context.namespace) };
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
