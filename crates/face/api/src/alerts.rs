//! Alerts by rule: what is wrong now, since when, and by what it is seen (OPS-2). Computed when shown, from evidence.
//!
//! Each rule has a page, `docs/operations/NAME.md`, with the fault and its mend; a test compares. How much is too much stands in
//! steward.toml. Where the evidence has a time, `since` is that; else it is when this process saw it first, which the background looks
//! for now and then.
//!
//! Deliberately absent: sending alerts anywhere (hooks tell of reviews). Prometheus has `steward_alert_firing`, scripts have the exit code of `steward alerts`.

use steward_app_actions::rows::{oldest_unsettled, unsettled};
use steward_app_entries::rows::{denied_since, time_of};
use steward_app_node::{Context, Error, Kind, code};
use steward_clock::Timestamp;
use steward_permit::DenialCode;

use crate::node::Node;

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// An hour, in milliseconds.
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * HOUR_MS;

/// The most runs that are named.
const MAX_NAMED: usize = 20;

/// The newest refusals that are looked at for policies that could not be evaluated.
const MAX_LOOKED_AT: u32 = 2_000;

/// The share of its limit that a store may fill, in percent.
const FULL_PERCENT: u64 = 95;

/// Bytes that a change may take, whose entry and rows lie on pages of their own: sixteen pages.
const CHANGE_BYTES: u64 = 64 << 10;

/// A rule: what is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which is that of its page too.
    pub name: &'static str,
    /// The part of the node that it is about.
    pub part: &'static str,
    /// `warning`, or `failed` if the node does not do what it is for.
    pub severity: &'static str,
    /// What to do first.
    pub mend: &'static str,
}

/// Something that a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) rule: &'static Rule,
    /// What it is about, where there can be several: a model, a run.
    pub(crate) about: Option<String>,
    /// By what it is seen.
    pub(crate) evidence: String,
    /// Since when, as far as the evidence says.
    pub(crate) since: Option<Timestamp>,
}

macro_rules! rules {
    ($($const:ident = $name:literal, $part:literal, $severity:literal, $mend:literal;)*) => {
        $(static $const: Rule = Rule { name: $name, part: $part, severity: $severity, mend: $mend };)*
        /// Every rule.
        pub static RULES: &[&Rule] = &[$(&$const),*];
    };
}

rules! {
    STORE_CLOSED = "store-closed", "store", "failed", "look at the disk and the node's log, then restart the node";
    STORE_FULL = "store-full", "store", "failed", "make room on the disk, or raise `max_store_bytes`";
    DISK_LOW = "disk-low", "disk", "warning", "make room before the store is full";
    HEAD_BEHIND = "head-behind", "ledger", "failed", "run `steward ledger verify --state`, and keep a copy of the home";
    POLICY_MISTAKES = "policy-mistakes", "policy", "warning", "run `steward policy check`; what was in force still is";
    POLICY_ERRORS = "policy-errors", "policy", "failed", "look at the refusals with `steward action explain`, and mend the policy";
    MANY_DENIALS = "many-denials", "policy", "warning", "see who is refused what with `steward action list --decision deny`";
    HALTED = "halted", "runs", "warning", "find out why, then `steward resume`";
    RUN_STUCK = "run-stuck", "runs", "warning", "look with `steward run show`, and `steward run stop` it if it goes nowhere";
    EFFECT_STUCK = "effect-stuck", "effects", "warning", "look at `steward effect list`; a restart settles what nobody works on";
    EFFECTS_UNKNOWN = "effects-unknown", "effects", "warning", "find out what became of each, and say so with `steward effect resolve`";
    NO_SANDBOX = "no-sandbox", "sandboxes", "warning", "see `Sandboxes` in docs/operator.md";
    KEYSTORE_LOCKED = "keystore-locked", "secrets", "failed", "put back or mend what opens it, then restart the node: see `Secrets` in docs/operator.md";
    BREAKER_OPEN = "breaker-open", "models", "warning", "try `steward model test`, and look at the provider";
    BACKGROUND_SILENT = "background-silent", "background", "failed", "look at the node's log, then restart the node";
    LOG_LINES_DROPPED = "log-lines-dropped", "logs", "warning", "make room for the folder `logs` of the home, or log less";
    SECRET_NOT_ENDED = "secret-not-ended", "secrets", "warning", "look at why its generator does not end it; it is told again by itself";
    HOOK_FAILING = "hook-failing", "hooks", "warning", "look at `steward hook list`, and try `steward hook test`";
    TRACES_FAILING = "traces-failing", "traces", "warning", "look at `steward traces`, and at the receiver";
    CERTIFICATE_ENDING = "certificate-ending", "certificate", "warning", "put a new certificate in its place; the node takes it by itself";
    CERTIFICATE_UNREADABLE = "certificate-unreadable", "certificate", "warning", "mend the file; the certificate before is still in use";
}

