//! Reading on, and sending.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use steward_app_node::{Caller, Context, Error, Granted, Kind, code};
use steward_clock::{Timestamp, mishap};
use steward_fetch::{FetchError, Poster, Report, Reported, Target};
use steward_keeper::Keeper;
use steward_ledger::{BodyOutcome, kind};
use steward_naming::Label;
use steward_permit::{Action, ResourceKind};
use steward_store::Change;

use crate::{
    otlp, read,
    rows::{self, ExportRow},
};

/// The most spans that are sent at once.
pub const MAX_SPANS: usize = 256;

/// The most headers of a receiver.
pub const MAX_HEADERS: usize = 8;

/// The most that one round sends, so that a node that stops does not wait for more.
const MAX_SENT_AT_ONCE: usize = 16;

/// After which times it is tried again, in seconds; the last holds until it works.
const RETRY_AFTER_S: [u64; 6] = [5, 10, 30, 60, 120, 300];

/// The longest that a receiver may ask to be left alone, in seconds.
const MAX_RETRY_AFTER_S: u64 = 3_600;

/// How old what is sent may be, in milliseconds: a receiver that was away for longer is told of the last day.
const SENT_FOR_MS: u64 = 24 * 3_600 * 1_000;

/// How often it is tried to record what a policy that came into force meanwhile made stale.
const MAX_RECORDED: u32 = 3;

/// The longest reason that is kept, in characters.
const MAX_WHY_CHARS: usize = 200;

/// What says that these very spans are wrong: they would be wrong again.
const WRONG: [u16; 3] = [400, 413, 422];

/// Nothing was looked at yet by this process.
const NOTHING_YET: u64 = u64::MAX;

/// Who is sent spans, as an operator configured it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    target: Target,
    headers: Vec<(String, Label)>,
    inside: bool,
}

impl Receiver {
    /// A receiver of OTLP/HTTP at an address: `http://127.0.0.1:4318`, `collector.example.org`. Its path is `/v1/traces` beneath it.
    ///
    /// # Errors
    /// Why this is no address, or these are no headers.
    pub fn new(address: &str, headers: Vec<(String, Label)>, inside: bool) -> Result<Self, String> {
        // What goes without saying is said in configurations.
        let address = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
        if address.contains('?') {
            return Err("has a query, which a receiver of OTLP has none of; a token goes into a header".to_owned());
        }
        let target = Target::parse(&format!("{address}{}", otlp::PATH)).map_err(|error| {
            // The path may be a secret, and is not repeated.
            error.to_string().rsplit_once("` ").map_or_else(|| "is none".to_owned(), |(_, why)| why.to_owned())
        })?;
        if headers.len() > MAX_HEADERS {
            return Err(format!("has {} headers; a receiver has at most {MAX_HEADERS}", headers.len()));
        }
        for (n, (name, _)) in headers.iter().enumerate() {
            steward_fetch::check_header(name).map_err(|why| format!("has a header that {why}"))?;
            if headers[..n].iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
                return Err(format!("has the header `{name}` twice"));
            }
        }
        Ok(Self { target, headers, inside })
    }

    /// Who it is, without what could be a secret: the host.
    pub fn place(&self) -> &str {
        self.target.place()
    }
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How many spans were taken.
    pub sent: u64,
    /// How many were not taken, and are not sent again.
    pub dropped: u64,
    /// Whether sending failed, and is tried again.
    pub failed: bool,
}

/// Where traces go, and how it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesView {
    /// Who is sent spans; nobody: none was configured.
    pub to: Option<String>,
    /// Where it is; none before the first round.
    pub row: Option<ExportRow>,
    /// How many entries of the ledger were not looked at yet.
    pub behind: u64,
}

/// The traces of a node.
#[derive(Debug, Default)]
pub struct Traces(Option<Slot>);

#[derive(Debug)]
struct Slot {
    receiver: Receiver,
    poster: Poster,
    /// The entry that is looked at next: beyond the cursor there may be much with which nothing ended.
    next: AtomicU64,
    /// Held for a round.
    turn: tokio::sync::Mutex<()>,
}

/// What came of sending.
struct Sent {
    dropped: u64,
    failed: Option<Failed>,
}

