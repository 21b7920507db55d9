//! Why there is no secret.

use std::io;

use crate::sealed::SealError;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// There is none of that name.
    #[error(
        "there is no secret `{0}`; `steward secret put {0}` puts it into the keystore, or write the file `secrets/{0}` of the node's home, with the mode 0600"
    )]
    Missing(String),
    /// Others could read it.
    #[error("the secret `{0}` can be read by others; type: chmod 600 secrets/{0}")]
    Open(String),
    /// It is none.
    #[error("the secret `{0}` {1}")]
    Unusable(String, &'static str),
    /// The file system says no.
    #[error("the secret `{0}` cannot be read: {1}")]
    Io(String, io::Error),
    /// It was revoked.
    #[error("the secret `{0}` was revoked; `steward secret put {0}` gives it another value")]
    Revoked(String),
    /// It has no value of its own.
    #[error(
        "the values of the secret `{0}` are made for the leases of runs, and only what is called in a run is given one"
    )]
    Made(String),
    /// What is kept of it does not open.
    #[error("what is kept of the secret `{0}` {1}; `steward secret rotate {0}` gives it another value")]
    Damaged(String, SealError),
    /// The keystore does not open.
    #[error("the keystore is locked: {0}")]
    Locked(String),
}
