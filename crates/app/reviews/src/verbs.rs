//! Looking at reviews, and deciding them.

use steward_app_node::{
    Caller, Context, Error, Kind, ReviewRow, code,
    rows::{self, ReviewFilter},
};
use steward_ledger::kind;
use steward_naming::ReviewId;
use steward_permit::ResourceKind;
use steward_policy::{Question, Reviewing};
use steward_review::{Refusal, Status, Step};

/// The most reviews that one answer lists.
pub const MAX_LISTED: u32 = 1_000;

/// How many are ended in one round of the background.
const MAX_ENDED: u32 = 500;

/// What a review is about, and what it would replace, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// What it is about.
    pub document: Option<Vec<u8>>,
    /// What it would replace.
    pub before: Option<Vec<u8>>,
}

/// A refusal of the machine, told to whoever asked.
fn refused(refusal: Refusal) -> Error {
    let message = refusal.to_string();
    match refusal {
        Refusal::NoReason => Error::invalid(message),
        Refusal::Over { .. } | Refusal::Expired(_) | Refusal::Twice { .. } => {
            Error::new(Kind::Taken, code::REVIEW_OVER, message)
        }
        _ => Error::new(Kind::Refused, code::REVIEW_OVER, message),
    }
}

/// A review, without asking whether the caller may see it.
///
/// # Errors
/// There is no such review.
pub fn find(context: &Context, id: &ReviewId) -> Result<ReviewRow, Error> {
    let row = context.store.read(|reader| rows::review(reader, &context.namespace, id))?;
    row.ok_or_else(|| Error::not_found(format!("review `{id}`; `steward review list` shows them")))
}

/// A review that somebody wants to decide. Who may not learns nothing of which there are.
///
/// # Errors
/// There is none, or it is not allowed.
pub async fn find_for(
    context: &Context,
    caller: &Caller,
    verb: &'static str,
    id: &ReviewId,
) -> Result<ReviewRow, Error> {
    match find(context, id) {
        Ok(row) => Ok(row),
        Err(why) => Err(context.absent(caller, verb, ResourceKind::Review, id.as_str(), why).await),
    }
}

/// Reviews, newest first.
///
/// # Errors
/// It is not allowed.
pub async fn list(context: &Context, caller: &Caller, filter: &ReviewFilter) -> Result<Vec<ReviewRow>, Error> {
    let action = context.action("review.read", ResourceKind::Review, "*")?;
    context.allow(caller, action, None).await?;
    let limit = if filter.limit == 0 { MAX_LISTED } else { filter.limit.min(MAX_LISTED) };
    Ok(context.store.read(|reader| rows::reviews(reader, &ReviewFilter { limit, ..filter.clone() }))?)
}

