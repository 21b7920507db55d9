//! The dishonest operator, who has the home and changes what is in it.

use std::{fs, path::Path};

use rusqlite::Connection;
use serde_json::Value;

use crate::{DONE, REFUSED, demo, json, list, number, run, text};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("it can be read");
        let there = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy(&entry.path(), &there);
        } else {
            fs::copy(entry.path(), there).expect("a copy");
        }
    }
}

/// The finding with that code.
#[track_caller]
fn finding<'a>(report: &'a Value, code: &str) -> &'a Value {
    let found = list(report, "/findings").iter().find(|finding| text(finding, "/code") == code);
    found.unwrap_or_else(|| panic!("{code} is found: {report:#}"))
}

#[test]
fn a_row_that_was_changed_behind_the_ledger_is_named() {
    let (place, node) = demo();
    let entry = number(&json(&place, DONE, &["agent", "show", "scribe"]), "/entry");
    node.stop();
    let store = Connection::open(place.home().join("store.sqlite")).expect("a database");
    let set = |tier| {
        let changed = store.execute("UPDATE agent SET tier = ?1 WHERE name LIKE 'scribe%'", [tier]);
        assert_eq!(changed.expect("it can be changed"), 1);
    };
    set("T3");
    let report = json(&place, REFUSED, &["ledger", "verify", "--state"]);
    assert_eq!(report["consistent"], false);
    let found = finding(&report, "ROW_CHANGED");
    assert_eq!((text(found, "/table"), number(found, "/entry")), ("agent", entry));
    assert!(text(found, "/key").contains("scribe"), "{found}");
    let told = run(&place, REFUSED, &["ledger", "verify", "--state"]).out;
    assert!(
        told.contains("of agent") && told.contains(&format!("entry {entry}")) && told.contains("NOT verify"),
        "{told}"
    );
    run(&place, DONE, &["ledger", "verify"]);

    set("T1");
    run(&place, DONE, &["ledger", "verify", "--state"]);
    store.execute("DELETE FROM agent WHERE name LIKE 'scribe%'", []).expect("it can be deleted");
    assert_eq!(
        text(finding(&json(&place, REFUSED, &["ledger", "verify", "--state"]), "ROW_MISSING"), "/table"),
        "agent"
    );
    store
        .execute("UPDATE ledger_entry SET actor = 'watcher.acme.internal' WHERE seq = ?1", [entry])
        .expect("it can be changed");
    assert_eq!(number(finding(&json(&place, REFUSED, &["ledger", "verify"]), "COLUMN_CHANGED"), "/entry"), entry);
}

#[test]
fn a_home_that_was_put_back_is_found_out() {
    let (place, node) = demo();
    node.stop();
    let backup = place.path("backup");
    copy(&place.home(), &backup);

    let node = place.up(&[]);
    let manifest = place.path("late.toml");
    fs::write(&manifest, "name = 'late'\nversion = '1.0.0'\ntier = 'T1'\n").expect("a file");
    run(&place, DONE, &["agent", "add", manifest.to_str().expect("text")]);
    let head = run(&place, DONE, &["ledger", "head"]).out;
    fs::write(place.path("kept-head"), head).expect("a file");
    node.stop();

    fs::remove_dir_all(place.home()).expect("it can be removed");
    copy(&backup, &place.home());
    let kept = place.path("kept-head");
    let report = json(&place, REFUSED, &["ledger", "verify", "--against", kept.to_str().expect("text")]);
    finding(&report, "ROLLED_BACK");
    assert!(list(&report, "/anchors").iter().all(|anchor| anchor["holds"] == false), "{report:#}");
    let told = run(&place, REFUSED, &["ledger", "verify"]).out;
    assert!(told.contains("ROLLED_BACK") && told.contains("NOT continued"), "what is remembered is enough: {told}");

    // The node does not know. Whoever asks it does.
    let node = place.up(&[]);
    let said = run(&place, REFUSED, &["ledger", "head"]);
    assert!(said.err.contains("ROLLED BACK"), "{said:?}");
    let doctor = json(&place, REFUSED, &["doctor"]);
    let ledger =
        list(&doctor, "/checks").iter().find(|check| text(check, "/name") == "ledger").expect("it is looked at");
    assert_eq!(text(ledger, "/status"), "failed");
    node.stop();
}
