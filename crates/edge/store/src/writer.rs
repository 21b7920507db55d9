//! The one writer: a thread that commits in groups.
//!
//! It takes what waits, at most [`MAX_GROUP`] changes, into one transaction, each under a savepoint of its own: guards are
//! re-checked there, serially, so that of two changes that loaded the same row one wins. Then tiles and the signed tree head are
//! stored, and the transaction is committed and synced. Only then are callers answered.
//!
//! If the process dies on any line, the transaction is either whole or gone, and whoever was not answered learns from the
//! ledger. If a *sync* fails, nobody knows what the disk holds: the writer stops, reads go on, and a restart reads the truth.

use std::{
    sync::{Arc, Mutex, mpsc as std_mpsc},
    thread::JoinHandle,
    time::Instant,
};

use rusqlite::{Connection, params};
use steward_clock::{Clock, Dice, Timestamp, mishap};
use steward_ledger::{Body, Cell, Edge, Leaf, Redaction, RowDigest, Salt, TileId, TreeHead, leaf_hash, tile_root};
use steward_permit::Denial;
use steward_seal::SigningKey;
use tokio::sync::{mpsc, oneshot};

use crate::{
    MAX_BLOB_BYTES, MAX_GROUP, MAX_WAITING, Options,
    change::{Change, Committed, Guard, Recorded, Refusal, Row},
    error::{CommitError, StoreError},
    measures::{Kept, Measures},
    reader, schema,
    tables::{Key, Table, VERSION},
};

/// After so many entries the log is folded back into the database.
const CHECKPOINT_EVERY: u64 = 2_000;

/// How long folding all of the log back waits for those who read.
const FOLDING_WAITS: std::time::Duration = std::time::Duration::from_secs(1);

/// Pages beyond the limit that urgent changes may use: 1 MiB, some hundred of them.
const RESERVE_PAGES: u64 = 256;

type Tables = std::collections::BTreeMap<String, Table>;

enum Job {
    Write(Write),
    /// Somebody wants to know whether anybody takes what is handed in.
    Answer(oneshot::Sender<()>),
    /// Somebody wants all of the log folded back.
    Fold(oneshot::Sender<bool>),
}

/// What is written, and who waits for it.
enum Write {
    Change(Box<Change>, oneshot::Sender<Result<Committed, CommitError>>),
    Refuse(Box<(Denial, Refusal)>, oneshot::Sender<Result<Recorded, CommitError>>),
}

