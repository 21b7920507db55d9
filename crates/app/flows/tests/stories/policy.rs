//! Policy files, edited while the node runs.

use steward_app_flows::{Tended, tend};
use steward_app_node::Kind;
use steward_ledger::kind;
use steward_permit::ResourceKind;
use steward_policy::{Source, Sources};
use steward_testkit::TestNode;

use crate::{code, desk, entries};

fn add(node: &TestNode, text: &str) {
    let text = text.to_owned();
    node.edit_policies(move |sources: &mut Sources| {
        sources.policies.retain(|source| source.name != "own.cedar");
        sources.policies.push(Source { name: "own.cedar".to_owned(), text });
    });
}

const FREEZE: &str = r#"@id("freeze")
@description("Nobody writes while the auditors are here.")
forbid (principal, action == Action::"fs.write", resource);
"#;

async fn round(node: &TestNode) -> Tended {
    let mut tended = Tended::default();
    tend(node.runner(), &node.home().policies(), &mut tended).await.expect("a round");
    tended
}

#[tokio::test]
async fn good_files_are_in_force_without_a_restart() {
    let (mut node, otto) = desk().await;
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("allowed");
    add(&node, FREEZE);
    node.act(&otto, "scribe", "fs.write", "/reports/b.md", b"x").await.expect("nobody looked yet");
    assert_eq!(round(&node).await.mistakes, []);
    let refused = node.act(&otto, "scribe", "fs.write", "/reports/c.md", b"x").await.expect_err("refused");
    assert_eq!(refused.code, "FORBIDDEN");
    assert!(refused.message.contains("freeze"), "it says which policy: {refused}");
    assert_eq!(entries(&node, kind::POLICY_LOADED).len(), 2);
    round(&node).await;
    node.restart().await;
    assert_eq!(entries(&node, kind::POLICY_LOADED).len(), 2, "what is in force already is not loaded again");
    assert_eq!(code(node.act(&otto, "scribe", "fs.write", "/reports/d.md", b"x").await), "FORBIDDEN");
}

#[tokio::test]
async fn files_with_mistakes_leave_what_was_in_force() {
    let (mut node, otto) = desk().await;
    let before = node.context().policy().engine.version();
    add(
        &node,
        "permit (principal, action == Action::\"fs.wriet\", resource);\nforbid (principal, action, resource) when { 1 };\nnonsense",
    );
    let mistakes = round(&node).await.mistakes;
    assert!(!mistakes.is_empty() && mistakes.iter().all(|m| m.file == "own.cedar" && m.line >= 1), "{mistakes:?}");
    assert_eq!(node.context().policy().engine.version(), before);
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("allowed as before");
    // A start finds them too, and goes on with what was in force.
    node.restart().await;
    assert!(!node.opened().mistakes.is_empty());
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"y").await.expect("allowed as before");
    assert_eq!(entries(&node, kind::POLICY_LOADED).len(), 1);
    add(&node, FREEZE);
    assert_eq!(round(&node).await.mistakes, []);
    assert_eq!(code(node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"z").await), "FORBIDDEN");
}

#[tokio::test]
async fn a_policy_that_locks_the_node_out_is_refused() {
    let (node, _) = desk().await;
    let before = node.context().policy().engine.version();
    for text in [
        "@id(\"own\")\nforbid (principal is Node, action, resource);",
        "@id(\"own\")\nforbid (principal, action == Action::\"effect.settle\", resource);",
    ] {
        add(&node, text);
        let mistakes = round(&node).await.mistakes;
        assert!(mistakes.iter().any(|m| m.message.contains("could not go on")), "{mistakes:?}");
        assert_eq!(node.context().policy().engine.version(), before);
    }
}

#[tokio::test]
async fn what_was_decided_under_another_policy_is_decided_again() {
    let (node, otto) = desk().await;
    let caller = node.again(&otto);
    let admin = node.admin().await;
    let context = node.context();
    let action = || context.action("node.read", ResourceKind::Node, "acme.internal").expect("an action");
    let decide = || context.permit(&admin, action(), None);
    let granted = decide().await.expect("allowed");
    let mut act = std::pin::pin!(node.act_as(caller, "scribe", "fs.write", "/reports/a.md", b"x"));
    crate::until_recorded(&node, kind::ACTION_INTENDED, act.as_mut()).await;
    add(&node, FREEZE);
    round(&node).await;

    let change = context.change(&admin, granted, kind::LEDGER_READ, "acme.internal");
    assert_eq!(context.commit(change).await.expect_err("it is stale").kind, Kind::Stale);
    let change = context.change(&admin, decide().await.expect("still allowed"), kind::LEDGER_READ, "acme.internal");
    context.commit(change).await.expect("decided again, it goes through");

    // A write on its way is decided a second time, by the policy that is in force by then.
    assert_eq!(code(act.await), "FORBIDDEN");
    assert_eq!(node.file("scribe", "/reports/a.md"), None);
}

#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_denies_and_is_recorded() {
    let (node, otto) = desk().await;
    add(
        &node,
        r#"@id("sums")
@description("Adds more than fits.")
permit (principal, action == Action::"fs.write", resource) when { 9223372036854775807 + 1 > 0 };
"#,
    );
    assert_eq!(round(&node).await.mistakes, []);
    // Other policies permit it; when in doubt, the answer is no.
    let refused = node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await.expect_err("refused");
    assert_eq!((refused.kind, refused.code), (Kind::Refused, "POLICY_ERROR"));
    assert_eq!(node.file("scribe", "/reports/a.md"), None);
    let recorded = entries(&node, kind::ACTION_REFUSED).pop().expect("it is on record");
    let decision = recorded.read_body().expect("a body").expect("it is there").decision.expect("a decision");
    assert!(decision.errors.iter().any(|e| e.contains("overflow")), "{:?}", decision.errors);
    assert_eq!(recorded.decision_id.as_deref(), refused.action.as_ref().map(|id| id.as_str()));
}

/// It reads as prudence, and would let the node do nothing: what it does is done to things with names of their own.
const ONLY_ITSELF: &str = r#"@id("only-itself")
@description("The node acts on nothing but itself.")
forbid (principal is Node, action, resource)
unless { resource is Node && resource.id == principal.id };
"#;

#[tokio::test]
async fn a_policy_under_which_the_node_could_not_go_on_is_a_mistake() {
    let (mut node, otto) = desk().await;
    add(&node, ONLY_ITSELF);
    let mistakes = round(&node).await.mistakes;
    assert!(mistakes.iter().any(|m| m.message.contains("policy.load")), "{mistakes:?}");
    assert!(mistakes.iter().any(|m| m.message.contains("effect.settle")), "{mistakes:?}");
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("what was in force still is");
    node.restart().await;
    node.act(&otto, "scribe", "fs.write", "/reports/b.md", b"x").await.expect("after a start, too");
}
