//! The row that says which policy is in force.

use steward_store::Migration;

/// The row names the policy's version; its files are a blob.
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
