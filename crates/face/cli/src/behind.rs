//! A home that was put back by other means than `backup restore`: before its node starts, it is held against the head that is remembered
//! here of its ledger.
//!
//! ```no_run
//! if let Some(note) = steward_cli::lost_head(std::path::Path::new("home"))? { /* the node starts read-only, and says why */ }
//! # Ok::<_, String>(())
//! ```
//!
//! Deliberately absent: finding out what nobody saw. Where this command line never was, nothing is remembered.

use std::path::Path;

use steward_backup::STORE_FILE;
use steward_ledger::head;
use steward_store::{Archive, StoreError};

use crate::{
    failure::Failure,
    heads::{Watch, parse},
    memory::Memory,
    verbs::backup::continues,
};

/// The largest tree head that is remembered here of the ledger in `home`, if what is there does not continue it: entries were taken back, or
/// they are others.
///
/// # Errors
/// What is remembered, or the store, cannot be read.
pub fn lost_head(home: &Path) -> Result<Option<String>, String> {
    let told = |failure: Failure| failure.message;
    let unread = |error: StoreError| format!("the store cannot be read: {error}");
    // Who has nowhere to remember anything remembers nothing.
    let Ok(memory) = Memory::usual() else { return Ok(None) };
    let archive = match Archive::open(&home.join(STORE_FILE)) {
        Err(StoreError::Missing(_)) => return Ok(None),
        other => other.map_err(unread)?,
    };
    let ledger = memory.ledger(archive.origin());
    let Some(vkey) = ledger.vkey().map_err(told)? else { return Ok(None) };
    // Before the store's own head, so that it is never newer than that.
    let watch = Watch::with_key(&memory, parse(&vkey).map_err(told)?).map_err(told)?;
    let (Some(remembered), Some(note)) = (watch.remembered(), ledger.note().map_err(told)?) else { return Ok(None) };
    let own = archive.head_note().map_err(unread)?;
    // One that is not signed by the key that is known: whoever asks this node is told.
    let Ok(own) = head::open(own.as_bytes(), watch.key(), watch.key().name()) else { return Ok(None) };
    if continues(&archive, remembered, own.get()).map_err(told)? {
        return Ok(None);
    }
    String::from_utf8(note).map(Some).map_err(|_| "what is remembered is no text".to_owned())
}
