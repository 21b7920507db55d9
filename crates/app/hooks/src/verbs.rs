//! Reading on, telling, and trying.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Granted, Kind, code};
use steward_clock::mishap;
use steward_fetch::{Letter, Poster};
use steward_keeper::Keeper;
use steward_ledger::{BodyOutcome, kind};
use steward_naming::{ActionId, Label, visible};
use steward_permit::{Action, ResourceKind, Warrant};
use steward_seal::{Digest, webhook::WebhookKey};
use steward_store::{Change, Reader, StoreError};
use steward_worker::{Plain, PlainEnd};

use crate::{
    hook::{Hook, To},
    letter, news,
    rows::{self, DeliveryRow, HookRow},
};

/// After which times it is tried again, in seconds: nine attempts in half a day. Then it is given up.
pub const RETRY_AFTER_S: [u64; 8] = [5, 30, 120, 600, 1_800, 3_600, 3 * 3_600, 6 * 3_600];

/// The most that waits to be told to one hook. Beyond that it reads no further until there is room; of what is older than a day by then, only what
/// still waits is told.
pub const MAX_WAITING: u64 = 1_000;

/// The most that one round tells, so that a node that stops does not wait for more.
const MAX_TOLD_AT_ONCE: usize = 32;

/// The longest reason that is kept, in characters.
const MAX_WHY_CHARS: usize = 200;

/// How often it is tried to record what a policy that came into force meanwhile made stale.
const MAX_RECORDED: u32 = 3;

/// That a receiver wants to be told nothing any more.
const GONE: u16 = 410;

/// Nothing was looked at yet by this process.
const NOTHING_YET: u64 = u64::MAX;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How much news was found.
    pub queued: usize,
    /// How often it was told.
    pub told: usize,
    /// How often it was not.
    pub failed: usize,
}

/// A hook, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookView {
    /// As it was configured.
    pub hook: Hook,
    /// Where it is; none before its first round.
    pub row: Option<HookRow>,
    /// How much waits to be told.
    pub waiting: u64,
}

/// What came of trying a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// The id of the message.
    pub id: String,
    /// Why it was not told; none: it was.
    pub why: Option<String>,
    /// What a webhook answered, or with which code a command ended.
    pub status: Option<i64>,
    /// How long it took.
    pub ms: u64,
}

/// How an attempt ended.
struct Attempt {
    status: Option<i64>,
    failed: Option<Failed>,
}

/// Why it was not told.
struct Failed {
    code: &'static str,
    why: String,
    /// Whether it is of no use to try again.
    for_good: bool,
}

impl Failed {
    fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into().chars().take(MAX_WHY_CHARS).collect(), for_good: false }
    }
}

/// What is sent, made before it is permitted.
enum Message {
    Letter(Box<Letter>),
    Plain(Plain),
}

impl Message {
    fn digest(&self) -> Digest {
        match self {
            Self::Letter(letter) => letter.digest(),
            Self::Plain(plain) => plain.digest(),
        }
    }

    fn kind(&self) -> ResourceKind {
        match self {
            Self::Letter(_) => ResourceKind::Host,
            Self::Plain(_) => ResourceKind::Command,
        }
    }
}

/// The hooks of a node.
#[derive(Debug, Default)]
pub struct Hooks(BTreeMap<Label, Slot>);

#[derive(Debug)]
struct Slot {
    hook: Hook,
    poster: Poster,
    /// The entry that is looked at next: beyond the cursor there may be much that is no news.
    next: AtomicU64,
    /// Held for a round.
    turn: tokio::sync::Mutex<()>,
}

impl Hooks {
    /// Those that were configured.
    pub fn new(hooks: impl IntoIterator<Item = Hook>) -> Self {
        let slot = |hook: Hook| {
            let inside = matches!(hook.to, To::Web { inside: true, .. });
            let (poster, next) = (Poster::new(inside), AtomicU64::new(NOTHING_YET));
            (hook.name.clone(), Slot { hook, poster, next, turn: tokio::sync::Mutex::default() })
        };
        Self(hooks.into_iter().map(slot).collect())
    }

    /// Their names.
    pub fn names(&self) -> Vec<Label> {
        self.0.keys().cloned().collect()
    }

