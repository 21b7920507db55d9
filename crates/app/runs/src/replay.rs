//! A run, lived again from its record alone.
//!
//! ```text
//! entries of the run ──► the first begins it ──► each command is told to the machine again ──► the run after it
//!                                                     its row has a digest; the entry has the digest of the row that was written
//! ```
//!
//! So a step agrees if every column of the run's row, its whole state among them, is what the machine makes of the record. An entry
//! that is missing, changed, or of another run shows at the first step that it would have led to.
//!
//! Deliberately absent: effects. Nothing is done again; and what policies say now is asked elsewhere (policies).

use serde_json::Value;
use steward_clock::Timestamp;
use steward_governor::{Begin, Command, Packet, Plan, Recorded, Run};
use steward_ledger::{Body, Leaf, Salt, kind};
use steward_naming::{CredentialId, HandoffId, RunId};
use steward_permit::Tier;
use steward_seal::Digest;
use steward_store::EntryRow;

use crate::{
    rows::{RunRow, compliance},
    step::NOT_THE_AGENTS,
};

/// What is to be lived again.
pub struct Story<'a, F> {
    /// The run as it stands now.
    pub run: &'a RunRow,
    /// Its entries, in order; and those of children that began under it.
    pub entries: &'a [EntryRow],
    /// Runs above it.
    pub depth: u32,
    /// Gives a document by its digest, if it is kept.
    pub document: F,
}

/// What living it again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Each step, in order.
    pub steps: Vec<ReplayStep>,
    /// What is wrong with the whole of it.
    pub troubles: Vec<String>,
}

/// A step of a run, made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayStep {
    /// Its entry.
    pub seq: u64,
    /// What was told to the machine, in a word.
    pub command: String,
    /// The phase in which the run is after it, as the machine has it.
    pub phase: Option<&'static str>,
    /// What was found.
    pub found: Found,
}

/// How a step compares with the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It leads to what was recorded.
    Same,
    /// It does not: in what.
    Differs(String),
    /// It could not be made again: why.
    NotReplayed(String),
}

impl Replay {
    /// Whether every step was made again, and led to what was recorded.
    pub fn agrees(&self) -> bool {
        self.troubles.is_empty() && self.steps.iter().all(|step| step.found == Found::Same)
    }
}

/// Why a step could not be made again, or not so.
struct Wrong(Found);

fn lacks(why: impl Into<String>) -> Wrong {
    Wrong(Found::NotReplayed(why.into()))
}

fn differs(why: impl Into<String>) -> Wrong {
    Wrong(Found::Differs(why.into()))
}

/// Lives a run again. `document` is asked for packet and plans.
pub fn replay<F: Fn(&Digest) -> Option<Vec<u8>>>(story: &Story<'_, F>) -> Replay {
    let mut replay = Replay { steps: Vec::new(), troubles: Vec::new() };
    let mut now: Option<RunRow> = None;
    for entry in story.entries {
        let body = match read(entry) {
            Ok(Some(body)) => body,
            Ok(None) => {
                if is_step_kind(&entry.kind) {
                    replay.push(entry, "?", None, Found::NotReplayed("what the entry says was erased".to_owned()));
                    now = None;
                }
                continue;
            }
            Err(why) => {
                replay.push(entry, "?", None, Found::Differs(why));
                continue;
            }
        };
        let own = RunRow::key(&story.run.namespace, story.run.id());
        let Some(written) = body.rows.iter().find(|row| row.table == "run" && row.key == own) else {
            // Nothing of the run's own was written. A step always writes it.
            if is_step_kind(&entry.kind) && body.subject == story.run.id().as_str() {
                replay.push(
                    entry,
                    "?",
                    None,
                    Found::Differs("the entry of a step writes no row of this run".to_owned()),
                );
            }
            continue;
        };
        let (word, made) = story.make(entry, &body, now.as_ref());
        let found = match made {
            Ok(after) => {
                let digest = after.row().digest_at(&own, entry.seq);
                let found = if digest == written.digest { Found::Same } else { Found::Differs(compare(&body, &after)) };
                now = Some(after);
                found
            }
            Err(Wrong(found)) => {
                if matches!(found, Found::NotReplayed(_)) {
                    now = None;
                }
                found
            }
        };
        replay.push(entry, &word, now.as_ref(), found);
    }
    replay.hold_against(story.run, now.as_ref());
    replay
}

impl Replay {
    fn push(&mut self, entry: &EntryRow, command: &str, after: Option<&RunRow>, found: Found) {
        let phase = after.map(|run| run.state.phase.as_str());
        self.steps.push(ReplayStep { seq: entry.seq, command: command.to_owned(), phase, found });
    }

