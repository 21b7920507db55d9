//! Calls language models: OpenAI-compatible and Anthropic's, with retries, circuit breakers and time-outs.
//!
//! ```text
//! let caller = Caller::new(clock, dice, Timeouts::default());
//! let request = ChatRequest::read(asked, Limits::default())?;     // its digest goes into the action's arguments
//! match caller.chat(warrant, &action, &provider, &request, &secrets).await? {
//!     Answer::Whole { body, usage } => …
//!     Answer::Stream(mut stream) => while let Some(chunk) = stream.next().await { … }
//! }
//! ```
//!
//! Whoever asks is an agent, and what answers may be anything. So the request is read and bounded before it is decided upon
//! ([`ChatRequest`]), is sent again only if nothing was done ([`Caller`]), and the answer is bounded, checked, and scrubbed of
//! every secret that is known, also where one is cut over many pieces ([`ChatStream`]).
//!
//! Deliberately absent: which provider is asked when another fails, budgets and prices (the app's, from [`Usage`] and
//! [`ChatRequest::prompt_bound`]), a cache, proxies, redirects, and calling the tools that a model asks for.

mod answer;
mod anthropic;
mod breaker;
mod caller;
mod embed;
mod error;
mod exchange;
mod message;
mod openai;
mod provider;
mod request;
mod scrub;
mod sse;
mod stream;
mod turn;

pub use answer::{Answer, MAX_ANSWER_BYTES, Usage, WholeAnswer};
pub use anthropic::DEFAULT_MAX_TOKENS;
pub use breaker::{BreakerState, FAILURES_TO_OPEN, FIRST_OPEN_MS, MAX_OPEN_MS};
pub use caller::Caller;
pub use embed::{EMBED_FIELDS, EmbedRequest, MAX_INPUTS};
pub use error::{MAX_MESSAGE_CHARS, ModelError};
pub use exchange::{BACKOFF_BASE_MS, BACKOFF_CAP_MS, MAX_ATTEMPTS, MAX_RETRY_AFTER_S};
pub use provider::{Provider, Timeouts, WireKind};
pub use request::{ChatRequest, DROPPED, Limits, MAX_BODY_BYTES, MAX_CHOICES, MAX_MESSAGES, MAX_TOOLS, REFUSED};
pub use sse::MAX_EVENT_BYTES;
pub use stream::{ChatStream, MAX_STREAM_BYTES, StreamOutcome};