/// A review, and what it is about: documents that only few may see. That they were read is recorded.
///
/// # Errors
/// It is not allowed, there is no such review, or it cannot be recorded.
pub async fn show(context: &Context, caller: &Caller, id: &ReviewId) -> Result<(ReviewRow, Documents), Error> {
    let action = context.action("review.read", ResourceKind::Review, id.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    find(context, id)?;
    let change = context.change(caller, granted, kind::LEDGER_READ, id.as_str()).detail("review", id.as_str());
    context.commit(change).await?;
    let row = find(context, id)?;
    let documents = context.store.read(|reader| {
        let blob = |digest: &Option<_>| match digest {
            None => Ok(None),
            Some(digest) => reader.blob(digest),
        };
        Ok::<_, Error>(Documents { document: blob(&row.review.document)?, before: blob(&row.review.before)? })
    })?;
    Ok((row, documents))
}

/// A person says yes. `alone` tells whether they are the only person enrolled. Whether those who approved are enough then is policy.
///
/// # Errors
/// It is not allowed (nobody approves what they asked for), the review is over, or somebody else was first.
pub async fn approve(
    context: &Context,
    caller: &Caller,
    id: &ReviewId,
    reason: &str,
    alone: bool,
) -> Result<ReviewRow, Error> {
    let before = find_for(context, caller, "review.approve", id).await?;
    let by = caller.actor.full_name();
    // Whoever asked, and then made the key by which somebody else says yes, says yes themselves.
    let makers = match &caller.key {
        Some(key) => {
            let since = before.review.opened_at;
            context.store.read(|reader| rows::makers_since(reader, &key.id, &by, since))?
        }
        None => Some(Vec::new()),
    };
    // Of whom it cannot be told by whose keys they came is taken for one of them.
    let made_by_asker = makers.as_ref().is_none_or(|makers| makers.iter().any(|maker| before.review.is_of(maker)));
    let own = before.review.is_of(&by) || made_by_asker;
    let makers = makers.unwrap_or_default();
    let approvals = u32::try_from(before.review.approvals()).unwrap_or(u32::MAX).saturating_add(1);
    let reviewing = Reviewing { kind: before.review.kind, tier: before.review.tier, own, alone, approvals };
    let action = context.action("review.approve", ResourceKind::Review, id.as_str())?;
    let question = Question { review: Some(reviewing), ..context.question(caller, action, None) };
    let granted = context
        .decide(caller, question, &steward_store::Refusal::default())
        .await?
        .map_err(|(denial, noted)| noted.tell(Error::from(&denial)))?;
    if before.review.is_of_policy() && before.review.policy != context.policy().engine.version() {
        // It would be good for nothing. Whoever waits for it asks anew, under the policy in force.
        context.void_review(&before, "another policy came into force").await?;
        return Err(refused(Refusal::OtherPolicy(id.clone())));
    }
    let node = Caller::node(&context.namespace);
    let suffices = context.action("review.suffice", ResourceKind::Review, id.as_str())?;
    let suffices = Question { review: Some(reviewing), ..context.question(&node, suffices, None) };
    let enough = context.policy().engine.weigh(&suffices).allowed;
    let step = Step::Approve { by, own, enough, reason: reason.to_owned() };
    let after = ReviewRow { review: before.review.step(step, context.now()).map_err(refused)?, ..before.clone() };
    let mut change = context
        .change(caller, granted, kind::REVIEW_APPROVED, id.as_str())
        .guard(before.guard())
        .row(after.row())
        .detail("asker", after.review.asker.as_str())
        .detail("digest", after.review.asked.digest.to_string())
        .detail("reason", reason.trim())
        .detail("status", after.review.status.as_str());
    if own {
        change = change.detail("own", true);
    }
    if !makers.is_empty() {
        change = change.detail("key_made_by", makers);
    }
    let done = context.commit(change).await?;
    context.tell_reviewed();
    Ok(ReviewRow { entry_seq: done.recorded.seq, ..after })
}

/// A person says no.
///
/// # Errors
/// It is not allowed, the review is over, or somebody else was first.
pub async fn reject(context: &Context, caller: &Caller, id: &ReviewId, reason: &str) -> Result<ReviewRow, Error> {
    let before = find_for(context, caller, "review.reject", id).await?;
    let action = context.action("review.reject", ResourceKind::Review, id.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let step = Step::Reject { by: caller.actor.full_name(), reason: reason.to_owned() };
    let after = ReviewRow { review: before.review.step(step, context.now()).map_err(refused)?, ..before.clone() };
    let change = context
        .change(caller, granted, kind::REVIEW_REJECTED, id.as_str())
        .urgent()
        .guard(before.guard())
        .row(after.row())
        .detail("asker", after.review.asker.as_str())
        .detail("digest", after.review.asked.digest.to_string())
        .detail("reason", reason.trim())
        .detail("status", after.review.status.as_str());
    let done = context.commit(change).await?;
    context.tell_reviewed();
    Ok(ReviewRow { entry_seq: done.recorded.seq, ..after })
}

/// Ends the reviews whose time is over: a denial. Called now and then.
///
/// # Errors
/// The store cannot be read or written.
pub async fn end_due(context: &Context) -> Result<usize, Error> {
    let over = context.store.read(|reader| rows::reviews_over(reader, context.now(), MAX_ENDED))?;
    for row in &over {
        debug_assert!(matches!(row.review.status, Status::Pending | Status::Approved));
        context.end_review(row, Step::Expire).await?;
    }
    Ok(over.len())
}
