//! Values that are made for one lease each: made when a run first needs one, and ended when that is over.
//!
//! ```text
//! let made = generators.make(&context, &keeper, &asks, &lacks).await?;    // `making` is on record, then its generator is told
//! issue(&context, &asks, lacks, Some(made), "model.call:fast").await?     // one commit: the lease, and that its value was made
//! generators.round(&context, &keeper, "postgres").await?                  // whatever is over is ended: told again until it is
//! ```
//!
//! The truth is rows of `secret_made`, which hold no value: one that is there, and whose lease is over, or is of a process that died, is to be
//! ended. So it does not matter how a lease came to its end, and nobody who ends one need know of this.
//!
//! Deliberately absent: what a program is told and says (generator.rs), and how long a lease holds (the tier says).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Granted, Kind, code};
use steward_clock::{Timestamp, mishap};
use steward_keeper::Keeper;
use steward_ledger::{BodyOutcome, kind};
use steward_naming::{Label, LeaseId, Name, RunId, TraceId, visible};
use steward_permit::{Action, ResourceKind, Warrant};
use steward_store::{Change, Guard};
use steward_worker::{EffectError, Plain, PlainEnd, PlainEnded};

use crate::{
    generator::{Generator, MAX_WHY_CHARS, NotMade},
    lease::{Asks, Lacks},
    rows::{self, MadeFor, MadeRow, MadeState, SecretRow},
};

/// After which times a generator is told again that something is over, in seconds; from then on after the last. It is never given up.
pub const END_AGAIN_AFTER_S: [u64; 7] = [2, 10, 30, 120, 600, 1_800, 3_600];

/// How often it is told in vain before people are told.
pub const FAILURES_BEFORE_ALERT: u32 = 3;

/// How long a generator is not asked for another value after it made none, in seconds: an agent that tries in a loop starts no program each time.
pub const REST_AFTER_FAILURE_S: u64 = 2;

/// How long a program may still be at work that was told to make a value and did not end well, in seconds: its time was over, or its node died.
/// What it made meanwhile is ended then, whatever it said before.
pub const UNCERTAIN_FOR_S: u64 = 300;

/// How long what is made for the node itself is used, in milliseconds: who reads what servers say of their tools.
const FOR_NODE_MS: u64 = 3_600_000;

/// How many values one generator makes at once; whoever comes later waits.
const MAX_MAKING: usize = 4;

/// The most that one round ends, so that a node that stops does not wait for more.
const MAX_ENDED_AT_ONCE: usize = 32;

/// How often it is tried to record what a policy that came into force meanwhile made stale.
const MAX_RECORDED: u32 = 3;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many were ended.
    pub ended: usize,
    /// How many could not be.
    pub failed: usize,
}

/// What a generator made and did not end, though it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnded {
    /// The generator.
    pub generator: Label,
    /// How many.
    pub count: usize,
    /// Since when.
    pub since: Timestamp,
    /// Why not.
    pub why: String,
}

/// The generators of a node.
#[derive(Debug, Default)]
pub struct Generators {
    slots: BTreeMap<Label, Slot>,
    /// The leases for which this process makes a value just now. One that is on its way and not here was left by a process that died.
    making: Arc<Mutex<BTreeSet<LeaseId>>>,
}

#[derive(Debug)]
struct Slot {
    generator: Generator,
    places: tokio::sync::Semaphore,
    /// Until when it is not asked for a value.
    rests_until: Mutex<Option<Timestamp>>,
    /// Held for a round.
    turn: tokio::sync::Mutex<()>,
}

/// A value that was made, and is held by the keeper. Dropped before its lease is on record, it is ended.
#[derive(Debug)]
pub struct Made {
    pub(crate) row: MadeRow,
    keeper: Keeper,
    is_leased: bool,
    _making: Making,
}

impl Made {
    /// Its secret.
    pub fn secret(&self) -> &Label {
        &self.row.secret
    }

    /// The lease that it was made for.
    pub fn lease(&self) -> &LeaseId {
        &self.row.lease
    }

    /// It is on record with its lease.
    pub(crate) fn keep(mut self) {
        self.is_leased = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.is_leased {
            self.keeper.end_made(self.row.lease.as_str());
        }
    }
}

