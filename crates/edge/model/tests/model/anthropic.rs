//! Anthropic's language over HTTP.

use serde_json::{Value, json};
use steward_model::{StreamOutcome, Usage};

use crate::common::{KEY, Reply, Server, Then, caller, drain, request, stream, texts, whole};

#[tokio::test]
async fn a_message_is_asked_for_and_becomes_a_completion() {
    let said = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": format!("hi {KEY}")}], "usage": {"input_tokens": 5, "output_tokens": 2},
    });
    let server = Server::with([Reply::json(200, &said)]).await;
    let (body, usage) = whole(&caller(), &server.anthropic(), &request(json!({}))).await.unwrap();
    assert_eq!(usage, Usage { prompt_tokens: 5, completion_tokens: 2 });
    assert_eq!(body["choices"][0]["message"], json!({"role": "assistant", "content": "hi [secret]"}));
    assert_eq!(body["model"], "fast");
    let [seen] = &server.asked()[..] else { panic!("asked once") };
    assert_eq!(seen.path, "/v1/messages");
    assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (Some(KEY), None));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert!(seen.header("idempotency-key").is_some());
}

fn named(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a kind")))
        .collect()
}

#[tokio::test]
async fn a_stream_is_scrubbed_and_ends() {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ];
    let said = format!("<{KEY}>");
    let delta = |text: String| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    events.extend(said.chars().map(|c| delta(c.to_string())));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}));
    events.push(json!({"type": "message_stop"}));
    let server = Server::with([Reply::stream(named(&events), Then::Wait)]).await;
    let asked = request(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let mut answer = stream(&caller(), &server.anthropic(), &asked).await.unwrap();
    let (chunks, error) = drain(&mut answer).await;
    assert_eq!((texts(&chunks, "/content").as_str(), error), ("<[secret]>", None));
    let usage = Some(Usage { prompt_tokens: 5, completion_tokens: 9 });
    let bytes_out = u64::try_from(said.len() + "assistant".len()).unwrap();
    assert_eq!(answer.outcome(), StreamOutcome { usage, finished: true, bytes_out });
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 14);
    assert_eq!(server.asked()[0].body["stream"], true);
}

#[tokio::test]
async fn an_error_within_a_stream_is_told_and_not_tried_again() {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": format!("Overloaded {KEY}")}}),
    ];
    let server = Server::with([Reply::stream(named(&events), Then::Wait)]).await;
    let mut answer = stream(&caller(), &server.anthropic(), &request(json!({"stream": true}))).await.unwrap();
    let error = drain(&mut answer).await.1.unwrap();
    assert_eq!((error.code(), server.times()), ("MODEL_CUT_OFF", 1));
    assert!(error.to_string().contains("Overloaded [secret]"), "{error}");
}

#[tokio::test]
async fn what_is_no_message_is_garbage() {
    for body in [
        json!({}),
        json!({"content": "hi"}),
        json!({"content": [{"type": "tool_use", "id": "t", "name": "f", "input": "x"}]}),
    ] {
        let server = Server::with([Reply::json(200, &body)]).await;
        let error = whole(&caller(), &server.anthropic(), &request(json!({}))).await.unwrap_err();
        assert_eq!(error.code(), "MODEL_GARBAGE", "{body}");
    }
    let server = Server::with([Reply::json(200, &json!({}))]).await;
    let error = whole(&caller(), &server.anthropic(), &request(json!({"n": 2}))).await.unwrap_err();
    assert_eq!((error.code(), server.times()), ("INVALID_REQUEST", 0));
}
