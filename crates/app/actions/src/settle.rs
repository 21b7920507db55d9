//! How an effect ends, on record.
//!
//! By the node's own permit, because it must be recorded whatever became of the caller. Deliberately absent: what ended it.

use std::sync::Arc;

use serde_json::Value;
use steward_app_node::{Caller, Context, Error, Kind};
use steward_ledger::{BodyOutcome, kind};
use steward_permit::ResourceKind;
use steward_seal::Digest;
use steward_store::{Guard, Row};
use steward_worker::EffectError;

use crate::rows::{EffectRow, Status};

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

/// What an end is recorded with, beside the effect.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Rows of other nouns, with what must still hold of them.
    pub rows: Vec<(Row, Guard)>,
    /// What the entry says beside.
    pub detail: Vec<(&'static str, Value)>,
}

/// The last commit: how it ended, by the node's own permit, because it must be recorded whatever became of the caller.
pub(crate) async fn settled(
    context: &Context,
    effect: EffectRow,
    status: Status,
    error: Option<(String, String)>,
    written: Option<(Digest, u64)>,
) -> Result<EffectRow, Error> {
    settle_beside(context, effect, status, error, written, &Beside::default()).await
}

/// The same, with what else ends with it.
///
/// # Errors
/// It cannot be recorded.
pub async fn settle_beside(
    context: &Context,
    effect: EffectRow,
    status: Status,
    error: Option<(String, String)>,
    written: Option<(Digest, u64)>,
    beside: &Beside,
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
        let change =
            beside.rows.iter().fold(change, |change, (row, guard)| change.guard(guard.clone()).row(row.clone()));
        let change = beside.detail.iter().fold(change, |change, (name, value)| change.detail(name, value.clone()));
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

/// An outcome that is a failure.
pub(crate) fn failed(code: &str, message: &str) -> BodyOutcome {
    BodyOutcome { success: false, error_type: Some(code.to_owned()), error_message: Some(message.to_owned()) }
}

/// Removes what was staged, after its failure is on record.
pub(crate) async fn discard(context: &Context, effect: &EffectRow) -> Result<(), Error> {
    let folders = Arc::clone(&context.folders);
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

/// How an outcome is told in an entry.
pub(crate) fn outcome(effect: &EffectRow) -> BodyOutcome {
    let (error_type, error_message) = effect.error.clone().unzip();
    BodyOutcome { success: effect.status == Status::Succeeded, error_type, error_message }
}
