//! The ledger, read, searched, proved and exported.

use serde_json::Value;
use steward_app_entries::{self as ledger, Export, Filter, Format, VIEWS, export, rows};
use steward_ledger::{Salt, kind, proof::verify_consistency, tlog_proof::verify_offline};
use steward_permit::Role;
use steward_seal::note::NoteKey;
use steward_testkit::{Known, TestNode};

use crate::{code, desk, size};

/// A desk where something happened: three writes, of which one failed, and two refusals.
async fn busy() -> (TestNode, Known) {
    let (node, otto) = desk().await;
    for path in ["/reports/a.md", "/reports/b.md"] {
        node.clock().advance_ms(1_000);
        node.act(&otto, "scribe", "fs.write", path, b"x").await.expect("allowed");
    }
    node.act(&otto, "scribe", "fs.write", "/reports/a.md/b", b"x").await.expect("allowed, and a file is no folder");
    node.act(&otto, "scribe", "fs.write", "/etc/passwd", b"x").await.expect_err("refused");
    node.clock().advance_ms(60_000);
    node.act(&otto, "scribe", "fs.write", "/etc/\"quoted\", =1+1", b"x").await.expect_err("refused");
    (node, otto)
}

fn written(node: &TestNode, export: Export) -> String {
    let mut text = String::new();
    let write = |line: String| {
        text.push_str(&line);
        true
    };
    export.write(node.context(), write).expect("it reads");
    text
}

/// Records of RFC 4180 in a text: line ends outside of quotes.
fn records(csv: &str) -> usize {
    let mut quoted = false;
    csv.bytes()
        .filter(|b| {
            quoted ^= *b == b'"';
            *b == b'\n' && !quoted
        })
        .count()
}

#[tokio::test]
async fn both_formats_export_the_same() {
    let (node, otto) = busy().await;
    let admin = node.admin().await;
    for view in [None].into_iter().chain(VIEWS.iter().copied().map(Some)) {
        let before = size(&node);
        let json = export(node.context(), &admin, view, Format::JsonLines).await.expect("allowed");
        assert_eq!(size(&node), before + 1, "who reads the audit is in the audit");
        let json = written(&node, json);
        let csv = written(&node, export(node.context(), &admin, view, Format::Csv).await.expect("allowed"));
        let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        // The second export of all entries has the entry of itself too; and CSV has a header.
        let later = usize::from(view.is_none());
        assert_eq!(records(&csv), lines.len() + later + 1, "{view:?}");
        match view {
            None => assert_eq!(lines.len() as u64, before + 1),
            Some("agent_actions") => assert_eq!(lines.len(), 5),
            Some("agent_metrics") => assert_eq!(lines.len(), 1, "one agent"),
            Some(_) => assert_eq!(lines.len(), 2),
        }
    }
    assert_eq!(code(export(node.context(), &admin, Some("person"), Format::Csv).await), "INVALID_REQUEST");
    assert_eq!(code(export(node.context(), &node.again(&otto), None, Format::Csv).await), "NOT_PERMITTED");
}

#[tokio::test]
async fn the_views_say_what_happened() {
    let (node, _) = busy().await;
    let read = |view| {
        let mut found = Vec::new();
        let each = |_: &[String], row| {
            found.push(Value::Object(row));
            true
        };
        node.context().store.read(|reader| rows::each_row(reader, view, each)).expect("it reads");
        found
    };
    let column = |rows: &[Value], name: &str| -> Vec<Value> { rows.iter().map(|row| row[name].clone()).collect() };
    let actions = read("agent_actions");
    assert_eq!(column(&actions, "decision"), ["allow", "allow", "allow", "deny", "deny"]);
    assert_eq!(column(&actions, "success"), [1, 1, 0, 0, 0]);
    assert_eq!(column(&actions, "agent_id"), ["scribe.acme.internal"; 5]);
    assert_eq!(column(&actions, "agent_version"), ["1.0.0"; 5]);
    assert_eq!(column(&actions, "tier"), ["T1"; 5]);
    let errors = column(&actions, "error_type");
    assert_eq!(errors[..2], [Value::Null, Value::Null]);
    assert!(errors[2].is_string(), "{errors:?}");
    assert_eq!(errors[3..], ["NOT_PERMITTED", "NOT_PERMITTED"]);

    let violations = read("violations");
    assert_eq!(column(&violations, "actor"), ["scribe.acme.internal"; 2]);
    assert_eq!(column(&violations, "code"), ["NOT_PERMITTED"; 2]);
    assert_eq!(column(&violations, "resource")[0], "/etc/passwd");
    assert_eq!(column(&actions, "id")[3..], column(&violations, "id"), "the same decisions");
}

