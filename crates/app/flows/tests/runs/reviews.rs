//! What waits for a person: plans, an architect's writes, criteria, and runs that are held.

use serde_json::{Value, json};
use steward_app_flows::{Tended, reviews, tend};
use steward_app_node::{ReviewRow, rows::ReviewFilter};
use steward_app_reviews as inbox;
use steward_ledger::kind;
use steward_naming::ReviewId;
use steward_permit::{Role, Scope, Tier};
use steward_policy::Source;
use steward_review::Status;
use steward_testkit::{Known, Played, TestNode};

use crate::common::{
    begun, entries, executing, message, node, over, packet, packet_with, plan, planning, report, standing, until,
    verdict,
};

/// A node with an operator, two reviewers, and an agent of each of the tiers that people look after.
async fn house() -> (TestNode, Known, Known, Known) {
    let (node, olivia) = node().await;
    let (rita, rolf) = (node.person("rita", &[Role::Reviewer]).await, node.person("rolf", &[Role::Reviewer]).await);
    node.agent("executor", Tier::T3).await;
    node.agent("architect", Tier::T4).await;
    (node, olivia, rita, rolf)
}

/// What waits now, the oldest first.
fn waiting(node: &TestNode) -> Vec<ReviewRow> {
    let filter = ReviewFilter { status: Some(Status::Pending), limit: 100, ..ReviewFilter::default() };
    let mut rows =
        node.context().store.read(|reader| steward_app_node::rows::reviews(reader, &filter)).expect("it reads");
    rows.reverse();
    rows
}

async fn asked(node: &TestNode) -> ReviewRow {
    until("a review", || !waiting(node).is_empty()).await;
    waiting(node).remove(0)
}

fn row(node: &TestNode, id: &ReviewId) -> ReviewRow {
    inbox::find(node.context(), id).expect("it is there")
}

async fn approve(node: &TestNode, who: &Known, id: &ReviewId) -> Result<ReviewRow, steward_app_node::Error> {
    reviews::approve(node.runner(), &node.again(who), id, "I looked at it").await
}

async fn reject(node: &TestNode, who: &Known, id: &ReviewId) -> Result<ReviewRow, steward_app_node::Error> {
    reviews::reject(node.runner(), &node.again(who), id, "not like this").await
}

/// One round of the background.
async fn round(node: &TestNode) {
    tend(node.runner(), &node.home().policies(), &mut Tended::default()).await.expect("a round");
}

/// A run of the executor whose plan waits for a person.
async fn plan_waits(node: &TestNode, who: &Known) -> (steward_naming::RunId, Played, u64, ReviewRow) {
    let (id, mut agent) = planning(node, who, &packet("executor")).await;
    let number = agent.ask("submit_plan", plan()).await;
    let review = asked(node).await;
    (id, agent, number, review)
}

#[tokio::test]
async fn an_executors_plan_waits_for_a_reviewer() {
    let (node, olivia, rita, _) = house().await;
    let (id, mut agent, number, review) = plan_waits(&node, &olivia).await;
    assert_eq!((review.review.kind.as_str(), review.review.run.as_ref()), ("plan", Some(&id)));
    assert!(review.review.why.contains("Write it."), "it says what for: {}", review.review.why);
    let (_, documents) = inbox::show(node.context(), &node.again(&rita), &review.review.id).await.expect("she sees it");
    let document: Value = serde_json::from_slice(&documents.document.expect("the plan")).expect("JSON");
    assert_eq!(document["steps"][0]["artifact"], "/reports/week.md", "the whole plan");
    assert_eq!(node.run(&id).state.phase.as_str(), "PLAN", "nothing goes on before");
    let shown = async || steward_app_flows::runs::run(node.context(), &node.again(&olivia), &id, None).await;
    assert_eq!(shown().await.expect("shown").waits_for, std::slice::from_ref(&review.review.id));

    let theirs = approve(&node, &olivia, &review.review.id).await.expect_err("she started the run");
    assert_eq!(theirs.code, "FORBIDDEN", "who started a run approves nothing of it");
    let approved = approve(&node, &rita, &review.review.id).await.expect("a reviewer");
    assert_eq!(approved.review.decisions[0].by, "rita@acme.internal");
    let said = agent.answer(number).await.expect("it is told");
    assert_eq!((said["ok"].as_bool(), said["phase"].as_str()), (Some(true), Some("EXECUTE")), "{said}");
    assert_eq!(row(&node, &review.review.id).review.status, Status::Used);
    let phases = entries(&node, kind::RUN_PHASE);
    let executing = phases.iter().find(|body| body.detail["to"] == "EXECUTE").expect("it is on record");
    assert_eq!(executing.detail["approved_by"], json!(["rita@acme.internal"]), "with who approved it");

    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}

