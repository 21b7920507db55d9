//! What is asked for.

use std::fmt;

use serde::{Deserialize, Serialize};
use steward_naming::{NameError, Namespace, normalise, visible};
use steward_seal::Digest;

use crate::actor::words;

/// The longest resource in bytes: that of a path on Linux.
pub const MAX_RESOURCE_BYTES: usize = 4096;

/// Why an action was refused before any policy saw it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The name is not an identifier.
    #[error("the action: {0}")]
    Name(#[from] NameError),
    /// The name is an identifier, but not one of an action.
    #[error("`{0}` is not an action; one is a noun and a verb in plain letters, such as `fs.write`")]
    Form(String),
    /// The resource is empty, too long, or holds control characters.
    #[error("the resource {0}")]
    Resource(&'static str),
}

/// What is done: a noun and a verb, `fs.write`. Normalised, ASCII, in the one spelling that policies know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct ActionName(String);

impl ActionName {
    /// Normalises what somebody wrote: `FS.Write` is `fs.write`; ` drop`, a Cyrillic `drop` and hidden characters are errors.
    ///
    /// # Errors
    /// What could be mistaken for another name, or is none.
    pub fn parse(text: &str) -> Result<Self, ActionError> {
        let normal = normalise(text)?;
        let well_formed = normal.len() <= 64
            && normal.split('.').all(|part| !part.is_empty() && part.starts_with(|c: char| c.is_ascii_lowercase()))
            && normal.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
        if well_formed { Ok(Self(normal)) } else { Err(ActionError::Form(visible(text))) }
    }

    /// The name as policies know it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ActionName> for String {
    fn from(name: ActionName) -> Self {
        name.0
    }
}

words!(
    /// What kind of thing an action is done to.
    ResourceKind, "a kind of resource; they are file, command, host, plan, agent, person, key, policy, ledger, node, tool, model, secret and review", {
        /// A path in an agent's own folder. Never normalised: it is resolved at the effect, beneath the grant.
        File = "file",
        /// A program, by its first argument.
        Command = "command",
        /// Something reached over a network.
        Host = "host",
        /// A plan.
        Plan = "plan",
        /// An agent, by its full name.
        Agent = "agent",
        /// A person, by their name.
        Person = "person",
        /// A key, by its id.
        Key = "key",
        /// The policy in force.
        Policy = "policy",
        /// The ledger.
        Ledger = "ledger",
        /// The node.
        Node = "node",
        /// A tool of another MCP server, as `server/tool`; or such a server.
        Tool = "tool",
        /// A language model, by the name that the node gives it.
        Model = "model",
        /// A decision that a person must make, by its id.
        Review = "review",
        /// A secret, by its name.
        Secret = "secret",
    }
);

/// What an action is done to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    kind: ResourceKind,
    id: String,
}

impl Resource {
    /// A resource, by what its kind is named by. Text is bounded and free of control characters; what it means is decided
    /// where it is used.
    ///
    /// # Errors
    /// [`ActionError::Resource`].
    pub fn new(kind: ResourceKind, id: impl Into<String>) -> Result<Self, ActionError> {
        let id = id.into();
        if id.is_empty() {
            return Err(ActionError::Resource("is empty; say what the action is to be done to"));
        }
        if id.len() > MAX_RESOURCE_BYTES {
            return Err(ActionError::Resource("is longer than 4096 bytes"));
        }
        if id.chars().any(char::is_control) {
            return Err(ActionError::Resource("holds control characters"));
        }
        Ok(Self { kind, id })
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// What it is named by.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// What is asked for: this, done to that, in this namespace, with these arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Action {
    namespace: Namespace,
    name: ActionName,
    resource: Resource,
    arguments: Option<Digest>,
}

impl Action {
    /// An action without arguments.
    pub fn new(namespace: Namespace, name: ActionName, resource: Resource) -> Self {
        Self { namespace, name, resource, arguments: None }
    }

    /// The same action with arguments, of which the decision keeps the digest: the content that is to be written.
    #[must_use]
    pub fn with_arguments(self, arguments: Digest) -> Self {
        Self { arguments: Some(arguments), ..self }
    }

    /// The namespace in which it is done.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What is done.
    pub fn name(&self) -> &ActionName {
        &self.name
    }

