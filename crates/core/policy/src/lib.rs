//! May this actor do this to that, and why: the policy engine. Cedar lives here and nowhere else.
//!
//! Policies are text that an operator edits ([`Sources`]; those that ship lie in the folder `policies`). They are compiled
//! into an [`Engine`], or all their mistakes are given at once, with file, line and column. The engine answers questions with
//! a permit or a denial. Denied is the default, a forbidding policy beats a permitting one, and a policy that cannot be
//! evaluated denies whatever it was asked.
//!
//! ```text
//! Sources ──compile──► Engine ──decide(question, now)──► Permit | Denial
//!    └─ every Mistake    ├────weigh(&question)──► Verdict   (a dry run: `policy explain`, `policy test`)
//!                        └────listed(), version()
//! ```
//!
//! Only policies whose scope can match are given to Cedar (the module `slice`); the answer is the same as that of all of them.
//!
//! Deliberately absent: files and reloading (the node reads them and swaps engines); templates (every policy is readable as
//! it stands); approvals, until reviews exist: `context.approved` is false.

mod compile;
mod engine;
mod listed;
mod mistake;
mod question;
#[doc(hidden)]
pub mod slice;
mod sources;
mod split;
mod table;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use compile::MAX_POLICIES;
pub use engine::{Engine, Verdict};
pub use listed::{Effect, Listed};
pub use mistake::Mistake;
pub use question::{Gives, Question, Reviewing};
pub use sources::{MAX_SOURCES_BYTES, Source, Sources, SourcesError};
pub use table::{Because, Case, CaseResult, Table};
