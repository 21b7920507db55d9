//! No room, and a failing disk: refused clearly, nothing acknowledged is lost, reads go on.

use std::{fs, time::Duration};

use steward_caller::{ActionQuery, CallError, Caller};
use steward_seal::Digest;
use steward_wire::{ActionRecord, EffectRecord, Problem};

use crate::{
    chance::Chance,
    check,
    common::Up,
    life::Life,
    load::{WRITERS, content, write},
};

/// The commits of a node that starts: that it did.
const COMMITS_OF_START: u64 = 1;

/// How long the background may take to settle what was left behind.
const SETTLED_WITHIN_S: u64 = 30;

/// Writes that may fit into the pages that a full store has: what was urgent may have left some of its last page.
const MAX_THAT_FIT: usize = 16;

/// One write of the first writer, known to the facts.
async fn writes(life: &Life, node: &Up, path: &str, chance: &mut Chance) -> Result<ActionRecord, Box<Problem>> {
    let content = content(path, chance);
    let number = life.facts.asks(WRITERS[0], path, Digest::of(&content).to_string());
    match life.ways(node).writers[0].act(WRITERS[0], &write(path, &content)).await {
        Ok(answer) => {
            life.facts.answered(number, answer.action.clone());
            Ok(answer.action)
        }
        Err(CallError::Refused(problem)) => Err(problem),
        Err(error) => panic!("{path}: {error}\n{}", life.place.log()),
    }
}

fn effect(answer: &ActionRecord) -> &EffectRecord {
    answer.effect.as_ref().expect("an allowed write has an effect")
}

/// Whoever only reads notices nothing.
async fn reads_go_on(operator: &Caller) {
    operator.agents().await.expect("agents");
    operator.ledger_head().await.expect("the head");
    let actions = operator.actions(&ActionQuery::default()).await.expect("actions").actions;
    assert!(!actions.is_empty());
}

