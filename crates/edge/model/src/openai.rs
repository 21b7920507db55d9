//! OpenAI's language: what is sent, and whether what comes back is well formed.
//!
//! ```text
//! let body = body(request, &provider.upstream);
//! check_whole(&mut answer)?;
//! check_delta(&mut delta, &mut named)?;
//! ```
//!
//! Deliberately absent: types for what passes through. An answer is for the agent; only what it could trip over is checked.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::request::ChatRequest;

/// What is sent: the request with the provider's name of the model. A stream always tells at its end what was used.
pub(crate) fn body(request: &ChatRequest, upstream: &str) -> Map<String, Value> {
    let mut body = request.body().clone();
    body.insert("model".to_owned(), json!(upstream));
    if request.wants_stream() {
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    } else {
        body.remove("stream_options");
    }
    body
}

/// Checks a whole answer, and takes out what would tell its text in another way.
pub(crate) fn check_whole(answer: &mut Value) -> Result<(), &'static str> {
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut).ok_or("it has no `choices`")?;
    if choices.is_empty() {
        return Err("its `choices` are empty");
    }
    for choice in choices {
        forget_logprobs(choice);
        let message = choice.get("message").and_then(Value::as_object).ok_or("a choice has no `message`")?;
        if !matches!(message.get("content"), None | Some(Value::Null | Value::String(_) | Value::Array(_))) {
            return Err("the `content` of a message is no text");
        }
        match message.get("tool_calls") {
            None | Some(Value::Null) => {}
            Some(Value::Array(calls)) => {
                let text = |call: &Value, name: &str| {
                    call.get("function").and_then(|f| f.get(name)).is_some_and(Value::is_string)
                };
                if !calls.iter().all(|call| text(call, "name") && text(call, "arguments")) {
                    return Err(BAD_CALL);
                }
            }
            Some(_) => return Err(BAD_CALL),
        }
    }
    Ok(())
}

const BAD_CALL: &str = "a call of a tool has no `name` and `arguments` that are texts";

/// Tokens one by one, with their bytes, would show what is scrubbed from the text.
pub(crate) fn forget_logprobs(choice: &mut Value) {
    if let Some(choice) = choice.as_object_mut() {
        choice.remove("logprobs");
    }
}

/// Checks a piece of an answer. `named` are the calls of tools that have a name already.
pub(crate) fn check_delta(
    choice: u64,
    delta: &mut Value,
    named: &mut BTreeSet<(u64, u64)>,
) -> Result<(), &'static str> {
    let delta = delta.as_object_mut().ok_or("a `delta` is no object")?;
    if !matches!(delta.get("content"), None | Some(Value::Null | Value::String(_) | Value::Array(_))) {
        return Err("the `content` of a piece is no text");
    }
    let calls = match delta.get_mut("tool_calls") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(calls)) => calls,
        Some(_) => return Err(BAD_CALL),
    };
    for (at, call) in calls.iter_mut().enumerate() {
        let at = u64::try_from(at).map_err(|_| BAD_CALL)?;
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(at);
        let mut has_name = false;
        match call.get_mut("function") {
            None | Some(Value::Null) => {}
            Some(Value::Object(function)) => {
                // Some write `null` for what does not change.
                function.retain(|_, field| !field.is_null());
                has_name = function.contains_key("name");
                if !["name", "arguments"].iter().all(|name| function.get(*name).is_none_or(Value::is_string)) {
                    return Err(BAD_CALL);
                }
            }
            Some(_) => return Err(BAD_CALL),
        }
        if !has_name && !named.contains(&(choice, index)) {
            return Err(BAD_CALL);
        }
        named.insert((choice, index));
    }
    Ok(())
}
