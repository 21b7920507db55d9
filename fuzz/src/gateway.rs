//! What other MCP servers say of their tools and give as results.

use serde_json::Value;
use steward_gateway::{CallResult, Listed, ToolDefinition, bound, inspect_all};
use steward_seal::secret::{Secret, Secrets};

/// A definition of a tool. What is accepted is written again as what means the same, has one digest, and can be looked at.
pub(crate) fn tool_definition(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    // A list of the same thing twice has a problem, which can be shown.
    for problem in Listed::read(&[value.clone(), value.clone()]).problems {
        assert!(!problem.to_string().chars().any(char::is_control));
    }
    let Ok(tool) = ToolDefinition::read(&value) else { return false };
    let again = ToolDefinition::read(&tool.to_value()).expect("what was accepted is accepted again");
    assert_eq!((again.digest(), &again), (tool.digest(), &tool));
    for (_, finding) in inspect_all(&[tool], &[("other", "read_file")]) {
        assert!(!finding.to_string().chars().any(char::is_control));
    }
    true
}

/// A result of a call. Whatever comes is bounded, and no text of it has a secret in it.
pub(crate) fn tool_result(bytes: &[u8]) -> bool {
    const SECRET: &str = "sk-0123456789";
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    let Ok(result) = CallResult::read(&value) else { return false };
    let bounded = bound(result, &Secrets::of([Secret::new(SECRET)]));
    let text = bounded.to_value().to_string();
    for block in bounded.content.iter().filter(|block| block["type"] == "text") {
        assert!(!block["text"].to_string().contains(SECRET), "{block}");
    }
    // Escapes at their longest, and what is around each block.
    assert!(text.len() < 8 * steward_gateway::MAX_RESULT_BYTES);
    true
}