#[tokio::test]
async fn a_plan_that_a_person_rejects_ends_the_run() {
    let (node, olivia, rita, _) = house().await;
    let (id, mut agent, number, review) = plan_waits(&node, &olivia).await;
    reject(&node, &rita, &review.review.id).await.expect("a reviewer");
    let said = agent.answer(number).await.expect("it is told");
    assert_eq!(said["error"]["code"], "REVIEW_REFUSED", "{said}");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run).1, "REVIEW_REFUSED");
    assert!(message(&run).contains("not like this"), "it says why: {}", message(&run));
}

#[tokio::test]
async fn who_asked_does_not_approve_unless_nobody_else_is_there() {
    let node = TestNode::new().await;
    let all = [Role::Admin, Role::Operator, Role::Reviewer];
    let olivia = node.person("olivia", &all).await;
    node.agent("executor", Tier::T3).await;
    node.agent("architect", Tier::T4).await;
    let (id, mut agent, number, review) = plan_waits(&node, &olivia).await;
    let approved = approve(&node, &olivia, &review.review.id).await.expect("nobody else is enrolled");
    assert!(approved.review.decisions[0].own, "it is marked");
    assert_eq!(agent.answer(number).await.expect("told")["ok"], true);
    assert_eq!(entries(&node, kind::REVIEW_APPROVED)[0].detail["own"], true, "on record, too");
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;

    // Not of an architect.
    let refused = node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("it waits");
    let of_architect = refused.review.expect("a review");
    assert_eq!(approve(&node, &olivia, &of_architect).await.expect_err("her own").code, "FORBIDDEN");
    // Nor once another is there.
    node.person("rita", &[Role::Reviewer]).await;
    let (id, mut agent, number, review) = {
        let (id, mut agent) = planning(&node, &olivia, &packet("executor")).await;
        let number = agent.ask("submit_plan", plan()).await;
        until("another review", || waiting(&node).len() == 2).await;
        (id, agent, number, waiting(&node).remove(1))
    };
    assert_eq!(approve(&node, &olivia, &review.review.id).await.expect_err("her own").code, "FORBIDDEN");
    reject(&node, &olivia, &review.review.id).await.expect("whoever asked may take it back");
    assert_eq!(agent.answer(number).await.expect("told")["ok"], false);
    over(&node, &id, &agent).await;
}

#[tokio::test]
async fn an_approval_is_good_for_exactly_what_was_asked_once() {
    let (node, olivia, rita, _) = house().await;
    let ask = async |path: &str, text: &[u8]| node.act(&olivia, "architect", "fs.write", path, text).await;
    let waits = async |path: &str, text: &[u8]| {
        let error = ask(path, text).await.expect_err("it waits");
        assert_eq!(error.code, "NEEDS_REVIEW", "{error}");
        error.review.expect("it names the review")
    };
    let first = waits("/plans/a.md", b"one").await;
    assert_eq!(waits("/plans/a.md", b"one").await, first, "asking again asks nobody anew");
    approve(&node, &rita, &first).await.expect("a reviewer");
    // What was altered is something else.
    let altered = waits("/plans/a.md", b"two").await;
    let elsewhere = waits("/plans/b.md", b"one").await;
    assert!(altered != first && elsewhere != first);
    let action = ask("/plans/a.md", b"one").await.expect("exactly this was approved");
    let used = row(&node, &first).review;
    assert_eq!((used.status, used.used_by), (Status::Used, Some(action.clone())));
    let intended = entries(&node, kind::ACTION_INTENDED).pop().expect("on record");
    assert_eq!(
        (&intended.detail["review"], &intended.detail["approved_by"]),
        (&json!(first), &json!(["rita@acme.internal"]))
    );
    // Replayed, it is a new question.
    let again = waits("/plans/a.md", b"one").await;
    assert_ne!(again, first, "an approval is used once");
    let (_, documents) = inbox::show(node.context(), &node.again(&rita), &altered).await.expect("shown");
    assert_eq!(documents.document.as_deref(), Some(&b"two"[..]));
    let (_, documents) = inbox::show(node.context(), &node.again(&rita), &again).await.expect("shown");
    assert_eq!(documents.before.as_deref(), Some(&b"one"[..]), "what it would replace");
}

