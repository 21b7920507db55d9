//! The tools that a run is begun with, as they are shown to its agent: what its packet could ever allow.
//!
//! They stay the same for as long as the run lasts, whatever its phase: a phase is enforced at the call.
//!
//! Deliberately absent: what a call does (call.rs), and the words of a protocol.

use serde_json::{Value, json};
use steward_app_node::{Caller, Context, Error};
use steward_app_tools::ToolRow;
use steward_gateway::exposed_name;
use steward_governor::Packet;
use steward_permit::{ActionName, ResourceKind};
use steward_policy::Question;

use super::{leases::may_have, protocol};

/// A tool, as it is shown to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Its name, of letters, digits, `_` and `-`, so that every model can say it.
    pub name: String,
    /// The name by which the run knows it: of a governed action the action's.
    pub tool: String,
    /// What it does, and when it may be called.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// Whether it changes nothing.
    pub reads_only: bool,
    /// Of a tool of another MCP server: the server, and the tool's own name.
    pub of: Option<(String, String)>,
}

/// The governed actions of the node that are tools: name, description, arguments.
const ACTIONS: [(&str, &str, &str); 5] = [
    (
        "fs.read",
        "Reads a file of your own folder. Allowed in PLAN and EXECUTE, within the packet's scope. Binary content comes as content_base64.",
        r#"{"path":{"type":"string","description":"an absolute path of your own folder, such as /reports/a.md"}}"#,
    ),
    (
        "fs.write",
        "Writes a file of your own folder, whole or not at all. Allowed in EXECUTE, within the packet's scope. Give content, or content_base64 for what is not text.",
        r#"{"path":{"type":"string","description":"an absolute path of your own folder, such as /reports/a.md"},"content":{"type":"string"},"content_base64":{"type":"string"}}"#,
    ),
    (
        "exec",
        "Runs a program in a sandbox of its own, without a shell and without a network. Your folder is at /files, read-only. Allowed in EXECUTE, within the packet's scope. A program that ends with another code than 0 is no error: look at code.",
        r#"{"argv":{"type":"array","items":{"type":"string"},"minItems":1,"description":"the program and its arguments"}}"#,
    ),
    (
        "shell",
        "Runs a script with /bin/sh in a sandbox of its own, without a network. Your folder is at /files, read-only. Allowed in EXECUTE, within the packet's scope.",
        r#"{"script":{"type":"string"}}"#,
    ),
    (
        "http.get",
        "Fetches a page by HTTPS from a host that the packet's scope and the node allow. Allowed in EXECUTE.",
        r#"{"url":{"type":"string","description":"host and path, without https://"}}"#,
    ),
];

/// What is required of each.
fn required(action: &str) -> &'static [&'static str] {
    match action {
        "fs.read" | "fs.write" => &["path"],
        "exec" => &["argv"],
        "shell" => &["script"],
        _ => &["url"],
    }
}

/// The three tools of every agent.
fn own() -> [Offered; 3] {
    let tool = |name: &str, description: &str, input_schema: Value| Offered {
        name: name.to_owned(),
        tool: name.to_owned(),
        description: description.to_owned(),
        input_schema,
        reads_only: false,
        of: None,
    };
    [
        tool(
            "submit_plan",
            "Says what you mean to do. Call it once, in PLAN, before anything but reading; when it is approved, the run is in EXECUTE. If there is a handoff, acknowledge it.",
            json!({
                "type": "object", "additionalProperties": false, "required": ["summary", "steps"],
                "properties": {
                    "summary": {"type": "string", "description": "what you mean to do, in a sentence"},
                    "steps": {"type": "array", "minItems": 1, "items": {
                        "type": "object", "additionalProperties": false, "required": ["step"],
                        "properties": {
                            "step": {"type": "string"},
                            "action": {"type": "string", "description": "a pattern within the packet's scope, such as fs.write:/reports/a.md"},
                            "artifact": {"type": "string", "description": "the path of a file that this step leaves"},
                        },
                    }},
                    "acknowledges": {"type": "string", "description": "the id of the handoff, if there is one"},
                },
            }),
        ),
        tool(
            "report_problem",
            "Reports a problem that you met. It is recorded, and counts as one error of your budget.",
            json!({
                "type": "object", "additionalProperties": false, "required": ["message"],
                "properties": {"message": {"type": "string"}, "kind": {"type": "string", "description": "a word of your own for it"}},
            }),
        ),
        tool(
            "finish",
            "Says that you are done. Call it once, in EXECUTE, when every required artifact is written; the node then verifies. Ask for nothing after it.",
            json!({
                "type": "object", "additionalProperties": false,
                "properties": {"summary": {"type": "string"}},
            }),
        ),
    ]
}

