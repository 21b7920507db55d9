//! Who lost the lock, or was stopped meanwhile, does nothing more: whatever was decided before.

use std::{
    pin::pin,
    task::{Context as TaskContext, Waker},
};

use serde_json::{Value, json};
use steward_app_actions::{EffectRow, Status, rows::effects_of_run};
use steward_governor::Phase;
use steward_ledger::kind;
use steward_naming::RunId;
use steward_store::EntryRow;
use steward_testkit::{Known, Played, TestNode};

use crate::common::{
    entries, events, executing, file, kinds, lock, node, over, packet, packet_with, planning, report, until, verdict,
};

/// Longer than the lease of a T1 agent's lock.
const LAPSE_MS: i64 = 30 * 60_000;

fn effects(node: &TestNode, id: &RunId) -> Vec<EffectRow> {
    node.context().store.read(|reader| effects_of_run(reader, id)).expect("it reads")
}

/// An agent that slept past its lease, and the run that took its lock.
async fn overslept() -> (TestNode, Known, (RunId, Played), (RunId, Played)) {
    let (node, olivia) = node().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    node.clock().advance_ms(LAPSE_MS);
    let next = executing(&node, &olivia, &packet("scribe")).await;
    assert_eq!((node.run(&id).fence, node.run(&next.0).fence), (1, 2), "the number of the lock grows");
    assert!(node.run(&id).is_live(), "nobody told the sleeper yet");
    (node, olivia, (id, agent), next)
}

#[tokio::test]
async fn who_wakes_without_its_lock_writes_nothing() {
    let calls = [
        ("fs.write", file("/reports/late.md")),
        ("fs.read", json!({"path": "/reports/week.md"})),
        ("exec", json!({"argv": ["grep", "x"]})),
        ("finish", json!({})),
        ("submit_plan", crate::common::plan()),
    ];
    for (tool, arguments) in calls {
        let (node, _, (id, mut agent), (next, mut heir)) = overslept().await;
        assert_eq!(agent.refused(tool, arguments).await, "LOCK_LOST", "{tool}");
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run).1, "LOCK_LOST", "{tool}");
        assert_eq!((node.file("scribe", "/reports/late.md"), node.worker().ran()), (None, 0), "{tool}");
        assert_eq!(effects(&node, &id), [], "{tool}: nothing was even intended");
        // Its end takes nothing from its heir.
        assert_eq!(lock(&node, &run).run, Some(next.clone()), "{tool}");
        heir.call("fs.write", report()).await;
        heir.call("finish", json!({})).await;
        heir.exit(0);
        assert_eq!(verdict(&over(&node, &next, &heir).await), ("completed", "COMPLETED", Some(true)), "{tool}");
    }
}

#[tokio::test]
async fn who_reports_a_problem_without_its_lock_ends_too() {
    let (node, olivia, (id, mut agent), (next, heir)) = overslept().await;
    agent.call("report_problem", json!({"message": "I slept"})).await;
    let run = over(&node, &id, &agent).await;
    assert_eq!((verdict(&run).1, run.state.spent.total), ("LOCK_LOST", 0));
    node.runner().stop(&node.again(&olivia), &next, "enough").await.expect("stopped");
    over(&node, &next, &heir).await;
}

#[tokio::test]
async fn a_lease_that_lapsed_is_none_even_if_nobody_took_the_lock() {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    node.clock().advance_ms(LAPSE_MS - 1);
    assert_eq!(agent.call("fs.write", file("/reports/a.md")).await["ok"], true, "it has it until then");
    node.clock().advance_ms(1);
    assert_eq!(agent.refused("fs.write", file("/reports/b.md")).await, "LOCK_LOST");
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "LOCK_LOST");
    assert_eq!(node.file("scribe", "/reports/b.md"), None);
}

#[tokio::test]
async fn a_transition_renews_the_lease() {
    let (node, olivia) = node().await;
    let (id, mut agent) = planning(&node, &olivia, &packet("scribe")).await;
    node.clock().advance_ms(LAPSE_MS - 1);
    assert_eq!(agent.call("submit_plan", crate::common::plan()).await["ok"], true);
    node.clock().advance_ms(LAPSE_MS - 1);
    assert_eq!(agent.call("fs.write", report()).await["ok"], true);
    node.runner().look_after().await.expect("it is looked after");
    assert!(node.run(&id).is_live());
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_ended() {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    node.runner().look_after().await.expect("it is looked after");
    assert!(node.run(&id).is_live(), "it has its time");
    node.clock().advance_ms(LAPSE_MS);
    node.runner().look_after().await.expect("it is looked after");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run).1, "LOCK_LOST");
    let late = agent.ask("fs.write", file("/reports/late.md")).await;
    assert_eq!(agent.answer(late).await, None);
    assert_eq!(node.file("scribe", "/reports/late.md"), None);
    node.runner().look_after().await.expect("again does no harm");
    assert_eq!(kinds(&node, &id).iter().filter(|kind| *kind == kind::RUN_ENDED).count(), 1);
    let (next, heir) = executing(&node, &olivia, &packet("scribe")).await;
    node.runner().stop(&node.again(&olivia), &next, "enough").await.expect("stopped");
    over(&node, &next, &heir).await;
}

