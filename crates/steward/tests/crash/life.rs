//! One home, and what its nodes go through.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use rustix::process::Signal;
use steward_seal::{Digest, note::NoteKey};
use steward_wire::{AddAgent, CreateKey};
use tokio::task::JoinSet;

use crate::{
    chance::Chance,
    check,
    common::{NAMESPACE, Place, Up},
    facts::{Facts, Key},
    load::{BLOCK, Killer, WATCHER, WRITERS, Ways, Work, write},
};

/// Every named point of a commit and of the effect.
pub(crate) const POINTS: &[&str] = &[
    "commit.before_begin",
    "effect.stage.before_write",
    "commit.after_rows",
    "effect.stage.half_written",
    "commit.before_commit",
    "effect.stage.after_sync",
    "commit.after_commit",
    "effect.publish.before_rename",
    "effect.publish.after_rename",
    "effect.publish.after_sync",
    "effect.discard.before_unlink",
    "effect.discard.after_unlink",
];

/// Killed from outside after a number of answers.
const BY_HAND: &str = "any moment";

/// How nodes end, in turn.
pub(crate) const ENDS: &[&str] = {
    const N: usize = POINTS.len() + 1;
    const ALL: [&str; N] = {
        let mut all = [BY_HAND; N];
        let mut n = 0;
        while n < POINTS.len() {
            all[n] = POINTS[n];
            n += 1;
        }
        all
    };
    &ALL
};

/// Callers at once.
const CALLERS: u64 = 6;

/// What each asks for, unless the node dies before.
const THINGS: u64 = 20;

/// How long a node that its callers lost may take to be gone.
const GONE_WITHIN_S: u64 = 30;

/// SIGKILL.
pub(crate) const KILL: i32 = 9;

/// What became of it all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Where nodes died, and how often.
    pub(crate) died: BTreeMap<&'static str, u64>,
    pub(crate) acknowledged: u64,
}

/// One home, and what is known about it outside.
pub(crate) struct Life {
    pub(crate) place: Place,
    chance: Chance,
    pub(crate) operator: String,
    pub(crate) writers: Vec<String>,
    /// As it was on the first start.
    pub(crate) head_key: NoteKey,
    pub(crate) facts: Arc<Facts>,
    pub(crate) tally: Tally,
}

impl Life {
    /// A home with people, agents and keys.
    pub(crate) async fn begin(chance: Chance) -> Self {
        let place = Place::new();
        let node = place.up(&[]);
        let (operator, key) = node.login().await;
        for (name, tier) in WRITERS.map(|name| (name, "T2")).into_iter().chain([(WATCHER, "T0")]) {
            let agent = AddAgent {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                tier: tier.to_owned(),
                ..AddAgent::default()
            };
            operator.add_agent(&agent).await.expect("agents can be added");
        }
        let facts = Arc::new(Facts::default());
        let mut writers = Vec::new();
        for name in WRITERS {
            let new = CreateKey {
                agent: Some(name.to_owned()),
                label: name.to_owned(),
                scopes: vec!["act".to_owned()],
                ..CreateKey::default()
            };
            let made = operator.create_key(&new).await.expect("agents get keys");
            let number = facts.asks(name, BLOCK, Digest::of(name.as_bytes()).to_string());
            let done = operator.act(name, &write(BLOCK, name.as_bytes())).await.expect("a file can be written");
            facts.answered(number, done.action);
            let known = Key { secret: made.secret.clone(), entry: made.key.entry, asked: true, revoked: None };
            facts.with(|all| _ = all.keys.insert(made.key.id, known));
            writers.push(made.secret);
        }
        let head_key = operator.ledger_vkey().await.expect("the key").vkey.parse().expect("a verifier key");
        let head = operator.ledger_head().await.expect("the head").note;
        facts.with(|all| _ = all.heads.insert(head));
        node.stop();
        let tally = Tally::default();
        Self { place, chance, operator: key.secret, writers, head_key, facts, tally }
    }

    /// Somebody at the door of a node of this home.
    pub(crate) fn ways(&self, node: &Up) -> Ways {
        Ways::new(node, &self.operator, &self.writers)
    }

    /// A node starts and dies, perhaps dies again while it recovers, starts again; everything is looked at; it is stopped.
    pub(crate) async fn round(&mut self, round: u64) {
        let end = ENDS[(round % ENDS.len() as u64) as usize];
        // The first time around early, so that every point is reached.
        let early = round < ENDS.len() as u64;
        let nth = self.chance.up_to(match (early, end.split_once('.')) {
            (true, Some(("commit", _))) => 6,
            (false, Some(("commit", _))) => 90,
            (true, Some(_)) => 1,
            (false, Some(("effect", rest))) if rest.starts_with("discard") => 6,
            (false, Some(_)) => 24,
            (_, None) => CALLERS * THINGS / 2,
        });
        let context = format!("round {round}, {end} {nth}");
        let before = self.facts.with(|known| known.acknowledged);
        let (status, by_point) = self.dies(round, end, nth, &context).await;
        assert_eq!(status.signal(), Some(KILL), "{context}: {status}\n{}", self.place.log());
        if by_point || end == BY_HAND {
            *self.tally.died.entry(end).or_insert(0) += 1;
        }
        self.facts.is_over();
        if self.chance.below(4) == 0 {
            self.dies_again(&context);
        }

        let node = self.place.up(&[]);
        check::at_the_door(self, &node, &context).await;
        node.stop();
        check::on_disk(self, &context);
        self.tally.acknowledged += self.facts.with(|known| known.acknowledged) - before;
    }

