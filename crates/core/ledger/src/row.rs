//! Digests of rows: what an entry says that it wrote.
//!
//! `digest = SHA-256(JCS({"table", "key": {column: cell}, "row": {column: cell}}))`. Null columns are left out, so that
//! adding a nullable column changes no digest; an integer is `{"i": "42"}`, a blob `{"b": hex}`, text a string.
//! `entry_seq` is a column like any other. A deletion has no digest.
//!
//! Deliberately absent: floats. SQLite's REAL columns have no place in a fact table.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use steward_seal::Digest;

use crate::canonical;

/// What a column of a row holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// Nothing; not part of a digest.
    Null,
    /// An integer of 64 bits.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Cells by the name of their column.
pub type Columns = BTreeMap<String, Cell>;

/// A row that an entry wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowDigest {
    /// [`row_digest`] of the row as it was written; none for a row that was deleted.
    pub digest: Option<Digest>,
    /// The columns of the primary key.
    #[serde(serialize_with = "write_cells")]
    pub key: Columns,
    /// The table.
    pub table: String,
}

impl RowDigest {
    /// What an entry says about a row that it wrote, or deleted (`None`).
    pub fn of(table: &str, key: Columns, row: Option<&Columns>) -> Self {
        let digest = row.map(|row| row_digest(table, &key, row));
        Self { digest, key, table: table.to_owned() }
    }

    /// The table and the key as one text, by which rows are told apart.
    pub(crate) fn place(table: &str, key: &Columns) -> String {
        #[derive(Serialize)]
        struct Place<'a>(&'a str, Cells<'a>);

        let bytes = canonical::to_vec(&Place(table, Cells(key)));
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }
}

/// The digest of a row: all its columns, those of the key among them.
pub fn row_digest(table: &str, key: &Columns, row: &Columns) -> Digest {
    /// Fields in canonical order.
    #[derive(Serialize)]
    struct Document<'a> {
        key: Cells<'a>,
        row: Cells<'a>,
        table: &'a str,
    }

    Digest::of(&canonical::to_vec(&Document { key: Cells(key), row: Cells(row), table }))
}

#[derive(Clone, Copy)]
struct Cells<'a>(&'a Columns);

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        canonical::sorted(self.0.iter().filter(|(_, cell)| **cell != Cell::Null), serializer)
    }
}

fn write_cells<S: Serializer>(cells: &Columns, serializer: S) -> Result<S::Ok, S::Error> {
    Cells(cells).serialize(serializer)
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, text) = match self {
            Self::Null => return serializer.serialize_unit(),
            Self::Text(text) => return serializer.serialize_str(text),
            Self::Int(n) => ("i", n.to_string()),
            Self::Blob(bytes) => ("b", hex::encode(bytes)),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, &text)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a string, {"i": "42"} or {"b": hex}"#)
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let malformed = || de::Error::custom("a cell is neither an integer nor a blob");
        let (name, text) = map.next_entry::<String, String>()?.ok_or_else(malformed)?;
        let cell = match name.as_str() {
            "i" => Cell::Int(text.parse().map_err(|_| malformed())?),
            "b" => Cell::Blob(hex::decode(&text).map_err(|_| malformed())?),
            _ => return Err(malformed()),
        };
        if map.next_key::<String>()?.is_some() { Err(malformed()) } else { Ok(cell) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use steward_seal::{Digest, json};

    use super::{Cell, Columns, RowDigest, row_digest};

    fn columns(cells: &[(&str, Cell)]) -> Columns {
        cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect()
    }

    #[test]
    fn golden_digest() {
        let key = columns(&[("id", Cell::Text("act_01".to_owned()))]);
        let mut row = columns(&[
            ("id", Cell::Text("act_01".to_owned())),
            ("entry_seq", Cell::Int(42)),
            ("note", Cell::Null),
            ("content", Cell::Blob(vec![0, 255])),
        ]);
        let digest = row_digest("effect", &key, &row);
        let text = br#"{"key":{"id":"act_01"},"row":{"content":{"b":"00ff"},"entry_seq":{"i":"42"},"id":"act_01"},"table":"effect"}"#;
        assert_eq!(digest, Digest::of(text));
        // Frozen: `verify --state` compares rows of every age with this.
        expect_test::expect!["sha256:84a787ffcdeb51c171a840f559b33a8c24294a4262b766768db98964b6509ec3"]
            .assert_eq(&digest.to_string());

        row.remove("note");
        assert_eq!(row_digest("effect", &key, &row), digest, "a column that is null is as one that is not there");
        for (column, cell) in [
            ("entry_seq", Cell::Int(43)),
            ("entry_seq", Cell::Text("42".to_owned())),
            ("content", Cell::Text("00ff".to_owned())),
            ("note", Cell::Text(String::new())),
        ] {
            let mut other = row.clone();
            other.insert(column.to_owned(), cell);
            assert_ne!(row_digest("effect", &key, &other), digest, "{column}");
        }
        assert_ne!(row_digest("effects", &key, &row), digest);
    }

    #[test]
    fn a_deletion_is_null() {
        let deleted = RowDigest::of("t", columns(&[("k", Cell::Int(-1))]), None);
        assert_eq!(
            serde_json::to_string(&deleted).expect("plain"),
            r#"{"digest":null,"key":{"k":{"i":"-1"}},"table":"t"}"#
        );
    }

    fn cells() -> impl Strategy<Value = Columns> {
        let cell = prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Int),
            any::<String>().prop_map(Cell::Text),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Cell::Blob),
        ];
        prop::collection::btree_map("[a-z_]{1,6}|\\PC{0,3}", cell, 0..6)
    }

    fn as_the_decision_says(cells: &Columns) -> Value {
        let cells = cells.iter().filter_map(|(name, cell)| {
            let value = match cell {
                Cell::Null => return None,
                Cell::Int(n) => json!({"i": n.to_string()}),
                Cell::Text(text) => json!(text),
                Cell::Blob(bytes) => json!({"b": hex::encode(bytes)}),
            };
            Some((name.clone(), value))
        });
        Value::Object(cells.collect())
    }

    proptest! {
        #[test]
        fn the_digest_is_over_canonical_json(table in any::<String>(), key in cells(), row in cells()) {
            let document = json!({"table": table, "key": as_the_decision_says(&key), "row": as_the_decision_says(&row)});
            let expected = Digest::of(&json::canonical(&document).expect("strings only"));
            prop_assert_eq!(row_digest(&table, &key, &row), expected);
        }
    }
}
