//! The tables `person`, `api_key`, `person_link` and `login_token`.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_app_node::Through;
use steward_clock::Timestamp;
use steward_naming::{KeyId, Label, Name, Namespace};
use steward_permit::{Role, Scope};
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

use crate::{holder::Holder, links::LinkRow};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "people-0001",
        sql: "
CREATE TABLE person (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    roles     TEXT NOT NULL,
    status    TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    added_at  TEXT NOT NULL,
    entry_seq INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE TABLE api_key (
    namespace   TEXT NOT NULL,
    id          TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('person', 'agent')),
    holder      TEXT NOT NULL,
    label       TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    single_use  INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('active', 'used', 'revoked')),
    created_at  TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    entry_seq   INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX api_key_holder ON api_key (namespace, holder_kind, holder);
",
    },
    Migration {
        name: "people-0002",
        sql: "
ALTER TABLE api_key ADD COLUMN issuer TEXT;
ALTER TABLE api_key ADD COLUMN subject TEXT;
CREATE TABLE person_link (
    namespace TEXT NOT NULL,
    issuer    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    id        TEXT NOT NULL,
    person    TEXT NOT NULL,
    use       TEXT NOT NULL CHECK (use IN ('login', 'service')),
    linked_by TEXT NOT NULL,
    linked_at TEXT NOT NULL,
    entry_seq INTEGER NOT NULL,
    PRIMARY KEY (namespace, issuer, subject)
) STRICT;
CREATE TABLE login_token (
    namespace  TEXT NOT NULL,
    token      TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    person     TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, token)
) STRICT;
",
    },
];

/// A person, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// The namespace that enrolled them.
    pub namespace: Namespace,
    /// Their name in it.
    pub name: Label,
    /// What they may do, by policy.
    pub roles: Vec<Role>,
    /// Whether they may do anything at all.
    pub active: bool,
    /// When they were enrolled.
    pub added_at: Timestamp,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl PersonRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, name: &Label) -> Key {
        key([("namespace", namespace.as_str()), ("name", name.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("person", Self::key(&self.namespace, &self.name), self.entry_seq)
    }

    pub(crate) fn row(&self) -> Row {
        Row::put("person")
            .text("namespace", self.namespace.as_str())
            .text("name", self.name.as_str())
            .text("roles", words(&self.roles))
            .text("status", if self.active { "active" } else { "disabled" })
            .text("added_at", self.added_at.to_string())
    }
}

/// A key, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Which key.
    pub id: KeyId,
    /// Whose.
    pub holder: Holder,
    /// What it is called.
    pub label: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the secret.
    pub secret_hash: String,
    /// Good for one request only.
    pub single_use: bool,
    /// `active`, `used` or `revoked`.
    pub status: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The link by which its holder logged in, if they did by one: without that it is good for nothing.
    pub through: Option<Box<Through>>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl KeyRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, id: &KeyId) -> Key {
        key([("namespace", namespace.as_str()), ("id", id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("api_key", Self::key(&self.namespace, &self.id), self.entry_seq)
    }

    pub(crate) fn row(&self) -> Row {
        Row::put("api_key")
            .text("namespace", self.namespace.as_str())
            .text("id", self.id.as_str())
            .text("holder_kind", self.holder.kind())
            .text("holder", self.holder.name())
            .text("label", self.label.as_str())
            .text("scopes", words(&self.scopes))
            .text("secret_hash", self.secret_hash.as_str())
            .integer("single_use", self.single_use.into())
            .text("status", self.status.as_str())
            .text("created_at", self.created_at.to_string())
            .text("expires_at", self.expires_at.to_string())
            .optional_text("issuer", self.through.as_ref().map(|through| through.issuer.as_str()))
            .optional_text("subject", self.through.as_ref().map(|through| through.subject.as_str()))
    }
}

const PERSON: &str = "SELECT namespace, name, roles, status, added_at, entry_seq FROM person";

fn person_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<PersonRow> {
    Ok(PersonRow {
        namespace: parsed(row, 0)?,
        name: parsed(row, 1)?,
        roles: split(row, 2)?,
        active: row.get::<_, String>(3)? == "active",
        added_at: parsed(row, 4)?,
        entry_seq: row.get(5)?,
    })
}

const KEY: &str = "SELECT namespace, id, holder_kind, holder, label, scopes, secret_hash, single_use, status, created_at, \
                   expires_at, entry_seq, issuer, subject FROM api_key";

fn key_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        namespace: parsed(row, 0)?,
        id: parsed(row, 1)?,
        holder: match row.get_ref(2)?.as_str()? {
            "person" => Holder::Person(parsed(row, 3)?),
            _ => Holder::Agent(parsed::<Name>(row, 3)?),
        },
        label: row.get(4)?,
        scopes: split(row, 5)?,
        secret_hash: row.get(6)?,
        single_use: row.get(7)?,
        status: row.get(8)?,
        created_at: parsed(row, 9)?,
        expires_at: parsed(row, 10)?,
        entry_seq: row.get(11)?,
        through: match (row.get(12)?, row.get(13)?) {
            (Some(issuer), Some(subject)) => Some(Box::new(Through { issuer, subject })),
            _ => None,
        },
    })
}

