//! Answers in pieces: bounded, checked, and scrubbed however a secret is cut.

use serde_json::{Value, json};
use steward_model::{MAX_EVENT_BYTES, StreamOutcome, Usage};

use crate::common::{KEY, Reply, Server, Then, caller, drain, piece, request, stream, texts};

const DONE: &str = "data: [DONE]\n\n";

fn usage_piece() -> Value {
    json!({
        "id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "maker/model-7", "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    })
}

/// A good stream: events, and the mark of the end.
fn good(events: &[Value]) -> Reply {
    let mut pieces: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    pieces.push(DONE.to_owned());
    // What comes after the end is not read.
    Reply::stream(pieces, Then::Wait)
}

#[tokio::test]
async fn an_answer_comes_in_pieces() {
    let mut with_null = piece(json!({"content": "hi"}), None);
    with_null["usage"] = json!(null);
    let said = [
        piece(json!({"role": "assistant", "content": ""}), None),
        with_null,
        piece(json!({}), Some("stop")),
        usage_piece(),
    ];
    let server = Server::with([good(&said)]).await;
    for told in [false, true] {
        let options = if told { json!({"include_usage": true}) } else { json!({}) };
        let asked = request(json!({"stream": true, "stream_options": options}));
        let mut answer = stream(&caller(), &server.provider(), &asked).await.unwrap();
        let (chunks, error) = drain(&mut answer).await;
        assert_eq!(error, None);
        assert!(chunks.iter().all(|chunk| chunk["model"] == "fast"));
        assert_eq!(
            (texts(&chunks, "/content").as_str(), chunks[2]["choices"][0]["finish_reason"].as_str()),
            ("hi", Some("stop"))
        );
        assert_eq!(chunks.len(), if told { 4 } else { 3 });
        assert_eq!(chunks.iter().any(|chunk| chunk.get("usage").is_some()), told);
        let usage = Some(Usage { prompt_tokens: 5, completion_tokens: 2 });
        assert_eq!(answer.outcome(), StreamOutcome { usage, finished: true, bytes_out: 11 });
        assert_eq!(server.asked().last().unwrap().body["stream_options"], json!({"include_usage": true}));
    }
}

#[tokio::test]
async fn a_stream_may_end_by_its_reason_alone() {
    let said = [piece(json!({"content": "hi"}), None), piece(json!({}), Some("stop"))];
    for then in [Then::End, Then::Break] {
        let server = Server::with([Reply::events(&said, then)]).await;
        let mut answer = stream(&caller(), &server.provider(), &request(json!({"stream": true}))).await.unwrap();
        let (chunks, error) = drain(&mut answer).await;
        assert_eq!((texts(&chunks, "/content").as_str(), error), ("hi", None));
        assert_eq!(answer.outcome(), StreamOutcome { usage: None, finished: true, bytes_out: 2 });
    }
}

/// Whatever is said in these pieces, the secret is not among it, and everything else is.
async fn scrubs(delta: impl Fn(&str) -> Value, path: &str, last: Option<&str>) {
    let said = format!("it is {KEY}, or ghp_other_secret; sk-live-0 is none, and sk-live-");
    let first = [piece(delta(""), None)];
    let each = said.chars().map(|c| piece(delta(&c.to_string()), None));
    let end = [piece(json!({}), last)];
    let events: Vec<Value> = first.into_iter().chain(each).chain(end).collect();
    let server = Server::with([good(&events)]).await;
    let asked = request(json!({"stream": true}));
    let mut answer = stream(&caller(), &server.provider(), &asked).await.expect("as it was said");
    let (chunks, error) = drain(&mut answer).await;
    assert_eq!(error, None);
    assert_eq!(texts(&chunks, path), "it is [secret], or [secret]; sk-live-0 is none, and sk-live-", "{path}");
    assert!(answer.outcome().bytes_out >= u64::try_from(said.len()).expect("as it was said"));
    if last.is_some() {
        let finish =
            chunks.iter().position(|chunk| !chunk["choices"][0]["finish_reason"].is_null()).expect("as it was said");
        assert_eq!(finish, chunks.len() - 1, "what was held back comes before the end");
    }
}

