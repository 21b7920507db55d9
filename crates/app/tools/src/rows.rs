//! The tables `tool_server` and `tool`.

use std::{collections::BTreeMap, str::FromStr};

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_naming::{Label, Namespace};
use steward_permit::Tier;
use steward_seal::Digest;
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "tools-0001",
    sql: "
CREATE TABLE tool_server (
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    transport  TEXT NOT NULL CHECK (transport IN ('stdio', 'http')),
    target     TEXT NOT NULL,
    secrets    TEXT NOT NULL,
    added_by   TEXT NOT NULL,
    added_at   TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE TABLE tool (
    namespace  TEXT NOT NULL,
    server     TEXT NOT NULL,
    name       TEXT NOT NULL,
    pin        TEXT NOT NULL,
    definition TEXT NOT NULL,
    pinned_by  TEXT NOT NULL,
    pinned_at  TEXT NOT NULL,
    tier       TEXT CHECK (tier IN ('T0', 'T1', 'T2', 'T3', 'T4')),
    allowed_by TEXT,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, server, name)
) STRICT;
",
}];

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A program of the node's machine, in a sandbox, over its standard streams.
    Stdio(Vec<String>),
    /// Streamable HTTP at this address.
    Http(String),
}

/// A server of tools, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its name, by which its tools are called.
    pub name: Label,
    /// How it is reached.
    pub transport: Transport,
    /// What it is given that is secret: a variable of its environment, or a header, and the name of the secret.
    pub secrets: BTreeMap<String, String>,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl ServerRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, name: &Label) -> Key {
        key([("namespace", namespace.as_str()), ("name", name.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("tool_server", Self::key(&self.namespace, &self.name), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        let (transport, target) = match &self.transport {
            Transport::Stdio(argv) => ("stdio", serde_json::to_string(argv).expect("strings are JSON")),
            Transport::Http(url) => ("http", url.clone()),
        };
        Row::put("tool_server")
            .text("namespace", self.namespace.as_str())
            .text("name", self.name.as_str())
            .text("transport", transport)
            .text("target", target)
            .text("secrets", serde_json::to_string(&self.secrets).expect("strings are JSON"))
            .text("added_by", self.added_by.as_str())
            .text("added_at", self.added_at.to_string())
    }

    /// That it is gone.
    pub fn gone(&self) -> Row {
        Row::delete("tool_server").text("namespace", self.namespace.as_str()).text("name", self.name.as_str())
    }
}

/// A tool of a server, as it was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The server.
    pub server: Label,
    /// The tool's name, as the server has it.
    pub name: String,
    /// The digest of its definition.
    pub pin: Digest,
    /// The digest of the blob that holds the definition.
    pub definition: Digest,
    /// Who pinned it.
    pub pinned_by: String,
    /// When.
    pub pinned_at: Timestamp,
    /// From which tier on it is allowed; none if it is not.
    pub tier: Option<Tier>,
    /// Who allowed it.
    pub allowed_by: Option<String>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl ToolRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, server: &Label, name: &str) -> Key {
        key([("namespace", namespace.as_str()), ("server", server.as_str()), ("name", name)])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("tool", Self::key(&self.namespace, &self.server, &self.name), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        Row::put("tool")
            .text("namespace", self.namespace.as_str())
            .text("server", self.server.as_str())
            .text("name", self.name.as_str())
            .text("pin", self.pin.to_string())
            .text("definition", self.definition.to_string())
            .text("pinned_by", self.pinned_by.as_str())
            .text("pinned_at", self.pinned_at.to_string())
            .optional_text("tier", self.tier.map(|tier| tier.to_string()))
            .optional_text("allowed_by", self.allowed_by.as_deref())
    }

    /// That it is gone.
    pub fn gone(&self) -> Row {
        Row::delete("tool")
            .text("namespace", self.namespace.as_str())
            .text("server", self.server.as_str())
            .text("name", self.name.as_str())
    }
}

const SERVER: &str =
    "SELECT namespace, name, transport, target, secrets, added_by, added_at, entry_seq FROM tool_server";

fn server_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ServerRow> {
    let target: String = row.get(3)?;
    let transport = match row.get_ref(2)?.as_str()? {
        "stdio" => Transport::Stdio(serde_json::from_str(&target).map_err(|e| damaged(3, e))?),
        _ => Transport::Http(target),
    };
    Ok(ServerRow {
        namespace: parsed(row, 0)?,
        name: parsed(row, 1)?,
        transport,
        secrets: serde_json::from_str(row.get_ref(4)?.as_str()?).map_err(|e| damaged(4, e))?,
        added_by: row.get(5)?,
        added_at: parsed(row, 6)?,
        entry_seq: row.get(7)?,
    })
}

/// A server.
///
/// # Errors
/// The store cannot be read.
pub fn server(reader: &Reader<'_>, namespace: &Namespace, name: &Label) -> Result<Option<ServerRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{SERVER} WHERE namespace = ?1 AND name = ?2"))?;
    Ok(statement.query_row([namespace.as_str(), name.as_str()], server_row).optional()?)
}

/// Every server of a namespace, by name.
///
/// # Errors
/// The store cannot be read.
pub fn servers(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<ServerRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{SERVER} WHERE namespace = ?1 ORDER BY name"))?;
    Ok(statement.query_map([namespace.as_str()], server_row)?.collect::<Result<_, _>>()?)
}

const TOOL: &str =
    "SELECT namespace, server, name, pin, definition, pinned_by, pinned_at, tier, allowed_by, entry_seq FROM tool";

fn tool_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ToolRow> {
    Ok(ToolRow {
        namespace: parsed(row, 0)?,
        server: parsed(row, 1)?,
        name: row.get(2)?,
        pin: parsed(row, 3)?,
        definition: parsed(row, 4)?,
        pinned_by: row.get(5)?,
        pinned_at: parsed(row, 6)?,
        tier: row.get::<_, Option<String>>(7)?.map(|tier| tier.parse().map_err(|e| damaged(7, e))).transpose()?,
        allowed_by: row.get(8)?,
        entry_seq: row.get(9)?,
    })
}

/// Every pinned tool of a namespace, by server and name.
///
/// # Errors
/// The store cannot be read.
pub fn tools(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<ToolRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{TOOL} WHERE namespace = ?1 ORDER BY server, name"))?;
    Ok(statement.query_map([namespace.as_str()], tool_row)?.collect::<Result<_, _>>()?)
}

/// Every pinned tool of a server, by name.
///
/// # Errors
/// The store cannot be read.
pub fn tools_of(reader: &Reader<'_>, namespace: &Namespace, server: &Label) -> Result<Vec<ToolRow>, StoreError> {
    let sql = format!("{TOOL} WHERE namespace = ?1 AND server = ?2 ORDER BY name");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([namespace.as_str(), server.as_str()], tool_row)?.collect::<Result<_, _>>()?)
}

/// A pinned tool.
///
/// # Errors
/// The store cannot be read.
pub fn tool(
    reader: &Reader<'_>,
    namespace: &Namespace,
    server: &str,
    name: &str,
) -> Result<Option<ToolRow>, StoreError> {
    let sql = format!("{TOOL} WHERE namespace = ?1 AND server = ?2 AND name = ?3");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_row(params![namespace.as_str(), server, name], tool_row).optional()?)
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|e: T::Err| damaged(column, e))
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
