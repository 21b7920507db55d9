//! What must be so of runs after a node died, and after another recovered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use steward_caller::{CallError, RunQuery};
use steward_ledger::{Audit, head};
use steward_seal::Digest;
use steward_store::Archive;
use steward_wire::StartRun;

use crate::{
    common::NAMESPACE,
    runs::{
        house::House,
        load::{CLERKS, Work},
        snapshot::{Effect, Snapshot},
    },
};

/// Between two looks at a node that goes on with runs, and how many.
const LOOK_EVERY_MS: u64 = 10;
const MAX_LOOKS: u64 = 30_000 / LOOK_EVERY_MS;

/// What a dead node had committed: all that it acknowledged, to people and to agents, and nothing twice.
pub(crate) fn at_death(house: &House, found: &Snapshot, context: &str) {
    acknowledged_is_there(house, found, context);
    asked_once(house, &found.effects, context);
}

/// Whatever was acknowledged is on record.
fn acknowledged_is_there(house: &House, found: &Snapshot, context: &str) {
    house.known(|known| {
        for (id, said) in &known.runs {
            let run = found.runs.get(id).unwrap_or_else(|| panic!("{context}: {id} is lost"));
            assert!(run.errors >= said.errors, "{context}: {id} spent {} errors, and said {}", run.errors, said.errors);
            if let Some(ended) = &said.ended {
                assert_eq!(run.ended.as_ref(), Some(ended), "{context}: {id}");
            }
        }
        for (agent, asked_back) in &known.revoked {
            let is_revoked = found.revoked.contains(agent);
            assert!(is_revoked || *asked_back, "{context}: {agent} was revoked, and is not");
        }
        for agent in &known.back {
            assert!(!found.revoked.contains(agent), "{context}: {agent} was reinstated, and is not");
        }
        if let Some(is_halted) = known.is_halted {
            assert_eq!(found.is_halted, is_halted, "{context}: halted");
        }
    });
    // What agents were told, they told the host outside.
    for target in house.host.asked().values().flatten().filter(|target| target.starts_with('/')) {
        let (run, told) = target.trim_start_matches('/').split_once('?').expect("a run, and what it was told");
        match told.split_once('=') {
            Some(("acted", id)) => {
                let effect = found.effects.get(id).unwrap_or_else(|| panic!("{context}: {id} is lost"));
                assert_eq!(
                    (effect.action.as_str(), effect.status.as_str()),
                    ("fs.write", "succeeded"),
                    "{context}: {id}"
                );
            }
            Some(("left", left)) => {
                let spent = 3 - left.parse::<u64>().expect("a number");
                let run = &found.runs[run];
                assert!(run.errors >= spent, "{context}: {} errors, and the agent was told {spent}", run.errors);
            }
            _ => panic!("{context}: {target}"),
        }
    }
}

/// What reaches somebody outside of the node.
const OUTWARD: [&str; 2] = ["http.get", "tool.call"];

/// Nobody outside was asked twice, nor for what is not on record, nor for what is said to have failed.
fn asked_once(house: &House, effects: &BTreeMap<String, Effect>, context: &str) {
    let asked = house.host.asked();
    for (key, targets) in &asked {
        assert_eq!(targets.len(), 1, "{context}: {key} was asked more than once: {targets:?}");
        let effect = effects.get(key).unwrap_or_else(|| panic!("{context}: {key} was asked and is not on record"));
        assert_ne!(effect.status, "failed", "{context}: {key} reached the host");
        assert!(effect.resource.ends_with(&targets[0]), "{context}: {key}: {} and {targets:?}", effect.resource);
    }
    for (id, effect) in effects.iter().filter(|(_, e)| OUTWARD.contains(&e.action.as_str()) && e.status == "succeeded")
    {
        assert!(asked.contains_key(id), "{context}: {id} succeeded, and nobody heard of it: {effect:?}");
    }
}

/// What people see of a node that started again: nothing goes on for ever, a halt holds, and whoever may can work.
pub(crate) async fn at_the_door(house: &House, work: &Work, before: &Snapshot, context: &str) {
    let operator = &work.operator;
    let live = RunQuery { live: Some(true), ..RunQuery::default() };
    let listed = operator.runs(&live).await.expect("runs").runs;
    for run in &listed {
        // It was past EXECUTE when the node died: it needs no process.
        let was = before.runs.get(&run.id).unwrap_or_else(|| panic!("{context}: {} is new", run.id));
        assert!(is_late(&was.phase) && !before.is_halted, "{context}: {run:#?}");
    }
    let mut looks = 0;
    while operator.node_status().await.expect("the node answers").runs_live > 0 {
        looks += 1;
        assert!(looks < MAX_LOOKS, "{context}: runs do not end: {:#?}", operator.runs(&live).await);
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
    }
    let status = operator.node_status().await.expect("the node answers");
    assert_eq!(status.effects_open, 0, "{context}: effects are open after recovery");
    assert_eq!(status.halted.is_some(), before.is_halted, "{context}");
    house.known(|known| known.is_halted = Some(before.is_halted));
    if before.is_halted {
        let start = StartRun { agent: CLERKS[0].to_owned(), task: Some("t".to_owned()), ..StartRun::default() };
        let refused = operator.start_run(&start).await;
        assert!(matches!(&refused, Err(CallError::Refused(p)) if p.code == "HALTED"), "{context}: {refused:?}");
        work.resumes().await.expect("it can go on");
    }
    for clerk in CLERKS {
        work.clerk(clerk, &format!("{}-{clerk}", work.tag)).await.expect("the node answers");
    }
}

fn is_late(phase: &str) -> bool {
    matches!(phase, "VERIFY" | "PACKAGE" | "REPORT")
}