#[tokio::test]
async fn what_was_rejected_stays_so_for_its_time() {
    let (node, olivia, rita, _) = house().await;
    let ask = async || node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("not now");
    let review = ask().await.review.expect("a review");
    reject(&node, &rita, &review).await.expect("a reviewer");
    let refused = ask().await;
    assert_eq!(refused.code, "REVIEW_REFUSED");
    assert!(refused.message.contains("not like this"), "{refused}");
    node.clock().advance_ms(8 * 24 * 3600 * 1000);
    assert_ne!(ask().await.review.expect("asked anew"), review);
}

#[tokio::test]
async fn an_approval_ends_with_its_time_and_with_the_policy() {
    let (node, olivia, rita, _) = house().await;
    let ask = async || node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await;
    let late = ask().await.expect_err("it waits").review.expect("a review");
    approve(&node, &rita, &late).await.expect("a reviewer");
    node.clock().advance_ms(8 * 24 * 3600 * 1000);
    let anew = ask().await.expect_err("too late").review.expect("another review");
    assert_ne!(anew, late);
    round(&node).await;
    assert_eq!(row(&node, &late).review.status, Status::Expired);
    assert_eq!(approve(&node, &rita, &late).await.expect_err("over").code, "REVIEW_OVER");

    approve(&node, &rita, &anew).await.expect("a reviewer");
    node.edit_policies(|sources| {
        let text =
            "@id(\"own\")\n@description(\"Nothing.\")\nforbid (principal, action == Action::\"ssh\", resource);\n";
        sources.policies.push(Source { name: "own.cedar".to_owned(), text: text.to_owned() });
    });
    round(&node).await;
    let other = ask().await.expect_err("under another policy").review.expect("another review");
    assert_ne!(other, anew, "what was approved was approved under the policy of then");
}

#[tokio::test]
async fn what_waits_under_a_policy_of_before_is_asked_anew_and_approved_by_nobody() {
    let (node, olivia, rita, _) = house().await;
    for n in 0..32 {
        node.act(&olivia, "architect", "fs.write", &format!("/plans/{n}.md"), b"x").await.expect_err("waits");
    }
    let stale = waiting(&node).remove(0).review.id;
    let (id, mut agent, number, review) = plan_waits(&node, &olivia).await;
    node.edit_policies(|sources| {
        let text =
            "@id(\"own\")\n@description(\"Nothing.\")\nforbid (principal, action == Action::\"ssh\", resource);\n";
        sources.policies.push(Source { name: "own.cedar".to_owned(), text: text.to_owned() });
    });
    round(&node).await;
    // It would be good for nothing.
    assert_eq!(approve(&node, &rita, &stale).await.expect_err("of another policy").code, "REVIEW_OVER");
    assert_eq!(row(&node, &stale).review.status, Status::Voided);
    // And keeps nobody from asking.
    let anew = node.act(&olivia, "architect", "fs.write", "/plans/new.md", b"x").await.expect_err("it waits");
    assert_eq!(anew.code, "NEEDS_REVIEW");
    // A run that waits asks anew by itself.
    assert_eq!(approve(&node, &rita, &review.review.id).await.expect_err("of another policy").code, "REVIEW_OVER");
    let of_run = || waiting(&node).into_iter().find(|row| row.review.run.as_ref() == Some(&id));
    until("another review of the plan", || of_run().is_some()).await;
    approve(&node, &rita, &of_run().expect("it waits").review.id).await.expect("a reviewer");
    let said = agent.answer(number).await.expect("an answer");
    assert_eq!((said["ok"].as_bool(), said["phase"].as_str()), (Some(true), Some("EXECUTE")), "{said}");
    agent.exit(0);
    node.ended(&id).await;
}

