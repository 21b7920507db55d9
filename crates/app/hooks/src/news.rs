//! What happened to reviews, read from the ledger from a place on.

use steward_app_node::{ReviewRow, rows::review};
use steward_clock::Timestamp;
use steward_ledger::{Cell, kind};
use steward_naming::{Namespace, ReviewId};
use steward_permit::ReviewKind;
use steward_review::Status;
use steward_store::{EntryRow, Reader, StoreError};

use crate::{hook::Event, rows};

/// How long something is news, in milliseconds: after that only what still waits is told. A hook that was taken away for a month and comes back
/// does not tell all of it.
pub const NEWS_FOR_MS: u64 = 24 * 3600 * 1000;

/// The most entries that are news at once: what one commit makes deliveries of.
pub(crate) const MAX_FOUND: u32 = 32;

/// The most entries that one round looks at.
pub(crate) const MAX_SCANNED: u64 = 20_000;

/// Something that happened to a review.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// The entry that says so.
    pub(crate) about: u64,
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
    pub(crate) row: ReviewRow,
}

impl News {
    /// The same for every attempt and every hook: a receiver knows by it what it was told before.
    pub(crate) fn id(&self) -> String {
        match self.event {
            // Of a policy that wants many people, each that approved is news.
            Event::NeedsAnother => format!("{}_{}_{}", self.row.review.id, self.event.in_id(), self.about),
            _ => format!("{}_{}", self.row.review.id, self.event.in_id()),
        }
    }

    /// Whether it is still to be told.
    pub(crate) fn is_news(&self, now: Timestamp) -> bool {
        now.since_ms(self.at) <= NEWS_FOR_MS || (self.event == Event::Opened && self.row.review.is_pending(now))
    }
}

/// What happened from an entry on, and up to which it was looked.
pub(crate) fn since(reader: &Reader<'_>, namespace: &Namespace, next: u64) -> Result<(Vec<News>, u64), StoreError> {
    let (found, looked_to) = rows::touching_reviews(reader, next, MAX_SCANNED, MAX_FOUND)?;
    let mut news = Vec::new();
    for seq in found {
        news.extend(at(reader, namespace, seq)?);
    }
    Ok((news, looked_to))
}

/// What an entry says happened to reviews.
pub(crate) fn at(reader: &Reader<'_>, namespace: &Namespace, seq: u64) -> Result<Vec<News>, StoreError> {
    let Some(entry) = reader.entry(seq)? else { return Ok(Vec::new()) };
    let body = entry.read_body()?;
    // Of an entry that was erased its subject is left.
    let mut ids: Vec<String> = body
        .iter()
        .flat_map(|body| &body.rows)
        .filter(|row| row.table == "review")
        .filter_map(|row| match row.key.get("id") {
            Some(Cell::Text(id)) => Some(id.clone()),
            _ => None,
        })
        .collect();
    if body.is_none() {
        ids.push(entry.subject.clone());
    }
    let status = body.as_ref().and_then(|body| body.detail.get("status")?.as_str()).map(str::to_owned);
    let mut news = Vec::new();
    for id in ids {
        let Ok(id) = id.parse::<ReviewId>() else { continue };
        let Some(row) = review(reader, namespace, &id)? else { continue };
        if let Some(event) = event(&entry, status.as_deref(), &row) {
            news.push(News { about: seq, at: entry.time, event, row });
        }
    }
    Ok(news)
}

/// What happened to a review with an entry. That it was used is no news: whoever asked knows.
fn event(entry: &EntryRow, status: Option<&str>, row: &ReviewRow) -> Option<Event> {
    match entry.kind.as_str() {
        kind::REVIEW_OPENED => Some(Event::Opened),
        kind::REVIEW_APPROVED if status == Some("pending") => Some(Event::NeedsAnother),
        kind::REVIEW_APPROVED | kind::REVIEW_REJECTED => Some(Event::Decided),
        kind::REVIEW_ENDED if status == Some("expired") => Some(Event::Expired),
        kind::REVIEW_ENDED => Some(Event::Voided),
        // It ended with something else: the run that waited for it, or an effect of which somebody said what became of it.
        _ if row.entry_seq != entry.seq => None,
        _ => match row.review.status {
            Status::Voided => Some(Event::Voided),
            Status::Rejected => Some(Event::Decided),
            Status::Used if row.review.kind == ReviewKind::Outcome => Some(Event::Decided),
            _ => None,
        },
    }
}
