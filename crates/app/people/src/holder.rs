//! Whose a key is.

use steward_app_node::{Caller, Context, Error};
use steward_naming::{Label, Name};
use steward_permit::Actor;

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A person of the node's namespace.
    Person(Label),
    /// An agent.
    Agent(Name),
}

impl Holder {
    /// `person` or `agent`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Agent(_) => "agent",
        }
    }

    /// The person's name, or the agent's full name.
    pub fn name(&self) -> String {
        match self {
            Self::Person(name) => name.to_string(),
            Self::Agent(name) => name.to_string(),
        }
    }

    /// The full name of the actor that it is.
    pub fn full_name(&self, context: &Context) -> String {
        match self {
            Self::Person(name) => format!("{name}@{}", context.namespace),
            Self::Agent(name) => name.to_string(),
        }
    }

    /// Whoever calls.
    ///
    /// # Errors
    /// The node itself holds no keys.
    pub fn of(caller: &Caller) -> Result<Self, Error> {
        match &caller.actor {
            Actor::Person { name, .. } => Ok(Self::Person(name.clone())),
            Actor::Agent { name, .. } => Ok(Self::Agent(name.clone())),
            Actor::Node { .. } => Err(Error::broken("the node holds no keys")),
        }
    }
}
