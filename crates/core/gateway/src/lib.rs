//! Which tools of other MCP servers there are, what was pinned of them, and what is suspicious in them.
//!
//! ```
//! use steward_gateway::{PinnedTool, ToolDefinition, compare, inspect};
//! let item = serde_json::json!({"name": "search", "description": "Finds pages.", "inputSchema": {"type": "object"}});
//! let tool = ToolDefinition::read(&item).expect("a tool");
//! assert!(inspect(&tool).is_empty());
//! assert!(compare(&[PinnedTool { name: "search".into(), digest: tool.digest() }], &[tool]).is_empty());
//! ```
//!
//! A tool of somebody else is text that a model will read, written by somebody who may change it tomorrow. So four things hold:
//! a definition has limits ([`ToolDefinition::read`]), what a person agreed to is pinned by its digest ([`compare`]), what
//! speaks to the model behind the person's back is shown to them first ([`inspect()`], [`inspect_all`]), and what comes back of a
//! call is bounded, free of the node's secrets, and without anything that cannot be seen ([`bound`]).
//!
//! Deliberately absent: connections (that is `upstream`), what is pinned at the moment (the store's), whether a tool may be
//! called (policy's), and any promise that a tool without findings is harmless.

mod arguments;
mod definition;
mod exposed;
mod finding;
mod hidden;
mod inspect;
mod lookalike;
mod pin;
mod result;
mod speech;
mod words;

pub use arguments::check_arguments;
pub use definition::{
    Listed, MAX_ANNOTATIONS_BYTES, MAX_DESCRIPTION_BYTES, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_TITLE_BYTES,
    MAX_TOOL_NAME_BYTES, MAX_TOOLS, ToolDefinition, ToolProblem,
};
pub use exposed::{MAX_EXPOSED_CHARS, exposed_name};
pub use finding::{Finding, FindingCode};
pub use hidden::reveal;
pub use inspect::{MAX_FINDINGS, inspect, inspect_all};
pub use lookalike::OWN_TOOLS;
pub use pin::{Change, PinnedTool, compare};
pub use result::{Bounded, CallResult, MAX_BLOCKS, MAX_RESULT_BYTES, bound};
