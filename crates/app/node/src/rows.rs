//! The rows that say which policy is in force, and whether the node is halted.

use rusqlite::OptionalExtension as _;
use steward_naming::Namespace;
use steward_store::{Migration, Reader, StoreError};

use crate::halt::Halt;

/// The row names the policy's version; its files are a blob.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "node-0001",
        sql: "
CREATE TABLE policy (
    namespace TEXT NOT NULL PRIMARY KEY,
    version   TEXT NOT NULL,
    blob      TEXT NOT NULL,
    loaded_at TEXT NOT NULL,
    entry_seq INTEGER NOT NULL
) STRICT;
",
    },
    Migration {
        name: "node-0002",
        sql: "
CREATE TABLE halt (
    namespace TEXT NOT NULL PRIMARY KEY,
    halted    INTEGER NOT NULL CHECK (halted IN (0, 1)),
    by        TEXT NOT NULL,
    reason    TEXT NOT NULL,
    at        TEXT,
    entry_seq INTEGER NOT NULL
) STRICT;
",
    },
];

/// Whether the node is halted.
///
/// # Errors
/// The store cannot be read.
pub fn halt(reader: &Reader<'_>, namespace: &Namespace) -> Result<Halt, StoreError> {
    let mut statement =
        reader.sql().prepare_cached("SELECT halted, by, reason, at, entry_seq FROM halt WHERE namespace = ?1")?;
    let found = statement
        .query_row([namespace.as_str()], |row| {
            let at: Option<String> = row.get(3)?;
            Ok(Halt {
                is_halted: row.get(0)?,
                by: row.get(1)?,
                reason: row.get(2)?,
                at: at.and_then(|text| text.parse().ok()),
                entry_seq: Some(row.get(4)?),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}
