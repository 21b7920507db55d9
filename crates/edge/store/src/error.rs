//! What can go wrong.

/// The store cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no store at that place.
    #[error("there is no store at `{0}`")]
    Missing(String),
    /// The database is not one of ours, is newer than this program, or belongs to another key.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
    /// What is stored does not make sense.
    #[error("the store is damaged: {0}; run `steward ledger verify --state`")]
    Damaged(String),
    /// SQLite says no.
    #[error("the store cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system says no.
    #[error("the store cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// A change was not made. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// What was loaded has changed meanwhile: load again, and decide again.
    #[error("`{table}` `{key}` changed meanwhile")]
    Stale {
        /// The table of the row.
        table: String,
        /// The row's key.
        key: String,
    },
    /// The permit was kept too long.
    #[error("the permit expired before it was used; ask again")]
    Expired,
    /// The change contradicts a rule of the tables.
    #[error("the change contradicts what is stored: {0}")]
    Conflict(String),
    /// There is no room.
    #[error("there is no space left for the store; free some, then try again")]
    Full,
    /// The store takes no more changes: it was closed, or a write failed in a way that leaves its outcome open.
    #[error("the store takes no changes: {0}")]
    Closed(String),
    /// Somebody keeps a tree head of a longer ledger than this store has: nothing is written until an administrator says so.
    #[error("ROLLED BACK: {0}")]
    RolledBack(String),
    /// The change itself is impossible: no such table or column, a value that cannot be recorded.
    #[error("the change cannot be made: {0}")]
    Broken(String),
}

impl CommitError {
    /// What a failed statement means for its change.
    pub(crate) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::SystemIoFailure) => Self::Closed(format!(
                "the system refuses to read or write ({error}); look at the disk, then restart the node"
            )),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self::Closed("another program holds the database; end it, then try again".to_owned())
            }
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Conflict(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}
