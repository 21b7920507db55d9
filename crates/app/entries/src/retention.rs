//! Retention by kind (LED-5): how long what entries say is kept, and erasing what is older.
//!
//! ```text
//! let retention = Retention::parse(&["ledger.read=90".into(), "action.*=365".into()])?;     // from steward.toml
//! retention::look(&context, &caller, &retention)                                            // what a sweep would erase; nothing is
//! retention::sweep(&context, &retention).await?                                             // the background does, once an hour
//! ```
//!
//! A sweep erases body and salt as `redact` does, many entries in one commit: the entry `ledger.swept` names each, and what is left of it. Every proof
//! stands, and the rows that an erased entry vouched for are vouched for by the sweep.
//!
//! What something still needs is kept, whatever is configured: entries of runs that are not over, of effects that are not settled, of leases that hold,
//! and of reviews that wait. Kinds that are needed for as long as the ledger is are refused in the configuration ([`NEVER`]).
//!
//! Deliberately absent: blobs, which other entries may name; rows of fact; and retention by namespace: a node has one.

use std::{collections::BTreeMap, fmt};

use steward_app_node::{Caller, Context, Error};
use steward_clock::{Timestamp, mishap};
use steward_ledger::kind;
use steward_permit::ResourceKind;

use crate::rows::{self, Old};

/// The most entries that one commit erases: what is left of each, and of its rows, stands in one body.
const MAX_ENTRIES: usize = 200;

/// The most bytes of the bodies that one commit erases: a fourth of what a body may have, and rows that are restated are a part of them.
const MAX_BYTES: u64 = 256 << 10;

/// The most commits of one sweep; the next goes on.
const MAX_COMMITS: usize = 50;

/// The most rules.
const MAX_RULES: usize = 64;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Kinds whose bodies are kept as long as the ledger is, and why.
pub const NEVER: &[(&[&str], &str)] = &[
    (
        &[kind::LEDGER_CREATED, kind::LEDGER_REDACTED, kind::LEDGER_SWEPT, kind::ROLLBACK_ACCEPTED],
        "the rest of the ledger is verified with what it says",
    ),
    (
        &[kind::POLICY_LOADED, kind::NODE_HALTED, kind::NODE_RESUMED, kind::STORE_MIGRATED],
        "it says what was in force when",
    ),
    (
        &[
            kind::PERSON_ADDED,
            kind::PERSON_DISABLED,
            kind::PERSON_LINKED,
            kind::PERSON_UNLINKED,
            kind::KEY_CREATED,
            kind::AGENT_ADDED,
            kind::AGENT_REVOKED,
            kind::AGENT_REINSTATED,
            kind::AGENT_PROMOTED,
            kind::AGENT_DEMOTED,
        ],
        "who may approve what, and what becomes of an agent, is judged by it",
    ),
    (
        &[
            kind::TOOL_SERVER_ADDED,
            kind::TOOL_SERVER_REMOVED,
            kind::TOOL_PINNED,
            kind::TOOL_ALLOWED,
            kind::TOOL_CHANGED,
            kind::MODEL_ADDED,
            kind::MODEL_REMOVED,
            kind::BUDGET_SET,
            kind::SECRET_PUT,
            kind::SECRET_ROTATED,
            kind::SECRET_REVOKED,
            kind::SECRET_GRANTED,
        ],
        "it says who decided what still stands",
    ),
];

/// Why the bodies of a kind are never erased by age, if they are not.
fn never(kind: &str) -> Option<&'static str> {
    NEVER.iter().find(|(kinds, _)| kinds.contains(&kind)).map(|(_, why)| *why)
}

/// How long what entries say is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// A kind, the beginning of one, or nothing for all.
    kinds: String,
    is_whole: bool,
    days: u32,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", self.kinds, if self.is_whole { "" } else { "*" }, self.days)
    }
}

