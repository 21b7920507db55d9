//! The durable store: one writer with group commit, many readers.
//!
//! [`Store::commit`] is the only way to write a fact: it consumes a permit, re-checks the guards, writes the rows and the
//! ledger entry that records them, and answers when both are durable (laws 1 and 2; LED-1, LED-4).
//!
//! ```text
//! let change = Change::new(permit, kind::PERSON_ADDED, "olivia")
//!     .guard(Guard::absent("person", key))
//!     .row(Row::put("person").text("name", "olivia"));
//! let done = store.commit(change).await?;      // durable; done.warrant is for the effect
//! let names = store.read(|r| rows::names(r.sql()))?;
//! ```
//!
//! Deliberately absent: domain nouns (it knows Permit and Entry), another engine (SQLite only, until PostgreSQL is a port with
//! tests of its own), and soft state, which may be lost and is `state`'s.

mod archive;
mod change;
mod error;
mod measures;
mod reader;
mod schema;
mod tables;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use steward_clock::{Clock, Dice};
use steward_permit::Denial;
use steward_seal::{SigningKey, note::NoteKey};
use tokio::sync::Semaphore;

pub use archive::Archive;
pub use change::{Change, Committed, Guard, Recorded, Refusal, Row};
pub use error::{CommitError, StoreError};
pub use measures::{LATENCY_CLASSES_US, Measures};
pub use reader::{EntryRow, Reader};
pub use schema::{Migration, Schema};
pub use tables::{Key, key};

use crate::{reader::Readers, writer::Writer};

/// The most changes that share one transaction: enough to spread an fsync thin, few enough to keep latency flat.
pub const MAX_GROUP: usize = 256;

/// The most changes that wait for the writer; beyond, callers wait to hand theirs in.
pub const MAX_WAITING: usize = 1024;

/// The most scans at once: each keeps a processor and the disk busy.
pub const MAX_SCANS: usize = 4;

/// The largest blob in bytes.
pub const MAX_BLOB_BYTES: usize = 8 << 20;

/// What a store is opened with.
pub struct Options {
    /// The time of entries.
    pub clock: Arc<dyn Clock>,
    /// The salts of entries.
    pub dice: Arc<dyn Dice>,
    /// Signs the tree heads.
    pub tree_head_key: SigningKey,
    /// The ledger's origin for a store that is made now; one that exists keeps its own.
    pub new_origin: String,
    /// What the app floor keeps: in order, forward only.
    pub migrations: Vec<Migration>,
    /// The most bytes that the database may have; `None` is as many as the disk has.
    pub max_bytes: Option<u64>,
    /// Why nothing is written, if somebody keeps a tree head of a longer ledger: then every change is refused but the one that
    /// [opens another origin](Change::opens_origin).
    pub behind: Option<String>,
}

/// The store. Cheap to clone; the writer stops when the last clone is dropped, or by [`Store::close`].
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    scans: Arc<Semaphore>,
    head_key: Arc<NoteKey>,
    path: Arc<PathBuf>,
}

impl Store {
    /// Opens the store at `path`, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// The file is not a store of ours, is newer than this program, was signed by another key, or cannot be read.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let (connection, origin) = schema::open(path, &options)?;
        let head_key = NoteKey::new(&origin, options.tree_head_key.verifying_key())
            .map_err(|e| StoreError::Unusable(e.to_string()))?;
        let writer = Writer::start(connection, origin, options)?;
        let readers = Readers::new(path)?;
        Ok(Self {
            writer: Arc::new(writer),
            readers: Arc::new(readers),
            scans: Arc::new(Semaphore::new(MAX_SCANS)),
            head_key: Arc::new(head_key),
            path: Arc::new(path.to_owned()),
        })
    }

    /// Does and records a permitted change, in one transaction. When this returns, it is durable.
    ///
    /// # Errors
    /// [`CommitError::Stale`] if a guard no longer holds; nothing was written then, or in any other case.
    pub async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        self.writer.commit(change).await
    }

    /// Records a refusal. When this returns, it is durable.
    ///
    /// # Errors
    /// The store cannot write.
    pub async fn refuse(&self, denial: Denial, refusal: Refusal) -> Result<Recorded, CommitError> {
        self.writer.refuse(denial, refusal).await
    }

    /// Reads a consistent snapshot that holds everything acknowledged before the call.
    ///
    /// # Errors
    /// Whatever `read` returns, and what keeps the database from being read.
    pub fn read<T, E: From<StoreError>>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        self.readers.read(read)
    }

    /// The same on a thread for such: for what reads much, so that requests that read little do not wait for it. A few at once.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn scan<T, E>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let _place = self.scans.acquire().await.expect("the places are never closed");
        let store = self.clone();
        let scanned = tokio::task::spawn_blocking(move || store.read(read)).await;
        scanned.unwrap_or_else(|e| Err(StoreError::Damaged(format!("reading it ended in a panic: {e}")).into()))
    }

    /// The key that verifies the tree heads, with the origin as its name.
    pub fn head_key(&self) -> &NoteKey {
        &self.head_key
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the store takes no more changes, if it does not.
    pub fn broken(&self) -> Option<String> {
        self.writer.broken()
    }

    /// What the store measured of itself since it was opened.
    pub fn measures(&self) -> Measures {
        self.writer.measures()
    }

    /// Waits until the writer took everything that was handed in before: whoever asks learns that it works.
    ///
    /// # Errors
    /// It is gone.
    pub async fn answers(&self) -> Result<(), CommitError> {
        self.writer.answers().await
    }

    /// Why every change is refused, if the store is behind a head that somebody keeps.
    pub fn behind(&self) -> Option<&str> {
        self.writer.behind()
    }

    /// Folds the write-ahead log back and empties it, so that what was erased stands in no file any more. `false` if somebody reads an
    /// older state just now: ask again.
    ///
    /// # Errors
    /// The store takes nothing any more.
    pub async fn fold(&self) -> Result<bool, CommitError> {
        self.writer.fold().await
    }

    /// Finishes what was handed in and stops the writer. Changes that come later are refused.
    pub fn close(&self) {
        self.writer.close();
    }
}
