//! Both directions, as tables: what an agent asks and what is sent, what comes and what the agent sees.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{Translator, body, whole};
use crate::{ChatRequest, Limits};

/// The same with the names of objects in order: whether they come so depends on what else is built.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let object: BTreeMap<_, _> = object.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            Value::Object(object.into_iter().collect())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// What is sent, but for the model.
fn sent(more: Value, expected: Expect) {
    let mut asked = json!({"model": "fast", "messages": [{"role": "user", "content": "hello"}]});
    for (name, value) in more.as_object().unwrap() {
        asked[name] = value.clone();
    }
    let request = ChatRequest::read(asked, Limits::default()).unwrap();
    let told = match body(&request, "claude-x") {
        Ok(mut body) => {
            assert_eq!(body.remove("model"), Some(json!("claude-x")));
            let body: BTreeMap<_, _> = body.iter().collect();
            body.iter().map(|(name, value)| format!("{name}: {}\n", sorted(value))).collect()
        }
        Err(error) => format!("{}: {error}\n", error.code()),
    };
    expected.assert_eq(&told);
}

#[test]
fn a_plain_request() {
    sent(
        json!({}),
        expect![[r#"
        max_tokens: 4096
        messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
    "#]],
    );
    sent(
        json!({"max_tokens": 9, "stop": "END", "temperature": 1.7, "top_p": 0.5, "seed": 1, "frequency_penalty": 1, "stream": true}),
        expect![[r#"
            max_tokens: 9
            messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
            stop_sequences: ["END"]
            stream: true
            temperature: 1.0
            top_p: 0.5
        "#]],
    );
    sent(
        json!({"max_completion_tokens": 9, "stop": ["a", "b"], "temperature": 0.2, "n": 1}),
        expect![[r#"
        max_tokens: 9
        messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
        stop_sequences: ["a","b"]
        temperature: 0.2
    "#]],
    );
    sent(
        json!({"n": 2}),
        expect![[r#"
        INVALID_REQUEST: the request asks for several answers, and Anthropic gives one; leave `n` out
    "#]],
    );
}

#[test]
fn a_conversation_with_tools() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": arguments}});
    sent(
        json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "be kind"}]},
            {"role": "user", "content": "look"},
            {"role": "user", "content": [
                {"type": "text", "text": "at this"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}},
            ]},
            {"role": "assistant", "content": "", "tool_calls": [call("t1", "{\"at\":[1]}"), call("t2", "")]},
            {"role": "tool", "tool_call_id": "t1", "content": "nothing"},
            {"role": "tool", "tool_call_id": "t2", "content": ""},
            {"role": "user", "content": "and now?"},
            {"role": "assistant", "content": "done", "tool_calls": null},
            {"role": "assistant", "content": null},
        ]}),
        expect![[r#"
            max_tokens: 4096
            messages: [{"content":[{"text":"look","type":"text"},{"text":"at this","type":"text"},{"source":{"data":"iVBOR","media_type":"image/png","type":"base64"},"type":"image"}],"role":"user"},{"content":[{"id":"t1","input":{"at":[1]},"name":"look","type":"tool_use"},{"id":"t2","input":{},"name":"look","type":"tool_use"}],"role":"assistant"},{"content":[{"content":[{"text":"nothing","type":"text"}],"tool_use_id":"t1","type":"tool_result"},{"tool_use_id":"t2","type":"tool_result"},{"text":"and now?","type":"text"}],"role":"user"},{"content":[{"text":"done","type":"text"}],"role":"assistant"}]
            system: "be brief\n\nbe kind"
        "#]],
    );
    sent(
        json!({"messages": [{"role": "assistant", "tool_calls": [call("t1", "[1]")]}]}),
        expect![[r#"
        INVALID_REQUEST: the request has a call of a tool whose `arguments` are no object in JSON; send it back as the model wrote it
    "#]],
    );
    sent(
        json!({"messages": [{"role": "assistant", "tool_calls": [call("t1", "{")]}]}),
        expect![[r#"
        INVALID_REQUEST: the request has a call of a tool whose `arguments` are no object in JSON; send it back as the model wrote it
    "#]],
    );
}

#[test]
fn tools_and_choices_among_them() {
    let look = json!({"type": "function", "function": {
        "name": "look", "description": "Looks.", "strict": true, "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    }});
    let bare = json!({"type": "function", "function": {"name": "bare"}});
    sent(
        json!({"tools": [look, bare]}),
        expect![[r#"
        max_tokens: 4096
        messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
        tools: [{"description":"Looks.","input_schema":{"properties":{"at":{"type":"string"}},"type":"object"},"name":"look","strict":true},{"input_schema":{"properties":{},"type":"object"},"name":"bare"}]
    "#]],
    );
    for (more, expected) in [
        (
            json!({"tool_choice": "auto"}),
            expect![[r#"
            max_tokens: 4096
            messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
            tool_choice: {"type":"auto"}
            tools: [{"input_schema":{"properties":{},"type":"object"},"name":"bare"}]
        "#]],
        ),
        (
            json!({"tool_choice": "none", "parallel_tool_calls": false}),
            expect![[r#"
            max_tokens: 4096
            messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
            tool_choice: {"type":"none"}
            tools: [{"input_schema":{"properties":{},"type":"object"},"name":"bare"}]
        "#]],
        ),
        (
            json!({"tool_choice": "required", "parallel_tool_calls": false}),
            expect![[r#"
            max_tokens: 4096
            messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
            tool_choice: {"disable_parallel_tool_use":true,"type":"any"}
            tools: [{"input_schema":{"properties":{},"type":"object"},"name":"bare"}]
        "#]],
        ),
        (
            json!({"parallel_tool_calls": false}),
            expect![[r#"
            max_tokens: 4096
            messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
            tool_choice: {"disable_parallel_tool_use":true,"type":"auto"}
            tools: [{"input_schema":{"properties":{},"type":"object"},"name":"bare"}]
        "#]],
        ),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "bare"}}}),
            expect![[r#"
            max_tokens: 4096
            messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
            tool_choice: {"name":"bare","type":"tool"}
            tools: [{"input_schema":{"properties":{},"type":"object"},"name":"bare"}]
        "#]],
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools"}}),
            expect![[r#"
            INVALID_REQUEST: the request has a `tool_choice` that is neither `auto`, `none`, `required` nor a function; write one of them
        "#]],
        ),
    ] {
        let mut asked = more;
        asked["tools"] = json!([bare]);
        sent(asked, expected);
    }
    // Without tools there is nothing to choose.
    sent(
        json!({"tools": [], "tool_choice": "auto"}),
        expect![[r#"
        max_tokens: 4096
        messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
    "#]],
    );
}

#[test]
fn the_form_of_the_answer() {
    sent(
        json!({"response_format": {"type": "text"}}),
        expect![[r#"
        max_tokens: 4096
        messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
    "#]],
    );
    let schema = json!({"name": "x", "strict": true, "schema": {"type": "object"}});
    sent(
        json!({"response_format": {"type": "json_schema", "json_schema": schema}}),
        expect![[r#"
        max_tokens: 4096
        messages: [{"content":[{"text":"hello","type":"text"}],"role":"user"}]
        output_config: {"format":{"schema":{"type":"object"},"type":"json_schema"}}
    "#]],
    );
    sent(
        json!({"response_format": {"type": "json_object"}}),
        expect![[r#"
        INVALID_REQUEST: the request has a `response_format` that Anthropic does not have; write `json_schema` with a schema
    "#]],
    );
}

fn came(body: Value, expected: Expect) {
    let told = match whole(&body, 7) {
        Ok(answer) => serde_json::to_string_pretty(&sorted(&answer)).unwrap(),
        Err(why) => why.to_owned(),
    };
    expected.assert_eq(&format!("{told}\n"));
}

#[test]
fn whole_answers() {
    came(
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "tool_use",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I "},
                {"type": "text", "text": "look"},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}},
            ],
            "usage": {"input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 2},
        }),
        expect![[r#"
            {
              "choices": [
                {
                  "finish_reason": "tool_calls",
                  "index": 0,
                  "message": {
                    "content": "I look",
                    "role": "assistant",
                    "tool_calls": [
                      {
                        "function": {
                          "arguments": "{\"at\":\"it\"}",
                          "name": "look"
                        },
                        "id": "t1",
                        "type": "function"
                      }
                    ]
                  }
                }
              ],
              "created": 7,
              "id": "msg_1",
              "object": "chat.completion",
              "usage": {
                "completion_tokens": 2,
                "prompt_tokens": 115,
                "total_tokens": 117
              }
            }
        "#]],
    );
    came(
        json!({"content": [], "stop_reason": "refusal"}),
        expect![[r#"
        {
          "choices": [
            {
              "finish_reason": "content_filter",
              "index": 0,
              "message": {
                "content": null,
                "role": "assistant"
              }
            }
          ],
          "created": 7,
          "id": "",
          "object": "chat.completion"
        }
    "#]],
    );
    for body in [
        json!({}),
        json!({"content": "hi"}),
        json!({"content": [{"text": "hi"}]}),
        json!({"content": [{"type": "text"}]}),
        json!({"content": [{"type": "tool_use", "id": "t", "input": {}}]}),
        json!({"content": [{"type": "tool_use", "name": "f", "input": {}}]}),
        json!({"content": [{"type": "tool_use", "id": "t", "name": "f", "input": "{}"}]}),
    ] {
        assert!(whole(&body, 7).is_err(), "{body}");
    }
}

#[test]
fn reasons_to_finish() {
    for (theirs, ours) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something new", "stop"),
    ] {
        let answer = whole(&json!({"content": [], "stop_reason": theirs}), 7).unwrap();
        assert_eq!(answer["choices"][0]["finish_reason"], ours, "{theirs}");
    }
}

#[test]
fn a_streamed_conversation() {
    let mut translator = Translator::new(7);
    let mut told = String::new();
    for event in [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
            "model": "claude-x", "stop_reason": null, "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I look"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "look", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"at\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "t2", "name": "wait", "input": {}}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "something_new"}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 15}}),
        json!({"type": "message_stop"}),
    ] {
        for mut chunk in translator.take(&event).unwrap() {
            assert_eq!((&chunk["id"], &chunk["object"]), (&json!("msg_1"), &json!("chat.completion.chunk")));
            let chunk = chunk.as_object_mut().unwrap();
            chunk.retain(|name, _| name == "choices" || name == "usage");
            told += &format!("{}\n", sorted(&json!(chunk)));
        }
    }
    assert!(translator.is_done());
    expect![[r#"
        {"choices":[{"delta":{"content":"","role":"assistant"},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"content":"I look"},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"","name":"look"},"id":"t1","index":0,"type":"function"}]},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":""},"index":0}]},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\"at\":"},"index":0}]},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"1}"},"index":0}]},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"","name":"wait"},"id":"t2","index":1,"type":"function"}]},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"},"index":1}]},"finish_reason":null,"index":0}]}
        {"choices":[{"delta":{},"finish_reason":"tool_calls","index":0}]}
        {"choices":[],"usage":{"completion_tokens":15,"prompt_tokens":30,"total_tokens":45}}
    "#]].assert_eq(&told);
}

#[test]
fn what_is_no_event() {
    for event in [
        json!({}),
        json!({"type": "content_block_start", "index": 0}),
        json!({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "name": "f"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t"}}),
        json!({"type": "content_block_delta", "index": 0}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 7}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta"}}),
    ] {
        assert!(Translator::new(7).take(&event).is_err(), "{event}");
    }
}
