//! A decision that a person must make: bound to the exact action and to the policy that asked for it, expiring into a denial, used
//! once.
//!
//! ```text
//! let review = Review::open(Asks { … }, now);
//! let review = review.step(Step::Approve { by, own, enough, reason }, now)?;     // approved, or one of two
//! let review = review.step(Step::Use { digest, policy, action }, now)?;          // good for this, and for nothing else
//! ```
//!
//! Whoever approves stands outside the chain that asked: the agent, who started its run, who drives it. Whether somebody inside may, and
//! how many people are enough, is policy; what it said comes in with the step.
//!
//! Deliberately absent: who may decide (policy), storing and asking (`app`), and what follows from a decision (`flows`).

mod moment;
mod review;
#[cfg(test)]
mod tests;

pub use review::{Asked, Asks, Decision, MAX_REASON_CHARS, MAX_WHY_CHARS, Refusal, Review, Status, Step};
