//! Who asks.

use std::fmt;

use serde::{Deserialize, Serialize};
use steward_naming::{KeyId, Label, Name, Namespace, RunId};

/// The text is not one of a small set of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct UnknownWord {
    text: String,
    what: &'static str,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $type { $($(#[$vdoc])* $variant),* }

        impl $type {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::actor::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::actor::unknown(text, $what)),
                }
            }
        }

        impl From<$type> for String {
            fn from(word: $type) -> Self {
                word.as_str().to_owned()
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::actor::UnknownWord;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}
pub(crate) use words;

pub(crate) fn unknown(text: &str, what: &'static str) -> UnknownWord {
    UnknownWord { text: steward_naming::visible(text), what }
}

words!(
    /// What an agent may do (GOV-1). Which actions a tier has is policy, not code.
    Tier, "a tier; they are T0 (observer), T1 (operator), T2 (builder), T3 (executor) and T4 (architect)", {
        /// Observer: reads docs, inventory, logs; writes plans.
        T0 = "T0",
        /// Operator: sandbox shell, basic infrastructure reads.
        T1 = "T1",
        /// Builder: the full sandbox.
        T2 = "T2",
        /// Executor: staging, limited production reads.
        T3 = "T3",
        /// Architect: reads policy, writes governance with a person's approval.
        T4 = "T4",
    }
);

words!(
    /// What a person may do (SEC-1). Which actions a role has is policy, not code.
    Role, "a role; they are viewer, operator, reviewer and admin", {
        /// Reads.
        Viewer = "viewer",
        /// Runs agents.
        Operator = "operator",
        /// Decides what a person must decide.
        Reviewer = "reviewer",
        /// Manages people, keys, agents and policy.
        Admin = "admin",
    }
);

words!(
    /// What kind of decision a person must make.
    ReviewKind, "a kind of review; they are plan, action, criterion, escalation, promotion, appeal, reinstatement, outcome and tool", {
        /// Whether a plan may be carried out.
        Plan = "plan",
        /// Whether one action may be done.
        Action = "action",
        /// Whether a run's result is what was asked for.
        Criterion = "criterion",
        /// Whether a run goes on, after something that its packet says people must look at.
        Escalation = "escalation",
        /// Whether an agent gets a tier more.
        Promotion = "promotion",
        /// Whether an agent gets the tier back that was taken from it.
        Appeal = "appeal",
        /// Whether an agent that was revoked comes back.
        Reinstatement = "reinstatement",
        /// Whether an effect happened of which the node does not know it.
        Outcome = "outcome",
        /// Whether what a server says of its tool now is good, too.
        Tool = "tool",
    }
);

words!(
    /// What a key may be used for, at most. A key never gives more than its holder has.
    Scope, "a scope; they are all, read, act, agents, people, keys, policy and login", {
        /// Whatever its holder may do.
        All = "all",
        /// Reading.
        Read = "read",
        /// Agents' actions.
        Act = "act",
        /// Managing agents.
        Agents = "agents",
        /// Managing people.
        People = "people",
        /// Managing keys.
        Keys = "keys",
        /// Managing policy.
        Policy = "policy",
        /// Being exchanged for another key, once.
        Login = "login",
    }
);

/// The key that a request came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Which key.
    pub id: KeyId,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
}

/// The run that an agent asks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunUse {
    /// Which run.
    pub id: RunId,
    /// The task that it works on.
    pub task: Label,
    /// The phase that it is in: `EXECUTE`.
    pub phase: &'static str,
    /// The number of its execution lock: whoever holds a lower one has lost it.
    pub fence: u64,
}

/// Who asks: a person, an agent, or the node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person of a namespace.
    Person {
        /// The namespace that enrolled them.
        namespace: Namespace,
        /// Their name within it.
        name: Label,
        /// What they may do, by policy.
        roles: Vec<Role>,
    },
    /// An agent.
    Agent {
        /// Its full name.
        name: Name,
        /// The version of its manifest.
        version: String,
        /// What it may do, by policy.
        tier: Tier,
        /// The person whose key drives it, if it is not its own.
        via: Option<Label>,
    },
    /// The node itself: what it does on its own (settling effects, loading policy) is permitted and recorded too.
    Node {
        /// The namespace that the node is the authority for.
        namespace: Namespace,
    },
}

impl Actor {
    /// `person`, `agent` or `node`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Person { .. } => "person",
            Self::Agent { .. } => "agent",
            Self::Node { .. } => "node",
        }
    }

    /// The namespace that the actor belongs to.
    pub fn namespace(&self) -> &Namespace {
        match self {
            Self::Person { namespace, .. } | Self::Node { namespace } => namespace,
            Self::Agent { name, .. } => name.namespace(),
        }
    }

    /// The tier, of an agent.
    pub fn tier(&self) -> Option<Tier> {
        match self {
            Self::Agent { tier, .. } => Some(*tier),
            _ => None,
        }
    }

    /// The person who drives an agent with a key of their own.
    pub fn via(&self) -> Option<&Label> {
        match self {
            Self::Agent { via, .. } => via.as_ref(),
            _ => None,
        }
    }

    /// The version of an agent's manifest.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Agent { version, .. } => Some(version),
            _ => None,
        }
    }

    /// The full name: `scribe.acme.internal`; for a person `olivia@acme.internal`; for the node its namespace.
    pub fn full_name(&self) -> String {
        match self {
            Self::Person { namespace, name, .. } => format!("{name}@{namespace}"),
            Self::Agent { name, .. } => name.to_string(),
            Self::Node { namespace } => namespace.to_string(),
        }
    }
}

impl fmt::Display for Actor {
    /// `agent scribe.acme.internal`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.full_name())
    }
}