impl Retention {
    /// Rules as they are written: `KIND=DAYS`, `BEGINNING.*=DAYS`, `*=DAYS`. The longest that fits a kind counts.
    ///
    /// # Errors
    /// One means nothing, or names a kind that is kept as long as the ledger is.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        if texts.len() > MAX_RULES {
            return Err(format!("there are {} rules; at most {MAX_RULES}", texts.len()));
        }
        let rules = texts.iter().map(|text| Rule::parse(text)).collect::<Result<Vec<_>, _>>()?;
        for (n, rule) in rules.iter().enumerate() {
            if rules[..n].iter().any(|other| other.kinds == rule.kinds && other.is_whole == rule.is_whole) {
                return Err(format!("`{rule}`: there are two rules for the same"));
            }
        }
        Ok(Self { rules })
    }

    /// Whether nothing is ever erased by age.
    pub fn is_for_ever(&self) -> bool {
        self.rules.is_empty()
    }

    /// For how many days what entries of a kind say is kept; none: for ever.
    pub fn days(&self, kind: &str) -> Option<u32> {
        if never(kind).is_some() {
            return None;
        }
        let fits = |rule: &&Rule| if rule.is_whole { rule.kinds == kind } else { kind.starts_with(&rule.kinds) };
        self.rules.iter().filter(fits).max_by_key(|rule| (rule.is_whole, rule.kinds.len())).map(|rule| rule.days)
    }

    /// The kinds of this version that are not kept for ever, with the time before which they are due.
    fn due(&self, now: Timestamp) -> BTreeMap<&'static str, (u32, Timestamp)> {
        let days_ms = |days: u32| i64::try_from(u64::from(days) * DAY_MS).unwrap_or(i64::MAX);
        let before = |days: u32| Timestamp::from_unix_ms(now.unix_ms().saturating_sub(days_ms(days)));
        kind::ALL.iter().filter_map(|kind| self.days(kind).map(|days| (*kind, (days, before(days))))).collect()
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let shown = steward_naming::visible(text);
        let wrong = || format!("`{shown}`: a rule is `KIND=DAYS`, as in `ledger.read=90`, `action.*=365` or `*=3650`");
        let (kinds, days) = text.split_once('=').ok_or_else(wrong)?;
        let (kinds, days) = (kinds.trim(), days.trim());
        let days: u32 = days.parse().ok().filter(|_| days.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)?;
        if days == 0 {
            return Err(format!("`{shown}`: what happens is kept for a day at least, to be looked at"));
        }
        let (kinds, is_whole) = match kinds.strip_suffix('*') {
            Some("") => ("", false),
            Some(beginning) if beginning.ends_with('.') => (beginning, false),
            Some(_) => return Err(wrong()),
            None => (kinds, true),
        };
        if is_whole && let Some(why) = never(kinds) {
            return Err(format!("`{shown}`: what a `{kinds}` says is kept as long as the ledger is: {why}"));
        }
        let is_known =
            |kind: &&str| if is_whole { **kind == *kinds } else { kind.starts_with(kinds) && never(kind).is_none() };
        if !kind::ALL.iter().any(is_known) {
            return Err(format!(
                "`{shown}`: no kind of entry that could be erased is called that; docs/ledger.md lists them"
            ));
        }
        Ok(Self { kinds: kinds.to_owned(), is_whole, days })
    }
}

/// A kind of entries, and what retention means for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindView {
    /// The kind.
    pub kind: &'static str,
    /// For how many days what such entries say is kept; none: for ever.
    pub days: Option<u32>,
    /// How many entries have what they say.
    pub whole: u64,
    /// How many are older than that, and would be erased now.
    pub due: u64,
    /// How many are older, and are kept because something still needs them.
    pub needed: u64,
    /// How many were erased, by age or by a person.
    pub erased: u64,
}

/// What is kept for how long, and what a sweep would erase now. Nothing is.
///
/// # Errors
/// It is not allowed, or the store cannot be read.
pub async fn look(context: &Context, caller: &Caller, retention: &Retention) -> Result<Vec<KindView>, Error> {
    context
        .allow(caller, context.action("ledger.read", ResourceKind::Ledger, context.namespace.as_str())?, None)
        .await?;
    let due = retention.due(context.now());
    let scanned = context.store.scan(move |reader| {
        let counts = rows::counts(reader)?;
        let mut views = Vec::new();
        for kind in kind::ALL {
            let (whole, erased) = counts.get(*kind).copied().unwrap_or_default();
            let days = due.get(kind).map(|(days, _)| *days);
            let (mut free, mut needed) = (0, 0);
            if let Some((_, before)) = due.get(kind) {
                (free, needed) = rows::count_old(reader, kind, *before)?;
            }
            views.push(KindView { kind, days, whole, due: free, needed, erased });
        }
        Ok::<_, Error>(views)
    });
    scanned.await
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many entries it erased what they say of.
    pub entries: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// Erases what is older than it is kept. Done twice it does no harm: what is erased is not due any more.
///
/// # Errors
/// The store cannot be read or written.
pub async fn sweep(context: &Context, retention: &Retention) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    if retention.is_for_ever() {
        return Ok(swept);
    }
    let due = retention.due(context.now());
    'kinds: for (kind, (days, before)) in due {
        loop {
            let old = context.store.scan(move |reader| rows::old(reader, kind, before, MAX_ENTRIES)).await?;
            let entries = batch(&old);
            if entries.is_empty() {
                break;
            }
            if swept.entries >= (MAX_COMMITS * MAX_ENTRIES) as u64 {
                swept.more = true;
                break 'kinds;
            }
            let node = Caller::node(&context.namespace);
            let action = context.action("ledger.sweep", ResourceKind::Ledger, context.namespace.as_str())?;
            let granted = context.permit(&node, action, None).await?;
            let mut change = context
                .change(&node, granted, kind::LEDGER_SWEPT, kind)
                // It makes room.
                .urgent()
                .detail("kept_days", days)
                .detail("before", before.to_string());
            for entry in &entries {
                change = change.erases(*entry);
            }
            context.commit(change).await?;
            mishap::at("retention.swept").map_err(Error::broken)?;
            swept.entries += entries.len() as u64;
        }
    }
    Ok(swept)
}

