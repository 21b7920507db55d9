//! The policy in force, and its row.

use steward_policy::{Engine, Sources};
use steward_store::Migration;

/// The row says which policy is in force; its files are a blob.
pub const MIGRATIONS: &[Migration] = &[Migration {
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
}];

/// A policy that decides, and the entry that loaded it.
pub struct InForce {
    /// Decides.
    pub engine: Engine,
    /// Its files.
    pub sources: Sources,
    /// The entry that loaded it; none until the first was recorded.
    pub entry_seq: Option<u64>,
}
