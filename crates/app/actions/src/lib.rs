//! Governed actions and their effects.
//!
//! [`act()`] asks for one action as an agent and, if it is allowed, has it done: decided, journalled, done, settled
//! (decision 0001). [`settle_interrupted`] finishes what a node that died left behind, [`settle_left_behind`] what one that lives
//! could not record. [`decide`] only decides and records, for effects that are enforced elsewhere. [`explain()`] says why.
//!
//! Deliberately absent: effects other than writing a file (they come with runs), and deciding by a person (reviews, later).

mod act;
mod explain;
mod interrupted;
pub mod rows;

pub use act::{Asked, Decided, act, decide};
pub use explain::{Explained, action, actions, explain, own};
pub use interrupted::{Settled, settle_interrupted, settle_left_behind};
pub use rows::{EffectRow, Status};