#[tokio::test]
async fn what_a_disabled_person_asked_for_or_approved_is_done_by_nobody() {
    let (node, olivia, rita, rolf) = house().await;
    let ask = async |who: &Known, path: &str| node.act(who, "architect", "fs.write", path, b"x").await;
    let approved = ask(&olivia, "/plans/a.md").await.expect_err("it waits").review.expect("a review");
    approve(&node, &rolf, &approved).await.expect("a reviewer");
    let other = ask(&olivia, "/plans/b.md").await.expect_err("it waits").review.expect("a review");
    let disable = async |name: &str| {
        let name = name.parse().expect("a label");
        steward_app_people::disable(node.context(), &node.admin().await, &name).await.expect("disabled");
    };
    disable("rolf").await;
    assert_eq!(
        (row(&node, &approved).review.status, row(&node, &other).review.status),
        (Status::Voided, Status::Pending)
    );
    assert_eq!(ask(&olivia, "/plans/a.md").await.expect_err("it waits anew").code, "NEEDS_REVIEW");
    disable("olivia").await;
    assert_eq!(row(&node, &other).review.status, Status::Voided);
    assert_eq!(waiting(&node).len(), 0);
    assert_eq!(approve(&node, &rita, &other).await.expect_err("void").code, "REVIEW_OVER");
}

#[tokio::test]
async fn who_asked_and_made_a_reviewers_key_does_not_approve_with_it() {
    let node = TestNode::new().await;
    let ada = node.person("ada", &[Role::Admin, Role::Operator]).await;
    let rita = node.person("rita", &[Role::Reviewer]).await;
    node.agent("architect", Tier::T4).await;
    node.clock().advance_ms(1_000);
    let ask =
        async |path: &str| node.act(&ada, "architect", "fs.write", path, b"x").await.expect_err("it waits").review;
    let kept = node.login_key("rita").await;
    node.clock().advance_ms(1_000);
    let review = ask("/plans/a.md").await.expect("a review");
    node.clock().advance_ms(1_000);
    // Nor one that she kept until now, nor one that comes from it. She makes herself a way in as the reviewer, and a key by that.
    let as_rita = node.log_in(&node.login_key("rita").await).await;
    assert_eq!(approve(&node, &as_rita, &review).await.expect_err("it is ada").code, "FORBIDDEN");
    let mut again = as_rita.clone();
    for _ in 0..18 {
        again = node.key(&again, &[Scope::All], false).await;
        assert_eq!(approve(&node, &again, &review).await.expect_err("it is ada still").code, "FORBIDDEN");
    }
    let kept = node.log_in(&kept).await;
    assert_eq!(approve(&node, &kept, &review).await.expect_err("it is ada, too").code, "FORBIDDEN");
    // By the key that she had before, rita says what she says.
    approve(&node, &rita, &review).await.expect("a reviewer");
    // What is asked later was not what the key was made for.
    node.clock().advance_ms(1_000);
    let later = ask("/plans/b.md").await.expect("a review");
    let done = approve(&node, &as_rita, &later).await.expect("a reviewer");
    assert!(!done.review.decisions[0].own);
}

#[tokio::test]
async fn of_two_who_answer_at_once_one_is_first() {
    let (node, olivia, rita, rolf) = house().await;
    for n in 0..10 {
        let text = format!("{n}");
        let error =
            node.act(&olivia, "architect", "fs.write", "/plans/a.md", text.as_bytes()).await.expect_err("waits");
        let review = error.review.expect("a review");
        let (one, two) = tokio::join!(approve(&node, &rita, &review), reject(&node, &rolf, &review));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let decided = row(&node, &review).review;
        assert_eq!(decided.decisions.len(), 1, "one decision: {decided:?}");
    }
}

