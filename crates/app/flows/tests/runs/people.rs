//! What people do with runs and agents at work: stop, revoke, reinstate, halt, resume.

use steward_app_agents::rows::Status;
use steward_app_flows::runs::Runner;
use steward_app_node::{Error, Kind};
use steward_governor::Reason;
use steward_ledger::kind;
use steward_permit::{Role, Tier};
use steward_testkit::{Known, TestNode};

use crate::common::{
    begun, entries, executing, file, message, node, over, packet, planning, refused, revocation, staff, standing,
    verdict,
};

async fn revoke(node: &TestNode, who: &Known, agent: &str) -> Result<(), Error> {
    node.runner().revoke(&node.again(who), agent, "it was seen elsewhere").await.map(|_| ())
}

async fn reinstate(node: &TestNode, agent: &str) -> Result<Tier, Error> {
    let row = node.runner().reinstate(&node.admin().await, agent, "it was somebody else").await?;
    Ok(row.reinstated.expect("it was taken back").tier)
}

#[tokio::test]
async fn who_may_stop_a_run() {
    let (node, olivia) = node().await;
    for (who, role, may) in [
        ("vera", Role::Viewer, false),
        ("rita", Role::Reviewer, true),
        ("oscar", Role::Operator, true),
        ("ada", Role::Admin, true),
    ] {
        let known = node.person(who, &[role]).await;
        let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
        let stopped = node.runner().stop(&node.again(&known), &id, "enough").await;
        assert_eq!(stopped.as_ref().map_err(|error| error.code).is_ok(), may, "{role:?}");
        if let Err(error) = stopped {
            assert_eq!((error.code, node.run(&id).is_live(), agent.is_over()), ("NOT_PERMITTED", true, false));
            node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
        }
        assert_eq!(verdict(&over(&node, &id, &agent).await).0, "stopped");
        let again = node.runner().stop(&node.again(&olivia), &id, "once more").await.expect_err("it is over");
        assert_eq!((again.kind, again.code), (Kind::Taken, "RUN_OVER"));
    }
    let nothing = node.runner().stop(&node.again(&olivia), node.run(&first(&node)).id(), " ").await.expect_err("why?");
    assert_eq!(nothing.code, "INVALID_REQUEST", "who stops says why");
}

fn first(node: &TestNode) -> steward_naming::RunId {
    let filter = steward_app_runs::RunFilter { limit: 1, ..Default::default() };
    let runs = node.context().store.read(|reader| steward_app_runs::runs(reader, &filter)).expect("it reads");
    runs[0].id().clone()
}

#[tokio::test]
async fn an_agent_without_a_run_is_revoked_once() {
    let (node, olivia) = node().await;
    let vera = node.person("vera", &[Role::Viewer]).await;
    assert_eq!(revoke(&node, &vera, "scribe").await.expect_err("refused").code, "NOT_PERMITTED");
    revoke(&node, &olivia, "scribe").await.expect("revoked");
    let row = revocation(&node, "scribe").expect("it is on record");
    assert_eq!((row.reason, row.run, row.task), (Reason::ByPerson, None, None));
    assert_eq!(standing(&node, "scribe"), (Tier::T1, Status::Revoked));
    let twice = revoke(&node, &olivia, "scribe").await.expect_err("it is revoked");
    assert_eq!((twice.kind, twice.code), (Kind::Taken, "AGENT_REVOKED"));
    assert_eq!(entries(&node, kind::AGENT_REVOKED).len(), 1);
    assert_eq!(revoke(&node, &olivia, "nobody").await.expect_err("unknown").code, "NOT_FOUND");
    let run = refused(&node, &olivia, &packet("scribe")).await;
    assert_eq!(verdict(&run).1, "AGENT_PREVIOUSLY_REVOKED");
}

