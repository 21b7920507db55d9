//! A decision on record, as the question that it was: so that another policy can be asked the same.
//!
//! ```text
//! let question = again(&body)?;               // or why it cannot be asked again
//! engine.weigh(&question).allowed
//! ```
//!
//! Deliberately absent: guesses. What the record does not say is not made up.

use std::fmt;

use steward_governor::Phase;
use steward_ledger::{ActorKind, Body};
use steward_naming::Namespace;
use steward_permit::{Action, ActionName, Actor, KeyUse, Resource, RunUse};
use steward_policy::{Gives, Question};

/// Why something on record cannot be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unasked {
    /// The entry's body was erased.
    Erased,
    /// It records no decision.
    NoDecision,
    /// No policy was asked: what was written is malformed, or the run, its packet, a budget or the halt had refused it already. It
    /// is so under any policy.
    BeyondPolicy,
    /// The entry is of a node that did not yet write what else the policy was told.
    NoCircumstances,
    /// What stands there is not what was decided about: the action's digest is another.
    NotWhole,
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erased => "what the entry says was erased",
            Self::NoDecision => "the entry records no decision",
            Self::BeyondPolicy => "no policy was asked: the run, its packet, a budget or the halt refused it, or it was malformed",
            Self::NoCircumstances => {
                "the entry is of an earlier version, which did not record what else the policy was told (owner, scopes of the key, run)"
            }
            Self::NotWhole => "what the entry says does not make the action whose digest it has",
        })
    }
}

/// The question that a recorded decision answered.
///
/// # Errors
/// The record lacks something.
pub fn again(body: &Body) -> Result<Question, Unasked> {
    let decision = body.decision.as_ref().ok_or(Unasked::NoDecision)?;
    let beyond = |code: steward_permit::DenialCode| code.is_of_run() || code == steward_permit::DenialCode::Malformed;
    if decision.code.is_some_and(beyond) {
        return Err(Unasked::BeyondPolicy);
    }
    let told = decision.circumstances.as_ref().ok_or(Unasked::NoCircumstances)?;
    let namespace: Namespace = body.namespace.parse().map_err(|_| Unasked::NotWhole)?;
    let name = ActionName::parse(&decision.action).map_err(|_| Unasked::NotWhole)?;
    let resource =
        Resource::new(decision.resource.kind, decision.resource.id.as_str()).map_err(|_| Unasked::NotWhole)?;
    let mut action = Action::new(namespace, name, resource);
    if let Some(arguments) = decision.arguments {
        action = action.with_arguments(arguments);
    }
    if action.digest() != decision.digest {
        return Err(Unasked::NotWhole);
    }
    let key = match (&body.key, &told.key_scopes) {
        (Some(id), Some(scopes)) => Some(KeyUse { id: id.clone(), scopes: scopes.clone() }),
        (None, None) => None,
        _ => return Err(Unasked::NotWhole),
    };
    let run = told.run.as_ref().map(|run| {
        let phase: Phase = run.phase.parse().map_err(|_| Unasked::NotWhole)?;
        Ok(RunUse { id: run.id.clone(), task: run.task.clone(), phase: phase.as_str(), fence: 0 })
    });
    Ok(Question {
        id: decision.id.clone(),
        actor: actor(body).ok_or(Unasked::NotWhole)?,
        key,
        run: run.transpose()?,
        action,
        owner: told.owner.clone(),
        needs: told.needs_tier,
        approved: told.approved,
        review: told.review,
        gives: Gives { scopes: told.gives_scopes.clone(), tier: told.gives_tier },
    })
}

