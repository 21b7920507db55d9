//! The policy in force: read from the home's files, compiled, recorded, put in force; again when the files change.
//!
//! The files are for people to edit. What decides is what was recorded: the files' digest is the policy's version, and their
//! content is a blob under it, so that every decision can be explained with the policy that made it.
//!
//! Deliberately absent: editing over the API (files are the face for that), review of changes (reviews, later).

mod asked;
mod diff;
mod files;
mod load;
mod rows;

pub use asked::{Unasked, again};
pub use diff::{Candidate, Diff, Difference, MAX_COMPARED, WouldBe, asked_again, diff};
pub use files::{FilesError, install, read};
pub use load::{Loaded, first, may_ask, reload, restore, weigh};
