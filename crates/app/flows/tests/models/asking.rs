//! Agents that ask: who may, what is on record, and that a provider's key never leaves the node.

use std::{pin::pin, task::Poll};

use serde_json::json;
use steward_app_flows::runs::{Asking, Said};
use steward_app_node::{
    Kind,
    rows::{ReviewFilter, reviews},
};
use steward_ledger::kind;
use steward_permit::{Role, Tier};

use crate::{
    common::{KEY, ask, calls, end, entries, everything, listen, model, node, question, run, settled, streamed},
    provider::{Provider, Reply, last, piece, said},
};

#[tokio::test]
async fn an_answer_is_on_record_with_what_it_used() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|_, asked, headers| {
        assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
        assert!(headers["idempotency-key"].to_str().expect("text").starts_with("act_"));
        assert_eq!((asked["model"].as_str(), asked["max_tokens"].as_u64()), (Some("upstream-model"), Some(50)));
        Reply::Json(200, said("hello", 10, 5))
    })
    .await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let answer = ask(&node, &id, question("fast")).await.expect("an answer");
    assert_eq!((&answer["model"], &answer["choices"][0]["message"]["content"]), (&json!("fast"), &json!("hello")));
    // 10 at a millionth each, and 5 at two.
    assert_eq!(calls(&node), [("settled".to_owned(), 15, 20, None)]);
    let kinds = entries(&node, kind::ACTION_SETTLED);
    assert_eq!(kinds.len(), 1);
    assert_eq!(kinds[0].detail["tokens"], "15");
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_stream_is_passed_on_piece_by_piece_and_counted() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|_, asked, _| {
        assert_eq!(asked["stream_options"]["include_usage"], true);
        Reply::Pieces(vec![piece("hel"), piece("lo"), last(7, 3)])
    })
    .await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:fast"]).await;
    let (text, error) = listen(&node, &id, streamed("fast")).await;
    assert_eq!((text.as_str(), error.map(|e| e.code)), ("hello", None));
    settled(&node).await;
    assert_eq!(calls(&node), [("settled".to_owned(), 10, 13, None)]);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn who_is_held_asks_no_model_before_a_person_looked_and_pays_nothing_for_waiting() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    model(&node, "fast", &provider, |_| {}).await;
    let mut packet = crate::common::packet(&["model.call:*"]);
    packet["escalation_rules"] = json!([{"when": "first_error", "then": "review"}]);
    let id = node.start_run(&olivia, "thinker", &packet).await.expect("it starts").id().clone();
    let mut agent = node.next_agent().await;
    agent.begin().await;
    agent.call("report_problem", json!({"message": "the source is gone"})).await;
    let rita = node.person("rita", &[Role::Reviewer]).await;
    let mut asked = pin!(ask(&node, &id, question("fast")));
    let review = loop {
        let polled = std::future::poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx))).await;
        assert!(polled.is_pending(), "a person looks first");
        tokio::task::yield_now().await;
        let filter = ReviewFilter { limit: 1, ..ReviewFilter::default() };
        let rows = node.context().store.read(|reader| reviews(reader, &filter)).expect("it reads");
        if let Some(row) = rows.first() {
            break row.review.id.clone();
        }
    };
    let spent = || (calls(&node).len(), provider.count(), node.run(&id).state.spent.total);
    assert_eq!(spent(), (0, 0, 1), "nothing is sent, and nothing charged");
    steward_app_flows::reviews::approve(node.runner(), &node.again(&rita), &review, "go on").await.expect("approved");
    asked.await.expect("an answer");
    assert_eq!(spent(), (1, 1, 1));
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn who_may_not_is_refused_and_nothing_is_sent() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    model(&node, "fast", &provider, |_| {}).await;
    model(&node, "large", &provider, |new| new.tier = Some("T2".to_owned())).await;
    let (id, agent) = run(&node, &olivia, &["fs.read:/**", "model.call:large", "model.call:none"]).await;
    for (name, code) in [("fast", "OUT_OF_SCOPE"), ("large", "NOT_PERMITTED"), ("none", "NO_MODEL")] {
        let error = ask(&node, &id, question(name)).await.expect_err(name);
        assert_eq!(error.code, code);
    }
    assert_eq!(provider.count(), 0);
    assert!(calls(&node).is_empty());
    // A denial is an error of the agent, in the run that it was made in.
    assert_eq!(node.run(&id).state.spent.total, 2);
    // The twin that may.
    end(&node, &id, &agent).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    ask(&node, &id, question("fast")).await.expect("allowed");
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn an_agent_outside_of_a_run_asks_with_its_key_and_inside_is_bound_by_its_packet() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    model(&node, "fast", &provider, |_| {}).await;
    let key = node.agent_key("thinker").await;
    let outside = || Asking::Outside(Box::new(node.again(&key)));
    assert!(matches!(node.runner().chat(outside(), question("fast")).await, Ok(Said::Whole(_))));
    // A person's key asks no model.
    let person = Asking::Outside(Box::new(node.again(&olivia)));
    assert_eq!(node.runner().chat(person, question("fast")).await.expect_err("refused").code, "NOT_AN_AGENT");
    // An agent of a higher tier than the model needs, whose key is revoked meanwhile.
    node.agent("builder", Tier::T2).await;
    let other = node.agent_key("builder").await;
    let stale = Asking::Outside(Box::new(node.again(&other)));
    node.revoke(&other).await.expect("revoked");
    let error = node.runner().chat(stale, question("fast")).await.expect_err("refused");
    assert_eq!(error.kind, Kind::Stale);
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn a_secret_in_an_answer_reaches_nobody() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|n, asked, headers| {
        let key = headers["authorization"].to_str().expect("text").trim_start_matches("Bearer ").to_owned();
        match (n, asked["stream"].as_bool()) {
            (_, Some(true)) => {
                let letters = key.chars().map(|c| piece(&c.to_string()));
                Reply::Pieces(letters.chain([piece(" was it"), last(3, 30)]).collect())
            }
            (0, _) => Reply::Json(200, said(&format!("your key is {key}"), 1, 1)),
            _ => Reply::Json(400, json!({"error": {"message": format!("bad key {key} in \u{1b}[31m")}})),
        }
    })
    .await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let whole = ask(&node, &id, question("fast")).await.expect("an answer").to_string();
    assert!(whole.contains("your key is [secret]") && !whole.contains(KEY), "{whole}");
    let error = ask(&node, &id, question("fast")).await.expect_err("rejected");
    assert_eq!(error.code, "MODEL_REJECTED");
    assert!(!error.message.contains(KEY) && !error.message.contains('\u{1b}'), "{}", error.message);
    let (text, error) = listen(&node, &id, streamed("fast")).await;
    assert_eq!((text.as_str(), error.map(|e| e.code)), ("[secret] was it", None));
    settled(&node).await;
    end(&node, &id, &agent).await;
    let found = everything(&node).windows(KEY.len()).any(|window| window == KEY.as_bytes());
    assert!(!found, "the key stands in what the node wrote");
}

