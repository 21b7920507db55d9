//! Stories of a whole node: what people and agents do, and what comes in between.

mod denials;
mod diff;
mod giving;
mod hooks;
mod identity;
mod interrupted;
mod keeping;
mod ledger;
mod people;
mod policy;
mod receiver;
mod revocation;
mod room;
mod upgrading;

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
};

use steward_app_actions::{EffectRow, rows};
use steward_app_node::Error;
use steward_naming::ActionId;
use steward_permit::{Role, Tier};
use steward_store::EntryRow;
use steward_testkit::{Known, TestNode};

/// A node with an operator and an agent that writes reports.
async fn desk() -> (TestNode, Known) {
    let node = TestNode::new().await;
    let otto = node.person("otto", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    (node, otto)
}

/// The entries of one kind, in order.
fn entries(node: &TestNode, kind: &str) -> Vec<EntryRow> {
    node.context().store.read(|reader| reader.entries("WHERE kind = ?1 ORDER BY seq", &[&kind])).expect("it reads")
}

/// How many entries there are.
fn size(node: &TestNode) -> u64 {
    node.context().store.read(|reader| reader.size()).expect("it reads")
}

fn effect(node: &TestNode, id: &ActionId) -> EffectRow {
    let found = node.context().store.read(|reader| rows::effect(reader, node.namespace(), id));
    found.expect("it reads").expect("it is on record")
}

/// Lets a verb run until `kind` is on record, and no further: it goes on only when it is awaited again.
async fn until_recorded<T>(node: &TestNode, kind: &str, verb: Pin<&mut impl Future<Output = Result<T, Error>>>) {
    let before = entries(node, kind).len();
    let polled = verb.poll(&mut TaskContext::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "it waits for the disk");
    while entries(node, kind).len() == before {
        tokio::task::yield_now().await;
    }
}

/// Begins a verb: it loads, decides and hands in its change. Called while the writer is held, so that it gets no further.
fn begin<T>(verb: Pin<&mut impl Future<Output = Result<T, Error>>>) {
    let polled = verb.poll(&mut TaskContext::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "it waits for the writer");
}

/// Two verbs that loaded the same, and were written one after the other.
async fn at_once<T, U>(
    node: &TestNode,
    one: impl Future<Output = Result<T, Error>>,
    other: impl Future<Output = Result<U, Error>>,
) -> (Result<T, Error>, Result<U, Error>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let held = node.hold_writer();
    begin(one.as_mut());
    begin(other.as_mut());
    drop(held);
    (one.await, other.await)
}

/// A refusal's code.
fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    outcome.expect_err("it is refused").code
}
