//! The journal of a call, and the secrets of servers: they reach the server, and nobody and nothing else.

use steward_app_actions::Status;
use steward_ledger::kind;
use steward_seal::{Digest, json::canonical};

use crate::{
    common::{KEY, READ, call, effects, end, entries, node, page, read, reading, wiki, wrote},
    server::{Reply, Server},
};

#[tokio::test]
async fn a_call_is_on_record_before_it_is_sent_and_after_it_was_answered() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, _, _| Reply::Held("Nothing burned.".to_owned()));
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    let number = agent.ask(READ, page("a")).await;
    server.called(1).await;
    // It is with the server: nobody can take it back, and that is on record.
    let under_way = effects(&node, &id);
    assert_eq!(under_way.len(), 1);
    assert_eq!((under_way[0].status, under_way[0].resource.as_str()), (Status::Publishing, "wiki/read_page"));
    assert_eq!(under_way[0].arguments, Digest::of(&canonical(&page("a")).expect("JSON")));
    let intended = entries(&node, kind::ACTION_INTENDED).pop().expect("on record");
    let decision = intended.decision.expect("it was decided");
    assert_eq!((decision.action.as_str(), decision.arguments), ("tool.call", Some(under_way[0].arguments)));
    assert_eq!((intended.actor.name.as_str(), &decision.id), ("reader.acme.internal", &under_way[0].id));
    assert_eq!(entries(&node, kind::ACTION_SETTLED).len(), 0);

    server.open(1);
    let said = agent.answer(number).await.expect("an answer");
    let given = serde_json::to_vec(&said["result"]["tool_result"]).expect("JSON");
    let done = effects(&node, &id);
    assert_eq!((done[0].status, done[0].written), (Status::Succeeded, Some((Digest::of(&given), given.len() as u64))));
    assert_eq!(said["result"]["digest"], Digest::of(&given).to_string());
    let settled = entries(&node, kind::ACTION_SETTLED).pop().expect("on record");
    assert_eq!((settled.subject.as_str(), settled.outcome.map(|o| o.success)), (done[0].id.as_str(), Some(true)));
    end(&node, &id, &agent).await;
    assert!(!wrote(&node, "Nothing burned."), "what a tool says stands in no record but by its digest");
}

#[tokio::test]
async fn a_secret_reaches_its_server_and_nobody_else() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, arguments, key| match arguments["id"].as_str() {
        Some("echo") => Reply::Text(format!("you came with {key}, {KEY}, and \u{200b}{KEY}")),
        Some("fail") => Reply::Failed(format!("bad key {key}")),
        Some("refuse") => Reply::Refused(format!("bad key {key}")),
        _ => Reply::Raw(format!("<html>{key}")),
    });
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    for (what, scrubbed) in [("echo", true), ("fail", true), ("refuse", true), ("garbage", false)] {
        let said = call(&node, &id, None, READ, page(what)).await.expect("it was done").to_string();
        assert!(!said.contains(KEY) && said.contains("[secret]") == scrubbed, "{what}: {said}");
    }
    assert_eq!(server.keys(), [format!("Bearer {KEY}")], "each request of it had the key");
    assert_eq!(crate::common::unknown(&node).await.len(), 1, "of garbage nobody knows what it means");
    end(&node, &id, &agent).await;
    assert!(wrote(&node, "[secret]"), "the record is looked through");
    assert!(!wrote(&node, KEY), "the key stands in what the node wrote");
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_that_others_can_read_starts_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    assert_eq!(read(&mut agent).await, "a page");
    let file = node.home().secrets().join("wiki");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    let new = steward_app_tools::NewServer {
        name: "second".to_owned(),
        url: Some(server.url.clone()),
        secrets: [("authorization".to_owned(), "wiki".to_owned())].into(),
        ..Default::default()
    };
    let error = node.runner().gateway.add(&node.admin().await, &new).await.expect_err("refused");
    assert_eq!(error.code, "NO_SECRET");
    assert!(error.message.contains("chmod 600"), "{}", error.message);
    assert_eq!(entries(&node, kind::TOOL_SERVER_ADDED).len(), 1);
    end(&node, &id, &agent).await;
}