    fn slot(&self, name: &str) -> Result<&Slot, Error> {
        self.0
            .iter()
            .find_map(|(known, slot)| (known.as_str() == name).then_some(slot))
            .ok_or_else(|| Error::not_found(format!("hook `{}`; `steward hook list` shows them", visible(name))))
    }

    /// Every hook, and where it is: for whoever may look.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn views(&self, context: &Context) -> Result<Vec<HookView>, Error> {
        let view = |slot: &Slot| {
            context.store.read(|reader| {
                let (namespace, name) = (&context.namespace, &slot.hook.name);
                Ok::<_, Error>(HookView {
                    hook: slot.hook.clone(),
                    row: rows::hook(reader, namespace, name)?,
                    waiting: rows::waiting(reader, namespace, name)?,
                })
            })
        };
        self.0.values().map(view).collect()
    }

    /// Reads on, and tells what is due. Done again and again, by one task for each hook.
    ///
    /// # Errors
    /// There is no such hook; or the store cannot be read or written. Nothing is lost then: the next round goes on.
    pub async fn round(&self, context: &Context, keeper: &Keeper, name: &str) -> Result<Round, Error> {
        let slot = self.slot(name)?;
        let _turn = slot.turn.lock().await;
        // What is behind a head that is known writes nothing, and so tells nothing.
        if context.store.behind().is_some() {
            return Ok(Round::default());
        }
        // What waits already is told, whatever keeps the hook from reading on.
        let queued = slot.read_on(context).await;
        let mut round = Round::default();
        while round.told < MAX_TOLD_AT_ONCE {
            match slot.tell_next(context, keeper).await? {
                None => break,
                Some(true) => round.told += 1,
                // Whoever does not answer now does not answer the next either.
                Some(false) => {
                    round.failed += 1;
                    break;
                }
            }
        }
        Ok(Round { queued: queued?, ..round })
    }

    /// A person tries whether a hook is told. What comes of it is on record, and changes nothing of what the hook is still to be told.
    ///
    /// # Errors
    /// It is not allowed, there is no such hook, or it cannot be recorded.
    pub async fn test(&self, context: &Context, keeper: &Keeper, caller: &Caller, name: &str) -> Result<Tested, Error> {
        let slot = match self.slot(name) {
            Ok(slot) => slot,
            Err(why) => return Err(context.absent(caller, "hook.test", ResourceKind::Command, name, why).await),
        };
        let now = context.now();
        let id = ActionId::new(now, context.dice.as_ref()).as_str().replace("act_", "test_");
        let body = letter::of_test(context, &caller.actor.full_name(), now);
        let message = slot.message(context, keeper, letter::TEST, &id, body);
        // Without a key nothing can be sent, but whether they may ask comes first.
        let (kind, digest) = match &message {
            Ok((message, _)) => (message.kind(), message.digest()),
            Err(_) => (slot.resource(), Digest::of(id.as_bytes())),
        };
        let action = context.action("hook.test", kind, slot.hook.to.place())?.with_arguments(digest);
        let granted = context.permit(caller, action.clone(), None).await?;
        let (message, version) = match message {
            Ok(message) => message,
            Err(failed) => return Ok(Tested { id, why: Some(failed.why), status: None, ms: 0 }),
        };
        let change = context
            .change(caller, granted, kind::HOOK_SENDING, slot.hook.name.as_str())
            .detail("id", id.as_str())
            .detail("event", letter::TEST);
        let done = context.commit(with_version(change, &slot.hook, version)).await?;
        let began = context.now();
        let attempt = slot.send(keeper, done.warrant, &action, message).await?;
        let ms = context.now().since_ms(began);
        let settled = |change: Change| change.detail("id", id.as_str()).detail("event", letter::TEST);
        settle(context, &slot.hook, &attempt, settled).await?;
        Ok(Tested { id, why: attempt.failed.map(|failed| failed.why), status: attempt.status, ms })
    }
}

impl Slot {
    fn resource(&self) -> ResourceKind {
        match &self.hook.to {
            To::Web { .. } => ResourceKind::Host,
            To::Command(_) => ResourceKind::Command,
        }
    }