fn firing(rule: &'static Rule, evidence: impl Into<String>, since: Option<Timestamp>) -> Firing {
    Firing { rule, about: None, evidence: evidence.into(), since }
}

fn before(now: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms().saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// Bytes that are free where the home is.
pub(crate) fn disk_free(node: &Node) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(node.home.path()).map_err(Error::broken)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that the database has, with what was not folded back yet.
pub(crate) fn store_bytes(context: &Context) -> u64 {
    let path = context.store.path();
    let beside = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    [path, &beside].into_iter().filter_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// Why there is no room for what agents do, or soon none, if that is so.
pub(crate) fn filled(node: &Node) -> Option<String> {
    if let Err(error) = node.context.has_room() {
        return Some(error.message);
    }
    let most = node.operations.alerts.max_store_bytes?;
    let bytes = store_bytes(&node.context);
    let evidence = || format!("the store has {bytes} bytes, of {most} that `max_store_bytes` allows");
    (bytes >= most / 100 * FULL_PERCENT).then(evidence)
}

/// Whether there is room for one more change: the same, but to the end, since a node that still works is not to be taken for one that does not.
/// Reads the store: for a thread that may.
///
/// # Errors
/// There is none.
pub(crate) fn has_room(node: &Node) -> Result<(), Error> {
    node.context.has_room()?;
    let Some(most) = node.operations.alerts.max_store_bytes else { return Ok(()) };
    let used = node.context.store.read(|reader| reader.used_bytes())?;
    if used.saturating_add(CHANGE_BYTES) < most {
        return Ok(());
    }
    let message = format!(
        "the store has {used} bytes, of {most} that `max_store_bytes` allows; what is left is kept for stopping, revoking and halting: \
         raise it"
    );
    Err(Error::new(Kind::Unavailable, code::STORE_FULL, message))
}

/// That spans are not sent, or were dropped within the last day.
fn of_traces(node: &Node, now: Timestamp, found: &mut Vec<Firing>) -> Result<(), Error> {
    let view = node.runner.traces.view(&node.context)?;
    let Some(row) = view.row.filter(|_| view.to.is_some()) else { return Ok(()) };
    let dropped = row.dropped_at.filter(|at| now.since_ms(*at) < DAY_MS);
    if let Some(since) = row.failing_since.or(dropped) {
        let why = row.why.unwrap_or_else(|| "they ended too long ago".to_owned());
        found.push(firing(&TRACES_FAILING, format!("{why}; dropped so far: {}", row.dropped), Some(since)));
    }
    Ok(())
}

/// What fires now, with the time that is known of each. Reads the store: for a thread that may.
pub(crate) fn look(node: &Node) -> Result<Vec<Firing>, Error> {
    let context = &node.context;
    let now = context.now();
    let mut found = Vec::new();
    // First what needs no store, so that it is seen when the store is what is wrong.
    of_machine(node, now, &mut found)?;
    of_process(node, now, &mut found);
    of_store(node, now, &mut found)?;
    remember(node, now, &mut found);
    Ok(found)
}

fn of_machine(node: &Node, now: Timestamp, found: &mut Vec<Firing>) -> Result<(), Error> {
    let rules = &node.operations.alerts;
    if let Some(reason) = node.context.store.broken() {
        found.push(firing(&STORE_CLOSED, reason, None));
    }
    let free = disk_free(node)?;
    let full = filled(node);
    let is_full = full.is_some();
    found.extend(full.map(|evidence| firing(&STORE_FULL, evidence, None)));
    if !is_full && free < rules.disk_free_bytes {
        let evidence =
            format!("{} MiB are free where the home is, less than {}", free >> 20, rules.disk_free_bytes >> 20);
        found.push(firing(&DISK_LOW, evidence, None));
    }
    if let Some(certificate) = &node.operations.certificate {
        let warn_at = before(certificate.not_after(), DAY_MS * u64::from(rules.certificate_days));
        if now >= warn_at {
            let evidence = format!("the certificate ends at {}", certificate.not_after());
            found.push(firing(&CERTIFICATE_ENDING, evidence, Some(warn_at)));
        }
        if let Some((why, since)) = certificate.mistake() {
            found.push(firing(&CERTIFICATE_UNREADABLE, why, Some(since)));
        }
    }
    Ok(())
}

fn of_process(node: &Node, now: Timestamp, found: &mut Vec<Firing>) {
    let (context, rules) = (&node.context, &node.operations.alerts);
    let halt = context.halt();
    if halt.is_halted {
        found.push(firing(&HALTED, format!("by {}: {}", halt.by, halt.reason), halt.at));
    }
    if let Some(first) = node.mistakes().first() {
        let evidence = format!("{} of them, the first: {first}", node.mistakes().len());
        found.push(firing(&POLICY_MISTAKES, evidence, None));
    }
    if let Err(why) = node.runner.can_start() {
        found.push(firing(&NO_SANDBOX, why, Some(context.started_at)));
    }
    if let Err(why) = node.runner.keeper().unlocked() {
        found.push(firing(&KEYSTORE_LOCKED, why, Some(context.started_at)));
    }
    for (model, since) in node.runner.open_breakers() {
        let evidence = match since {
            Some(_) => format!("`{model}` failed several times in a row, and is not asked"),
            None => format!("`{model}` failed several times in a row, and is tried again"),
        };
        found.push(Firing { about: Some(model), ..firing(&BREAKER_OPEN, evidence, since) });
    }
    if let Some(last) = node.last_tended()
        && now.since_ms(last) > u64::from(rules.background_silent_s) * 1_000
    {
        found.push(firing(&BACKGROUND_SILENT, format!("it did its work at {last} and not since"), Some(last)));
    }
    if let Some(counts) = node.operations.logs.as_ref().map(steward_logs::Logs::counts)
        && counts.last_dropped.is_some_and(|last| now.since_ms(last) < HOUR_MS)
    {
        let evidence = format!("{} lines could not be written, the last within the hour", counts.dropped);
        found.push(firing(&LOG_LINES_DROPPED, evidence, counts.first_dropped));
    }
}

fn of_store(node: &Node, now: Timestamp, found: &mut Vec<Firing>) -> Result<(), Error> {
    let (context, rules) = (&node.context, &node.operations.alerts);
    let hour_ago = before(now, HOUR_MS);
    for made in node.runner.not_ended()? {
        let (count, why) = (made.count, made.why);
        let evidence = format!("{count} of what it made for leases is over and not ended: {why}");
        let about = Some(made.generator.to_string());
        found.push(Firing { about, ..firing(&SECRET_NOT_ENDED, evidence, Some(made.since)) });
    }
    context.store.read(|reader| {
        let key = context.store.head_key();
        let size = reader.written()?;
        let signed =
            reader.head_note()?.and_then(|note| steward_ledger::head::open(note.as_bytes(), key, key.name()).ok());
        let signed = signed.map_or(0, |head| head.into_inner().size);
        if signed != size {
            let since = if signed < size { time_of(reader, signed)? } else { None };
            let evidence = format!("the newest signed tree head covers {signed} entries, the ledger has {size}");
            found.push(firing(&HEAD_BEHIND, evidence, since));
        }
        let denied = denied_since(reader, hour_ago, None, rules.denials_per_hour.saturating_add(1))?;
        if denied.count > u64::from(rules.denials_per_hour) {
            let evidence = format!("more than {} refusals were recorded within the last hour", rules.denials_per_hour);
            found.push(firing(&MANY_DENIALS, evidence, denied.first));
        }
        let errors = denied_since(reader, hour_ago, Some(DenialCode::PolicyError.as_str()), MAX_LOOKED_AT)?;
        if let Some(last) = errors.last_seq {
            let evidence = format!("{} refusals within the last hour, the newest is entry {last}", errors.count);
            found.push(firing(&POLICY_ERRORS, evidence, errors.first));
        }
        let stuck_ms = MINUTE_MS * u64::from(rules.run_stuck_minutes);
        let runs = steward_app_runs::live_runs(reader)?;
        for run in runs.iter().filter(|run| now.since_ms(run.state.phase_at) > stuck_ms).take(MAX_NAMED) {
            let evidence = format!(
                "the run of {} is in {} since {}",
                run.state.agent,
                run.state.phase.as_str(),
                run.state.phase_at
            );
            let about = Some(run.id().to_string());
            found.push(Firing { about, ..firing(&RUN_STUCK, evidence, Some(run.state.phase_at)) });
        }
        for name in node.runner.hooks.names() {
            let Some(hook) = steward_app_hooks::hook(reader, &context.namespace, &name)? else { continue };
            let gave_up = hook.gave_up_at.filter(|at| now.since_ms(*at) < DAY_MS);
            if let Some(since) = hook.failing_since.or(gave_up) {
                let why = hook.why.unwrap_or_else(|| "it is told again".to_owned());
                let evidence = format!("{why}; given up {} times", hook.gave_up);
                found.push(Firing { about: Some(name.to_string()), ..firing(&HOOK_FAILING, evidence, Some(since)) });
            }
        }
        of_traces(node, now, found)?;
        let (open, unknown) = unsettled(reader)?;
        let (oldest_open, oldest_unknown) = oldest_unsettled(reader)?;
        let stuck_ms = MINUTE_MS * u64::from(rules.effect_stuck_minutes);
        if let Some(since) = oldest_open.filter(|since| now.since_ms(*since) > stuck_ms) {
            found.push(firing(
                &EFFECT_STUCK,
                format!("{open} are on their way, the oldest since {since}"),
                Some(since),
            ));
        }
        if unknown > 0 {
            let evidence = format!("of {unknown} nobody knows whether they happened");
            found.push(firing(&EFFECTS_UNKNOWN, evidence, oldest_unknown));
        }
        Ok(())
    })
}

/// Gives what has no time of its own the one at which this process saw it first; forgets what is over. Whatever begins or ends is logged.
fn remember(node: &Node, now: Timestamp, found: &mut [Firing]) {
    let mut known = node.firing.lock().expect("no holder of this lock panics");
    let key = |firing: &Firing| format!("{} {}", firing.rule.name, firing.about.as_deref().unwrap_or_default());
    known.retain(|name, since| {
        let still = found.iter().any(|firing| key(firing) == *name);
        if !still {
            tracing::info!(alert = name.trim_end(), since = %since, "an alert is over");
        }
        still
    });
    for firing in found {
        let first = *known.entry(key(firing)).or_insert_with(|| {
            tracing::warn!(
                alert = firing.rule.name,
                about = firing.about,
                evidence = firing.evidence,
                "an alert fires"
            );
            now
        });
        firing.since.get_or_insert(first);
    }
}
