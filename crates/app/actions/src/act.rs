//! Asking for an action, and having it done.
//!
//! [`act()`] is for whoever asks from outside; [`perform`] is the same with the tools of a run, and tells what they gave.
//!
//! If the process dies on any line, [`crate::settle_interrupted`] finishes, and if it lives and cannot record how an effect
//! ended, [`crate::settle_left_behind`] does; nothing is dispatched a second time.

use steward_app_node::{Caller, Case, Context, Error, Granted, Kind, Noted, code};
use steward_ledger::kind;
use steward_naming::{ActionId, Name};
use steward_permit::{Action, Actor, Denial, Matched, Ruling, Warrant};
use steward_policy::Question;
use steward_seal::{Digest, json};
use steward_store::Recorded;
use steward_worker::GrantPath;

use crate::{
    asked::{Asked, argv},
    rows::{EffectRow, Status},
    settle::{blocking, discard, failed, settle, settled},
    tools::{self, Done, Tool, Tools},
};

/// Asks for one action as an agent; if it is allowed, has it done. Tells the action's id: what became of it is on record.
///
/// # Errors
/// The refusal, which is on record; or the node cannot record, and then nothing was done.
pub async fn act(context: &Context, caller: Caller, asked: Asked) -> Result<ActionId, Error> {
    Ok(perform(context, caller, asked, None).await?.id)
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
    if matches!(tool, Some(Tool::Write | Tool::Call)) {
        context.has_room()?;
    }
    let content = match (&asked.content, tool) {
        (None, Some(Tool::Write)) => {
            return Err(Error::invalid("`content` is missing: say what is to be written"));
        }
        (content, _) => content.clone().unwrap_or_default(),
    };
    let owner = tools::owner(context, tools, &action, &agent);
    caller.guards.extend(tools.and_then(|tools| Some(tools.of_server.as_ref()?.guard.clone())));
    let needs = tools.and_then(|tools| tools.of_server.as_ref()?.tier);
    let question = Question { needs, ..context.question(&caller, action.clone(), Some(owner)) };
    let id = question.id.clone();
    let case = case(context, &agent, &asked, tool);
    let granted = context
        .decide_case(&caller, question, &asked.refusal(), case)
        .await?
        .map_err(|(denial, noted)| noted.tell(Error::from(&denial)))?;
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
        (Tool::Call, Some(tools)) => tools::call(context, tools, warrant, action, effect).await?,
        (_, Some(tools)) => tools::fetch(context, tools, warrant, action, effect).await?,
    };
    let status = effect.status.as_str();
    tracing::info!(action.id = id.as_str(), agent.name = %agent, status, "an action was settled");
    Ok(Done { id, effect: Some(effect), product })
}

/// What a person is shown who must approve it: what would be written, run or sent; and of a file what it would replace.
async fn case(context: &Context, agent: &Name, asked: &Asked, tool: Option<Tool>) -> Result<Case, Error> {
    let document = match argv(asked) {
        Some(argv) => Some(json::canonical(&argv).map_err(Error::broken)?),
        None => asked.content.clone(),
    };
    let mut before = None;
    if let (Some(Tool::Write), Ok(path)) = (tool, GrantPath::parse(&asked.resource)) {
        let (folders, agent) = (std::sync::Arc::clone(&context.folders), agent.clone());
        before = blocking(move || folders.contents(&agent, &path)).await?.map_err(Error::broken)?;
    }
    Ok(Case { document, before, ..Case::default() })
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