    /// What it is done to.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The digest of the arguments.
    pub fn arguments(&self) -> Option<&Digest> {
        self.arguments.as_ref()
    }

    /// The digest of the exact action, which permits, approvals and records are bound to: SHA-256 over the canonical JSON
    /// (RFC 8785) of `{namespace, action, resource: {kind, id}, arguments}`.
    pub fn digest(&self) -> Digest {
        // In the order of RFC 8785. serde_json writes strings as it asks, and there is nothing else: a test holds it against that.
        #[derive(Serialize)]
        struct Document<'a> {
            action: &'a str,
            arguments: Option<&'a Digest>,
            namespace: &'a str,
            resource: DoneTo<'a>,
        }
        #[derive(Serialize)]
        struct DoneTo<'a> {
            id: &'a str,
            kind: &'a str,
        }
        let document = Document {
            action: self.name.as_str(),
            arguments: self.arguments.as_ref(),
            namespace: self.namespace.as_str(),
            resource: DoneTo { id: &self.resource.id, kind: self.resource.kind.as_str() },
        };
        Digest::of(&serde_json::to_vec(&document).expect("strings are JSON"))
    }
}

impl fmt::Display for Action {
    /// `fs.write on file /reports/a.md`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} {}", self.name, self.resource.kind, visible(&self.resource.id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steward_seal::{Digest, json::canonical};

    use super::{Action, ActionName, Resource, ResourceKind};

    #[test]
    fn what_could_slip_past_a_policy_does_not() {
        for (written, name) in [("drop", "drop"), ("DROP", "drop"), ("Ｄrop", "drop"), ("FS.Write", "fs.write")] {
            assert_eq!(ActionName::parse(written).expect("valid").as_str(), name);
        }
        for written in [
            " drop",
            "drop ",
            "dr\u{043e}p",
            "\u{0501}\u{0433}\u{043e}\u{0440}",
            "dr\u{200b}op",
            "",
            ".",
            "a..b",
            "größe",
            "a/b",
            "1a",
            "a:b",
        ] {
            assert!(ActionName::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn an_action_is_its_digest() {
        let home: steward_naming::Namespace = "acme.internal".parse().expect("valid");
        let action = |name: &str, id: &str| {
            let resource = Resource::new(ResourceKind::File, id).expect("valid");
            Action::new(home.clone(), ActionName::parse(name).expect("valid"), resource)
        };
        let write = action("fs.write", "/reports/a.md");
        // Golden: approvals and records are bound to this.
        assert_eq!(
            write.digest().to_string(),
            "sha256:d9eb0924737224cd4270e54e000134f1be5ea70e3c1e47c076fdabfd343f16f7"
        );
        assert_eq!(write.digest(), action("FS.write", "/reports/a.md").digest());
        assert_ne!(write.digest(), action("fs.write", "/reports/A.md").digest());
        assert_ne!(write.digest(), write.clone().with_arguments(steward_seal::Digest::of(b"")).digest());
    }

    #[test]
    fn the_digest_is_over_canonical_json() {
        for id in ["/reports/a.md", "\"\\/", "ä\u{20ac}\u{1f980}\u{fffd}", "</script>\u{2028}", " ", "{\"a\":1}"] {
            let resource = Resource::new(ResourceKind::Host, id).expect("valid");
            let home = "acme.internal".parse().expect("valid");
            let bare = Action::new(home, ActionName::parse("http.get").expect("valid"), resource);
            for action in [bare.clone(), bare.with_arguments(Digest::of(b"x"))] {
                let value = json!({
                    "namespace": action.namespace(),
                    "action": action.name(),
                    "resource": {"kind": action.resource().kind(), "id": action.resource().id()},
                    "arguments": action.arguments(),
                });
                let canonical = canonical(&value).expect("strings have a canonical form");
                assert_eq!(action.digest(), Digest::of(&canonical), "{id:?}");
            }
        }
    }

    #[test]
    fn resources_are_bounded() {
        assert!(Resource::new(ResourceKind::File, "").is_err());
        assert!(Resource::new(ResourceKind::File, "a\nb").is_err());
        assert!(Resource::new(ResourceKind::File, "x".repeat(4097)).is_err());
    }
}
