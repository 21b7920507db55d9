//! Messages and tools of a request: which there are, and that none has the provider fetch something.
//!
//! ```text
//! let images = check_all(body.get("messages"), limits.messages)?;
//! check_tools(body.get("tools"))?;
//! ```
//!
//! Deliberately absent: whether calls and results of tools belong together, which providers check, each in its way.

use serde_json::Value;

use crate::{
    error::ModelError,
    request::{MAX_TOOLS, invalid},
};

/// What images may be given as: themselves, so that nobody fetches them.
const IMAGES: [&str; 4] =
    ["data:image/png;base64,", "data:image/jpeg;base64,", "data:image/gif;base64,", "data:image/webp;base64,"];

/// Checks the messages, and counts their images.
pub(crate) fn check_all(messages: Option<&Value>, most: usize) -> Result<u64, ModelError> {
    let messages = match messages.and_then(Value::as_array) {
        Some(messages) if !messages.is_empty() => messages,
        _ => return Err(invalid("has no `messages`; write a list of at least one")),
    };
    if messages.len() > most {
        return Err(invalid(format!("has {} messages; write at most {most}", messages.len())));
    }
    let mut images = 0;
    for (n, message) in messages.iter().enumerate() {
        images += check(message).map_err(|why| invalid(format!("has a message, number {}, that {why}", n + 1)))?;
    }
    Ok(images)
}

fn check(message: &Value) -> Result<u64, &'static str> {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    let calls = message.get("tool_calls").filter(|calls| !calls.is_null());
    match role {
        "system" | "developer" | "user" | "assistant" => {}
        "tool" => {
            if !message.get("tool_call_id").is_some_and(Value::is_string) {
                return Err("has no `tool_call_id`; write the id of the call that it answers");
            }
        }
        _ => return Err("has no `role` of system, developer, user, assistant or tool; write one"),
    }
    if message.get("function_call").is_some_and(|call| !call.is_null()) {
        return Err("has `function_call`; write `tool_calls`");
    }
    if message.get("audio").is_some_and(|audio| !audio.is_null()) {
        return Err("has `audio`, which this node does not pass on; write text");
    }
    if let Some(calls) = calls {
        if role != "assistant" {
            return Err("has `tool_calls` and is not the assistant's; leave them out");
        }
        check_calls(calls)?;
    }
    match message.get("content") {
        Some(Value::String(_)) => Ok(0),
        Some(Value::Array(parts)) => parts.iter().map(check_part).sum(),
        None | Some(Value::Null) if role == "assistant" => Ok(0),
        _ => Err("has no `content` that is a text or a list of parts; write one"),
    }
}

fn check_calls(calls: &Value) -> Result<(), &'static str> {
    let fits = |call: &Value| {
        let function = call.get("function");
        let text = |name: &str| function.and_then(|function| function.get(name)).is_some_and(Value::is_string);
        call.get("id").is_some_and(Value::is_string)
            && call.get("type").is_none_or(|kind| kind == "function")
            && text("name")
            && text("arguments")
    };
    match calls.as_array() {
        Some(calls) if calls.iter().all(fits) => Ok(()),
        _ => {
            Err("has `tool_calls` that are not each an `id` and a `function` of `name` and `arguments`; write them so")
        }
    }
}

/// Checks a part, and counts its image.
fn check_part(part: &Value) -> Result<u64, &'static str> {
    match part.get("type").and_then(Value::as_str).unwrap_or_default() {
        kind @ ("text" | "refusal") if part.get(kind).is_some_and(Value::is_string) => Ok(0),
        "image_url" => match part.get("image_url").and_then(|image| image.get("url")).and_then(Value::as_str) {
            Some(url) if IMAGES.iter().any(|image| url.starts_with(image)) => Ok(1),
            _ => Err("has an image that is no `data:` URL of a PNG, JPEG, GIF or WebP in base64; \
                      the provider is not to fetch one, so send the image itself"),
        },
        _ => Err("has a part that is neither `text` nor `image_url`; write one of them"),
    }
}

/// Checks the tools: functions, which the agent calls, and none that the provider would.
pub(crate) fn check_tools(tools: Option<&Value>) -> Result<(), ModelError> {
    let Some(tools) = tools else { return Ok(()) };
    let fits = |tool: &Value| {
        tool.get("type").is_some_and(|kind| kind == "function")
            && tool.get("function").and_then(|function| function.get("name")).is_some_and(Value::is_string)
    };
    match tools.as_array() {
        Some(tools) if tools.len() > MAX_TOOLS => {
            Err(invalid(format!("has {} tools; write at most {MAX_TOOLS}", tools.len())))
        }
        Some(tools) if tools.iter().all(fits) => Ok(()),
        _ => Err(invalid(
            "has `tools` that are not each a `function` with a `name`; the provider's own are not passed on",
        )),
    }
}
