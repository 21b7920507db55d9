//! Retention by kind: what entries say that are older is erased, every proof stands, and what something still needs is kept (LED-5).

use std::fs;

use serde_json::{Value, json};
use steward_app_entries::{self as ledger, retention, rows};
use steward_app_flows::{Tended, tend};
use steward_app_node::Error;
use steward_ledger::kind;
use steward_permit::{Role, Tier};
use steward_testkit::{Known, TestNode};

use crate::{entries, size};

/// Something that stands in a body and nowhere else: what was asked for and refused.
const NEEDLE: &str = "/etc/secret-of-mrs-miller-born-1961";

const DAY_MS: i64 = 86_400_000;

/// A node that keeps refusals for 30 days and reads of the audit for 7, and on which both happened.
async fn keeping() -> (TestNode, Known) {
    let node = TestNode::builder().keeps(&["action.refused=30", "ledger.read=7"]).start().await;
    let otto = node.person("otto", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    node.act(&otto, "scribe", "fs.write", NEEDLE, b"x").await.expect_err("refused");
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("allowed");
    let admin = node.admin().await;
    ledger::search(node.context(), &admin, ledger::Filter { limit: 5, ..Default::default() }, "all".to_owned())
        .await
        .expect("allowed");
    (node, otto)
}

/// Whether the needle stands in any file of the node's store.
fn is_there(node: &TestNode) -> bool {
    let holds = |bytes: Vec<u8>| bytes.windows(NEEDLE.len()).any(|window| window == NEEDLE.as_bytes());
    let files = fs::read_dir(node.home().store().parent().expect("a folder")).expect("it reads");
    files.filter_map(|file| fs::read(file.expect("it reads").path()).ok()).any(holds)
}

fn whole(node: &TestNode, kind: &str) -> usize {
    entries(node, kind).iter().filter(|entry| entry.body.is_some()).count()
}

async fn round(node: &TestNode, tended: &mut Tended) -> Result<(), Error> {
    tend(node.runner(), &node.home().policies(), tended).await
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_erased_from_every_file_and_every_proof_stands() {
    let (node, _) = keeping().await;
    let refused = entries(&node, kind::ACTION_REFUSED)[0].seq;
    let head = node.kept_head();
    assert!(is_there(&node), "the search finds it before");
    let mut tended = Tended::default();
    round(&node, &mut tended).await.expect("a round");
    assert!(is_there(&node) && entries(&node, kind::LEDGER_SWEPT).is_empty(), "nothing is old");

    // A day before it is due, and a day after.
    node.clock().advance_ms(29 * DAY_MS);
    let reads = whole(&node, kind::LEDGER_READ);
    assert!(reads > 0);
    round(&node, &mut tended).await.expect("a round");
    assert!(is_there(&node));
    assert_eq!(whole(&node, kind::LEDGER_READ), 0, "those are kept for a week");
    node.clock().advance_ms(2 * DAY_MS);
    round(&node, &mut tended).await.expect("a round");
    assert!(!is_there(&node), "it stands in no file");

    // Who erased it is on record: the node, by which rule, what, and what is left of it.
    let sweeps = entries(&node, kind::LEDGER_SWEPT);
    let last = sweeps.last().expect("a sweep");
    let body: Value = serde_json::from_slice(last.body.as_deref().expect("it says")).expect("JSON");
    assert_eq!(body["detail"]["erased"][0]["entry"], refused.to_string());
    assert_eq!(body["detail"]["erased"][0]["left"]["decision"], "deny");
    assert_eq!((&body["detail"]["kept_days"], &body["actor"]["kind"]), (&Value::from(30), &Value::from("node")));
    assert_eq!(last.subject, kind::ACTION_REFUSED);
    let by = node.context().store.read(|reader| rows::redaction(reader, refused)).expect("it reads");
    assert_eq!(by, Some(last.seq));
    // Rows, proofs, and the head that was kept before it.
    let report = node.audit_against(true, &[head]);
    assert!(report.is_consistent(), "{:?}", report.findings());
    assert_eq!(report.sweeps.len(), sweeps.len());
    assert_eq!(report.erased as usize, report.redactions.len(), "none is missing");
    let admin = node.admin().await;
    let proof = ledger::proof(node.context(), &admin, refused).await.expect("allowed");
    assert!(proof.entry.body.is_none() && proof.entry.salt.is_none());

    // Again, it does nothing; and a sweep is no thing to be erased.
    let before = size(&node);
    let rules = node.runner().retention.clone();
    assert_eq!(retention::sweep(node.context(), &rules).await.expect("it sweeps"), retention::Swept::default());
    assert_eq!(size(&node), before);
    let refused = ledger::redact(node.context(), &admin, last.seq, "x").await.expect_err("it is needed");
    assert_eq!(refused.code, "CANNOT_REDACT");
}

fn packet() -> Value {
    json!({
        "agent_id": "scribe",
        "task_id": "weekly",
        "created_for": "otto",
        "objective": "Say what happened this week.",
        "deliverables": ["/reports/week.md"],
        "constraints": {"scope": ["fs.write:/reports/**"], "forbidden": [], "required_steps": []},
        "success_criteria": [{"kind": "artifact", "path": "/reports/week.md", "contains": "Nothing burned"}],
        "error_budget": {},
        "escalation_rules": [],
        "created_at": "2026-11-20T09:00:00.000Z",
    })
}

#[tokio::test]
async fn what_is_under_way_is_kept_until_it_is_over() {
    let node = TestNode::builder().keeps(&["*=1"]).start().await;
    let otto = node.person("otto", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    let run = node.start_run(&otto, "scribe", &packet()).await.expect("it starts");
    let agent = node.next_agent().await;
    let trace = run.trace.clone();
    let of_run = || -> usize {
        let read = node.context().store.read(|reader| reader.entries("WHERE trace = ?1", &[&trace.as_str()]));
        read.expect("it reads").iter().filter(|entry| entry.body.is_some()).count()
    };
    let all = of_run();
    assert!(all > 0);
    node.clock().advance_ms(3 * DAY_MS);
    let rules = node.runner().retention.clone();
    let swept = retention::sweep(node.context(), &rules).await.expect("it sweeps");
    assert!(swept.entries > 0, "what is over went");
    assert_eq!(of_run(), all, "and nothing of the run");
    let admin = node.admin().await;
    let report = retention::look(node.context(), &admin, &rules).await.expect("allowed");
    let started = report.iter().find(|kind| kind.kind == kind::RUN_STARTED).expect("every kind");
    assert_eq!((started.whole, started.due, started.needed, started.days), (1, 0, 1, Some(1)));
    // What is needed for ever, whatever the rules say.
    let kept = report.iter().find(|kind| kind.kind == kind::KEY_CREATED).expect("every kind");
    assert_eq!((kept.days, kept.due, kept.erased), (None, 0, 0));
    assert!(kept.whole > 0);

    node.runner().stop(&node.again(&otto), run.id(), "enough").await.expect("allowed");
    drop(agent);
    node.ended(run.id()).await;
    node.clock().advance_ms(2 * DAY_MS);
    retention::sweep(node.context(), &rules).await.expect("it sweeps");
    assert_eq!(of_run(), 0);
    let report = node.audit(true);
    assert!(report.is_consistent(), "{:?}", report.findings());
}

#[tokio::test]
async fn who_may_not_read_the_record_does_not_learn_what_is_kept() {
    let (node, _) = keeping().await;
    let scribe = node.agent_key("scribe").await;
    let refused = retention::look(node.context(), &node.again(&scribe), &node.runner().retention).await;
    assert_eq!(refused.expect_err("agents do not").code, "NOT_PERMITTED");
}
