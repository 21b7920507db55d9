//! Finishing what a node left behind that died, or that could not record how an effect ended.
//!
//! | on record | staged | at the path | so it |
//! |---|---|---|---|
//! | intended | maybe | | did not happen: `failed`, INTERRUPTED |
//! | publishing | yes | | did not happen: `failed`, INTERRUPTED |
//! | publishing | no | the permitted bytes | happened: `succeeded` |
//! | publishing | no | something else | may have happened: `unknown`, OUTCOME_UNKNOWN |
//!
//! Doing it twice changes nothing: a settled effect is not looked at again. Nothing is dispatched a second time.

use steward_app_node::{Context, Error, code};
use steward_naming::{ActionId, Name};
use steward_worker::GrantPath;

use crate::{
    rows::{self, EffectRow, Status},
    settle::{blocking, discard, settled},
};

/// What was settled, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Each effect and how it ended.
    pub effects: Vec<(ActionId, Status)>,
    /// Staged bytes that no effect on its way claims, and that were removed.
    pub orphans: usize,
}

/// Settles every effect that is on its way. Called when a node starts, before it takes requests.
///
/// # Errors
/// The store cannot be read or written.
pub async fn settle_interrupted(context: &Context) -> Result<Settled, Error> {
    let mut report = Settled::default();
    let mut all_settled = true;
    for effect in context.store.read(rows::open_effects)? {
        let id = effect.id.clone();
        match settle(context, effect).await {
            Ok(status) => {
                tracing::warn!(action.id = id.as_str(), status = status.as_str(), "an interrupted effect was settled");
                report.effects.push((id, status));
            }
            // It stays open, and is looked at again while the node runs.
            Err(error) => {
                let context = error.context();
                tracing::error!(action.id = id.as_str(), %error, context, "an interrupted effect could not be settled");
                all_settled = false;
            }
        }
    }
    if !all_settled {
        // That its bytes are still staged is what tells that an open effect did not happen.
        return Ok(report);
    }
    match remove_orphans(context).await {
        Ok(orphans) => report.orphans = orphans,
        Err(error) => tracing::error!(%error, context = error.context(), "what was left staged could not be removed"),
    }
    Ok(report)
}

/// Settles the effects that are open, and that nobody works on: the store could not record how they ended (it was full, say).
/// Called now and then while the node runs. Tells how many.
///
/// # Errors
/// The store still cannot be read or written.
pub async fn settle_left_behind(context: &Context) -> Result<usize, Error> {
    let (mut count, mut failed) = (0, None);
    for effect in context.store.read(rows::open_effects)? {
        if context.under_way.has(&effect.id) {
            continue;
        }
        // Nobody works on it now, and nobody ever will; but somebody may have ended between the two looks.
        let now = context.store.read(|reader| rows::effect(reader, &effect.namespace, &effect.id))?;
        let Some(effect) = now.filter(|effect| effect.status.is_open()) else { continue };
        let id = effect.id.clone();
        match settle(context, effect).await {
            Ok(status) => {
                tracing::warn!(
                    action.id = id.as_str(),
                    status = status.as_str(),
                    "an effect that was left behind was settled"
                );
                count += 1;
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        None => Ok(count),
        Some(error) => Err(error),
    }
}

async fn settle(context: &Context, effect: EffectRow) -> Result<Status, Error> {
    if effect.action == "model.call" {
        // It does nothing to the world; what it may have cost is counted as it was reserved.
        let message =
            "the node died, or could not record, while the model was asked; it counts with all that it could use";
        let error = Some((code::INTERRUPTED.to_owned(), message.to_owned()));
        settled(context, effect, Status::Failed, error, None).await?;
        return Ok(Status::Failed);
    }
    if matches!(effect.action.as_str(), "http.get" | "tool.call") {
        let message = "the node died, or could not record, while it asked; whether the other side heard of it is not known: a person must \
                       look, and say so with `steward effect resolve`";
        let error = Some((code::OUTCOME_UNKNOWN.to_owned(), message.to_owned()));
        settled(context, effect, Status::Unknown, error, None).await?;
        return Ok(Status::Unknown);
    }
    let (agent, id) = (effect.agent.clone(), effect.id.clone());
    let folders = std::sync::Arc::clone(&context.folders);
    let staged = blocking(move || folders.is_staged(&agent, &id)).await?.map_err(Error::broken)?;
    if effect.status == Status::Intended || staged {
        let message = "the node stopped, or could not go on, before the effect happened; ask again";
        let error = Some((code::INTERRUPTED.to_owned(), message.to_owned()));
        let effect = settled(context, effect, Status::Failed, error, None).await?;
        discard(context, &effect).await?;
        return Ok(Status::Failed);
    }
    let (agent, resource, arguments) = (effect.agent.clone(), effect.resource.clone(), effect.arguments);
    let folders = std::sync::Arc::clone(&context.folders);
    let found = blocking(move || published(&folders, &agent, &resource)).await?;
    match found {
        Some((digest, bytes)) if digest == arguments => {
            settled(context, effect, Status::Succeeded, None, Some((digest, bytes))).await?;
            Ok(Status::Succeeded)
        }
        _ => {
            let message = "the node could not record whether the effect happened, and what is at the path now is not what was to be \
                           written; a person must look";
            let error = Some((code::OUTCOME_UNKNOWN.to_owned(), message.to_owned()));
            settled(context, effect, Status::Unknown, error, None).await?;
            Ok(Status::Unknown)
        }
    }
}

/// What is at the path now, if it can be read.
fn published(folders: &steward_worker::Folders, agent: &Name, resource: &str) -> Option<(steward_seal::Digest, u64)> {
    let path = GrantPath::parse(resource).ok()?;
    folders.published(agent, &path).ok().flatten().map(|p| (p.digest, p.bytes))
}

/// Removes staged bytes whose effect is settled: the node died between settling and removing.
async fn remove_orphans(context: &Context) -> Result<usize, Error> {
    let mut removed = 0;
    loop {
        let folders = std::sync::Arc::clone(&context.folders);
        let left = blocking(move || folders.staged()).await?.map_err(Error::broken)?;
        if left.is_empty() {
            return Ok(removed);
        }
        for (agent, id) in left {
            let folders = std::sync::Arc::clone(&context.folders);
            blocking(move || folders.discard(&agent, &id)).await?.map_err(Error::broken)?;
            removed += 1;
        }
    }
}
