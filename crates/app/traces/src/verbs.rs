//! Reading on, and sending.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use steward_app_node::{Caller, Context, Error, Granted, Kind, code};
use steward_clock::{Timestamp, mishap};
use steward_fetch::{FetchError, Poster, Report, Reported, Target};
use steward_keeper::Keeper;
use steward_ledger::{BodyOutcome, kind};
use steward_naming::Label;
use steward_permit::{Action, ResourceKind};
use steward_seal::{
    Digest,
    secret::{Secret, Secrets},
};
use steward_store::Change;

use crate::{
    otlp,
    read::{self, Found},
    rows::{self, ExportRow},
};

/// The most entries of which spans are sent at once.
pub const MAX_ENTRIES: u64 = 256;

/// The most bytes of what is sent at once, unless it is of one entry: less than what receivers and proxies before them usually take.
pub const MAX_REQUEST_BYTES: usize = 512 << 10;

/// The most headers of a receiver.
pub const MAX_HEADERS: usize = 8;

/// After which times it is tried again, in seconds; the last holds until it works.
const RETRY_AFTER_S: [u64; 6] = [5, 10, 30, 60, 120, 300];

/// The longest that a receiver may ask to be left alone, in seconds.
const MAX_RETRY_AFTER_S: u64 = 3_600;

/// How old what is sent may be, in milliseconds: a receiver that was away for longer is told of the last day.
const SENT_FOR_MS: u64 = 24 * 3_600 * 1_000;

/// How often it is tried to record what a policy that came into force meanwhile made stale.
const MAX_RECORDED: u32 = 3;

/// The most of what a receiver says that is kept, in characters.
const MAX_SAID_CHARS: usize = 200;

/// What says that these very spans are wrong, or too many: they are sent again in smaller parts, and a part of one entry not at all.
const WRONG: [u16; 3] = [400, 413, 422];

/// After how many attempts in vain what is made of one entry is dropped if the receiver breaks on it (500), so that it holds up nothing else.
const MAX_BROKEN: u64 = 12;

/// The shortest part of a header's secret that is looked for in what a receiver says, in bytes: what follows `Bearer `.
const MIN_PART_BYTES: usize = 6;

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
        if !address.starts_with("https://") && !address.starts_with("http://") {
            return Err("begins with `http://` or `https://`".to_owned());
        }
        // What goes without saying is said in configurations.
        let address = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
        let address = address.strip_suffix(otlp::PATH).unwrap_or(address);
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
    /// Whether there may be more to send now.
    pub more: bool,
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
    /// Whether something was tried since the process started: who starts it does not want to wait for what failed before.
    tried: AtomicBool,
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
    how: How,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// What was not taken is dropped, and the rest was taken.
    Taken,
    /// It is tried again, not before so many seconds.
    Again(u64),
    /// These spans are wrong, or too many.
    Wrong,
    /// The receiver broke.
    Broken,
}

impl Failed {
    fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), how: How::Again(0) }
    }
}

/// What is sent at once.
struct Batch {
    report: Report,
    versions: Map<String, Value>,
    spans: u64,
    next: u64,
}