#[tokio::test]
async fn what_a_revoked_agent_asked_for_is_void() {
    let (node, olivia, rita, _) = house().await;
    let outside = node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("it waits");
    let outside = outside.review.expect("a review");
    node.runner().revoke(&node.again(&olivia), "architect", "it went astray").await.expect("revoked");
    assert_eq!(row(&node, &outside).review.status, Status::Voided);
    assert_eq!(approve(&node, &rita, &outside).await.expect_err("void").code, "REVIEW_OVER");

    let (id, mut agent, number, review) = plan_waits(&node, &olivia).await;
    node.runner().revoke(&node.again(&olivia), "executor", "it went astray").await.expect("revoked");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run).1, "BY_PERSON");
    assert_eq!(row(&node, &review.review.id).review.status, Status::Voided, "in the same commit");
    assert_eq!(approve(&node, &rita, &review.review.id).await.expect_err("void").code, "REVIEW_OVER");
    assert!(agent.answer(number).await.is_none_or(|said| said["ok"] == false));
}

#[tokio::test]
async fn nobody_answers_and_that_is_a_denial() {
    let (node, olivia, _, _) = house().await;
    let (id, mut agent, number, review) = plan_waits(&node, &olivia).await;
    node.clock().advance_ms(46 * 60 * 1000);
    inbox::end_due(node.context()).await.expect("ended");
    let said = agent.answer(number).await.expect("it is told");
    assert_eq!(said["error"]["code"], "NEEDS_REVIEW", "{said}");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("refused", "NEEDS_REVIEW", None), "it is not the agent's fault");
    assert_eq!(row(&node, &review.review.id).review.status, Status::Expired);
}

#[tokio::test]
async fn an_architects_write_in_a_run_waits_and_others_go_on() {
    let (node, olivia, rita, _) = house().await;
    let scope = json!(["fs.write:/plans/**", "fs.read:/**"]);
    let mut packet = packet_with("architect", "/constraints/scope", scope);
    packet["constraints"]["required_steps"] = json!([]);
    packet["deliverables"] = json!(["/plans/a.md"]);
    packet["success_criteria"] = json!([]);
    let (id, mut agent) = planning(&node, &olivia, &packet).await;
    let plan = json!({"summary": "Govern.", "steps": [{"step": "write", "action": "fs.write:/plans/a.md"}]});
    let number = agent.ask("submit_plan", plan).await;
    let review = asked(&node).await;
    assert_eq!(review.review.kind.as_str(), "plan", "the plan is approved before it is carried out");
    approve(&node, &rita, &review.review.id).await.expect("a reviewer");
    assert_eq!(agent.answer(number).await.expect("told")["ok"], true);

    let number = agent.ask("fs.write", json!({"path": "/plans/a.md", "content": "x"})).await;
    let review = asked(&node).await;
    assert_eq!((review.review.kind.as_str(), review.review.asked.resource.as_str()), ("action", "/plans/a.md"));
    let read = agent.call("fs.read", json!({"path": "/nothing"})).await;
    assert_eq!(read["ok"], false, "other calls are answered meanwhile: {read}");
    approve(&node, &rita, &review.review.id).await.expect("a reviewer");
    let said = agent.answer(number).await.expect("told");
    assert_eq!(said["result"]["status"], "succeeded", "{said}");

    let number = agent.ask("fs.write", json!({"path": "/plans/a.md", "content": "y"})).await;
    let review = asked(&node).await;
    reject(&node, &rita, &review.review.id).await.expect("a reviewer");
    assert_eq!(agent.answer(number).await.expect("told")["error"]["code"], "REVIEW_REFUSED");
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}

#[tokio::test]
async fn a_criterion_that_asks_a_person_waits_for_them_over_a_restart() {
    for yes in [true, false] {
        let (mut node, olivia, rita, _) = house().await;
        let asks = packet_with("scribe", "/success_criteria", json!([{"kind": "review", "question": "Is it good?"}]));
        let (id, mut agent) = executing(&node, &olivia, &asks).await;
        agent.call("fs.write", report()).await;
        agent.call("finish", json!({})).await;
        agent.exit(0);
        let review = asked(&node).await.review;
        assert_eq!((review.kind.as_str(), node.run(&id).state.phase.as_str()), ("criterion", "VERIFY"));
        assert!(review.why.contains("Is it good?"));
        node.kill();
        node.revive().await.expect("it starts");
        assert_eq!(node.opened().recovered.going_on, std::slice::from_ref(&id));
        assert_eq!(waiting(&node).len(), 1, "the same question");
        let answer = if yes { approve(&node, &rita, &review.id).await } else { reject(&node, &rita, &review.id).await };
        answer.expect("a reviewer");
        let run = over(&node, &id, &agent).await;
        let (code, status) = if yes { ("COMPLETED", Status::Used) } else { ("CRITERION_FAILED", Status::Rejected) };
        assert_eq!(verdict(&run).1, code, "{}", message(&run));
        assert_eq!(row(&node, &review.id).review.status, status);
    }
}

