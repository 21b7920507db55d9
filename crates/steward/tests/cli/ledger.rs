//! The ledger, read by those who may and checked by those who need not.

use std::fs;

use serde_json::Value;

use crate::{DONE, MISUSED, REFUSED, demo, fields, json, list, number, run, text};

#[test]
fn what_is_on_record_is_shown_and_found() {
    let (place, node) = demo();
    let entry = json(&place, DONE, &["ledger", "show", "0"]);
    assert_eq!((number(&entry, "/seq"), text(&entry, "/kind")), (0, "ledger.created"));
    assert_eq!(
        fields(&entry),
        ["action", "actor", "body", "decision", "kind", "leaf", "leaf_hash", "namespace", "seq", "subject", "time"]
    );
    assert!(run(&place, DONE, &["ledger", "show", "0"]).out.contains("ledger.created"));
    assert_eq!(text(&json(&place, REFUSED, &["ledger", "show", "99999"]), "/code"), "NOT_FOUND");
    run(&place, MISUSED, &["ledger", "show", "first"]);

    let found =
        json(&place, DONE, &["ledger", "search", "--kind", "action.refused", "--actor", "builder.acme.internal"]);
    assert_eq!(list(&found, "/entries").len(), 3, "{found:#}");
    for arguments in [
        ["--action", "fs.write"],
        ["--decision", "deny"],
        ["--subject", "scribe.acme.internal"],
        ["--since", "1h"],
        ["--limit", "1"],
    ] {
        let found = json(&place, DONE, &[&["ledger", "search"], &arguments[..]].concat());
        assert!(!list(&found, "/entries").is_empty(), "{arguments:?}");
    }
    let trace = text(&found, "/entries/0/trace").to_owned();
    let same = json(&place, DONE, &["ledger", "search", "--trace", &trace]);
    assert_eq!(list(&same, "/entries"), &list(&found, "/entries")[..1]);
    assert_eq!(list(&json(&place, DONE, &["ledger", "search", "--until", "2h"]), "/entries"), &[] as &[Value]);
    assert!(run(&place, DONE, &["ledger", "search"]).out.contains("ledger.read"), "that it was read is on record");
    run(&place, MISUSED, &["ledger", "search", "--since", "yesterday"]);
    node.stop();
}

#[test]
fn an_entry_is_proved_to_a_stranger() {
    let (place, node) = demo();
    let vkey = run(&place, DONE, &["ledger", "vkey"]).out.trim().to_owned();
    let said = json(&place, DONE, &["ledger", "vkey"]);
    assert_eq!((text(&said, "/vkey"), fields(&said)), (vkey.as_str(), vec!["fingerprint", "vkey"]));

    let file = place.path("proof.json");
    let file = file.to_str().expect("text");
    run(&place, DONE, &["ledger", "prove", "3", "--output", file]);
    let proof: Value = serde_json::from_slice(&fs::read(file).expect("it was written")).expect("JSON");
    assert_eq!(fields(&proof), ["body", "leaf", "proof", "salt", "seq", "vkey"]);
    assert_eq!(text(&proof, "/vkey"), vkey);
    let on_stdout: Value = serde_json::from_str(&run(&place, DONE, &["ledger", "prove", "3"]).out).expect("JSON");
    assert_eq!(on_stdout["leaf"], proof["leaf"]);
    assert_eq!(text(&json(&place, REFUSED, &["ledger", "prove", "99999"]), "/code"), "NOT_FOUND");

    // Consistency asks for no key, and neither does what follows need a node.
    let consistent = place
        .command()
        .env("STEWARD_CONFIG_DIR", place.path("nobody"))
        .args(["ledger", "consistency", "3", "9", "--json"])
        .output()
        .expect("it runs");
    let consistent: Value = serde_json::from_slice(&consistent.stdout).expect("JSON");
    assert_eq!(fields(&consistent), ["from", "from_root", "hashes", "to", "to_root"]);
    assert!(run(&place, DONE, &["ledger", "consistency", "3", "9"]).out.contains("proved"));
    run(&place, MISUSED, &["ledger", "consistency", "9", "3"]);
    run(&place, MISUSED, &["ledger", "consistency", "3", "99999"]);
    node.stop();

    let holds = json(&place, DONE, &["ledger", "check-proof", file, "--vkey", &vkey]);
    assert_eq!((holds["holds"].clone(), number(&holds, "/seq")), (Value::Bool(true), 3));
    assert_eq!(fields(&holds), ["body", "holds", "kind", "origin", "root", "seq", "size", "time"]);
    let first = &text(&proof, "/salt")[..1];
    let another = if first == "0" { "1" } else { "0" };
    for (field, from, to) in [
        ("body", "operator", "olivia"),
        ("leaf", "person.added", "person.killd"),
        ("salt", first, another),
        ("proof", "index 3", "index 4"),
    ] {
        let mut forged = proof.clone();
        forged[field] = Value::String(text(&proof, &format!("/{field}")).replacen(from, to, 1));
        assert_ne!(forged, proof, "{field} has `{from}` in it");
        let other = place.path("forged.json");
        fs::write(&other, forged.to_string()).expect("a file");
        let said = run(&place, REFUSED, &["ledger", "check-proof", other.to_str().expect("text"), "--vkey", &vkey]);
        assert!(!said.err.is_empty(), "{field}: {said:?}");
    }
    run(&place, MISUSED, &["ledger", "check-proof", file]);
    run(&place, MISUSED, &["ledger", "check-proof", file, "--vkey", "no key"]);
}

