//! Speaks MCP to servers of others, over a sandboxed process's lines or over HTTP.
//!
//! ```text
//! let wiki = Upstream::over_http("wiki", "https://wiki.example.org/mcp", headers, Timeouts::default()).await?;
//! let tools = Upstream::over_lines("tools", to_process, from_process, secrets, Timeouts::default()).await?;
//! let listed = wiki.list_tools().await?;                                       // tools, and what was wrong with others
//! let result = wiki.call(warrant, &action, "read_page", arguments).await?;     // the result of `tools/call`
//! wiki.close().await;
//! ```
//!
//! The newest revision of the protocol is tried first, and the older ones if the server does not know it. The server is told
//! nothing of this node but its version, and asks for nothing: sampling, elicitation and roots are refused, its progress and its
//! log are not read. What it sends has limits, and what it says in an error is shortened, made plain, and freed of the secrets
//! that it was sent.
//!
//! Deliberately absent: retries and reconnecting (who lost a connection makes another, and decides what became of a call),
//! redirects, proxies of the environment, OAuth, resources and prompts, and keeping servers that hold the runtime busy on threads
//! of their own, as `fetch` does: whom this speaks to, the operator chose.

mod client;
mod error;
mod http;
mod lines;
#[cfg(test)]
mod tests;
mod upstream;

pub use error::{MAX_QUOTED_CHARS, UpstreamError};
pub use http::{CONNECT_TIMEOUT_MS, secrets_of};
pub use lines::MAX_LINE_BYTES;
pub use upstream::{MAX_PAGES, Timeouts, Upstream};