#[tokio::test]
async fn a_revoked_agent_may_do_nothing_even_with_its_own_key() {
    let (node, olivia) = node().await;
    let own = node.agent_key("scribe").await;
    node.act(&own, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("allowed");
    revoke(&node, &olivia, "scribe").await.expect("revoked");
    assert_eq!(node.authenticate(&own.token).expect_err("refused").code, "AGENT_REVOKED");
    let late = node.act_as(own.caller.clone(), "scribe", "fs.write", "/reports/b.md", b"x").await;
    assert_eq!(late.expect_err("it is stale").kind, Kind::Stale);
    let driven = node.act(&olivia, "scribe", "fs.write", "/reports/b.md", b"x").await;
    assert_eq!(driven.expect_err("refused").code, "AGENT_REVOKED", "nor through a person");
    assert_eq!(node.file("scribe", "/reports/b.md"), None);
    reinstate(&node, "scribe").await.expect("reinstated");
    node.act(&own, "scribe", "fs.write", "/plans/b.md", b"x").await.expect("what its tier may");
    let beyond = node.act(&own, "scribe", "fs.write", "/reports/b.md", b"x").await;
    assert_eq!(beyond.expect_err("refused").code, "NOT_PERMITTED", "which is a lower one");
}

#[tokio::test]
async fn a_reinstated_agent_comes_back_one_tier_lower() {
    let (node, olivia) = node().await;
    for (agent, before, after) in [
        ("zero", Tier::T0, Tier::T0),
        ("one", Tier::T1, Tier::T0),
        ("two", Tier::T2, Tier::T1),
        ("three", Tier::T3, Tier::T2),
        ("four", Tier::T4, Tier::T0),
    ] {
        node.agent(agent, before).await;
        let error = reinstate(&node, agent).await.expect_err("nothing to take back");
        assert_eq!((error.kind, error.code), (Kind::Taken, "INVALID_REQUEST"));
        revoke(&node, &olivia, agent).await.expect("revoked");
        let theirs = node.runner().reinstate(&node.again(&olivia), agent, "a mistake").await;
        let theirs = theirs.expect_err("a person decides");
        assert_eq!(theirs.code, "NEEDS_REVIEW", "an operator asks, and does not reinstate");
        assert_eq!(standing(&node, agent), (before, Status::Revoked));
        assert_eq!(reinstate(&node, agent).await.expect("reinstated"), after);
        assert_eq!((standing(&node, agent), revocation(&node, agent)), ((after, Status::Active), None));
        assert!(reinstate(&node, agent).await.is_err(), "once");
        let asked = node.context().store.read(|reader| {
            steward_app_node::rows::review(reader, &node.context().namespace, &theirs.review.expect("a review"))
        });
        let asked = asked.expect("it reads").expect("there").review;
        assert_eq!(asked.status, steward_review::Status::Voided, "what was asked is over: {}", asked.answer());
    }
    assert_eq!(entries(&node, kind::AGENT_REINSTATED)[2].detail["tier_before"], "T2");
}

#[tokio::test]
async fn a_reinstated_agent_may_begin_again() {
    let (node, olivia) = node().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    revoke(&node, &olivia, "scribe").await.expect("revoked");
    over(&node, &id, &agent).await;
    reinstate(&node, "scribe").await.expect("reinstated");
    let (id, agent) = planning(&node, &olivia, &packet("scribe")).await;
    assert_eq!(node.run(&id).state.tier, Tier::T0);
    assert!(node.run(&id).state.handoff.is_some(), "it takes over from itself");
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
}

async fn resume(runner: &Runner, caller: &steward_app_node::Caller) -> Result<bool, Error> {
    runner.resume(caller, "all clear").await.map(|halt| halt.is_halted)
}

#[tokio::test]
async fn a_halt_stops_all_and_survives_a_restart() {
    let (mut node, olivia) = node().await;
    node.agent("second", Tier::T1).await;
    let vera = node.person("vera", &[Role::Viewer]).await;
    let first = executing(&node, &olivia, &packet("scribe")).await;
    let second = planning(&node, &olivia, &packet("second")).await;
    let error = node.runner().halt(&node.again(&vera), "an alarm").await.expect_err("refused");
    assert_eq!((error.code, node.run(&first.0).is_live()), ("NOT_PERMITTED", true));
    let error = resume(node.runner(), &node.admin().await).await.expect_err("it is not halted");
    assert_eq!(error.kind, Kind::Taken);

    let (halt, stopped) = node.runner().halt(&node.again(&olivia), "an alarm").await.expect("halted");
    assert_eq!((halt.is_halted, stopped), (true, vec![first.0.clone(), second.0.clone()]));
    for (id, agent) in [&first, &second] {
        let run = over(&node, id, agent).await;
        assert_eq!(verdict(&run), ("stopped", "STOPPED", None));
        assert!(message(&run).contains("an alarm"), "{}", message(&run));
    }
    for restarted in [false, true] {
        if restarted {
            node.restart().await;
        }
        let before = entries(&node, kind::ACTION_REFUSED).len();
        let error = node.start_run(&olivia, "scribe", &packet("scribe")).await.expect_err("no run");
        assert_eq!(error.code, "HALTED", "restarted: {restarted}");
        assert_eq!(entries(&node, kind::ACTION_REFUSED).len(), before + 1, "that is on record");
        assert_eq!(entries(&node, kind::RUN_STARTED).len(), 2);
        let acted = node.act(&olivia, "scribe", "fs.write", "/reports/a.md", b"x").await;
        assert_eq!(acted.expect_err("refused").code, "HALTED");
        assert_eq!(node.file("scribe", "/reports/a.md"), None);
        node.clock().advance_ms(60_000);
    }
    revoke(&node, &olivia, "second").await.expect("taking away goes on");
    assert_eq!(resume(node.runner(), &node.again(&olivia)).await.expect_err("refused").code, "NOT_PERMITTED");
    assert!(node.context().halt().is_halted);
    assert!(!resume(node.runner(), &node.admin().await).await.expect("resumed"), "it goes on");
    node.act(&olivia, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("it goes on");
    let run = begun(&node, &olivia, &packet("scribe")).await;
    let agent = node.next_agent().await;
    node.runner().stop(&node.again(&olivia), run.id(), "enough").await.expect("stopped");
    over(&node, run.id(), &agent).await;
    assert!(!node.run(&first.0).is_live(), "what was stopped stays so");
}

#[tokio::test]
async fn a_full_store_still_stops_and_revokes() {
    let mut node = TestNode::builder().max_store_bytes(1 << 20).start().await;
    let olivia = staff(&node).await;
    for agent in ["second", "third", "filler"] {
        node.agent(agent, Tier::T1).await;
    }
    let (first, agent) = executing(&node, &olivia, &packet("scribe")).await;
    let (second, other) = executing(&node, &olivia, &packet("second")).await;
    let (third, mut last) = executing(&node, &olivia, &packet("third")).await;
    let mut n = 0;
    while node.act(&olivia, "filler", "fs.write", &format!("/reports/{n}.md"), b"x").await.is_ok() {
        n += 1;
    }
    // The node's own lack of room is no error of the agent's.
    assert_eq!(last.refused("fs.write", file("/reports/a.md")).await, "STORE_FULL");
    assert_eq!((node.run(&third).state.spent.total, node.run(&third).is_live()), (0, true));
    node.runner().stop(&node.again(&olivia), &first, "enough").await.expect("stopped");
    assert_eq!(verdict(&over(&node, &first, &agent).await), ("stopped", "STOPPED", None));
    revoke(&node, &olivia, "second").await.expect("revoked");
    assert_eq!(verdict(&over(&node, &second, &other).await).1, "BY_PERSON");
    assert_eq!(standing(&node, "second").1, Status::Revoked);
    // And what revokes by itself.
    last.call("fs.write", file("/reports/secret/a.md")).await;
    node.runner().halt(&node.again(&olivia), "no room").await.expect("halted");
    assert!(!node.run(&third).is_live() && last.is_over());
    node.ended(&third).await;
    node.kill();
    node.limit_store(None);
    node.revive().await.expect("it starts");
    assert!(node.context().halt().is_halted);
}
