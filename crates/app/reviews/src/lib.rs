//! The one inbox: what waits for people's decisions (law 5).
//!
//! ```text
//! let row = approve(&context, &caller, &id, "the plan is sound", alone).await?;     // or reject
//! ```
//!
//! A decision is one commit: the review as it is after it, under the guard that it is as it was read. Of two people who answer at
//! once one is first, and the other decides about what is there then. What follows from a decision is not here: whoever asked waits
//! for it, or asks again.
//!
//! Deliberately absent: opening a review, which any noun's decision can need (`app/node`), and what an approval leads to (`flows`).

mod verbs;

pub use verbs::{Documents, MAX_LISTED, approve, end_due, find, find_for, list, reject, show};
