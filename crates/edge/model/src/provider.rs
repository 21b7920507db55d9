//! Who is asked, and how long it may take.
//!
//! ```
//! use steward_model::{Provider, WireKind};
//! let local = Provider {
//!     name: "local".to_owned(), wire: WireKind::OpenAi, base_url: "http://127.0.0.1:11434/v1".to_owned(),
//!     key: None, upstream: "llama3.2:3b".to_owned(),
//! };
//! ```
//!
//! Deliberately absent: prices, and which provider is asked when (the app's), and headers that an operator may add.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_seal::secret::{Secret, Secrets};

/// The language that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireKind {
    /// OpenAI's chat completions, as OpenRouter, Ollama, vLLM and others speak it too.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

/// A model at a provider. What it holds comes from the operator, and from nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The name that agents call it by. Circuit breakers are kept by it.
    pub name: String,
    /// The language that it speaks.
    pub wire: WireKind,
    /// Where it is, up to and with the version: `https://openrouter.ai/api/v1`.
    pub base_url: String,
    /// What it lets the node in by.
    pub key: Option<Secret>,
    /// Its own name of the model.
    pub upstream: String,
}

impl Provider {
    /// An address below its base.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.base_url.trim_end_matches('/'))
    }

    /// What is known and must not be shown, with the key.
    pub(crate) fn secrets(&self, known: &Secrets) -> Secrets {
        self.key.as_ref().map_or_else(|| known.clone(), |key| known.and(key))
    }
}

/// How long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To find, reach and greet the provider.
    pub connect: Duration,
    /// From the request to the first byte of the answer: a model thinks before it speaks, and a whole answer comes at its end.
    pub first_byte: Duration,
    /// Between two pieces of an answer: providers send a sign of life every 15 s or so.
    pub quiet: Duration,
    /// From beginning to end, repetitions and waiting for them included: longer than any answer, short enough to be noticed.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            quiet: Duration::from_secs(60),
            whole: Duration::from_secs(600),
        }
    }
}
