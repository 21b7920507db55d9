//! A whole answer of Anthropic's, as OpenAI's `chat.completion`.
//!
//! ```text
//! let answer = whole(&body, created)?;
//! ```
//!
//! Deliberately absent: scrubbing and the name of the model, which come after, as for every answer.

use serde_json::{Value, json};

use super::{finish_reason, prompt_tokens, usage};

/// Translates an answer.
pub(crate) fn whole(body: &Value, created: i64) -> Result<Value, &'static str> {
    let blocks = body.get("content").and_then(Value::as_array).ok_or("it has no `content`")?;
    let (mut text, mut calls) = (None::<String>, Vec::new());
    for block in blocks {
        let string = |name: &str| block.get(name).and_then(Value::as_str);
        match string("type").ok_or("a block has no `type`")? {
            "text" => text.get_or_insert_default().push_str(string("text").ok_or("a block has no `text`")?),
            "tool_use" => {
                let name = string("name").ok_or("a call of a tool has no `name`")?;
                let input =
                    block.get("input").filter(|input| input.is_object()).ok_or("a call of a tool has no `input`")?;
                let id = string("id").ok_or("a call of a tool has no `id`")?;
                calls.push(json!({
                    "id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()},
                }));
            }
            _ => {}
        }
    }
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let reason = body.get("stop_reason").and_then(Value::as_str).map_or("stop", finish_reason);
    let mut answer = json!({
        "id": body.get("id").and_then(Value::as_str).unwrap_or_default(),
        "object": "chat.completion",
        "created": created,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    });
    let used = body
        .get("usage")
        .and_then(|used| Some(usage(prompt_tokens(used)?, used.get("output_tokens").and_then(Value::as_u64)?)));
    if let Some(used) = used {
        answer["usage"] = used;
    }
    Ok(answer)
}