#[tokio::test]
async fn secrets_do_not_come_back_however_they_are_cut() {
    for last in [Some("stop"), None] {
        scrubs(|text| json!({"content": text}), "/content", last).await;
        scrubs(|text| json!({"reasoning": text}), "/reasoning", last).await;
        scrubs(|text| json!({"reasoning_details": [{"type": "x", "text": text}]}), "/reasoning_details/0/text", last)
            .await;
        let call = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": text}}]});
        scrubs(call, "/tool_calls/0/function/arguments", last).await;
    }
}

#[tokio::test]
async fn what_is_whole_in_a_piece_is_scrubbed_there() {
    let mut said = piece(json!({"role": KEY, "content": KEY}), Some(KEY));
    said[KEY] = json!(KEY);
    said["choices"][0]["x"] = json!({KEY: KEY});
    said["choices"][0]["logprobs"] = json!({"content": [{"token": "sk-live-"}]});
    let server = Server::with([good(&[said])]).await;
    let mut answer = stream(&caller(), &server.provider(), &request(json!({"stream": true}))).await.unwrap();
    let (chunks, error) = drain(&mut answer).await;
    assert_eq!(error, None);
    let text = json!(chunks).to_string();
    assert!(!text.contains("sk-live") && text.contains("[secret]"), "{text}");
}

#[tokio::test]
async fn what_breaks_off_is_unknown() {
    let begun = piece(json!({"content": "hi"}), None);
    let failed = json!({"error": {"code": 502, "message": format!("{KEY} broke")}, "choices": [{"delta": {}, "finish_reason": "error"}]});
    for reply in [
        Reply::events(std::slice::from_ref(&begun), Then::End),
        Reply::events(std::slice::from_ref(&begun), Then::Break),
        Reply::events(&[], Then::Break),
        Reply::events(&[begun.clone(), failed], Then::Wait),
        Reply::stream(vec![format!("data: {begun}\n\ndata: {}", &begun.to_string()[..20])], Then::End),
    ] {
        let server = Server::with([reply]).await;
        let mut answer = stream(&caller(), &server.provider(), &request(json!({"stream": true}))).await.unwrap();
        let (_, error) = drain(&mut answer).await;
        let error = error.unwrap();
        assert_eq!(
            (error.code(), error.is_unknown(), error.may_fall_back()),
            ("MODEL_CUT_OFF", true, false),
            "{error}"
        );
        assert!(!error.to_string().contains(KEY), "{error}");
        assert!(!answer.outcome().finished);
        assert_eq!(server.times(), 1, "it is not asked again");
    }
}