    fn load(&self, context: &Context, reader: &Reader<'_>) -> Result<(HookRow, u64), StoreError> {
        let (namespace, name) = (&context.namespace, &self.hook.name);
        // One that was just configured begins now: what happened before it is no news to it.
        let row = rows::hook(reader, namespace, name)?.map_or_else(
            || {
                Ok::<_, StoreError>(HookRow {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    next: reader.size()?,
                    told: 0,
                    gave_up: 0,
                    told_at: None,
                    failing_since: None,
                    gave_up_at: None,
                    why: None,
                    entry_seq: 0,
                })
            },
            Ok,
        )?;
        Ok((row, rows::waiting(reader, namespace, name)?))
    }

    /// Makes deliveries of what is news, and moves the cursor, in one commit.
    async fn read_on(&self, context: &Context) -> Result<usize, Error> {
        let now = context.now();
        let (row, waiting) = context.store.read(|reader| self.load(context, reader))?;
        if waiting + u64::from(news::MAX_FOUND) > MAX_WAITING {
            return Ok(0);
        }
        let known = Some(self.next.load(Ordering::Relaxed)).filter(|next| *next != NOTHING_YET);
        let from = known.map_or(row.next, |next| next.max(row.next));
        let (found, next) = context.store.read(|reader| news::since(reader, &context.namespace, from))?;
        let told: Vec<_> =
            found.iter().filter(|news| self.hook.events.contains(&news.event) && news.is_news(now)).collect();
        if told.is_empty() && row.entry_seq != 0 {
            self.next.store(next, Ordering::Relaxed);
            return Ok(0);
        }
        let node = Caller::node(&context.namespace);
        let action = context.action("hook.queue", ResourceKind::Node, context.namespace.as_str())?;
        let granted = own_leave(context, &node, action).await?;
        let ids: Vec<String> = told.iter().map(|news| news.id()).collect();
        let after = HookRow { next, ..row.clone() };
        let mut change = context
            .change(&node, granted, kind::HOOK_QUEUED, self.hook.name.as_str())
            .guard(row.guard())
            .row(after.row())
            .detail("next", next.to_string())
            .detail("to_tell", ids.clone());
        for (news, id) in told.iter().zip(ids) {
            let delivery = DeliveryRow {
                namespace: context.namespace.clone(),
                hook: self.hook.name.clone(),
                id,
                about: news.about,
                event: news.event.as_str().to_owned(),
                attempts: 0,
                queued_at: now,
                next_at: now,
                entry_seq: 0,
            };
            change = change.guard(delivery.guard()).row(delivery.row());
        }
        context.commit(change).await?;
        self.next.store(next, Ordering::Relaxed);
        Ok(told.len())
    }

    /// Tells what is due first. Whether it was told; none: nothing is due.
    async fn tell_next(&self, context: &Context, keeper: &Keeper) -> Result<Option<bool>, Error> {
        let now = context.now();
        let found = context.store.read(|reader| {
            let due = rows::deliveries(reader, &context.namespace, &self.hook.name, 1)?;
            let Some(delivery) = due.into_iter().find(|delivery| delivery.next_at <= now) else { return Ok(None) };
            let news = news::at(reader, &context.namespace, delivery.about)?;
            Ok::<_, StoreError>(Some((news.into_iter().find(|news| news.id() == delivery.id), delivery)))
        })?;
        let Some((news, delivery)) = found else { return Ok(None) };
        let Some(news) = news else {
            // The entry was erased, and with it what would be told.
            let failed = Failed { for_good: true, ..Failed::new(code::HOOK_FAILED, "what was to be told was erased") };
            self.settle_delivery(context, &delivery, Attempt { status: None, failed: Some(failed) }).await?;
            return Ok(Some(false));
        };
        let body = letter::of_review(context, &news);
        let (message, version) = match self.message(context, keeper, &delivery.event, &delivery.id, body) {
            Ok(message) => message,
            Err(failed) => {
                let tried = DeliveryRow { attempts: delivery.attempts + 1, ..delivery };
                self.settle_delivery(context, &tried, Attempt { status: None, failed: Some(failed) }).await?;
                return Ok(Some(false));
            }
        };
        let node = Caller::node(&context.namespace);
        let action = context.action("hook.deliver", message.kind(), self.hook.to.place())?;
        let action = action.with_arguments(message.digest());
        let granted = match context.permit(&node, action.clone(), None).await {
            Err(error) if error.kind == Kind::Refused => {
                let failed = Failed { for_good: true, ..Failed::new(error.code, error.message) };
                self.settle_delivery(context, &delivery, Attempt { status: None, failed: Some(failed) }).await?;
                return Ok(Some(false));
            }
            granted => granted?,
        };
        let attempts = delivery.attempts + 1;
        // If the node dies now, this is when it is tried again.
        let sending =
            DeliveryRow { attempts, next_at: now.plus_ms(after(attempts).unwrap_or_default()), ..delivery.clone() };
        let change = context
            .change(&node, granted, kind::HOOK_SENDING, self.hook.name.as_str())
            .guard(delivery.guard())
            .row(sending.row())
            .detail("id", sending.id.as_str())
            .detail("event", sending.event.as_str())
            .detail("attempt", attempts);
        let done = context.commit(with_version(change, &self.hook, version)).await?;
        let sending = DeliveryRow { entry_seq: done.recorded.seq, ..sending };
        let attempt = self.send(keeper, done.warrant, &action, message).await?;
        mishap::at("hook.told.before_settled").map_err(Error::broken)?;
        let is_told = attempt.failed.is_none();
        self.settle_delivery(context, &sending, attempt).await?;
        Ok(Some(is_told))
    }