    /// The run as it stands is what its record makes of it.
    fn hold_against(&mut self, run: &RunRow, replayed: Option<&RunRow>) {
        if self.steps.is_empty() {
            self.troubles.push("there is no step of this run on record".to_owned());
            return;
        }
        let Some(replayed) = replayed else {
            return self.troubles.push("the run could not be lived again to its end".to_owned());
        };
        let (is, was) = (&run.state, &replayed.state);
        if is != was {
            let of = |run: &Run| match &run.ended {
                None => format!("in {}", run.phase),
                Some(ended) => format!("{} in {} ({})", ended.ending, ended.phase, ended.code),
            };
            let (is, was) = (of(is), of(was));
            let what = if is == was {
                "in something that has no word of its own".to_owned()
            } else {
                format!("{is}, where its record leads to {was}")
            };
            self.troubles.push(format!("the run as it stands differs: {what}"));
        }
    }
}

/// The entries that are steps, whatever they say.
fn is_step_kind(kind: &str) -> bool {
    [
        kind::RUN_STARTED,
        kind::RUN_PHASE,
        kind::RUN_PLANNED,
        kind::RUN_ERROR,
        kind::RUN_CHILD,
        kind::RUN_AGENT_STARTED,
        kind::RUN_ENDED,
    ]
    .contains(&kind)
}

/// What an entry says, if that is what the ledger has of it.
fn read(entry: &EntryRow) -> Result<Option<Body>, String> {
    let body = entry.read_body().map_err(|e| e.to_string())?;
    let (Some(bytes), Some(salt)) = (&entry.body, &entry.salt) else { return Ok(None) };
    let leaf = Leaf::decode(&entry.leaf).map_err(|e| e.to_string())?;
    let salt: [u8; 32] = salt.as_slice().try_into().map_err(|_| "its salt is none".to_owned())?;
    if !leaf.is_of(&Salt(salt), bytes) || leaf.kind != entry.kind {
        return Err("what it says is not what the ledger has of it: it was changed".to_owned());
    }
    Ok(body)
}

impl<F: Fn(&Digest) -> Option<Vec<u8>>> Story<'_, F> {
    /// The run after an entry, made by the machine from the run before it; and what it was told.
    fn make(&self, entry: &EntryRow, body: &Body, before: Option<&RunRow>) -> (String, Result<RunRow, Wrong>) {
        let id = self.run.id().as_str();
        match entry.kind.as_str() {
            kind::RUN_STARTED if body.subject == id => ("begin".to_owned(), self.begin(entry, body, before)),
            // Of a child: its beginning is a step of this run.
            kind::RUN_STARTED => {
                let child = body.subject.parse::<RunId>().map_err(|e| differs(e.to_string()));
                let at = at(body);
                let made = before_of(before).and_then(|run| told(run, Command::ChildStarted(child?), at?));
                ("child_started".to_owned(), made)
            }
            kind::RUN_AGENT_STARTED => {
                let sandbox = text(body, "sandbox").map(str::to_owned);
                ("(its process)".to_owned(), before_of(before).map(|run| RunRow { sandbox, ..run.clone() }))
            }
            _ => {
                let command = body.detail.get("command");
                let word = command.and_then(|said| said["name"].as_str()).unwrap_or("?").to_owned();
                (word, self.step(body, command, before))
            }
        }
    }

    fn begin(&self, entry: &EntryRow, body: &Body, before: Option<&RunRow>) -> Result<RunRow, Wrong> {
        if before.is_some() {
            return Err(differs("the run begins a second time"));
        }
        let digest = said::<Digest>(body, "packet")?;
        let bytes =
            (self.document)(&digest).ok_or_else(|| lacks(format!("the packet {digest} is not kept any more")))?;
        let packet: Packet = serde_json::from_slice(&bytes).map_err(|e| differs(format!("the packet: {e}")))?;
        if packet.digest() != digest {
            return Err(differs("the packet is not the one that the entry names"));
        }
        let handoff = body.detail.get("handoff").and_then(|left| left["id"].as_str());
        let handoff = handoff.map(|id| id.parse::<HandoffId>().map_err(|e| differs(e.to_string()))).transpose()?;
        let parent =
            text(body, "parent").map(|id| id.parse::<RunId>().map_err(|e| differs(e.to_string()))).transpose()?;
        let (id, tier, now) = (self.run.id().clone(), said::<Tier>(body, "tier")?, at(body)?);
        // What a parent forbids is in the packet already.
        let begun = Run::begin(Begin { id, packet, tier, handoff, parent: None, now });
        let mut state = begun.map_err(|refusal| differs(format!("the machine does not begin it: {refusal}")))?;
        state.depth = if parent.is_some() { self.depth } else { 0 };
        state.parent = parent;
        Ok(RunRow {
            namespace: self.run.namespace.clone(),
            agent_version: text(body, "agent_version").unwrap_or_default().to_owned(),
            compliant: None,
            package: None,
            report: None,
            trace: body.trace.clone().ok_or_else(|| differs("the entry that begins it has no trace"))?,
            started_by: body.actor.name.clone(),
            fence: 0,
            credential: None,
            sandbox: None,
            entry_seq: entry.seq,
            state,
        })
    }

    fn step(&self, body: &Body, command: Option<&Value>, before: Option<&RunRow>) -> Result<RunRow, Wrong> {
        let before = before_of(before)?;
        let recorded = command.ok_or_else(|| {
            lacks("the entry is of an earlier version, which did not record what the machine was told")
        })?;
        let recorded: Recorded =
            serde_json::from_value(recorded.clone()).map_err(|e| differs(format!("what the machine was told: {e}")))?;
        let command = recorded.command(|digest| {
            let bytes =
                (self.document)(digest).ok_or_else(|| lacks(format!("the plan {digest} is not kept any more")))?;
            let plan: Plan = serde_json::from_slice(&bytes).map_err(|e| differs(format!("the plan: {e}")))?;
            if plan.digest() == *digest {
                Ok(plan)
            } else {
                Err(differs("the plan is not the one that the entry names"))
            }
        })?;
        let after = told(before, command, at(body)?)?;
        let lost = after.state.ended.as_ref().is_some_and(|ended| ended.code == steward_app_node::code::LOCK_LOST);
        let digest = |name| text(body, name).and_then(|digest| digest.parse::<Digest>().ok()).filter(|_| !lost);
        let fence = text(body, "fence").and_then(|fence| fence.parse().ok());
        let credential = text(body, "credential").and_then(|id| id.parse::<CredentialId>().ok());
        let compliant =
            after.state.ended.as_ref().map_or(after.compliant, |ended| {
                compliance(ended.ending, !NOT_THE_AGENTS.contains(&ended.code.as_str()))
            });
        Ok(RunRow {
            package: digest("package").or(after.package),
            report: digest("report").or(after.report),
            fence: fence.unwrap_or(after.fence),
            credential: credential.or(after.credential.clone()),
            compliant,
            ..after
        })
    }
}

