//! What would differ under another policy: the last decisions, asked again.

use steward_app_node::Error;
use steward_app_policies::{Candidate, Diff, MAX_COMPARED, Unasked, diff};
use steward_ledger::kind;
use steward_permit::Role;
use steward_policy::{Source, Sources};
use steward_testkit::{Known, TestNode};

use crate::{code, desk, entries};

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

const FREEZE: &str = "@id(\"freeze\")\nforbid (principal is Agent, action == Action::\"fs.write\", resource);\n";

async fn beside(node: &TestNode, who: &Known, policies: Vec<Source>) -> Result<Diff, Error> {
    diff(node.context(), &node.again(who), Candidate { policies, whole: false }, 1_000).await
}

#[tokio::test]
async fn what_was_allowed_and_would_be_denied_is_named_with_its_policies() {
    let (node, otto) = desk().await;
    for path in ["/reports/a.md", "/reports/b.md"] {
        node.act(&otto, "scribe", "fs.write", path, b"x").await.expect("allowed");
    }
    let found = beside(&node, &otto, vec![source("freeze.cedar", FREEZE)]).await.expect("told");
    assert_eq!((found.added.as_slice(), found.replaced.len()), (["freeze.cedar".to_owned()].as_slice(), 0));
    // Each write was decided twice: before it was staged, and before it was published.
    let named: Vec<&str> = found.differences.iter().map(|one| one.was.resource.id.as_str()).collect();
    assert_eq!(named, ["/reports/b.md", "/reports/b.md", "/reports/a.md", "/reports/a.md"], "newest first");
    for one in &found.differences {
        assert_eq!((one.was.action.as_str(), one.actor.name.as_str()), ("fs.write", "scribe.acme.internal"));
        assert!(!one.was.policies.is_empty() && one.was.code.is_none());
        assert_eq!((one.would_be.allowed, one.would_be.policies[0].id.as_str()), (false, "freeze"));
        assert_eq!(one.would_be.code.map(|code| code.as_str()), Some("FORBIDDEN"));
    }
    assert!(found.same > 4, "all else comes out the same: {}", found.same);
    assert!(found.not_asked.is_empty(), "{:?}", found.not_asked);
    // Nothing of it is in force, and that the record was read is on record.
    node.act(&otto, "scribe", "fs.write", "/reports/c.md", b"x").await.expect("allowed as before");
    let read = entries(&node, kind::LEDGER_READ).pop().expect("on record").read_body().expect("read").expect("there");
    assert_eq!(read.detail["policy_diff"], found.version.to_string());
}

#[tokio::test]
async fn what_was_denied_and_would_be_allowed_is_named_too() {
    let (node, otto) = desk().await;
    assert_eq!(code(node.act(&otto, "scribe", "ssh", "db.example", b"").await), "NOT_PERMITTED");
    let more = "@id(\"ssh\")\npermit (principal is Agent, action == Action::\"ssh\", resource);\n";
    let found = beside(&node, &otto, vec![source("ssh.cedar", more)]).await.expect("told");
    let [one] = found.differences.as_slice() else { panic!("one: {:?}", found.differences) };
    assert_eq!((one.was.code.map(|code| code.as_str()), one.would_be.allowed), (Some("NOT_PERMITTED"), true));
    assert_eq!(one.would_be.policies[0].id, "ssh");
    // What is only asked of the one file that has another text is the same elsewhere.
    let same = beside(&node, &otto, vec![]).await.expect("told");
    assert_eq!((same.differences.len(), same.version), (0, same.in_force));
}

#[tokio::test]
async fn scopes_of_keys_and_owners_are_asked_about_as_they_were() {
    let (node, otto) = desk().await;
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("allowed");
    // Without what keeps keys to their scopes nothing differs here; with one that reads nothing but owners, what has none does.
    let owners = "@id(\"owners\")\nforbid (principal is Agent, action, resource) unless { resource has owner && resource.owner == principal.id };\n";
    let found = beside(&node, &otto, vec![source("owners.cedar", owners)]).await.expect("told");
    assert_eq!(found.differences.len(), 0, "an agent's files are its own: {:?}", found.differences);
    let keys = "@id(\"keys\")\nforbid (principal is Person, action, resource) when { context has key && context.key.scopes.contains(\"all\") };\n";
    let found = beside(&node, &otto, vec![source("own.cedar", keys)]).await.expect("told");
    let people = found.differences.iter().filter(|one| one.actor.name.contains('@')).count();
    assert!(people > 0 && people == found.differences.len(), "{:?}", found.differences);
}

#[tokio::test]
async fn what_no_policy_was_asked_about_is_said_to_be_so() {
    let (node, otto) = desk().await;
    let (runner, admin) = (node.runner(), node.admin().await);
    runner.halt(&node.again(&otto), "look").await.expect("halted");
    for _ in 0..3 {
        assert_eq!(code(node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await), "HALTED");
    }
    runner.resume(&admin, "looked").await.expect("resumed");
    node.clock().advance_ms(60_000);
    node.context().record_counted_denials(false).await.expect("recorded");
    let found = beside(&node, &otto, vec![source("freeze.cedar", FREEZE)]).await.expect("told");
    assert_eq!(found.not_asked.keys().collect::<Vec<_>>(), [&Unasked::BeyondPolicy]);
    assert_eq!((found.not_asked[&Unasked::BeyondPolicy].0, found.counted, found.differences.len()), (1, 2, 0));
}

#[tokio::test]
async fn a_candidate_with_mistakes_or_that_locks_the_node_out_is_told_as_such() {
    let (node, otto) = desk().await;
    let wrong = "permit (principal, action == Action::\"fs.wriet\", resource);\nforbid (principal, action, resource) when { 1 };\n";
    let error = beside(&node, &otto, vec![source("own.cedar", wrong)]).await.expect_err("mistakes");
    assert_eq!(error.code, "INVALID_REQUEST");
    assert!(error.problems.len() >= 2 && error.problems.iter().all(|p| p.at.starts_with("own.cedar:")), "{error:?}");
    let locks = "@id(\"own\")\nforbid (principal is Node, action, resource);\n";
    let error = beside(&node, &otto, vec![source("own.cedar", locks)]).await.expect_err("a lock-out");
    assert!(error.message.contains("could not go on"), "{error}");
    // An empty folder permits nothing, not even the node what it must do.
    let nothing = Candidate { policies: vec![], whole: true };
    assert!(diff(node.context(), &node.again(&otto), nothing, 10).await.is_err());
    for last in [0, MAX_COMPARED + 1] {
        let whole = Candidate { policies: Sources::shipped().policies, whole: true };
        assert_eq!(code(diff(node.context(), &node.again(&otto), whole, last).await), "INVALID_REQUEST");
    }
    let whole = Candidate { policies: Sources::shipped().policies, whole: true };
    let found = diff(node.context(), &node.again(&otto), whole, 3).await.expect("told");
    assert_eq!((found.same, found.differences.len()), (3, 0));
}

#[tokio::test]
async fn whoever_may_not_read_the_ledger_learns_nothing_of_it() {
    let (node, _) = desk().await;
    let nobody = node.person("nora", &[Role::Viewer]).await;
    let narrow = node.key(&nobody, &[steward_permit::Scope::Act], false).await;
    let before = entries(&node, kind::LEDGER_READ).len();
    let error = beside(&node, &narrow, vec![]).await.expect_err("refused");
    assert_eq!(error.kind, steward_app_node::Kind::Refused);
    assert_eq!(entries(&node, kind::LEDGER_READ).len(), before);
}
