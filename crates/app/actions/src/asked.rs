//! What is asked for, as it was written, and as a policy and a packet see it.
//!
//! Deliberately absent: deciding and doing.

use steward_app_node::{Caller, Context, Error, Noted};
use steward_naming::ActionId;
use steward_permit::{Action, ActionError, ActionName, Denial, Resource, ResourceKind};
use steward_seal::{Digest, json};
use steward_store::Refusal;

/// What is asked for, as it was written.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// What is to be done.
    pub action: String,
    /// The kind of thing that it is to be done to; by the action's noun if not said.
    pub kind: Option<ResourceKind>,
    /// To what.
    pub resource: String,
    /// What is to be written; of a shell, what it is to run.
    pub content: Option<Vec<u8>>,
    /// The program and its arguments, of an action that runs one.
    pub argv: Option<Vec<String>>,
    /// How sure the agent says it is, in basis points.
    pub confidence_bp: Option<u16>,
}

impl Asked {
    /// Reads it as an action of the node's namespace.
    pub(crate) fn parse(&self, context: &Context) -> Result<Action, ActionError> {
        let name = ActionName::parse(&self.action)?;
        let kind = self.kind.unwrap_or_else(|| kind_of(&name));
        let action = Action::new(context.namespace.clone(), name, Resource::new(kind, self.resource.as_str())?);
        Ok(match (argv(self), &self.content) {
            (Some(argv), _) => action.with_arguments(digest(&argv)),
            (None, Some(bytes)) => action.with_arguments(Digest::of(bytes)),
            (None, None) => action,
        })
    }

    /// The action, as a policy and a packet see it.
    ///
    /// # Errors
    /// It is malformed.
    pub fn action(&self, context: &Context) -> Result<Action, ActionError> {
        self.parse(context)
    }

    /// Records that something malformed was asked for: an auditor wants to see who tries what looks like something else.
    pub(crate) async fn refuse(&self, context: &Context, caller: &Caller) -> Result<(Denial, Noted), Error> {
        let now = context.now();
        let id = ActionId::new(now, context.dice.as_ref());
        let written = format!("{} {}", self.action, self.resource);
        let key = caller.key.as_ref().map(|key| key.id.clone());
        let engine = &context.policy().engine;
        let denial = engine.refuse_malformed(caller.actor.clone(), key, context.namespace.clone(), &written, id, now);
        let noted = context.refuse(caller, denial.clone(), &self.refusal()).await?;
        Ok((denial, noted))
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal { confidence_bp: self.confidence_bp, ..Refusal::default() }
    }
}

/// What an action is done to, by its noun.
fn kind_of(name: &ActionName) -> ResourceKind {
    match name.as_str().split('.').next().unwrap_or_default() {
        "fs" | "docs" | "logs" | "framework" | "module" => ResourceKind::File,
        "plan" => ResourceKind::Plan,
        "run" => ResourceKind::Agent,
        "http" | "ssh" | "infra" | "production" | "staging" | "ansible" => ResourceKind::Host,
        "shell" | "exec" => ResourceKind::Command,
        "policy" | "governance" => ResourceKind::Policy,
        "tool" => ResourceKind::Tool,
        "model" => ResourceKind::Model,
        "secret" => ResourceKind::Secret,
        _ => ResourceKind::Node,
    }
}

/// The program and arguments that are asked for, if a program is.
pub(crate) fn argv(asked: &Asked) -> Option<Vec<String>> {
    match (asked.action.as_str(), &asked.argv, &asked.content) {
        ("shell", _, Some(script)) => {
            Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), String::from_utf8_lossy(script).into_owned()])
        }
        ("exec", argv, _) => argv.clone(),
        _ => None,
    }
}

/// What the decision keeps of a program and its arguments.
pub(crate) fn digest(argv: &[String]) -> Digest {
    Digest::of(&json::canonical(argv).expect("strings have a canonical form"))
}
