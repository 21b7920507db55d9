//! The background settles what was left behind, and leaves alone what somebody works on.

use std::{pin::pin, task::Poll};

use steward_app_actions::{Status, rows, settle_left_behind};
use steward_permit::{Role, Tier};
use steward_testkit::TestNode;

#[tokio::test]
async fn only_what_nobody_works_on_is_settled() {
    let node = TestNode::new().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    let open = || node.context().store.read(rows::open_effects).expect("effects can be read");
    {
        let mut acting = pin!(node.act(&olivia, "scribe", "fs.write", "/reports/a.md", b"text"));
        // One step: the intention is handed to the writer, and nobody goes on when it is on record.
        let step = std::future::poll_fn(|cx| Poll::Ready(acting.as_mut().poll(cx).is_pending())).await;
        assert!(step, "an action waits for its record");
        while open().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(settle_left_behind(node.context()).await.expect("it looks"), 0, "somebody works on it");
        assert_eq!(open().len(), 1);
    }
    // Whoever worked on it is gone, as if the store had failed them.
    let left = open();
    assert_eq!(settle_left_behind(node.context()).await.expect("it settles"), 1);
    let find = |reader: &steward_store::Reader<'_>| rows::effect(reader, node.namespace(), &left[0].id);
    let settled = node.context().store.read(find).expect("effects can be read").expect("it is there");
    assert_eq!(settled.status, Status::Failed);
    assert_eq!(settled.error.map(|(code, _)| code).as_deref(), Some("INTERRUPTED"));
    assert_eq!(node.file("scribe", "/reports/a.md"), None);
    assert_eq!(settle_left_behind(node.context()).await.expect("it looks"), 0, "doing it twice changes nothing");
}
