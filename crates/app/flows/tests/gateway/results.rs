//! What servers answer: too much, failures, garbage, nothing, or their death.

use serde_json::json;
use steward_app_actions::Status;
use steward_ledger::kind;

use crate::{
    common::{READ, call, effects, end, entries, node, page, read, reading, unknown, verdict, wiki},
    server::{Reply, Server},
};

#[tokio::test]
async fn a_result_that_is_too_large_is_cut() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, _, _| Reply::Text("x".repeat(1 << 20)));
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    let said = agent.call(READ, page("a")).await;
    let result = &said["result"]["tool_result"];
    assert_eq!((&said["result"]["status"], &result["truncated"]), (&json!("succeeded"), &json!(true)));
    assert_eq!(result["content"][0]["text"].as_str().map(str::len), Some(256 << 10));
    assert_eq!(entries(&node, kind::ACTION_SETTLED)[0].detail["truncated"], true);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_tool_that_fails_says_so_and_that_costs_nothing() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, _, _| Reply::Failed("no such page".to_owned()));
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    for _ in 0..3 {
        let said = agent.call(READ, page("a")).await;
        assert_eq!((&said["ok"], &said["result"]["tool_result"]["isError"]), (&json!(true), &json!(true)), "{said}");
        assert_eq!(said["result"]["tool_result"]["content"][0]["text"], "no such page");
    }
    assert_eq!(node.run(&id).state.spent.total, 0);
    assert_eq!(entries(&node, kind::ACTION_SETTLED)[0].detail["tool_error"], true);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_call_that_its_server_refuses_failed_and_is_known_to_have() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, _, _| Reply::Refused("no such page".to_owned()));
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    let said = call(&node, &id, None, READ, page("a")).await.expect("it was done");
    assert_eq!((&said["status"], &said["error"]["code"]), (&json!("failed"), &json!("TOOL_ERROR")), "{said}");
    assert_eq!(effects(&node, &id)[0].status, Status::Failed);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn of_garbage_nobody_knows_what_it_means() {
    let (node, olivia) = node().await;
    let shape = r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":"not a list","isError":false}}"#;
    for reply in [Reply::Raw("<html>".to_owned()), Reply::Raw(shape.to_owned()), Reply::Endless] {
        let server = Server::start(move |_, _, _| reply.clone());
        wiki(&node, &server).await;
        let (id, agent) = reading(&node, &olivia).await;
        let said = call(&node, &id, None, READ, page("a")).await.expect("it was done");
        assert_eq!(said["status"], "unknown", "{said}");
        assert_eq!(server.calls().len(), 1, "it is not asked again");
        assert_eq!(unknown(&node).await.len(), 1);
        end(&node, &id, &agent).await;
        node.runner().gateway.remove(&node.admin().await, "wiki").await.expect("removed");
    }
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_leaves_a_question_for_a_person() {
    let (node, olivia) = node().await;
    let mut server = Server::start(|_, _, _| Reply::Held("a page".to_owned()));
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    let number = agent.ask(READ, page("a")).await;
    server.called(1).await;
    server.die();
    let said = agent.answer(number).await.expect("an answer");
    assert_eq!(said["result"]["status"], "unknown", "{said}");
    assert_eq!(said["result"]["error"]["code"], "TOOL_SERVER_UNAVAILABLE");
    // Now that it is gone, nothing is sent: that is known to have failed, and costs the agent nothing.
    let spent = node.run(&id).state.spent;
    let after = &agent.call(READ, page("a")).await["result"];
    assert_eq!((&after["status"], &after["error"]["code"]), (&json!("failed"), &json!("TOOL_SERVER_UNAVAILABLE")));
    assert_eq!(node.run(&id).state.spent, spent);
    let left = unknown(&node).await;
    assert_eq!((left.len(), left[0].1.as_str()), (1, "TOOL_SERVER_UNAVAILABLE"));
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_run_that_is_stopped_takes_its_calls_with_it() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, arguments, _| match arguments["id"].as_str() {
        Some("slow") => Reply::Held("a page".to_owned()),
        _ => Reply::Text("a page".to_owned()),
    });
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    assert_eq!(read(&mut agent).await, "a page");
    agent.ask(READ, page("slow")).await;
    server.called(2).await;
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    node.ended(&id).await;
    assert_eq!(verdict(&node, &id).1, "STOPPED");
    server.given_up(1).await;
    let left = unknown(&node).await;
    assert_eq!((left.len(), left[0].1.as_str()), (1, "OUTCOME_UNKNOWN"));
    assert!(agent.is_over());
}
