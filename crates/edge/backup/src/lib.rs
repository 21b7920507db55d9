//! Copies a node's home into a sealed backup, and puts it back (SEC-6, OPS-3).
//!
//! ```text
//! BACKUP/manifest.json     a DSSE envelope, signed by the node's document key: what is in it, of which node and ledger, by which head
//!        files.jsonl       a line for each file of home/: its mode, size and digest
//!        home/…            the files, as they lie in a home; the store is one file, as it was at one moment
//!        sealed.json       keys and secrets, sealed by a passphrase; only if one was given
//!        sealed.age        or sealed to somebody's public key, which opens them elsewhere
//! ```
//!
//! The same can be one file, a tar archive with just that in it (tar.rs), also while it is written to somebody who reads it.
//!
//! [`Making`] makes one beside a running node, [`Backup::open`] is the one door for those that are there, [`Backup::check`] reads every byte,
//! [`Restoring`] puts it into a home that is not there yet. Both making and restoring work in a folder beside the place, whose
//! last step is a rename: whoever dies on any line leaves nothing there, or all of it.
//!
//! Deliberately absent: the store's own copy and the ledger's audit (the caller has store and ledger for that), a network, increments,
//! and any judgement on whether a backup is too old: the caller knows the heads.

mod age;
mod error;
mod escrow;
mod files;
mod making;
mod manifest;
mod opening;
mod packing;
mod restoring;
mod source;
mod staging;
mod tar;
#[cfg(test)]
mod tests;

pub use age::{Identity, MAX_RECIPIENTS, Recipient};
pub use error::BackupError;
pub use escrow::{MIN_PASSPHRASE_CHARS, Passphrase};
pub use making::{Keys, Made, Making, What};
pub use manifest::{FORMAT_VERSION, LeftOut, Listing, MANIFEST_TYPE, Manifest, SealedPart};
pub use opening::{Backup, Problem};
pub use restoring::{KeyFile, Restoring};
#[doc(hidden)]
pub use tar::is_archive;

/// The file of a home that says that somebody keeps a head of a longer ledger, or of another: that head, as it was signed. A node whose
/// home has it writes nothing.
pub const ROLLED_BACK_FILE: &str = "ROLLED_BACK";

/// The store's file in a home.
pub const STORE_FILE: &str = "store.sqlite";