#[tokio::test]
async fn a_run_that_ends_takes_its_questions_with_it() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|_, _, _| Reply::Stuck(vec![piece("and ")])).await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let Ok(Said::Pieces(mut pieces)) = node.runner().chat(Asking::Run(id.clone(), None), streamed("fast")).await else {
        panic!("a stream begins")
    };
    pieces.recv().await.expect("a piece").expect("good");
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    let error = pieces.recv().await.expect("told").expect_err("why");
    assert_eq!(error.code, "RUN_OVER");
    node.ended(&id).await;
    assert!(agent.is_over());
    settled(&node).await;
    let ended = calls(&node);
    // Nobody knows what it used: it counts with all that it could.
    assert_eq!((ended[0].0.as_str(), ended[0].3.as_deref()), ("unsettled", Some("RUN_OVER")));
    assert!(ended[0].1 > 50);
    let after = node.runner().chat(Asking::Run(id, None), question("fast")).await.expect_err("over");
    assert_eq!(after.code, "RUN_OVER");
}

#[tokio::test]
async fn what_a_model_says_widens_nothing() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|_, _, _| {
        let mut answer = said("", 5, 5);
        answer["choices"][0]["message"]["tool_calls"] = json!([
            {"id": "1", "type": "function", "function": {"name": "shell", "arguments": "{\"script\":\"id\"}"}},
        ]);
        Reply::Json(200, answer)
    })
    .await;
    model(&node, "fast", &provider, |_| {}).await;
    let (id, mut agent) = run(&node, &olivia, &["model.call:*"]).await;
    let answer = ask(&node, &id, question("fast")).await.expect("an answer");
    let wish = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    // The agent does what the model says; the packet does not.
    let plan = json!({"summary": "do it", "steps": [{"step": "think"}]});
    assert_eq!(agent.call("submit_plan", plan).await["ok"], true);
    let arguments = serde_json::from_str(wish["arguments"].as_str().expect("text")).expect("JSON");
    assert_eq!(agent.refused(wish["name"].as_str().expect("a name"), arguments).await, "OUT_OF_SCOPE");
    end(&node, &id, &agent).await;
}
