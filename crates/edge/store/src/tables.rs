//! The fact tables, as the database itself describes them.

use std::collections::BTreeMap;

use rusqlite::{Connection, types::ValueRef};
use steward_ledger::Cell;

use crate::error::StoreError;

/// The column that makes a table a fact table: the entry that wrote the row, and so the row's version.
pub(crate) const VERSION: &str = "entry_seq";

/// The key of a row: its primary key's columns.
pub type Key = BTreeMap<String, Cell>;

/// A key of text columns.
pub fn key<const N: usize>(columns: [(&str, &str); N]) -> Key {
    columns.into_iter().map(|(c, v)| (c.to_owned(), Cell::Text(v.to_owned()))).collect()
}

/// A fact table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Every column but the version.
    pub(crate) columns: Vec<String>,
    /// The primary key's columns.
    pub(crate) key: Vec<String>,
    upsert: String,
    delete: String,
    version: String,
    select: String,
}

impl Table {
    /// Every fact table, by name.
    pub(crate) fn all(connection: &Connection) -> Result<BTreeMap<String, Self>, StoreError> {
        let mut names = connection.prepare(
            "SELECT s.name FROM sqlite_schema s, pragma_table_info(s.name) c
             WHERE s.type = 'table' AND c.name = ?1 ORDER BY s.name",
        )?;
        let names = names.query_map([VERSION], |r| r.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        names.into_iter().map(|name| Ok((name.clone(), Self::read(connection, name)?))).collect()
    }

    fn read(connection: &Connection, name: String) -> Result<Self, StoreError> {
        let mut info = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
        let info = info
            .query_map([&name], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        let mut key: Vec<(i64, String)> =
            info.iter().filter(|(_, pk)| *pk > 0).map(|(c, pk)| (*pk, c.clone())).collect();
        key.sort();
        let key: Vec<String> = key.into_iter().map(|(_, c)| c).collect();
        if key.is_empty() {
            return Err(StoreError::Damaged(format!("table `{name}` has no primary key")));
        }
        let columns: Vec<String> = info.into_iter().map(|(c, _)| c).filter(|c| c != VERSION).collect();
        let quoted: Vec<String> = columns.iter().map(|c| quote(c)).collect();
        let marks: Vec<String> = (1..=columns.len() + 1).map(|n| format!("?{n}")).collect();
        let by_key: Vec<String> = key.iter().enumerate().map(|(n, c)| format!("{} IS ?{}", quote(c), n + 1)).collect();
        let keys: Vec<String> = key.iter().map(|c| quote(c)).collect();
        let updates: Vec<String> = columns
            .iter()
            .filter(|c| !key.contains(c))
            .map(String::as_str)
            .chain([VERSION])
            .map(|c| format!("{0} = excluded.{0}", quote(c)))
            .collect();
        let table = quote(&name);
        Ok(Self {
            upsert: format!(
                "INSERT INTO {table} ({}, {VERSION}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
                quoted.join(", "),
                marks.join(", "),
                keys.join(", "),
                updates.join(", ")
            ),
            delete: format!("DELETE FROM {table} WHERE {}", by_key.join(" AND ")),
            version: format!("SELECT {VERSION} FROM {table} WHERE {}", by_key.join(" AND ")),
            select: format!("SELECT {}, {VERSION} FROM {table}", quoted.join(", ")),
            name,
            columns,
            key,
        })
    }

    /// Writes a row; `values` are in the order of the columns, with the version last.
    pub(crate) fn put(&self, connection: &Connection, values: &[Cell]) -> rusqlite::Result<()> {
        bind(&mut *connection.prepare_cached(&self.upsert)?, values)
    }

    /// Deletes a row; `key` is in the order of the key's columns.
    pub(crate) fn delete(&self, connection: &Connection, key: &[Cell]) -> rusqlite::Result<()> {
        bind(&mut *connection.prepare_cached(&self.delete)?, key)
    }

    /// The version of a row; `key` is in the order of the key's columns.
    pub(crate) fn version(&self, connection: &Connection, key: &[Cell]) -> rusqlite::Result<Option<u64>> {
        let mut statement = connection.prepare_cached(&self.version)?;
        for (n, cell) in key.iter().enumerate() {
            bind_one(&mut statement, n + 1, cell)?;
        }
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => row.get(0).map(Some),
            None => Ok(None),
        }
    }

    /// Calls `each` with the key and with all columns of every row, the version as one of them. Both maps are made once and
    /// filled anew for each row; what is null stands there as [`Cell::Null`], which is not part of a digest.
    pub(crate) fn scan(&self, connection: &Connection, mut each: impl FnMut(&Key, &Key)) -> Result<(), StoreError> {
        let mut statement = connection.prepare(&self.select)?;
        let mut rows = statement.query([])?;
        let names = || self.columns.iter().map(String::as_str).chain([VERSION]);
        let mut columns: Key = names().map(|name| (name.to_owned(), Cell::Null)).collect();
        let mut key: Key = self.key.iter().map(|name| (name.clone(), Cell::Null)).collect();
        while let Some(row) = rows.next()? {
            for (n, name) in names().enumerate() {
                let value = row.get_ref(n)?;
                if let Some(cell) = key.get_mut(name) {
                    fill(cell, value);
                }
                if let Some(cell) = columns.get_mut(name) {
                    fill(cell, value);
                }
            }
            each(&key, &columns);
        }
        Ok(())
    }

    /// The key's columns of a row, in their order.
    pub(crate) fn key_of(&self, columns: &BTreeMap<String, Cell>) -> Key {
        self.key.iter().filter_map(|c| Some((c.clone(), columns.get(c)?.clone()))).collect()
    }
}

/// Puts a value into a cell. Text takes the place of text.
fn fill(cell: &mut Cell, value: ValueRef<'_>) {
    match (value, cell) {
        (ValueRef::Text(bytes), cell) => match (std::str::from_utf8(bytes), cell) {
            (Ok(text), Cell::Text(old)) => {
                old.clear();
                old.push_str(text);
            }
            (Ok(text), cell) => *cell = Cell::Text(text.to_owned()),
            // Text that is none was not written by us: shown as bytes, its digest is another one.
            (Err(_), cell) => *cell = Cell::Blob(bytes.to_vec()),
        },
        (ValueRef::Null, cell) => *cell = Cell::Null,
        (ValueRef::Integer(i), cell) => *cell = Cell::Int(i),
        (ValueRef::Blob(bytes), cell) => *cell = Cell::Blob(bytes.to_vec()),
        // We write no floats; one that is there was put there behind our back.
        (ValueRef::Real(f), cell) => *cell = Cell::Blob(f.to_be_bytes().to_vec()),
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Cell]) -> rusqlite::Result<()> {
    for (n, cell) in values.iter().enumerate() {
        bind_one(statement, n + 1, cell)?;
    }
    statement.raw_execute().map(|_| ())
}

fn bind_one(statement: &mut rusqlite::Statement<'_>, n: usize, cell: &Cell) -> rusqlite::Result<()> {
    match cell {
        Cell::Null => statement.raw_bind_parameter(n, rusqlite::types::Null),
        Cell::Int(i) => statement.raw_bind_parameter(n, i),
        Cell::Text(t) => statement.raw_bind_parameter(n, t.as_str()),
        Cell::Blob(b) => statement.raw_bind_parameter(n, b.as_slice()),
    }
}
