//! Governed actions and their effects.
//!
//! [`act()`] asks for one action as an agent and, if it is allowed, has it done: decided, journalled, done, settled
//! (decision 0001). [`settle_interrupted`] finishes what a node that died left behind, [`settle_left_behind`] what one that lives
//! could not record. [`decide`] only decides and records, for effects that are enforced elsewhere. [`explain()`] says why.
//!
//! Within runs there are more tools: [`perform`] is given them. [`resolve()`] is a person's word about an effect of which the node
//! does not know what became of it.
//!
//! Deliberately absent: runs themselves (flows joins them), and deciding by a person (reviews, later).

mod act;
mod asked;
mod explain;
mod interrupted;
mod resolve;
pub mod rows;
mod settle;
mod tools;

pub use act::{Decided, act, decide, perform};
pub use asked::Asked;
pub use explain::{Explained, action, actions, explain, own};
pub use interrupted::{Settled, settle_interrupted, settle_left_behind};
pub use resolve::{effects, resolve};
pub use rows::{EffectRow, Status};
pub use settle::{Beside, settle_beside};
pub use tools::{Done, OfServer, Product, Running, Tools, WORK, minimum_grade, verify};
