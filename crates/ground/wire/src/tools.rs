//! Servers of tools that stand behind the node, and their tools.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Puts an MCP server behind the node: a program that the node starts in a sandbox, or an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTool {
    /// Its name here: small letters, digits and hyphens. Its tools are called by it.
    pub name: String,
    /// How it is started: a program and its arguments. Either this, or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where it answers: `https://example.org/mcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Variables of its environment, or headers, and the names of the secrets that they hold. The secrets themselves are files in the
    /// node's home.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// Allows tools of a server from a tier on, or takes that back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowTool {
    /// The tool, by the name that its server has for it. Left out: all that are pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// From which tier on, T0 to T4. Left out: nobody may call it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// That what is suspicious about it was seen, and is meant.
    #[serde(default)]
    pub despite_findings: bool,
}

/// Something suspicious about a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolFinding {
    /// Of what kind.
    pub code: String,
    /// Where it is and what, with everything made visible.
    pub message: String,
}

/// A tool of a server, as it was pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolRecord {
    /// The name that its server has for it.
    pub name: String,
    /// The name under which agents see it.
    pub exposed: String,
    /// What it says it does.
    pub description: String,
    /// From which tier on it is allowed; left out if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Who allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<String>,
    /// The digest of its definition.
    pub pin: String,
    /// When it was pinned.
    pub pinned_at: String,
    /// Who pinned it.
    pub pinned_by: String,
    /// What its server says of it now: `same`, `changed` or `gone`; `unseen` if it was not asked.
    pub now: String,
    /// What is suspicious about it.
    pub findings: Vec<ToolFinding>,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
}

/// A server of tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolServerRecord {
    /// Its name.
    pub name: String,
    /// `stdio` or `http`.
    pub transport: String,
    /// How it is started, if it is a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where it answers, if it is an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Variables or headers, and the names of the secrets that they hold.
    pub secrets: BTreeMap<String, String>,
    /// Whether there is a connection now.
    pub connected: bool,
    /// Why it could not be asked, if it was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: String,
    /// Its tools that are pinned.
    pub tools: Vec<ToolRecord>,
    /// Tools that it has and that are not pinned.
    pub new: Vec<String>,
    /// What of its list cannot be used, and why.
    pub problems: Vec<String>,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Servers of tools, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolServerList {
    /// The servers.
    pub servers: Vec<ToolServerRecord>,
}
