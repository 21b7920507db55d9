//! Erasing what an entry says (LED-5): body and salt, in one commit with the entry that records it.
//!
//! The leaf stands, and with it every proof: that there was such an entry, of that kind, at that time. What went with the body is gone from
//! the store's file, and from its log once that is folded back. Rows of other tables that say the same are facts of their own, and stay; so
//! do copies that were made before.
//!
//! Deliberately absent: erasing by age (retention.rs does), and blobs, which other entries may name.

use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_permit::ResourceKind;

use crate::rows;

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

/// How often the log is folded back, if somebody reads an older state meanwhile.
const FOLDS: u32 = 5;

/// Entries whose body something else stands on: the beginning of the ledger, what is restated of other erased entries, what a lost head was.
const KEPT: [&str; 4] = [kind::LEDGER_CREATED, kind::LEDGER_REDACTED, kind::LEDGER_SWEPT, kind::ROLLBACK_ACCEPTED];

/// An entry whose body was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The entry.
    pub entry: u64,
    /// The entry that records it.
    pub by: u64,
    /// When.
    pub at: Timestamp,
    /// Whether the log was folded back, so that the body stands in no file of the store any more.
    pub folded: bool,
}

/// Erases the body and the salt of an entry.
///
/// # Errors
/// It is not allowed, there is no such entry, its body is gone already, or something stands on it.
pub async fn redact(context: &Context, caller: &Caller, entry: u64, why: &str) -> Result<Redacted, Error> {
    let why = why.trim();
    if why.is_empty() || why.chars().count() > MAX_REASON || why.chars().any(char::is_control) {
        return Err(Error::invalid(format!("`reason` says why, on one line of at most {MAX_REASON} characters")));
    }
    let action = context.action("ledger.redact", ResourceKind::Ledger, context.namespace.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let (stored, redacted_by) =
        context.store.read(|reader| Ok::<_, Error>((reader.entry(entry)?, rows::redaction(reader, entry)?)))?;
    let stored = stored.ok_or_else(|| Error::not_found(format!("entry {entry}")))?;
    let refused = |message: String| Err(Error::new(Kind::Refused, code::CANNOT_REDACT, message));
    if KEPT.contains(&stored.kind.as_str()) {
        return refused(format!(
            "entry {entry} is a `{}`: what it says is needed to verify the rest of the ledger, and stays",
            stored.kind
        ));
    }
    if stored.body.is_none() {
        let by = redacted_by.map(|by| format!(", by entry {by}")).unwrap_or_default();
        return refused(format!("the body of entry {entry} was erased already{by}"));
    }
    let change =
        context.change(caller, granted, kind::LEDGER_REDACTED, subject(entry)).detail("reason", why).erases(entry);
    let done = context.commit(change).await?;
    let mut folded = false;
    for _ in 0..FOLDS {
        if context.store.fold().await? {
            folded = true;
            break;
        }
    }
    let recorded = done.recorded;
    Ok(Redacted { entry, by: recorded.seq, at: recorded.time, folded })
}

/// What the entry that records it is about.
pub(crate) fn subject(entry: u64) -> String {
    format!("entry {entry}")
}
