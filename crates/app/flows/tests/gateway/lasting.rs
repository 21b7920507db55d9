//! Calls that last: longer than their caller waits, or longer than the node lives.

use std::time::Duration;

use steward_app_actions::Status;
use steward_app_flows::runs::Called;
use steward_permit::Tier;

use crate::{
    common::{READ, effects, end, node, page, reading, run, unknown, verdict, wiki},
    server::{Reply, Server, soon},
};

/// Long enough for what is known to come.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_call_that_takes_longer_is_asked_for_by_its_ticket() {
    let (node, olivia) = node().await;
    node.agent("other", Tier::T1).await;
    let server = Server::start(|_, _, _| Reply::Held("a page".to_owned()));
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    let (second, other) = run(&node, &olivia, "other", &["tool.call:**"]).await;
    let runner = node.runner();
    let called = runner.call(&id, None, READ, page("a"), Duration::ZERO).await.expect("it is live");
    let Called::Pending(ticket) = called else { panic!("nobody answered it: {called:?}") };
    server.called(1).await;
    // Not another's; not one that nobody has; and not yet.
    for (run, ticket) in [(&second, ticket), (&id, ticket + 1)] {
        let error = runner.await_result(run, ticket, Duration::ZERO).await.expect_err("none");
        assert_eq!(error.code, "NOT_FOUND");
    }
    let still = runner.await_result(&id, ticket, Duration::ZERO).await.expect("it is live");
    assert!(matches!(still, Called::Pending(same) if same == ticket), "{still:?}");
    // One who waits, and hangs up before the answer comes: it is not lost with them.
    {
        let mut waits = std::pin::pin!(runner.await_result(&id, ticket, LONG));
        assert!(std::future::poll_fn(|at| std::task::Poll::Ready(waits.as_mut().poll(at).is_pending())).await);
    }
    server.open(1);
    // Nor with one whose connection was cut when it had just been handed out.
    for _ in 0..2 {
        let done = soon("an answer", runner.await_result(&id, ticket, LONG)).await.expect("it is live");
        let Called::Done(answered) = done else { panic!("it was answered: {done:?}") };
        assert_eq!(answered.outcome.expect("it was done")["tool_result"]["content"][0]["text"], "a page");
    }
    assert_eq!(server.calls().len(), 1);
    end(&node, &id, &agent).await;
    end(&node, &second, &other).await;
}

#[tokio::test]
async fn what_was_under_way_when_the_node_died_is_not_known_and_not_sent_twice() {
    let (mut node, olivia) = node().await;
    let server = Server::start(|_, _, _| Reply::Held("a page".to_owned()));
    wiki(&node, &server).await;
    let (id, mut agent) = reading(&node, &olivia).await;
    agent.ask(READ, page("a")).await;
    server.called(1).await;
    node.kill();
    node.revive().await.expect("it starts");
    agent.exit(0);
    node.ended(&id).await;
    assert_eq!(verdict(&node, &id).1, "INTERRUPTED");
    assert_eq!(effects(&node, &id)[0].status, Status::Unknown);
    let left = unknown(&node).await;
    assert_eq!((left.len(), left[0].1.as_str()), (1, "OUTCOME_UNKNOWN"));
    node.restart().await;
    assert_eq!(server.calls().len(), 1, "nothing is sent twice");
    // What was pinned and allowed is so still.
    let (id, mut agent) = reading(&node, &olivia).await;
    let number = agent.ask(READ, page("b")).await;
    server.called(2).await;
    server.open(2);
    assert_eq!(agent.answer(number).await.expect("an answer")["result"]["status"], "succeeded");
    end(&node, &id, &agent).await;
}
