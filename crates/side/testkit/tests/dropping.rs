//! That dropping a test node really asserts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use steward_naming::ActionId;
use steward_permit::{Role, Tier};
use steward_testkit::TestNode;

/// Whether dropping it panics, and with what.
fn complaint(node: TestNode) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(move || drop(node)));
    outcome.err().map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast::<&str>().map(|text| (*text).to_owned()).unwrap_or_default(),
    })
}

async fn busy() -> TestNode {
    let mut node = TestNode::new().await;
    let otto = node.person("otto", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", b"text").await.expect("it is allowed");
    node.act(&otto, "scribe", "fs.write", "/etc/passwd", b"text").await.expect_err("it is refused");
    assert_eq!(node.file("scribe", "/reports/a.md").as_deref(), Some(b"text".as_slice()));
    node.restart().await;
    node.act(&otto, "scribe", "fs.write", "/reports/b.md", b"more").await.expect("it is allowed");
    node
}

fn damage(node: &TestNode, sql: &str) {
    let store = rusqlite::Connection::open(node.home().store()).expect("it opens");
    assert_eq!(store.execute(sql, []).expect("it runs"), 1, "{sql}");
}

#[tokio::test]
async fn a_node_in_order_is_dropped_in_silence() {
    assert_eq!(complaint(busy().await), None);
}

#[tokio::test]
async fn a_damaged_store_is_noticed() {
    for sql in [
        "UPDATE person SET roles = 'admin' WHERE name = 'otto'",
        "UPDATE ledger_entry SET actor = 'nobody' WHERE seq = 3",
        "DELETE FROM ledger_entry WHERE seq = (SELECT max(seq) FROM ledger_entry)",
    ] {
        let node = busy().await;
        damage(&node, sql);
        let complaint = complaint(node).expect("it is noticed");
        assert!(complaint.contains("does not verify"), "{sql}: {complaint}");
    }
}

#[tokio::test]
async fn what_is_left_over_is_noticed() {
    let node = busy().await;
    let staging = node.home().agents().join("acme.internal/scribe/staging");
    let id = ActionId::new(node.now(), node.dice());
    std::fs::write(staging.join(id.as_str()), b"left").expect("it can be written");
    let complaint = complaint(node).expect("it is noticed");
    assert!(complaint.contains("still staged"), "{complaint}");
}

#[tokio::test]
async fn damage_that_is_expected_is_passed_over() {
    let mut node = busy().await;
    damage(&node, "UPDATE person SET roles = 'admin' WHERE name = 'otto'");
    node.expect_damage();
    assert_eq!(node.audit(true).finding_count(), 1);
    assert_eq!(complaint(node), None);
}
