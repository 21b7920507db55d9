//! What is read, what is dropped, and what is refused.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{ChatRequest, DROPPED, Limits, MAX_CHOICES, REFUSED};
use crate::EmbedRequest;

fn asked(more: Value) -> Value {
    let mut asked = json!({"model": "fast", "messages": [{"role": "user", "content": "hello"}]});
    for (name, value) in more.as_object().unwrap() {
        asked[name] = value.clone();
    }
    asked
}

fn read(more: Value) -> ChatRequest {
    ChatRequest::read(asked(more), Limits::default()).unwrap()
}

fn refused(requests: &[Value], expected: Expect) {
    let told = |request: &Value| match ChatRequest::read(request.clone(), Limits { messages: 2, ..Limits::default() }) {
        Ok(_) => panic!("it was read: {request}"),
        Err(error) => format!("{}: {error}\n", error.code()),
    };
    expected.assert_eq(&requests.iter().map(told).collect::<String>());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let user = json!({"role": "user", "content": "x"});
    refused(
        &[
            json!([]),
            json!({"messages": [user]}),
            asked(json!({"messages": []})),
            asked(json!({"messages": "hello"})),
            asked(json!({"messages": [user, user, user]})),
            asked(json!({"n": 0})),
            asked(json!({"n": MAX_CHOICES + 1})),
            asked(json!({"stream": "yes"})),
            asked(json!({"stream_options": true})),
            asked(json!({"max_tokens": 0})),
            asked(json!({"max_completion_tokens": 1.5})),
            asked(json!({"max_tokens": 1, "max_completion_tokens": 1})),
            asked(json!({"tools": [{"type": "web_search"}]})),
            asked(json!({"seed": 9_007_199_254_740_993_u64})),
        ],
        expect![[r#"
            INVALID_REQUEST: the request is no object; write one with `model` in it
            INVALID_REQUEST: the request does not name a `model`; write one that this node has
            INVALID_REQUEST: the request has no `messages`; write a list of at least one
            INVALID_REQUEST: the request has no `messages`; write a list of at least one
            INVALID_REQUEST: the request has 3 messages; write at most 2
            INVALID_REQUEST: the request has an `n` that is no whole number from 1 to 4; write one
            INVALID_REQUEST: the request has an `n` that is no whole number from 1 to 4; write one
            INVALID_REQUEST: the request has a `stream` that is neither true nor false; write one of them
            INVALID_REQUEST: the request has `stream_options` that are not such as `{"include_usage": true}`; write them so
            INVALID_REQUEST: the request has a `max_tokens` that is no whole number from 1; write one, or leave it out
            INVALID_REQUEST: the request has a `max_completion_tokens` that is no whole number from 1; write one, or leave it out
            INVALID_REQUEST: the request has both `max_tokens` and `max_completion_tokens`; write one of them
            INVALID_REQUEST: the request has `tools` that are not each a `function` with a `name`; the provider's own are not passed on
            INVALID_REQUEST: the request cannot be put on record: the value has no canonical form: the number 9007199254740993 is beyond 2^53 and would be read differently by different readers; write it as a string; write it otherwise
        "#]],
    );
}

#[test]
fn messages_have_a_form() {
    let image = |url: &str| json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]});
    let call = |call: Value| json!({"role": "assistant", "tool_calls": [call]});
    let messages = [
        json!("hello"),
        json!({"role": "function", "content": "x"}),
        json!({"role": "user"}),
        json!({"role": "user", "content": 7}),
        json!({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
        json!({"role": "user", "content": "x", "tool_calls": []}),
        json!({"role": "tool", "content": "x"}),
        call(json!({"id": "t", "type": "function", "function": {"name": "f", "arguments": {}}})),
        call(json!({"id": "t", "type": "custom", "function": {"name": "f", "arguments": ""}})),
        image("https://example.org/a.png"),
        image("http://169.254.169.254/"),
        image("data:text/html;base64,x"),
        json!({"role": "user", "content": [{"type": "image_url", "image_url": "https://example.org/a.png"}]}),
        json!({"role": "tool", "tool_call_id": "t", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}),
    ];
    let requests: Vec<Value> = messages.into_iter().map(|message| asked(json!({"messages": [message]}))).collect();
    refused(
        &requests,
        expect![[r#"
        INVALID_REQUEST: the request has a message, number 1, that has no `role` of system, developer, user, assistant or tool; write one
        INVALID_REQUEST: the request has a message, number 1, that has no `role` of system, developer, user, assistant or tool; write one
        INVALID_REQUEST: the request has a message, number 1, that has no `content` that is a text or a list of parts; write one
        INVALID_REQUEST: the request has a message, number 1, that has no `content` that is a text or a list of parts; write one
        INVALID_REQUEST: the request has a message, number 1, that has a part that is neither `text` nor `image_url`; write one of them
        INVALID_REQUEST: the request has a message, number 1, that has `tool_calls` and is not the assistant's; leave them out
        INVALID_REQUEST: the request has a message, number 1, that has no `tool_call_id`; write the id of the call that it answers
        INVALID_REQUEST: the request has a message, number 1, that has `tool_calls` that are not each an `id` and a `function` of `name` and `arguments`; write them so
        INVALID_REQUEST: the request has a message, number 1, that has `tool_calls` that are not each an `id` and a `function` of `name` and `arguments`; write them so
        INVALID_REQUEST: the request has a message, number 1, that has an image that is no `data:` URL of a PNG, JPEG, GIF or WebP in base64; the provider is not to fetch one, so send the image itself
        INVALID_REQUEST: the request has a message, number 1, that has an image that is no `data:` URL of a PNG, JPEG, GIF or WebP in base64; the provider is not to fetch one, so send the image itself
        INVALID_REQUEST: the request has a message, number 1, that has an image that is no `data:` URL of a PNG, JPEG, GIF or WebP in base64; the provider is not to fetch one, so send the image itself
        INVALID_REQUEST: the request has a message, number 1, that has an image that is no `data:` URL of a PNG, JPEG, GIF or WebP in base64; the provider is not to fetch one, so send the image itself
        INVALID_REQUEST: the request has a message, number 1, that has an image that is no `data:` URL of a PNG, JPEG, GIF or WebP in base64; the provider is not to fetch one, so send the image itself
    "#]],
    );
    read(json!({"messages": [image("data:image/png;base64,iVBOR")]}));
    read(json!({"messages": [{"role": "assistant", "content": null}, {"role": "developer", "content": "x"}]}));
}

#[test]
fn what_would_widen_a_request_is_dropped_or_refused() {
    for name in DROPPED {
        assert_eq!(read(json!({*name: {"x": 1}})), read(json!({})), "{name}");
    }
    for name in REFUSED {
        assert!(ChatRequest::read(asked(json!({*name: {"x": 1}})), Limits::default()).is_err(), "{name}");
        assert_eq!(read(json!({*name: null})), read(json!({})), "{name}");
    }
    assert_eq!(read(json!({"seed": 1})).get("seed"), Some(&json!(1)));
}

#[test]
fn the_digest_is_of_the_canonical_json() {
    let request = read(json!({"user": "u", "seed": 1.0}));
    let canonical = br#"{"messages":[{"content":"hello","role":"user"}],"model":"fast","seed":1}"#;
    assert_eq!(request.digest(), steward_seal::Digest::of(canonical));
    assert_ne!(request.digest(), request.clone().with_max_completion(1).digest());
}

#[test]
fn the_most_tokens_keep_the_name_that_was_used() {
    for (more, most, field) in [
        (json!({}), None, "max_tokens"),
        (json!({"max_tokens": 7}), Some(7), "max_tokens"),
        (json!({"max_completion_tokens": 7}), Some(7), "max_completion_tokens"),
    ] {
        let request = read(more);
        assert_eq!(request.max_completion_tokens(), most);
        let bounded = request.with_max_completion(5);
        assert_eq!((bounded.max_completion_tokens(), bounded.get(field)), (Some(5), Some(&json!(5))));
    }
}

#[test]
fn a_prompt_is_bounded_by_its_bytes() {
    let bound = |more| read(more).prompt_bound();
    let plain = bound(json!({}));
    assert_eq!(plain, 63 + 16);
    assert!(bound(json!({"tools": [{"type": "function", "function": {"name": "f"}}]})) > plain + 40);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}});
    assert!(bound(json!({"messages": [{"role": "user", "content": [image, image]}]})) > 2 * super::IMAGE_TOKENS);
}

#[test]
fn inputs_of_vectors_have_a_form() {
    let read =
        |input: Value| EmbedRequest::read(json!({"model": "fast", "input": input, "user": "u"}), Limits::default());
    for input in [json!("a"), json!(["a", "b"]), json!([1, 2]), json!([[1], [2, 3]])] {
        assert!(read(input.clone()).unwrap().prompt_bound() > 16, "{input}");
    }
    for input in [json!(""), json!([]), json!([""]), json!([-1]), json!([[]]), json!({}), json!(null), json!([["a"]])] {
        assert_eq!(read(input.clone()).unwrap_err().code(), "INVALID_REQUEST", "{input}");
    }
    let more = json!({"model": "fast", "input": "a", "provider": {}});
    assert!(EmbedRequest::read(more, Limits::default()).is_err());
}

#[test]
fn what_is_too_large_is_refused() {
    let text = asked(json!({"messages": [{"role": "user", "content": "x".repeat(1_000)}]}));
    assert!(ChatRequest::read(text.clone(), Limits { bytes: 1_000, ..Limits::default() }).is_err());
    assert!(ChatRequest::read(text, Limits { bytes: 1_100, ..Limits::default() }).is_ok());
}
