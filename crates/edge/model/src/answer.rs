//! Whole answers: read within bounds, checked, scrubbed, and in OpenAI's form.
//!
//! ```text
//! let bytes = read(&mut response, …).await?;
//! let answer = whole(&bytes, &asked, &secrets)?;
//! ```
//!
//! Deliberately absent: believing a provider that says nothing of what was used. Then the bounds count.

use serde::Serialize;
use serde_json::{Value, json};
use steward_seal::secret::Secrets;

use crate::{
    anthropic,
    embed::EmbedRequest,
    error::{ModelError, message_in, showable},
    openai,
    provider::{Provider, WireKind},
    request::ChatRequest,
    scrub::scrub_all,
    stream::ChatStream,
};

/// The most bytes of a whole answer, and of the text of one in pieces: more than any model writes, and all of it is in memory.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// What was used, as the provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// Tokens that were read, those from a cache included.
    pub prompt_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
}

impl Usage {
    /// From OpenAI's form. Without tokens written, none were: an embedding writes none.
    pub(crate) fn read(usage: &Value) -> Option<Self> {
        let prompt_tokens = usage.get("prompt_tokens")?.as_u64()?;
        let completion_tokens = usage.get("completion_tokens").map_or(Some(0), Value::as_u64)?;
        Some(Self { prompt_tokens, completion_tokens })
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeAnswer {
    /// The answer in OpenAI's form, scrubbed.
    pub body: Value,
    /// What was used; where the provider does not say, the most that it can have been.
    pub usage: Usage,
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// All of it.
    Whole {
        /// A `chat.completion` in OpenAI's form, scrubbed.
        body: Value,
        /// What was used; where the provider does not say, the most that it can have been.
        usage: Usage,
    },
    /// As it comes.
    Stream(Box<ChatStream>),
}

/// Reads the answer to a chat.
pub(crate) fn chat(
    bytes: &[u8],
    provider: &Provider,
    request: &ChatRequest,
    secrets: &Secrets,
    created: i64,
) -> Result<WholeAnswer, ModelError> {
    let garbage = |why| ModelError::Garbage { model: provider.name.clone(), why };
    let mut body = json_of(bytes, provider, secrets)?;
    if provider.wire == WireKind::Anthropic {
        body = anthropic::whole(&body, created).map_err(garbage)?;
    }
    openai::check_whole(&mut body).map_err(garbage)?;
    let usage = body.get("usage").and_then(Usage::read).unwrap_or_else(|| Usage {
        prompt_tokens: request.prompt_bound(),
        completion_tokens: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    });
    Ok(finish(body, provider, secrets, usage))
}

/// Reads the answer to a request for vectors.
pub(crate) fn embed(
    bytes: &[u8],
    provider: &Provider,
    request: &EmbedRequest,
    secrets: &Secrets,
) -> Result<WholeAnswer, ModelError> {
    let body = json_of(bytes, provider, secrets)?;
    let vector = |item: &Value| match item.get("embedding") {
        Some(Value::Array(numbers)) => !numbers.is_empty() && numbers.iter().all(Value::is_number),
        // In base64, if it was asked for so.
        Some(Value::String(text)) => !text.is_empty(),
        _ => false,
    };
    match body.get("data").and_then(Value::as_array) {
        Some(data) if !data.is_empty() && data.iter().all(vector) => {}
        _ => return Err(ModelError::Garbage { model: provider.name.clone(), why: "it has no `data` of embeddings" }),
    }
    let bound = Usage { prompt_tokens: request.prompt_bound(), completion_tokens: 0 };
    let usage = body.get("usage").and_then(Usage::read).unwrap_or(bound);
    Ok(finish(body, provider, secrets, usage))
}

fn json_of(bytes: &[u8], provider: &Provider, secrets: &Secrets) -> Result<Value, ModelError> {
    let model = || provider.name.clone();
    let body: Value =
        serde_json::from_slice(bytes).map_err(|_| ModelError::Garbage { model: model(), why: "it is no JSON" })?;
    if !body.is_object() {
        return Err(ModelError::Garbage { model: model(), why: "it is no object" });
    }
    match body.get("error") {
        None | Some(Value::Null) => Ok(body),
        // It said that all is well and then did not: what it did until then is not known.
        Some(_) => Err(failed(&body, provider.name.clone(), secrets)),
    }
}

/// That a provider began to answer and then told of an error.
pub(crate) fn failed(body: &Value, model: String, secrets: &Secrets) -> ModelError {
    let why = showable(&message_in(body).unwrap_or_default(), secrets);
    ModelError::CutOff { model, why: format!("broke off with an error: {why}") }
}

fn finish(mut body: Value, provider: &Provider, secrets: &Secrets, usage: Usage) -> WholeAnswer {
    scrub_all(&mut body, secrets);
    if let Some(body) = body.as_object_mut() {
        body.insert("model".to_owned(), json!(provider.name));
    }
    WholeAnswer { body, usage }
}
