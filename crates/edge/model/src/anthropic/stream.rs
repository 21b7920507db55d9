//! A stream of Anthropic's, as OpenAI's `chat.completion.chunk`s.
//!
//! ```text
//! for chunk in translator.take(&event)? { /* … */ }
//! if translator.is_done() { /* `message_stop` came */ }
//! ```
//!
//! Deliberately absent: `error` events, which mean the same in every stream and are seen before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{finish_reason, prompt_tokens, usage};

/// The most blocks of one message: each call of a tool is one.
const MAX_BLOCKS: usize = 1_024;

/// What of a message has come.
#[derive(Debug)]
pub(crate) struct Translator {
    created: i64,
    id: String,
    /// Blocks that are calls of tools, by their index: the number of the call, and whether any of its input has come.
    calls: BTreeMap<u64, (usize, bool)>,
    prompt: Option<u64>,
    completion: Option<u64>,
    done: bool,
}

impl Translator {
    pub(crate) fn new(created: i64) -> Self {
        Self { created, id: String::new(), calls: BTreeMap::new(), prompt: None, completion: None, done: false }
    }

    /// Whether the message is over.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Translates an event. Kinds that are not known say nothing, as Anthropic asks.
    pub(crate) fn take(&mut self, event: &Value) -> Result<Vec<Value>, &'static str> {
        let string =
            |of: Option<&Value>, name: &str| of.and_then(|of| of.get(name)).and_then(Value::as_str).map(str::to_owned);
        let index = event.get("index").and_then(Value::as_u64);
        let one = |delta: Value, reason: Option<&str>| Ok(vec![self.chunk(delta, reason)]);
        match string(Some(event), "type").ok_or("an event has no `type`")?.as_str() {
            "message_start" => {
                let message = event.get("message");
                self.id = string(message, "id").unwrap_or_default();
                self.note(message.and_then(|message| message.get("usage")));
                Ok(vec![self.chunk(json!({"role": "assistant", "content": ""}), None)])
            }
            "content_block_start" => {
                let block = event.get("content_block");
                match string(block, "type").ok_or("a block has no `type`")?.as_str() {
                    "text" => match string(block, "text") {
                        Some(text) if !text.is_empty() => one(json!({"content": text}), None),
                        _ => Ok(Vec::new()),
                    },
                    "tool_use" => {
                        let index = index.ok_or("a block has no `index`")?;
                        let id = string(block, "id").ok_or("a call of a tool has no `id`")?;
                        let name = string(block, "name").ok_or("a call of a tool has no `name`")?;
                        let call = self.calls.len();
                        if call >= MAX_BLOCKS || self.calls.insert(index, (call, false)).is_some() {
                            return Err("it has too many blocks, or two of one number");
                        }
                        let function = json!({"name": name, "arguments": ""});
                        let start = json!({"index": call, "id": id, "type": "function", "function": function});
                        Ok(vec![self.chunk(json!({"tool_calls": [start]}), None)])
                    }
                    _ => Ok(Vec::new()),
                }
            }
            "content_block_delta" => {
                let delta = event.get("delta");
                match string(delta, "type").ok_or("a piece has no `type`")?.as_str() {
                    "text_delta" => {
                        one(json!({"content": string(delta, "text").ok_or("a piece has no `text`")?}), None)
                    }
                    "input_json_delta" => {
                        let json = string(delta, "partial_json").ok_or("a piece has no `partial_json`")?;
                        // Tools of the provider's own, which were not asked for, have no number.
                        let Some((call, any)) = index.and_then(|index| self.calls.get_mut(&index)) else {
                            return Ok(Vec::new());
                        };
                        *any |= !json.is_empty();
                        let call = *call;
                        Ok(vec![self.arguments(call, &json)])
                    }
                    _ => Ok(Vec::new()),
                }
            }
            // A call without arguments has no pieces, and is an empty object in OpenAI's form.
            "content_block_stop" => match index.and_then(|index| self.calls.get_mut(&index)) {
                Some((call, any @ false)) => {
                    *any = true;
                    let call = *call;
                    Ok(vec![self.arguments(call, "{}")])
                }
                _ => Ok(Vec::new()),
            },
            "message_delta" => {
                self.note(event.get("usage"));
                match string(event.get("delta"), "stop_reason") {
                    Some(reason) => Ok(vec![self.chunk(json!({}), Some(finish_reason(&reason)))]),
                    None => Ok(Vec::new()),
                }
            }
            "message_stop" => {
                self.done = true;
                let (Some(prompt), Some(completion)) = (self.prompt, self.completion) else { return Ok(Vec::new()) };
                let mut chunk = self.chunk(json!({}), None);
                chunk["choices"] = json!([]);
                chunk["usage"] = usage(prompt, completion);
                Ok(vec![chunk])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn note(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage else { return };
        self.prompt = prompt_tokens(usage).or(self.prompt);
        self.completion = usage.get("output_tokens").and_then(Value::as_u64).or(self.completion);
    }

    fn arguments(&self, call: usize, json: &str) -> Value {
        self.chunk(json!({"tool_calls": [{"index": call, "function": {"arguments": json}}]}), None)
    }

    fn chunk(&self, delta: Value, reason: Option<&str>) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
    }
}