    /// Starts a node that is to die, and asks it for things until it is dead. Tells whether it died of itself.
    async fn dies(&mut self, round: u64, end: &'static str, nth: u64, context: &str) -> (ExitStatus, bool) {
        let mishap = format!("{end}:{nth}");
        let environment: &[(&str, &str)] = if end == BY_HAND { &[] } else { &[("STEWARD_MISHAP", &mishap)] };
        let node = match self.place.try_up(&[], environment) {
            Ok(node) => Arc::new(node),
            // The point was reached while it started.
            Err(dead) => return (dead.status, true),
        };
        let lost = self.load(&node, round, (end == BY_HAND).then_some((Signal::KILL, nth)), context).await;
        let node = Arc::into_inner(node).expect("nobody else has it any more");
        if !lost {
            // The point was not reached, or the last answer was the one to kill after.
            node.signal(Signal::KILL);
        }
        (self.is_gone(node, context).await, lost)
    }

    /// Several callers ask for things until they have all, or the node is gone; after so many answers it gets a signal. Tells
    /// whether it was gone for one of them.
    pub(crate) async fn load(
        &mut self,
        node: &Arc<Up>,
        round: u64,
        signal: Option<(Signal, u64)>,
        context: &str,
    ) -> bool {
        let killer = signal
            .map(|(signal, after)| Killer { node: Arc::clone(node), signal, left: AtomicU64::new(after) })
            .map(Arc::new);
        let ways = self.ways(node);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let work = Work {
                ways: ways.clone(),
                facts: Arc::clone(&self.facts),
                chance: self.chance.fork(caller),
                tag: format!("{round}-{caller}"),
                killer: killer.clone(),
            };
            callers.spawn(work.go(THINGS));
        }
        self.chance.next();
        let mut lost = false;
        while let Some(caller) = callers.join_next().await {
            let was_there = caller.unwrap_or_else(|error| panic!("{context}: {error}\n{}", self.place.log()));
            lost |= !was_there;
        }
        lost
    }

    /// How a node ended that is ending.
    pub(crate) async fn is_gone(&self, node: Up, context: &str) -> ExitStatus {
        let gone = tokio::task::spawn_blocking(move || node.wait());
        let gone = tokio::time::timeout(Duration::from_secs(GONE_WITHIN_S), gone).await;
        let status =
            gone.unwrap_or_else(|_| panic!("{context}: its callers lost a node that lives\n{}", self.place.log()));
        status.expect("waiting does not panic")
    }

    /// A node that recovers dies as well.
    fn dies_again(&mut self, context: &str) {
        let commits = ["commit.before_begin", "commit.after_rows", "commit.before_commit", "commit.after_commit"];
        let point = commits[self.chance.below(4) as usize];
        let mishap = format!("{point}:{}", self.chance.up_to(3));
        match self.place.try_up(&[], &[("STEWARD_MISHAP", &mishap)]) {
            Ok(node) => node.kill(),
            Err(dead) => {
                assert_eq!(dead.status.signal(), Some(KILL), "{context}, then {mishap}: {}\n{}", dead.status, dead.log);
                *self.tally.died.entry("recovery").or_insert(0) += 1;
            }
        }
    }

    /// Where an agent's files are.
    pub(crate) fn files(&self, agent: &str) -> std::path::PathBuf {
        self.place.home().join("agents").join(NAMESPACE).join(agent).join("files")
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::POINTS;
    use crate::runs;

    /// Points whose names are made from phases (flows, follow.rs).
    const OF_PHASES: [&str; 7] =
        ["run.preflight", "run.plan", "run.execute", "run.verify", "run.package", "run.report", "run.ended"];

    /// Points that have stories of their own: the keystore's (keystore.rs), an upgrade's (upgrade.rs), the sweep's (retention.rs), a hook's (hooks.rs), those of secrets that are made (made.rs), those of traces (traces.rs), and of
    /// backups (cli/backups.rs).
    const ELSEWHERE: [&str; 17] = [
        "accept.recorded",
        "backup.after_rename",
        "backup.before_rename",
        "hook.told.before_settled",
        "keeper.key_made",
        "keeper.sealed_anew",
        "restore.copied",
        "retention.swept",
        "secret.ended",
        "secret.ending",
        "secret.made",
        "secret.making",
        "secret.rotated",
        "traces.sent.before_settled",
        "upgrade.after_commit",
        "upgrade.before_commit",
        "upgrade.step",
    ];

    fn points_of(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                points_of(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let points = text.split("mishap::at(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(points.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_point_that_has_a_name_is_one_to_die_at() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeSet::new();
        for floor in ["core", "edge", "app", "face"] {
            points_of(&crates.join(floor), &mut found);
        }
        found.extend(OF_PHASES.map(str::to_owned));
        assert_eq!(
            found,
            POINTS.iter().chain(runs::POINTS).chain(&ELSEWHERE).map(|point| (*point).to_owned()).collect()
        );
    }
}
