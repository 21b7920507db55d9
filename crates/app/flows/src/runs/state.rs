//! The keys of the runtime state that operators know (GOV-6): a projection of facts, and of soft state, made when it is asked for.
//!
//! ```text
//! agent:{id}:packet|state|errors|heartbeat|lock      task:{id}:active_agent|artifacts
//! revocations:ledger                                 handoff:{task}:latest
//! ```
//!
//! Deliberately absent: writing them, and the keys of boards and messages, which come with councils.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};
use steward_app_actions::rows::effects_of_run;
use steward_app_node::{Caller, Error};
use steward_app_runs::{RunFilter, RunRow, latest_handoff, lock, revocations};
use steward_clock::Timestamp;
use steward_permit::ResourceKind;

use super::{blocking::blocking, follow::artifacts, runner::Runner};

/// The most runs that are looked at.
const MAX_RUNS: u32 = 1000;

/// The most revocations in the list.
const MAX_REVOCATIONS: u32 = 1000;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 256;

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct StateEntry {
    /// The key.
    pub key: String,
    /// `string`, `hash` or `list`.
    pub kind: &'static str,
    /// A string, an object of strings, or a list of strings.
    pub value: Value,
    /// Until when, of a key that expires.
    pub expires_at: Option<Timestamp>,
}

/// The keys that match a pattern: `*` is any text, as in a Redis-protocol server.
///
/// # Errors
/// It is not allowed, or the pattern is too long.
pub async fn state(runner: &Arc<Runner>, caller: &Caller, pattern: &str) -> Result<Vec<StateEntry>, Error> {
    let context = &runner.context;
    let action = context.action("state.read", ResourceKind::Node, context.namespace.as_str())?;
    context.allow(caller, action, None).await?;
    if pattern.len() > MAX_PATTERN || pattern.chars().any(char::is_control) {
        return Err(Error::invalid(format!("a pattern has at most {MAX_PATTERN} bytes; `agent:*` is one")));
    }
    let reads = Arc::clone(runner);
    let mut entries = blocking(move || all(&reads)).await??;
    entries.retain(|entry| matches(pattern, &entry.key));
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

/// Whether a text matches a pattern of literal text and `*`: greedy, with one place to go back to, so that it is never slow.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn all(runner: &Runner) -> Result<Vec<StateEntry>, Error> {
    let context = &runner.context;
    let now = context.now();
    context.store.read(|reader| {
        let filter = RunFilter { limit: MAX_RUNS, ..RunFilter::default() };
        // Newest first: an agent's current one is the first that is live, and without any the first.
        let runs = steward_app_runs::runs(reader, &filter)?;
        let mut entries = Vec::new();
        let mut agents = BTreeSet::new();
        let mut tasks: BTreeMap<String, Vec<&RunRow>> = BTreeMap::new();
        for run in &runs {
            tasks.entry(run.state.task.to_string()).or_default().push(run);
            if agents.insert(run.state.agent.clone()) {
                let live = runs.iter().find(|other| other.state.agent == run.state.agent && other.is_live());
                entries.extend(of_agent(runner, live.unwrap_or(run), now));
                let lock = lock(reader, &run.state.agent)?;
                if let (Some(holder), Some(until)) = (&lock.run, lock.expires_at) {
                    entries.push(StateEntry {
                        expires_at: Some(until),
                        ..string(format!("agent:{}:lock", run.state.agent), format!("{holder}#{}", lock.fence))
                    });
                }
            }
        }
        for (task, runs) in tasks {
            if let Some(live) = runs.iter().find(|run| run.is_live()) {
                entries.push(string(format!("task:{task}:active_agent"), live.state.agent.to_string()));
            }
            let mut list = Vec::new();
            for run in runs.iter().rev() {
                for artifact in artifacts(&effects_of_run(reader, run.id())?) {
                    list.push(json!(format!("{} {} {}", artifact.path, artifact.digest, artifact.bytes)));
                }
            }
            if !list.is_empty() {
                entries.push(StateEntry {
                    key: format!("task:{task}:artifacts"),
                    kind: "list",
                    value: list.into(),
                    expires_at: None,
                });
            }
            if let Ok(label) = task.parse()
                && let Some(row) = latest_handoff(reader, &label)?
                && let Some(bytes) = reader.blob(&row.document)?
            {
                entries.push(string(format!("handoff:{task}:latest"), String::from_utf8_lossy(&bytes)));
            }
        }
        let revoked: Vec<Value> = revocations(reader, MAX_REVOCATIONS)?
            .into_iter()
            .rev()
            .map(|row| json!(format!("{} {} {} {}", row.at, row.agent, row.reason, row.details)))
            .collect();
        if !revoked.is_empty() {
            let (key, kind) = ("revocations:ledger".to_owned(), "list");
            entries.push(StateEntry { key, kind, value: revoked.into(), expires_at: None });
        }
        Ok(entries)
    })
}

fn of_agent(runner: &Runner, run: &RunRow, now: Timestamp) -> Vec<StateEntry> {
    let (agent, state) = (&run.state.agent, &run.state);
    let told = json!({
        "run": state.id, "task": state.task, "phase": state.phase.as_str(),
        "status": state.ended.as_ref().map_or("live", |ended| ended.ending.as_str()),
        "since": state.phase_at.to_string(),
    });
    let mut errors = serde_json::Map::new();
    errors.insert("total".to_owned(), state.spent.total.to_string().into());
    errors.insert("violations".to_owned(), state.spent.violations.to_string().into());
    for (error, count) in &state.spent.repeats {
        errors.insert(error.clone(), count.to_string().into());
    }
    let mut entries = vec![
        string(format!("agent:{agent}:packet"), String::from_utf8_lossy(&state.packet.canonical())),
        string(format!("agent:{agent}:state"), told.to_string()),
        StateEntry { key: format!("agent:{agent}:errors"), kind: "hash", value: errors.into(), expires_at: None },
    ];
    if run.is_live()
        && runner.soft.is_alive(state.id.as_str(), now)
        && let Some(beat) = runner.soft.last_beat(state.id.as_str())
    {
        let until = beat.plus_ms(steward_app_runs::lifetime_ms(state.tier));
        let key = format!("agent:{agent}:heartbeat");
        entries.push(StateEntry { expires_at: Some(until), ..string(key, beat.to_string()) });
    }
    entries
}

fn string(key: String, value: impl Into<String>) -> StateEntry {
    StateEntry { key, kind: "string", value: Value::String(value.into()), expires_at: None }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_are_any_text() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("*", "agent:a:lock", true),
            ("agent:*:lock", "agent:a.b:lock", true),
            ("agent:*:lock", "agent:a:errors", false),
            ("agent:a", "agent:ab", false),
            ("**a*", "bca", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }
}
