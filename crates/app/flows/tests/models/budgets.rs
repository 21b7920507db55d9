//! Budgets hold: however many ask at once, whoever hangs up, and whatever dies.

use std::sync::Arc;

use serde_json::json;
use steward_app_flows::runs::Asking;
use steward_app_models::rows::{Limits, Of, spent};
use steward_ledger::kind;

use crate::{
    common::{ask, budget, calls, end, entries, model, node, question, run, settled},
    provider::{Provider, Reply, said},
};

#[tokio::test]
async fn of_32_at_once_no_more_are_sent_than_the_budget_has() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    model(&node, "fast", &provider, |_| {}).await;
    budget(&node, Some("thinker"), "day", Limits { calls: Some(10), ..Limits::default() }).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let runner = Arc::clone(node.runner());
    let asking = (0..32).map(|_| {
        let (runner, id) = (Arc::clone(&runner), id.clone());
        tokio::spawn(async move { runner.chat(Asking::Run(id, None), question("fast")).await.map(|_| ()) })
    });
    let (mut good, mut refused) = (0, 0);
    for asked in asking.collect::<Vec<_>>() {
        match asked.await.expect("no panic") {
            Ok(()) => good += 1,
            Err(error) => {
                assert_eq!(error.code, "OVER_BUDGET");
                refused += 1;
            }
        }
    }
    assert_eq!((good, refused, provider.count()), (10, 22, 10));
    assert!(node.run(&id).is_live(), "what keeps a budget is no error of the agent");
    let recorded = entries(&node, kind::ACTION_REFUSED);
    assert!(recorded[0].decision.as_ref().expect("decided").errors[0].contains("0 calls left of 10"));
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn tokens_and_money_are_reserved_before_they_are_spent() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    provider.gate.forget_permits(1_000_000);
    model(&node, "fast", &provider, |_| {}).await;
    // Room for two that have not ended, and for many that have.
    let one = {
        let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
        provider.gate.add_permits(1);
        ask(&node, &id, question("fast")).await.expect("an answer");
        end(&node, &id, &agent).await;
        let (reserved, micros) = entries(&node, kind::ACTION_INTENDED)
            .iter()
            .find_map(|body| {
                Some((
                    body.detail.get("reserved_tokens")?.as_str()?.parse::<u64>().ok()?,
                    body.detail.get("reserved_micros")?.as_str()?.parse::<u64>().ok()?,
                ))
            })
            .expect("reserved");
        assert!(reserved > 50 && micros > 100);
        (reserved, micros)
    };
    for limits in [
        Limits { tokens: Some(15 + 2 * one.0), ..Limits::default() },
        Limits { micros: Some(20 + 2 * one.1), ..Limits::default() },
    ] {
        budget(&node, None, "ever", limits).await;
        let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
        let before = calls(&node).len();
        let runner = Arc::clone(node.runner());
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (runner, id) = (Arc::clone(&runner), id.clone());
                tokio::spawn(async move { runner.chat(Asking::Run(id, None), question("fast")).await.map(|_| ()) })
            })
            .collect();
        // Two are under way, and hold what they could use; the others were refused.
        for _ in 0..1_000_000 {
            if asking.iter().filter(|asked| asked.is_finished()).count() == 6 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(calls(&node).len() - before, 2);
        provider.gate.add_permits(2);
        let mut good = 0;
        for asked in asking {
            good += u64::from(asked.await.expect("no panic").is_ok());
        }
        assert_eq!(good, 2);
        end(&node, &id, &agent).await;
        // What they did not use is there again; for the next round it is taken away from the start.
        budget(&node, None, "ever", Limits::default()).await;
        let forget = |reader: &steward_store::Reader<'_>| spent(reader, node.namespace(), Of::All, "");
        let total = node.context().store.read(forget).expect("it reads");
        assert_eq!(total.tokens, 15 * total.calls);
        if limits.tokens.is_some() {
            // The second round begins with what the first used.
            break;
        }
    }
}

