//! Beginning a run, and each of its steps, in one commit.
//!
//! What a step writes: the run; the lock and the credential, renewed or released as its effects say; and what the effects ask of
//! other nouns, which the caller joins. The guards are all rows that the step was made from, so that of two drivers of one run, or
//! of a run and a person who revokes its agent, one wins and the other is stale.

use serde_json::{Value, json};
use steward_app_node::{Caller, Context, Error, Granted, Kind, code};
use steward_governor::{Begin, Command, Effect, Ending, MAX_MESSAGE_CHARS, Packet, Recorded, Refusal, Run};
use steward_ledger::{BodyOutcome, kind};
use steward_naming::{CredentialId, HandoffId, Name, RunId, TraceId};
use steward_permit::{ResourceKind, Tier};
use steward_seal::Digest;
use steward_store::{Guard, Row};

use crate::{
    lifetime::lifetime_ms,
    rows::{self, CredentialRow, LockRow, RunRow},
};

/// How often a step that was stale is tried again: with each try it is made anew from what is there then.
const ATTEMPTS: u32 = 5;

/// Codes of endings and failed effects that are the node's own, or nobody's: they count neither for nor against the agent, and cost
/// it nothing.
pub const NOT_THE_AGENTS: &[&str] = &[
    code::INTERRUPTED,
    code::LOCK_LOST,
    code::STORE_FULL,
    code::STORE_CLOSED,
    code::INTERNAL,
    code::BUSY,
    "HALTED",
    "BROKEN",
    "NO_SPACE",
    "SANDBOX_FAILED",
    "SANDBOX_UNAVAILABLE",
    // Of a server of tools that is gone, or wants what this node does not do.
    code::TOOL_SERVER_UNAVAILABLE,
    "TOOL_PROTOCOL",
    "WORKER_FULL",
    code::NEEDS_REVIEW,
    code::CANNOT_ACQUIRE_LOCK,
    code::AGENT_PREVIOUSLY_REVOKED,
    code::TOO_MANY_RUNS,
    code::PREFLIGHT_FAILED,
];

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The agent's instructions.
    pub packet: Packet,
    /// The agent's tier.
    pub tier: Tier,
    /// The version of its manifest.
    pub agent_version: String,
    /// What a revoked predecessor left, and the digest of the document.
    pub handoff: Option<(HandoffId, Digest)>,
    /// The run that it is to be a child of.
    pub parent: Option<RunRow>,
}

/// A step that is on record.
#[derive(Debug)]
pub struct Stepped {
    /// The run after it.
    pub run: RunRow,
    /// What is to be done now.
    pub effects: Vec<Effect>,
}

/// What a step writes beside the run, for other nouns, and what it says.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// Rows, with what must still hold of them.
    pub rows: Vec<(Row, Guard)>,
    /// What must still hold beside.
    pub holds: Vec<Guard>,
    /// Documents.
    pub blobs: Vec<Vec<u8>>,
    /// What the entry says beside.
    pub detail: Vec<(&'static str, Value)>,
    /// The digest of the evidence package.
    pub package: Option<Digest>,
    /// The digest of the report.
    pub report: Option<Digest>,
    /// How the agent is kept in.
    pub sandbox: Option<String>,
}

