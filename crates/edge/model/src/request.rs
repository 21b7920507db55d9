//! What an agent asks of a model: a request as OpenAI's chat completions take it, read once and bounded.
//!
//! ```
//! use steward_model::{ChatRequest, Limits};
//! let asked = serde_json::json!({"model": "fast", "messages": [{"role": "user", "content": "hello"}]});
//! let request = ChatRequest::read(asked, Limits::default()).expect("a request").with_max_completion(512);
//! assert_eq!(request.max_completion_tokens(), Some(512));
//! assert!(request.prompt_bound() > 5 && !request.wants_stream());
//! ```
//!
//! Fields that are not known go to a provider of OpenAI's language as they are, but for two lists: [`DROPPED`], which are not for
//! an agent to say or would let a secret through, and [`REFUSED`], without which the request would mean something else.
//!
//! Deliberately absent: whether the agent may (policy and packet), and what it costs (the app has prices).

use serde_json::{Map, Value, json};
use steward_seal::{Digest, json::canonical};

use crate::{error::ModelError, message};

/// The most bytes of a request: a long context as text. The node holds it in memory, some times over.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The most messages: more than the longest run has steps.
pub const MAX_MESSAGES: usize = 2_000;

/// The most answers to one request: each costs as much as one request.
pub const MAX_CHOICES: u64 = 4;

/// The most tools: what providers take.
pub const MAX_TOOLS: usize = 128;

/// What a message's frame may cost beyond its bytes, in tokens: role, name, and the marks around them.
pub(crate) const FRAME_TOKENS: u64 = 16;

/// What an image may cost at most, in tokens, however few bytes it has: the dearest that we know of takes 2,833 and eight tiles
/// of 5,667 (gpt-4o-mini).
const IMAGE_TOKENS: u64 = 48_169;

/// Fields that are taken out. Who asks, what is kept and which service is used is between the node and the provider; the rest
/// answers in pieces that cannot be scrubbed (`logprobs`), or is about caches and speed.
pub const DROPPED: &[&str] = &[
    "store",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
    "logprobs",
    "top_logprobs",
    "session_id",
    "trace",
    "usage",
    "keep_alive",
];

/// Fields that are refused: they have the provider fetch or search, choose another model, keep on working afterwards, cost more
/// than is counted here, or ask in another way than by messages.
pub const REFUSED: &[&str] = &[
    "web_search_options",
    "provider",
    "models",
    "route",
    "transforms",
    "plugins",
    "preset",
    "extra_body",
    "background",
    "audio",
    "modalities",
    "best_of",
    "functions",
    "function_call",
    "prompt",
    "input",
    "conversation",
    "previous_response_id",
    "mcp_servers",
    "container",
];

/// What a request may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its canonical JSON; [`MAX_BODY_BYTES`].
    pub bytes: usize,
    /// Messages; [`MAX_MESSAGES`].
    pub messages: usize,
    /// Answers; [`MAX_CHOICES`].
    pub choices: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: MAX_BODY_BYTES, messages: MAX_MESSAGES, choices: MAX_CHOICES }
    }
}

/// A request that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    body: Map<String, Value>,
    images: u64,
}

