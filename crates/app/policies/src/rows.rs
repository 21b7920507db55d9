//! The table `policy`: which policy is in force; and decisions on record.

use rusqlite::OptionalExtension as _;
use steward_ledger::kind;
use steward_naming::Namespace;
use steward_seal::Digest;
use steward_store::{EntryRow, Reader, StoreError};

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

/// The last decisions before an entry, newest first.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn last_decisions(
    reader: &Reader<'_>,
    namespace: &Namespace,
    before: u64,
    last: u32,
) -> Result<Vec<EntryRow>, StoreError> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let condition = "WHERE namespace = ?1 AND decision IS NOT NULL AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
    reader.entries(condition, &[&namespace.as_str(), &before, &last])
}

/// How many refusals were counted, and not recorded one by one, in entries from one on.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn counted_since(reader: &Reader<'_>, namespace: &Namespace, from: u64) -> Result<u64, StoreError> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let condition = "WHERE namespace = ?1 AND kind = ?2 AND seq >= ?3";
    let mut counted = 0_u64;
    for entry in reader.entries(condition, &[&namespace.as_str(), &kind::DENIALS_COUNTED, &from])? {
        let body = entry.read_body()?;
        let counts = body.as_ref().and_then(|body| body.detail.get("counts")?.as_array());
        let more = counts.into_iter().flatten().filter_map(|one| one.get("more")?.as_str()?.parse::<u64>().ok());
        counted = more.fold(counted, u64::saturating_add);
    }
    Ok(counted)
}