/// What is to be made.
struct Wanted<'a> {
    secret: &'a Label,
    version: u64,
    by: &'a Label,
    run: Option<&'a RunId>,
    agent: Option<&'a Name>,
    trace: Option<&'a TraceId>,
    lifetime_ms: u64,
    /// What must still hold.
    holds: Vec<Guard>,
}

/// That a value is being made.
#[derive(Debug)]
struct Making {
    lease: LeaseId,
    all: Arc<Mutex<BTreeSet<LeaseId>>>,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.all.lock().expect("no holder of this lock panics").remove(&self.lease);
    }
}

/// How an attempt ended: why not, if not.
struct Attempt {
    status: Option<i64>,
    failed: Option<(&'static str, String)>,
}

impl Attempt {
    fn failed(code: &'static str, why: impl Into<String>) -> Self {
        Self { status: None, failed: Some((code, why.into().chars().take(MAX_WHY_CHARS).collect())) }
    }

    fn outcome(&self) -> BodyOutcome {
        let (error_type, error_message) = match &self.failed {
            None => (None, None),
            Some((code, why)) => (Some((*code).to_owned()), Some(why.clone())),
        };
        BodyOutcome { success: self.failed.is_none(), error_type, error_message }
    }
}

impl Generators {
    /// Those that were configured.
    pub fn new(generators: impl IntoIterator<Item = Generator>) -> Self {
        let slot = |generator: Generator| {
            let name = generator.name.clone();
            let places = tokio::sync::Semaphore::new(MAX_MAKING);
            let (rests_until, turn) = (Mutex::default(), tokio::sync::Mutex::default());
            (name, Slot { generator, places, rests_until, turn })
        };
        Self { slots: generators.into_iter().map(slot).collect(), making: Arc::default() }
    }

    /// Their names.
    pub fn names(&self) -> Vec<Label> {
        self.slots.keys().cloned().collect()
    }

    /// Whether something is being made just now.
    pub fn are_making(&self) -> bool {
        !self.making.lock().expect("no holder of this lock panics").is_empty()
    }

    /// That there is such a generator.
    ///
    /// # Errors
    /// There is none, and which there are.
    pub fn look_for(&self, name: &str) -> Result<(), Error> {
        self.slot(name).map(|_| ())
    }

