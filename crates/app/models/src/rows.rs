//! The tables `model`, `model_budget`, `model_call` and `model_turn`.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_naming::{ActionId, Label, Name, Namespace, RunId};
use steward_permit::Tier;
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be. `model_turn` has one row, which every call that begins replaces: of two that begin at once, one is
/// stale, so that no budget is read by both.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "models-0001",
    sql: "
CREATE TABLE model (
    namespace        TEXT NOT NULL,
    name             TEXT NOT NULL,
    wire             TEXT NOT NULL CHECK (wire IN ('openai', 'anthropic')),
    url              TEXT NOT NULL,
    upstream         TEXT NOT NULL,
    secret           TEXT,
    tier             TEXT NOT NULL CHECK (tier IN ('T0', 'T1', 'T2', 'T3')),
    input_micros     INTEGER,
    output_micros    INTEGER,
    max_output       INTEGER NOT NULL,
    fallback         TEXT,
    added_by         TEXT NOT NULL,
    added_at         TEXT NOT NULL,
    entry_seq        INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE TABLE model_budget (
    namespace  TEXT NOT NULL,
    holder     TEXT NOT NULL,
    per        TEXT NOT NULL CHECK (per IN ('run', 'day', 'month', 'ever')),
    calls      INTEGER,
    tokens     INTEGER,
    micros     INTEGER,
    set_by     TEXT NOT NULL,
    set_at     TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, holder, per)
) STRICT;
CREATE TABLE model_call (
    namespace          TEXT NOT NULL,
    id                 TEXT NOT NULL,
    agent              TEXT NOT NULL,
    run                TEXT,
    model              TEXT NOT NULL,
    status             TEXT NOT NULL CHECK (status IN ('reserved', 'settled', 'unsettled')),
    tokens             INTEGER NOT NULL,
    micros             INTEGER NOT NULL,
    prompt_tokens      INTEGER,
    completion_tokens  INTEGER,
    started_at         TEXT NOT NULL,
    settled_at         TEXT,
    error_code         TEXT,
    entry_seq          INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX model_call_time ON model_call (namespace, started_at, tokens, micros);
CREATE INDEX model_call_agent ON model_call (namespace, agent, started_at, tokens, micros);
CREATE INDEX model_call_run ON model_call (run) WHERE run IS NOT NULL;
CREATE TABLE model_turn (
    namespace  TEXT NOT NULL,
    call       TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace)
) STRICT;
",
}];

/// The language that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireName {
    /// OpenAI's, as most do.
    OpenAi,
    /// Anthropic's own.
    Anthropic,
}

impl WireName {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// A model, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The name by which agents ask for it.
    pub name: Label,
    /// The language that its provider speaks.
    pub wire: WireName,
    /// The provider's address, with its version: `https://example.org/v1`.
    pub url: String,
    /// What the provider calls it.
    pub upstream: String,
    /// The name of the secret that is its key.
    pub secret: Option<String>,
    /// From which tier on it may be used.
    pub tier: Tier,
    /// What a million tokens of a prompt cost, in millionths of the money's unit; none if nobody said.
    pub input_micros: Option<u64>,
    /// And a million of an answer.
    pub output_micros: Option<u64>,
    /// The most tokens of one answer, also where an agent asks for none.
    pub max_output: u64,
    /// The model that is asked when this one cannot answer.
    pub fallback: Option<Label>,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl ModelRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, name: &Label) -> Key {
        key([("namespace", namespace.as_str()), ("name", name.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("model", Self::key(&self.namespace, &self.name), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        Row::put("model")
            .text("namespace", self.namespace.as_str())
            .text("name", self.name.as_str())
            .text("wire", self.wire.as_str())
            .text("url", self.url.as_str())
            .text("upstream", self.upstream.as_str())
            .optional_text("secret", self.secret.as_deref())
            .text("tier", self.tier.as_str())
            .optional_integer("input_micros", self.input_micros.map(u64::cast_signed))
            .optional_integer("output_micros", self.output_micros.map(u64::cast_signed))
            .integer("max_output", self.max_output.cast_signed())
            .optional_text("fallback", self.fallback.as_ref().map(Label::as_str))
            .text("added_by", self.added_by.as_str())
            .text("added_at", self.added_at.to_string())
    }

    /// That it is gone.
    pub fn gone(&self) -> Row {
        Row::delete("model").text("namespace", self.namespace.as_str()).text("name", self.name.as_str())
    }
}

/// How long a budget lasts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    /// Each run has its own.
    Run,
    /// From midnight to midnight, UTC.
    Day,
    /// A month of the calendar, UTC.
    Month,
    /// It does not begin anew.
    Ever,
}

impl Per {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Run, Self::Day, Self::Month, Self::Ever];

    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Day => "day",
            Self::Month => "month",
            Self::Ever => "ever",
        }
    }

    /// When the one began that `now` is in, as times are written; all times come after the empty one.
    pub fn since(self, now: Timestamp) -> String {
        let now = now.to_string();
        match self {
            Self::Run | Self::Ever => String::new(),
            Self::Day => now.chars().take("2026-11-29".len()).collect(),
            Self::Month => now.chars().take("2026-11".len()).collect(),
        }
    }
}