/// Kills the node that is in trouble, and finds everything in the next.
async fn everything_is_there(life: &Life, node: Up, context: &str) {
    node.kill();
    life.facts.is_over();
    let node = life.place.up(&[]);
    check::at_the_door(life, &node, context).await;
    node.stop();
    check::on_disk(life, context);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_write_refuses_and_loses_nothing() {
    let mut chance = Chance::new(1);
    let life = Life::begin(chance.fork(0)).await;
    for (kind, code) in [("full", "STORE_FULL"), ("broken", "STORE_CLOSED")] {
        for point in ["commit.before_begin", "commit.after_rows", "commit.before_commit"] {
            // In the middle of the third write: before it is on record, before it is published, before it is settled.
            let nth = COMMITS_OF_START + 6 + chance.up_to(3);
            let mishap = format!("{point}:{nth}:{kind}");
            let node = life.place.try_up(&[], &[("STEWARD_MISHAP", &mishap)]).expect("it starts");
            for n in 0..2 {
                let done = writes(&life, &node, &format!("/{kind}/{point}/{n}"), &mut chance).await;
                assert_eq!(effect(&done.expect("there is room yet")).status, "succeeded", "{mishap}");
            }
            for n in 2..5 {
                let refused = writes(&life, &node, &format!("/{kind}/{point}/{n}"), &mut chance).await;
                let refused = refused.expect_err("it cannot be recorded");
                assert_eq!((refused.code.as_str(), refused.status), (code, 503), "{mishap}: {refused:?}");
                // One that was dispatched is not to be asked for again before somebody looked.
                assert_eq!(refused.action.is_some(), n == 2 && nth > COMMITS_OF_START + 7, "{mishap}: {refused:?}");
            }
            reads_go_on(&life.ways(&node).operator).await;
            everything_is_there(&life, node, &mishap).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_write_fails_the_effect_and_nothing_else() {
    let mut chance = Chance::new(2);
    let life = Life::begin(chance.fork(0)).await;
    // In the order of a write from its end, so that each is reached by the write that it is to fail.
    let points = [
        ("effect.publish.after_sync", "unknown"),
        ("effect.publish.after_rename", "unknown"),
        ("effect.publish.before_rename", "failed"),
        ("effect.stage.after_sync", "failed"),
        ("effect.stage.half_written", "failed"),
        ("effect.stage.before_write", "failed"),
    ];
    for (kind, code) in [("full", "NO_SPACE"), ("broken", "BROKEN")] {
        let mishaps: Vec<String> =
            points.iter().enumerate().map(|(n, (point, _))| format!("{point}:{}:{kind}", n + 2)).collect();
        let node = life.place.try_up(&[], &[("STEWARD_MISHAP", &mishaps.join(","))]).expect("it starts");
        let first = writes(&life, &node, &format!("/{kind}"), &mut chance).await.expect("recorded");
        assert_eq!(effect(&first).status, "succeeded");
        for (point, status) in points {
            let path = format!("/{point}/{kind}");
            let answer = writes(&life, &node, &path, &mut chance).await.expect("recorded");
            let code = if status == "unknown" { "OUTCOME_UNKNOWN" } else { code };
            let effect = effect(&answer);
            assert_eq!((effect.status.as_str(), effect.error_code.as_deref()), (status, Some(code)), "{point} {kind}");
            let is_there = life.files(WRITERS[0]).join(path.trim_start_matches('/')).exists();
            assert_eq!(is_there, status == "unknown", "{path}");
        }
        reads_go_on(&life.ways(&node).operator).await;
        node.stop();
        check::on_disk(&life, kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_end_could_not_be_recorded_is_settled_by_the_node_that_lives() {
    let mut chance = Chance::new(3);
    let life = Life::begin(chance.fork(0)).await;
    // A write commits three times: intended, publishing, settled.
    for (nth, times, status, code) in
        [(3, 1, "succeeded", None), (2, 1, "failed", Some("STORE_FULL")), (2, 2, "failed", Some("INTERRUPTED"))]
    {
        let mishap = format!("commit.before_commit:{}:full:{times}", COMMITS_OF_START + nth);
        let node = life.place.try_up(&[], &[("STEWARD_MISHAP", &mishap)]).expect("it starts");
        let path = format!("/settled/{nth}/{times}");
        let refused = writes(&life, &node, &path, &mut chance).await.expect_err("its end cannot be recorded");
        assert_eq!(refused.code, "STORE_FULL", "{mishap}");
        let id = refused.action.clone().expect("the refusal names the action, because it was dispatched");
        let operator = life.ways(&node).operator;
        let settled = async {
            loop {
                let action = operator.action(&id).await.expect("it is on record");
                if !matches!(effect(&action).status.as_str(), "intended" | "publishing") {
                    return action;
                }
                tokio::task::yield_now().await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(SETTLED_WITHIN_S), settled).await;
        let settled = settled.unwrap_or_else(|_| panic!("{mishap}: {id} is still open\n{}", life.place.log()));
        let effect = effect(&settled);
        assert_eq!((effect.status.as_str(), effect.error_code.as_deref()), (status, code), "{mishap}");
        assert_eq!(life.files(WRITERS[0]).join(&path[1..]).exists(), status == "succeeded", "{mishap}");
        life.facts.is_over();
        node.stop();
        check::on_disk(&life, &mishap);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_system_refuses_stops_the_store_and_loses_nothing() {
    let mut chance = Chance::new(5);
    let life = Life::begin(chance.fork(0)).await;
    let size = fs::metadata(life.place.home().join("store.sqlite")).expect("the store").len();
    // The log of the store reaches this after a few commits, in the middle of one.
    let node = life.place.up_within(size / 512);
    let mut n = 0;
    let refused = loop {
        match writes(&life, &node, &format!("/system/{n}"), &mut chance).await {
            Ok(done) => assert_eq!(effect(&done).status, "succeeded"),
            Err(refused) => break refused,
        }
        n += 1;
        assert!(n < 1_000, "the limit does not hold");
    };
    assert!(n > 0, "there was room for one");
    assert_eq!((refused.code.as_str(), refused.status), ("STORE_CLOSED", 503), "{refused:?}");
    let again = writes(&life, &node, "/system/again", &mut chance).await.expect_err("it takes no more changes");
    assert_eq!(again.code, "STORE_CLOSED", "{again:?}");
    reads_go_on(&life.ways(&node).operator).await;
    everything_is_there(&life, node, "ulimit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_its_limit_refuses_and_goes_on_when_it_may_grow() {
    let mut chance = Chance::new(4);
    let life = Life::begin(chance.fork(0)).await;
    let file = life.place.home().join("steward.toml");
    let limited = |bytes: u64| {
        let text = fs::read_to_string(&file).expect("the configuration");
        let lines = text.lines().map(|line| match line.strip_prefix("max_store_bytes = ") {
            Some(_) => format!("max_store_bytes = {bytes}\n"),
            None => format!("{line}\n"),
        });
        fs::write(&file, lines.collect::<String>()).expect("written");
    };
    let size = fs::metadata(life.place.home().join("store.sqlite")).expect("the store").len();
    limited(size + (64 << 10));
    let node = life.place.up(&[]);
    let mut n = 0;
    let refused = loop {
        match writes(&life, &node, &format!("/limit/{n}"), &mut chance).await {
            Ok(done) => assert_eq!(effect(&done).status, "succeeded"),
            Err(refused) => break refused,
        }
        n += 1;
        assert!(n < 1_000, "the limit does not hold");
    };
    assert!(n > 0, "there was room for one");
    assert_eq!((refused.code.as_str(), refused.status), ("STORE_FULL", 503), "{refused:?}");
    reads_go_on(&life.ways(&node).operator).await;
    node.kill();
    life.facts.is_over();

    // As small as it is, it starts from its reserve, refuses what would grow, and still takes leave away (SEC-5).
    limited(size);
    let node = life.place.up(&[]);
    let mut refused = None;
    for n in 0..MAX_THAT_FIT {
        refused = writes(&life, &node, &format!("/limit/more-{n}"), &mut chance).await.err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused.expect("what would make it grow is refused").code, "STORE_FULL");
    let operator = life.ways(&node).operator;
    let keys = operator.keys().await.expect("reads go on").keys;
    let used = keys.iter().find(|key| key.status == "used").expect("the one that the operator logged in with");
    let revoked = operator.revoke_key(&used.id).await.expect("a full store takes leave away");
    assert_eq!(revoked.status, "revoked");
    node.stop();

    limited(size + (64 << 20));
    let node = life.place.up(&[]);
    check::at_the_door(&life, &node, "a larger limit").await;
    let done = writes(&life, &node, "/limit/again", &mut chance).await.expect("there is room");
    assert_eq!(effect(&done).status, "succeeded");
    node.stop();
    check::on_disk(&life, "a larger limit");
}