fn before_of(before: Option<&RunRow>) -> Result<&RunRow, Wrong> {
    before.ok_or_else(|| lacks("a step before it is missing, or could not be made again"))
}

fn told(before: &RunRow, command: Command, now: Timestamp) -> Result<RunRow, Wrong> {
    let stepped = before.state.step(command, now);
    let stepped = stepped.map_err(|refusal| differs(format!("the machine refuses it: {refusal}")))?;
    Ok(RunRow { state: stepped.run, ..before.clone() })
}

fn text<'a>(body: &'a Body, name: &str) -> Option<&'a str> {
    body.detail.get(name)?.as_str()
}

fn said<T: std::str::FromStr<Err: std::fmt::Display>>(body: &Body, name: &str) -> Result<T, Wrong> {
    let text = text(body, name).ok_or_else(|| lacks(format!("the entry does not say `{name}`")))?;
    text.parse().map_err(|e: T::Err| differs(format!("`{name}`: {e}")))
}

fn at(body: &Body) -> Result<Timestamp, Wrong> {
    if body.detail.contains_key("at") {
        return said(body, "at");
    }
    Err(lacks("the entry is of an earlier version, which did not record when the machine was told"))
}

/// In what a step differs from its entry, as far as the entry has words for it.
fn compare(body: &Body, after: &RunRow) -> String {
    let (state, mut told) = (&after.state, Vec::new());
    let mut hold = |what: &str, recorded: Option<String>, replayed: String| {
        if let Some(recorded) = recorded.filter(|recorded| *recorded != replayed) {
            told.push(format!("{what}: recorded {recorded}, replayed {replayed}"));
        }
    };
    let word = |name: &str| text(body, name).map(str::to_owned);
    hold("phase", word("to"), state.phase.to_string());
    let errors = body.detail.get("errors").map(|errors| errors["total"].to_string());
    hold("errors", errors, state.spent.total.to_string());
    let ended = state.ended.as_ref();
    hold("ending", word("ending"), ended.map_or("none".to_owned(), |ended| ended.ending.to_string()));
    hold("code", word("code"), ended.map_or("none".to_owned(), |ended| ended.code.clone()));
    if told.is_empty() {
        return "the run's row has another digest than the entry says, in something that the entry has no word for"
            .to_owned();
    }
    told.join("; ")
}