#[tokio::test]
async fn what_is_no_stream_is_garbage() {
    let begun = piece(json!({"role": "assistant"}), None);
    let call = |function: Value| piece(json!({"tool_calls": [{"index": 0, "function": function}]}), None);
    let mut many = begun.clone();
    many["choices"][0]["index"] = json!(1);
    let texts = |pieces: &[&str]| Reply::stream(pieces.iter().map(|piece| (*piece).to_owned()).collect(), Then::End);
    let events = |events: &[Value]| Reply::events(events, Then::Wait);
    for reply in [
        Reply::text(200, "text/html; charset=utf-8", "<html></html>"),
        Reply::json(200, &crate::common::completion("hi")),
        texts(&["<html><body>data: none</body></html>\n\n"]),
        texts(&[]),
        texts(&[": waiting\n\n", DONE]),
        texts(&["data: hello\n\n"]),
        texts(&["data: [1]\n\n"]),
        events(&[json!({"choices": 7})]),
        events(&[json!({"id": "x"})]),
        events(&[json!({"choices": [7]})]),
        events(&[json!({"choices": [{"delta": 7}]})]),
        events(&[json!({"choices": [{"delta": {"content": 7}}]})]),
        events(&[json!({"choices": [{"index": "0", "delta": {}}]})]),
        events(&[json!({"choices": [{"delta": {}, "finish_reason": 7}]})]),
        events(&[many]),
        events(&[call(json!({"arguments": "{}"}))]),
        events(&[call(json!({"name": 7, "arguments": "{}"}))]),
        events(&[call(json!({"name": "f", "arguments": {}}))]),
        events(&[call(json!("f"))]),
        events(&[piece(json!({"tool_calls": {}}), None)]),
    ] {
        let server = Server::with([reply]).await;
        let error = match stream(&caller(), &server.provider(), &request(json!({"stream": true}))).await {
            Ok(mut answer) => drain(&mut answer).await.1.unwrap(),
            Err(error) => error,
        };
        assert_eq!((error.code(), server.times()), ("MODEL_GARBAGE", 1), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_end_is_stopped() {
    let word = piece(json!({"content": "la ".repeat(1_000)}), None);
    let empty = piece(json!({}), None);
    let thought = piece(json!({"reasoning": "hm ".repeat(1_000)}), None);
    let begun = format!("data: {empty}\n\n");
    for again in [
        format!("data: {word}\n\n"),
        format!("data: {empty}\n\n"),
        format!("data: {thought}\n\n"),
        ": waiting\n\n".repeat(100),
        "\n".repeat(1_000),
        "x".repeat(10_000),
    ] {
        let server = Server::with([Reply::stream(vec![begun.clone()], Then::Repeat(again))]).await;
        let mut answer = stream(&caller(), &server.provider(), &request(json!({"stream": true}))).await.unwrap();
        let error = drain(&mut answer).await.1.unwrap();
        assert_eq!(
            (error.code(), error.is_unknown(), error.may_fall_back()),
            ("MODEL_TOO_MUCH", true, false),
            "{error}"
        );
        assert!(answer.outcome().bytes_out <= 64 * 32 + 64 * 1024 + 3_000);
    }
    // Without a limit of the agent's, there is one for each event and for all.
    let asked = serde_json::json!({"model": "fast", "messages": [{"role": "user", "content": "x"}], "stream": true});
    let asked = steward_model::ChatRequest::read(asked, steward_model::Limits::default()).unwrap();
    for again in [format!("data: {word}\n\n"), "x".repeat(MAX_EVENT_BYTES / 4)] {
        let server = Server::with([Reply::stream(vec![begun.clone()], Then::Repeat(again))]).await;
        let mut answer = stream(&caller(), &server.provider(), &asked).await.unwrap();
        assert_eq!(drain(&mut answer).await.1.unwrap().code(), "MODEL_TOO_MUCH");
    }
}

#[tokio::test]
async fn several_answers_do_not_mix() {
    let at = |index: u64, text: &str, reason: Option<&str>| {
        let mut said = piece(json!({"content": text}), reason);
        said["choices"][0]["index"] = json!(index);
        said
    };
    let (a, b) = KEY.split_at(9);
    let said = [
        at(0, a, None),
        at(1, b, None),
        at(1, a, None),
        at(0, b, None),
        at(1, "x", Some("stop")),
        at(0, "", Some("stop")),
    ];
    let server = Server::with([good(&said)]).await;
    let mut answer = stream(&caller(), &server.provider(), &request(json!({"stream": true, "n": 2}))).await.unwrap();
    let (chunks, error) = drain(&mut answer).await;
    assert_eq!(error, None);
    let of = |index: u64| {
        let chosen: Vec<Value> = chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == index).cloned().collect();
        texts(&chosen, "/content")
    };
    assert_eq!((of(0), of(1)), ("[secret]".to_owned(), format!("{b}{a}x")));
}
