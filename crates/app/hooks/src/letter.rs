//! What a hook is told: that something waits, of whom, and how to look at it. Not what it is.
//!
//! A receiver is outside of the node: a chat, a pager, somebody's script. It is told words of the node's own (ids, names, kinds, times), so that
//! whoever reads it knows whether to hurry, and where to look. It is not told resources, reasons, plans or files: they may be confidential, and
//! agents write them, so that what a person reads in a chat could be meant to mislead them.

use serde_json::{Value, json};
use steward_app_node::Context;
use steward_clock::Timestamp;
use steward_seal::json::canonical;

use crate::{hook::Event, news::News};

/// The body about a review.
pub(crate) fn of_review(context: &Context, news: &News) -> Vec<u8> {
    let review = &news.row.review;
    let about = review.agent.as_deref().unwrap_or(&review.asker);
    let title = match news.event {
        Event::Opened => format!("{about} waits for a decision ({})", review.kind.as_str()),
        Event::NeedsAnother => format!("{about} waits for another person's approval ({})", review.kind.as_str()),
        Event::Decided => format!("what {about} waited for was decided ({})", review.kind.as_str()),
        Event::Expired => format!("what {about} waited for was not answered in time ({})", review.kind.as_str()),
        Event::Voided => format!("nothing waits any more for what {about} asked ({})", review.kind.as_str()),
    };
    // What it came to, where that is what is told: it may have gone on since.
    let status = match news.event {
        Event::Opened | Event::NeedsAnother => "pending",
        Event::Decided if review.decisions.iter().any(|decision| !decision.approves) => "rejected",
        Event::Decided => "approved",
        Event::Expired => "expired",
        Event::Voided => "voided",
    };
    let data = json!({
        "title": title,
        "review": review.id,
        "kind": review.kind.as_str(),
        "status": status,
        "agent": review.agent,
        "asker": review.asker,
        "tier": review.tier,
        "run": review.run,
        "action": review.asked.action,
        "opened_at": review.opened_at.to_string(),
        "expires_at": review.expires_at.to_string(),
        "show": format!("steward review show {}", review.id),
    });
    whole(context, news.event.as_str(), news.at, data)
}

/// The body of a test.
pub(crate) fn of_test(context: &Context, by: &str, at: Timestamp) -> Vec<u8> {
    whole(context, TEST, at, json!({"title": "a person tries whether this hook is told", "by": by}))
}

/// The event of a test.
pub(crate) const TEST: &str = "hook.test";

/// `type`, `timestamp` and `data` are those of Standard Webhooks.
fn whole(context: &Context, event: &str, at: Timestamp, mut data: Value) -> Vec<u8> {
    data["node"] = context.namespace.as_str().into();
    let whole = json!({"type": event, "timestamp": at.to_string(), "data": data});
    canonical(&whole).expect("texts have a canonical form")
}
