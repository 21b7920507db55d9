//! Runs that were not let into EXECUTE, and requests of which no run came to be.

use serde_json::{Value, json};
use steward_app_agents::{Manifest, rows::Status};
use steward_app_flows::{Tended, runs::NewRun, tend};
use steward_app_node::Error;
use steward_ledger::kind;
use steward_permit::Tier;
use steward_policy::Source;
use steward_testkit::{Known, TestNode};
use steward_worker::Grade;

use crate::common::{
    begun, entries, executing, kinds, lock, message, node, over, packet, packet_with, plan, planning, problem, refused,
    report, standing, verdict,
};

#[tokio::test]
async fn an_agent_that_was_revoked_long_ago() {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    agent.call("report_problem", problem("SAME")).await;
    agent.call("report_problem", problem("SAME")).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "REPEATED_ERROR");
    for years in [0, 7] {
        node.clock().advance_ms(years * 365 * 24 * 3_600_000 + 1_000);
        let new =
            NewRun { agent: "scribe".to_owned(), packet: Some(packet("scribe").to_string()), ..NewRun::default() };
        // As she was then: her key has ended since, and that is another story.
        let run = node.runner().start(&olivia.caller, new).await.expect("that it was refused is on record");
        assert_eq!(verdict(&run), ("refused", "AGENT_PREVIOUSLY_REVOKED", None), "after {years} years");
        assert!(message(&run).contains("steward agent reinstate"), "it says what to do: {}", message(&run));
        assert_eq!(kinds(&node, run.id()), [kind::RUN_STARTED, kind::RUN_ENDED]);
        assert_eq!((lock(&node, &run).fence, run.fence), (1, 0), "it never had the lock");
    }
    assert_eq!(standing(&node, "scribe").1, Status::Revoked);
    assert_eq!(node.runner().processes(), 0);
}

#[tokio::test]
async fn an_agent_that_has_a_run_already() {
    let (node, olivia) = node().await;
    let (first, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    let run = refused(&node, &olivia, &packet("scribe")).await;
    assert_eq!(verdict(&run), ("refused", "CANNOT_ACQUIRE_LOCK", None));
    assert!(message(&run).contains(first.as_str()), "it says who has it: {}", message(&run));
    assert_eq!(lock(&node, &run).run, Some(first.clone()), "who had it has it");
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &first, &agent).await).1, "COMPLETED", "and is not disturbed");
    let (third, agent) = planning(&node, &olivia, &packet("scribe")).await;
    assert_eq!(node.run(&third).fence, 2, "the number only grows");
    node.runner().stop(&node.again(&olivia), &third, "enough").await.expect("stopped");
    over(&node, &third, &agent).await;
}

/// Asks for a run of which none comes to be; that it was asked for is on record.
async fn not_begun(node: &TestNode, who: &Known, new: NewRun) -> Error {
    let before = entries(node, kind::RUN_REFUSED).len();
    let error = node.runner().start(&node.again(who), new).await.expect_err("no run");
    let recorded = entries(node, kind::RUN_REFUSED);
    assert_eq!(recorded.len(), before + 1, "it is on record");
    let outcome = recorded[before].outcome.as_ref().expect("it says so");
    assert_eq!((outcome.success, outcome.error_type.as_deref()), (false, Some(error.code)));
    assert_eq!(entries(node, kind::RUN_STARTED).len(), 0, "there is no run");
    error
}

#[tokio::test]
async fn no_packet_no_run() {
    let (node, olivia) = node().await;
    let scribe = || NewRun { agent: "scribe".to_owned(), ..NewRun::default() };
    assert_eq!(not_begun(&node, &olivia, scribe()).await.code, "NO_INSTRUCTION_PACKET");
    // A task needs a template, which this agent has not.
    let task = NewRun { task: Some("weekly".to_owned()), objective: Some("Say it.".to_owned()), ..scribe() };
    let error = not_begun(&node, &olivia, task).await;
    assert_eq!(error.code, "NO_INSTRUCTION_PACKET");
    assert!(error.message.contains("template"), "{error}");
    let both = NewRun { packet: Some(packet("scribe").to_string()), task: Some("weekly".to_owned()), ..scribe() };
    assert_eq!(not_begun(&node, &olivia, both).await.code, "INVALID_REQUEST");
    assert_eq!(node.runner().processes(), 0);
}

#[tokio::test]
async fn all_mistakes_of_a_packet_at_once() {
    let (node, olivia) = node().await;
    let mut packet = packet("scribe");
    packet["objective"] = json!("");
    packet["deliverables"] = json!(["reports/week.md"]);
    packet["constraints"]["scope"] = json!(["write some reports"]);
    packet["success_criteria"] = json!([{"kind": "feeling"}]);
    packet["error_budget"] = json!({"max_total_errors": 0});
    packet["more"] = json!(1);
    let packet = serde_json::to_string_pretty(&packet).expect("JSON");
    let new = NewRun { agent: "scribe".to_owned(), packet: Some(packet.clone()), ..NewRun::default() };
    let error = not_begun(&node, &olivia, new).await;
    assert_eq!(error.code, "INVALID_REQUEST");
    for at in ["/objective", "/deliverables/0", "/constraints/scope/0", "/success_criteria/0", "/error_budget", "more"]
    {
        let found = error.problems.iter().find(|problem| problem.at.contains(at) || problem.message.contains(at));
        let found = found.unwrap_or_else(|| panic!("nothing is said of {at}: {error}"));
        let line: usize = found.at.split(':').next().and_then(|n| n.parse().ok()).expect("a line");
        let word = at.rsplit('/').find(|word| word.parse::<usize>().is_err()).expect("a word");
        let there = packet.lines().take(line).any(|text| text.contains(word));
        assert!(line > 1 && there, "{at} is at or above line {line}: {found:?}");
    }
}

