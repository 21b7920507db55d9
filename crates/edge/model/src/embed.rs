//! What an agent asks to be put as vectors: a request as OpenAI's embeddings take it.
//!
//! ```
//! use steward_model::{EmbedRequest, Limits};
//! let asked = serde_json::json!({"model": "vectors", "input": ["a text", "another"]});
//! assert!(EmbedRequest::read(asked, Limits::default()).expect("a request").prompt_bound() > 13);
//! ```
//!
//! Deliberately absent: fields beyond [`EMBED_FIELDS`]. They are refused, since none of them is needed.

use serde_json::{Map, Value};
use steward_seal::Digest;

use crate::{
    error::ModelError,
    request::{FRAME_TOKENS, Limits, bounded, bytes, count, digest, invalid, model_of, object},
};

/// What an agent asks to be put as vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedRequest {
    body: Map<String, Value>,
}

/// The most texts of one request: what providers take.
pub const MAX_INPUTS: usize = 2_048;

/// The fields of a request for vectors. There are no others.
pub const EMBED_FIELDS: [&str; 4] = ["model", "input", "encoding_format", "dimensions"];

impl EmbedRequest {
    /// Reads a request: `input` is a text, texts, tokens or lists of tokens.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, with what to write instead.
    pub fn read(value: Value, limits: Limits) -> Result<Self, ModelError> {
        let mut body = object(value)?;
        bounded(&body, limits.bytes)?;
        body.retain(|name, value| !value.is_null() && name != "user");
        if let Some(name) = body.keys().find(|name| !EMBED_FIELDS.contains(&name.as_str())) {
            return Err(invalid(format!("has `{}`; it has {} only", name.escape_debug(), EMBED_FIELDS.join(", "))));
        }
        model_of(&body)?;
        let tokens = |list: &[Value]| !list.is_empty() && list.iter().all(Value::is_u64);
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let fits = match body.get("input") {
            Some(Value::Array(list)) => {
                let one = |value: &Value| text(value) || value.as_array().is_some_and(|list| tokens(list));
                tokens(list) || (!list.is_empty() && list.len() <= MAX_INPUTS && list.iter().all(one))
            }
            Some(value) => text(value),
            None => false,
        };
        if fits {
            Ok(Self { body })
        } else {
            Err(invalid(format!("has no `input` that is a text or a list of at most {MAX_INPUTS} texts; write one")))
        }
    }

    /// The digest of its canonical JSON (RFC 8785), which its decision is bound to.
    pub fn digest(&self) -> Digest {
        digest(&self.body)
    }

    /// The name of the model that is asked for.
    pub fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// A number of tokens that the input does not exceed: see [`ChatRequest::prompt_bound`](crate::ChatRequest::prompt_bound).
    pub fn prompt_bound(&self) -> u64 {
        let inputs = self.body.get("input").and_then(Value::as_array).map_or(1, Vec::len);
        count(bytes(&self.body).len()).saturating_add(count(inputs) * FRAME_TOKENS)
    }

    /// Every field.
    pub(crate) fn body(&self) -> &Map<String, Value> {
        &self.body
    }
}
