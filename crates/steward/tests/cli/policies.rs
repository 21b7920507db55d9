//! The policy: checked, asked, tested, and changed under a node that goes on.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{DONE, MISUSED, REFUSED, common::Place, demo, fields, json, list, number, run, text};

/// How long a node may take to see that its files changed.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

const MISTAKEN: &str = "@id(\"mine/one\")
permit (principal is Agent, action == Action::\"fs.wirte\", resource);

@id(\"mine/two\")
permit (principal is Agent, action, resource) when { principal.colour == \"red\" };

@id(\"mine/three\")
permit (principal, action, resource) when { context.approved = true };
";

/// The node's status, once it is as it should be.
fn status(place: &Place, is_as: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let status = json(place, DONE, &["node", "status"]);
        if is_as(&status) {
            return status;
        }
        assert!(began.elapsed() < SEEN_WITHIN, "{status:#}");
    }
}

#[test]
fn mistakes_are_shown_all_at_once_and_change_nothing() {
    let (place, node) = demo();
    let before = status(&place, |_| true);
    let checked = json(&place, DONE, &["policy", "check"]);
    assert_eq!(fields(&checked), ["mistakes", "policies", "version"]);
    assert_eq!(text(&checked, "/version"), text(&before, "/policy_version"));

    let mine = place.home().join("policies/mine.cedar");
    fs::write(&mine, MISTAKEN).expect("a file");
    let checked = json(&place, REFUSED, &["policy", "check"]);
    let places: Vec<_> = list(&checked, "/mistakes")
        .iter()
        .map(|m| (text(m, "/file"), number(m, "/line"), number(m, "/column")))
        .collect();
    let expected = [("mine.cedar", 2, 39), ("mine.cedar", 5, 54), ("mine.cedar", 8, 45)];
    assert_eq!(places, expected, "{checked:#}");
    let told = run(&place, REFUSED, &["policy", "check"]).out;
    for line in [
        "mine.cedar:2:39: ",
        "did you mean `Action::\"fs.write\"`?",
        "mine.cedar:5:54: ",
        "mine.cedar:8:45: ",
        "3 mistakes",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    run(&place, REFUSED, &["policy", "check", mine.to_str().expect("text")]);
    run(&place, MISUSED, &["policy", "check", "there-is-none"]);

    // The node says that what was in force still is.
    let broken = status(&place, |status| !list(status, "/policy_mistakes").is_empty());
    assert_eq!(list(&broken, "/policy_mistakes").len(), 3);
    assert!(text(&broken, "/policy_mistakes/0").starts_with("mine.cedar:2:39: "), "{broken:#}");
    assert_eq!(text(&broken, "/policy_version"), text(&before, "/policy_version"));
    let doctor = json(&place, REFUSED, &["doctor"]);
    let check = list(&doctor, "/checks").iter().find(|check| text(check, "/name").contains("policy"));
    let check = check.expect("it is looked at");
    assert_eq!(text(check, "/status"), "failed");
    assert!(text(check, "/found").contains("mine.cedar:2:39") && text(check, "/mend").contains("policy check"));
    assert!(run(&place, DONE, &["node", "status"]).out.contains("mine.cedar:8:45"));

    fs::remove_file(mine).expect("it is there");
    status(&place, |status| list(status, "/policy_mistakes").is_empty());
    run(&place, DONE, &["doctor"]);
    node.stop();
}

#[test]
fn an_edit_is_in_force_without_a_restart() {
    let (place, node) = demo();
    let before = status(&place, |_| true);
    let question = ["policy", "explain", "agent:scribe", "fs.write", "file:/reports/a.md"];
    let verdict = json(&place, DONE, &question);
    assert_eq!(text(&verdict, "/decision"), "allow");
    assert_eq!(fields(&verdict), ["considered", "decision", "policies", "policy_version", "sentences"]);
    let asked = run(&place, DONE, &question).out;
    assert!(asked.contains("would be allowed") && asked.contains("T1/write-reports"), "{asked}");

    let rule = "@id(\"mine/quiet\")\n@description(\"Nobody writes reports today.\")\nforbid (principal, action == Action::\"fs.write\", resource);\n";
    fs::write(place.home().join("policies/mine.cedar"), rule).expect("a file");
    let after = status(&place, |status| status["policy_version"] != before["policy_version"]);
    assert_eq!(after["started_at"], before["started_at"], "it was not started anew");
    let verdict = json(&place, DONE, &question);
    assert_eq!((text(&verdict, "/decision"), text(&verdict, "/code")), ("deny", "FORBIDDEN"));
    let report = place.path("report.md");
    fs::write(&report, "x").expect("a file");
    let act = ["act", "scribe", "fs.write", "/reports/a.md", "--from", report.to_str().expect("text")];
    let problem = json(&place, REFUSED, &act);
    assert_eq!(text(&problem, "/code"), "FORBIDDEN");
    let why = run(&place, DONE, &["action", "explain", text(&problem, "/action")]).out;
    assert!(why.contains("Nobody writes reports today."), "{why}");

    let policies = json(&place, DONE, &["policy", "list"]);
    assert_eq!(policies["version"], after["policy_version"]);
    assert!(list(&policies, "/policies").iter().any(|p| text(p, "/id") == "mine/quiet"));
    assert!(run(&place, DONE, &["policy", "list"]).out.contains("Nobody writes reports today."));
    let loaded = json(&place, DONE, &["ledger", "search", "--kind", "policy.loaded"]);
    assert_eq!(number(&loaded, "/entries/0/seq"), number(&policies, "/entry"), "the swap is on record");

    run(&place, MISUSED, &["policy", "explain", "agent:scribe", "fs.write", "/reports/a.md"]);
    run(&place, MISUSED, &["policy", "explain", "scribe", "fs.write", "file:/a"]);
    assert_eq!(
        text(&json(&place, REFUSED, &["policy", "explain", "agent:nobody", "fs.write", "file:/a"]), "/code"),
        "NOT_FOUND"
    );
    node.stop();
}

#[test]
fn expected_decisions_are_tested() {
    let (place, node) = demo();
    let tested = json(&place, DONE, &["policy", "test"]);
    assert_eq!(fields(&tested), ["cases", "failed", "policy_version"]);
    assert!(number(&tested, "/cases") >= 100 && list(&tested, "/failed").is_empty());
    node.stop();

    // A table of one's own, with one case that is wrong, and a policy under which the table that ships is.
    let shipped = include_str!("../../../../policies/expected.toml");
    let table = place.path("expected.toml");
    let changed = shipped.replacen("expect = \"deny\"", "expect = \"allow\"", 1);
    assert_ne!(changed, shipped, "the table has a refusal");
    fs::write(&table, changed).expect("a file");
    let table = table.to_str().expect("text");
    let tested = json(&place, REFUSED, &["policy", "test", table]);
    assert_eq!(list(&tested, "/failed").len(), 1, "{tested:#}");
    assert_eq!(fields(&tested["failed"][0]), ["difference", "line", "name"]);
    assert!(run(&place, REFUSED, &["policy", "test", table]).out.contains("expected.toml:"));

    fs::write(place.home().join("policies/mine.cedar"), "@id(\"mine/none\")\nforbid (principal, action, resource);\n")
        .expect("a file");
    let tested = json(&place, REFUSED, &["policy", "test"]);
    assert!(list(&tested, "/failed").len() > 50, "{tested:#}");
    fs::write(place.path("bad.toml"), "[[case]]\n").expect("a file");
    let code = place.steward(&["policy", "test", place.path("bad.toml").to_str().expect("text")]).code;
    assert!(matches!(code, Some(REFUSED | MISUSED)), "{code:?}");
}

#[test]
fn what_would_differ_under_another_policy_is_told_and_nothing_changes() {
    let (place, node) = demo();
    let before = status(&place, |_| true);
    let policies = place.home().join("policies");
    let folder = policies.to_str().expect("text");
    let same = json(&place, DONE, &["policy", "diff", folder]);
    assert_eq!(text(&same, "/version"), text(&same, "/in_force"));
    assert!(number(&same, "/same") > 0 && list(&same, "/differences").is_empty(), "{same:#}");
    // One file, beside all others.
    let freeze = place.path("freeze.cedar");
    fs::write(&freeze, "@id(\"freeze\")\nforbid (principal is Agent, action == Action::\"fs.write\", resource);\n")
        .expect("a file");
    let asked = ["policy", "diff", freeze.to_str().expect("text"), "--against", "last:2000"];
    let diff = json(&place, REFUSED, &asked);
    assert_eq!(text(&diff, "/added/0"), "freeze.cedar");
    assert_eq!((number(&diff, "/would_be_allowed"), number(&diff, "/would_be_denied") > 0), (0, true), "{diff:#}");
    for one in list(&diff, "/differences") {
        assert_eq!((text(one, "/action"), text(one, "/was/decision")), ("fs.write", "allow"));
        assert_eq!(text(one, "/would_be/policies/0/id"), "freeze");
    }
    let told = run(&place, REFUSED, &asked).out;
    assert!(told.contains("would be denied") && told.contains("deny: freeze"), "{told}");
    // Mistakes are told with their places, and nothing was put in force.
    fs::write(&freeze, "permit (principal, action == Action::\"fs.wirte\", resource);\n").expect("a file");
    let wrong = run(&place, MISUSED, &asked);
    assert!(wrong.err.contains("freeze.cedar:1:"), "{wrong:?}");
    let after = status(&place, |_| true);
    assert_eq!(text(&after, "/policy_version"), text(&before, "/policy_version"));
    node.stop();
}
