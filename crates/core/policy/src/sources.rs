//! The texts that the policy in force is made of, kept whole so that every decision can be explained later.

use serde::{Deserialize, Serialize};
use steward_seal::{
    Digest,
    json::{self, JsonError},
};

/// The bytes that all texts together may have: policies for a large operator, and still parsed in a moment.
pub const MAX_SOURCES_BYTES: usize = 4 << 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its path within the folder of policies, with `/`.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// The schema and all policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The words that policies may use.
    pub schema: Source,
    /// The policies, in any order.
    pub policies: Vec<Source>,
}

/// Why kept bytes are not sources.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// They are no canonical form of sources: damaged, or written by something else.
    #[error("the kept policy cannot be read: {0}")]
    Malformed(#[from] JsonError),
    /// They are sources, written otherwise than [`Sources::encode`] does.
    #[error("the kept policy is not in its canonical form; load it again from its files")]
    NotCanonical,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        vec![$(Source {
            name: $name.to_owned(),
            text: include_str!(concat!("../../../../policies/", $name)).to_owned(),
        }),*]
    };
}

impl Sources {
    /// The name of the schema's file.
    pub const SCHEMA_FILE: &'static str = "schema.cedarschema";

    /// The policies that ship.
    pub fn shipped() -> Self {
        let schema = shipped!["schema.cedarschema"].remove(0);
        let policies = shipped![
            "files.cedar",
            "keys.cedar",
            "namespaces.cedar",
            "node.cedar",
            "plans.cedar",
            "reviews.cedar",
            "roles.cedar",
            "runs.cedar",
            "tiers/T0.cedar",
            "tiers/T1.cedar",
            "tiers/T2.cedar",
            "tiers/T3.cedar",
            "tiers/T4.cedar",
            "tools.cedar",
        ];
        Self { schema, policies }
    }

    /// The table of expected decisions that ships with them.
    pub const EXPECTED: &'static str = include_str!("../../../../policies/expected.toml");

    /// The version: SHA-256 over the canonical JSON (RFC 8785) of the sorted `[name, text]` pairs, the schema among them.
    /// The order in which files were read changes nothing.
    pub fn version(&self) -> Digest {
        let mut pairs: Vec<[&str; 2]> =
            self.policies.iter().chain([&self.schema]).map(|s| [s.name.as_str(), s.text.as_str()]).collect();
        pairs.sort_unstable();
        Digest::of(&json::canonical(&pairs).expect("strings have a canonical form"))
    }

    /// Canonical bytes, to be kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut sorted = self.clone();
        sorted.policies.sort();
        json::canonical(&sorted).expect("strings have a canonical form")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, SourcesError> {
        // A character is at most 6 bytes in JSON (`\u0000`); names and punctuation fit into the rest.
        let sources: Self = json::read(bytes, json::Limits { bytes: MAX_SOURCES_BYTES * 7, depth: 4 })?;
        if sources.encode() == bytes { Ok(sources) } else { Err(SourcesError::NotCanonical) }
    }

    /// Bytes of all texts.
    pub(crate) fn len(&self) -> usize {
        self.policies.iter().chain([&self.schema]).map(|s| s.name.len() + s.text.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, Sources, SourcesError};

    fn small() -> Sources {
        let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
        Sources { schema: source("s", "entity E;"), policies: vec![source("b", "2"), source("a", "1\n")] }
    }

    #[test]
    fn golden() {
        // Kept in stores and named by ledger entries: these bytes never change.
        let bytes = String::from_utf8(small().encode()).expect("JSON is text");
        expect_test::expect![[r#"{"policies":[{"name":"a","text":"1\n"},{"name":"b","text":"2"}],"schema":{"name":"s","text":"entity E;"}}"#]]
            .assert_eq(&bytes);
        expect_test::expect!["sha256:5a385187f641dd40e70c18cc2740321b58f32172f45b42634bbb3e06a7d15bdc"]
            .assert_eq(&small().version().to_string());
    }

    #[test]
    fn order_is_not_content() {
        let mut other = small();
        other.policies.reverse();
        assert_eq!(other.version(), small().version());
        assert_eq!(other.encode(), small().encode());
        other.policies[0].text.push(' ');
        assert_ne!(other.version(), small().version());
    }

    #[test]
    fn what_was_kept_comes_back() {
        let bytes = Sources::shipped().encode();
        let read = Sources::decode(&bytes).expect("own bytes");
        assert_eq!((read.version(), read.encode()), (Sources::shipped().version(), bytes.clone()));
        let spaced = [b" ", bytes.as_slice()].concat();
        assert!(matches!(Sources::decode(&spaced), Err(SourcesError::NotCanonical)));
        assert!(matches!(Sources::decode(&bytes[1..]), Err(SourcesError::Malformed(_))));
    }
}
