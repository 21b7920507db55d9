//! What can go wrong.

use std::{io, path::Path};

/// A backup was not made, is none, or was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system says no.
    #[error("cannot {doing} `{path}`: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To what.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Something is there already.
    #[error("`{0}` is not empty; choose another place, or move what is there away")]
    Occupied(String),
    /// Another process is at the same place.
    #[error("another process works on `{0}`; wait until it ends")]
    Busy(String),
    /// Not a backup, or one that was changed.
    #[error("`{path}` is no backup, or was changed: {reason}")]
    NotABackup {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A newer program made it.
    #[error("the backup has the format {found}, and this program reads {known}; use the version that made it")]
    Version {
        /// What it says.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// The passphrase is too weak to keep keys with.
    #[error("the passphrase has {0} characters; at least {min} are asked for", min = crate::escrow::MIN_PASSPHRASE_CHARS)]
    ShortPassphrase(usize),
    /// What is sealed does not open.
    #[error("keys and secrets do not open: the passphrase is another one, or `sealed.json` was changed")]
    WrongPassphrase,
    /// Not a public key that keys and secrets can be sealed to.
    #[error("no recipient of an escrow: {0}")]
    NoRecipient(String),
    /// A file that opens nothing.
    #[error("the file holds no identity; one is a line `AGE-SECRET-KEY-1…`, as `age-keygen` writes it")]
    NoIdentity,
    /// What is sealed does not open.
    #[error("keys and secrets do not open: they are sealed to others than this identity, or `sealed.age` was changed")]
    WrongIdentity,
    /// Less room than it needs.
    #[error("`{path}` needs {needed} bytes more, and there is room for {free}; say with TMPDIR where there is more")]
    NoRoom {
        /// Where.
        path: String,
        /// Bytes of the store's copy.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// More secrets than can be sealed at once.
    #[error("keys and secrets have more than {} MiB together, the last is `{path}`; something large lies where secrets do", limit >> 20)]
    TooMuchSealed {
        /// The file that was too much.
        path: String,
        /// Bytes at most.
        limit: usize,
    },
    /// The keys are needed, and are not there.
    #[error("{0}")]
    NoKeys(String),
    /// What a file holds is not what was promised.
    #[error("`{path}` is not what the backup says it is: {reason}")]
    Changed {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl BackupError {
    /// For `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { doing, path: path.clone(), source }
    }

    pub(crate) fn no_backup(path: &Path, reason: impl ToString) -> Self {
        Self::NotABackup { path: path.display().to_string(), reason: reason.to_string() }
    }
}
