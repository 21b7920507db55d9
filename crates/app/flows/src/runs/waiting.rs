//! A run that waits for a person: for one action, for its plan, for a criterion, or because its packet says that somebody must look
//! (GOV-1, GOV-2).
//!
//! The agent's call waits with it, so that agents need not know of reviews: a caller who does not want to wait is given a ticket. While
//! it waits it counts as alive. A review that a run waits for ends with it, in the same commit.
//!
//! Deliberately absent: deciding (`app/reviews`), and opening one because policy wants it (`app/node`).

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;
use steward_app_node::{
    Caller, Case, Context, Error, Kind, ReviewRow, code,
    rows::{open_reviews_of_run, review_of},
    void,
};
use steward_app_runs::{Joined, RunRow};
use steward_governor::Command;
use steward_naming::{ActionId, ReviewId, RunId};
use steward_permit::{ResourceKind, ReviewKind, RunUse};
use steward_review::{Asked, Status, Step};
use steward_seal::{Digest, json::canonical};
use steward_store::Reader;

use super::{
    call::HEARTBEAT_MS,
    runner::{Live, Runner},
};

/// How often a run that waits says that it is alive, and looks whether its review's time is over, in seconds.
const LOOK_EVERY_S: u64 = 20;

/// Everybody who stands behind a run: its agent and who started it, and the same of the runs above it.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn chain(reader: &Reader<'_>, run: &RunRow) -> Result<Vec<String>, Error> {
    let (mut chain, mut above) = (Vec::new(), Some(run.clone()));
    while let Some(run) = above {
        chain.push(run.state.agent.to_string());
        chain.push(run.started_by.clone());
        above = match &run.state.parent {
            Some(parent) => steward_app_runs::run(reader, &run.namespace, parent)?,
            None => None,
        };
    }
    Ok(chain)
}

/// The node as who asks in a run's name.
fn asker(context: &Context, run: &RunRow) -> Result<Caller, Error> {
    let chain = context.store.read(|reader| chain(reader, run))?;
    let used = RunUse {
        id: run.id().clone(),
        task: run.state.task.clone(),
        phase: run.state.phase.as_str(),
        fence: run.fence,
    };
    Ok(Caller { run: Some(used), trace: Some(run.trace.clone()), chain, ..Caller::node(&context.namespace) })
}

/// What a person said, as a refusal for whoever waited; none if they approved.
pub(crate) fn refusal(row: &ReviewRow) -> Option<Error> {
    let code = match row.review.status {
        Status::Approved | Status::Used => return None,
        Status::Rejected => code::REVIEW_REFUSED,
        // Nobody answered, or nothing waits: that is not the agent's doing.
        Status::Pending | Status::Expired | Status::Voided => code::NEEDS_REVIEW,
    };
    Some(Error::new(Kind::Refused, code, row.review.answer()).of_review(row.review.id.clone()))
}

/// That somebody waits for a person, for as long as they do: whoever hangs up does not.
struct Waits<'a>(&'a Live);

