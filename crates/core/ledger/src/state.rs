//! Holds the rows and blobs that are there against what the entries say about them.
//!
//! Made from the [`Report`] of a full audit. Every row of every fact table is shown to [`StateAudit::row`]; what the
//! entries wrote and nobody showed is missing.

use serde_json::Value;
use steward_seal::Digest;

use crate::{
    canonical::{self, Sorted},
    report::{Expected, FindingCode, Place, Report},
    row::{Columns, RowDigest, row_digest},
};

/// A comparison of rows and blobs under way.
#[derive(Debug)]
pub struct StateAudit {
    report: Report,
}

impl StateAudit {
    /// Goes on where the audit of the entries ended. That audit must have read bodies: one of hashes only knows no rows.
    pub fn new(report: Report) -> Self {
        Self { report }
    }

    /// A row that is there: its table, the columns of its primary key, and all its columns.
    pub fn row(&mut self, table: &str, key: &Columns, columns: &Columns) {
        self.report.rows_compared += 1;
        let place = RowDigest::place(table, key);
        let digest = row_digest(table, key, columns);
        let (code, seq, message) = match self.report.rows.remove(place.as_str()) {
            Some(expected) if expected.digest == digest => return,
            Some(Expected { seq, .. }) => (FindingCode::RowChanged, Some(seq), "it is not as that entry wrote it"),
            None => (FindingCode::RowUnrecorded, None, "no readable entry wrote it, or the last one deleted it"),
        };
        self.report.findings.push(code, Self::place(&place, seq), message);
    }

    /// The blobs that entries name and that nobody showed yet.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        self.report.blobs.iter()
    }

    /// A blob that entries name: the digest of its content as it is now, or none if it is gone.
    pub fn blob(&mut self, named: &Digest, content: Option<&Digest>) {
        self.report.blobs.remove(named);
        let place = Place::Blob(*named);
        match content {
            Some(content) if content == named => {}
            Some(content) => {
                self.report.findings.push(FindingCode::BlobChanged, place, format!("its content is now {content}"));
            }
            None => self.report.findings.push(FindingCode::BlobMissing, place, "an entry names it, and it is gone"),
        }
    }

    /// The end of the rows: those that nobody showed are missing.
    pub fn finish(mut self) -> Report {
        let mut missing: Vec<(Box<str>, Expected)> = self.report.rows.drain().collect();
        self.report.rows_compared += missing.len() as u64;
        missing.sort_unstable_by(|a, b| (a.1.seq, &a.0).cmp(&(b.1.seq, &b.0)));
        for (place, Expected { seq, .. }) in missing {
            let message = "that entry wrote it, no readable entry deleted it, and it is gone";
            self.report.findings.push(FindingCode::RowMissing, Self::place(&place, Some(seq)), message);
        }
        self.report
    }

    /// [`RowDigest::place`] back into table and key.
    fn place(text: &str, seq: Option<u64>) -> Place {
        let (table, key): (String, Value) = serde_json::from_str(text).expect("this crate wrote it");
        let key = String::from_utf8(canonical::to_vec(&Sorted(&key))).expect("JSON is UTF-8");
        Place::Row { table, key, seq }
    }
}
