//! Many readers, each on a consistent snapshot.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params, types::ValueRef};
use steward_clock::Timestamp;
use steward_ledger::{Audit, Body, Columns, Edge, Report, StateAudit, Stored, TILE_WIDTH, TileId, head};
use steward_seal::{Digest, SigningKey, note::NoteKey};

use crate::{error::StoreError, tables::Table};

/// Connections that are kept open for reading.
const IDLE_READERS: usize = 8;

/// Connections for reading.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Result<Self, StoreError> {
        let first = open(path)?;
        Ok(Self { path: path.to_owned(), idle: Mutex::new(vec![first]) })
    }

    pub(crate) fn read<T, E: From<StoreError>>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        let idle = self.idle.lock().expect("no holder of this lock panics").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let outcome = snapshot(&connection, read);
        let mut idle = self.idle.lock().expect("no holder of this lock panics");
        if idle.len() < IDLE_READERS && connection.is_autocommit() {
            idle.push(connection);
        }
        outcome
    }
}

pub(crate) fn snapshot<T, E: From<StoreError>>(
    connection: &Connection,
    read: impl FnOnce(&Reader<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let statement = |sql: &str| -> Result<(), StoreError> {
        connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    statement("BEGIN")?;
    let outcome = read(&Reader { connection });
    statement("ROLLBACK")?;
    outcome
}

/// Opens a connection that can only read.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

/// An entry of the ledger, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Its place, counted from 0.
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// What kind of thing happened.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// Who: a full name.
    pub actor: String,
    /// About what.
    pub subject: String,
    /// What was decided upon.
    pub action: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// The decision's id.
    pub decision_id: Option<String>,
    /// The request.
    pub trace: Option<String>,
    /// The leaf.
    pub leaf: Vec<u8>,
    /// Its hash.
    pub leaf_hash: Vec<u8>,
    /// The salt, unless it was erased.
    pub salt: Option<Vec<u8>>,
    /// The body's bytes, unless it was erased.
    pub body: Option<Vec<u8>>,
}

impl EntryRow {
    /// The body, unless it was erased.
    ///
    /// # Errors
    /// The bytes are not a body: they were changed.
    pub fn read_body(&self) -> Result<Option<Body>, StoreError> {
        let damaged = |e| StoreError::Damaged(format!("the body of entry {}: {e}", self.seq));
        self.body.as_deref().map(|bytes| Body::decode(bytes).map_err(damaged)).transpose()
    }
}

/// A snapshot of the store.
pub struct Reader<'a> {
    connection: &'a Connection,
}