    fn slot(&self, name: &str) -> Result<&Slot, Error> {
        let found = self.slots.iter().find_map(|(known, slot)| (known.as_str() == name).then_some(slot));
        found.ok_or_else(|| {
            let there = match self.names().as_slice() {
                [] => "it has none".to_owned(),
                names => format!("it has {}", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
            };
            let message = format!(
                "there is no generator `{}` in the node's configuration ({there}); an operator adds it: `[[generators]]` in steward.toml",
                visible(name)
            );
            Error::new(Kind::Invalid, code::NO_GENERATOR, message)
        })
    }

    /// Has a value made for a lease that is to be. That it is made is on record before; what was made is in memory only.
    ///
    /// To be awaited to its end: whoever gives up waiting does so outside.
    ///
    /// # Errors
    /// There is no such generator, it made nothing that can be used (what it may have made all the same is ended), or it is stale.
    pub async fn make(&self, context: &Context, keeper: &Keeper, asks: &Asks, lacks: &Lacks) -> Result<Made, Error> {
        let Some(by) = &lacks.made_by else { return Err(Error::broken("the secret has a value of its own")) };
        let wanted = Wanted {
            secret: &lacks.secret,
            version: lacks.version,
            by,
            run: Some(&asks.run),
            agent: Some(&asks.agent),
            trace: Some(&asks.trace),
            lifetime_ms: asks.lifetime_ms,
            holds: [&[lacks.as_it_is.clone()][..], &asks.holds].concat(),
        };
        self.make_it(context, keeper, &wanted).await
    }

    /// Has a value made for what the node asks itself. It is over when what is returned is dropped, and in an hour at the latest.
    ///
    /// To be awaited to its end, as [`Generators::make`].
    ///
    /// # Errors
    /// As of [`Generators::make`]; or the secret is none of these.
    pub async fn make_for_node(&self, context: &Context, keeper: &Keeper, secret: &Label) -> Result<Made, Error> {
        let row = context.store.read(|reader| rows::secret(reader, &context.namespace, secret))?;
        let Some(row) = row.filter(SecretRow::is_made) else {
            return Err(Error::new(Kind::Stale, code::STALE, format!("the secret `{secret}` was changed; try again")));
        };
        let Some(by) = &row.made_by else { return Err(Error::broken("it is made by somebody")) };
        let wanted = Wanted {
            secret,
            version: row.version,
            by,
            run: None,
            agent: None,
            trace: None,
            lifetime_ms: FOR_NODE_MS,
            holds: vec![row.guard()],
        };
        let made = self.make_it(context, keeper, &wanted).await?;
        let node = Caller::node(&context.namespace);
        let action = context.action("secret.lease", ResourceKind::Secret, secret.as_str())?;
        let granted = own_leave(context, &node, action).await?;
        let change = context
            .change(&node, granted, kind::SECRET_LEASED, made.row.lease.as_str())
            .guard(row.guard())
            .guard(made.row.guard())
            .row(made.row.row())
            .detail("secret", secret.as_str())
            .detail("version", row.version.to_string())
            .detail("for", "the node")
            .detail("until", made.row.expires_at.to_string())
            .detail("made_by", by.as_str())
            .detail("maker_id", json!(made.row.maker_id));
        context.commit(change).await?;
        Ok(made)
    }

    async fn make_it(&self, context: &Context, keeper: &Keeper, wanted: &Wanted<'_>) -> Result<Made, Error> {
        let by = wanted.by;
        // Whoever asks is an agent, and it is not its doing.
        let slot = self.slot(by.as_str()).map_err(|error| Error::new(Kind::Unavailable, error.code, error.message))?;
        let _place = slot.places.acquire().await.map_err(Error::broken)?;
        slot.is_rested(context.now(), wanted.secret)?;
        let made_at = context.now();
        let lease = LeaseId::new(made_at, context.dice.as_ref());
        let row = MadeRow {
            namespace: context.namespace.clone(),
            lease: lease.clone(),
            secret: wanted.secret.clone(),
            version: wanted.version,
            generator: by.clone(),
            run: wanted.run.cloned(),
            agent: wanted.agent.cloned(),
            state: MadeState::Making,
            maker_id: None,
            made_at,
            expires_at: made_at.plus_ms(wanted.lifetime_ms),
            attempts: 0,
            next_at: made_at,
            uncertain_until: None,
            failing_since: None,
            why: None,
            entry_seq: 0,
        };
        let seconds = wanted.lifetime_ms / 1_000;
        let plain = slot.generator.make(keeper, &row, seconds).map_err(|error| {
            let message = format!("the secret `{}` cannot be made: {error}", row.secret);
            Error::new(Kind::Unavailable, code::SECRET_NOT_MADE, message)
        })?;
        let node = Caller { trace: wanted.trace.cloned(), ..Caller::node(&context.namespace) };
        let action = slot.action(context, "secret.make", &plain)?;
        let granted = context.permit(&node, action.clone(), None).await.map_err(|error| match error.kind {
            Kind::Refused => slot.not_made(&row, "policy does not let the node tell it to"),
            _ => error,
        })?;
        // Before it is on record, so that nobody takes it for left behind.
        self.making.lock().expect("no holder of this lock panics").insert(lease.clone());
        let making = Making { lease, all: Arc::clone(&self.making) };
        let change = context
            .change(&node, granted, kind::SECRET_MAKING, row.lease.as_str())
            .guards(wanted.holds.iter().cloned())
            .guard(row.guard())
            .row(row.row())
            .detail("secret", row.secret.as_str())
            .detail("version", row.version.to_string())
            .detail("generator", row.generator.as_str())
            .detail("run", json!(row.run))
            .detail("agent", json!(row.agent.as_ref().map(ToString::to_string)))
            .detail("until", row.expires_at.to_string())
            .detail("secrets", slot.versions(keeper));
        let done = context.commit(change).await?;
        let row = MadeRow { entry_seq: done.recorded.seq, ..row };
        mishap::at("secret.making").map_err(Error::broken)?;
        let ran = slot.run(done.warrant, action, plain).await?;
        mishap::at("secret.made").map_err(Error::broken)?;
        let answer = match ran {
            Ok(ended) => slot.generator.answer(keeper, &row.secret, ended),
            Err(error) => Err(NotMade { how: error.to_string(), error: None }),
        };
        match answer {
            Ok(answer) => {
                keeper.hold_made(row.lease.as_str(), answer.value);
                let row = MadeRow { state: MadeState::Made, maker_id: answer.id, ..row };
                Ok(Made { row, keeper: keeper.clone(), is_leased: false, _making: making })
            }
            Err(NotMade { how, error }) => {
                let why = error.map_or_else(|| how.clone(), |error| format!("{how}: {error}"));
                let now = context.now();
                *slot.rests_until.lock().expect("no holder of this lock panics") =
                    Some(now.plus_ms(REST_AFTER_FAILURE_S * 1_000));
                let over = MadeRow {
                    state: MadeState::Ending,
                    next_at: now,
                    uncertain_until: Some(now.plus_ms(UNCERTAIN_FOR_S * 1_000)),
                    ..row.clone()
                };
                let attempt = Attempt::failed(code::SECRET_NOT_MADE, why.clone());
                tracing::warn!(
                    secret = row.secret.as_str(),
                    generator = row.generator.as_str(),
                    run.id = row.run.as_ref().map(|run| run.as_str()),
                    why,
                    "a secret could not be made"
                );
                settle(context, kind::SECRET_NOT_MADE, &row, &attempt, |change| change.row(over.row())).await?;
                Err(slot.not_made(&row, &how))
            }
        }
    }

    /// Ends what is over, of one generator. Done again and again, by one task for each.
    ///
    /// # Errors
    /// There is no such generator; or the store cannot be read or written. The next round goes on.
    pub async fn round(&self, context: &Context, keeper: &Keeper, name: &str) -> Result<Ended, Error> {
        let slot = self.slot(name)?;
        let _turn = slot.turn.lock().await;
        let mut round = Ended::default();
        // What is behind a head that is known writes nothing, and so ends nothing.
        if context.store.behind().is_some() {
            return Ok(round);
        }
        while round.ended < MAX_ENDED_AT_ONCE {
            let due = self.due(context, keeper, Some(name))?;
            let Some(row) = due.into_iter().find(|row| row.next_at <= context.now()) else { break };
            if slot.end_one(context, keeper, row).await? {
                round.ended += 1;
            } else {
                // Whoever does not answer now does not answer for the next either.
                round.failed += 1;
                break;
            }
        }
        Ok(round)
    }

    /// What is over and not ended: of one generator, or of all. What was told before and is told again later is among it.
    fn due(&self, context: &Context, keeper: &Keeper, of: Option<&str>) -> Result<Vec<MadeRow>, Error> {
        let now = context.now();
        let read = || context.store.read(|reader| rows::made(reader, &context.namespace));
        let mut all = read()?;
        let left: BTreeSet<LeaseId> = {
            let making = self.making.lock().expect("no holder of this lock panics");
            let is_left = |row: &MadeRow| row.state == MadeState::Making && !making.contains(&row.lease);
            all.iter().map(|made| &made.row).filter(|row| is_left(row)).map(|row| row.lease.clone()).collect()
        };
        if !left.is_empty() {
            // What was made between the two looks is on record as made by now.
            all = read()?;
        }
        let is_over = |made: &MadeFor| match made.row.state {
            MadeState::Ending => true,
            MadeState::Making => left.contains(&made.row.lease),
            // One that nobody has in memory is of a process that died.
            MadeState::Made => {
                !made.is_leased
                    || !made.is_current
                    || made.row.expires_at <= now
                    || keeper.made(made.row.lease.as_str()).is_none()
            }
        };
        let of_it = all.into_iter().filter(|made| of.is_none_or(|name| made.row.generator.as_str() == name));
        Ok(of_it.filter(is_over).map(|made| made.row).collect())
    }

    /// The leases whose values are over, of one generator: whoever was given one is ended before its generator is told.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn over(&self, context: &Context, keeper: &Keeper, name: &str) -> Result<Vec<LeaseId>, Error> {
        let due = self.due(context, keeper, Some(name))?;
        Ok(due.into_iter().map(|row| row.lease).collect())
    }