/// Folds the store's log back, so that what was erased stands in no file of it. Says whether it could: otherwise somebody reads. The writer waits
/// for it, a second at most.
///
/// # Errors
/// The store is closed.
pub async fn fold(context: &Context) -> Result<bool, Error> {
    Ok(context.store.fold().await?)
}

/// As many as fit into one entry; the first always does.
fn batch(old: &[Old]) -> Vec<u64> {
    let mut bytes = 0;
    let fits = |old: &&Old| {
        bytes += old.bytes;
        bytes <= MAX_BYTES || bytes == old.bytes
    };
    old.iter().take_while(fits).map(|old| old.seq).collect()
}

#[cfg(test)]
mod tests {
    use steward_ledger::kind;

    use super::{MAX_BYTES, Old, Retention, batch, never};

    fn parsed(rules: &[&str]) -> Result<Retention, String> {
        Retention::parse(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_rule_that_fits_counts() {
        let retention = parsed(&["*=3650", "action.*=365", "action.refused=30", "ledger.*=90"]).expect("rules");
        for (kind, days) in [
            (kind::ACTION_REFUSED, Some(30)),
            (kind::ACTION_SETTLED, Some(365)),
            (kind::RUN_ENDED, Some(3650)),
            (kind::LEDGER_READ, Some(90)),
            // Whatever a beginning says.
            (kind::LEDGER_CREATED, None),
            (kind::LEDGER_SWEPT, None),
            (kind::KEY_CREATED, None),
        ] {
            assert_eq!(retention.days(kind), days, "{kind}");
        }
        assert!(parsed(&[]).expect("none").is_for_ever());
        assert_eq!(parsed(&["ledger.read=1"]).expect("one").days(kind::RUN_ENDED), None);
    }

    #[test]
    fn what_a_rule_cannot_mean_is_said() {
        for (rule, says) in [
            ("ledger.read", "KIND=DAYS"),
            ("ledger.read=", "KIND=DAYS"),
            ("ledger.read=+3", "KIND=DAYS"),
            ("ledger.read=-1", "KIND=DAYS"),
            ("led*=3", "KIND=DAYS"),
            ("ledger.read=0", "a day at least"),
            ("ledger.raed=3", "no kind"),
            ("person.*=3", "no kind"),
            ("policy.loaded=3", "what was in force"),
            ("ledger.redacted=3", "verified with what it says"),
            ("key.created=3", "who may approve"),
        ] {
            let why = parsed(&[rule]).expect_err(rule);
            assert!(why.contains(says), "{rule}: {why}");
        }
        assert!(parsed(&["*=3", "*=4"]).is_err_and(|why| why.contains("two rules")));
        let many: Vec<String> = (0..65).map(|n| format!("ledger.read={n}")).collect();
        assert!(Retention::parse(&many).is_err());
    }

    #[test]
    fn what_fits_into_one_entry() {
        let old = |seq, bytes| Old { seq, bytes };
        assert_eq!(batch(&[]), [0; 0]);
        assert_eq!(batch(&[old(3, 2 * MAX_BYTES), old(4, 1)]), [3], "the first always fits");
        assert_eq!(batch(&[old(3, MAX_BYTES - 1), old(4, 1), old(5, 1)]), [3, 4]);
    }

    #[test]
    fn whatever_is_never_erased_is_a_kind() {
        assert!(kind::ALL.iter().any(|kind| never(kind).is_none()));
        for (kinds, _) in super::NEVER {
            assert!(kinds.iter().all(|kind| kind::ALL.contains(kind)));
        }
    }
}
