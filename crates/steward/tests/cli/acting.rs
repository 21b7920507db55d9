//! Agents, what they ask for, and why it was allowed or refused.

use std::fs;

use crate::{
    DONE, MISUSED, REFUSED, UNREACHABLE,
    common::{NAMESPACE, Place},
    demo, fields, json, list, number, run, text,
};

const AGENT: [&str; 13] = [
    "added_at",
    "allowed",
    "capabilities",
    "description",
    "entry",
    "manifest",
    "name",
    "namespace",
    "protocol",
    "refused",
    "status",
    "tier",
    "version",
];

fn file(place: &Place, name: &str, content: &str) -> String {
    let path = place.path(name);
    fs::write(&path, content).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[test]
fn an_agent_is_registered_from_a_file() {
    let (place, node) = demo();
    let good = "name = 'clerk'\nversion = '1.2.0'\ntier = 'T1'\ndescription = 'Files.'\ncapabilities = ['files']\n";
    let added = json(&place, DONE, &["agent", "add", &file(&place, "clerk.toml", good)]);
    assert_eq!(fields(&added), AGENT);
    assert_eq!((text(&added, "/name"), text(&added, "/tier")), ("clerk.acme.internal", "T1"));
    let shown = json(&place, DONE, &["agent", "show", "clerk"]);
    assert_eq!(shown, added);
    assert_eq!(json(&place, DONE, &["agent", "show", "clerk.acme.internal"]), added, "by the full name too");
    let agents = json(&place, DONE, &["agent", "list"]);
    assert_eq!(list(&agents, "/agents").len(), 7);
    assert!(run(&place, DONE, &["agent", "list"]).out.contains("clerk.acme.internal"));

    let again = r#"{"name":"clerk","version":"1.2.0","tier":"T1"}"#;
    assert_eq!(text(&json(&place, REFUSED, &["agent", "add", &file(&place, "a.json", again)]), "/code"), "NAME_TAKEN");
    assert_eq!(text(&json(&place, REFUSED, &["agent", "show", "nobody"]), "/code"), "NOT_FOUND");
    run(&place, MISUSED, &["agent", "show", "no body"]);

    // Everything that is wrong, at once.
    let bad = "name = 'Sсribe'\nversion = '1'\ntier = 'T9'\ncolour = 'red'\n";
    let said = run(&place, MISUSED, &["agent", "add", &file(&place, "bad.toml", bad)]);
    for problem in ["`name`", "`version`", "`tier`", "`colour`"] {
        assert!(said.err.contains(problem), "{problem}: {said:?}");
    }
    let said = run(&place, MISUSED, &["agent", "add", &file(&place, "bad.toml", "name = = 1\n")]);
    assert!(said.err.contains("bad.toml:1:8"), "{said:?}");
    run(&place, REFUSED, &["agent", "add", "there-is-none.toml"]);
    node.stop();
}

#[test]
fn an_action_is_done_or_refused_and_explained() {
    let (place, node) = demo();
    let report = file(&place, "report.md", "# Report\n");
    let write = ["act", "scribe", "fs.write", "/reports/mine.md", "--from", &report];
    let done = json(&place, DONE, &[&write[..], &["--confidence", "0.85"]].concat());
    assert_eq!(text(&done, "/action/effect/status"), "succeeded");
    assert_eq!(number(&done, "/action/effect/bytes"), 9);
    let written = place.home().join("agents").join(NAMESPACE).join("scribe/files/reports/mine.md");
    assert_eq!(fs::read_to_string(written).expect("it was written"), "# Report\n");
    let id = text(&done, "/action/id");

    // Allowed: shown and explained.
    let shown = json(&place, DONE, &["action", "show", id]);
    assert_eq!(shown, done["action"]);
    assert_eq!(text(&shown, "/decision/policies/0/id"), "T1/write-reports");
    let why = json(&place, DONE, &["action", "explain", id]);
    assert_eq!(fields(&why), ["action", "body", "proof", "sentences"]);
    assert_eq!(text(&why, "/body/decision/policies/0/id"), "T1/write-reports");
    assert_eq!(number(&why, "/proof/entry"), number(&shown, "/decision/entry"));
    assert!(text(&why, "/proof/proof").starts_with("c2sp.org/tlog-proof@v1\n"));
    let told = run(&place, DONE, &["action", "explain", id]).out;
    for part in ["scribe.acme.internal (tier T1)", "It was allowed", "T1/write-reports", "ledger entry", "ledger prove"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }

    // Refused, and the same again: counted with the first, which is the one to look at.
    let refused = json(&place, REFUSED, &["act", "watcher", "fs.write", "/reports/mine.md", "--from", &report]);
    assert_eq!((text(&refused, "/code"), number(&refused, "/status")), ("NOT_PERMITTED", 403));
    let first = text(&refused, "/action");
    let again = json(&place, REFUSED, &["act", "watcher", "fs.write", "/reports/other.md", "--from", &report]);
    let whole = json(&place, DONE, &["action", "show", text(&again, "/action")]);
    assert_eq!(text(&whole, "/decision/code"), "NOT_PERMITTED", "what a refusal names is on record");
    // Unless another minute began in between.
    assert_eq!(text(&again, "/detail").contains("this was counted"), text(&again, "/action") == first, "{again}");
    let told = run(&place, DONE, &["action", "explain", first]).out;
    assert!(told.contains("It was refused, because no policy permits it"), "{told}");

    // Whatever is spelled otherwise.
    for (spelled, code) in [
        ("DROP", "UNKNOWN_ACTION"),
        (" drop", "MALFORMED_ACTION"),
        ("dr\u{43e}p", "MALFORMED_ACTION"),
        ("dr\u{200b}op", "MALFORMED_ACTION"),
    ] {
        let problem = json(&place, REFUSED, &["act", "builder", spelled, "customers"]);
        assert_eq!(text(&problem, "/code"), code, "{spelled:?}");
    }
    for path in ["/../elsewhere.md", "/a/../../b", "reports/a.md", "//a", "/a/./b"] {
        let problem = json(&place, REFUSED, &["act", "builder", "fs.write", path, "--from", &report]);
        assert_eq!(text(&problem, "/code"), "FORBIDDEN", "{path}");
        let told = run(&place, DONE, &["action", "explain", text(&problem, "/action")]).out;
        assert!(told.contains("has no `.`, `..` or empty parts, so that"), "a policy's own words: {told}");
    }
    let missing = run(&place, MISUSED, &["act", "scribe", "fs.write", "/reports/a.md"]);
    assert!(missing.err.contains("content"), "{missing:?}");
    run(&place, MISUSED, &["act", "scribe", "fs.write"]);
    run(&place, MISUSED, &["act", "scribe", "fs.write", "/reports/a.md", "--from", "there-is-none"]);
    run(&place, MISUSED, &["act", "scribe", "fs.write", "/reports/a.md", "--from", &report, "--confidence", "2"]);
    assert_eq!(
        text(&json(&place, REFUSED, &["act", "nobody", "fs.write", "/a", "--from", &report]), "/code"),
        "NOT_FOUND"
    );

    // Listed.
    let denied = json(&place, DONE, &["action", "list", "--agent", "builder", "--decision", "deny", "--limit", "2"]);
    assert_eq!(list(&denied, "/actions").len(), 2);
    for action in list(&denied, "/actions") {
        assert_eq!(
            (text(action, "/actor"), text(action, "/decision/decision")),
            ("agent builder.acme.internal", "deny")
        );
    }
    let before = number(&denied, "/next").to_string();
    let older =
        json(&place, DONE, &["action", "list", "--agent", "builder", "--decision", "deny", "--before", &before]);
    assert!(!list(&older, "/actions").contains(&list(&denied, "/actions")[1]));
    assert!(run(&place, DONE, &["action", "list"]).out.contains(id));
    assert_eq!(
        text(&json(&place, REFUSED, &["action", "show", "act_01ARZ3NDEKTSV4RRFFQ69G5FAV"]), "/code"),
        "NOT_FOUND"
    );
    run(&place, MISUSED, &["action", "explain", "no-id"]);

    // Down.
    node.stop();
    let said = run(&place, UNREACHABLE, &write);
    assert!(said.err.contains("not running") && said.err.contains(" up`"), "{said:?}");
}
