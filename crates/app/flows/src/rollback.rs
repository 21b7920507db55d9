//! A home that is behind a head that somebody keeps: it was restored from an old copy, and what came after is gone here (SEC-6).
//!
//! Whoever restores it leaves that head in the home, in the file `ROLLED_BACK`. While it is there the node writes nothing. An operator who
//! goes on all the same has that recorded: the ledger gets a new origin, whose first entry names the head that was lost, so that the two
//! histories never speak under one name. docs/decisions/0005-restoring-and-redacting.md says why.
//!
//! Deliberately absent: fetching what is missing. A node that stands alone has nowhere to fetch it from.

use std::{fs, io, sync::Arc};

use serde_json::json;
use steward_app_node::{
    Caller, Error,
    home::{Home, HomeError, write_private},
};
use steward_backup::ROLLED_BACK_FILE;
use steward_clock::{Clock, Dice, mishap};
use steward_ledger::{Hash, TreeHead, head, kind, proof};
use steward_naming::visible;
use steward_permit::ResourceKind;
use steward_store::{Archive, Reader, StoreError};

use crate::open::{Begun, OpenError, Settings, begin, new_origin};

/// The most bytes of the kept head.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

/// A rollback that was taken knowingly, and is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The entry that says so.
    pub entry: u64,
    /// The origin until then.
    pub old_origin: String,
    /// The origin from then on.
    pub new_origin: String,
    /// The head that was lost.
    pub lost: TreeHead,
    /// Entries that were there.
    pub kept: u64,
}

/// Why nothing may be written in `home`, if somebody left a head there that its ledger does not reach.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn why(home: &Home) -> Result<Option<String>, OpenError> {
    let Some(note) = mark(home)? else { return Ok(None) };
    let (origin, size) = said(&note);
    let (found, entries, is_reached) = match Archive::open(&home.store()) {
        Ok(archive) => {
            let (entries, is_reached) = archive.read(|reader| {
                let entries = reader.size()?;
                Ok::<_, StoreError>((entries, entries >= size && root_is(reader, size, &note)))
            })?;
            (archive.origin().to_owned(), entries, is_reached)
        }
        // Without a store there is nothing to be behind with; the mark stays a mark.
        Err(StoreError::Missing(_)) => (origin.to_owned(), 0, false),
        Err(error) => return Err(error.into()),
    };
    if found != origin && !origin.is_empty() {
        // That it was accepted is on record, and the process died before it took the mark away.
        tracing::warn!(origin = visible(origin), "the mark of a rollback that was accepted is taken away");
        unmark(home)?;
        return Ok(None);
    }
    if found == origin && is_reached {
        // Somebody put back a copy that has all of it.
        tracing::warn!(
            size,
            "the ledger continues the head that it was behind: the mark of the rollback is taken away"
        );
        unmark(home)?;
        return Ok(None);
    }
    Ok(Some(format!(
        "a tree head of {size} entries of this ledger is known, and this home was restored with {entries}, or with other ones; restore a \
         newer copy, or stop the node and open it knowingly: `steward backup accept --reason WHY`"
    )))
}

/// Opens a home knowingly that is behind: records the head that was lost under a new origin, and takes the mark away.
///
/// # Errors
/// The home is not behind, its policy does not let the node do it, or it cannot be recorded.
pub async fn accept_rollback(
    settings: &Settings,
    reason: &str,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
) -> Result<Accepted, OpenError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        let message = format!("`reason` says why, on one line of at most {MAX_REASON} characters");
        return Err(Error::invalid(message).into());
    }
    let Begun { context, lock, .. } = begin(settings, Arc::clone(&clock), Arc::clone(&dice))?;
    let store = &context.store;
    let note = match (store.behind(), mark(&settings.home)?) {
        (Some(_), Some(note)) => note,
        _ => {
            store.close();
            return Err(
                Error::invalid("this home is not behind any head that is known: there is nothing to accept").into()
            );
        }
    };
    let old = store.head_key().clone();
    let lost = head::open(note.as_bytes(), &old, old.name()).map_err(|e| {
        Error::invalid(format!(
            "`{ROLLED_BACK_FILE}` holds no head of this ledger ({e}); put back what `backup restore` wrote"
        ))
    })?;
    let lost = lost.into_inner();
    let kept = store.read(|reader| reader.size())?;
    let node = Caller::node(&context.namespace);
    let action = context.action("node.accept_rollback", ResourceKind::Node, context.namespace.as_str())?;
    let granted = context.permit(&node, action, None).await?;
    let new_origin = new_origin(&context.namespace, clock.as_ref(), dice.as_ref());
    let change = context
        .change(&node, granted, kind::ROLLBACK_ACCEPTED, context.namespace.as_str())
        .urgent()
        .detail("reason", reason)
        .detail("origin", new_origin.as_str())
        .detail(
            "lost",
            json!({"origin": lost.origin, "size": lost.size.to_string(), "root": lost.root.to_base64(), "note": note}),
        )
        .detail("kept", kept.to_string())
        .opens_origin(new_origin.as_str());
    let committed = context.commit(change).await;
    store.close();
    let entry = committed?.recorded.seq;
    mishap::at("accept.recorded").map_err(|e| io_failed(&settings.home, e))?;
    unmark(&settings.home)?;
    drop(lock);
    Ok(Accepted { entry, old_origin: old.name().to_owned(), new_origin, lost, kept })
}

/// The head that somebody left in the home.
fn mark(home: &Home) -> Result<Option<String>, OpenError> {
    use io::Read as _;
    let path = home.path().join(ROLLED_BACK_FILE);
    let mut text = String::new();
    match fs::File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.and_then(|file| file.take(MAX_NOTE_BYTES).read_to_string(&mut text)),
    }
    .map_err(|e| io_failed(home, e))?;
    Ok(Some(text))
}

/// Leaves a head in a home that is behind it, unless there is one: its node starts read-only until that is accepted.
///
/// # Errors
/// The file cannot be written.
pub fn mark_behind(home: &Home, note: &str) -> Result<(), OpenError> {
    let path = home.path().join(ROLLED_BACK_FILE);
    if path.exists() {
        return Ok(());
    }
    write_private(&path, note.as_bytes())?;
    Ok(())
}

fn unmark(home: &Home) -> Result<(), OpenError> {
    fs::remove_file(home.path().join(ROLLED_BACK_FILE))
        .and_then(|()| fs::File::open(home.path())?.sync_all())
        .map_err(|e| io_failed(home, e))
}

fn io_failed(home: &Home, source: io::Error) -> OpenError {
    OpenError::Home(HomeError::Io { path: home.path().join(ROLLED_BACK_FILE).display().to_string(), source })
}

/// Whether the ledger's first entries are those that the head in a note covers. What cannot be read is not.
fn root_is(reader: &Reader<'_>, size: u64, note: &str) -> bool {
    let said = note.lines().nth(2).and_then(Hash::from_base64);
    said.is_some() && proof::root(size, |id| reader.tile(id)).ok() == said
}

/// The origin and size that a note says: for finding one's way; believed only once it is opened.
fn said(note: &str) -> (&str, u64) {
    let mut lines = note.lines();
    (lines.next().unwrap_or_default(), lines.next().and_then(|size| size.parse().ok()).unwrap_or(0))
}
