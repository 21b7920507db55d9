//! A tier more, by the record and a person's approval; a tier less, and an appeal (GOV-9).

use serde_json::json;
use steward_app_flows::{
    Tended, reviews,
    standing::{self, Promoted},
    tend,
};
use steward_app_node::rows::ReviewFilter;
use steward_ledger::kind;
use steward_naming::ReviewId;
use steward_permit::{Role, Tier};
use steward_review::Status;
use steward_testkit::{Known, TestNode};

use crate::common::{entries, node, over, packet_with, planning, standing as stands, verdict};

async fn house() -> (TestNode, Known, Known, Known) {
    let (node, olivia) = node().await;
    let (rita, rolf) = (node.person("rita", &[Role::Reviewer]).await, node.person("rolf", &[Role::Reviewer]).await);
    node.agent("watcher", Tier::T0).await;
    (node, olivia, rita, rolf)
}

/// A compliant run of the watcher, in which it writes `files` plans; or one that fails by its own fault.
async fn run(node: &TestNode, who: &Known, files: usize, good: bool) {
    let mut packet = packet_with("watcher", "/constraints/scope", json!(["fs.write:/plans/**"]));
    packet["constraints"]["required_steps"] = json!([]);
    packet["deliverables"] = json!([if good { "/plans/0.md" } else { "/plans/never.md" }]);
    packet["success_criteria"] = json!([]);
    let (id, mut agent) = planning(node, who, &packet).await;
    agent.call("submit_plan", json!({"summary": "s", "steps": [{"step": "write"}]})).await;
    for n in 0..files {
        agent.call("fs.write", json!({"path": format!("/plans/{n}.md"), "content": "x"})).await;
    }
    agent.call("finish", json!({})).await;
    agent.exit(0);
    let ended = over(node, &id, &agent).await;
    assert_eq!(verdict(&ended).2, Some(good), "{:?}", ended.state.ended);
}

fn waiting(node: &TestNode) -> Vec<ReviewId> {
    let filter = ReviewFilter { status: Some(Status::Pending), limit: 100, ..ReviewFilter::default() };
    let rows = node.context().store.read(|reader| steward_app_node::rows::reviews(reader, &filter)).expect("it reads");
    rows.into_iter().map(|row| row.review.id).collect()
}

async fn approve(node: &TestNode, who: &Known, id: &ReviewId) {
    reviews::approve(node.runner(), &node.again(who), id, "its record is good").await.expect("approved");
}

#[tokio::test]
async fn a_record_and_a_person_make_a_tier() {
    let (node, olivia, rita, _) = house().await;
    for _ in 0..4 {
        run(&node, &olivia, 3, true).await;
    }
    let short = standing::promote(node.context(), &node.again(&olivia), "watcher", "please").await;
    let short = short.expect_err("four runs are not five");
    assert_eq!(short.code, "RECORD_TOO_SHORT");
    let theirs = standing::promote(node.context(), &node.again(&rita), "watcher", "please").await;
    assert_eq!(
        theirs.expect_err("no reviewer's to ask").code,
        "NOT_PERMITTED",
        "who may not ask learns nothing of the record"
    );
    assert!(short.message.contains("has 4 and 12"), "{short}");
    assert!(waiting(&node).is_empty(), "nobody is asked for nothing");
    run(&node, &olivia, 3, true).await;
    let waits = waiting(&node);
    assert_eq!(waits.len(), 1, "people are asked as soon as its record is enough");
    assert_eq!(stands(&node, "watcher").0, Tier::T0, "and nothing changes before");
    approve(&node, &rita, &waits[0]).await;
    assert_eq!(stands(&node, "watcher").0, Tier::T1);
    let promoted = entries(&node, kind::AGENT_PROMOTED).pop().expect("on record");
    assert_eq!((&promoted.detail["tier_before"], &promoted.detail["tier"]), (&json!("T0"), &json!("T1")));
    assert_eq!(promoted.detail["approved_by"], json!(["rita@acme.internal"]));
    assert_eq!(promoted.detail["record"]["consecutive_compliant"], 5, "with the evidence");
    // The record begins anew.
    let again = standing::promote(node.context(), &node.again(&olivia), "watcher", "please").await;
    assert!(again.expect_err("too short").message.contains("has 0 and 0"));
}