/// Between the two commits of a write something happens. Nothing is published, and it is on record why.
async fn in_between(happens: impl AsyncFnOnce(&TestNode, &Known, &RunId), why: &[&str], answered: &[&str]) {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    let asked = agent.ask("fs.write", file("/reports/late.md")).await;
    until("the intention", || !entries(&node, kind::ACTION_INTENDED).is_empty()).await;
    happens(&node, &olivia, &id).await;
    let said = agent.answer(asked).await.expect("it is told");
    let code = said["error"]["code"].as_str().expect("it is refused");
    assert!(said["ok"] == false && answered.contains(&code), "{said}");
    let run = over(&node, &id, &agent).await;
    assert!(matches!(verdict(&run).0, "stopped" | "revoked"), "{:?}", verdict(&run));
    assert_eq!(node.file("scribe", "/reports/late.md"), None, "nothing was published");
    let effects = effects(&node, &id);
    assert_eq!((effects.len(), effects[0].status), (1, Status::Failed));
    let (code, _) = effects[0].error.as_ref().expect("it says why");
    assert!(why.contains(&code.as_str()), "{code}");
    assert!(entries(&node, kind::ACTION_PUBLISHING).is_empty());
    assert_eq!(run.state.spent.total, 0, "that is no error of the agent's");
}

#[tokio::test]
async fn a_stop_between_the_two_commits_of_a_write() {
    in_between(
        async |node, olivia, id| {
            node.runner().stop(&node.again(olivia), id, "enough").await.expect("stopped");
        },
        &["STALE"],
        &["RUN_OVER"],
    )
    .await;
}

#[tokio::test]
async fn a_revocation_between_the_two_commits_of_a_write() {
    in_between(
        async |node, olivia, _| {
            node.runner().revoke(&node.again(olivia), "scribe", "it was seen elsewhere").await.expect("revoked");
        },
        &["STALE"],
        &["RUN_OVER"],
    )
    .await;
}

#[tokio::test]
async fn a_halt_between_the_two_commits_of_a_write() {
    in_between(
        async |node, olivia, _| {
            node.runner().halt(&node.again(olivia), "an alarm").await.expect("halted");
        },
        // The guard of the halt, or the decision after it; then the halt, or the end that it brought.
        &["STALE", "HALTED"],
        &["HALTED", "RUN_OVER"],
    )
    .await;
}

/// Two writes race whatever ends EXECUTE, from several distances. Whoever wins: what was decided in EXECUTE is not published
/// after it, and what is on record as published is what is there.
async fn race(last: impl AsyncFn(&TestNode, &Known, &RunId, &mut Played)) {
    for ahead in [0, 100, 10_000] {
        let (node, olivia) = node().await;
        let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
        agent.call("fs.write", report()).await;
        let held = node.hold_writer();
        agent.ask("fs.write", file("/reports/a.md")).await;
        agent.ask("fs.write", file("/reports/b.md")).await;
        for _ in 0..ahead {
            tokio::task::yield_now().await;
        }
        {
            let mut last = pin!(last(&node, &olivia, &id, &mut agent));
            let polled = last.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
            for _ in 0..ahead {
                tokio::task::yield_now().await;
            }
            drop(held);
            if polled.is_pending() {
                last.await;
            }
        }
        until("the end of EXECUTE", || node.run(&id).state.phase != Phase::Execute).await;
        agent.exit(0);
        let run = node.ended(&id).await;
        let events = events(&node, &id);
        let left = |event: &EntryRow| {
            let body = event.read_body().expect("a body").expect("it is there");
            let from = if event.kind == kind::RUN_ENDED { "phase" } else { "from" };
            body.detail.get(from).is_some_and(|phase| phase == "EXECUTE")
        };
        let end = events.iter().position(left).expect("it left EXECUTE");
        let published: Vec<&EntryRow> = events.iter().filter(|e| e.kind == kind::ACTION_PUBLISHING).collect();
        assert!(published.iter().all(|event| event.seq < events[end].seq), "{ahead}: {:?}", kinds(&node, &id));
        let there = ["/reports/a.md", "/reports/b.md"].map(|path| node.file("scribe", path).is_some());
        let count = there.iter().filter(|there| **there).count();
        assert_eq!(published.len(), count + 1, "{ahead}: {:?}", verdict(&run));
    }
}

#[tokio::test]
async fn what_was_decided_in_execute_is_not_published_after_a_stop() {
    race(async |node, olivia, id, _| {
        node.runner().stop(&node.again(olivia), id, "enough").await.expect("stopped");
    })
    .await;
}

#[tokio::test]
async fn what_was_decided_in_execute_is_not_published_after_a_revocation() {
    race(async |node, olivia, _, _| {
        node.runner().revoke(&node.again(olivia), "scribe", "it was seen elsewhere").await.expect("revoked");
    })
    .await;
}

#[tokio::test]
async fn what_was_decided_in_execute_is_not_published_after_finish() {
    race(async |_, _, _, agent| {
        agent.ask("finish", json!({})).await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_the_tools_that_run() {
    let (node, olivia) = node().await;
    node.worker().lasts("grep");
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    let asked = agent.ask("exec", json!({"argv": ["grep", "-r", "x", "/"]})).await;
    until("the tool", || node.worker().ran() == 1).await;
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    let said: Value = agent.answer(asked).await.expect("it is told");
    assert_eq!(said["result"]["error"]["code"], "INTERRUPTED", "{said}");
    let run = over(&node, &id, &agent).await;
    assert_eq!((verdict(&run), run.state.spent.total), (("stopped", "STOPPED", None), 0));
    let effects = effects(&node, &id);
    assert_eq!((effects.len(), effects[0].status), (1, Status::Failed));
}

#[tokio::test]
async fn a_stop_ends_the_command_of_a_criterion() {
    let (node, olivia) = node().await;
    node.worker().lasts("grep");
    let criteria = json!([{"kind": "command", "argv": ["grep", "x"]}]);
    let (id, mut agent) = executing(&node, &olivia, &packet_with("scribe", "/success_criteria", criteria)).await;
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    until("the command", || node.worker().ran() == 1).await;
    assert_eq!(node.run(&id).state.phase.as_str(), "VERIFY");
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    assert_eq!(verdict(&over(&node, &id, &agent).await), ("stopped", "STOPPED", None));
}
