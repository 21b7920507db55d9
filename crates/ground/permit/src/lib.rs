//! The words of a decision, and a permit that only an issuer can make. No engine: that is `policy`.
//!
//! An [`Actor`] asks for an [`Action`]; the answer is a [`Permit`] or a [`Denial`]. A permit cannot be cloned. The store
//! consumes it when it commits, and gives back a [`Warrant`], which says "this was permitted *and* it is on record"; whatever
//! touches the world outside the store takes a warrant (law 3).
//!
//! ```text
//! policy.decide(question, now) ──► Permit ──► store.commit(permit, …) ──► Warrant ──► worker.publish(warrant, …)
//!                              └─► Denial ──► store.refuse(denial, …)
//! ```
//!
//! Deliberately absent: a fence inside the permit. The lock's row is a guard of the commit that consumes it, which is the same
//! compare-and-set, once.

mod action;
mod actor;
mod circumstances;
mod decision;

pub use action::{Action, ActionError, ActionName, MAX_RESOURCE_BYTES, Resource, ResourceKind};
pub use actor::{Actor, KeyUse, ReviewKind, Role, RunUse, Scope, Tier, UnknownWord};
pub use circumstances::{Circumstances, Reviewing, RunTold};
pub use decision::{Denial, DenialCode, Issuer, Matched, PERMIT_LIFETIME_MS, Permit, Ruling, Warrant};