#[tokio::test]
async fn a_crash_does_not_refill_a_budget() {
    let (mut node, olivia) = node().await;
    let provider = Provider::start(|_, _, _| Reply::Silent).await;
    model(&node, "fast", &provider, |_| {}).await;
    budget(&node, None, "ever", Limits { calls: Some(1), ..Limits::default() }).await;
    let (id, _agent) = run(&node, &olivia, &["model.call:*"]).await;
    let runner = Arc::clone(node.runner());
    let asked = tokio::spawn(async move { runner.chat(Asking::Run(id, None), question("fast")).await.map(|_| ()) });
    for _ in 0..1_000_000 {
        if provider.count() == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    node.kill();
    asked.abort();
    node.revive().await.expect("it starts again");
    assert_eq!(calls(&node)[0].0, "reserved");
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    assert_eq!(ask(&node, &id, question("fast")).await.expect_err("refused").code, "OVER_BUDGET");
    agent.exit(0);
    node.ended(&id).await;
}

#[tokio::test]
async fn a_provider_that_counts_more_than_can_be_is_counted_as_it_counts() {
    let (node, olivia) = node().await;
    let provider = Provider::start(|_, _, _| Reply::Json(200, said("hello", 1_000_000, 5))).await;
    model(&node, "fast", &provider, |_| {}).await;
    budget(&node, None, "day", Limits { tokens: Some(500_000), ..Limits::default() }).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    ask(&node, &id, question("fast")).await.expect("an answer");
    assert_eq!(ask(&node, &id, question("fast")).await.expect_err("refused").code, "OVER_BUDGET");
    assert_eq!(calls(&node)[0].1, 1_000_005);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn days_begin_anew_and_runs_have_their_own() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    model(&node, "fast", &provider, |_| {}).await;
    budget(&node, Some("thinker"), "day", Limits { calls: Some(2), ..Limits::default() }).await;
    budget(&node, None, "run", Limits { calls: Some(1), ..Limits::default() }).await;
    for (day, expected) in [(0, [true, false, true, false]), (1, [true, false, true, false])] {
        let mut got = Vec::new();
        for _ in 0..2 {
            let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
            got.push(ask(&node, &id, question("fast")).await.is_ok());
            got.push(ask(&node, &id, question("fast")).await.is_ok());
            end(&node, &id, &agent).await;
        }
        assert_eq!(got, expected, "day {day}");
        let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
        assert!(ask(&node, &id, question("fast")).await.is_err(), "the day has two");
        end(&node, &id, &agent).await;
        node.clock().advance_ms(24 * 60 * 60 * 1000);
    }
    settled(&node).await;
}

#[tokio::test]
async fn without_a_price_there_is_no_budget_in_money() {
    let (node, olivia) = node().await;
    let provider = Provider::saying("hello").await;
    model(&node, "fast", &provider, |new| new.input_micros = None).await;
    budget(&node, None, "day", Limits { micros: Some(1_000_000_000), ..Limits::default() }).await;
    let (id, agent) = run(&node, &olivia, &["model.call:*"]).await;
    let error = ask(&node, &id, question("fast")).await.expect_err("refused");
    assert!(error.message.contains("has no price"), "{error}");
    assert_eq!(provider.count(), 0);
    // The twin with a price, in its place.
    model(&node, "fast", &provider, |new| new.replace = true).await;
    ask(&node, &id, question("fast")).await.expect("an answer");
    let used =
        steward_app_models::usage(node.context(), &node.again(&olivia), steward_app_models::rows::Per::Ever).await;
    let used = used.expect("may be seen");
    assert_eq!((used.by[0].2.calls, used.by[0].2.tokens, used.by[0].2.micros), (1, 15, 20));
    assert_eq!(json!(used.budgets[0].1.expect("spent").micros), json!(20));
    end(&node, &id, &agent).await;
}
