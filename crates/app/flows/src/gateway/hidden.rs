//! What a server says of its tools, without the node's secrets.
//!
//! Deliberately absent: what a tool's result says, which is looked through where it is bounded (`core/gateway`).

use std::borrow::Cow;

use serde_json::Value;
use steward_gateway::{Listed, ToolDefinition, ToolProblem, reveal};
use steward_seal::secret::Secrets;

/// A list without what holds a secret: that is neither pinned nor shown, and a pinned tool that holds one is not what it was.
pub(super) fn without_secrets(listed: Listed, known: &Secrets) -> Listed {
    let Listed { tools, mut problems } = listed;
    // What is wrong with others is said with their names.
    let holds = |problem: &ToolProblem| holds_secret(&problem.to_string(), known);
    for problem in problems.iter_mut().filter(|problem| holds(problem)) {
        *problem = ToolProblem::Shape { tool: String::new(), what: HOLDS_SECRET };
    }
    let is_plain = |tool: &ToolDefinition| !any_text(&tool.to_value(), &|text| holds_secret(text, known));
    let (plain, others): (Vec<_>, Vec<_>) = tools.into_iter().partition(is_plain);
    problems.extend(others.iter().map(|tool| {
        let tool = if holds_secret(tool.name(), known) { String::new() } else { format!("tool `{}`: ", tool.name()) };
        ToolProblem::Shape { tool, what: HOLDS_SECRET }
    }));
    Listed { tools: plain, problems }
}

/// What is wrong with a tool that holds a secret.
const HOLDS_SECRET: &str =
    "what its server says of it holds a secret of this node, so that it is neither shown nor taken";

/// Whether a text holds a secret; what is hidden could stand in the middle of one.
fn holds_secret(text: &str, known: &Secrets) -> bool {
    let holds = |text: &str| matches!(known.scrub(text), Cow::Owned(_));
    let is_shown = |c: &char| reveal(c.encode_utf8(&mut [0; 4])).1 == 0;
    holds(text) || (reveal(text).1 > 0 && holds(&text.chars().filter(is_shown).collect::<String>()))
}

/// Whether this is so of any text in it, keys too. It is as deep as a definition may be.
fn any_text(value: &Value, is_so: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_so)),
        Value::Object(members) => members.iter().any(|(key, member)| is_so(key) || any_text(member, is_so)),
        // One of digits alone, say.
        Value::Number(number) => is_so(&number.to_string()),
        Value::Null | Value::Bool(_) => false,
    }
}