impl Reader<'_> {
    /// For the queries of an app crate's `rows.rs`.
    pub fn sql(&self) -> &Connection {
        self.connection
    }

    /// The newest signed tree head, as it is served.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn head_note(&self) -> Result<Option<String>, StoreError> {
        head_note(self.connection)
    }

    /// How many entries the newest tree head covers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn size(&self) -> Result<u64, StoreError> {
        Ok(head_note(self.connection)?.map_or(0, |note| said(&note).1))
    }

    /// How many entries there are, whether or not a tree head covers them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn written(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(seq) + 1, 0) FROM ledger_entry";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Bytes of the database that are in use, with what is not folded back yet and without pages that are free.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        let sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// An entry.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn entry(&self, seq: u64) -> Result<Option<EntryRow>, StoreError> {
        entry(self.connection, seq)
    }

    /// Entries by a condition of the caller's own, `WHERE …` (from a `rows.rs`).
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn entries(&self, condition: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<EntryRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{ENTRY} {condition}"))?;
        Ok(statement.query_map(params, entry_row)?.collect::<Result<_, _>>()?)
    }

    /// A blob.
    ///
    /// # Errors
    /// The store cannot be read, or the bytes are not those that the digest names.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT bytes FROM blob WHERE digest = ?1")?
            .query_row([digest.to_string()], |r| r.get(0))
            .optional()?;
        match bytes {
            Some(bytes) if Digest::of(&bytes) != *digest => {
                Err(StoreError::Damaged(format!("the blob {digest} was changed")))
            }
            other => Ok(other),
        }
    }

    /// The hashes of a tile, full or partial, within the stored tree. Empty if the tree does not reach that far.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn tile(&self, id: TileId) -> Result<Vec<u8>, StoreError> {
        tile(self.connection, id)
    }

    /// The leaves of an entry bundle, at most `width` from `index * 256` on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn leaves(&self, index: u64, width: u16) -> Result<Vec<Vec<u8>>, StoreError> {
        let from = index.saturating_mul(TILE_WIDTH.into());
        let mut statement = self
            .connection
            .prepare_cached("SELECT leaf FROM ledger_entry WHERE seq >= ?1 AND seq < ?2 ORDER BY seq")?;
        let rows = statement.query_map(params![clamp(from), clamp(from.saturating_add(width.into()))], |r| r.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Feeds the whole store to an audit: entries, tiles and tree head; with `state` the fact rows and blobs too.
    ///
    /// # Errors
    /// The store cannot be read at all. What is wrong with what it says is in the report.
    pub fn audit(&self, audit: Audit, state: bool) -> Result<Report, StoreError> {
        audit_all(self.connection, audit, state)
    }
}

/// SQLite's integers are signed; nothing lies beyond.
fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

const ENTRY: &str = "SELECT seq, time, kind, namespace, actor, subject, action, decision, decision_id, trace, leaf, leaf_hash, \
                     salt, body FROM ledger_entry";

/// What an audit of hashes reads.
const HASHES: &str = "SELECT seq, leaf, leaf_hash FROM ledger_entry";

fn entry_row(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    Ok(EntryRow {
        seq: row.get(0)?,
        time: time(row.get_ref(1)?),
        kind: row.get(2)?,
        namespace: row.get(3)?,
        actor: row.get(4)?,
        subject: row.get(5)?,
        action: row.get(6)?,
        decision: row.get(7)?,
        decision_id: row.get(8)?,
        trace: row.get(9)?,
        leaf: row.get(10)?,
        leaf_hash: row.get(11)?,
        salt: row.get(12)?,
        body: bytes(row.get_ref(13)?).map(<[u8]>::to_vec),
    })
}

/// An entry.
pub(crate) fn entry(connection: &Connection, seq: u64) -> Result<Option<EntryRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{ENTRY} WHERE seq = ?1"))?;
    Ok(statement.query_row([clamp(seq)], entry_row).optional()?)
}

/// A time that cannot be read is the earliest one: an audit says that it is not what the entry says.
fn time(value: ValueRef<'_>) -> Timestamp {
    text(value).and_then(|t| t.parse().ok()).unwrap_or(Timestamp::MIN)
}

/// Text, if it is some. What is not UTF-8 was not written by us: it must not pass for nothing.
fn text(value: ValueRef<'_>) -> Option<&str> {
    bytes(value).map(|b| std::str::from_utf8(b).unwrap_or("\u{fffd}"))
}

/// Bytes, whether they are stored as text or as a blob.
fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(b) | ValueRef::Blob(b) => Some(b),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    }
}

/// The hashes of a tile. Full tiles are stored; those of a partial one are the leaf hashes of the last entries, or the roots of
/// the full tiles below it.
fn tile(connection: &Connection, id: TileId) -> Result<Vec<u8>, StoreError> {
    if id.is_full() {
        let mut full = connection.prepare_cached("SELECT hashes FROM ledger_tile WHERE level = ?1 AND idx = ?2")?;
        let hashes: Option<Vec<u8>> = full.query_row(params![id.level, clamp(id.index)], |r| r.get(0)).optional()?;
        return Ok(hashes.unwrap_or_default());
    }
    let from = id.index.saturating_mul(TILE_WIDTH.into());
    let range = params![clamp(from), clamp(from.saturating_add(id.width.into()))];
    let mut hashes = Vec::with_capacity(id.bytes());
    let mut statement = match id.level {
        0 => {
            connection.prepare_cached("SELECT leaf_hash FROM ledger_entry WHERE seq >= ?1 AND seq < ?2 ORDER BY seq")?
        }
        level => connection.prepare_cached(&format!(
            "SELECT root FROM ledger_tile WHERE level = {} AND idx >= ?1 AND idx < ?2 ORDER BY idx",
            level - 1
        ))?,
    };
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        hashes.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(hashes)
}

