//! Servers of the library and servers that speak by hand, and warrants for what is asked of them.

mod by_hand;
mod over_http;
mod served;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;
use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, Name};
use steward_permit::{Action, ActionName, Actor, Issuer, Resource, ResourceKind, Ruling, Tier, Warrant};
use steward_seal::{Digest, json::canonical};

use crate::{Timeouts, Upstream, UpstreamError};

/// For what is known to come.
const LONG: Timeouts =
    Timeouts { connect: Duration::from_secs(600), list: Duration::from_secs(600), call: Duration::from_secs(600) };

/// For calls of which it is known that they do not end.
const SOON: Timeouts = Timeouts { call: Duration::from_millis(50), ..LONG };

/// Calls with the warrant that there would be.
async fn call(server: &Upstream, tool: &str, arguments: Value) -> Result<Value, UpstreamError> {
    let action = action("tool.call", &format!("{}/{tool}", server.name()), &arguments);
    server.call(warrant(&action), &action, tool, arguments).await
}

fn action(name: &str, id: &str, arguments: &Value) -> Action {
    let resource = Resource::new(ResourceKind::Host, id).unwrap();
    Action::new(scribe().namespace().clone(), ActionName::parse(name).unwrap(), resource)
        .with_arguments(Digest::of(&canonical(arguments).unwrap()))
}

fn scribe() -> Name {
    "scribe.acme.internal".parse().unwrap()
}

/// The warrant that the store would give for it.
fn warrant(action: &Action) -> Warrant {
    let ruling = Ruling {
        id: ActionId::new(Timestamp::from_unix_ms(0), &Counting),
        actor: Actor::Agent { name: scribe(), version: "1.0.0".to_owned(), tier: Tier::T2, via: None },
        key: None,
        action: action.clone(),
        circumstances: None,
        policies: Vec::new(),
        policy_version: Digest::of(b"policy"),
        at: Timestamp::from_unix_ms(0),
    };
    Issuer::for_policy_engine().permit(ruling).spend(1)
}

/// Dice that never fall the same way twice.
struct Counting;

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in bytes.iter_mut().rev().zip(next.iter().rev()) {
            *to = *from;
        }
    }
}