/// Begins a run: it is on record, in BOOTSTRAP, by the person's leave, and under the guard that the node is not halted.
///
/// # Errors
/// A child wants more than its parent has; or it cannot be recorded.
pub async fn begin(
    context: &Context,
    caller: &Caller,
    granted: Granted,
    new: NewRun,
    halt: Guard,
) -> Result<RunRow, Error> {
    let now = context.now();
    let NewRun { packet, tier, agent_version, handoff, parent } = new;
    let (id, trace) = (RunId::new(now, context.dice.as_ref()), TraceId::new(now, context.dice.as_ref()));
    let above = parent.as_ref().map(|parent| &parent.state);
    let left = handoff.as_ref().map(|(id, _)| id.clone());
    let agent = packet.agent.clone();
    let begun = Run::begin(Begin { id: id.clone(), packet, tier, handoff: left, parent: above, now });
    let state = match begun.map_err(refused) {
        Ok(state) => state,
        Err(error) => {
            refuse_to_begin(context, caller, granted, &agent, &error).await?;
            return Err(error);
        }
    };
    let bytes = state.packet.canonical();
    let row = RunRow {
        namespace: context.namespace.clone(),
        agent_version,
        compliant: None,
        package: None,
        report: None,
        trace,
        started_by: caller.actor.full_name(),
        fence: 0,
        credential: None,
        sandbox: None,
        entry_seq: 0,
        state,
    };
    let mut change = context
        .change(caller, granted, kind::RUN_STARTED, id.as_str())
        .guard(halt)
        .guard(Guard::absent("run", RunRow::key(&row.namespace, &id)))
        .row(row.row())
        .blob(bytes)
        .detail("task", row.state.task.as_str())
        .detail("agent", row.state.agent.to_string())
        .detail("packet", row.state.packet.digest().to_string())
        .detail("agent_version", row.agent_version.as_str())
        .detail("tier", row.state.tier.as_str())
        .detail("at", now.to_string())
        .trace(Some(row.trace.clone()));
    if let Some((id, digest)) = handoff {
        change = change.detail("handoff", json!({"id": id.as_str(), "digest": digest.to_string()}));
    }
    if let Some(request) = &caller.trace {
        change = change.detail("request", request.as_str());
    }
    if let Some(parent) = parent {
        let stepped = parent.state.step(Command::ChildStarted(id.clone()), now).map_err(refused)?;
        change = change
            .detail("parent", parent.id().as_str())
            .guard(parent.guard())
            .row(RunRow { state: stepped.run, ..parent }.row());
    }
    let done = context.commit(change).await?;
    Ok(RunRow { entry_seq: done.recorded.seq, ..row })
}

/// Records that a run was asked for by somebody who may, and did not come to be.
///
/// # Errors
/// It cannot be recorded.
pub async fn refuse_to_begin(
    context: &Context,
    caller: &Caller,
    granted: Granted,
    agent: &Name,
    error: &Error,
) -> Result<(), Error> {
    let outcome = BodyOutcome {
        success: false,
        error_type: Some(error.code.to_owned()),
        error_message: Some(error.message.clone()),
    };
    let change = context.change(caller, granted, kind::RUN_REFUSED, agent.to_string()).outcome(outcome);
    context.commit(change).await?;
    Ok(())
}

/// A refusal of the machine, told to whoever asked.
fn refused(refusal: Refusal) -> Error {
    let kind = match refusal {
        Refusal::Over { .. } => Kind::Taken,
        _ => Kind::Refused,
    };
    Error::new(kind, refusal.code(), refusal.to_string())
}

/// One step of a run, by the node's own leave, or by `by`. It is made from what is there now; `join` says what else is to be
/// written with it, given the run as it will be and the step's effects.
///
/// A run that lost its lock takes no step but its end: any other command ends it so.
///
/// # Errors
/// The machine refuses; or it cannot be recorded. With `by`, also that it was stale: who gave the leave must be asked again.
pub async fn step(
    context: &Context,
    id: &RunId,
    command: Command,
    mut by: Option<(Caller, Granted)>,
    join: impl Fn(&RunRow, &[Effect]) -> Result<Joined, Error>,
) -> Result<Stepped, Error> {
    for attempt in 1_u32.. {
        let theirs = by.is_some();
        match Box::pin(attempt_step(context, id, &command, by.take(), &join)).await {
            Err(error) if error.kind == Kind::Stale && !theirs && attempt < ATTEMPTS => {}
            outcome => return outcome,
        }
    }
    Err(Error::broken("attempts are counted"))
}

struct Held {
    run: RunRow,
    lock: LockRow,
    credential: Option<CredentialRow>,
}