impl ChatRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, with what to write instead.
    pub fn read(value: Value, limits: Limits) -> Result<Self, ModelError> {
        let mut body = object(value)?;
        bounded(&body, limits.bytes)?;
        // `null` is how some libraries write that a field is not given.
        body.retain(|name, value| !value.is_null() && !DROPPED.contains(&name.as_str()));
        if let Some(name) = REFUSED.iter().find(|name| body.contains_key(**name)) {
            return Err(invalid(format!("has `{name}`, which this node does not pass on; leave it out")));
        }
        model_of(&body)?;
        let images = message::check_all(body.get("messages"), limits.messages)?;
        message::check_tools(body.get("tools"))?;
        for name in ["max_tokens", "max_completion_tokens"] {
            if body.get(name).is_some_and(|value| value.as_u64().is_none_or(|tokens| tokens == 0)) {
                return Err(invalid(format!(
                    "has a `{name}` that is no whole number from 1; write one, or leave it out"
                )));
            }
        }
        if body.contains_key("max_tokens") && body.contains_key("max_completion_tokens") {
            return Err(invalid("has both `max_tokens` and `max_completion_tokens`; write one of them"));
        }
        if body.get("n").is_some_and(|n| !n.as_u64().is_some_and(|n| (1..=limits.choices).contains(&n))) {
            return Err(invalid(format!("has an `n` that is no whole number from 1 to {}; write one", limits.choices)));
        }
        if body.get("stream").is_some_and(|stream| !stream.is_boolean()) {
            return Err(invalid("has a `stream` that is neither true nor false; write one of them"));
        }
        let options = body.get("stream_options");
        let usage = options.and_then(|options| options.get("include_usage"));
        if options.is_some_and(|o| !o.is_object()) || usage.is_some_and(|usage| !usage.is_boolean()) {
            return Err(invalid(
                "has `stream_options` that are not such as `{\"include_usage\": true}`; write them so",
            ));
        }
        Ok(Self { body, images })
    }

    /// The digest of its canonical JSON (RFC 8785), which its decision is bound to.
    pub fn digest(&self) -> Digest {
        digest(&self.body)
    }

    /// The name of the model that is asked for.
    pub fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the answer is to come in pieces.
    pub fn wants_stream(&self) -> bool {
        self.body.get("stream").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether a stream is to tell at its end what was used.
    pub fn asked_for_usage(&self) -> bool {
        let options = self.body.get("stream_options");
        options.and_then(|options| options.get("include_usage")).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The most tokens that each answer may have, if it says.
    pub fn max_completion_tokens(&self) -> Option<u64> {
        self.body.get(self.max_field()).and_then(Value::as_u64)
    }

    /// The same request, of which each answer may have so many tokens.
    #[must_use]
    pub fn with_max_completion(mut self, tokens: u64) -> Self {
        let field = self.max_field();
        self.body.insert(field.to_owned(), json!(tokens));
        self
    }

    fn max_field(&self) -> &'static str {
        if self.body.contains_key("max_completion_tokens") { "max_completion_tokens" } else { "max_tokens" }
    }

    /// How many answers are asked for.
    pub fn choices(&self) -> u64 {
        self.body.get("n").and_then(Value::as_u64).unwrap_or(1)
    }

    /// A number of tokens that the prompt does not exceed: each has a byte at least where tokens are made of bytes, and there
    /// is something for the frame of each message, and for each image. Every field is counted, since any may reach the model.
    pub fn prompt_bound(&self) -> u64 {
        let messages = self.body.get("messages").and_then(Value::as_array).map_or(0, Vec::len);
        let bytes = bytes(&self.body).len();
        count(bytes).saturating_add(count(messages) * FRAME_TOKENS).saturating_add(self.images * IMAGE_TOKENS)
    }

    /// A field.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.body.get(name)
    }

    /// Every field.
    pub(crate) fn body(&self) -> &Map<String, Value> {
        &self.body
    }
}

/// That a request cannot be sent as it is.
pub(crate) fn invalid(why: impl Into<String>) -> ModelError {
    ModelError::Invalid(why.into())
}

/// The fields of a request.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>, ModelError> {
    match value {
        Value::Object(body) => Ok(body),
        _ => Err(invalid("is no object; write one with `model` in it")),
    }
}

/// That it names a model.
pub(crate) fn model_of(body: &Map<String, Value>) -> Result<(), ModelError> {
    let named = body.get("model").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if named { Ok(()) } else { Err(invalid("does not name a `model`; write one that this node has")) }
}

/// That it has a canonical form, of at most so many bytes.
pub(crate) fn bounded(body: &Map<String, Value>, most: usize) -> Result<(), ModelError> {
    let bytes =
        canonical(body).map_err(|why| invalid(format!("cannot be put on record: {why}; write it otherwise")))?;
    if bytes.len() <= most {
        return Ok(());
    }
    Err(invalid(format!("has {} bytes; write at most {most}", bytes.len())))
}

/// Its canonical form.
pub(crate) fn bytes(body: &Map<String, Value>) -> Vec<u8> {
    canonical(body).expect("it had a canonical form when it was read, and only whole numbers were put in")
}

/// The digest of its canonical form.
pub(crate) fn digest(body: &Map<String, Value>) -> Digest {
    Digest::of(&bytes(body))
}

/// A number of things in memory.
pub(crate) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
