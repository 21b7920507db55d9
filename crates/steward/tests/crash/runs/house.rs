//! One home, and what the runs of its nodes go through.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    sync::{Arc, atomic::AtomicU64},
};

use rustix::process::Signal;
use steward_seal::note::NoteKey;
use steward_wire::{AddTool, AllowTool};
use tokio::task::JoinSet;

use crate::{
    chance::Chance,
    common::{Dead, Place, Up},
    life::KILL,
    load::Killer,
    runs::{
        ANY_MOMENT, ENDS, WHILE_RECOVERING, check,
        host::Host,
        known::{Facts, Known},
        load::{CLERKS, Duty, Work},
        remains::Marks,
        snapshot::Snapshot,
    },
};

/// What the agents run.
const AGENT: &str = include_str!("agent.sh");

/// How often each of the people does what they do, unless the node dies before.
const TIMES: u64 = 2;

/// Answers in a round, about.
const ANSWERS: u64 = 45;

/// Where a node dies whose next one dies as it recovers.
const AT_WORK: &str = "run.execute";

/// Commits in a round, about.
const COMMITS: u64 = 120;

/// One home, and what is known about it outside.
pub(crate) struct House {
    pub(crate) place: Place,
    pub(crate) host: Host,
    pub(crate) facts: Arc<Facts>,
    pub(crate) marks: Marks,
    /// As it was on the first start.
    pub(crate) head_key: NoteKey,
    operator: String,
    chance: Chance,
    /// Where nodes died, and how often.
    pub(crate) died: BTreeMap<&'static str, u64>,
}

impl House {
    /// A home with clerks.
    pub(crate) async fn begin(mut chance: Chance) -> Self {
        let (place, host) = (Place::new(), Host::begin().await);
        // Digits, so that it can stand in a number of seconds too; of this process, so that another test is not taken for us.
        let token = format!("{:05}{:07}", std::process::id() % 100_000, chance.below(10_000_000));
        let programs = place.home().join("programs");
        fs::create_dir_all(&programs).expect("a folder");
        let agent = AGENT.replace("@PORT@", &host.port.to_string()).replace("@TOKEN@", &token);
        fs::write(programs.join(format!("agent-{token}.sh")), agent).expect("a file");
        let node = place.try_up(&[], &[("STEWARD_HTTP_ALLOW", &allowed(&host))]).expect("it starts");
        let (operator, key) = node.login().await;
        let head_key: NoteKey = operator.ledger_vkey().await.expect("the key").vkey.parse().expect("a verifier key");
        let server = AddTool { name: "echo".to_owned(), url: Some(host.mcp()), ..AddTool::default() };
        operator.add_tool(&server).await.expect("it is added, and pinned");
        let allowed = AllowTool { tool: Some("echo".to_owned()), tier: Some("T1".to_owned()), ..AllowTool::default() };
        operator.allow_tool("echo", &allowed).await.expect("it is allowed");
        let instance = head_key.name().rsplit('/').next().expect("a split has a part").to_owned();
        let facts = Arc::new(Facts::default());
        facts.with(|known| known.is_halted = Some(false));
        let marks = Marks { token, instance, home: place.home() };
        let house = Self { place, host, facts, marks, head_key, operator: key.secret, chance, died: BTreeMap::new() };
        house.work(&node, "first", None).hires_clerks().await;
        node.stop();
        house
    }

    /// Somebody at the door of a node of this home.
    pub(crate) fn work(&self, node: &Up, tag: &str, killer: Option<Arc<Killer>>) -> Work {
        Work {
            operator: node.caller(Some(&self.operator)),
            facts: Arc::clone(&self.facts),
            chance: self.chance.clone(),
            port: self.host.port,
            token: self.marks.token.clone(),
            tag: tag.to_owned(),
            killer,
        }
    }

    fn up(&self, mishap: Option<&str>) -> Result<Up, Dead> {
        let allowed = allowed(&self.host);
        let mut environment = vec![("STEWARD_HTTP_ALLOW", allowed.as_str())];
        environment.extend(mishap.map(|mishap| ("STEWARD_MISHAP", mishap)));
        self.place.try_up(&[], &environment)
    }

