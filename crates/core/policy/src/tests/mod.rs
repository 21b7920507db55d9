//! What all tests here start from.

use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, KeyId, Name, Namespace};
use steward_permit::{Action, ActionName, Actor, KeyUse, Resource, ResourceKind, Role, Scope, Tier};

use crate::{
    engine::Engine,
    question::{Gives, Question},
    sources::{Source, Sources},
};

mod decisions;
mod mistakes;
mod slicing;
mod tables;

struct Sevens;

impl Dice for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

fn home() -> Namespace {
    "acme.internal".parse().expect("valid")
}

fn engine(sources: &Sources) -> Engine {
    Engine::compile(sources).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)))
}

fn shown(mistakes: &[crate::Mistake]) -> String {
    mistakes.iter().map(|m| format!("{m}\n")).collect()
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

/// The shipped schema with other policies.
fn with(policies: &[(&str, &str)]) -> Sources {
    let policies = policies.iter().map(|(name, text)| source(name, text)).collect();
    Sources { policies, ..Sources::shipped() }
}

fn without(file: &str) -> Sources {
    let mut sources = Sources::shipped();
    let before = sources.policies.len();
    sources.policies.retain(|p| p.name != file);
    assert_eq!(sources.policies.len() + 1, before, "no file `{file}`");
    sources
}

fn agent(name: &str, tier: Tier) -> Actor {
    Actor::Agent {
        name: Name::resolve(name, &home()).expect("valid"),
        version: "1.0.0".to_owned(),
        tier,
        via: Some("olivia".parse().expect("valid")),
    }
}

fn person(roles: &[Role]) -> Actor {
    Actor::Person { namespace: home(), name: "olivia".parse().expect("valid"), roles: roles.to_vec() }
}

fn key(scopes: &[Scope]) -> KeyUse {
    KeyUse { id: KeyId::new(now(), &Sevens), scopes: scopes.to_vec() }
}

/// A question about something that belongs to whoever asks.
fn question(actor: Actor, action: &str, kind: ResourceKind, id: &str) -> Question {
    let resource = Resource::new(kind, id).expect("valid");
    Question {
        id: ActionId::new(now(), &Sevens),
        owner: Some(actor.full_name()),
        actor,
        key: None,
        run: None,
        action: Action::new(home(), ActionName::parse(action).expect("valid"), resource),
        needs: None,
        approved: false,
        review: None,
        gives: Gives::default(),
    }
}

fn write(path: &str) -> Question {
    question(agent("scribe", Tier::T2), "fs.write", ResourceKind::File, path)
}
