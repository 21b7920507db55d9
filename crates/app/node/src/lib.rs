//! What every verb is given: store, policy, clock, folders; and the few things that all verbs share.
//!
//! A verb loads rows, lets a pure core decide, and commits. It gets a [`Context`] and a [`Caller`]:
//!
//! ```text
//! let granted = context.permit(&caller, action, owner).await?;      // a denial is recorded here
//! let change = context.change(&caller, granted, kind::PERSON_ADDED, "olivia").row(row);
//! context.commit(change).await?;                                     // a revocation in between wins here
//! ```
//!
//! Deliberately absent: any noun of its own but the policy in force; retries (the door that authenticated the caller
//! repeats the whole verb when it was stale, so that a revoked key cannot be retried into life).

mod caller;
pub mod code;
mod context;
mod denials;
mod error;
mod halt;
pub mod home;
mod policy;
mod reviews;
pub mod rows;
pub mod system;
mod under_way;

pub use caller::{Caller, Spend, Through};
pub use context::{Context, Granted, IDENTITY_TYPE, Parts};
pub use denials::{Noted, without_note};
pub use error::{Error, Kind, Problem};
pub use halt::Halt;
pub use policy::InForce;
pub use reviews::{Case, IN_RUN_MS, ReviewRow, void};
pub use rows::{MIGRATIONS, halt as read_halt};
pub use under_way::{UnderWay, Working};