/// Who asked, as they were then.
fn actor(body: &Body) -> Option<Actor> {
    let said = &body.actor;
    Some(match said.kind {
        ActorKind::Node => Actor::Node { namespace: said.name.parse().ok()? },
        ActorKind::Person => {
            let (name, namespace) = said.name.split_once('@')?;
            Actor::Person { namespace: namespace.parse().ok()?, name: name.parse().ok()?, roles: said.roles.clone() }
        }
        ActorKind::Agent => {
            let via = body.via.as_ref().map(|via| via.split_once('@')?.0.parse().ok());
            Actor::Agent {
                name: said.name.parse().ok()?,
                version: said.version.clone()?,
                tier: said.tier?,
                via: match via {
                    None => None,
                    Some(via) => Some(via?),
                },
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use steward_clock::{Dice, Timestamp};
    use steward_ledger::Body;
    use steward_naming::{ActionId, KeyId, RunId};
    use steward_permit::{
        Action, ActionName, Actor, DenialCode, KeyUse, Resource, ResourceKind, ReviewKind, Reviewing, Role, RunUse,
        Scope, Tier,
    };
    use steward_policy::{Engine, Gives, Question, Sources};

    use super::{Unasked, again};

    struct Sevens;

    impl Dice for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn questions() -> Vec<Question> {
        let at = Timestamp::from_unix_ms(1_000);
        let home: steward_naming::Namespace = "acme.internal".parse().expect("valid");
        let scribe = Actor::Agent {
            name: "scribe.acme.internal".parse().expect("valid"),
            version: "1.0.0".to_owned(),
            tier: Tier::T1,
            via: Some("olivia".parse().expect("valid")),
        };
        let olivia = Actor::Person {
            namespace: home.clone(),
            name: "olivia".parse().expect("valid"),
            roles: vec![Role::Operator],
        };
        let ask = |actor: &Actor, name: &str, kind, id: &str| Question {
            id: ActionId::new(at, &Sevens),
            actor: actor.clone(),
            key: None,
            run: None,
            action: Action::new(
                home.clone(),
                ActionName::parse(name).expect("valid"),
                Resource::new(kind, id).expect("valid"),
            ),
            owner: None,
            needs: None,
            approved: false,
            review: None,
            gives: Gives::default(),
        };
        let key = || Some(KeyUse { id: KeyId::new(at, &Sevens), scopes: vec![Scope::Act, Scope::Read] });
        let run =
            RunUse { id: RunId::new(at, &Sevens), task: "weekly".parse().expect("valid"), phase: "EXECUTE", fence: 0 };
        let owner = Some("scribe.acme.internal".to_owned());
        let write = ask(&scribe, "fs.write", ResourceKind::File, "/reports/a.md");
        let write = Question { action: write.action.clone().with_arguments(steward_seal::Digest::of(b"a")), ..write };
        let gives = Gives { scopes: Some(vec![Scope::Login]), tier: Some(Tier::T2) };
        let node = Actor::Node { namespace: home.clone() };
        vec![
            Question { owner: owner.clone(), key: key(), run: Some(run), ..write.clone() },
            Question { owner: owner.clone(), ..write.clone() },
            Question { owner, approved: true, ..write },
            Question {
                review: Some(Reviewing {
                    alone: true,
                    approvals: 2,
                    kind: ReviewKind::Plan,
                    own: true,
                    tier: Tier::T3,
                }),
                ..ask(&olivia, "review.approve", ResourceKind::Review, "rvw_1")
            },
            Question { needs: Some(Tier::T1), ..ask(&scribe, "tool.call", ResourceKind::Tool, "wiki/read") },
            Question { key: key(), gives, ..ask(&olivia, "agent.add", ResourceKind::Agent, "x.acme.internal") },
            ask(&node, "node.start", ResourceKind::Node, "acme.internal"),
        ]
    }

    fn recorded(question: &Question) -> Body {
        let engine = Engine::compile(&Sources::shipped()).expect("it ships");
        match engine.decide(question.clone(), Timestamp::from_unix_ms(1_000)) {
            Ok(permit) => Body::permitted(&permit, "x"),
            Err(denial) => Body::refused(&denial, "x"),
        }
    }

    #[test]
    fn what_was_asked_is_asked_again_to_the_letter() {
        for question in questions() {
            let bytes = recorded(&question).encode().expect("encodes");
            assert_eq!(again(&Body::decode(&bytes).expect("decodes")), Ok(question));
        }
    }

    #[test]
    fn what_the_record_lacks_is_not_made_up() {
        let question = questions().remove(0);
        let whole = recorded(&question);
        let with = |change: &dyn Fn(&mut Body)| {
            let mut body = whole.clone();
            change(&mut body);
            again(&body).expect_err("it cannot be asked")
        };
        let decision = |change: &dyn Fn(&mut steward_ledger::BodyDecision)| {
            with(&|body| change(body.decision.as_mut().expect("decided")))
        };
        assert_eq!(with(&|body| body.decision = None), Unasked::NoDecision);
        assert_eq!(decision(&|d| d.circumstances = None), Unasked::NoCircumstances);
        assert_eq!(decision(&|d| "fs.read".clone_into(&mut d.action)), Unasked::NotWhole);
        assert_eq!(decision(&|d| d.arguments = None), Unasked::NotWhole);
        assert_eq!(with(&|body| "other.internal".clone_into(&mut body.namespace)), Unasked::NotWhole);
        assert_eq!(with(&|body| body.key = None), Unasked::NotWhole);
        assert_eq!(with(&|body| body.actor.tier = None), Unasked::NotWhole);
        assert_eq!(with(&|body| body.via = Some("nobody".to_owned())), Unasked::NotWhole);
        for code in DenialCode::ALL.iter().filter(|code| code.is_of_run() || **code == DenialCode::Malformed) {
            assert_eq!(decision(&|d| d.code = Some(*code)), Unasked::BeyondPolicy);
        }
        assert!(again(&whole).is_ok());
    }
}
