//! Erasing what an entry says: it is gone from every file, and every proof stands (LED-5).

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{DONE, MISUSED, REFUSED, backups::holding, common::Place, demo, json, list, number, run, text};

/// Something that stands in a body and nowhere else: what an agent asked for and was refused.
const NEEDLE: &str = "/etc/secret-of-mrs-miller-born-1961";

/// The entry of a refused action whose resource is `path`.
fn refused(place: &Place, path: &str) -> u64 {
    run(place, REFUSED, &["act", "scribe", "fs.write", path, "--from", "/dev/null"]);
    let found = json(place, DONE, &["ledger", "search", "--kind", "action.refused", "--limit", "1"]);
    assert_eq!(text(&found, "/entries/0/body/decision/resource/id"), path);
    number(&found, "/entries/0/seq")
}

#[test]
fn what_is_redacted_is_gone_from_every_file_and_every_proof_stands() {
    let (place, node) = demo();
    let entry = refused(&place, NEEDLE);
    let kept = at(&place, "kept-head");
    fs::write(&kept, run(&place, DONE, &["ledger", "head"]).out).expect("a file");
    assert_ne!(holding(&place.home(), NEEDLE), Vec::<PathBuf>::new(), "the search finds it before");
    let seq = entry.to_string();
    let before = json(&place, DONE, &["ledger", "prove", &seq]);

    let redacted = json(&place, DONE, &["redact", &seq, "--reason", "asked by the person it is about"]);
    assert_eq!((number(&redacted, "/entry"), &redacted["folded"]), (entry, &Value::Bool(true)));
    let by = number(&redacted, "/redacted_by");
    assert_eq!(holding(&place.home(), NEEDLE), Vec::<PathBuf>::new(), "while the node runs");

    // That there was such an entry is proved as before, by its leaf.
    let proof = at(&place, "proof");
    run(&place, DONE, &["ledger", "prove", &seq, "--output", &proof]);
    let after: Value = serde_json::from_slice(&fs::read(&proof).expect("a file")).expect("JSON");
    assert_eq!(after["leaf"], before["leaf"]);
    assert!(after.get("body").is_none() && after.get("salt").is_none(), "{after:#}");
    let vkey = text(&after, "/vkey");
    assert!(run(&place, DONE, &["ledger", "check-proof", &proof, "--vkey", vkey]).out.contains("erased"));
    let other = json(&place, DONE, &["ledger", "prove", &(entry - 1).to_string()]);
    assert!(other.get("body").is_some());

    // It says who did it and why, and verifies: with the head from before too.
    let shown = json(&place, DONE, &["ledger", "show", &seq]);
    assert_eq!((number(&shown, "/redacted_by"), text(&shown, "/kind")), (by, "action.refused"));
    assert_eq!((text(&shown, "/actor"), text(&shown, "/subject")), ("", ""));
    let record = json(&place, DONE, &["ledger", "show", &by.to_string()]);
    assert_eq!((text(&record, "/kind"), text(&record, "/body/detail/entry")), ("ledger.redacted", seq.as_str()));
    assert_eq!(text(&record, "/body/detail/reason"), "asked by the person it is about");
    assert!(text(&record, "/actor").starts_with("operator@"), "{record:#}");
    let verified = json(&place, DONE, &["ledger", "verify", "--state", "--against", &kept]);
    assert_eq!((number(&verified, "/erased"), list(&verified, "/redacted_by")), (1, &[Value::from(by)][..]));
    assert!(run(&place, DONE, &["ledger", "verify"]).out.contains(&format!("as these say: {by}")));
    node.stop();
    assert_eq!(holding(&place.home(), NEEDLE), Vec::<PathBuf>::new(), "after it stopped");
    run(&place, DONE, &["ledger", "verify", "--state"]);
    place.up(&[]).stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
}

fn at(place: &Place, name: &str) -> String {
    place.path(name).to_str().expect("text").to_owned()
}

#[test]
fn rows_of_what_was_redacted_are_vouched_for_by_the_redaction() {
    let (place, node) = demo();
    let agent = json(&place, DONE, &["agent", "show", "scribe"]);
    let entry = number(&agent, "/entry").to_string();
    run(&place, DONE, &["redact", &entry, "--reason", "a name"]);
    run(&place, DONE, &["ledger", "verify", "--state"]);
    assert_eq!(json(&place, DONE, &["agent", "show", "scribe"]), agent, "the row is a fact of its own, and stays");
    node.stop();
    // The node starts, and a row that is changed now is found by the redaction that vouches for it.
    place.up(&[]).stop();
    let store = rusqlite::Connection::open(place.home().join("store.sqlite")).expect("a database");
    store.execute("UPDATE agent SET tier = 'T3' WHERE name = 'scribe'", []).expect("it runs");
    let found = json(&place, REFUSED, &["ledger", "verify", "--state"]);
    assert_eq!(text(&found, "/findings/0/code"), "ROW_CHANGED");
}

#[test]
fn what_cannot_be_redacted_is_refused() {
    let (place, node) = demo();
    let code = |arguments: &[&str]| text(&json(&place, REFUSED, arguments), "/code").to_owned();
    assert_eq!(code(&["redact", "0", "--reason", "x"]), "CANNOT_REDACT", "the first entry");
    assert_eq!(code(&["redact", "99999", "--reason", "x"]), "NOT_FOUND");
    run(&place, MISUSED, &["redact", "5"]);
    run(&place, MISUSED, &["redact", "5", "--reason", " "]);
    let redacted = json(&place, DONE, &["redact", "5", "--reason", "x"]);
    assert_eq!(code(&["redact", "5", "--reason", "x"]), "CANNOT_REDACT", "once is enough");
    let by = number(&redacted, "/redacted_by").to_string();
    assert_eq!(code(&["redact", &by, "--reason", "x"]), "CANNOT_REDACT", "a redaction");
    // A viewer may not, and that they tried is on record.
    let way_in = json(&place, DONE, &["people", "add", "vera", "--role", "viewer"]);
    let way_in = text(&way_in, "/login_key/secret").to_owned();
    let mut login = place.command();
    login.env("STEWARD_CONFIG_DIR", place.path("vera")).args(["login", "--key-stdin"]);
    login.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = login.spawn().expect("it runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), way_in.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let mut tries = place.command();
    let tried =
        tries.env("STEWARD_CONFIG_DIR", place.path("vera")).args(["--json", "redact", "6", "--reason", "x"]).output();
    let tried: Value = serde_json::from_slice(&tried.expect("it runs").stdout).expect("JSON");
    assert_eq!(text(&tried, "/code"), "NOT_PERMITTED");
    let found = json(&place, DONE, &["ledger", "search", "--action", "ledger.redact", "--decision", "deny"]);
    assert_eq!(list(&found, "/entries").len(), 1);
    node.stop();
}