/// Why it was not sent, or not taken.
struct Failed {
    code: &'static str,
    why: String,
    /// Whether it is of no use to try again.
    for_good: bool,
    /// How long to wait at least.
    after_s: u64,
}

impl Failed {
    fn new(code: &'static str, why: impl Into<String>) -> Self {
        let why = why.into().chars().filter(|c| !c.is_control()).take(MAX_WHY_CHARS).collect();
        Self { code, why, for_good: false, after_s: 0 }
    }
}

/// What is sent at once.
struct Batch {
    report: Report,
    versions: Map<String, Value>,
    spans: u64,
    /// How many ended too long ago.
    old: u64,
    next: u64,
}

impl Traces {
    /// Those of a node with this receiver.
    pub fn new(receiver: Option<Receiver>) -> Self {
        Self(receiver.map(|receiver| {
            let poster = Poster::new(receiver.inside);
            Slot { receiver, poster, next: AtomicU64::new(NOTHING_YET), turn: tokio::sync::Mutex::default() }
        }))
    }

    /// Whether somebody is sent any.
    pub fn are_sent(&self) -> bool {
        self.0.is_some()
    }

    /// Where it is, for whoever may look.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn view(&self, context: &Context) -> Result<TracesView, Error> {
        context.store.read(|reader| {
            let row = rows::export(reader, &context.namespace)?;
            let to = self.0.as_ref().map(|slot| slot.receiver.place().to_owned());
            let looked =
                self.0.as_ref().map(|slot| slot.next.load(Ordering::Relaxed)).filter(|next| *next != NOTHING_YET);
            let next = row.as_ref().map(|row| row.next.max(looked.unwrap_or_default()));
            let behind = match next {
                Some(next) if to.is_some() => reader.size()?.saturating_sub(next),
                _ => 0,
            };
            Ok(TracesView { to, row, behind })
        })
    }

    /// Reads on, and sends what ended since. Done again and again, by one task.
    ///
    /// # Errors
    /// The store cannot be read or written. Nothing is lost then: the next round goes on.
    pub async fn round(&self, context: &Context, keeper: &Keeper) -> Result<Round, Error> {
        let Some(slot) = &self.0 else { return Ok(Round::default()) };
        let _turn = slot.turn.lock().await;
        // What is behind a head that is known writes nothing, and so sends nothing.
        if context.store.behind().is_some() {
            return Ok(Round::default());
        }
        let mut round = Round::default();
        for _ in 0..MAX_SENT_AT_ONCE {
            let Some(row) = slot.load(context).await? else { break };
            if row.next_at.is_some_and(|at| context.now() < at)
                || !slot.send_next(context, keeper, row, &mut round).await?
            {
                break;
            }
        }
        Ok(round)
    }
}

impl Slot {
    /// Where it is. One that was just configured begins now: what happened before it is not sent. None: it began.
    async fn load(&self, context: &Context) -> Result<Option<ExportRow>, Error> {
        let (row, size) =
            context.store.read(|reader| Ok::<_, Error>((rows::export(reader, &context.namespace)?, reader.size()?)))?;
        if row.is_some() {
            return Ok(row);
        }
        let row = ExportRow {
            namespace: context.namespace.clone(),
            next: size,
            sent: 0,
            dropped: 0,
            attempts: 0,
            next_at: None,
            sent_at: None,
            dropped_at: None,
            failing_since: None,
            why: None,
            entry_seq: 0,
        };
        let begun = Sent { dropped: 0, failed: None };
        self.settle(context, &row, &row, &begun, |change| change.detail("began", true)).await?;
        Ok(None)
    }