impl Traces {
    /// Those of a node with this receiver.
    pub fn new(receiver: Option<Receiver>) -> Self {
        Self(receiver.map(|receiver| {
            let poster = Poster::new(receiver.inside);
            let (next, tried) = (AtomicU64::new(NOTHING_YET), AtomicBool::new(false));
            Slot { receiver, poster, next, tried, turn: tokio::sync::Mutex::default() }
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

    /// Begins, where it was not begun: what happened before is not sent.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn begin(&self, context: &Context) -> Result<(), Error> {
        match &self.0 {
            // What is behind a head that is known writes nothing, and so sends nothing.
            Some(slot) if context.store.behind().is_none() => slot.load(context).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Reads on, and sends what ended next. Done again and again, by one task.
    ///
    /// # Errors
    /// The store cannot be read or written. Nothing is lost then: the next round goes on.
    pub async fn round(&self, context: &Context, keeper: &Keeper) -> Result<Round, Error> {
        let Some(slot) = &self.0 else { return Ok(Round::default()) };
        let _turn = slot.turn.lock().await;
        if context.store.behind().is_some() {
            return Ok(Round::default());
        }
        let row = slot.load(context).await?;
        let now = context.now();
        // Nothing is put off for longer; what is, was by a clock that was wrong.
        let latest = now.plus_ms(MAX_RETRY_AFTER_S * 1_000);
        let waits = row.next_at.is_some_and(|at| now < at && at <= latest);
        if waits && slot.tried.load(Ordering::Relaxed) {
            return Ok(Round::default());
        }
        slot.send_next(context, keeper, row).await
    }
}

impl Slot {
    /// Where it is. A receiver that was just configured begins now: what happened before is not sent.
    async fn load(&self, context: &Context) -> Result<ExportRow, Error> {
        let (before, size) =
            context.store.read(|reader| Ok::<_, Error>((rows::export(reader, &context.namespace)?, reader.size()?)))?;
        let receiver = Digest::of(self.receiver.target.as_str().as_bytes());
        if let Some(row) = before.as_ref().filter(|row| row.receiver == receiver) {
            return Ok(row.clone());
        }
        let begun = ExportRow {
            namespace: context.namespace.clone(),
            receiver,
            next: size,
            width: MAX_ENTRIES,
            sent: 0,
            dropped: 0,
            attempts: 0,
            next_at: None,
            sent_at: None,
            dropped_at: None,
            failing_since: None,
            why: None,
            entry_seq: before.map_or(0, |row| row.entry_seq),
        };
        let entry_seq = self.settle(context, &begun, &begun, None, |change| change.detail("began", true)).await?;
        Ok(ExportRow { entry_seq, ..begun })
    }

    /// What ended next, and as much of it as is sent at once. On a thread that may wait for the disk.
    async fn read(&self, context: &Context, from: u64, width: u64) -> Result<(Found, Vec<u8>), Error> {
        let not_before = before(context.now(), SENT_FOR_MS);
        let node = context.namespace.to_string();
        context
            .store
            .scan(move |reader| {
                let mut width = usize::try_from(width.clamp(1, MAX_ENTRIES)).unwrap_or(1);
                loop {
                    let found = read::since(reader, from, width, not_before)?;
                    let body = otlp::request(&node, env!("CARGO_PKG_VERSION"), &found.spans);
                    if body.len() <= MAX_REQUEST_BYTES || width == 1 {
                        return Ok::<_, Error>((found, body));
                    }
                    width /= 2;
                }
            })
            .await
    }

    /// Sends what ended next, if something did.
    async fn send_next(&self, context: &Context, keeper: &Keeper, row: ExportRow) -> Result<Round, Error> {
        let looked = Some(self.next.load(Ordering::Relaxed)).filter(|next| *next != NOTHING_YET);
        let from = looked.map_or(row.next, |next| next.max(row.next));
        let (found, body) = self.read(context, from, row.width).await?;
        let (spans, old) = (found.spans.len() as u64, found.old);
        if spans == 0 && old == 0 {
            self.next.store(found.next, Ordering::Relaxed);
            return Ok(Round { more: found.next > from, ..Round::default() });
        }
        self.tried.store(true, Ordering::Relaxed);
        let with = |change: Change| change.detail("spans", spans).detail("old", old);
        if spans == 0 {
            let now = context.now();
            let after =
                ExportRow { next: found.next, dropped: row.dropped + old, dropped_at: Some(now), ..row.clone() };
            self.settle(context, &row, &after, None, with).await?;
            return Ok(Round { dropped: old, more: true, ..Round::default() });
        }
        let (row, sent) = match self.report(keeper, body) {
            Err(failed) => (row, Sent { dropped: 0, failed: Some(failed) }),
            Ok((report, versions)) => {
                self.send(context, keeper, row, Batch { report, versions, spans, next: found.next }).await?
            }
        };
        let after = after(&row, &sent, spans, &found, context.now());
        self.settle(context, &row, &after, sent.failed.as_ref(), with).await?;
        let is_over = after.next > row.next;
        Ok(Round { sent: after.sent - row.sent, dropped: after.dropped - row.dropped, failed: !is_over, more: is_over })
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
    async fn send(
        &self,
        context: &Context,
        keeper: &Keeper,
        row: ExportRow,
        batch: Batch,
    ) -> Result<(ExportRow, Sent), Error> {
        let known = known(keeper, &batch.report)?;
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
        if !batch.versions.is_empty() {
            change = change.detail("secrets", Value::Object(batch.versions));
        }
        let done = context.commit(change).await?;
        let sending = ExportRow { entry_seq: done.recorded.seq, ..sending };
        let sent = self.answered(self.poster.report(done.warrant, &action, batch.report).await, &known);
        mishap::at("traces.sent.before_settled").map_err(Error::broken)?;
        Ok((sending, sent))
    }

    /// What an answer means. What a receiver says is a stranger's: it may say the secret of its own header.
    fn answered(&self, answer: Result<Reported, FetchError>, known: &Secrets) -> Sent {
        let place = self.receiver.place();
        let failed = match answer {
            Err(error @ FetchError::AddressRefused { .. }) => {
                let why = format!("{}; where that is meant, `[traces]` says `inside = true`", error.in_short());
                Failed::new(error.code(), why)
            }
            Err(error) => Failed::new(error.code(), error.in_short()),
            Ok(Reported { status: 200..=299, body, .. }) => {
                let (dropped, said) = otlp::rejected(&body);
                let said: String =
                    known.scrub(&said).chars().filter(|c| !c.is_control()).take(MAX_SAID_CHARS).collect();
                if dropped == 0 && !said.is_empty() {
                    tracing::warn!(to = place, said, "the receiver of traces warns");
                }
                let why = format!("`{place}` did not take {dropped} spans: {said}");
                let failed = Failed { how: How::Taken, ..Failed::new(code::TRACES_NOT_SENT, why) };
                return Sent { dropped, failed: (dropped > 0).then_some(failed) };
            }
            Ok(Reported { status, retry_after_s, .. }) => Failed {
                how: match status {
                    _ if WRONG.contains(&status) => How::Wrong,
                    500 => How::Broken,
                    _ => How::Again(retry_after_s.unwrap_or_default().min(MAX_RETRY_AFTER_S)),
                },
                ..Failed::new(code::TRACES_NOT_SENT, format!("`{place}` answered {status}"))
            },
        };
        Sent { dropped: 0, failed: Some(failed) }
    }

    /// Records how it goes, whatever came into force meanwhile. Gives the entry.
    async fn settle(
        &self,
        context: &Context,
        before: &ExportRow,
        after: &ExportRow,
        failed: Option<&Failed>,
        with: impl Fn(Change) -> Change,
    ) -> Result<u64, Error> {
        let node = Caller::node(&context.namespace);
        if let Some(Failed { why, .. }) = failed {
            let again_at = after.next_at.map(|at| at.to_string());
            tracing::warn!(to = self.receiver.place(), why, again_at, "spans were not sent, or not taken");
        }
        let outcome = match failed {
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
                other => return other.map(|done| done.recorded.seq),
            }
        }
        Err(Error::broken("attempts are counted"))
    }
}

/// What a receiver may not be heard saying: what the node holds, and what was sent to it.
fn known(keeper: &Keeper, report: &Report) -> Result<Secrets, Error> {
    let sent = report.headers.iter().flat_map(|(_, secret)| {
        let parts = secret.reveal().split_whitespace().filter(|part| part.len() >= MIN_PART_BYTES).map(Secret::new);
        std::iter::once(secret.clone()).chain(parts)
    });
    let sent = Secrets::of(sent).however_written();
    Ok(keeper.all().map_err(Error::broken)?.with(&sent))
}

/// Where it is after sending: further, if these spans are over with.
fn after(row: &ExportRow, sent: &Sent, spans: u64, found: &Found, now: Timestamp) -> ExportRow {
    let why = sent.failed.as_ref().map(|failed| failed.why.clone());
    let is_one = found.entries <= 1;
    let (is_over, dropped) = match sent.failed.as_ref().map(|failed| failed.how) {
        None | Some(How::Taken) => (true, sent.dropped.min(spans)),
        Some(How::Wrong) if is_one => (true, spans),
        Some(How::Broken) if is_one && row.attempts >= MAX_BROKEN => (true, spans),
        Some(_) => (false, 0),
    };
    if is_over {
        let lost = dropped + found.old;
        return ExportRow {
            next: found.next,
            // Carefully, behind something that was wrong.
            width: if dropped < spans { (row.width * 2).min(MAX_ENTRIES) } else { 1 },
            sent: row.sent + spans - dropped,
            dropped: row.dropped + lost,
            attempts: 0,
            next_at: None,
            sent_at: if dropped < spans { Some(now) } else { row.sent_at },
            dropped_at: if lost > 0 { Some(now) } else { row.dropped_at },
            failing_since: None,
            why,
            ..row.clone()
        };
    }
    let (attempts, least_s) = match sent.failed.as_ref().map(|failed| failed.how) {
        // Whoever says so is there.
        Some(How::Wrong) => (0, 0),
        Some(How::Again(least_s)) => (row.attempts, least_s),
        _ => (row.attempts, 0),
    };
    ExportRow {
        // Half of what was sent: it may be too much, or one of them may be wrong.
        width: (found.entries / 2).clamp(1, MAX_ENTRIES),
        attempts: row.attempts + 1,
        next_at: Some(again_at(attempts, least_s, now)),
        failing_since: Some(row.failing_since.unwrap_or(now)),
        why,
        ..row.clone()
    }
}

fn before(now: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms().saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
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