    /// What is sent, and the version of the secret that signs it.
    fn message(
        &self,
        context: &Context,
        keeper: &Keeper,
        event: &str,
        id: &str,
        body: Vec<u8>,
    ) -> Result<(Message, Option<u64>), Failed> {
        match &self.hook.to {
            To::Command(argv) => Ok((
                Message::Plain(Plain { argv: argv.clone(), event: event.to_owned(), input: body, ..Plain::default() }),
                None,
            )),
            To::Web { target, secret, .. } => {
                let taken = keeper
                    .take(secret.as_str())
                    .map_err(|error| Failed::new(code::HOOK_FAILED, format!("the secret that signs: {error}")))?;
                let key = WebhookKey::parse(&taken.secret)
                    .map_err(|error| Failed::new(code::HOOK_FAILED, format!("the secret `{secret}` {error}")))?;
                let sent_at_s = context.now().unix_ms().div_euclid(1_000);
                let signature = key.sign(id, sent_at_s, &body);
                let letter = Letter { target: target.clone(), id: id.to_owned(), sent_at_s, signature, body };
                Ok((Message::Letter(Box::new(letter)), Some(taken.version)))
            }
        }
    }

    /// Sends it once.
    ///
    /// # Errors
    /// The thread for it was lost.
    async fn send(
        &self,
        keeper: &Keeper,
        warrant: Warrant,
        action: &Action,
        message: Message,
    ) -> Result<Attempt, Error> {
        match message {
            Message::Letter(letter) => Ok(match self.poster.post(warrant, action, *letter).await {
                Ok(status) => {
                    let failed = (!(200..300).contains(&status)).then(|| Failed {
                        for_good: status == GONE,
                        ..Failed::new(code::HOOK_FAILED, format!("`{}` answered {status}", self.hook.to.place()))
                    });
                    Attempt { status: Some(status.into()), failed }
                }
                Err(error) => Attempt { status: None, failed: Some(Failed::new(error.code(), error.in_short())) },
            }),
            Message::Plain(plain) => {
                let action = action.clone();
                let ran = tokio::task::spawn_blocking(move || plain.run(warrant, &action)).await;
                let ended = match ran.map_err(Error::broken)? {
                    Ok(ended) => ended,
                    Err(error) => {
                        let failed = Failed::new(error.code(), error.to_string());
                        return Ok(Attempt { status: None, failed: Some(failed) });
                    }
                };
                let program = self.hook.to.place();
                let (status, how) = match ended.end {
                    PlainEnd::Exited(0) => return Ok(Attempt { status: Some(0), failed: None }),
                    PlainEnd::Exited(code) => (Some(code.into()), format!("`{program}` ended with {code}")),
                    PlainEnd::Signalled(signal) => (None, format!("`{program}` was killed by signal {signal}")),
                    PlainEnd::TooLong => (None, format!("`{program}` did not end in time, and was killed")),
                };
                // It runs as the node's user, and may say what it read.
                let said = keeper.all().map(|known| ended.said_without(&known)).unwrap_or_default();
                let why = if said.is_empty() { how } else { format!("{how}: {said}") };
                Ok(Attempt { status, failed: Some(Failed::new(code::HOOK_FAILED, why)) })
            }
        }
    }