#[tokio::test]
async fn where_policy_asks_no_person_the_record_makes_a_tier() {
    let (node, olivia, _, _) = house().await;
    node.edit_policies(|sources| {
        let reviews = sources.policies.iter_mut().find(|source| source.name == "reviews.cedar").expect("shipped");
        let (before, after) = reviews.text.split_once("Action::\"agent.promote\"").expect("its policy");
        let after = after.replacen(" && context.approved", "", 1);
        reviews.text = format!("{before}Action::\"agent.promote\"{after}");
    });
    tend(node.runner(), &node.home().policies(), &mut Tended::default()).await.expect("in force");
    for times in 0..5 {
        assert_eq!(stands(&node, "watcher").0, Tier::T0, "{times}");
        run(&node, &olivia, 3, true).await;
    }
    assert_eq!((stands(&node, "watcher").0, waiting(&node).len()), (Tier::T1, 0));
    let promoted = entries(&node, kind::AGENT_PROMOTED).pop().expect("on record");
    assert_eq!(promoted.actor.name, "acme.internal", "the node, by the record");
    assert_eq!(promoted.detail["record"]["consecutive_compliant"], 5);
}

#[tokio::test]
async fn a_failure_begins_the_record_anew() {
    let (node, olivia, _, _) = house().await;
    for _ in 0..4 {
        run(&node, &olivia, 5, true).await;
    }
    run(&node, &olivia, 5, false).await;
    run(&node, &olivia, 5, true).await;
    let short = standing::promote(node.context(), &node.again(&olivia), "watcher", "please").await;
    assert!(short.expect_err("one in a row").message.contains("has 1 and 5"));
    assert!(waiting(&node).is_empty());
}

#[tokio::test]
async fn an_architect_is_made_by_two_people_who_did_not_ask() {
    let (node, olivia, rita, rolf) = house().await;
    node.agent("executor", Tier::T3).await;
    let asked = standing::promote(node.context(), &node.again(&olivia), "executor", "we need one").await;
    let Ok(Promoted::Waits(review)) = asked else { panic!("{asked:?}") };
    approve(&node, &rita, &review).await;
    assert_eq!(stands(&node, "executor").0, Tier::T3, "one is not enough");
    let twice = reviews::approve(node.runner(), &node.again(&rita), &review, "again").await;
    assert_eq!(twice.expect_err("the same person").code, "REVIEW_OVER");
    approve(&node, &rolf, &review).await;
    assert_eq!(stands(&node, "executor").0, Tier::T4);
}

#[tokio::test]
async fn a_tier_is_taken_at_once_and_can_be_appealed_for() {
    let (node, olivia, rita, rolf) = house().await;
    let own = standing::demote(node.context(), &node.again(&olivia), "scribe", "sloppy").await;
    assert_eq!(own.expect_err("no operator's").code, "NOT_PERMITTED");
    standing::demote(node.context(), &node.again(&rita), "scribe", "sloppy").await.expect("a reviewer's");
    assert_eq!(stands(&node, "scribe").0, Tier::T0);
    let appeal = standing::appeal(node.context(), &node.again(&olivia), "scribe", "it was the network").await;
    let Ok(Promoted::Waits(review)) = appeal else { panic!("{appeal:?}") };
    approve(&node, &rolf, &review).await;
    assert_eq!(stands(&node, "scribe").0, Tier::T1, "it has it back");
    let nothing = standing::appeal(node.context(), &node.again(&olivia), "scribe", "more").await;
    assert_eq!(nothing.expect_err("nothing was taken").code, "INVALID_REQUEST");
}

#[tokio::test]
async fn what_was_approved_is_void_if_the_agent_is_another_by_then() {
    let (node, olivia, rita, _) = house().await;
    for _ in 0..5 {
        run(&node, &olivia, 2, true).await;
    }
    let review = waiting(&node).remove(0);
    node.runner().revoke(&node.again(&olivia), "watcher", "it went astray").await.expect("revoked");
    let late = reviews::approve(node.runner(), &node.again(&rita), &review, "good").await;
    assert_eq!(late.expect_err("void").code, "REVIEW_OVER");
    assert_eq!(stands(&node, "watcher").0, Tier::T0);
}

#[tokio::test]
async fn what_was_approved_is_carried_out_by_the_background_if_the_node_died_in_between() {
    let (mut node, olivia, rita, _) = house().await;
    for _ in 0..5 {
        run(&node, &olivia, 2, true).await;
    }
    let review = waiting(&node).remove(0);
    // The approval is on record, and then the node dies.
    steward_app_reviews::approve(node.context(), &node.again(&rita), &review, "good", false).await.expect("approved");
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!(stands(&node, "watcher").0, Tier::T0);
    for _ in 0..2 {
        let mut tended = steward_app_flows::Tended::default();
        steward_app_flows::tend(node.runner(), &node.home().policies(), &mut tended).await.expect("a round");
        assert_eq!(stands(&node, "watcher").0, Tier::T1, "once");
    }
    assert_eq!(entries(&node, kind::AGENT_PROMOTED).len(), 1);
}
