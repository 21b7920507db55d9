//! Effects of which nobody knows what became of them, and a person's word about them.

use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_ledger::kind;
use steward_naming::{ActionId, RunId};
use steward_permit::ResourceKind;
use steward_store::{Guard, Row};

use crate::{
    rows::{self, EffectRow, Status},
    settle::outcome,
};

/// The most effects that one answer lists.
const MAX_LISTED: u32 = 1000;

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

/// Effects, newest first: all, those of a status, or those of a run.
///
/// # Errors
/// It is not allowed.
pub async fn effects(
    context: &Context,
    caller: &Caller,
    status: Option<Status>,
    run: Option<&RunId>,
) -> Result<Vec<EffectRow>, Error> {
    let action = context.action("action.read", ResourceKind::Ledger, context.namespace.as_str())?;
    context.allow(caller, action, None).await?;
    Ok(context.store.read(|reader| match run {
        None => rows::effects(reader, status, MAX_LISTED),
        Some(run) => Ok(rows::effects_of_run(reader, run)?
            .into_iter()
            .filter(|effect| status.is_none_or(|status| effect.status == status))
            .collect()),
    })?)
}

/// Says whether an effect happened, of which the node does not know it, and writes `more` with it. Nothing is done again.
///
/// # Errors
/// It is not allowed; there is no such effect; or it is known what became of it.
pub async fn resolve(
    context: &Context,
    caller: &Caller,
    id: &ActionId,
    happened: bool,
    reason: &str,
    more: Vec<(Row, Guard)>,
) -> Result<EffectRow, Error> {
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "`reason` says how you know, on one line of at most {MAX_REASON} characters"
        )));
    }
    let action = context.action("effect.resolve", ResourceKind::Node, context.namespace.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let found = context.store.read(|reader| rows::effect(reader, &context.namespace, id))?;
    let effect = found.ok_or_else(|| Error::not_found(format!("effect `{id}`")))?;
    if effect.status != Status::Unknown {
        let status = effect.status.as_str();
        let message =
            format!("what became of `{id}` is known: it {status}; only an effect that is unknown can be resolved");
        return Err(Error::new(Kind::Taken, code::INVALID_REQUEST, message));
    }
    let guard = effect.guard();
    let row = EffectRow {
        status: if happened { Status::Succeeded } else { Status::Failed },
        settled_at: Some(context.now()),
        ..effect
    };
    let mut change = context
        .change(caller, granted, kind::EFFECT_RESOLVED, id.as_str())
        .urgent()
        .guard(guard)
        .row(row.row())
        .outcome(outcome(&row))
        .detail("happened", happened)
        .detail("reason", reason);
    for (row, guard) in more {
        change = change.guard(guard).row(row);
    }
    let done = context.commit(change).await?;
    Ok(EffectRow { entry_seq: done.recorded.seq, ..row })
}