#[tokio::test]
async fn a_run_that_is_held_waits_for_a_person() {
    for yes in [true, false] {
        let (node, olivia, rita, _) = house().await;
        let packet = packet_with("scribe", "/escalation_rules", json!([{"when": "first_error", "then": "review"}]));
        let (id, mut agent) = executing(&node, &olivia, &packet).await;
        agent.call("report_problem", json!({"message": "the source is gone"})).await;
        assert!(node.run(&id).state.held.is_some());
        let review = asked(&node).await.review;
        assert_eq!(review.kind.as_str(), "escalation");
        assert!(review.why.contains("the source is gone"), "{}", review.why);
        let number = agent.ask("fs.write", report()).await;
        let told = agent.call("report_problem", json!({"message": "and the other one"})).await;
        assert_eq!(told["ok"], true, "what goes wrong can be said");
        if yes {
            approve(&node, &rita, &review.id).await.expect("a reviewer");
            assert_eq!(agent.answer(number).await.expect("told")["result"]["status"], "succeeded");
            agent.call("finish", json!({})).await;
            agent.exit(0);
            assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
            assert_eq!(row(&node, &review.id).review.status, Status::Used);
        } else {
            reject(&node, &rita, &review.id).await.expect("a reviewer");
            let run = over(&node, &id, &agent).await;
            assert_eq!(verdict(&run), ("stopped", "ESCALATED", None));
        }
        assert_eq!(entries(&node, kind::RUN_LOOKED).len(), usize::from(yes), "that a person looked is on record");
    }
}

#[tokio::test]
async fn what_was_decided_before_a_run_came_to_be_held_waits_too() {
    let (node, olivia, rita, _) = house().await;
    let packet = packet_with("scribe", "/escalation_rules", json!([{"when": "first_error", "then": "review"}]));
    let (id, mut agent) = executing(&node, &olivia, &packet).await;
    let held = node.hold_writer();
    let problem = agent.ask("report_problem", json!({"message": "the source is gone"})).await;
    let settle = async || {
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
    };
    settle().await;
    let number = agent.ask("fs.write", report()).await;
    settle().await;
    assert!(node.run(&id).state.held.is_none(), "both are on their way");
    drop(held);
    assert_eq!(agent.answer(problem).await.expect("told")["ok"], true);
    let review = asked(&node).await.review;
    assert_eq!(review.kind.as_str(), "escalation");
    settle().await;
    let done = || {
        let intended = entries(&node, kind::ACTION_INTENDED).len();
        (intended, entries(&node, kind::ACTION_PUBLISHING).len(), node.file("scribe", "/reports/week.md").is_some())
    };
    assert_eq!(done(), (0, 0, false), "a person looks first");
    approve(&node, &rita, &review.id).await.expect("a reviewer");
    assert_eq!(agent.answer(number).await.expect("told")["result"]["status"], "succeeded");
    assert_eq!(done(), (1, 1, true));
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}

