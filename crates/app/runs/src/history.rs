//! What the record says of an agent: when it was registered, its tiers, its runs and how they ended, revocations and reinstatements.
//!
//! Deliberately absent: what it did in a run (that is the run's own story), and a score.

use serde_json::Value;
use steward_clock::Timestamp;
use steward_governor::Ending;
use steward_ledger::{Body, kind};
use steward_naming::Name;
use steward_store::{EntryRow, Reader, StoreError};

use crate::{
    rows::{self, compliance},
    step::NOT_THE_AGENTS,
};

/// The most turns that are told: the newest ones.
const MAX_TURNS: u32 = 2_000;

/// An agent's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What happened, in order.
    pub turns: Vec<Turn>,
    /// Whether there is more, older than the first.
    pub is_cut: bool,
}

/// Something that happened to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its entry.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// The entry's kind.
    pub kind: String,
    /// By whom: a full name.
    pub by: String,
    /// In words.
    pub says: String,
    /// The tier that the agent has after it, if that was said.
    pub tier: Option<String>,
    /// The run that it is about.
    pub run: Option<String>,
    /// That run's task.
    pub task: Option<String>,
    /// How the run ended.
    pub ending: Option<String>,
    /// Why it ended.
    pub code: Option<String>,
    /// Whether it counts for the agent, or against it; neither, if it ended by no doing of the agent.
    pub compliant: Option<bool>,
}

/// What the record says of an agent.
///
/// # Errors
/// The store cannot be read.
pub fn history(reader: &Reader<'_>, agent: &Name) -> Result<History, StoreError> {
    let mut entries = rows::history(reader, agent, MAX_TURNS + 1)?;
    let is_cut = entries.len() > MAX_TURNS as usize;
    entries.truncate(MAX_TURNS as usize);
    entries.reverse();
    let turns = entries.iter().map(turn).collect::<Result<_, _>>()?;
    Ok(History { turns, is_cut })
}

fn turn(entry: &EntryRow) -> Result<Turn, StoreError> {
    let is_of_run = matches!(entry.kind.as_str(), kind::RUN_STARTED | kind::RUN_ENDED);
    let mut turn = Turn {
        seq: entry.seq,
        time: entry.time,
        kind: entry.kind.clone(),
        by: entry.actor.clone(),
        says: "what it says was erased".to_owned(),
        tier: None,
        run: is_of_run.then(|| entry.subject.clone()),
        task: None,
        ending: None,
        code: None,
        compliant: None,
    };
    let Some(body) = entry.read_body()? else { return Ok(turn) };
    let text = |name: &str| body.detail.get(name).and_then(Value::as_str).map(str::to_owned);
    turn.tier = if is_of_run { None } else { text("tier").or_else(|| given(&body)) };
    turn.task = text("task");
    if entry.kind == kind::RUN_ENDED {
        (turn.ending, turn.code) = (text("ending"), text("code"));
        let ending = turn.ending.as_ref().and_then(|ending| ending.parse::<Ending>().ok());
        let is_the_agents = !NOT_THE_AGENTS.contains(&turn.code.as_deref().unwrap_or_default());
        turn.compliant = ending.and_then(|ending| compliance(ending, is_the_agents));
    }
    turn.says = says(&entry.kind, &body, &turn);
    Ok(turn)
}

/// The tier that an agent was registered with, where the entry itself does not say it.
fn given(body: &Body) -> Option<String> {
    let tier = body.decision.as_ref()?.circumstances.as_ref()?.gives_tier?;
    Some(tier.to_string())
}

fn says(kind: &str, body: &Body, turn: &Turn) -> String {
    let text = |name: &str| body.detail.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let tier = turn.tier.as_deref().unwrap_or("?");
    let of = |what: &str| match body.detail.get(what).and_then(Value::as_str) {
        Some(reason) => format!(": {reason}"),
        None => String::new(),
    };
    match kind {
        kind::AGENT_ADDED => format!("registered in tier {tier}"),
        kind::AGENT_REVOKED => format!("revoked ({}){}", text("reason"), of("details")),
        kind::AGENT_REINSTATED => format!("reinstated, from {} to {tier}{}", text("tier_before"), of("reason")),
        kind::RUN_STARTED => format!("a run of the task {} began, in tier {}", text("task"), text("tier")),
        kind::RUN_REFUSED => {
            let why = body.outcome.as_ref().and_then(|outcome| outcome.error_type.as_deref()).unwrap_or("?");
            format!("a run was asked for and did not come to be: {why}")
        }
        kind::RUN_ENDED => {
            let counts = match turn.compliant {
                Some(true) => "; compliant",
                Some(false) => "; not compliant",
                None => "; counts neither way",
            };
            let revoked = if body.detail.contains_key("revocation") { ", and revoked the agent" } else { "" };
            format!("the run ended {} in {} ({}){revoked}{counts}", text("ending"), text("phase"), text("code"))
        }
        other => match (turn.tier.as_deref(), body.detail.get("tier_before").and_then(Value::as_str)) {
            (Some(tier), Some(before)) => format!("{other}: from {before} to {tier}{}", of("reason")),
            (Some(tier), None) => format!("{other}: tier {tier}{}", of("reason")),
            (None, _) => format!("{other}{}", of("reason")),
        },
    }
}