fn load(context: &Context, id: &RunId) -> Result<Held, Error> {
    context.store.read(|reader| {
        let run = rows::run(reader, &context.namespace, id)?;
        let run = run.ok_or_else(|| Error::not_found(format!("run `{id}`; `steward run list` shows them")))?;
        let lock = rows::lock(reader, &run.state.agent)?;
        let credential = match &run.credential {
            None => None,
            Some(id) => rows::credential(reader, &context.namespace, id)?,
        };
        Ok(Held { run, lock, credential })
    })
}

async fn attempt_step(
    context: &Context,
    id: &RunId,
    command: &Command,
    by: Option<(Caller, Granted)>,
    join: &impl Fn(&RunRow, &[Effect]) -> Result<Joined, Error>,
) -> Result<Stepped, Error> {
    let Held { run: before, lock, credential } = load(context, id)?;
    let now = context.now();
    let holds = lock.is_held_by(id, before.fence);
    let ends = matches!(
        command,
        Command::Fail { .. } | Command::Refuse { .. } | Command::Stop { .. } | Command::Revoke { .. }
    );
    let lost = before.is_live() && before.fence > 0 && !holds && !ends;
    let command = if lost {
        let message =
            format!("another run took the lock of `{}`; whoever lost it does nothing more", before.state.agent);
        Command::Fail { code: code::LOCK_LOST.to_owned(), message }
    } else {
        command.clone()
    };
    // What stands on record is what the machine is told.
    let command = command.plain();
    if command == Command::Booted && lock.is_held(now) {
        return Err(busy(&lock));
    }
    let stepped = before.state.step(command.clone(), now).map_err(refused)?;
    let effects = stepped.effects;
    let until = now.plus_ms(lifetime_ms(before.state.tier));
    let mut after = RunRow { state: stepped.run, ..before.clone() };
    let mut written: Vec<(Row, Guard)> = Vec::new();
    if command == Command::Booted {
        let lock_after =
            LockRow { fence: lock.fence + 1, run: Some(id.clone()), expires_at: Some(until), ..lock.clone() };
        let credential = CredentialRow {
            namespace: context.namespace.clone(),
            id: CredentialId::new(now, context.dice.as_ref()),
            run: id.clone(),
            agent: before.state.agent.clone(),
            issued_at: now,
            expires_at: until,
            revoked_at: None,
            entry_seq: 0,
        };
        (after.fence, after.credential) = (lock_after.fence, Some(credential.id.clone()));
        written.push((lock_after.row(), lock.guard()));
        written.push((credential.row(), credential.absent()));
    } else {
        if holds {
            written.extend(lock_after(&effects, &lock, until).map(|after| (after.row(), lock.guard())));
        }
        if let Some(credential) = credential.filter(|c| c.revoked_at.is_none()) {
            let next = credential_after(&effects, &credential, until, now);
            // Whatever was decided before the run came to be held has this row as its guard, and is decided again.
            let is_held = before.state.held.is_none() && after.state.held.is_some();
            let next = next.or_else(|| is_held.then(|| credential.clone()));
            written.extend(next.map(|c| (c.row(), credential.guard())));
        }
    }
    let joined = join(&after, &effects)?;
    if !lost {
        after.package = joined.package.or(after.package);
        after.report = joined.report.or(after.report);
    }
    after.sandbox = joined.sandbox.clone().or(after.sandbox);
    if let Some(ended) = &after.state.ended {
        let is_the_agents = !NOT_THE_AGENTS.contains(&ended.code.as_str());
        after.compliant = rows::compliance(ended.ending, is_the_agents);
    }
    let told = serde_json::to_value(Recorded::of(&command, &before.state)).map_err(Error::broken)?;
    let mut joined = joined;
    joined.detail.extend([("command", told), ("at", now.to_string().into())]);
    let seq = record(context, &before, &after, &command, &effects, by, written, joined).await?;
    Ok(Stepped { run: RunRow { entry_seq: seq, ..after }, effects })
}