#[tokio::test]
async fn an_operator_asks_for_an_agent_and_a_reviewer_gives_it_back() {
    for yes in [true, false] {
        let (node, olivia, rita, _) = house().await;
        let reinstate = async || node.runner().reinstate(&node.again(&olivia), "scribe", "it was the network").await;
        let nothing = reinstate().await.expect_err("it is not revoked");
        assert_eq!(nothing.code, "INVALID_REQUEST", "{nothing}");
        node.runner().revoke(&node.again(&olivia), "scribe", "seen elsewhere").await.expect("revoked");
        let waits = reinstate().await.expect_err("a person decides").review.expect("a review");
        assert_eq!(reinstate().await.expect_err("still").review.expect("a review"), waits, "it is asked once");
        let review = row(&node, &waits).review;
        assert_eq!(review.kind.as_str(), "reinstatement");
        assert!(review.why.contains("it was the network"), "{}", review.why);
        let (_, documents) = inbox::show(node.context(), &node.again(&rita), &waits).await.expect("she sees it");
        let document: Value = serde_json::from_slice(&documents.document.expect("why it was revoked")).expect("JSON");
        assert_eq!((&document["details"], &document["tier_after"]), (&json!("seen elsewhere"), &json!("T0")));
        assert_eq!(approve(&node, &olivia, &waits).await.expect_err("she asked").code, "FORBIDDEN");
        if yes {
            let used = approve(&node, &rita, &waits).await.expect("a reviewer");
            assert_eq!(used.review.status, Status::Used, "carried out at once");
            assert_eq!(standing(&node, "scribe"), (Tier::T0, steward_app_agents::rows::Status::Active));
            let back = entries(&node, kind::AGENT_REINSTATED).pop().expect("on record");
            assert_eq!(back.detail["approved_by"], json!(["rita@acme.internal"]));
        } else {
            reject(&node, &rita, &waits).await.expect("a reviewer");
            assert_eq!(reinstate().await.expect_err("she said no").code, "REVIEW_REFUSED");
            assert_eq!(standing(&node, "scribe").1, steward_app_agents::rows::Status::Revoked);
        }
    }
}

#[tokio::test]
async fn an_approval_to_reinstate_is_for_one_revocation() {
    let (node, olivia, rita, _) = house().await;
    let revoke = async || node.runner().revoke(&node.again(&olivia), "scribe", "seen elsewhere").await;
    let ask = async || node.runner().reinstate(&node.again(&olivia), "scribe", "it was the network").await;
    revoke().await.expect("revoked");
    let first = ask().await.expect_err("it waits").review.expect("a review");
    node.runner().reinstate(&node.admin().await, "scribe", "at once").await.expect("an administrator");
    revoke().await.expect("again");
    assert_eq!(approve(&node, &rita, &first).await.expect_err("for another").code, "REVIEW_OVER");
    let second = ask().await.expect_err("it waits").review.expect("a review");
    assert_ne!(first, second);
    // The node dies between the approval and what follows from it: the background does it.
    steward_app_reviews::approve(node.context(), &node.again(&rita), &second, "fine", false).await.expect("approved");
    assert_eq!(standing(&node, "scribe").1, steward_app_agents::rows::Status::Revoked);
    round(&node).await;
    assert_eq!(standing(&node, "scribe").1, steward_app_agents::rows::Status::Active);
    assert_eq!(row(&node, &second).review.status, Status::Used);
    round(&node).await;
    assert_eq!(entries(&node, kind::AGENT_REINSTATED).len(), 2, "once");
}

#[tokio::test]
async fn a_held_run_whose_agent_is_silent_is_ended_by_the_background() {
    let (node, olivia, rita, _) = house().await;
    let packet = packet_with("scribe", "/escalation_rules", json!([{"when": "first_error", "then": "review"}]));
    let (id, mut agent) = executing(&node, &olivia, &packet).await;
    agent.call("report_problem", json!({"message": "the source is gone"})).await;
    reject(&node, &rita, &asked(&node).await.review.id).await.expect("a reviewer");
    round(&node).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "ESCALATED");
}

#[tokio::test]
async fn one_asker_does_not_fill_the_inbox() {
    let (node, olivia, _, _) = house().await;
    for n in 0..40 {
        let error =
            node.act(&olivia, "architect", "fs.write", &format!("/plans/{n}.md"), b"x").await.expect_err("waits");
        assert_eq!(error.code, if n < 32 { "NEEDS_REVIEW" } else { "REVIEW_REFUSED" }, "{n}");
    }
    assert_eq!(waiting(&node).len(), 32);
}

