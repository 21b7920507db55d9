//! A store that is only read: by an auditor, beside a running node or of a node that is gone.

use std::{fs::File, path::Path};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use steward_clock::Timestamp;
use steward_ledger::{Audit, Report};

use crate::{
    error::StoreError,
    reader::{self, Reader},
    schema::{self, Migration, Schema},
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

    /// Copies all of it to a new file at `to`, as it is at one moment: whoever writes meanwhile goes on, and is not in the copy. The copy is
    /// one file, without a log beside it, and is on disk when this returns.
    ///
    /// # Errors
    /// The store cannot be read, or the copy cannot be written.
    pub fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(to, flags)?;
        schema::owner_only(to)?;
        // All pages in one step: between two of them somebody could write, and it would begin anew.
        match Backup::new(&self.connection, &mut copy)?.step(-1)? {
            StepResult::Done => {}
            other => return Err(StoreError::Unusable(format!("it is held by somebody ({other:?}); try again"))),
        }
        // A copy that is only read needs no log, and none is made beside it.
        copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        copy.close().map_err(|(_, error)| error)?;
        File::open(to)?.sync_all()?;
        Ok(())
    }

    /// Which steps brought its tables to their shape, and which would be taken if a program that knows `migrations` opened it.
    ///
    /// # Errors
    /// The store cannot be read, is newer than `migrations`, or was made by others.
    pub fn schema(&self, migrations: &[Migration]) -> Result<Schema, StoreError> {
        schema::look(&self.connection, migrations)
    }

    /// Tries the steps that are to be taken on a copy at `beside`, which is left there. Audits the copy with `audit` after them.
    ///
    /// # Errors
    /// A step fails: a start would fail as well, and the store itself would stay as it is.
    pub fn try_out(
        &self,
        beside: &Path,
        migrations: &[Migration],
        audit: Audit,
        now: Timestamp,
    ) -> Result<Report, StoreError> {
        self.copy_to(beside)?;
        let mut copy =
            Connection::open_with_flags(beside, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        schema::migrate(&mut copy, migrations, now)?;
        let damage: String = copy.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        if damage != "ok" {
            return Err(StoreError::Damaged(format!("after the steps SQLite finds: {damage}")));
        }
        reader::snapshot(&copy, |reader| reader.audit(audit, true))
    }

    /// Audits all of it: entries, tiles and tree head; with `state` the fact rows and blobs too.
    ///
    /// # Errors
    /// The store cannot be read at all. What is wrong with what it says is in the report.
    pub fn audit(&self, audit: Audit, state: bool) -> Result<Report, StoreError> {
        self.read(|reader| reader.audit(audit, state))
    }
}
