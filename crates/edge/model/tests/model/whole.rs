//! Whole answers: what is sent, what comes back, and what is not let through.

use serde_json::{Value, json};
use steward_model::{Caller, EmbedRequest, Limits, ModelError, Provider, Usage, WholeAnswer};

use crate::common::{KEY, Reply, Server, Then, action, ask, caller, completion, known, request, warrant, whole};

#[tokio::test]
async fn a_request_is_sent_as_the_provider_takes_it() {
    let server = Server::with([Reply::json(200, &completion("hi"))]).await;
    let asked = request(json!({"store": true, "user": "u-1", "logprobs": true, "seed": 7, "stop": null}));
    let action = action("model.call", asked.digest());
    let warrant = warrant(&action);
    let effect = warrant.action().to_string();
    caller().chat(warrant, &action, &server.provider(), &asked, &known()).await.unwrap();
    let [seen] = &server.asked()[..] else { panic!("asked once") };
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(seen.header("idempotency-key"), Some(effect.as_str()));
    assert_eq!(
        seen.body,
        json!({"model": "maker/model-7", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 64, "seed": 7}),
    );
}

#[tokio::test]
async fn an_answer_comes_under_the_name_that_agents_know() {
    let server = Server::with([Reply::json(200, &completion("hi"))]).await;
    let (body, usage) = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap();
    let mut expected = completion("hi");
    expected["model"] = json!("fast");
    assert_eq!((body, usage), (expected, Usage { prompt_tokens: 5, completion_tokens: 2 }));
}

#[tokio::test]
async fn who_does_not_say_what_was_used_used_all_it_could() {
    let mut said = completion("hi");
    said.as_object_mut().unwrap().remove("usage");
    let server = Server::with([Reply::json(200, &said)]).await;
    let asked = request(json!({}));
    let (_, usage) = whole(&caller(), &server.provider(), &asked).await.unwrap();
    let written = u64::try_from(said.to_string().len()).unwrap();
    assert_eq!(usage, Usage { prompt_tokens: asked.prompt_bound(), completion_tokens: written });
}

#[tokio::test]
async fn secrets_do_not_come_back() {
    let mut said = completion(&format!("your key is {KEY}, and ghp_other_secret"));
    let call = json!({"id": "t", "type": "function", "function": {"name": "send", "arguments": format!("{{\"to\":\"{KEY}\"}}")}});
    said["choices"][0]["message"]["tool_calls"] = json!([call]);
    said["choices"][0]["logprobs"] =
        json!({"content": [{"token": "sk-live-", "bytes": [115]}, {"token": "0123456789abcdef"}]});
    said[KEY] = json!({"x": [KEY]});
    let server = Server::with([Reply::json(200, &said)]).await;
    let (body, _) = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap();
    let text = body.to_string();
    assert!(!text.contains("0123456789abcdef") && !text.contains("ghp_other"), "{text}");
    assert_eq!(body["choices"][0]["message"]["content"], "your key is [secret], and [secret]");
    assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"to\":\"[secret]\"}");
}

#[tokio::test]
async fn what_is_no_answer_is_garbage() {
    let message = |message: Value| json!({"choices": [{"message": message}]}).to_string();
    let call =
        |function: Value| message(json!({"tool_calls": [{"id": "t", "type": "function", "function": function}]}));
    for body in [
        "<html><body>Welcome</body></html>".to_owned(),
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"choices":[]}"#.to_owned(),
        r#"{"choices":{}}"#.to_owned(),
        r#"{"choices":[{"text":"hi"}]}"#.to_owned(),
        r#"{"choices":[{"message":"hi"}]}"#.to_owned(),
        message(json!({"content": 7})),
        message(json!({"tool_calls": {}})),
        message(json!({"tool_calls": [7]})),
        call(json!({"name": "f"})),
        call(json!({"name": "f", "arguments": {"a": 1}})),
        call(json!({"name": 7, "arguments": "{}"})),
        call(json!(null)),
        "data: {}\n\n".to_owned(),
    ] {
        let server = Server::with([Reply::text(200, "text/html", &body)]).await;
        let error = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap_err();
        assert_eq!(
            (error.code(), error.may_fall_back(), error.may_have_cost()),
            ("MODEL_GARBAGE", true, true),
            "{body}"
        );
        assert_eq!(server.times(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_does_not_end_is_unknown() {
    let begun = Reply::text(200, "application/json", "{\"choices\":[");
    let failed = json!({"error": {"code": 502, "message": format!("upstream {KEY} broke")}});
    for (reply, code) in [
        (begun.clone().then(Then::Break), "MODEL_CUT_OFF"),
        (begun.then(Then::Repeat(" ".repeat(64 * 1024))), "MODEL_TOO_MUCH"),
        (Reply::json(200, &failed), "MODEL_CUT_OFF"),
    ] {
        let server = Server::with([reply]).await;
        let error = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap_err();
        assert_eq!((error.code(), error.is_unknown(), error.may_fall_back()), (code, true, false), "{error}");
        assert!(!error.to_string().contains(KEY));
        assert_eq!(server.times(), 1, "it is not asked again");
    }
}

#[tokio::test]
async fn a_warrant_is_for_exactly_one_request() {
    let server = Server::with([Reply::json(200, &completion("hi"))]).await;
    let (caller, provider, asked) = (caller(), server.provider(), request(json!({})));
    let right = action("model.call", asked.digest());
    let other = request(json!({"seed": 1}));
    for (permitted, done, request) in [
        (action("model.call", other.digest()), right.clone(), &asked),
        (right.clone(), action("model.call", other.digest()), &asked),
        (right.clone(), right.clone(), &other),
        (action("http.get", asked.digest()), action("http.get", asked.digest()), &asked),
    ] {
        let error = caller.chat(warrant(&permitted), &done, &provider, request, &known()).await.unwrap_err();
        assert_eq!(error.code(), "WARRANT_MISMATCH");
    }
    assert_eq!(server.times(), 0);
    ask(&caller, &provider, &asked).await.unwrap();
}

async fn embed(caller: &Caller, provider: &Provider, input: Value) -> Result<WholeAnswer, ModelError> {
    let asked = EmbedRequest::read(json!({"model": "fast", "input": input}), Limits::default()).expect("a request");
    let action = action("model.call", asked.digest());
    caller.embed(warrant(&action), &action, provider, &asked, &known()).await
}

#[tokio::test]
async fn texts_become_vectors() {
    let said = json!({
        "object": "list", "model": "maker/model-7", "data": [{"index": 0, "embedding": [0.5, -1.0]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    });
    let server = Server::with([Reply::json(200, &said), Reply::json(200, &json!({"data": [{"embedding": []}]}))]).await;
    let answer = embed(&caller(), &server.provider(), json!(["a", "b"])).await.unwrap();
    assert_eq!(answer.body["model"], "fast");
    assert_eq!(answer.usage, Usage { prompt_tokens: 3, completion_tokens: 0 });
    assert_eq!(server.asked()[0].path, "/v1/embeddings");
    assert_eq!(server.asked()[0].body, json!({"model": "maker/model-7", "input": ["a", "b"]}));
    let error = embed(&caller(), &server.provider(), json!("a")).await.unwrap_err();
    assert_eq!(error.code(), "MODEL_GARBAGE");
    let error = embed(&caller(), &server.anthropic(), json!("a")).await.unwrap_err();
    assert_eq!((error.code(), server.times()), ("INVALID_REQUEST", 2));
}
