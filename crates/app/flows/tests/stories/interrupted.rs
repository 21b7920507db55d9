//! A node that died in the middle of a write: each row of the table in `steward_app_actions::settle_interrupted`.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use steward_app_actions::Status;
use steward_app_node::Caller;
use steward_ledger::kind;
use steward_naming::ActionId;
use steward_permit::ResourceKind;
use steward_seal::Digest;
use steward_store::Row;
use steward_testkit::TestNode;

use crate::{code, desk, effect, entries, until_recorded};

const TEXT: &[u8] = b"what was permitted";

/// An effect as it was on record when the node died.
async fn on_record(node: &TestNode, status: &str) -> ActionId {
    let context = node.context();
    let id = ActionId::new(node.now(), node.dice());
    let caller = Caller::node(node.namespace());
    let action = context.action("effect.settle", ResourceKind::Node, id.as_str()).expect("an action");
    let granted = context.permit(&caller, action, None).await.expect("the node may");
    let row = Row::put("effect")
        .text("namespace", node.namespace().as_str())
        .text("id", id.as_str())
        .text("agent", "scribe.acme.internal")
        .text("action", "fs.write")
        .text("resource", "/reports/a.md")
        .text("arguments", Digest::of(TEXT).to_string())
        .text("status", status)
        .text("intended_at", node.now().to_string());
    let change = context.change(&caller, granted, kind::ACTION_INTENDED, id.as_str()).row(row);
    context.commit(change).await.expect("it commits");
    id
}

fn put(node: &TestNode, place: &str, content: &[u8]) {
    let path = node.home().agents().join("acme.internal/scribe").join(place);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("it can be made");
    fs::write(&path, content).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it can be set");
}

/// The node dies with an effect at `status`, with these bytes staged and these published, and is started again.
async fn died(status: &str, staged: Option<&[u8]>, published: Option<&[u8]>) -> (TestNode, ActionId) {
    let (mut node, _) = desk().await;
    let id = on_record(&node, status).await;
    if let Some(bytes) = staged {
        put(&node, &format!("staging/{id}"), bytes);
    }
    if let Some(bytes) = published {
        put(&node, "files/reports/a.md", bytes);
    }
    node.kill();
    node.revive().await.expect("it starts");
    (node, id)
}

#[tokio::test]
async fn what_was_only_intended_did_not_happen() {
    for staged in [None, Some(TEXT), Some(&TEXT[..4])] {
        let (node, id) = died("intended", staged, None).await;
        assert_eq!(node.opened().settled.effects, [(id.clone(), Status::Failed)]);
        assert_eq!(effect(&node, &id).error.expect("it says why").0, "INTERRUPTED");
        assert_eq!(node.file("scribe", "/reports/a.md"), None);
        assert_eq!(node.context().folders.staged().expect("it can be listed"), []);
    }
}

#[tokio::test]
async fn what_is_still_staged_was_not_published() {
    let (node, id) = died("publishing", Some(TEXT), Some(b"what was there before")).await;
    assert_eq!(node.opened().settled.effects, [(id.clone(), Status::Failed)]);
    assert_eq!(effect(&node, &id).error.expect("it says why").0, "INTERRUPTED");
    assert_eq!(node.file("scribe", "/reports/a.md").as_deref(), Some(b"what was there before".as_slice()));
}

#[tokio::test]
async fn what_is_at_its_path_and_not_staged_happened() {
    let (mut node, id) = died("publishing", None, Some(TEXT)).await;
    assert_eq!(node.opened().settled.effects, [(id.clone(), Status::Succeeded)]);
    let effect = effect(&node, &id);
    assert_eq!((effect.error, effect.written), (None, Some((Digest::of(TEXT), TEXT.len() as u64))));
    // Doing it twice changes nothing.
    node.restart().await;
    assert_eq!(node.opened().settled.effects, []);
    assert_eq!(entries(&node, kind::ACTION_SETTLED).len(), 1);
}

#[tokio::test]
async fn what_is_neither_here_nor_there_waits_for_a_person() {
    for published in [None, Some(b"something else".as_slice())] {
        let (mut node, id) = died("publishing", None, published).await;
        assert_eq!(node.opened().settled.effects, [(id.clone(), Status::Unknown)]);
        assert_eq!(effect(&node, &id).error.expect("it says why").0, "OUTCOME_UNKNOWN");
        assert_eq!(node.file("scribe", "/reports/a.md").as_deref(), published, "nothing is dispatched again");
        node.restart().await;
        assert_eq!(effect(&node, &id).status, Status::Unknown, "a restart does not make it known");
        assert!(node.audit(true).is_consistent());
        node.expect_damage(); // of an effect nobody knows what became: that is the story
    }
}

#[tokio::test]
async fn staged_bytes_that_nobody_claims_are_removed() {
    let (mut node, _) = desk().await;
    let orphan = ActionId::new(node.now(), node.dice());
    put(&node, &format!("staging/{orphan}"), TEXT);
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!((node.opened().settled.orphans, node.opened().settled.effects.len()), (1, 0));
}

#[tokio::test]
async fn a_write_whose_node_dies_after_the_first_commit() {
    let (mut node, otto) = desk().await;
    let before = entries(&node, kind::NODE_STARTED).len();
    {
        let mut act = std::pin::pin!(node.act(&otto, "scribe", "fs.write", "/reports/a.md", TEXT));
        until_recorded(&node, kind::ACTION_INTENDED, act.as_mut()).await;
    }
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!(node.opened().settled.effects.len(), 1);
    assert_eq!((entries(&node, kind::NODE_STARTED).len(), entries(&node, kind::NODE_STOPPED).len()), (before + 1, 0));
    assert_eq!(node.file("scribe", "/reports/a.md"), None);
    node.act(&otto, "scribe", "fs.write", "/reports/a.md", TEXT).await.expect("asked again, it is done");
    assert_eq!(code(node.act(&otto, "nobody", "fs.write", "/reports/a.md", TEXT).await), "NOT_FOUND");
}
