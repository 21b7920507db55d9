//! Tools of other MCP servers: which servers there are, what was pinned of their tools, and from which tier on a person allowed each.
//!
//! ```text
//! add(&context, &caller, NewServer { … }).await?;                  // who may be asked, and how
//! pin(&context, &caller, &server, &definitions).await?;            // what they say of their tools, as it is now
//! allow(&context, &caller, &server, Some("read_file"), Some(Tier::T1)).await?;
//! ```
//!
//! A tool that is pinned is not allowed yet, and one that is pinned anew with another definition is no longer allowed: somebody looks
//! at it first. What a person approved in the inbox stays allowed, unless something in it is suspicious.
//!
//! Deliberately absent: speaking to a server (flows), and judging what it says (gateway).

pub mod rows;
mod verbs;

pub use rows::{MIGRATIONS, ServerRow, ToolRow, Transport};
pub use verbs::{MAX_SERVERS, NewServer, add, allow, definition, find, findings, pin, remove, repin, servers};
