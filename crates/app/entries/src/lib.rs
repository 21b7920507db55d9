//! The ledger, read, searched, proved and exported.
//!
//! Heads, tiles and consistency proofs are for everybody: they show hashes, times and kinds, never a body. Whatever shows a
//! body needs permission, and that it was read is itself recorded (SEC-7's "who read the audit is in the audit").
//!
//! Deliberately absent: verifying (an auditor does it off-line, with `store::Archive`, and does not ask the node).

mod export;
mod read;
mod redact;
pub mod retention;
pub mod rows;

pub use export::{Export, Format, export};
pub use read::{Proof, consistency, entry, head, leaves, proof, proof_of, proofs_of, search, tile};
pub use redact::{Redacted, redact};
pub use retention::Retention;
pub use rows::{Filter, VIEWS};