#[tokio::test]
async fn every_filter_finds_what_it_says() {
    let (node, otto) = busy().await;
    let all = node.context().store.read(|reader| reader.entries("ORDER BY seq DESC", &[])).expect("it reads");
    let id = all.iter().find(|e| e.kind == kind::ACTION_SETTLED).expect("there is one").subject.clone();
    let trace = all.iter().find_map(|e| e.trace.clone()).expect("there is one");
    let middle = all[all.len() / 2].clone();
    let some = |text: &str| Some(text.to_owned());
    let base = || Filter { limit: 1_000, ..Filter::default() };
    type Holds<'a> = Box<dyn Fn(&steward_store::EntryRow) -> bool + 'a>;
    let cases: Vec<(Filter, Holds<'_>)> = vec![
        (base(), Box::new(|_| true)),
        (Filter { actor: some("scribe.acme.internal"), ..base() }, Box::new(|e| e.actor == "scribe.acme.internal")),
        (Filter { subject: Some(id.clone()), ..base() }, Box::new(|e| e.subject == id)),
        (Filter { action: some("fs.write"), ..base() }, Box::new(|e| e.action.as_deref() == Some("fs.write"))),
        (Filter { decision: some("deny"), ..base() }, Box::new(|e| e.decision.as_deref() == Some("deny"))),
        (Filter { kind: some(kind::ACTION_SETTLED), ..base() }, Box::new(|e| e.kind == kind::ACTION_SETTLED)),
        (Filter { trace: Some(trace.clone()), ..base() }, Box::new(|e| e.trace.as_ref() == Some(&trace))),
        (Filter { since: Some(middle.time), ..base() }, Box::new(|e| e.time >= middle.time)),
        (Filter { until: Some(middle.time), ..base() }, Box::new(|e| e.time < middle.time)),
        (Filter { before: Some(middle.seq), ..base() }, Box::new(|e| e.seq < middle.seq)),
        (
            Filter { decision: some("allow"), kind: some(kind::ACTION_SETTLED), before: Some(middle.seq), ..base() },
            Box::new(|e| {
                e.decision.as_deref() == Some("allow") && e.kind == kind::ACTION_SETTLED && e.seq < middle.seq
            }),
        ),
    ];
    let found = |filter: &Filter| node.context().store.read(|reader| rows::search(reader, filter)).expect("it reads");
    for (filter, holds) in &cases {
        let expected: Vec<_> = all.iter().filter(|e| holds(e)).cloned().collect();
        assert_eq!(found(filter), expected, "{filter:?}");
        let two = Filter { limit: 2, ..filter.clone() };
        assert_eq!(found(&two), expected.iter().take(2).cloned().collect::<Vec<_>>());
    }
    assert_eq!(found(&Filter { actor: some("nobody"), ..base() }), []);

    let before = size(&node);
    let reader = node.again(&otto);
    let said = "actor=scribe".to_owned();
    ledger::search(node.context(), &reader, cases[1].0.clone(), said).await.expect("operators read");
    assert_eq!(size(&node), before + 1, "that it was read is on record");
    ledger::entry(node.context(), &reader, before).await.expect("operators read");
    assert_eq!(code(ledger::entry(node.context(), &reader, 1_000_000).await), "NOT_FOUND");
}

#[tokio::test]
async fn a_stranger_needs_the_verifier_key_and_nothing_else() {
    let (node, _) = busy().await;
    // What `ledger vkey` prints is all that the stranger has.
    let vkey: NoteKey = node.context().store.head_key().to_string().parse().expect("a verifier key");
    for seq in 0..size(&node) {
        let proof = ledger::proof_of(node.context(), seq).expect("it can be proved");
        let entry = proof.entry;
        let verified = verify_offline(proof.text.as_bytes(), &entry.leaf, &vkey, vkey.name()).expect("it verifies");
        assert_eq!((verified.seq, verified.leaf.time), (seq, entry.time));
        let salt = Salt(entry.salt.expect("it has one").try_into().expect("32 bytes"));
        let body = verified.body(&salt, &entry.body.expect("it has one")).expect("its body");
        assert_eq!((body.subject, verified.leaf.kind), (entry.subject, entry.kind));
        let other = ledger::proof_of(node.context(), (seq + 1) % size(&node)).expect("it can be proved");
        verify_offline(other.text.as_bytes(), &entry.leaf, &vkey, vkey.name()).expect_err("another entry's proof");
    }
    assert_eq!(code(ledger::proof_of(node.context(), size(&node))), "NOT_FOUND");
}

#[tokio::test]
async fn every_beginning_is_a_beginning() {
    let (node, _) = busy().await;
    let to = size(&node);
    let (head, _) = ledger::head(node.context()).expect("there is one");
    for from in 0..=to {
        let (first, last, path) = ledger::consistency(node.context(), from, to).expect("it can be proved");
        assert_eq!(last, head.root);
        verify_consistency(from, to, &first, &last, &path).expect("it verifies");
        if from > 0 && from < to {
            verify_consistency(from, to, &last, &last, &path).expect_err("another root is no beginning");
        }
    }
    assert_eq!(code(ledger::consistency(node.context(), 2, 1)), "INVALID_REQUEST");
    assert_eq!(code(ledger::consistency(node.context(), 0, to + 1)), "INVALID_REQUEST");
    let kept = node.kept_head();
    let otto = node.person("more", &[Role::Operator]).await;
    node.again(&otto);
    let report = node.audit_against(true, &[kept]);
    assert_eq!((report.anchored_size, report.is_consistent()), (to, true));
}
