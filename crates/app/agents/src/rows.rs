//! The table `agent`.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_naming::Name;
use steward_permit::Tier;
use steward_seal::Digest;
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[
Migration {
    name: "agents-0001",
    sql: "
CREATE TABLE agent (
    namespace    TEXT NOT NULL,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    tier         TEXT NOT NULL CHECK (tier IN ('T0', 'T1', 'T2', 'T3', 'T4')),
    description  TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    manifest     TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('active')),
    added_at     TEXT NOT NULL,
    entry_seq    INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
",
},
// An agent can be revoked, and can say how it is started. SQLite cannot change a CHECK: the table is made anew, its rows as they are.
Migration {
    name: "agents-0002",
    sql: "
ALTER TABLE agent RENAME TO agent_before;
CREATE TABLE agent (
    namespace    TEXT NOT NULL,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    tier         TEXT NOT NULL CHECK (tier IN ('T0', 'T1', 'T2', 'T3', 'T4')),
    description  TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    manifest     TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
    added_at     TEXT NOT NULL,
    command      TEXT,
    packet       TEXT,
    entry_seq    INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
INSERT INTO agent SELECT namespace, name, version, tier, description, capabilities, manifest, status, added_at, NULL, NULL, entry_seq
FROM agent_before;
DROP TABLE agent_before;
",
},
// How it talks to the node: nothing is a line of JSON each way, as before.
Migration {
    name: "agents-0003",
    sql: "
ALTER TABLE agent ADD COLUMN protocol TEXT CHECK (protocol IN ('mcp'));
",
},
// Since when it has its tier, if not from the beginning; and the tier that was taken from it, which can be appealed for.
Migration {
    name: "agents-0004",
    sql: "
ALTER TABLE agent ADD COLUMN tier_since TEXT;
ALTER TABLE agent ADD COLUMN tier_before TEXT CHECK (tier_before IN ('T1', 'T2', 'T3', 'T4'));
",
},
];

/// Whether an agent may do anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It may do what its tier may.
    Active,
    /// It may do nothing until a person reinstates it.
    Revoked,
}

impl Status {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

/// How an agent talks to the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// A line of JSON each way, over its standard streams.
    #[default]
    Line,
    /// MCP, over its sandbox's door or with a key; its standard output is its own.
    Mcp,
}

impl Protocol {
    /// As it is written in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Mcp => "mcp",
        }
    }
}

/// An agent, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Its full name.
    pub name: Name,
    /// Its manifest's version.
    pub version: String,
    /// What it may do, by policy.
    pub tier: Tier,
    /// What it is for.
    pub description: String,
    /// What it can do, for people to read.
    pub capabilities: Vec<String>,
    /// The digest of its manifest, which is a blob.
    pub manifest: Digest,
    /// Whether it may do anything.
    pub status: Status,
    /// When it was registered.
    pub added_at: Timestamp,
    /// How it is started, as the arguments of a process in its sandbox; none for one that only runs elsewhere.
    pub command: Option<Vec<String>>,
    /// The digest of the template of its packets, which is a blob.
    pub packet: Option<Digest>,
    /// How it talks to the node.
    pub protocol: Protocol,
    /// Since when it has its tier, if it was given or taken after it was registered.
    pub tier_since: Option<Timestamp>,
    /// The tier that was taken from it last, which can be appealed for.
    pub tier_before: Option<Tier>,
    /// Decisions about it that were `allow`, counted from the ledger.
    pub allowed: u64,
    /// Decisions about it that were `deny`, counted from the ledger.
    pub refused: u64,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl AgentRow {
    /// The row's key.
    pub fn key(name: &Name) -> Key {
        key([("namespace", name.namespace().as_str()), ("name", name.label().as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("agent", Self::key(&self.name), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        let command = self.command.as_ref().map(|argv| serde_json::to_string(argv).expect("strings are JSON"));
        let capabilities = serde_json::to_string(&self.capabilities).expect("strings are JSON");
        Row::put("agent")
            .text("namespace", self.name.namespace().as_str())
            .text("name", self.name.label().as_str())
            .text("version", self.version.as_str())
            .text("tier", self.tier.as_str())
            .text("description", self.description.as_str())
            .text("capabilities", capabilities)
            .text("manifest", self.manifest.to_string())
            .text("status", self.status.as_str())
            .text("added_at", self.added_at.to_string())
            .optional_text("command", command)
            .optional_text("packet", self.packet.map(|d| d.to_string()))
            .optional_text("protocol", (self.protocol == Protocol::Mcp).then_some("mcp"))
            .optional_text("tier_since", self.tier_since.map(|at| at.to_string()))
            .optional_text("tier_before", self.tier_before.map(Tier::as_str))
    }
}

const AGENT: &str = "SELECT name || '.' || namespace, version, tier, description, capabilities, manifest, status, added_at, command, \
                     packet, protocol, entry_seq, tier_since, tier_before FROM agent";

fn agent_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AgentRow> {
    Ok(AgentRow {
        name: parsed(row, 0)?,
        version: row.get(1)?,
        tier: parsed(row, 2)?,
        description: row.get(3)?,
        capabilities: serde_json::from_str(row.get_ref(4)?.as_str()?).map_err(|e| damaged(4, e))?,
        manifest: parsed(row, 5)?,
        status: if row.get_ref(6)?.as_str()? == "active" { Status::Active } else { Status::Revoked },
        added_at: parsed(row, 7)?,
        command: row
            .get::<_, Option<String>>(8)?
            .map(|text| serde_json::from_str(&text).map_err(|e| damaged(8, e)))
            .transpose()?,
        packet: row.get::<_, Option<String>>(9)?.map(|t| t.parse().map_err(|e| damaged(9, e))).transpose()?,
        protocol: if row.get_ref(10)?.as_str_or_null().map_err(|e| damaged(10, e))?.is_some() {
            Protocol::Mcp
        } else {
            Protocol::Line
        },
        tier_since: row.get::<_, Option<String>>(12)?.map(|t| t.parse().map_err(|e| damaged(12, e))).transpose()?,
        tier_before: row.get::<_, Option<String>>(13)?.map(|t| t.parse().map_err(|e| damaged(13, e))).transpose()?,
        allowed: 0,
        refused: 0,
        entry_seq: row.get(11)?,
    })
}

/// An agent, without its counts.
///
/// # Errors
/// The store cannot be read.
pub fn agent(reader: &Reader<'_>, name: &Name) -> Result<Option<AgentRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{AGENT} WHERE namespace = ?1 AND name = ?2"))?;
    let key = params![name.namespace().as_str(), name.label().as_str()];
    Ok(statement.query_row(key, agent_row).optional()?)
}

/// Every agent, by name, without counts.
///
/// # Errors
/// The store cannot be read.
pub fn agents(reader: &Reader<'_>) -> Result<Vec<AgentRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{AGENT} ORDER BY namespace, name"))?;
    Ok(statement.query_map([], agent_row)?.collect::<Result<_, _>>()?)
}

/// Fills in what the ledger says that the agent was allowed and refused.
///
/// # Errors
/// The store cannot be read.
pub fn count(reader: &Reader<'_>, agent: &mut AgentRow) -> Result<(), StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT count(*) FILTER (WHERE kind IN ('action.intended', 'action.decided')),
                count(*) FILTER (WHERE kind = 'action.refused')
         FROM ledger_entry WHERE actor = ?1",
    )?;
    (agent.allowed, agent.refused) = statement.query_row([agent.name.to_string()], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(())
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get::<_, String>(column)?;
    text.parse().map_err(|e: T::Err| damaged(column, e))
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
