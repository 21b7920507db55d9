//! Anthropic's language: OpenAI's requests become messages of it, and its answers OpenAI's.
//!
//! ```text
//! let body = body(request, &provider.upstream)?;
//! let answer = whole(&body, created)?;
//! let chunks = translator.take(&event)?;
//! ```
//!
//! After the Messages API of 2023-06-01, as documented in 2026.
//!
//! Deliberately absent: what only one of them has: thinking, citations and the provider's own tools on that side; `seed`, penalties
//! and `logit_bias` on this one. They are left out.

mod answer;
mod request;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use answer::whole;
pub use request::DEFAULT_MAX_TOKENS;
pub(crate) use request::body;
pub(crate) use stream::Translator;

use reqwest::header::HeaderName;
use serde_json::{Value, json};

/// The version of the language.
pub(crate) const VERSION: (HeaderName, &str) = (HeaderName::from_static("anthropic-version"), "2023-06-01");

/// The header of the key.
pub(crate) const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Why it stopped, as OpenAI says it.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// The tokens that were read, those of a cache included.
fn prompt_tokens(usage: &Value) -> Option<u64> {
    let read = |name: &str| usage.get(name).and_then(Value::as_u64);
    let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"].map(|name| read(name).unwrap_or(0));
    Some(cached.into_iter().fold(read("input_tokens")?, u64::saturating_add))
}

/// What was used, as OpenAI says it.
fn usage(prompt: u64, completion: u64) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt.saturating_add(completion)})
}
