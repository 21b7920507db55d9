//! What a run leaves, for whoever distrusts the node: a file that is checked elsewhere; and effects of which nobody knows.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::{DONE, MISUSED, REFUSED, common::Place, json as asks, list, number, run, runs::at_work, text};

/// A file that was tampered with: what was done, and what the verdict must name.
type Tampered = (&'static str, fn(&mut Value), &'static str);

/// Puts something else in place of a text.
fn replace(value: &mut Value, at: &str, from: &str, to: &str) {
    let place = value.pointer_mut(at).unwrap_or_else(|| panic!("there is {at}"));
    let before = place.as_str().expect("a text").to_owned();
    assert!(before.contains(from), "{at} has `{from}`: {before}");
    *place = before.replace(from, to).into();
}

/// The index of the entry of a kind.
fn entry_of(file: &Value, kind: &str) -> usize {
    let entries = list(file, "/entries");
    entries
        .iter()
        .position(|entry| text(entry, "/leaf").contains(&format!("\"{kind}\"")))
        .unwrap_or_else(|| panic!("there is a {kind}"))
}

const TAMPERED: &[Tampered] = &[
    ("the status", |f| f["run"]["status"] = "failed".into(), "`status`"),
    ("the agent", |f| f["run"]["agent"] = "other.acme.internal".into(), "`agent`"),
    ("the task", |f| f["run"]["task"] = "other".into(), "`task`"),
    ("the objective", |f| f["run"]["objective"] = "something else".into(), "`objective`"),
    ("who started it", |f| f["run"]["started_by"] = "eve@acme.internal".into(), "`started_by`"),
    ("the run", |f| f["run"]["id"] = "run_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(), "entry"),
    ("the trace", |f| f["run"]["trace"] = "trc_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(), "entry"),
    ("the code", |f| f["run"]["code"] = "ELSE".into(), "`code`"),
    (
        "a body",
        |f| {
            let n = entry_of(f, "action.intended");
            replace(f, &format!("/entries/{n}/body"), "/reports/week-47.md", "/reports/week-48.md");
        },
        "body and salt do not fit",
    ),
    (
        "a leaf",
        |f| {
            let n = entry_of(f, "run.phase");
            replace(f, &format!("/entries/{n}/leaf"), "run.phase", "run.error");
        },
        "entry",
    ),
    (
        "a salt",
        |f| {
            let salt = text(f, "/entries/0/salt").to_owned();
            let other = if salt.starts_with('0') { "1" } else { "0" };
            f["entries"][0]["salt"] = format!("{other}{}", &salt[1..]).into();
        },
        "body and salt do not fit",
    ),
    (
        "half of a body",
        |f| {
            f["entries"][1].as_object_mut().expect("an entry").remove("salt");
        },
        "only one",
    ),
    (
        "a proof",
        |f| {
            let other = f["entries"][1]["proof"].clone();
            f["entries"][0]["proof"] = other;
        },
        "entry",
    ),
    ("a place", |f| f["entries"][2]["seq"] = 0.into(), "entry 0"),
    (
        "the beginning",
        |f| {
            f["entries"].as_array_mut().expect("a list").remove(0);
        },
        "the beginning is missing",
    ),
    (
        "a phase",
        |f| {
            let n = entry_of(f, "run.phase");
            f["entries"].as_array_mut().expect("a list").remove(n);
        },
        "something is missing before",
    ),
    (
        "the end",
        |f| {
            let n = entry_of(f, "run.ended");
            f["entries"].as_array_mut().expect("a list").remove(n);
        },
        "run.ended",
    ),
    ("the order", |f| f["entries"].as_array_mut().expect("a list").swap(1, 2), "in order"),
    (
        "an entry twice",
        |f| {
            let entries = f["entries"].as_array_mut().expect("a list");
            let again = entries[1].clone();
            entries.insert(1, again);
        },
        "once",
    ),
    ("everything", |f| f["entries"] = json!([]), "there are none"),
    ("a document", |f| f["documents"][0]["bytes"] = "e30=".into(), "another digest"),
    (
        "a document and its name",
        |f| {
            f["documents"][0]["bytes"] = "e30=".into();
            f["documents"][0]["digest"] =
                "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".into();
        },
        "no entry of the run names it",
    ),
    (
        "a document's kind",
        |f| {
            let kind = f["documents"][1]["kind"].clone();
            f["documents"][0]["kind"] = kind;
        },
        "no entry of the run names it",
    ),
    (
        "a document that is gone",
        |f| {
            f["documents"].as_array_mut().expect("a list").remove(0);
        },
        "which is missing",
    ),
    (
        "a settled write that is gone",
        |f| {
            let n = entry_of(f, "action.settled");
            f["entries"].as_array_mut().expect("a list").remove(n);
        },
        "was not written in this run",
    ),
    ("the format", |f| f["format"] = "steward.evidence/v9".into(), "format"),
];

#[test]
fn evidence_is_checked_by_whoever_has_the_key_and_nothing_else() {
    let (place, node) = at_work(&["scribe"], "T1", 9);
    let record = asks(&place, DONE, &["run", "start", "scribe", "--task", "week-47", "Write the report"]);
    let id = text(&record, "/id");
    let path = place.path("evidence.json");
    let file = path.to_str().expect("text");
    run(&place, DONE, &["run", "evidence", id, "--output", file]);
    run(&place, MISUSED, &["run", "evidence", id, "--output", file]);
    run(&place, DONE, &["run", "evidence", id, "--output", file, "--force"]);
    run(&place, REFUSED, &["run", "evidence", "run_01KAHW5V8NQ4Z0M7C2R9T3XBYD", "--output", "other.json"]);
    let vkey = run(&place, DONE, &["ledger", "vkey"]).out.trim().to_owned();
    node.stop();

    // Somebody else, who has never seen the node.
    let stranger = Place::new();
    let verify = ["evidence", "verify", file];
    let with_key = [&verify[..], &["--vkey", &vkey]].concat();
    let verified = asks(&stranger, DONE, &with_key);
    assert_eq!((verified["holds"].as_bool(), text(&verified, "/vkey_from")), (Some(true), "argument"), "{verified:#}");
    assert_eq!(
        (text(&verified, "/run"), text(&verified, "/status"), number(&verified, "/artifacts")),
        (id, "completed", 1)
    );
    assert!(!list(&verified, "/proven").is_empty() && !list(&verified, "/not_proven").is_empty());
    assert!(run(&stranger, DONE, &with_key).out.contains("This evidence holds"));
    // Without a key it only fits together; who has met the node knows its key.
    let said = run(&stranger, DONE, &verify).out;
    assert!(
        said.contains("nothing outside the file vouches for it") && !said.contains("This evidence holds"),
        "{said}"
    );
    assert_eq!(text(&asks(&place, DONE, &verify), "/vkey_from"), "remembered");

    // Another node's key is not this one's.
    let (elsewhere, other) = at_work(&["scribe"], "T1", 9);
    let wrong = run(&elsewhere, DONE, &["ledger", "vkey"]).out.trim().to_owned();
    other.stop();
    run(&stranger, REFUSED, &[&verify[..], &["--vkey", &wrong]].concat());
    run(&stranger, MISUSED, &[&verify[..], &["--vkey", "key"]].concat());
    // A file that names another key, to somebody who knows better.
    let whole: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    let mut named = whole.clone();
    named["vkey"] = wrong.as_str().into();
    fs::write(&path, named.to_string()).expect("a file");
    run(&stranger, REFUSED, &verify);
    assert_eq!(
        asks(&stranger, DONE, &with_key)["holds"],
        true,
        "the file's own key is not looked at where one is given"
    );

    for (what, tamper, names) in TAMPERED {
        let mut changed = whole.clone();
        tamper(&mut changed);
        assert_ne!(changed, whole, "{what}");
        fs::write(&path, changed.to_string()).expect("a file");
        let said = run(&stranger, REFUSED, &with_key);
        assert!(
            said.out.contains(names) && said.out.contains("does NOT hold") && said.out.contains("WRONG: "),
            "{what}: `{names}` in {said:#?}"
        );
        let verified = asks(&stranger, REFUSED, &with_key);
        assert!(verified["holds"] == false && !text(&verified, "/wrong/at").is_empty(), "{what}: {verified:#}");
        // Whoever only has the file finds the same.
        run(&stranger, REFUSED, &verify);
    }
    // What no entry says of it is not vouched for, and that is told.
    for (name, other) in [("tier", json!("T4")), ("errors", json!(7)), ("sandbox", json!("grade Z"))] {
        let mut changed = whole.clone();
        changed["run"][name] = other;
        fs::write(&path, changed.to_string()).expect("a file");
        let said = run(&stranger, DONE, &with_key).out;
        assert!(said.lines().any(|line| line.starts_with("not proven: ") && line.contains(name)), "{name}: {said}");
    }
    for broken in ["", "{}", "[]", "{\"format\":1}"] {
        fs::write(&path, broken).expect("a file");
        run(&stranger, REFUSED, &with_key);
    }
    run(&stranger, MISUSED, &["evidence", "verify", "there-is-none.json"]);
}

#[test]
fn a_run_that_was_cut_short_has_evidence_too() {
    let (place, node) = at_work(&["novice"], "T1", 9);
    let said = run(&place, REFUSED, &["run", "start", "novice", "--task", "migration", "fumble", "--json"]);
    let record =
        serde_json::Deserializer::from_str(&said.out).into_iter::<Value>().next().expect("a record").expect("JSON");
    let vkey = run(&place, DONE, &["ledger", "vkey"]).out.trim().to_owned();
    run(&place, DONE, &["run", "evidence", text(&record, "/id"), "-o", "revoked.json"]);
    node.stop();
    let verified = asks(&place, DONE, &["evidence", "verify", "revoked.json", "--vkey", &vkey]);
    assert_eq!((verified["holds"].as_bool(), text(&verified, "/status")), (Some(true), "revoked"));
    let mut file: Value = serde_json::from_slice(&fs::read(place.path("revoked.json")).expect("there")).expect("JSON");
    // What it left to its successor is in it, and cannot be taken out.
    let documents = file["documents"].as_array_mut().expect("a list");
    let handoff = documents.iter().position(|document| document["kind"] == "handoff").expect("a handoff");
    documents.remove(handoff);
    fs::write(place.path("less.json"), file.to_string()).expect("a file");
    let said = run(&place, REFUSED, &["evidence", "verify", "less.json", "--vkey", &vkey]);
    assert!(said.out.contains("handoff") && said.out.contains("missing"), "{said:?}");
}

#[test]
fn what_nobody_knows_is_said_by_a_person() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("known").port();
    // Cuts each answer off in the middle.
    let host = thread::spawn(move || {
        for line in listener.incoming().take(2) {
            let mut line = line.expect("a connection");
            let mut reader = BufReader::new(line.try_clone().expect("a descriptor"));
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|bytes| bytes > 2) {
                header.clear();
            }
            line.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").expect("written");
        }
    });
    let (place, node) = at_work(&["scout"], "T2", port);
    let mut unknown = Vec::new();
    for task in ["one", "two"] {
        let objective = format!("fetch http://127.0.0.1:{port}/{task}");
        // Nobody knows, which costs the agent nothing; its criterion asks for another word.
        let said = run(&place, REFUSED, &["run", "start", "scout", "--task", task, &objective]);
        assert!(
            said.err.contains("it was not done: OUTCOME_UNKNOWN") && said.err.contains("CRITERION_FAILED"),
            "{said:?}"
        );
        let list = asks(&place, DONE, &["run", "list", "--task", task]);
        let effects = asks(&place, DONE, &["effect", "list", "--unknown", "--run", text(&list, "/runs/0/id")]);
        assert_eq!((text(&effects, "/effects/0/status"), text(&effects, "/effects/0/action")), ("unknown", "http.get"));
        unknown.push(text(&effects, "/effects/0/id").to_owned());
    }
    host.join().expect("it answered twice");
    assert_eq!(number(&asks(&place, DONE, &["node", "status"]), "/effects_unknown"), 2);
    let told = run(&place, DONE, &["effect", "list", "--unknown"]);
    assert!(unknown.iter().all(|id| told.out.contains(id)) && told.err.contains("effect resolve"), "{told:?}");
    let all = asks(&place, DONE, &["effect", "list"]);
    assert!(list(&all, "/effects").len() > 2);

    let resolve =
        |code, id: &str, how: &str| asks(&place, code, &["effect", "resolve", id, how, "--reason", "the host's log"]);
    assert_eq!(text(&resolve(DONE, &unknown[0], "--happened"), "/status"), "succeeded");
    assert_eq!(text(&resolve(DONE, &unknown[1], "--did-not-happen"), "/status"), "failed");
    for id in &unknown {
        resolve(REFUSED, id, "--happened");
    }
    resolve(REFUSED, "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD", "--happened");
    run(&place, MISUSED, &["effect", "resolve", &unknown[0], "--reason", "x"]);
    assert_eq!(list(&asks(&place, DONE, &["effect", "list", "--unknown"]), "/effects").len(), 0);
    let found = asks(&place, DONE, &["ledger", "search", "--subject", &unknown[0]]);
    assert!(found.to_string().contains("the host's log"), "who said so is on record: {found:#}");
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
}