    /// Sends what ended next, if something did. Whether there may be more to send now.
    async fn send_next(
        &self,
        context: &Context,
        keeper: &Keeper,
        row: ExportRow,
        round: &mut Round,
    ) -> Result<bool, Error> {
        let looked = Some(self.next.load(Ordering::Relaxed)).filter(|next| *next != NOTHING_YET);
        let from = looked.map_or(row.next, |next| next.max(row.next));
        let found = context.store.read(|reader| read::since(reader, from, MAX_SPANS))?;
        if found.spans.is_empty() {
            self.next.store(found.next, Ordering::Relaxed);
            return Ok(found.next > from);
        }
        let now = context.now();
        let (fresh, old): (Vec<_>, Vec<_>) =
            found.spans.into_iter().partition(|span| now.since_ms(span.ended) <= SENT_FOR_MS);
        let (spans, old) = (fresh.len() as u64, old.len() as u64);
        if spans == 0 {
            let after =
                ExportRow { next: found.next, dropped: row.dropped + old, dropped_at: Some(now), ..row.clone() };
            let sent = Sent { dropped: old, failed: None };
            self.settle(context, &row, &after, &sent, |change| change.detail("old", old)).await?;
            round.dropped += old;
            return Ok(true);
        }
        let node = context.namespace.to_string();
        let body = otlp::request(&node, env!("CARGO_PKG_VERSION"), &fresh);
        let (row, sent) = match self.report(keeper, body) {
            Err(failed) => (row, Sent { dropped: 0, failed: Some(failed) }),
            Ok((report, versions)) => {
                let batch = Batch { report, versions, spans, old, next: found.next };
                self.send(context, row, batch).await?
            }
        };
        let is_over = sent.failed.as_ref().is_none_or(|failed| failed.for_good);
        let after = after(&row, &sent, spans, old, is_over.then_some(found.next), context.now());
        self.settle(context, &row, &after, &sent, |change| change.detail("spans", spans).detail("old", old)).await?;
        round.sent += after.sent - row.sent;
        round.dropped += after.dropped - row.dropped;
        round.failed = !is_over;
        Ok(is_over)
    }

    /// What is sent, with the values of the secrets in its headers.
    fn report(&self, keeper: &Keeper, body: Vec<u8>) -> Result<(Report, Map<String, Value>), Failed> {
        let (mut headers, mut versions) = (Vec::new(), Map::new());
        for (name, secret) in &self.receiver.headers {
            let taken = keeper.take(secret.as_str()).map_err(|error| {
                Failed::new(code::TRACES_NOT_SENT, format!("the secret of the header `{name}`: {error}"))
            })?;
            versions.insert(secret.to_string(), taken.version.to_string().into());
            headers.push((name.clone(), taken.secret));
        }
        Ok((Report { target: self.receiver.target.clone(), headers, body }, versions))
    }

    /// Sends a batch once, after that is on record.
    async fn send(&self, context: &Context, row: ExportRow, batch: Batch) -> Result<(ExportRow, Sent), Error> {
        let node = Caller::node(&context.namespace);
        let action = context.action("trace.export", ResourceKind::Host, self.receiver.place())?;
        let action = action.with_arguments(batch.report.digest());
        let granted = match context.permit(&node, action.clone(), None).await {
            Err(error) if error.kind == Kind::Refused => {
                return Ok((row, Sent { dropped: 0, failed: Some(Failed::new(error.code, error.message)) }));
            }
            granted => granted?,
        };
        // If the node dies now, this is when it is tried again.
        let sending = ExportRow { next_at: Some(again_at(row.attempts, 0, context.now())), ..row.clone() };
        let mut change = context
            .change(&node, granted, kind::TRACES_SENDING, self.receiver.place())
            .guard(row.guard())
            .row(sending.row())
            .detail("spans", batch.spans)
            .detail("from", row.next.to_string())
            .detail("to", batch.next.to_string());
        if batch.old > 0 {
            change = change.detail("old", batch.old);
        }
        if !batch.versions.is_empty() {
            change = change.detail("secrets", Value::Object(batch.versions));
        }
        let done = context.commit(change).await?;
        let sending = ExportRow { entry_seq: done.recorded.seq, ..sending };
        let sent = self.answered(self.poster.report(done.warrant, &action, batch.report).await);
        mishap::at("traces.sent.before_settled").map_err(Error::broken)?;
        Ok((sending, sent))
    }

