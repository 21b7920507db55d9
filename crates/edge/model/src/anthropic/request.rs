//! A request of an agent, as Anthropic's messages.
//!
//! ```text
//! let body = body(request, "claude-sonnet-4-5")?;
//! ```
//!
//! System messages come first and together; results of tools and what else one side says in a row become one message.
//!
//! Deliberately absent: several answers, and JSON without a schema, which Anthropic does not have: they are refused.

use serde_json::{Map, Value, json};

use crate::{
    error::ModelError,
    request::{ChatRequest, invalid},
};

/// The most tokens of an answer where the request does not say: Anthropic wants a number.
pub const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// The highest temperature that Anthropic takes; OpenAI's go to 2.
const MAX_TEMPERATURE: f64 = 1.0;

/// Translates a request.
pub(crate) fn body(request: &ChatRequest, upstream: &str) -> Result<Map<String, Value>, ModelError> {
    if request.choices() > 1 {
        return Err(invalid("asks for several answers, and Anthropic gives one; leave `n` out"));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(upstream));
    body.insert("max_tokens".to_owned(), json!(request.max_completion_tokens().unwrap_or(DEFAULT_MAX_TOKENS)));
    let (system, messages) = messages(request)?;
    if !system.is_empty() {
        body.insert("system".to_owned(), json!(system));
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    if let Some(tools) = request.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty()) {
        body.insert("tools".to_owned(), tools.iter().map(tool).collect());
        if let Some(choice) = tool_choice(request)? {
            body.insert("tool_choice".to_owned(), choice);
        }
    }
    match request.get("stop") {
        Some(Value::String(stop)) => drop(body.insert("stop_sequences".to_owned(), json!([stop]))),
        Some(Value::Array(stops)) => drop(body.insert("stop_sequences".to_owned(), json!(stops))),
        _ => {}
    }
    if let Some(temperature) = request.get("temperature").and_then(Value::as_f64) {
        body.insert("temperature".to_owned(), json!(temperature.min(MAX_TEMPERATURE)));
    }
    for name in ["top_p", "top_k"] {
        if let Some(value) = request.get(name) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(format) = output_format(request)? {
        body.insert("output_config".to_owned(), json!({ "format": format }));
    }
    if request.wants_stream() {
        body.insert("stream".to_owned(), json!(true));
    }
    Ok(body)
}

/// The system's words, and the messages.
fn messages(request: &ChatRequest) -> Result<(String, Vec<Value>), ModelError> {
    let mut system: Vec<String> = Vec::new();
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in request.get("messages").and_then(Value::as_array).into_iter().flatten() {
        let content = message.get("content");
        let (role, blocks) = match message.get("role").and_then(Value::as_str).unwrap_or_default() {
            "system" | "developer" => {
                system.push(text_of(content));
                continue;
            }
            "assistant" => {
                let mut blocks = blocks(content);
                for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                    blocks.push(tool_use(call)?);
                }
                ("assistant", blocks)
            }
            "tool" => {
                let mut result = json!({"type": "tool_result", "tool_use_id": message.get("tool_call_id")});
                let blocks = blocks(content);
                if !blocks.is_empty() {
                    result["content"] = Value::Array(blocks);
                }
                ("user", vec![result])
            }
            _ => ("user", blocks(content)),
        };
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, turn)) if *last == role => turn.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    system.retain(|text| !text.is_empty());
    let messages = turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks}));
    Ok((system.join("\n\n"), messages.collect()))
}

/// The texts of a content, joined.
fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    }
}

/// The blocks of a content. Empty ones are refused by Anthropic, and say nothing.
fn blocks(content: Option<&Value>) -> Vec<Value> {
    let text = |text: &str| (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
    match content {
        Some(Value::String(whole)) => text(whole).into_iter().collect(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| match part.get("image_url") {
                Some(image) => source(image),
                None => text(part.get("text").or_else(|| part.get("refusal"))?.as_str()?),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// An image that is given itself, as `data:image/png;base64,…`; others were refused when the request was read.
fn source(image: &Value) -> Option<Value> {
    let (media_type, data) = image.get("url")?.as_str()?.strip_prefix("data:")?.split_once(";base64,")?;
    Some(json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}))
}

fn tool_use(call: &Value) -> Result<Value, ModelError> {
    let function = call.get("function");
    let field = |name: &str| function.and_then(|function| function.get(name));
    let arguments = field("arguments").and_then(Value::as_str).unwrap_or_default();
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    let input: Value = serde_json::from_str(arguments).ok().filter(Value::is_object).ok_or_else(|| {
        invalid("has a call of a tool whose `arguments` are no object in JSON; send it back as the model wrote it")
    })?;
    Ok(json!({"type": "tool_use", "id": call.get("id"), "name": field("name"), "input": input}))
}

fn tool(tool: &Value) -> Value {
    let field =
        |name: &str| tool.get("function").and_then(|function| function.get(name)).filter(|field| !field.is_null());
    let nothing = || json!({"type": "object", "properties": {}});
    let mut told = json!({
        "name": field("name"),
        "input_schema": field("parameters").cloned().unwrap_or_else(nothing),
    });
    for name in ["description", "strict"] {
        if let Some(value) = field(name) {
            told[name] = value.clone();
        }
    }
    told
}

fn tool_choice(request: &ChatRequest) -> Result<Option<Value>, ModelError> {
    let alone = request.get("parallel_tool_calls") == Some(&Value::Bool(false));
    let mut choice = match request.get("tool_choice") {
        None if alone => json!({"type": "auto"}),
        None => return Ok(None),
        Some(choice) => match (choice.as_str(), choice.get("function").and_then(|function| function.get("name"))) {
            (Some("auto"), _) => json!({"type": "auto"}),
            (Some("none"), _) => return Ok(Some(json!({"type": "none"}))),
            (Some("required"), _) => json!({"type": "any"}),
            (None, Some(name)) => json!({"type": "tool", "name": name}),
            _ => {
                return Err(invalid(
                    "has a `tool_choice` that is neither `auto`, `none`, `required` nor a function; write one of them",
                ));
            }
        },
    };
    if alone {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    Ok(Some(choice))
}

fn output_format(request: &ChatRequest) -> Result<Option<Value>, ModelError> {
    let Some(format) = request.get("response_format") else { return Ok(None) };
    let schema = format.get("json_schema").and_then(|named| named.get("schema"));
    match (format.get("type").and_then(Value::as_str), schema) {
        (Some("text"), _) => Ok(None),
        (Some("json_schema"), Some(schema)) => Ok(Some(json!({"type": "json_schema", "schema": schema}))),
        _ => Err(invalid("has a `response_format` that Anthropic does not have; write `json_schema` with a schema")),
    }
}
