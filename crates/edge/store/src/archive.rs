//! A store that is only read: by an auditor, beside a running node or of a node that is gone.

use std::path::Path;

use rusqlite::Connection;
use steward_ledger::{Audit, Report};

use crate::{
    error::StoreError,
    reader::{self, Reader},
};

/// A store, opened to be read.
pub struct Archive {
    connection: Connection,
    origin: String,
}

impl Archive {
    /// Opens the store at `path`. Nothing in it is believed: that is the audit's work.
    ///
    /// # Errors
    /// There is none, or it cannot be read at all.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing(path.display().to_string()));
        }
        let connection = reader::open(path)?;
        let note = reader::head_note(&connection)?;
        let note = note.ok_or_else(|| StoreError::Damaged("it has no tree head".to_owned()))?;
        let origin = reader::said(&note).0.to_owned();
        Ok(Self { connection, origin })
    }

    /// The ledger's origin, as the store says it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The newest signed tree head, as the store says it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn head_note(&self) -> Result<String, StoreError> {
        let note = self.read(|reader| reader.head_note())?;
        note.ok_or_else(|| StoreError::Damaged("it has no tree head".to_owned()))
    }

    /// Reads a consistent snapshot.
    ///
    /// # Errors
    /// Whatever `read` returns, and what keeps the database from being read.
    pub fn read<T, E: From<StoreError>>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        reader::snapshot(&self.connection, read)
    }

    /// Audits all of it: entries, tiles and tree head; with `state` the fact rows and blobs too.
    ///
    /// # Errors
    /// The store cannot be read at all. What is wrong with what it says is in the report.
    pub fn audit(&self, audit: Audit, state: bool) -> Result<Report, StoreError> {
        self.read(|reader| reader.audit(audit, state))
    }
}