/// The handle of the writer's thread.
pub(crate) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    broken: Arc<Mutex<Option<String>>>,
    measures: Kept,
    behind: Option<String>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, origin: String, options: Options) -> Result<Self, StoreError> {
        let behind = options.behind.clone();
        let path = connection.path().map(str::to_owned).unwrap_or_default();
        let broken = Arc::new(Mutex::new(None));
        let (fold, folds) = std_mpsc::sync_channel(1);
        let thread = Thread::load(connection, origin, options, Arc::clone(&broken), fold)?;
        let (jobs, inbox) = mpsc::channel(MAX_WAITING);
        let writer = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || thread.run(inbox))?;
        let folder =
            std::thread::Builder::new().name("store-checkpoints".to_owned()).spawn(move || fold_back(&path, &folds))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            threads: Mutex::new(vec![writer, folder]),
            broken,
            measures: Kept::default(),
            behind,
        })
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        if change.opens_origin.is_none() {
            self.is_not_behind()?;
        }
        self.measured(|reply| Write::Change(Box::new(change), reply)).await
    }

    pub(crate) async fn refuse(&self, denial: Denial, refusal: Refusal) -> Result<Recorded, CommitError> {
        self.is_not_behind()?;
        self.measured(|reply| Write::Refuse(Box::new((denial, refusal)), reply)).await
    }

    /// Hands in a job and waits for its answer, which is measured.
    async fn measured<T>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, CommitError>>) -> Write,
    ) -> Result<T, CommitError> {
        let (reply, answer) = oneshot::channel();
        let began = Instant::now();
        self.hand_in(Job::Write(write(reply))).await?;
        let outcome = answer.await.unwrap_or_else(|_| Err(gone()));
        self.measures.note(began.elapsed(), outcome.is_ok());
        outcome
    }

    pub(crate) async fn answers(&self) -> Result<(), CommitError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(Job::Answer(reply)).await?;
        answer.await.map_err(|_| gone())
    }

    pub(crate) fn measures(&self) -> Measures {
        let jobs = self.jobs.lock().expect("no holder of this lock panics");
        let waiting = jobs.as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
        self.measures.told(waiting as u64)
    }

    pub(crate) async fn fold(&self) -> Result<bool, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(Job::Fold(reply)).await?;
        answer.await.map_err(|_| gone())
    }

    pub(crate) fn behind(&self) -> Option<&str> {
        self.behind.as_deref()
    }

    fn is_not_behind(&self) -> Result<(), CommitError> {
        self.behind.clone().map_or(Ok(()), |why| Err(CommitError::RolledBack(why)))
    }

    async fn hand_in(&self, job: Job) -> Result<(), CommitError> {
        let jobs = self.jobs.lock().expect("no holder of this lock panics").clone();
        jobs.ok_or_else(gone)?.send(job).await.map_err(|_| gone())
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.lock().expect("no holder of this lock panics").clone()
    }

    pub(crate) fn close(&self) {
        self.jobs.lock().expect("no holder of this lock panics").take();
        for thread in self.threads.lock().expect("no holder of this lock panics").drain(..) {
            // A thread that panicked has said so already; there is nothing left to finish.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn gone() -> CommitError {
    CommitError::Closed("it was closed".to_owned())
}

/// Folds the log back into the database whenever it is told to, until the writer is gone.
fn fold_back(path: &str, folds: &std_mpsc::Receiver<()>) {
    let Ok(connection) = Connection::open(path) else { return };
    while folds.recv().is_ok() {
        // Passive: never waits for readers or the writer. What it leaves, the next one takes.
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "could not fold the write-ahead log back");
        }
    }
}

struct Thread {
    connection: Connection,
    tables: Tables,
    edge: Edge,
    time: Timestamp,
    origin: String,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    broken: Arc<Mutex<Option<String>>>,
    fold: std_mpsc::SyncSender<()>,
    since_fold: u64,
    /// The most pages of the database, if there is a limit.
    max_pages: Option<u64>,
}

impl Thread {
    fn load(
        connection: Connection,
        origin: String,
        options: Options,
        broken: Arc<Mutex<Option<String>>>,
        fold: std_mpsc::SyncSender<()>,
    ) -> Result<Self, StoreError> {
        let tables = Table::all(&connection)?;
        let max_pages = schema::max_pages(&connection, options.max_bytes)?;
        let edge = reader::edge(&connection)?;
        let time = reader::last_time(&connection)?.unwrap_or(Timestamp::MIN);
        reader::check_head(&connection, &edge, &origin, &options.tree_head_key)?;
        Ok(Self {
            connection,
            tables,
            edge,
            time,
            origin,
            key: options.tree_head_key,
            clock: options.clock,
            dice: options.dice,
            broken,
            fold,
            since_fold: 0,
            max_pages,
        })
    }

    fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let _gone = Gone(Arc::clone(&self.broken));
        let (mut group, mut folds) = (Vec::with_capacity(MAX_GROUP), Vec::new());
        while let Some(first) = inbox.blocking_recv() {
            take(&mut group, &mut folds, first);
            // Where processors are scarce, whoever is about to hand something in gets to do so: the group shares one sync.
            std::thread::yield_now();
            while group.len() < MAX_GROUP
                && let Ok(next) = inbox.try_recv()
            {
                take(&mut group, &mut folds, next);
            }
            if !group.is_empty() {
                self.write(&mut group);
            }
            for reply in folds.drain(..) {
                let _ = reply.send(self.fold_all());
            }
        }
        self.fold_all();
    }

    /// Folds all of the log back, when it is asked for and when the store is closed, so that its file alone is whole: who copies it then
    /// has everything. Says whether nothing is left of the log.
    fn fold_all(&self) -> bool {
        if self.broken.lock().expect("no holder of this lock panics").is_some() {
            return false;
        }
        // Not for long: whoever still reads may go on, and the next start reads the log all the same.
        let folded = self.connection.busy_timeout(FOLDING_WAITS).and_then(|()| {
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        });
        if let Err(error) = self.connection.busy_timeout(schema::WRITER_WAITS) {
            tracing::warn!(%error, "could not set how long the writer waits");
        }
        match folded {
            Ok(false) => return true,
            Ok(true) => {
                tracing::info!("the write-ahead log could not be folded back, because somebody reads; it is kept")
            }
            Err(error) => tracing::warn!(%error, "could not fold the write-ahead log back"),
        }
        false
    }

    /// Commits a group and answers everybody in it.
    fn write(&mut self, group: &mut Vec<Write>) {
        let broken = self.broken.lock().expect("no holder of this lock panics").clone();
        let (edge, time, origin) = (self.edge.clone(), self.time, self.origin.clone());
        let outcome = match broken {
            Some(reason) => Err(CommitError::Closed(reason)),
            None => self.transact(group),
        };
        match outcome {
            Ok(outcomes) => {
                self.since_fold += self.edge.size() - edge.size();
                if self.since_fold >= CHECKPOINT_EVERY {
                    self.since_fold = 0;
                    // Full means that one is under way.
                    let _ = self.fold.try_send(());
                }
                for (job, outcome) in group.drain(..).zip(outcomes) {
                    answer(job, outcome);
                }
            }
            Err(error) => {
                (self.edge, self.time, self.origin) = (edge, time, origin);
                if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_err() {
                    self.stop("a transaction could not be rolled back");
                }
                for job in group.drain(..) {
                    answer(job, Err(again(&error)));
                }
            }
        }
    }

    /// One transaction. An error here means that nothing of the group was written.
    fn transact(&mut self, group: &[Write]) -> Result<Vec<Result<Recorded, CommitError>>, CommitError> {
        let sqlite = |e: rusqlite::Error| CommitError::of(&e);
        injected(mishap::at("commit.before_begin"))?;
        self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).map_err(sqlite)?;
        if let Some(pages) = self.max_pages {
            self.limit_pages(pages)?;
        }
        let before = self.edge.size();
        let mut tiles = Vec::new();
        let mut outcomes = Vec::with_capacity(group.len());
        for job in group {
            self.statement("SAVEPOINT item")?;
            let (edge, time, full) = (self.edge.size(), self.time, tiles.len());
            let outcome = match job {
                Write::Change(change, _) => self.change(change, &mut tiles),
                Write::Refuse(refused, _) => self.refusal(&refused.0, &refused.1, &mut tiles),
            };
            if outcome.is_err() {
                // SQLite gives up the whole transaction on some errors (disk full among them).
                if self.connection.is_autocommit() {
                    return Err(outcome.err().unwrap_or_else(gone));
                }
                debug_assert_eq!((edge, full), (self.edge.size(), tiles.len()), "an entry is appended last");
                self.time = time;
                self.statement("ROLLBACK TO item")?;
            }
            self.statement("RELEASE item")?;
            outcomes.push(outcome);
        }
        injected(mishap::at("commit.after_rows"))?;
        if self.edge.size() > before {
            self.seal(&tiles)?;
        }
        injected(mishap::at("commit.before_commit"))?;
        if let Err(error) = self.statement("COMMIT") {
            // Room that ran out is a plain refusal. Anything else leaves open what the disk holds.
            if !matches!(error, CommitError::Full) {
                self.stop("a write could not be made durable; look at the disk, then restart the node");
            }
            return Err(error);
        }
        // It is durable: a test can make the process die here, and nothing else.
        let _ = mishap::at("commit.after_commit");
        Ok(outcomes)
    }

    fn statement(&self, sql: &str) -> Result<(), CommitError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|e| CommitError::of(&e))?;
        statement.execute([]).map(|_| ()).map_err(|e| CommitError::of(&e))
    }

    /// SQLite lowers the limit to what there is at least.
    fn limit_pages(&self, pages: u64) -> Result<(), CommitError> {
        let sql = format!("PRAGMA max_page_count = {pages}");
        self.connection.query_row(&sql, [], |_| Ok(())).map_err(|e| CommitError::of(&e))
    }

    fn stop(&self, reason: &str) {
        tracing::error!(reason, "the store takes no more changes");
        *self.broken.lock().expect("no holder of this lock panics") = Some(reason.to_owned());
    }

    fn change(&mut self, change: &Change, tiles: &mut Vec<(TileId, Vec<u8>)>) -> Result<Recorded, CommitError> {
        let now = self.clock.now();
        if now > change.permit.expires_at() {
            return Err(CommitError::Expired);
        }
        for guard in &change.guards {
            self.check(guard)?;
        }
        if change.urgent
            && let Some(pages) = self.max_pages
        {
            // Until the group is committed; the next one begins with the limit again.
            self.limit_pages(pages.saturating_add(RESERVE_PAGES))?;
        }
        let seq = self.edge.size();
        let mut body = Body::permitted(&change.permit, &change.subject);
        body.rows = change.rows.iter().map(|row| self.put(row, seq)).collect::<Result<_, _>>()?;
        for (digest, bytes) in &change.blobs {
            if bytes.len() > MAX_BLOB_BYTES {
                return Err(CommitError::Broken(format!("a blob of {} bytes; at most {MAX_BLOB_BYTES}", bytes.len())));
            }
            self.connection
                .prepare_cached("INSERT INTO blob (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                .and_then(|mut s| s.execute(params![digest.to_string(), bytes]))
                .map_err(|e| CommitError::of(&e))?;
            body.blobs.push(*digest);
        }
        body.detail = change.detail.clone();
        let mut left = Vec::new();
        for entry in &change.erases {
            let (redaction, rows) = self.erase(*entry)?;
            left.push(redaction);
            // A row that is gone may have gone twice; it is vouched for once.
            body.rows.extend(rows);
        }
        let mut seen = std::collections::BTreeSet::new();
        body.rows.retain(|row| seen.insert((row.table.clone(), row.key.clone())));
        match left.as_slice() {
            [] => {}
            _ if change.kind == steward_ledger::kind::LEDGER_SWEPT => Redaction::write_all(&left, &mut body.detail),
            [one] => one.write(&mut body.detail),
            _ => return Err(CommitError::Broken("a person erases one entry at a time".to_owned())),
        }
        body.outcome = change.outcome.clone();
        body.confidence_bp = change.confidence_bp;
        body.trace = change.trace.clone();
        let recorded = self.append(change.kind, &body, now, tiles)?;
        if let Some(origin) = &change.opens_origin {
            self.origin.clone_from(origin);
        }
        Ok(recorded)
    }

    /// Erases body and salt of an entry, and the columns that say something of them. Gives what is left of it, and the digests of the rows
    /// that it alone vouched for.
    fn erase(&self, entry: u64) -> Result<(Redaction, Vec<RowDigest>), CommitError> {
        let sqlite = |e: rusqlite::Error| CommitError::of(&e);
        let stored = reader::entry(&self.connection, entry).map_err(|e| CommitError::Broken(e.to_string()))?;
        let gone = || CommitError::Stale { table: "ledger_entry".to_owned(), key: entry.to_string() };
        let stored = stored.ok_or_else(gone)?;
        let body = stored.read_body().map_err(|e| CommitError::Broken(e.to_string()))?.ok_or_else(gone)?;
        let mut rows = Vec::new();
        for row in body.rows {
            let Some(table) = self.tables.get(&row.table) else { continue };
            let version = table.version(&self.connection, &in_order(&table.key, &row.key)?).map_err(sqlite)?;
            // What a later entry wrote, that one vouches for.
            let is_last = match row.digest {
                Some(_) => version == Some(entry),
                None => version.is_none(),
            };
            if is_last {
                rows.push(row);
            }
        }
        self.connection
            .execute(
                "UPDATE ledger_entry SET actor = '', subject = '', salt = NULL, body = NULL WHERE seq = ?1",
                params![entry],
            )
            .map_err(sqlite)?;
        let left = Redaction {
            entry,
            namespace: stored.namespace,
            action: stored.action,
            decision: stored.decision,
            decision_id: stored.decision_id,
            trace: stored.trace,
        };
        Ok((left, rows))
    }

    fn refusal(
        &mut self,
        denial: &Denial,
        refusal: &Refusal,
        tiles: &mut Vec<(TileId, Vec<u8>)>,
    ) -> Result<Recorded, CommitError> {
        let mut body = Body::refused(denial, denial.ruling().id.as_str());
        body.detail = refusal.detail.clone();
        body.confidence_bp = refusal.confidence_bp;
        body.trace = refusal.trace.clone();
        self.append(steward_ledger::kind::ACTION_REFUSED, &body, self.clock.now(), tiles)
    }

    fn table(&self, name: &str) -> Result<&Table, CommitError> {
        self.tables.get(name).ok_or_else(|| CommitError::Broken(format!("there is no fact table `{name}`")))
    }

    fn check(&self, guard: &Guard) -> Result<(), CommitError> {
        let table = self.table(guard.table)?;
        let key = in_order(&table.key, &guard.key)?;
        let version = table.version(&self.connection, &key).map_err(|e| CommitError::of(&e))?;
        if version == guard.version { Ok(()) } else { Err(stale(guard.table, &guard.key)) }
    }

    /// Writes a row and tells its digest, as it now is.
    fn put(&self, row: &Row, seq: u64) -> Result<RowDigest, CommitError> {
        let table = self.table(row.table)?;
        if let Some(column) = row.columns.keys().find(|c| !table.columns.iter().any(|known| known == *c)) {
            return Err(CommitError::Broken(format!("table `{}` has no column `{column}`", row.table)));
        }
        let mut columns: Key = row.columns.iter().map(|(c, v)| ((*c).to_owned(), v.clone())).collect();
        let key = table.key_of(&columns);
        if row.gone {
            let values = in_order(&table.key, &key)?;
            table.delete(&self.connection, &values).map_err(|e| CommitError::of(&e))?;
            return Ok(RowDigest::of(row.table, key, None));
        }
        let version = Cell::Int(i64::try_from(seq).map_err(|_| CommitError::Broken("the ledger is full".to_owned()))?);
        let mut values: Vec<Cell> =
            table.columns.iter().map(|c| columns.get(c).cloned().unwrap_or(Cell::Null)).collect();
        values.push(version.clone());
        table.put(&self.connection, &values).map_err(|e| CommitError::of(&e))?;
        columns.insert(VERSION.to_owned(), version);
        Ok(RowDigest::of(row.table, key, Some(&columns)))
    }

    /// Appends an entry: the last thing that can fail for its change.
    fn append(
        &mut self,
        kind: &'static str,
        body: &Body,
        now: Timestamp,
        tiles: &mut Vec<(TileId, Vec<u8>)>,
    ) -> Result<Recorded, CommitError> {
        // A clock that was set back does not turn the ledger's time back.
        let time = self.time.max(now);
        let seq = self.edge.size();
        let bytes = body.encode().map_err(|e| CommitError::Broken(e.to_string()))?;
        let mut salt = Salt([0; 32]);
        self.dice.fill(&mut salt.0);
        let leaf = Leaf { time, kind: kind.to_owned(), body: salt.mac(&bytes) }.encode();
        let text = std::str::from_utf8(&bytes).map_err(|e| CommitError::Broken(e.to_string()))?;
        let hash = leaf_hash(&leaf);
        let columns = body.columns(kind, time);
        self.connection
            .prepare_cached(
                "INSERT INTO ledger_entry
                 (seq, time, kind, namespace, actor, subject, action, decision, decision_id, trace, leaf, leaf_hash, salt,
                  body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    seq,
                    time.to_string(),
                    columns.kind,
                    columns.namespace,
                    columns.actor,
                    columns.subject,
                    columns.action,
                    columns.decision,
                    columns.decision_id,
                    columns.trace,
                    leaf,
                    hash.0,
                    salt.0,
                    text,
                ])
            })
            .map_err(|e| CommitError::of(&e))?;
        self.edge.append(hash, tiles);
        self.time = time;
        Ok(Recorded { seq, time })
    }

    /// Stores the tiles that became full, and the tree head that covers the group.
    fn seal(&self, tiles: &[(TileId, Vec<u8>)]) -> Result<(), CommitError> {
        let sqlite = |e: rusqlite::Error| CommitError::of(&e);
        for (id, hashes) in tiles {
            let root = tile_root(hashes).ok_or_else(|| CommitError::Broken("a tile that is not full".to_owned()))?;
            self.connection
                .prepare_cached("INSERT INTO ledger_tile (level, idx, root, hashes) VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut s| s.execute(params![id.level, id.index, root.0, hashes]))
                .map_err(sqlite)?;
        }
        let head = TreeHead { origin: self.origin.clone(), size: self.edge.size(), root: self.edge.root() };
        let note = head.sign(&self.key).map_err(|e| CommitError::Broken(e.to_string()))?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO ledger_head (id, note) VALUES (0, ?1)")
            .and_then(|mut s| s.execute([note]))
            .map_err(sqlite)?;
        Ok(())
    }
}

