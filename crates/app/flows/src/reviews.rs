//! What follows from a person's decision, where nobody waits for it: the node carries it out, now or in the background (law 5).
//!
//! A run, or whoever asked over HTTP, does by itself what was approved for them. A promotion, an appeal, a reinstatement and a changed tool
//! wait for nobody: the node carries them out when they are approved, and if it dies in between, the background does. What became of an effect of which nobody knows is no
//! approval but an answer: saying yes or no resolves the effect, in the same commit.
//!
//! Deliberately absent: deciding itself (`app/reviews`).

use steward_app_actions::{EffectRow, Status as EffectStatus, rows as actions};
use steward_app_node::{
    Caller, Case, Context, Error, Kind, ReviewRow, code,
    rows::{ReviewFilter, review_of, reviews},
};
use steward_naming::{ActionId, ReviewId};
use steward_permit::{Action, ResourceKind, ReviewKind};
use steward_review::{Asked, Status, Step};
use steward_seal::{Digest, json::canonical};

use crate::{runs::Runner, standing};

/// The most effects that people are asked about at once.
const MAX_ASKED: u32 = 100;

/// A person says yes.
///
/// # Errors
/// It is not allowed, the review is over, or somebody else was first.
pub async fn approve(runner: &Runner, caller: &Caller, id: &ReviewId, why: &str) -> Result<ReviewRow, Error> {
    let context = &runner.context;
    let row = steward_app_reviews::find_for(context, caller, "review.approve", id).await?;
    if row.review.kind == ReviewKind::Outcome {
        return answer(context, caller, row, true, why).await;
    }
    let alone = context.store.read(|reader| steward_app_people::rows::enrolled(reader, &context.namespace))? == 1;
    let approved = steward_app_reviews::approve(context, caller, id, why, alone).await?;
    if approved.review.status == Status::Approved {
        carry_out(runner, &approved).await;
    }
    steward_app_reviews::find(context, id)
}

/// A person says no.
///
/// # Errors
/// It is not allowed, the review is over, or somebody else was first.
pub async fn reject(runner: &Runner, caller: &Caller, id: &ReviewId, why: &str) -> Result<ReviewRow, Error> {
    let context = &runner.context;
    let row = steward_app_reviews::find_for(context, caller, "review.reject", id).await?;
    if row.review.kind == ReviewKind::Outcome {
        return answer(context, caller, row, false, why).await;
    }
    steward_app_reviews::reject(context, caller, id, why).await
}

/// The kinds that wait for nobody.
const CARRIED_OUT: &[ReviewKind] =
    &[ReviewKind::Promotion, ReviewKind::Appeal, ReviewKind::Reinstatement, ReviewKind::Tool];

/// Carries out what was approved and waits for nobody. What cannot be done any more is voided, and says why.
async fn carry_out(runner: &Runner, row: &ReviewRow) {
    let context = &runner.context;
    let done = match row.review.kind {
        ReviewKind::Promotion | ReviewKind::Appeal => Box::pin(standing::carry_out(context, row)).await,
        ReviewKind::Reinstatement => Box::pin(runner.carry_out_reinstatement(row)).await,
        ReviewKind::Tool => Box::pin(runner.gateway.carry_out(row)).await,
        ReviewKind::Plan
        | ReviewKind::Action
        | ReviewKind::Criterion
        | ReviewKind::Escalation
        | ReviewKind::Outcome => return,
    };
    match done {
        Ok(()) => {}
        Err(error) if matches!(error.kind, Kind::Refused | Kind::NotFound | Kind::Taken) => {
            let ended = context.end_review(row, Step::Void { why: error.message }).await;
            if let Err(error) = ended {
                tracing::error!(review.id = row.review.id.as_str(), %error, "a review could not be ended");
            }
        }
        // Something changed meanwhile, or the store is busy: the background tries again.
        Err(error) => {
            tracing::warn!(review.id = row.review.id.as_str(), %error, context = error.context(), "what was approved is not done yet");
        }
    }
}

/// What a review of an effect is about.
fn about(context: &Context, id: &ActionId) -> Result<Action, Error> {
    let action = context.action("effect.resolve", ResourceKind::Node, context.namespace.as_str())?;
    Ok(action.with_arguments(Digest::of(id.as_str().as_bytes())))
}