    /// What an answer means.
    fn answered(&self, answer: Result<Reported, FetchError>) -> Sent {
        let failed = match answer {
            Err(error) => Failed::new(error.code(), error.in_short()),
            Ok(Reported { status: 200..=299, body, .. }) => {
                let (dropped, why) = otlp::rejected(&body);
                let why = format!("`{}` did not take {dropped} of them: {why}", self.receiver.place());
                let failed = Failed { for_good: true, ..Failed::new(code::TRACES_NOT_SENT, why) };
                return Sent { dropped, failed: (dropped > 0).then_some(failed) };
            }
            Ok(Reported { status, retry_after_s, .. }) => Failed {
                for_good: WRONG.contains(&status),
                after_s: retry_after_s.unwrap_or_default().min(MAX_RETRY_AFTER_S),
                ..Failed::new(code::TRACES_NOT_SENT, format!("`{}` answered {status}", self.receiver.place()))
            },
        };
        let dropped = if failed.for_good { u64::MAX } else { 0 };
        Sent { dropped, failed: Some(failed) }
    }

    /// Records how it goes, whatever came into force meanwhile.
    async fn settle(
        &self,
        context: &Context,
        before: &ExportRow,
        after: &ExportRow,
        sent: &Sent,
        with: impl Fn(Change) -> Change,
    ) -> Result<(), Error> {
        let node = Caller::node(&context.namespace);
        if let Some(Failed { why, .. }) = &sent.failed {
            let again_at = after.next_at.map(|at| at.to_string());
            tracing::warn!(to = self.receiver.place(), why, again_at, "spans were not sent, or not taken");
        }
        let outcome = match &sent.failed {
            None => BodyOutcome { success: true, error_type: None, error_message: None },
            Some(Failed { code, why, .. }) => {
                BodyOutcome { success: false, error_type: Some((*code).to_owned()), error_message: Some(why.clone()) }
            }
        };
        for recorded in 1..=MAX_RECORDED {
            let action = context.action("trace.settle", ResourceKind::Node, context.namespace.as_str())?;
            let granted = own_leave(context, &node, action).await?;
            let change = context
                .change(&node, granted, kind::TRACES_SETTLED, self.receiver.place())
                .urgent()
                .guard(before.guard())
                .row(after.row())
                .outcome(outcome.clone())
                .detail("next", after.next.to_string())
                .detail("again_at", json!(after.next_at.map(|at| at.to_string())));
            match context.commit(with(change)).await {
                Err(error) if error.kind == Kind::Stale && recorded < MAX_RECORDED => {}
                other => return other.map(|_| ()),
            }
        }
        Err(Error::broken("attempts are counted"))
    }
}

/// Where it is after sending: further, if these spans are over with.
fn after(row: &ExportRow, sent: &Sent, spans: u64, old: u64, next: Option<u64>, now: Timestamp) -> ExportRow {
    let why = sent.failed.as_ref().map(|failed| failed.why.clone());
    match (next, &sent.failed) {
        (Some(next), _) => {
            let dropped = sent.dropped.min(spans);
            let dropped_at = if dropped + old > 0 { Some(now) } else { row.dropped_at };
            let sent_at = if dropped < spans { Some(now) } else { row.sent_at };
            ExportRow {
                next,
                sent: row.sent + spans - dropped,
                dropped: row.dropped + dropped + old,
                attempts: 0,
                next_at: None,
                sent_at,
                dropped_at,
                failing_since: None,
                why,
                ..row.clone()
            }
        }
        (None, failed) => {
            let after_s = failed.as_ref().map(|failed| failed.after_s).unwrap_or_default();
            ExportRow {
                attempts: row.attempts + 1,
                next_at: Some(again_at(row.attempts, after_s, now)),
                failing_since: Some(row.failing_since.unwrap_or(now)),
                why,
                ..row.clone()
            }
        }
    }
}

/// When it is tried again after so many attempts in vain and this one.
fn again_at(attempts: u64, least_s: u64, now: Timestamp) -> Timestamp {
    let n = usize::try_from(attempts).unwrap_or(usize::MAX).min(RETRY_AFTER_S.len() - 1);
    now.plus_ms(RETRY_AFTER_S[n].max(least_s) * 1_000)
}

/// The node's leave for its own upkeep. A policy that refuses it is broken.
async fn own_leave(context: &Context, node: &Caller, action: Action) -> Result<Granted, Error> {
    let granted = context.permit(node, action, None).await;
    granted.map_err(|error| if error.kind == Kind::Refused { Error::broken(error) } else { error })
}