#[test]
fn the_ledger_is_exported_whole_and_as_views() {
    let (place, node) = demo();
    let lines = run(&place, DONE, &["ledger", "export", "--format", "jsonl"]).out;
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(entries.iter().enumerate().all(|(n, entry)| number(entry, "/seq") == n as u64), "none is missing");
    let rows = run(&place, DONE, &["ledger", "export", "--format", "csv"]).out;
    assert_eq!(
        rows.lines().next(),
        Some("seq,time,kind,namespace,actor,subject,action,decision,decision_id,trace,body")
    );
    // The first export is on record by now.
    assert_eq!(rows.lines().count(), entries.len() + 2);

    for (view, head, least) in [
        (
            "agent_actions",
            "id,timestamp,agent_id,agent_version,tier,action,decision,confidence,success,error_type,error_message",
            // Those that it asks for itself, and those of its runs.
            7 + 5,
        ),
        ("violations", "", 4),
    ] {
        let rows = run(&place, DONE, &["ledger", "export", "--view", view, "--format", "csv"]).out;
        assert!(rows.starts_with(head) && rows.lines().count() == least + 1, "{view}: {rows}");
        let lines = run(&place, DONE, &["ledger", "export", "--view", view, "--format", "jsonl"]).out;
        let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
        let columns: Vec<&str> = rows.lines().next().expect("a head").split(',').collect();
        assert!(columns.iter().all(|column| first.get(column).is_some()), "{view}: {columns:?} {first}");
        assert_eq!(lines.lines().count(), least);
    }
    let said = run(&place, MISUSED, &["ledger", "export", "--view", "nonsense", "--format", "csv"]);
    assert!(said.err.contains("agent_actions"), "{said:?}");
    run(&place, MISUSED, &["ledger", "export"]);
    run(&place, MISUSED, &["ledger", "export", "--format", "xml"]);
    node.stop();
}

#[test]
fn the_ledger_is_verified_with_and_without_the_node() {
    let (place, node) = demo();
    let head = run(&place, DONE, &["ledger", "head"]).out;
    let kept = place.path("kept-head");
    fs::write(&kept, &head).expect("a file");
    let kept = kept.to_str().expect("text");
    assert_eq!(fields(&json(&place, DONE, &["ledger", "head"])), ["note", "origin", "root", "size"]);

    let verified = json(&place, DONE, &["ledger", "verify", "--state", "--against", kept]);
    assert_eq!(
        fields(&verified),
        [
            "anchored",
            "anchors",
            "consistent",
            "entries",
            "erased",
            "erased_by_age",
            "finding_count",
            "findings",
            "origin",
            "root",
            "rows",
            "size",
            "unanchored",
            "vkey",
            "vkey_from",
            "warning_count",
            "warnings",
        ]
    );
    assert_eq!((&verified["consistent"], text(&verified, "/vkey_from")), (&Value::Bool(true), "pinned"));
    assert!(number(&verified, "/rows") >= 8, "policy, node, people, keys, agents, effects: {verified:#}");
    let anchors = list(&verified, "/anchors");
    assert!(anchors.len() == 2 && anchors.iter().all(|anchor| anchor["holds"] == true), "{anchors:?}");
    node.stop();

    let told = run(&place, DONE, &["ledger", "verify", "--state"]).out;
    assert!(told.contains("compared with the entries that wrote them") && told.contains("anchored"), "{told}");
    assert!(!told.contains("rows          0"), "{told}");
    assert!(json(&place, DONE, &["ledger", "verify"]).get("rows").is_none(), "rows are compared when it is asked for");

    // Somebody who never saw this ledger has only the home to believe, and is told so.
    let stranger = place
        .command()
        .env("STEWARD_CONFIG_DIR", place.path("stranger"))
        .args(["ledger", "verify"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&stranger.stdout).into_owned();
    assert!(stranger.status.success() && told.contains("nothing outside vouches for them"), "{told}");
    assert!(told.contains("taken from the home itself"), "{told}");

    let text = "none/ledger\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— none/ledger AAAA\n";
    fs::write(place.path("other-head"), text).expect("a file");
    run(&place, REFUSED, &["ledger", "verify", "--against", place.path("other-head").to_str().expect("text")]);
    run(&place, MISUSED, &["ledger", "verify", "--against", "there-is-none"]);
    run(&place, MISUSED, &["ledger", "verify", "--vkey", "none"]);
}
