//! What a person agreed to, held against what a server says now.
//!
//! ```text
//! for change in compare(&pinned, &listed.tools) { /* the tool is not offered until somebody agrees again */ }
//! ```
//!
//! Deliberately absent: a version of the server. It says of itself what it likes; what an agent would see is what is compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steward_seal::Digest;

use crate::definition::ToolDefinition;

/// A tool that somebody agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedTool {
    /// Its name at its server.
    pub name: String,
    /// [`ToolDefinition::digest`] of what they saw.
    pub digest: Digest,
}

/// How a server's tools differ from what was pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A tool that nobody agreed to.
    Added {
        /// Its name.
        name: String,
        /// What it is.
        digest: Digest,
    },
    /// A pinned tool that is no longer there.
    Removed {
        /// Its name.
        name: String,
    },
    /// A pinned tool that says something else than it did.
    Changed {
        /// Its name.
        name: String,
        /// What was agreed to.
        before: Digest,
        /// What it is now.
        after: Digest,
    },
}

/// How `found` differs from `pinned`, by name. Of two with one name in either, the last counts.
pub fn compare(pinned: &[PinnedTool], found: &[ToolDefinition]) -> Vec<Change> {
    let before: BTreeMap<&str, Digest> = pinned.iter().map(|pin| (pin.name.as_str(), pin.digest)).collect();
    let after: BTreeMap<&str, Digest> = found.iter().map(|tool| (tool.name(), tool.digest())).collect();
    let mut names: Vec<&str> = before.keys().chain(after.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let change = |name: &str| {
        let owned = name.to_owned();
        match (before.get(name), after.get(name)) {
            (None, Some(digest)) => Some(Change::Added { name: owned, digest: *digest }),
            (Some(_), None) => Some(Change::Removed { name: owned }),
            (Some(before), Some(after)) if before != after => {
                Some(Change::Changed { name: owned, before: *before, after: *after })
            }
            _ => None,
        }
    };
    names.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, PinnedTool, compare};
    use crate::definition::ToolDefinition;

    fn tool(name: &str, description: &str) -> ToolDefinition {
        ToolDefinition::read(&json!({"name": name, "description": description, "inputSchema": {}})).unwrap()
    }

    fn pin(tool: &ToolDefinition) -> PinnedTool {
        PinnedTool { name: tool.name().to_owned(), digest: tool.digest() }
    }

    #[test]
    fn every_difference_is_told_once() {
        let (a, b, b2, c) = (tool("a", ""), tool("b", "x"), tool("b", "y"), tool("c", ""));
        assert_eq!(compare(&[pin(&a), pin(&b)], &[b.clone(), a.clone()]), []);
        assert_eq!(
            compare(&[pin(&a), pin(&b)], &[c.clone(), b2.clone()]),
            [
                Change::Removed { name: "a".into() },
                Change::Changed { name: "b".into(), before: b.digest(), after: b2.digest() },
                Change::Added { name: "c".into(), digest: c.digest() },
            ]
        );
        assert_eq!(compare(&[], &[]), []);
    }
}