#[tokio::test]
async fn a_packet_of_another_agent() {
    let (node, olivia) = node().await;
    node.agent("other", Tier::T1).await;
    let packet = Some(packet("scribe").to_string());
    let error = not_begun(&node, &olivia, NewRun { agent: "other".to_owned(), packet, ..NewRun::default() }).await;
    assert_eq!(error.code, "INVALID_REQUEST");
    assert!(error.message.contains("scribe.acme.internal") && error.message.contains("other"), "{error}");
}

#[tokio::test]
async fn an_agent_that_nobody_knows() {
    let (node, olivia) = node().await;
    let error = node.start_run(&olivia, "nobody", &packet("nobody")).await.expect_err("no run");
    assert_eq!(error.code, "NOT_FOUND");
}

async fn preflight(packet: Value, says: &str) {
    let (node, olivia) = node().await;
    let run = refused(&node, &olivia, &packet).await;
    assert_eq!(verdict(&run), ("refused", "PREFLIGHT_FAILED", None), "{}", message(&run));
    assert!(message(&run).contains(says), "{}", message(&run));
    assert_eq!(kinds(&node, run.id()), [kind::RUN_STARTED, kind::RUN_PHASE, kind::RUN_ENDED]);
    assert_eq!(run.fence, 1, "it had the lock until then");
}

#[tokio::test]
async fn a_scope_for_what_no_policy_knows() {
    preflight(packet_with("scribe", "/constraints/scope/2", json!("made.up:/x")), "made.up").await;
}

#[tokio::test]
async fn a_deliverable_that_the_scope_lets_nobody_write() {
    preflight(packet_with("scribe", "/deliverables", json!(["/elsewhere.md"])), "/elsewhere.md").await;
}

#[tokio::test]
async fn an_agent_without_a_command() {
    let (node, olivia) = node().await;
    let manifest = Manifest {
        name: "mute".to_owned(),
        version: "1.0.0".to_owned(),
        tier: "T1".to_owned(),
        description: "Cannot be started.".to_owned(),
        ..Manifest::default()
    };
    steward_app_agents::add(node.context(), &node.admin().await, &manifest).await.expect("registered");
    let run = refused(&node, &olivia, &packet("mute")).await;
    assert_eq!(verdict(&run), ("refused", "PREFLIGHT_FAILED", None));
    assert!(message(&run).contains("`command`"), "{}", message(&run));
}

#[tokio::test]
async fn a_sandbox_that_is_too_weak_for_the_tier() {
    let (node, olivia) = node().await;
    node.agent("watcher", Tier::T0).await;
    node.worker().graded(Grade::B);
    let run = refused(&node, &olivia, &packet("scribe")).await;
    assert_eq!(verdict(&run), ("refused", "PREFLIGHT_FAILED", None));
    assert!(message(&run).contains("grade B") && message(&run).contains("grade A"), "{}", message(&run));
    // An observer's may be the weaker one.
    let run = begun(&node, &olivia, &packet("watcher")).await;
    let agent = node.next_agent().await;
    assert_eq!((agent.spec.minimum, run.sandbox.as_deref()), (Grade::B, Some("grade B, limits by rlimits")));
    node.runner().stop(&node.again(&olivia), run.id(), "enough").await.expect("stopped");
    over(&node, run.id(), &agent).await;
}

#[tokio::test]
async fn a_plan_that_the_policy_refuses() {
    let (node, olivia) = node().await;
    let text = "@id(\"freeze\")\n@description(\"No plan is carried out before the audit.\")\n\
                forbid (principal, action == Action::\"plan.execute\", resource);\n";
    node.edit_policies(|sources| {
        sources.policies.push(Source { name: "own.cedar".to_owned(), text: text.to_owned() });
    });
    tend(node.runner(), &node.home().policies(), &mut Tended::default()).await.expect("a round");
    let packet = packet_with("scribe", "/escalation_rules", json!([{"when": "plan_refused", "then": "stop"}]));
    let (id, mut agent) = planning(&node, &olivia, &packet).await;
    let said = agent.call("submit_plan", plan()).await;
    assert_eq!(said["error"]["code"], "FORBIDDEN", "{said}");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run).0, "refused", "an escalation does not change how it ended");
    assert_eq!(verdict(&run).1, "FORBIDDEN");
    assert!(message(&run).contains("freeze"), "it says which policy: {}", message(&run));
    assert_eq!(entries(&node, kind::RUN_ENDED)[0].detail["escalated"][0]["when"], "plan_refused");
}