#[tokio::test]
async fn viewers_do_not_see_what_waits() {
    let (node, olivia, _, _) = house().await;
    let vera = node.person("vera", &[Role::Viewer]).await;
    let error = node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("it waits");
    let shown = inbox::show(node.context(), &node.again(&vera), &error.review.expect("a review")).await;
    assert_eq!(shown.expect_err("it holds what would be written").code, "NOT_PERMITTED");
    assert!(inbox::list(node.context(), &node.again(&olivia), &ReviewFilter::default()).await.is_ok());
}

#[tokio::test]
async fn what_nobody_knows_is_asked_in_the_inbox() {
    let (mut node, olivia, rita, _) = house().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    let effect = crate::restart::fetching(&node, &id).await;
    node.kill();
    node.revive().await.expect("it starts");
    agent.exit(0);
    over(&node, &id, &agent).await;
    round(&node).await;
    round(&node).await;
    assert_eq!(waiting(&node).len(), 1, "it is asked once");
    let review = asked(&node).await.review;
    assert_eq!(review.kind.as_str(), "outcome");
    approve(&node, &rita, &review.id).await.expect("their log says so");
    let found = steward_app_actions::effects(node.context(), &node.again(&rita), None, Some(&id)).await.expect("seen");
    assert_eq!(
        found.iter().find(|row| row.id == effect).expect("there").status,
        steward_app_actions::Status::Succeeded
    );
    assert_eq!(row(&node, &review.id).review.status, Status::Used);
    assert_eq!(approve(&node, &rita, &review.id).await.expect_err("once").code, "REVIEW_OVER");
}

/// How many wait at once; `STEWARD_TEST_REVIEWS=10000` has as many as an inbox must bear.
fn many() -> u32 {
    std::env::var("STEWARD_TEST_REVIEWS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

#[tokio::test]
async fn thousands_of_reviews() {
    let (node, olivia, rita, _) = house().await;
    let caller = steward_app_node::Caller::node(node.namespace());
    let context = node.context();
    for n in 0..many() {
        let action = context.action("run.go_on", steward_permit::ResourceKind::Agent, format!("a{n}.acme.internal"));
        let asked = steward_review::Asked::from(&action.expect("an action"));
        let case = steward_app_node::Case { why: format!("{n}"), ..steward_app_node::Case::default() };
        context.open_for(&caller, case, asked).await.expect("opened");
    }
    let listed = inbox::list(context, &node.again(&rita), &ReviewFilter::default()).await.expect("listed");
    assert_eq!(listed.len(), 1_000, "a list has a limit");
    let error = node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("it waits");
    approve(&node, &rita, &error.review.expect("a review")).await.expect("among so many");
    node.act(&olivia, "architect", "fs.write", "/plans/a.md", b"x").await.expect("approved");
    node.clock().advance_ms(8 * 24 * 3600 * 1000);
    let mut ended = 0;
    while let n @ 1.. = inbox::end_due(context).await.expect("ended") {
        ended += n;
    }
    assert_eq!(ended, many() as usize);
}

#[tokio::test]
async fn a_packet_can_begin_a_run_that_asks_people() {
    let (node, olivia, _, _) = house().await;
    let asks = packet_with("scribe", "/success_criteria", json!([{"kind": "review", "question": "Is it good?"}]));
    let run = begun(&node, &olivia, &asks).await;
    let agent = node.next_agent().await;
    node.runner().stop(&node.again(&olivia), run.id(), "enough").await.expect("stopped");
    over(&node, run.id(), &agent).await;
}

#[tokio::test]
async fn who_gave_an_agent_its_key_does_not_approve_what_it_asks_for_with_it() {
    let node = TestNode::new().await;
    let ada = node.person("ada", &[Role::Admin, Role::Reviewer]).await;
    let rita = node.person("rita", &[Role::Reviewer]).await;
    node.agent("architect", Tier::T4).await;
    let own = node.agent_key("architect").await;
    let error = node.act(&own, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("it waits");
    let review = error.review.expect("a review");
    assert_eq!(approve(&node, &ada, &review).await.expect_err("she made the key").code, "FORBIDDEN");
    approve(&node, &rita, &review).await.expect("she did not");
    node.act(&own, "architect", "fs.write", "/plans/a.md", b"x").await.expect("approved");
}