/// Puts a job into the group, or answers it if there is nothing to write; the log is folded after the group.
fn take(group: &mut Vec<Write>, folds: &mut Vec<oneshot::Sender<bool>>, job: Job) {
    match job {
        Job::Fold(reply) => folds.push(reply),
        Job::Write(write) => group.push(write),
        // Whoever asked may have gone.
        Job::Answer(reply) => drop(reply.send(())),
    }
}

/// Says that there is no writer any more, however it ended.
struct Gone(Arc<Mutex<Option<String>>>);

impl Drop for Gone {
    fn drop(&mut self) {
        // Whoever panicked may hold the lock poisoned; then nobody reads it either.
        if let Ok(mut broken) = self.0.lock() {
            broken.get_or_insert_with(|| "the writer ended".to_owned());
        }
    }
}

/// What a test build was told to fail with.
fn injected(outcome: std::io::Result<()>) -> Result<(), CommitError> {
    outcome.map_err(|e| match e.raw_os_error() {
        Some(28) => CommitError::Full,
        _ => CommitError::Closed(e.to_string()),
    })
}

fn in_order(columns: &[String], key: &Key) -> Result<Vec<Cell>, CommitError> {
    columns
        .iter()
        .map(|c| key.get(c).cloned().ok_or_else(|| CommitError::Broken(format!("the key's column `{c}` is missing"))))
        .collect()
}

fn stale(table: &str, key: &Key) -> CommitError {
    CommitError::Stale { table: table.to_owned(), key: describe(key) }
}

/// A key as people read it: its values, joined by `/`.
pub(crate) fn describe(key: &Key) -> String {
    let values: Vec<String> = key
        .values()
        .map(|cell| match cell {
            Cell::Text(t) => steward_naming::visible(t),
            Cell::Int(i) => i.to_string(),
            Cell::Blob(_) | Cell::Null => "…".to_owned(),
        })
        .collect();
    values.join("/")
}

fn answer(write: Write, outcome: Result<Recorded, CommitError>) {
    // A caller that gave up does not hear that its change was made; the ledger says so.
    match write {
        Write::Change(change, reply) => {
            let _ = reply.send(outcome.map(|r| Committed { warrant: change.permit.spend(r.seq), recorded: r }));
        }
        Write::Refuse(_, reply) => {
            let _ = reply.send(outcome);
        }
    }
}

/// The error of a whole group, for one of its members.
fn again(error: &CommitError) -> CommitError {
    match error {
        CommitError::Full => CommitError::Full,
        CommitError::Closed(reason) => CommitError::Closed(reason.clone()),
        other => CommitError::Broken(other.to_string()),
    }
}
