//! ASI08: floods, and what has no end.

use std::time::Duration;

use serde_json::json;
use steward_app_flows::runs::Called;
use steward_ledger::kind;
use steward_permit::Tier;

use crate::{
    common::{READ, call, effects, end, entries, node, of_reader, page, read, reading, refusals, run, unknown, wiki},
    server::{Reply, Server, soon},
};

/// How many calls an agent may make in a moment.
const BURST: usize = 200;

#[tokio::test]
async fn asi08_an_agent_floods_a_server() {
    let (node, olivia) = node().await;
    node.agent("other", Tier::T1).await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    let (second, mut other) = run(&node, &olivia, "other", &["tool.call:**"]).await;
    let mut refused = 0;
    for _ in 0..BURST + 5 {
        let said = agent.call(READ, page("a")).await;
        refused += usize::from(said["error"]["code"] == "RATE_LIMITED");
    }
    assert_eq!((refused, server.calls().len()), (5, BURST));
    assert_eq!(entries(&node, kind::ACTION_INTENDED).len(), BURST, "no more stands in the record");
    assert_eq!(node.run(&id).state.spent.total, 0);
    // The twins: another's run, and the same a second later.
    assert_eq!(read(&mut other).await, "a page");
    node.clock().advance_ms(1_000);
    assert_eq!(read(&mut agent).await, "a page");
    end(&node, &id, &agent).await;
    end(&node, &second, &other).await;
}

#[tokio::test]
async fn asi08_an_agent_hangs_up_on_calls_without_end() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, _, _| Reply::Held("a page".to_owned()));
    wiki(&node, &server).await;
    node.agent("other", Tier::T1).await;
    let (id, agent) = reading(&node, &olivia).await;
    let (second, mut other) = run(&node, &olivia, "other", &["tool.call:**"]).await;
    let mut tickets = Vec::new();
    for _ in 0..32 {
        let called = node.runner().call(&id, None, READ, page("a"), Duration::ZERO).await.expect("it is live");
        let Called::Pending(ticket) = called else { panic!("nobody answered: {called:?}") };
        tickets.push(ticket);
    }
    let error = node.runner().call(&id, None, READ, page("b"), Duration::ZERO).await.expect_err("too many");
    assert_eq!(error.code, "RATE_LIMITED");
    // What is under way keeps nobody else from the server; what waits was neither decided nor sent.
    server.called(8).await;
    let number = other.ask(READ, page("other")).await;
    server.called(9).await;
    assert_eq!(entries(&node, kind::ACTION_INTENDED).len(), 9);
    server.open(33);
    assert_eq!(other.answer(number).await.expect("an answer")["result"]["status"], "succeeded");
    for ticket in tickets {
        let done = soon("an answer", node.runner().await_result(&id, ticket, Duration::from_secs(60))).await;
        assert!(matches!(done, Ok(Called::Done(_))), "{done:?}");
    }
    // What was refused was not done either.
    assert_eq!(entries(&node, kind::ACTION_INTENDED).len(), 33);
    assert!(server.calls().iter().all(|(_, arguments)| *arguments != page("b")));
    server.open(1);
    call(&node, &id, None, READ, page("c")).await.expect("the twin: there is room again");
    // A run that is stopped gives up what it holds.
    node.runner().call(&id, None, READ, page("d"), Duration::ZERO).await.expect("it is live");
    server.called(35).await;
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    node.ended(&id).await;
    server.given_up(1).await;
    assert!(agent.is_over());
    assert_eq!(unknown(&node).await.len(), 1);
    end(&node, &second, &other).await;
}

#[tokio::test]
async fn asi08_a_result_has_no_end() {
    let (node, olivia) = node().await;
    let server = Server::start(|_, arguments, _| match arguments["id"].as_str() {
        Some("endless") => Reply::Endless,
        _ => Reply::Text("a page".to_owned()),
    });
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    let said = agent.call(READ, page("endless")).await;
    assert_eq!(
        (&said["result"]["status"], &said["result"]["error"]["code"]),
        (&json!("unknown"), &json!("TOOL_GARBAGE"))
    );
    let settled = entries(&node, kind::ACTION_SETTLED).pop().expect("on record");
    assert_eq!(settled.outcome.and_then(|outcome| outcome.error_type).as_deref(), Some("TOOL_GARBAGE"));
    assert_eq!(unknown(&node).await.len(), 1);
    assert_eq!(read(&mut agent).await, "a page", "the twin");
    assert_eq!(effects(&node, &id).len(), 2);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn asi08_refusals_fill_the_record() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    for n in 0..15 {
        agent.refused("tool.call", json!({"resource": format!("wiki/{n}")})).await;
    }
    assert_eq!(refusals(&node), [of_reader("tool.call", "wiki/0", "NOT_PERMITTED")], "one, and the rest is counted");
    assert_eq!(node.run(&id).state.spent.total, 15, "each costs the agent all the same");
    assert_eq!(read(&mut agent).await, "a page", "the twin");
    end(&node, &id, &agent).await;
}