    /// Records how an attempt ended: told, to be tried again, or given up.
    async fn settle_delivery(&self, context: &Context, delivery: &DeliveryRow, attempt: Attempt) -> Result<(), Error> {
        let now = context.now();
        let (before, _) = context.store.read(|reader| self.load(context, reader))?;
        let again = match &attempt.failed {
            None => None,
            Some(failed) if failed.for_good => None,
            Some(_) => after(delivery.attempts).map(|ms| now.plus_ms(ms)),
        };
        let failing_since = Some(before.failing_since.unwrap_or(now));
        let why = attempt.failed.as_ref().map(|failed| failed.why.clone());
        let hook = match (&why, again) {
            (None, _) => {
                HookRow { told: before.told + 1, told_at: Some(now), failing_since: None, why, ..before.clone() }
            }
            (Some(_), Some(_)) => HookRow { failing_since, why, ..before.clone() },
            (Some(_), None) => {
                let gave_up = before.gave_up + 1;
                HookRow { gave_up, gave_up_at: Some(now), failing_since, why, ..before.clone() }
            }
        };
        if let Some(why) = &hook.why {
            tracing::warn!(
                hook.name = self.hook.name.as_str(),
                hook.message = delivery.id,
                attempt = delivery.attempts,
                why,
                again_at = again.map(|at| at.to_string()),
                "a hook was not told"
            );
        }
        let settled = |change: Change| {
            let change = change
                .guard(before.guard())
                .guard(delivery.guard())
                .row(hook.row())
                .detail("id", delivery.id.as_str())
                .detail("event", delivery.event.as_str())
                .detail("attempt", delivery.attempts);
            match again {
                Some(at) => {
                    let row = DeliveryRow { next_at: at, ..delivery.clone() };
                    change.row(row.row()).detail("again_at", at.to_string())
                }
                None if attempt.failed.is_some() => change.row(delivery.gone()).detail("gave_up", true),
                None => change.row(delivery.gone()),
            }
        };
        settle(context, &self.hook, &attempt, settled).await
    }
}

/// When it is tried again after so many attempts, in milliseconds; none: it is given up.
fn after(attempts: u32) -> Option<u64> {
    let n = usize::try_from(attempts).ok()?.checked_sub(1)?;
    RETRY_AFTER_S.get(n).map(|s| s * 1_000)
}

/// The node's leave for its own upkeep. A policy that refuses it is broken.
async fn own_leave(context: &Context, node: &Caller, action: Action) -> Result<Granted, Error> {
    let granted = context.permit(node, action, None).await;
    granted.map_err(|error| if error.kind == Kind::Refused { Error::broken(error) } else { error })
}

/// Records how something ended, whatever came into force meanwhile.
async fn settle(
    context: &Context,
    hook: &Hook,
    attempt: &Attempt,
    with: impl Fn(Change) -> Change,
) -> Result<(), Error> {
    let node = Caller::node(&context.namespace);
    let outcome = match &attempt.failed {
        None => BodyOutcome { success: true, error_type: None, error_message: None },
        Some(failed) => BodyOutcome {
            success: false,
            error_type: Some(failed.code.to_owned()),
            error_message: Some(failed.why.clone()),
        },
    };
    for recorded in 1..=MAX_RECORDED {
        let action = context.action("hook.settle", ResourceKind::Node, context.namespace.as_str())?;
        let granted = own_leave(context, &node, action).await?;
        let change = context.change(&node, granted, kind::HOOK_SETTLED, hook.name.as_str()).urgent();
        let change = with(change.outcome(outcome.clone()).detail("status", json!(attempt.status)));
        match context.commit(change).await {
            Err(error) if error.kind == Kind::Stale && recorded < MAX_RECORDED => {}
            other => return other.map(|_| ()),
        }
    }
    Err(Error::broken("attempts are counted"))
}

/// Which value of the secret signs it.
fn with_version(change: Change, hook: &Hook, version: Option<u64>) -> Change {
    match (&hook.to, version) {
        (To::Web { secret, .. }, Some(version)) => {
            change.detail("secrets", json!({ secret.as_str(): version.to_string() }))
        }
        _ => change,
    }
}