/// Renews a run's lock and credential, if it holds them and more than half of their time is over: its agent is alive. A transition
/// does the same by itself.
///
/// # Errors
/// It cannot be recorded.
pub async fn renew(context: &Context, id: &RunId) -> Result<(), Error> {
    let Held { run, lock, credential } = load(context, id)?;
    let (now, lifetime) = (context.now(), lifetime_ms(run.state.tier));
    let until = now.plus_ms(lifetime);
    let is_half_over = lock.expires_at.is_some_and(|ends| now < ends && ends < now.plus_ms(lifetime / 2));
    let (Some(credential), true) = (credential.filter(|c| c.is_good(now)), is_half_over) else { return Ok(()) };
    if !run.is_live() || !lock.is_held_by(id, run.fence) {
        return Ok(());
    }
    let node = Caller { trace: Some(run.trace.clone()), ..Caller::node(&context.namespace) };
    let action = context.action("run.step", ResourceKind::Agent, run.state.agent.to_string())?;
    let granted = context.permit(&node, action, None).await?;
    let renewed = LockRow { expires_at: Some(until), ..lock.clone() };
    let good = CredentialRow { expires_at: until, ..credential.clone() };
    let change = context
        .change(&node, granted, kind::RUN_RENEWED, id.as_str())
        .guard(run.guard())
        .guard(lock.guard())
        .guard(credential.guard())
        .row(renewed.row())
        .row(good.row())
        .detail("until", until.to_string());
    match context.commit(change).await {
        // It took a step meanwhile, which renewed it.
        Err(error) if error.kind == Kind::Stale => Ok(()),
        other => other.map(|_| ()),
    }
}

fn lock_after(effects: &[Effect], lock: &LockRow, until: steward_clock::Timestamp) -> Option<LockRow> {
    if effects.contains(&Effect::ReleaseLock) {
        return Some(LockRow { run: None, expires_at: None, ..lock.clone() });
    }
    effects.contains(&Effect::RenewLease).then(|| LockRow { expires_at: Some(until), ..lock.clone() })
}

fn credential_after(
    effects: &[Effect],
    credential: &CredentialRow,
    until: steward_clock::Timestamp,
    now: steward_clock::Timestamp,
) -> Option<CredentialRow> {
    if effects.contains(&Effect::RevokeCredential) {
        return Some(CredentialRow { revoked_at: Some(now), ..credential.clone() });
    }
    effects.contains(&Effect::RenewLease).then(|| CredentialRow { expires_at: until, ..credential.clone() })
}

fn busy(lock: &LockRow) -> Error {
    let holder = lock.run.as_ref().map(ToString::to_string).unwrap_or_default();
    let message =
        format!("`{}` has a run already, {holder}; wait for it, or stop it with `steward run stop`", lock.agent);
    Error::new(Kind::Taken, code::CANNOT_ACQUIRE_LOCK, message)
}

#[expect(clippy::too_many_arguments, reason = "all that one entry is made of")]
async fn record(
    context: &Context,
    before: &RunRow,
    after: &RunRow,
    command: &Command,
    effects: &[Effect],
    by: Option<(Caller, Granted)>,
    written: Vec<(Row, Guard)>,
    joined: Joined,
) -> Result<u64, Error> {
    let (caller, granted) = match by {
        Some(by) => by,
        None => {
            let node = Caller::node(&context.namespace);
            let action = context.action("run.step", ResourceKind::Agent, after.state.agent.to_string())?;
            // A policy that does not let the node step is broken; it is nobody's fault who asked.
            let granted = context.permit(&node, action, None).await;
            (node, granted.map_err(|e| if e.kind == Kind::Refused { Error::broken(e) } else { e })?)
        }
    };
    let caller = Caller { run: None, ..caller };
    let mut change = context
        .change(&caller, granted, kind_of(before, after, command), after.id().as_str())
        .trace(Some(after.trace.clone()))
        .guard(before.guard())
        .row(after.row());
    // Taking leave away, and counting what does, must work in a store that is full (SEC-5).
    let takes = matches!(
        command,
        Command::Error { .. } | Command::Denied { .. } | Command::Violation { .. } | Command::ChildEnded(_)
    );
    if after.state.ended.is_some() || takes {
        change = change.urgent();
    }
    for (row, guard) in written.into_iter().chain(joined.rows) {
        change = change.guard(guard).row(row);
    }
    change = change.guards(joined.holds);
    for blob in joined.blobs {
        change = change.blob(blob);
    }
    for (name, value) in details(before, after, command, effects).into_iter().chain(joined.detail) {
        change = change.detail(name, value);
    }
    if let Some(ended) = &after.state.ended {
        let success = ended.ending == Ending::Completed;
        change = change.outcome(BodyOutcome {
            success,
            error_type: (!success).then(|| ended.code.clone()),
            error_message: (!success).then(|| ended.message.clone()),
        });
    }
    Ok(context.commit(change).await?.recorded.seq)
}