/// The newest signed tree head.
pub(crate) fn head_note(connection: &Connection) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT note FROM ledger_head WHERE id = 0")?;
    // Bytes that are not UTF-8 are shown as what they are not: a note that nobody signed.
    let note = statement.query_row([], |r| Ok(bytes(r.get_ref(0)?).map(|b| String::from_utf8_lossy(b).into_owned())));
    Ok(note.optional()?.flatten())
}

/// A number of the ledger's own tables. One that is none was not written by us.
fn number<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    row.get(column).map_err(|e| StoreError::Damaged(format!("an entry or a tile has an impossible number: {e}")))
}

/// The origin and size that a stored note says: for finding one's way; believed only once the note is opened.
pub(crate) fn said(note: &str) -> (&str, u64) {
    let mut lines = note.lines();
    (lines.next().unwrap_or_default(), lines.next().and_then(|size| size.parse().ok()).unwrap_or(0))
}

/// The right edge of the stored tree.
pub(crate) fn edge(connection: &Connection) -> Result<Edge, StoreError> {
    let size: u64 = connection.query_row("SELECT coalesce(max(seq) + 1, 0) FROM ledger_entry", [], |r| r.get(0))?;
    Edge::load(size, |id| tile(connection, id)).map_err(|e| StoreError::Damaged(e.to_string()))
}

/// The time of the last entry.
pub(crate) fn last_time(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let last = connection
        .query_row("SELECT time FROM ledger_entry ORDER BY seq DESC LIMIT 1", [], |r| Ok(time(r.get_ref(0)?)));
    Ok(last.optional()?)
}

/// A store whose tree is not the one that its own key signed is not written to.
pub(crate) fn check_head(
    connection: &Connection,
    edge: &Edge,
    origin: &str,
    key: &SigningKey,
) -> Result<(), StoreError> {
    let note = head_note(connection)?;
    let note = match note {
        None if edge.size() == 0 => return Ok(()),
        None => return Err(StoreError::Damaged("it has entries and no tree head".to_owned())),
        Some(note) => note,
    };
    let key =
        NoteKey::new(origin, key.verifying_key()).map_err(|e| StoreError::Unusable(format!("its origin: {e}")))?;
    let head = head::open(note.as_bytes(), &key, origin)
        .map_err(|e| StoreError::Unusable(format!("its tree head is not of this node's key: {e}")))?;
    if (head.get().size, head.get().root) == (edge.size(), edge.root()) {
        Ok(())
    } else {
        Err(StoreError::Damaged("its entries are not those that its tree head covers".to_owned()))
    }
}

