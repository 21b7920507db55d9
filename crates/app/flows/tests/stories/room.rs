//! A node whose store has no room left.

use steward_app_actions::rows;
use steward_permit::{Role, Tier};
use steward_testkit::TestNode;

#[tokio::test]
async fn a_full_store_refuses_clearly_and_goes_on_when_there_is_room() {
    let mut node = TestNode::builder().max_store_bytes(512 << 10).start().await;
    let otto = node.person("otto", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    let mut written = 0_u32;
    let error = loop {
        match node.act(&otto, "scribe", "fs.write", &format!("/reports/{written}.md"), b"x").await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code, "STORE_FULL", "{error}");
    assert!(written > 3, "{written}");
    assert!(node.audit(true).is_consistent(), "what is there is whole");
    node.kill();
    node.limit_store(None);
    node.revive().await.expect("it starts");
    let unsettled = node.context().store.read(rows::unsettled).expect("it reads");
    assert_eq!(unsettled, (0, 0), "what was on its way is settled");
    for n in 0..written {
        assert!(node.file("scribe", &format!("/reports/{n}.md")).is_some(), "{n} was acknowledged");
    }
    node.act(&otto, "scribe", "fs.write", "/reports/more.md", b"x").await.expect("there is room");
}