/// What a stranger sees in the home of a node that was stopped, after one died that left `before`.
pub(crate) fn on_disk(house: &House, before: &Snapshot, now: &Snapshot, context: &str) {
    acknowledged_is_there(house, now, context);
    asked_once(house, &now.effects, context);
    assert_eq!(now.live().count(), 0, "{context}: {:#?}", now.live().collect::<Vec<_>>());
    assert!(now.locks.is_empty(), "{context}: locks are held: {:?}", now.locks);
    assert!(now.credentials.is_empty(), "{context}: credentials are good: {:?}", now.credentials);
    assert_eq!(now.revoked, now.revocations, "{context}: agents are revoked just if a revocation is open");
    for (id, run) in &now.runs {
        let is_revoked = usize::from(run.ending() == "revoked");
        for (what, of) in [("handoffs", &now.handoffs), ("revocations", &now.ended_by_revocations)] {
            let count = of.iter().filter(|run| *run == id).count();
            assert_eq!(count, is_revoked, "{context}: {what} of {id}, {run:?}");
        }
    }
    runs_went_on(before, now, context);
    effects_were_settled(before, now, context);
    files_are_what_was_written(house, now, context);
    verifies(house, context);
}

/// Runs that had ended are as they were; those that had not ended as they should.
fn runs_went_on(before: &Snapshot, now: &Snapshot, context: &str) {
    for (id, was) in &before.runs {
        let is = now.runs.get(id).unwrap_or_else(|| panic!("{context}: {id} is lost"));
        assert!(is.errors >= was.errors, "{context}: {id} spent less: {was:?}, {is:?}");
        let Some((ending, code)) = &is.ended else { panic!("{context}: {id} has not ended: {is:?}") };
        if was.ended.is_some() {
            assert_eq!(was, is, "{context}: {id}");
            continue;
        }
        let parent = was.parent.as_ref().map(|parent| &before.runs[parent]);
        let with_parent = parent.is_some() && ending == "stopped";
        let expected = match (before.is_halted, is_late(&was.phase)) {
            (true, _) => ending == "stopped",
            (false, true) => ending == "completed",
            (false, false) => ending == "failed" && code == "INTERRUPTED" || with_parent,
        };
        assert!(expected, "{context}: {id}: {was:?} became {is:?}");
    }
}

/// What was open is settled, what was settled is as it was; of what was written one always knows.
fn effects_were_settled(before: &Snapshot, now: &Snapshot, context: &str) {
    for (id, is) in &now.effects {
        assert!(!is.is_open(), "{context}: {id} is open: {is:?}");
        assert!(is.status != "unknown" || OUTWARD.contains(&is.action.as_str()), "{context}: {id}: {is:?}");
    }
    for (id, was) in &before.effects {
        let is = now.effects.get(id).unwrap_or_else(|| panic!("{context}: {id} is lost"));
        let settled: &[&str] = match (was.status.as_str(), was.action.as_str()) {
            ("intended", _) => &["failed"],
            ("publishing", action) if OUTWARD.contains(&action) => &["unknown"],
            ("publishing", _) => &["failed", "succeeded"],
            _ => {
                assert_eq!(was, is, "{context}: {id}");
                continue;
            }
        };
        assert!(settled.contains(&is.status.as_str()), "{context}: {id}: {was:?} became {is:?}");
        let error = (is.status == "failed").then_some("INTERRUPTED");
        assert!(is.status == "unknown" || is.error.as_deref() == error, "{context}: {id}: {is:?}");
    }
}

/// Each file has the content of the last write of it that succeeded, and no other file is there.
fn files_are_what_was_written(house: &House, now: &Snapshot, context: &str) {
    let agents = house.place.home().join("agents").join(NAMESPACE);
    let mut last: BTreeMap<PathBuf, &Effect> = BTreeMap::new();
    for effect in now.effects.values().filter(|e| e.action == "fs.write" && e.status == "succeeded") {
        let label = effect.agent.trim_end_matches(&format!(".{NAMESPACE}"));
        let file = agents.join(label).join("files").join(effect.resource.trim_start_matches('/'));
        last.entry(file)
            .and_modify(|e| {
                if effect.entry > e.entry {
                    *e = effect
                }
            })
            .or_insert(effect);
    }
    for (file, effect) in &last {
        let found = fs::read(file).unwrap_or_else(|error| panic!("{context}: {}: {error}", file.display()));
        assert_eq!(Some(Digest::of(&found).to_string()), effect.digest, "{context}: {}", file.display());
    }
    let mut there = BTreeSet::new();
    for agent in fs::read_dir(&agents).expect("agents have folders") {
        all_files(&agent.expect("a folder can be read").path().join("files"), &mut there);
    }
    for file in there {
        assert!(last.contains_key(&file), "{context}: nobody wrote {}", file.display());
    }
}

fn all_files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            all_files(&path, found);
        } else {
            found.insert(path);
        }
    }
}

/// Ledger and state verify, and continue every head that was kept.
fn verifies(house: &House, context: &str) {
    let archive = Archive::open(&house.place.home().join("store.sqlite")).expect("there is a store");
    let mut audit = Audit::new(house.head_key.clone(), house.head_key.name());
    let mut largest = 0;
    for note in house.known(|known| known.heads.clone()) {
        let kept = head::open(note.as_bytes(), &house.head_key, house.head_key.name()).expect("the node signed it");
        largest = largest.max(kept.get().size);
        audit.anchor(&kept);
    }
    let report = archive.audit(audit, true).expect("the store can be read");
    assert!(report.is_consistent(), "{context}: {:#?}", report.findings());
    assert_eq!(report.anchored_size, largest, "{context}: the ledger continues the newest head that was kept");
}