/// Says what became of an effect: what people knew as `effect resolve`, from the inbox.
async fn answer(
    context: &Context,
    caller: &Caller,
    row: ReviewRow,
    happened: bool,
    why: &str,
) -> Result<ReviewRow, Error> {
    if !row.review.is_pending(context.now()) {
        return Err(Error::new(Kind::Taken, code::REVIEW_OVER, row.review.answer()));
    }
    let document = row.review.document.ok_or_else(|| Error::broken("a question about an effect has a document"))?;
    let bytes = context.store.read(|reader| reader.blob(&document))?.ok_or_else(|| Error::broken("it is kept"))?;
    let said: serde_json::Value = serde_json::from_slice(&bytes).map_err(Error::broken)?;
    let effect = said["effect"].as_str().unwrap_or_default().parse()?;
    resolve(context, caller, &effect, happened, why).await?;
    steward_app_reviews::find(context, &row.review.id)
}

/// Says whether an effect happened, of which the node does not know it; the review that asks about it is answered with the same commit.
///
/// # Errors
/// It is not allowed; there is no such effect; or it is known what became of it.
pub async fn resolve(
    context: &Context,
    caller: &Caller,
    id: &ActionId,
    happened: bool,
    why: &str,
) -> Result<EffectRow, Error> {
    let asked = about(context, id)?;
    let asker = context.namespace.to_string();
    let open = context.store.read(|reader| review_of(reader, &asker, &asked.digest()))?;
    let open = open.filter(|row| row.review.status == Status::Pending);
    let mut more = Vec::new();
    if let Some(row) = open {
        let (by, reason) = (caller.actor.full_name(), why.to_owned());
        let step =
            if happened { Step::Approve { by, own: false, enough: true, reason } } else { Step::Reject { by, reason } };
        // One whose time is over asks nothing any more.
        if let Ok(review) = row.review.step(step, context.now()) {
            let review = match review.status {
                Status::Approved => {
                    let (digest, policy) = (review.asked.digest, review.policy);
                    review
                        .step(Step::Use { digest, policy, action: id.clone() }, context.now())
                        .map_err(Error::broken)?
                }
                _ => review,
            };
            more.push((ReviewRow { review, ..row.clone() }.row(), row.guard()));
        }
    }
    let resolved = steward_app_actions::resolve(context, caller, id, happened, why, more).await?;
    context.tell_reviewed();
    Ok(resolved)
}

/// One round of the background: what was approved and not carried out; and effects of which nobody knows, and nobody was asked.
///
/// # Errors
/// The store cannot be read or written.
pub(crate) async fn tend(runner: &Runner) -> Result<(), Error> {
    let context = &runner.context;
    for kind in CARRIED_OUT {
        let filter = ReviewFilter {
            status: Some(Status::Approved),
            kind: Some(kind.as_str().to_owned()),
            limit: MAX_ASKED,
            ..ReviewFilter::default()
        };
        for row in context.store.read(|reader| reviews(reader, &filter))? {
            carry_out(runner, &row).await;
        }
    }
    for effect in context.store.read(|reader| actions::effects(reader, Some(EffectStatus::Unknown), MAX_ASKED))? {
        ask_about(context, &effect).await?;
    }
    Ok(())
}

/// Asks people, once, whether an effect happened.
async fn ask_about(context: &Context, effect: &EffectRow) -> Result<(), Error> {
    let asked = about(context, &effect.id)?;
    let asker = context.namespace.to_string();
    if context.store.read(|reader| review_of(reader, &asker, &asked.digest()))?.is_some() {
        return Ok(());
    }
    let document = serde_json::json!({
        "effect": effect.id, "agent": effect.agent.to_string(), "run": effect.run, "action": effect.action,
        "resource": effect.resource, "arguments": effect.arguments, "intended_at": effect.intended_at.to_string(),
        "error": effect.error.as_ref().map(|(code, message)| format!("{code}: {message}")),
    });
    let case = Case {
        kind: Some(ReviewKind::Outcome),
        why: format!(
            "nobody knows whether `{}` on `{}` of `{}` happened: approve if it did, reject if it did not",
            effect.action, effect.resource, effect.agent
        ),
        document: Some(canonical(&document).map_err(Error::broken)?),
        agent: Some(effect.agent.to_string()),
        ..Case::default()
    };
    let node = Caller { trace: effect.trace.clone(), ..Caller::node(&context.namespace) };
    context.open_for(&node, case, Asked::from(&asked)).await.map(|_| ())
}