impl<'a> Waits<'a> {
    fn begin(live: &'a Live) -> Self {
        live.waiting.fetch_add(1, Ordering::Relaxed);
        Self(live)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until a review was decided or ended.
///
/// # Errors
/// The run ended before that.
pub(crate) async fn decided(runner: &Runner, id: &RunId, live: &Live, review: &ReviewId) -> Result<ReviewRow, Error> {
    let context = &runner.context;
    let mut told = context.reviewed();
    let _waits = Waits::begin(live);
    loop {
        told.borrow_and_update();
        let row = match steward_app_reviews::find(context, review) {
            Ok(row) => row,
            Err(error) => break Err(error),
        };
        if row.review.status != Status::Pending {
            break Ok(row);
        }
        if context.now() >= row.review.expires_at {
            if let Err(error) = context.end_review(&row, Step::Expire).await {
                break Err(error);
            }
            continue;
        }
        runner.soft.beat(id.as_str(), context.now(), HEARTBEAT_MS);
        tokio::select! {
            biased;
            () = live.over() => {
                let message = "the run ended before a person decided";
                break Err(Error::new(Kind::Refused, code::RUN_OVER, message));
            }
            _ = told.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(LOOK_EVERY_S)) => {}
        }
    }
}

/// Waits for a person, because what was asked for is not done before they decided: in a review, or because the run is held. Then it
/// can be asked again.
///
/// # Errors
/// They said no, nobody decided in time, or the run ended.
pub(crate) async fn until_decided(
    runner: &Runner,
    id: &RunId,
    live: &Live,
    review: Option<&ReviewId>,
) -> Result<(), Error> {
    match review {
        None => while_held(runner, id, live).await,
        Some(review) => refusal(&decided(runner, id, live, review).await?).map_or(Ok(()), Err),
    }
}

/// The review of a run about exactly this: the one that is there, or a new one.
async fn ask(runner: &Runner, run: &RunRow, asked: Asked, case: Case) -> Result<ReviewRow, Error> {
    let context = &runner.context;
    let _turn = runner.opening.lock().await;
    let caller = asker(context, run)?;
    let name = caller.actor.full_name();
    let found = context.store.read(|reader| review_of(reader, &name, &asked.digest))?;
    match found {
        Some(found) if found.review.run.as_ref() == Some(run.id()) => Ok(found),
        _ => context.open_for(&caller, case, asked).await,
    }
}

/// An approval as it is written with what it allowed.
fn used(context: &Context, row: &ReviewRow) -> Result<Joined, Error> {
    let action = ActionId::new(context.now(), context.dice.as_ref());
    let step = Step::Use { digest: row.review.asked.digest, policy: row.review.policy, action };
    let after = row
        .review
        .step(step, context.now())
        .map_err(|e| Error::new(Kind::Refused, code::REVIEW_OVER, e.to_string()))?;
    let after = ReviewRow { review: after, ..row.clone() };
    Ok(Joined {
        detail: vec![("review", row.review.id.as_str().into()), ("approved_by", row.approved_by().into())],
        rows: vec![(after.row(), row.guard())],
        ..Joined::default()
    })
}

/// A question that the packet puts to a reviewer. It is bound to what the run left: another result is another question. Tells why it
/// does not hold.
///
/// # Errors
/// The run ended before that, or it cannot be recorded.
pub(crate) async fn criterion(
    runner: &Runner,
    run: &RunRow,
    live: &Live,
    question: &str,
) -> Result<Option<String>, Error> {
    let context = &runner.context;
    let effects = context.store.read(|reader| steward_app_actions::rows::effects_of_run(reader, run.id()))?;
    let artifacts = super::follow::artifacts(&effects);
    let document = canonical(&json!({
        "run": run.id(), "task": run.state.task.as_str(), "question": question, "artifacts": artifacts,
        "deliverables": run.state.packet.deliverables,
    }))
    .map_err(Error::broken)?;
    let action = context
        .action("run.accept", ResourceKind::Agent, run.state.agent.to_string())?
        .with_arguments(Digest::of(&document));
    let case = Case {
        kind: Some(ReviewKind::Criterion),
        why: format!("the packet asks: {question}"),
        document: Some(document),
        agent: Some(run.state.agent.to_string()),
        tier: Some(run.state.tier),
        ..Case::default()
    };
    let opened = ask(runner, run, Asked::from(&action), case).await?;
    let row = decided(runner, run.id(), live, &opened.review.id).await?;
    Ok(refusal(&row).map(|error| error.message))
}

/// The question whether a run that is held goes on: as it was put, or put now.
///
/// # Errors
/// It cannot be recorded.
pub(crate) async fn ask_to_look(runner: &Runner, run: &RunRow) -> Result<Option<ReviewRow>, Error> {
    let context = &runner.context;
    let Some(why) = run.state.held.clone().filter(|_| run.is_live()) else { return Ok(None) };
    let document = canonical(&json!({
        "run": run.id(), "why": why, "phase": run.state.phase.as_str(), "errors": run.state.spent,
        "escalated": run.state.escalated,
    }))
    .map_err(Error::broken)?;
    // A rule is followed once in a run, so that each hold is a question of its own.
    let about = Digest::of(&canonical(&json!({"run": run.id(), "why": why})).map_err(Error::broken)?);
    let action = context.action("run.go_on", ResourceKind::Agent, run.state.agent.to_string())?.with_arguments(about);
    let case = Case {
        kind: Some(ReviewKind::Escalation),
        why,
        document: Some(document),
        agent: Some(run.state.agent.to_string()),
        tier: Some(run.state.tier),
        ..Case::default()
    };
    ask(runner, run, Asked::from(&action), case).await.map(Some)
}

/// Does what a person said of a run that is held, or what follows from that nobody did: it goes on, or stops.
///
/// # Errors
/// It cannot be recorded.
pub(crate) async fn looked(runner: &Runner, id: &RunId, row: &ReviewRow) -> Result<(), Error> {
    let (goes_on, message) = (refusal(row).is_none(), row.review.answer());
    let joined = if row.review.status == Status::Approved { used(&runner.context, row)? } else { Joined::default() };
    let command = Command::Looked { goes_on, message };
    let stepped = runner.step_with(id, command, None, || joined.clone()).await;
    match stepped {
        Ok(_) => Ok(()),
        // Another was first.
        Err(error) if error.code == code::RUN_OVER || error.kind == Kind::Stale => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits for as long as the run is held: its packet says that a person must look before it goes on.
///
/// # Errors
/// The run ended: the person said so, nobody looked in time, or for another reason.
pub(crate) async fn while_held(runner: &Runner, id: &RunId, live: &Live) -> Result<(), Error> {
    loop {
        let run = steward_app_runs::find(&runner.context, id)?;
        let Some(opened) = ask_to_look(runner, &run).await? else { break };
        let row = decided(runner, id, live, &opened.review.id).await?;
        let _turn = live.asking.lock().await;
        let now = steward_app_runs::find(&runner.context, id)?;
        if now.is_live() && now.state.held == run.state.held {
            looked(runner, id, &row).await?;
        }
    }
    // One that ended meanwhile says so itself.
    Ok(())
}

/// What was said of runs that are held and whose agents do not ask; one round of the background.
///
/// # Errors
/// The store cannot be read or written.
pub(crate) async fn tend_held(runner: &Runner, runs: &[RunRow]) -> Result<(), Error> {
    for run in runs.iter().filter(|run| run.state.held.is_some()) {
        let Some(row) = ask_to_look(runner, run).await? else { continue };
        if row.review.status == Status::Pending {
            continue;
        }
        let live = runner.live(run.id());
        let _turn = match &live {
            Some(live) => Some(live.asking.lock().await),
            None => None,
        };
        let now = steward_app_runs::find(&runner.context, run.id())?;
        if now.is_live() && now.state.held == run.state.held {
            looked(runner, run.id(), &row).await?;
        }
    }
    Ok(())
}

/// The approvals of a run's criteria, as they are written with its verification.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn criteria_used(context: &Context, id: &RunId) -> Result<Joined, Error> {
    let mut joined = Joined::default();
    for row in context.store.read(|reader| open_reviews_of_run(reader, id))? {
        if row.review.kind == ReviewKind::Criterion && row.review.status == Status::Approved {
            joined.rows.extend(used(context, &row)?.rows);
        }
    }
    Ok(joined)
}

/// What a run that ends does to the reviews that it waited for: nothing is approved for it any more.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn void_all(context: &Context, run: &RunRow, joined: &mut Joined) -> Result<(), Error> {
    let Some(ended) = &run.state.ended else { return Ok(()) };
    let why = format!("the run ended ({}, {})", ended.ending, ended.code);
    for row in context.store.read(|reader| open_reviews_of_run(reader, run.id()))? {
        // What is used with the same step is not voided by it.
        if joined.rows.iter().all(|(_, guard)| *guard != row.guard()) {
            joined.rows.extend(void(&row, &why, context.now()));
        }
    }
    Ok(())
}