    /// What is over and could not be ended several times; and all that is over whose generator is not configured any more.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn not_ended(&self, context: &Context, keeper: &Keeper) -> Result<Vec<NotEnded>, Error> {
        let due = self.due(context, keeper, None)?;
        let mut found: BTreeMap<Label, NotEnded> = BTreeMap::new();
        for row in due {
            let is_gone = !self.slots.contains_key(&row.generator);
            let (since, why) = match (is_gone, row.failing_since) {
                (true, _) => {
                    (row.made_at, "its generator is not in the node's configuration any more; put it back".to_owned())
                }
                (false, Some(since)) if row.attempts >= FAILURES_BEFORE_ALERT => {
                    (since, row.why.clone().unwrap_or_default())
                }
                _ => continue,
            };
            let generator = row.generator.clone();
            let known = found.entry(generator.clone()).or_insert_with(|| NotEnded { generator, count: 0, since, why });
            known.count += 1;
            known.since = known.since.min(since);
        }
        Ok(found.into_values().collect())
    }
}

impl Slot {
    fn action(&self, context: &Context, name: &'static str, plain: &Plain) -> Result<Action, Error> {
        let action = context.action(name, ResourceKind::Command, self.generator.program())?;
        Ok(action.with_arguments(plain.digest()))
    }