    /// A node starts and dies, perhaps dies again while it recovers, and starts again; everything is looked at; it is stopped.
    pub(crate) async fn round(&mut self, round: u64) {
        let (end, early) = (ENDS[(round % ENDS.len() as u64) as usize], round < ENDS.len() as u64);
        let by_point = end != ANY_MOMENT;
        let nth = self.chance.up_to(match end.split_once('.') {
            _ if !by_point => ANSWERS,
            // Where a run is alive for certain: at any moment there may be none to recover.
            _ if end == WHILE_RECOVERING => 1,
            Some(("commit", _)) => COMMITS,
            // The first time around early, so that every point is reached.
            _ if early => 1,
            Some(("halt" | "agent", _)) => 2,
            _ => 8,
        });
        let context = format!("round {round}, {end} {nth}");
        let first = if end == WHILE_RECOVERING { AT_WORK } else { end };
        let died = self.dies(round, by_point.then(|| format!("{first}:{nth}")), nth, &context).await;
        // Nobody helped.
        self.marks.no_process(&context);
        if died && end != WHILE_RECOVERING {
            *self.died.entry(end).or_insert(0) += 1;
        }
        let before = Snapshot::of(&self.place.home());
        check::at_death(self, &before, &context);
        if end == WHILE_RECOVERING || self.chance.below(5) == 0 {
            self.dies_again(&context);
            self.marks.no_process(&context);
        }
        let node = self.up(None).unwrap_or_else(|dead| panic!("{context}: the node came up: {dead:?}"));
        check::at_the_door(self, &self.work(&node, &format!("{round}-after"), None), &before, &context).await;
        self.marks.nothing(false, &context);
        node.stop();
        self.marks.nothing(true, &context);
        check::on_disk(self, &before, &Snapshot::of(&self.place.home()), &context);
    }

    /// Starts a node that is to die, and has people at work with it until it is dead. Tells whether it died as it was meant to.
    async fn dies(&mut self, round: u64, mishap: Option<String>, nth: u64, context: &str) -> bool {
        let by_hand = mishap.is_none();
        let node = match self.up(mishap.as_deref()) {
            Ok(node) => Arc::new(node),
            // The point was reached while it started.
            Err(dead) => {
                assert_eq!(dead.status.signal(), Some(KILL), "{context}: {}\n{}", dead.status, dead.log);
                return true;
            }
        };
        let killer = by_hand
            .then(|| Arc::new(Killer { node: Arc::clone(&node), signal: Signal::KILL, left: AtomicU64::new(nth) }));
        let mut duties = vec![Duty::Succession, Duty::Family];
        duties.extend(CLERKS.map(Duty::Clerk));
        if mishap.as_ref().map_or(self.chance.below(3) == 0, |mishap| mishap.starts_with("halt")) {
            duties.push(Duty::Halt);
        }
        let mut people = JoinSet::new();
        for (n, duty) in duties.into_iter().enumerate() {
            let work = self.work(&node, &format!("{round}-{n}"), killer.clone());
            let work = Work { chance: self.chance.fork(n as u64), ..work };
            people.spawn(work.go(duty, TIMES));
        }
        self.chance.next();
        drop(killer);
        let mut lost = false;
        while let Some(person) = people.join_next().await {
            let was_there = person.unwrap_or_else(|error| panic!("{context}: {error}\n{}", self.place.log()));
            lost |= !was_there;
        }
        let node = Arc::into_inner(node).expect("nobody else has it any more");
        if !lost {
            // The point was not reached, or the last answer was the one to kill after.
            node.signal(Signal::KILL);
        }
        let status = node.wait();
        assert_eq!(status.signal(), Some(KILL), "{context}: {status}\n{}", self.place.log());
        lost || by_hand
    }

    /// A node that recovers dies as well.
    fn dies_again(&mut self, context: &str) {
        let points = [
            WHILE_RECOVERING,
            "run.ended",
            "run.followed",
            "run.package",
            "commit.before_commit",
            "commit.after_commit",
        ];
        let point =
            if context.contains(WHILE_RECOVERING) { WHILE_RECOVERING } else { points[self.chance.below(6) as usize] };
        let nth = self.chance.up_to(2);
        // There may be one run to recover only.
        let nth = if context.contains(WHILE_RECOVERING) { 1 } else { nth };
        let mishap = format!("{point}:{nth}");
        match self.up(Some(&mishap)) {
            Ok(node) => node.kill(),
            Err(dead) => {
                assert_eq!(dead.status.signal(), Some(KILL), "{context}, then {mishap}: {}\n{}", dead.status, dead.log);
                if point == WHILE_RECOVERING {
                    *self.died.entry(point).or_insert(0) += 1;
                }
            }
        }
    }

    /// What is known, for a look.
    pub(crate) fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        self.facts.with(look)
    }
}

/// Whom the node may fetch from.
fn allowed(host: &Host) -> String {
    format!("http://127.0.0.1:{}/**", host.port)
}