/// It is no period.
#[derive(Debug, PartialEq, Eq)]
pub struct NoPeriod(String);

impl std::fmt::Display for NoPeriod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is no period; they are run, day, month and ever", steward_naming::visible(&self.0))
    }
}

impl std::error::Error for NoPeriod {}

impl FromStr for Per {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        Self::ALL.into_iter().find(|per| per.as_str() == text).ok_or_else(|| NoPeriod(text.to_owned()))
    }
}

/// How much may be used; what is not said is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls.
    pub calls: Option<u64>,
    /// Tokens, of prompts and answers together.
    pub tokens: Option<u64>,
    /// Money, in millionths of its unit.
    pub micros: Option<u64>,
}

/// A budget, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The agent; none for all of the namespace together, or for each run of any agent.
    pub agent: Option<Name>,
    /// How long it lasts.
    pub per: Per,
    /// How much.
    pub limits: Limits,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

/// The holder of a budget that is no agent's.
const ALL: &str = "*";

impl BudgetRow {
    fn holder(agent: Option<&Name>) -> String {
        agent.map_or_else(|| ALL.to_owned(), ToString::to_string)
    }

    /// The row's key.
    pub fn key(namespace: &Namespace, agent: Option<&Name>, per: Per) -> Key {
        key([("namespace", namespace.as_str()), ("holder", &Self::holder(agent)), ("per", per.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("model_budget", Self::key(&self.namespace, self.agent.as_ref(), self.per), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        Row::put("model_budget")
            .text("namespace", self.namespace.as_str())
            .text("holder", Self::holder(self.agent.as_ref()))
            .text("per", self.per.as_str())
            .optional_integer("calls", self.limits.calls.map(u64::cast_signed))
            .optional_integer("tokens", self.limits.tokens.map(u64::cast_signed))
            .optional_integer("micros", self.limits.micros.map(u64::cast_signed))
            .text("set_by", self.set_by.as_str())
            .text("set_at", self.set_at.to_string())
    }

    /// That it is gone.
    pub fn gone(&self) -> Row {
        Row::delete("model_budget")
            .text("namespace", self.namespace.as_str())
            .text("holder", Self::holder(self.agent.as_ref()))
            .text("per", self.per.as_str())
    }
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    /// It is under way, or its node died: it counts with all that it reserved.
    Reserved,
    /// It ended, and what it used is known.
    Settled,
    /// It ended, and nobody knows what it used: it counts with all that it reserved.
    Unsettled,
}

impl CallStatus {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Settled => "settled",
            Self::Unsettled => "unsettled",
        }
    }
}

/// A call of a model, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The action's id.
    pub id: ActionId,
    /// The agent.
    pub agent: Name,
    /// The run that it was made in.
    pub run: Option<RunId>,
    /// The model.
    pub model: Label,
    /// Where it stands.
    pub status: CallStatus,
    /// What it counts with: reserved, then used.
    pub tokens: u64,
    /// The same in millionths of the money's unit.
    pub micros: u64,
    /// Tokens of its prompt, as the provider says.
    pub prompt_tokens: Option<u64>,
    /// Tokens of its answer.
    pub completion_tokens: Option<u64>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub settled_at: Option<Timestamp>,
    /// Why it failed.
    pub error_code: Option<String>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl CallRow {
    fn key(namespace: &Namespace, id: &ActionId) -> Key {
        key([("namespace", namespace.as_str()), ("id", id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("model_call", Self::key(&self.namespace, &self.id), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        Row::put("model_call")
            .text("namespace", self.namespace.as_str())
            .text("id", self.id.as_str())
            .text("agent", self.agent.to_string())
            .optional_text("run", self.run.as_ref().map(RunId::as_str))
            .text("model", self.model.as_str())
            .text("status", self.status.as_str())
            .integer("tokens", self.tokens.cast_signed())
            .integer("micros", self.micros.cast_signed())
            .optional_integer("prompt_tokens", self.prompt_tokens.map(u64::cast_signed))
            .optional_integer("completion_tokens", self.completion_tokens.map(u64::cast_signed))
            .text("started_at", self.started_at.to_string())
            .optional_text("settled_at", self.settled_at.map(|at| at.to_string()))
            .optional_text("error_code", self.error_code.as_deref())
    }
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls.
    pub calls: u64,
    /// Tokens.
    pub tokens: u64,
    /// Money, in millionths of its unit.
    pub micros: u64,
}

/// Whose calls are summed.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    /// All of the namespace.
    All,
    /// An agent's.
    Agent(&'a Name),
    /// A run's.
    Run(&'a RunId),
}

/// What was used since a time, as times are written, summed from the calls. A sum that is too large to be counted is the largest there is: a
/// provider that lies does not keep others from being counted.
///
/// # Errors
/// The store cannot be read.
pub fn spent(reader: &Reader<'_>, namespace: &Namespace, of: Of<'_>, since: &str) -> Result<Spent, StoreError> {
    let (condition, value) = match of {
        Of::All => ("?3 = ''", String::new()),
        Of::Agent(agent) => ("agent = ?3", agent.to_string()),
        Of::Run(run) => ("run = ?3", run.as_str().to_owned()),
    };
    let sql = format!(
        "SELECT count(*), CAST(total(tokens) AS INTEGER), CAST(total(micros) AS INTEGER) FROM model_call
         WHERE namespace = ?1 AND started_at >= ?2 AND {condition}"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let values = params![namespace.as_str(), since, value];
    Ok(statement.query_row(values, |row| Ok(Spent { calls: row.get(0)?, tokens: row.get(1)?, micros: row.get(2)? }))?)
}

/// What each agent used of each model since a time.
///
/// # Errors
/// The store cannot be read.
pub fn spent_by_agent_and_model(
    reader: &Reader<'_>,
    namespace: &Namespace,
    since: &str,
) -> Result<Vec<(String, String, Spent, u64)>, StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT agent, model, count(*), CAST(total(tokens) AS INTEGER), CAST(total(micros) AS INTEGER), count(*) FILTER (WHERE status <> 'settled')
         FROM model_call WHERE namespace = ?1 AND started_at >= ?2 GROUP BY agent, model ORDER BY agent, model",
    )?;
    let rows = statement.query_map(params![namespace.as_str(), since], |row| {
        let spent = Spent { calls: row.get(2)?, tokens: row.get(3)?, micros: row.get(4)? };
        Ok((row.get(0)?, row.get(1)?, spent, row.get(5)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What was used of each model in all, by how its calls stand.
///
/// # Errors
/// The store cannot be read.
pub fn spent_by_model(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<(String, String, Spent)>, StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT model, status, count(*), CAST(total(tokens) AS INTEGER), CAST(total(micros) AS INTEGER)
         FROM model_call WHERE namespace = ?1 GROUP BY model, status ORDER BY model, status",
    )?;
    let rows = statement.query_map([namespace.as_str()], |row| {
        Ok((row.get(0)?, row.get(1)?, Spent { calls: row.get(2)?, tokens: row.get(3)?, micros: row.get(4)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// That no other call began since, and the row that says that this one did.
///
/// # Errors
/// The store cannot be read.
pub fn turn(reader: &Reader<'_>, namespace: &Namespace, call: &ActionId) -> Result<(Guard, Row), StoreError> {
    let mut statement = reader.sql().prepare_cached("SELECT entry_seq FROM model_turn WHERE namespace = ?1")?;
    let last: Option<u64> = statement.query_row([namespace.as_str()], |row| row.get(0)).optional()?;
    let of = key([("namespace", namespace.as_str())]);
    let guard = match last {
        Some(seq) => Guard::unchanged("model_turn", of, seq),
        None => Guard::absent("model_turn", of),
    };
    let row = Row::put("model_turn").text("namespace", namespace.as_str()).text("call", call.as_str());
    Ok((guard, row))
}

const MODEL: &str = "SELECT namespace, name, wire, url, upstream, secret, tier, input_micros, output_micros, max_output, fallback, \
                     added_by, added_at, entry_seq FROM model";

fn model_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ModelRow> {
    Ok(ModelRow {
        namespace: parsed(row, 0)?,
        name: parsed(row, 1)?,
        wire: if row.get_ref(2)?.as_str()? == "openai" { WireName::OpenAi } else { WireName::Anthropic },
        url: row.get(3)?,
        upstream: row.get(4)?,
        secret: row.get(5)?,
        tier: parsed(row, 6)?,
        input_micros: row.get(7)?,
        output_micros: row.get(8)?,
        max_output: row.get(9)?,
        fallback: row.get::<_, Option<String>>(10)?.map(|name| name.parse().map_err(|e| damaged(10, e))).transpose()?,
        added_by: row.get(11)?,
        added_at: parsed(row, 12)?,
        entry_seq: row.get(13)?,
    })
}

/// A model.
///
/// # Errors
/// The store cannot be read.
pub fn model(reader: &Reader<'_>, namespace: &Namespace, name: &str) -> Result<Option<ModelRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{MODEL} WHERE namespace = ?1 AND name = ?2"))?;
    Ok(statement.query_row([namespace.as_str(), name], model_row).optional()?)
}

/// Every model of a namespace, by name.
///
/// # Errors
/// The store cannot be read.
pub fn models(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<ModelRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{MODEL} WHERE namespace = ?1 ORDER BY name"))?;
    Ok(statement.query_map([namespace.as_str()], model_row)?.collect::<Result<_, _>>()?)
}

/// Whether there is such an agent: a budget of one that there is not would hold nobody.
///
/// # Errors
/// The store cannot be read.
pub fn has_agent(reader: &Reader<'_>, agent: &Name) -> Result<bool, StoreError> {
    let mut statement = reader.sql().prepare_cached("SELECT 1 FROM agent WHERE namespace = ?1 AND name = ?2")?;
    Ok(statement.exists([agent.namespace().as_str(), agent.label().as_str()])?)
}

/// Every budget of a namespace.
///
/// # Errors
/// The store cannot be read.
pub fn budgets(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<BudgetRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT namespace, holder, per, calls, tokens, micros, set_by, set_at, entry_seq FROM model_budget
         WHERE namespace = ?1 ORDER BY holder, per",
    )?;
    let rows = statement.query_map([namespace.as_str()], |row| {
        let holder: String = row.get(1)?;
        let agent = if holder == ALL { None } else { Some(holder.parse().map_err(|e| damaged(1, e))?) };
        Ok(BudgetRow {
            namespace: parsed(row, 0)?,
            agent,
            per: parsed(row, 2)?,
            limits: Limits { calls: row.get(3)?, tokens: row.get(4)?, micros: row.get(5)? },
            set_by: row.get(6)?,
            set_at: parsed(row, 7)?,
            entry_seq: row.get(8)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
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
