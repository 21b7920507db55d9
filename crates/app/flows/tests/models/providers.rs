//! Providers that do not behave: each has a defined end, costs what it may have cost, and widens nothing.

use serde_json::json;

use crate::{
    common::{ask, calls, end, listen, model, node, question, run, settled, streamed},
    provider::{Provider, Reply, piece, said},
};

/// One whole answer that is none, with its end: the code, and whether it counts with all that it reserved.
async fn whole(reply: Reply, code: &str, counts: &str) {
    let (node, olivia) = node().await;
    let provider = Provider::start(move |_, _, _| reply.clone()).await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let error = ask(&node, &id, question("fast")).await.expect_err(code);
    assert_eq!(error.code, code, "{error}");
    settled(&node).await;
    let ended = calls(&node);
    assert_eq!((ended[0].0.as_str(), ended[0].3.as_deref()), (counts, Some(code)));
    // It is not the agent's doing.
    assert_eq!(node.run(&id).state.spent.total, 0);
    end(&node, &id, &agent).await;
}

/// One stream that does not come to its end.
async fn stream(reply: Reply, code: &str, before: &str) {
    let (node, olivia) = node().await;
    let provider = Provider::start(move |_, _, _| reply.clone()).await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let (text, error) = listen(&node, &id, streamed("fast")).await;
    assert_eq!(error.map(|e| e.code), Some(code));
    assert!(text.starts_with(before), "{text}");
    settled(&node).await;
    let ended = calls(&node);
    assert_eq!((ended[0].0.as_str(), ended[0].3.as_deref()), ("unsettled", Some(code)));
    assert_eq!(node.run(&id).state.spent.total, 0);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn slow() {
    whole(Reply::Silent, "MODEL_TIMEOUT", "unsettled").await;
    stream(Reply::Stuck(vec![piece("so ")]), "MODEL_TIMEOUT", "so ").await;
}

#[tokio::test]
async fn cut_off() {
    stream(Reply::Pieces(vec![piece("so ")]), "MODEL_CUT_OFF", "so ").await;
    // A proxy that did not wait for the end: the model may have answered.
    whole(Reply::Json(504, json!({})), "MODEL_CUT_OFF", "unsettled").await;
}

#[tokio::test]
async fn endless() {
    stream(Reply::Endless(piece("and so on ")), "MODEL_TOO_MUCH", "and so on ").await;
}

#[tokio::test]
async fn garbage() {
    whole(Reply::Text(200, "text/html", "<html>hello".to_owned()), "MODEL_GARBAGE", "unsettled").await;
    whole(Reply::Json(200, json!({"choices": "many"})), "MODEL_GARBAGE", "unsettled").await;
    let mut wrong = said("", 1, 1);
    wrong["choices"][0]["message"]["tool_calls"] = json!([{"id": "1", "type": "function", "function": {"name": 7}}]);
    whole(Reply::Json(200, wrong), "MODEL_GARBAGE", "unsettled").await;
    stream(Reply::Pieces(vec![piece("so "), "data: {\n\n".to_owned()]), "MODEL_GARBAGE", "so ").await;
}

#[tokio::test]
async fn turned_away() {
    let error = || json!({"error": {"message": "no"}});
    whole(Reply::Json(401, error()), "MODEL_REFUSED", "settled").await;
    whole(Reply::Json(400, error()), "MODEL_REJECTED", "settled").await;
    whole(Reply::Json(500, error()), "MODEL_UNAVAILABLE", "settled").await;
    whole(Reply::Text(302, "text/plain", String::new()), "MODEL_UNAVAILABLE", "settled").await;
}

#[tokio::test]
async fn a_provider_that_comes_to_itself_is_asked_again() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|n, _, _| match n {
        0 => Reply::Json(429, json!({"error": {"message": "slow down"}})),
        1 => Reply::Json(503, json!({})),
        _ => Reply::Json(200, said("at last", 1, 1)),
    })
    .await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let answer = ask(&node, &id, question("fast")).await.expect("an answer");
    assert_eq!(answer["choices"][0]["message"]["content"], "at last");
    assert_eq!((provider.count(), calls(&node).len()), (3, 1));
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_fallback_answers_in_its_place_and_a_breaker_opens() {
    let (node, olivia) = node().await;
    let broken = Provider::start(|_, _, _| Reply::Json(500, json!({}))).await;
    let good = Provider::saying("instead").await;
    model(&node, "spare", &good, |_| {}).await;
    model(&node, "fast", &broken, |new| new.fallback = Some("spare".to_owned())).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    for _ in 0..6 {
        let answer = ask(&node, &id, question("fast")).await.expect("an answer");
        assert_eq!(answer["choices"][0]["message"]["content"], "instead");
    }
    // Each is a call of its own, on record; once the breaker is open the broken one is left alone.
    let all = calls(&node);
    assert_eq!(all.len(), 12);
    assert!(all.iter().any(|call| call.3.as_deref() == Some("BREAKER_OPEN")), "{all:?}");
    assert!(node.runner().breakers().contains(&("fast".to_owned(), "open")), "{:?}", node.runner().breakers());
    assert!(broken.count() < 18);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_fallback_is_held_to_the_packet_too() {
    let (node, olivia) = node().await;
    let broken = Provider::start(|_, _, _| Reply::Json(500, json!({}))).await;
    let good = Provider::saying("instead").await;
    model(&node, "spare", &good, |_| {}).await;
    model(&node, "fast", &broken, |new| new.fallback = Some("spare".to_owned())).await;
    let (id, agent) = run(&node, &olivia, &["model.call:fast"]).await;
    for _ in 0..2 {
        // What failed is told, and nothing of it is charged: the agent asked for the other.
        assert_eq!(ask(&node, &id, question("fast")).await.expect_err("refused").code, "MODEL_UNAVAILABLE");
    }
    assert_eq!((good.count(), node.run(&id).state.spent.total), (0, 0));
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_counted_in_full() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|_, _, _| Reply::Stuck(vec![piece("so ")])).await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let asking = steward_app_flows::runs::Asking::Run(id.clone(), None);
    let said = node.runner().chat(asking, streamed("fast")).await.expect("it begins");
    drop(said);
    settled(&node).await;
    assert_eq!(calls(&node)[0].0, "unsettled");
    end(&node, &id, &agent).await;
}