    /// Which values its own secrets have, as an entry has them.
    fn versions(&self, keeper: &Keeper) -> serde_json::Value {
        let version = |name: &Label| keeper.version(name.as_str()).map(|version| version.to_string());
        self.generator
            .secrets
            .values()
            .map(|name| (name.to_string(), json!(version(name))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn is_rested(&self, now: Timestamp, secret: &Label) -> Result<(), Error> {
        match *self.rests_until.lock().expect("no holder of this lock panics") {
            Some(until) if now < until => {
                let message = format!(
                    "the secret `{secret}` could not be made a moment ago; try again in {REST_AFTER_FAILURE_S} s"
                );
                Err(Error::new(Kind::Unavailable, code::SECRET_NOT_MADE, message))
            }
            _ => Ok(()),
        }
    }

    fn not_made(&self, row: &MadeRow, why: &str) -> Error {
        let message = format!("the secret `{}` could not be made: {why}; nothing was asked", row.secret);
        Error::new(Kind::Unavailable, code::SECRET_NOT_MADE, message)
    }

    async fn run(
        &self,
        warrant: Warrant,
        action: Action,
        plain: Plain,
    ) -> Result<Result<PlainEnded, EffectError>, Error> {
        let most = Duration::from_secs(self.generator.timeout_s);
        let ran = tokio::task::spawn_blocking(move || plain.run_within(warrant, &action, most)).await;
        ran.map_err(Error::broken)
    }

    /// Tells it once that something is over. Whether it ended it.
    async fn end_one(&self, context: &Context, keeper: &Keeper, row: MadeRow) -> Result<bool, Error> {
        // Nobody is given it any more, whatever comes of this.
        keeper.end_made(row.lease.as_str());
        let now = context.now();
        let attempts = row.attempts.saturating_add(1);
        let of_a_dead_process = (row.state == MadeState::Making).then(|| now.plus_ms(UNCERTAIN_FOR_S * 1_000));
        // If the node dies now, this is when it is told again.
        let ending = MadeRow {
            state: MadeState::Ending,
            attempts,
            next_at: now.plus_ms(again_after_ms(attempts)),
            uncertain_until: row.uncertain_until.or(of_a_dead_process),
            ..row.clone()
        };
        let plain = match self.generator.end(keeper, &row) {
            Ok(plain) => plain,
            Err(error) => {
                let attempt = Attempt::failed(code::SECRET_NOT_MADE, error.to_string());
                return self.ended(context, &row, ending, attempt).await;
            }
        };
        let node = Caller::node(&context.namespace);
        let action = self.action(context, "secret.end", &plain)?;
        let granted = match context.permit(&node, action.clone(), None).await {
            Err(error) if error.kind == Kind::Refused => {
                return self.ended(context, &row, ending, Attempt::failed(error.code, error.message)).await;
            }
            granted => granted?,
        };
        let change = context
            .change(&node, granted, kind::SECRET_ENDING, row.lease.as_str())
            // Whatever could be revoked on a full store is ended, too.
            .urgent()
            .guard(row.guard())
            .row(ending.row())
            .detail("secret", row.secret.as_str())
            .detail("generator", row.generator.as_str())
            .detail("attempt", attempts)
            .detail("secrets", self.versions(keeper));
        let done = context.commit(change).await?;
        let ending = MadeRow { entry_seq: done.recorded.seq, ..ending };
        mishap::at("secret.ending").map_err(Error::broken)?;
        let attempt = match self.run(done.warrant, action, plain).await? {
            Ok(PlainEnded { end: PlainEnd::Exited(0), .. }) => Attempt { status: Some(0), failed: None },
            Ok(ended) => {
                let (how, said) = (
                    self.generator.how(&ended.end),
                    keeper.all().map(|known| ended.said_without(&known)).unwrap_or_default(),
                );
                let why = if said.is_empty() { how } else { format!("{how}: {said}") };
                let status = match ended.end {
                    PlainEnd::Exited(code) => Some(code.into()),
                    _ => None,
                };
                Attempt { status, ..Attempt::failed(code::SECRET_NOT_ENDED, why) }
            }
            Err(error) => Attempt::failed(error.code(), error.to_string()),
        };
        mishap::at("secret.ended").map_err(Error::broken)?;
        self.ended(context, &ending, ending.clone(), attempt).await
    }

    /// Records how it went: it is gone, or when it is told again.
    async fn ended(
        &self,
        context: &Context,
        before: &MadeRow,
        ending: MadeRow,
        attempt: Attempt,
    ) -> Result<bool, Error> {
        let now = context.now();
        let after = match &attempt.failed {
            // Whatever is at work still may make it after it was ended.
            None => ending.uncertain_until.filter(|until| now < *until).map(|until| MadeRow {
                attempts: 0,
                next_at: until,
                failing_since: None,
                why: None,
                ..ending.clone()
            }),
            Some((_, why)) => Some(MadeRow {
                failing_since: Some(ending.failing_since.unwrap_or(now)),
                why: Some(why.clone()),
                ..ending.clone()
            }),
        };
        if let Some((_, why)) = &attempt.failed {
            tracing::warn!(
                secret = ending.secret.as_str(),
                generator = ending.generator.as_str(),
                lease = ending.lease.as_str(),
                attempt = ending.attempts,
                why,
                again_at = ending.next_at.to_string(),
                "a secret that was made is over and could not be ended"
            );
        }
        settle(context, kind::SECRET_ENDED, before, &attempt, |change| {
            let change = change.detail("attempt", ending.attempts).detail("status", json!(attempt.status));
            match &after {
                None => change.row(before.gone()),
                Some(row) => change.row(row.row()).detail("again_at", row.next_at.to_string()),
            }
        })
        .await?;
        Ok(attempt.failed.is_none())
    }
}

/// When a generator is told again after so many attempts, in milliseconds.
fn again_after_ms(attempts: u32) -> u64 {
    let n = usize::try_from(attempts).unwrap_or(usize::MAX).clamp(1, END_AGAIN_AFTER_S.len());
    END_AGAIN_AFTER_S[n - 1] * 1_000
}

/// The node's leave for its own upkeep. A policy that refuses it is broken.
async fn own_leave(context: &Context, node: &Caller, action: Action) -> Result<Granted, Error> {
    let granted = context.permit(node, action, None).await;
    granted.map_err(|error| if error.kind == Kind::Refused { Error::broken(error) } else { error })
}

/// Records how something ended, whatever came into force meanwhile.
async fn settle(
    context: &Context,
    kind: &'static str,
    before: &MadeRow,
    attempt: &Attempt,
    with: impl Fn(Change) -> Change,
) -> Result<(), Error> {
    let node = Caller::node(&context.namespace);
    for recorded in 1..=MAX_RECORDED {
        let action = context.action("secret.settle", ResourceKind::Secret, before.secret.as_str())?;
        let granted = own_leave(context, &node, action).await?;
        let change = context
            .change(&node, granted, kind, before.lease.as_str())
            .urgent()
            .guard(before.guard())
            .outcome(attempt.outcome())
            .detail("secret", before.secret.as_str())
            .detail("generator", before.generator.as_str());
        match context.commit(with(change)).await {
            Err(error) if error.kind == Kind::Stale && recorded < MAX_RECORDED => {}
            other => return other.map(|_| ()),
        }
    }
    Err(Error::broken("attempts are counted"))
}