/// Whether a packet's scope names an action at all.
pub(crate) fn names(packet: &Packet, action: &str) -> bool {
    let named =
        |scope: &str| scope == action || scope.strip_suffix('*').is_some_and(|prefix| action.starts_with(prefix));
    packet.constraints.scope.iter().filter_map(|p| p.as_str().split_once(':')).any(|(scope, _)| named(scope))
}

/// The tools of other servers that a packet and a tier could ever allow: those that are pinned, and that policy would allow now, with
/// secrets that are not granted to others.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn of_servers(context: &Context, packet: &Packet, caller: &Caller) -> Result<Vec<Offered>, Error> {
    let name = ActionName::parse("tool.call")?;
    let scope = &packet.constraints.scope;
    let pinned = context.store.read(|reader| {
        let rows = steward_app_tools::rows::tools(reader, &context.namespace)?;
        let named = rows.into_iter().filter(|row| {
            let resource = format!("{}/{}", row.server, row.name);
            row.tier.is_some() && scope.iter().any(|pattern| pattern.matches(&name, &resource))
        });
        named
            .map(|row| steward_app_tools::definition(reader, &row).map(|definition| (row, definition)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let servers = context.store.read(|reader| steward_app_tools::rows::servers(reader, &context.namespace))?;
    let has_secrets = |row: &ToolRow| -> Result<bool, Error> {
        let secrets = servers.iter().find(|server| server.name == row.server).map(|server| server.secrets.values());
        may_have(context, &packet.agent, true, secrets.into_iter().flatten().map(String::as_str))
    };
    let mut offered = Vec::new();
    for (row, definition) in pinned {
        let resource = format!("{}/{}", row.server, row.name);
        let action = context.action("tool.call", ResourceKind::Tool, resource)?;
        let owner = Some(context.namespace.to_string());
        let question = Question { needs: row.tier, ..context.question(caller, action, owner) };
        if !context.policy().engine.weigh(&question).could_be_allowed() || !has_secrets(&row)? {
            continue;
        }
        let exposed = exposed_name(row.server.as_str(), &row.name);
        let annotations = definition.annotations();
        offered.push(Offered {
            tool: exposed.clone(),
            name: exposed,
            description: definition.description().to_owned(),
            input_schema: definition.input_schema().clone(),
            // What a server says of itself is a hint, and is passed on as one.
            reads_only: annotations.is_some_and(|hints| hints.get("readOnlyHint") == Some(&Value::Bool(true))),
            of: Some((row.server.to_string(), row.name)),
        });
    }
    Ok(offered)
}

/// The tools of the node itself that a packet could ever allow.
pub(crate) fn of_packet(packet: &Packet) -> Vec<Offered> {
    let mut offered: Vec<Offered> = own().into();
    for (action, description, properties) in ACTIONS.into_iter().filter(|(action, ..)| names(packet, action)) {
        let mut properties: Value = serde_json::from_str(properties).expect("it stands above");
        properties["confidence_bp"] = json!({
            "type": "integer", "minimum": 0, "maximum": 10000, "description": "how sure you are, in basis points; it is recorded",
        });
        offered.push(Offered {
            name: action.replace('.', "_"),
            tool: action.to_owned(),
            description: description.to_owned(),
            input_schema: json!({
                "type": "object", "additionalProperties": false, "required": required(action), "properties": properties,
            }),
            reads_only: matches!(action, "fs.read" | "http.get"),
            of: None,
        });
    }
    debug_assert!(offered.iter().zip(protocol::OWN_TOOLS).all(|(tool, own)| tool.name == own));
    offered
}
