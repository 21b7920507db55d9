//! The table `policy`: which policy is in force.

use rusqlite::OptionalExtension as _;
use steward_naming::Namespace;
use steward_seal::Digest;
use steward_store::{Reader, StoreError};

/// The version in force, the blob of its files, and the entry that loaded it.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn policy(reader: &Reader<'_>, namespace: &Namespace) -> Result<Option<(Digest, Digest, u64)>, StoreError> {
    let mut statement =
        reader.sql().prepare_cached("SELECT version, blob, entry_seq FROM policy WHERE namespace = ?1")?;
    let row: Option<(String, String, u64)> =
        statement.query_row([namespace.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()?;
    row.map(|(version, blob, seq)| {
        let damaged = |_| StoreError::Damaged("the row of the policy in force holds no digests".to_owned());
        Ok((version.parse().map_err(damaged)?, blob.parse().map_err(damaged)?, seq))
    })
    .transpose()
}