/// Feeds the whole store to an audit.
pub(crate) fn audit_all(connection: &Connection, mut audit: Audit, state: bool) -> Result<Report, StoreError> {
    let hashes_only = audit.is_hashes_only();
    let mut tiles = connection.prepare(
        "SELECT level, idx, root, hashes FROM ledger_tile
         ORDER BY (idx + 1) << (8 * level), level",
    )?;
    let mut tiles = tiles.query([])?;
    let columns = if hashes_only { HASHES } else { ENTRY };
    let mut entries = connection.prepare(&format!("{columns} ORDER BY seq"))?;
    let mut entries = entries.query([])?;
    let mut next = tiles.next()?;
    while let Some(row) = entries.next()? {
        let seq = number(row, 0)?;
        if hashes_only {
            audit.entry(only_hashes(seq, row)?);
        } else {
            audit.entry(whole(seq, row)?);
        }
        // Tiles in turn with the entries that make them, so that few are held in memory.
        while let Some(tile) = next {
            let (level, index): (u8, u64) = (number(tile, 0)?, number(tile, 1)?);
            let entries = 256_u64.checked_pow(u32::from(level) + 1).and_then(|width| width.checked_mul(index + 1));
            if entries.is_none_or(|entries| entries - 1 > seq) {
                break;
            }
            give_tile(&mut audit, tile, level, index)?;
            next = tiles.next()?;
        }
    }
    while let Some(tile) = next {
        give_tile(&mut audit, tile, number(tile, 0)?, number(tile, 1)?)?;
        next = tiles.next()?;
    }
    let note = head_note(connection)?;
    let report = audit.finish(note.as_ref().map(String::as_bytes));
    if !state {
        return Ok(report);
    }
    let mut state = StateAudit::new(report);
    for table in Table::all(connection)?.values() {
        table.scan(connection, |key, columns| state.row(&table.name, key, columns))?;
    }
    let named: Vec<Digest> = state.blobs().copied().collect();
    let mut content = connection.prepare("SELECT bytes FROM blob WHERE digest = ?1")?;
    for digest in named {
        let found =
            content.query_row([digest.to_string()], |r| Ok(bytes(r.get_ref(0)?).map(Digest::of))).optional()?.flatten();
        state.blob(&digest, found.as_ref());
    }
    Ok(state.finish())
}

/// An entry with everything that is kept beside it.
fn whole<'a>(seq: u64, row: &'a Row<'_>) -> Result<Stored<'a>, StoreError> {
    let word = |n: usize| row.get_ref(n).map(text);
    Ok(Stored {
        seq,
        leaf: bytes(row.get_ref(10)?).unwrap_or_default(),
        leaf_hash: bytes(row.get_ref(11)?).unwrap_or_default(),
        salt: bytes(row.get_ref(12)?),
        body: bytes(row.get_ref(13)?),
        columns: Columns {
            time: time(row.get_ref(1)?),
            kind: word(2)?.unwrap_or_default(),
            namespace: word(3)?.unwrap_or_default(),
            actor: word(4)?.unwrap_or_default(),
            subject: word(5)?.unwrap_or_default(),
            action: word(6)?,
            decision: word(7)?,
            decision_id: word(8)?,
            trace: word(9)?,
        },
    })
}

/// The same of [`HASHES`]: an audit of hashes looks at nothing else.
fn only_hashes<'a>(seq: u64, row: &'a Row<'_>) -> Result<Stored<'a>, StoreError> {
    let columns = Columns {
        time: Timestamp::MIN,
        kind: "",
        namespace: "",
        actor: "",
        subject: "",
        action: None,
        decision: None,
        decision_id: None,
        trace: None,
    };
    let (leaf, leaf_hash) = (bytes(row.get_ref(1)?).unwrap_or_default(), bytes(row.get_ref(2)?).unwrap_or_default());
    Ok(Stored { seq, leaf, leaf_hash, salt: None, body: None, columns })
}

/// A stored tile, and the root that is kept beside it.
fn give_tile(audit: &mut Audit, row: &Row<'_>, level: u8, index: u64) -> Result<(), StoreError> {
    let hashes = bytes(row.get_ref(3)?).unwrap_or_default();
    let id = TileId::full(level, index);
    let root = steward_ledger::tile_root(hashes).map(|root| root.0.to_vec());
    if root.as_deref() == bytes(row.get_ref(2)?) {
        audit.tile(id, hashes);
    } else {
        // Whatever does not fit together is shown as what it is not.
        audit.tile(id, &[]);
    }
    Ok(())
}