fn kind_of(before: &RunRow, after: &RunRow, command: &Command) -> &'static str {
    match command {
        _ if after.state.ended.is_some() => kind::RUN_ENDED,
        _ if before.state.phase != after.state.phase => kind::RUN_PHASE,
        Command::Submit { .. } => kind::RUN_PLANNED,
        Command::Looked { .. } => kind::RUN_LOOKED,
        Command::ChildStarted(_) | Command::ChildEnded(_) => kind::RUN_CHILD,
        _ => kind::RUN_ERROR,
    }
}

/// The longest type of an error that stands in an entry, in characters.
const MAX_KIND_CHARS: usize = 64;

/// A text as it stands in an entry: on one line, and not too long. It may come from an agent.
fn clip(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}

fn details(before: &RunRow, after: &RunRow, command: &Command, effects: &[Effect]) -> Vec<(&'static str, Value)> {
    let mut said: Vec<(&'static str, Value)> = Vec::new();
    let mut say = |name, value: Value| said.push((name, value));
    let (was, is) = (&before.state, &after.state);
    if was.phase != is.phase {
        say("from", was.phase.as_str().into());
        say("to", is.phase.as_str().into());
    }
    match command {
        Command::Submit { plan, acknowledges } => {
            say("plan", plan.digest().to_string().into());
            if let Some(handoff) = acknowledges {
                say("acknowledges", handoff.as_str().into());
            }
        }
        Command::Error { kind, message } | Command::Denied { code: kind, message } => {
            say("error", json!({"type": clip(kind, MAX_KIND_CHARS), "message": clip(message, MAX_MESSAGE_CHARS)}));
        }
        Command::Violation { details } => say("error", json!({"type": "PROCEDURE_VIOLATION", "message": details})),
        Command::Forbidden { details } => say("error", json!({"type": "FORBIDDEN_ACTION", "message": details})),
        Command::UnknownOutcome { action } => {
            say("error", json!({"type": code::OUTCOME_UNKNOWN, "message": action.as_str()}));
        }
        Command::Looked { goes_on, message } => {
            say("goes_on", (*goes_on).into());
            say("said", message.as_str().into());
        }
        Command::ChildStarted(child) => say("began", child.as_str().into()),
        Command::ChildEnded(child) => say("ended", child.as_str().into()),
        _ => {}
    }
    if was.spent != is.spent {
        say("errors", json!({"total": is.spent.total, "of": is.packet.error_budget.max_total_errors}));
    }
    if was.held != is.held
        && let Some(why) = &is.held
    {
        say("held", why.as_str().into());
    }
    if let Some(ended) = &is.ended {
        say("ending", ended.ending.as_str().into());
        say("code", ended.code.as_str().into());
        say("message", ended.message.as_str().into());
        say("phase", ended.phase.as_str().into());
    }
    let escalated = effects.iter().filter_map(|effect| match effect {
        Effect::Escalate { when, then } => Some(json!({"when": when.as_str(), "then": then.as_str()})),
        _ => None,
    });
    let escalated: Vec<Value> = escalated.collect();
    if !escalated.is_empty() {
        say("escalated", escalated.into());
    }
    if after.fence != before.fence {
        say("fence", after.fence.to_string().into());
        say("credential", after.credential.as_ref().map(ToString::to_string).into());
    }
    said
}