/// A person.
///
/// # Errors
/// The store cannot be read.
pub fn person(reader: &Reader<'_>, namespace: &Namespace, name: &Label) -> Result<Option<PersonRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{PERSON} WHERE namespace = ?1 AND name = ?2"))?;
    Ok(statement.query_row(params![namespace.as_str(), name.as_str()], person_row).optional()?)
}

/// Everybody, by name.
///
/// # Errors
/// The store cannot be read.
pub fn people(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<PersonRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{PERSON} WHERE namespace = ?1 ORDER BY name"))?;
    Ok(statement.query_map([namespace.as_str()], person_row)?.collect::<Result<_, _>>()?)
}

/// A key.
///
/// # Errors
/// The store cannot be read.
pub fn api_key(reader: &Reader<'_>, namespace: &Namespace, id: &KeyId) -> Result<Option<KeyRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{KEY} WHERE namespace = ?1 AND id = ?2"))?;
    Ok(statement.query_row(params![namespace.as_str(), id.as_str()], key_row).optional()?)
}

/// All keys, or those of one holder, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn api_keys(
    reader: &Reader<'_>,
    namespace: &Namespace,
    holder: Option<&Holder>,
) -> Result<Vec<KeyRow>, StoreError> {
    let (kind, name) = holder.map(|h| (h.kind(), h.name())).unzip();
    let mut statement = reader.sql().prepare_cached(&format!(
        "{KEY} WHERE namespace = ?1 AND (?2 IS NULL OR (holder_kind = ?2 AND holder = ?3)) ORDER BY id DESC"
    ))?;
    Ok(statement.query_map(params![namespace.as_str(), kind, name], key_row)?.collect::<Result<_, _>>()?)
}

const LINK: &str =
    "SELECT namespace, issuer, subject, id, person, use, linked_by, linked_at, entry_seq FROM person_link";

fn link_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<LinkRow> {
    Ok(LinkRow {
        namespace: parsed(row, 0)?,
        issuer: row.get(1)?,
        subject: row.get(2)?,
        id: parsed(row, 3)?,
        person: parsed(row, 4)?,
        is_service: row.get_ref(5)?.as_str()? == "service",
        linked_by: row.get(6)?,
        linked_at: parsed(row, 7)?,
        entry_seq: row.get(8)?,
    })
}

/// With whom of this node somebody of an issuer is linked.
///
/// # Errors
/// The store cannot be read.
pub fn link(
    reader: &Reader<'_>,
    namespace: &Namespace,
    issuer: &str,
    subject: &str,
) -> Result<Option<LinkRow>, StoreError> {
    let mut statement =
        reader.sql().prepare_cached(&format!("{LINK} WHERE namespace = ?1 AND issuer = ?2 AND subject = ?3"))?;
    Ok(statement.query_row(params![namespace.as_str(), issuer, subject], link_row).optional()?)
}

/// All links, by person.
///
/// # Errors
/// The store cannot be read.
pub fn links(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<LinkRow>, StoreError> {
    let mut statement =
        reader.sql().prepare_cached(&format!("{LINK} WHERE namespace = ?1 ORDER BY person, issuer, subject"))?;
    Ok(statement.query_map([namespace.as_str()], link_row)?.collect::<Result<_, _>>()?)
}

/// Whether an ID token was exchanged already.
///
/// # Errors
/// The store cannot be read.
pub fn is_spent(reader: &Reader<'_>, namespace: &Namespace, token: &str) -> Result<bool, StoreError> {
    let mut statement = reader.sql().prepare_cached("SELECT 1 FROM login_token WHERE namespace = ?1 AND token = ?2")?;
    Ok(statement.exists([namespace.as_str(), token])?)
}

fn words<T: Copy + Into<String>>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(|w| (*w).into()).collect();
    words.join(" ")
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|e: T::Err| damaged(column, e))
}

fn split<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Vec<T>> {
    let text = row.get_ref(column)?.as_str()?;
    text.split_whitespace().map(|w| w.parse().map_err(|e: T::Err| damaged(column, e))).collect()
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// How many people are enrolled, and may do something.
///
/// # Errors
/// The store cannot be read.
pub fn enrolled(reader: &Reader<'_>, namespace: &Namespace) -> Result<u64, StoreError> {
    let mut statement =
        reader.sql().prepare_cached("SELECT count(*) FROM person WHERE namespace = ?1 AND status = 'active'")?;
    Ok(statement.query_row([namespace.as_str()], |row| row.get(0))?)
}
