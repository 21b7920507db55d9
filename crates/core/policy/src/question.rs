//! What is asked of the engine.

use steward_naming::ActionId;
use steward_permit::{Action, Actor, Circumstances, KeyUse, RunTold, RunUse, Scope, Tier};

pub use steward_permit::Reviewing;

/// What is asked of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The id that the decision will have.
    pub id: ActionId,
    /// Who asks.
    pub actor: Actor,
    /// The key that they ask with; none for the node, and for an agent inside its own run.
    pub key: Option<KeyUse>,
    /// The run that an agent asks in, if it asks in one.
    pub run: Option<RunUse>,
    /// What they ask for.
    pub action: Action,
    /// The full name of whom the resource belongs to, as the node knows it, and never as the caller says.
    pub owner: Option<String>,
    /// The lowest tier that a tool or a model was allowed for, as the node knows it.
    pub needs: Option<Tier>,
    /// What it would give, of a key or an agent that is to be made.
    pub gives: Gives,
    /// Whether a person approved exactly this, as the node found it on record.
    pub approved: bool,
    /// What is known of a review that is to be decided.
    pub review: Option<Reviewing>,
}

impl Question {
    /// What is recorded of it beside who asks for what, so that it can be asked again.
    pub fn circumstances(&self) -> Circumstances {
        Circumstances {
            approved: self.approved,
            review: self.review,
            gives_scopes: self.gives.scopes.clone(),
            gives_tier: self.gives.tier,
            key_scopes: self.key.as_ref().map(|key| key.scopes.clone()),
            needs_tier: self.needs,
            owner: self.owner.clone(),
            run: self.run.as_ref().map(RunTold::from),
        }
    }
}

/// What a key or an agent that is to be made could do: so that policies can say who may give what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gives {
    /// The scopes of a key.
    pub scopes: Option<Vec<Scope>>,
    /// The tier of an agent.
    pub tier: Option<Tier>,
}
