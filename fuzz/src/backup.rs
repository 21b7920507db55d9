//! Parsers of `backup`.

use steward_backup::is_archive;

use crate::is_printable;

/// What is accepted is written again as the same bytes; nothing else is read into it.
pub(crate) fn backup_file(bytes: &[u8]) -> bool {
    match is_archive(bytes) {
        Ok(()) => true,
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}
