//! Runs, told: everything about one, its events in words, its handoff, and the evidence that a stranger can check.
//!
//! Deliberately absent: verifying (the command line does it off-line, without asking the node).

use serde_json::Value;
use steward_app_actions::rows::effects_of_run;
use steward_app_node::{Caller, Context, Error, rows::open_reviews_of_run};
use steward_app_runs::{HandoffRow, RunFilter, RunRow, events, latest_handoff};
use steward_clock::Timestamp;
use steward_governor::Artifact;
use steward_ledger::{Body, kind};
use steward_naming::{Label, ReviewId, RunId, visible};
use steward_permit::ResourceKind;
use steward_review::Status;
use steward_seal::Digest;
use steward_store::EntryRow;

use super::follow::artifacts;

/// What policy is asked about where there is no run of that id.
const ANY: &str = "*";

/// A run with everything about it.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The run.
    pub run: RunRow,
    /// Its plan.
    pub plan: Option<Value>,
    /// The handoff that it was given.
    pub handoff: Option<Value>,
    /// Its report.
    pub report: Option<Value>,
    /// What it wrote.
    pub artifacts: Vec<Artifact>,
    /// The reviews that it waits for.
    pub waits_for: Vec<ReviewId>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub struct Event {
    /// The ledger entry.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// What kind of thing.
    pub kind: String,
    /// In words.
    pub says: String,
}

/// What a run leaves, for a stranger.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The run.
    pub run: RunRow,
    /// The documents that its entries name.
    pub documents: Vec<Document>,
    /// Its entries, each with its proof.
    pub entries: Vec<EvidenceEntry>,
}

/// A document that an entry names by its digest.
#[derive(Debug, Clone)]
pub struct Document {
    /// `packet`, `plan`, `package`, `report` or `handoff`.
    pub kind: &'static str,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An entry with the proof that it is in the ledger.
#[derive(Debug, Clone)]
pub struct EvidenceEntry {
    /// The entry.
    pub entry: EntryRow,
    /// `c2sp.org/tlog-proof@v1`.
    pub proof: String,
}

/// Runs, newest first.
///
/// # Errors
/// It is not allowed.
pub async fn runs(context: &Context, caller: &Caller, filter: &RunFilter) -> Result<Vec<RunRow>, Error> {
    steward_app_runs::list(context, caller, filter).await
}

/// A run that somebody wants to do something with. Who may not learns nothing of which there are.
pub(super) async fn find(context: &Context, caller: &Caller, verb: &'static str, id: &RunId) -> Result<RunRow, Error> {
    match steward_app_runs::find(context, id) {
        Ok(run) => Ok(run),
        Err(why) => Err(context.absent(caller, verb, ResourceKind::Agent, ANY, why).await),
    }
}

async fn may(context: &Context, caller: &Caller, verb: &'static str, run: &RunRow) -> Result<(), Error> {
    let agent = run.state.agent.to_string();
    let action = context.action(verb, ResourceKind::Agent, agent.as_str())?;
    context.allow(caller, action, Some(agent)).await
}

/// One run with everything about it; of what happened, entries after `after`.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn run(context: &Context, caller: &Caller, id: &RunId, after: Option<u64>) -> Result<RunView, Error> {
    let run = find(context, caller, "run.read", id).await?;
    may(context, caller, "run.read", &run).await?;
    let (namespace, id) = (context.namespace.clone(), id.clone());
    let scanned = context.store.scan(move |reader| {
        // Once more, so that it is of the same moment as the rest.
        let run = steward_app_runs::run(reader, &namespace, &id)?.unwrap_or(run);
        let document = |digest: Option<Digest>| -> Result<Option<Value>, Error> {
            let Some(digest) = digest else { return Ok(None) };
            let Some(bytes) = reader.blob(&digest)? else { return Ok(None) };
            serde_json::from_slice(&bytes).map(Some).map_err(Error::broken)
        };
        let handoff = match &run.state.handoff {
            None => None,
            Some(id) => steward_app_runs::handoff(reader, id)?.map(|row| row.document),
        };
        let events = events(reader, &run.trace, after)?.iter().map(event).collect::<Result<_, Error>>()?;
        let waits_for = open_reviews_of_run(reader, &id)?
            .into_iter()
            .filter(|row| row.review.status == Status::Pending)
            .map(|row| row.review.id)
            .collect();
        Ok(RunView {
            waits_for,
            plan: document(run.state.plan.as_ref().map(steward_governor::Plan::digest))?,
            handoff: document(handoff)?,
            report: document(run.report)?,
            artifacts: artifacts(&effects_of_run(reader, &id)?),
            events,
            run,
        })
    });
    scanned.await
}

pub(crate) fn event(entry: &EntryRow) -> Result<Event, Error> {
    let says = match entry.read_body()? {
        None => "what it says was erased".to_owned(),
        Some(body) => says(&entry.kind, &body),
    };
    Ok(Event { seq: entry.seq, time: entry.time, kind: entry.kind.clone(), says })
}

/// What an entry of a run says, in words.
fn says(kind: &str, body: &Body) -> String {
    let text = |name: &str| body.detail.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |name: &str| body.detail.get(name).map(ToString::to_string).unwrap_or_default();
    let asked = body
        .decision
        .as_ref()
        .map_or_else(String::new, |decision| format!("{} {}", decision.action, visible(&decision.resource.id)));
    match kind {
        kind::RUN_STARTED => format!("{} started a run of {} on {}", body.actor.name, text("agent"), text("task")),
        kind::RUN_PHASE => format!("{} → {}", text("from"), text("to")),
        kind::RUN_PLANNED => "the agent submitted a plan".to_owned(),
        kind::RUN_AGENT_STARTED => format!("its process was started ({})", text("sandbox")),
        kind::RUN_AGENT_ENDED => format!(
            "its process ended ({}), after {} ms, {} ms of them on a processor",
            text("ended_by"),
            number("wall_ms"),
            number("cpu_ms")
        ),
        kind::RUN_ERROR => {
            let error = body.detail.get("error");
            let field = |name: &str| error.and_then(|e| e.get(name)).and_then(Value::as_str).unwrap_or("?").to_owned();
            let total = body.detail.get("errors").and_then(|e| e.get("total")).map(ToString::to_string);
            let of = body.detail.get("errors").and_then(|e| e.get("of")).map(ToString::to_string);
            match (total, of) {
                (Some(total), Some(of)) => format!("error {total} of {of}: {}: {}", field("type"), field("message")),
                _ => format!("{}: {}", field("type"), field("message")),
            }
        }
        kind::RUN_ENDED => format!("{} in {}: {}: {}", text("ending"), text("phase"), text("code"), text("message")),
        kind::RUN_CHILD => "a child began or ended".to_owned(),
        kind::ACTION_REFUSED => {
            let code = body.decision.as_ref().and_then(|decision| decision.code).map_or("", |code| code.as_str());
            format!("{asked} was refused: {code}")
        }
        kind::ACTION_INTENDED | kind::ACTION_DECIDED => format!("{asked} was allowed"),
        kind::ACTION_PUBLISHING => format!("{asked} is being published"),
        kind::ACTION_SETTLED => match body.outcome.as_ref().and_then(|outcome| outcome.error_type.as_deref()) {
            None => "it was done".to_owned(),
            Some(code) => format!("it was not done: {code}"),
        },
        other => other.to_owned(),
    }
}

/// The newest handoff of a task, and its document.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn handoff(context: &Context, caller: &Caller, task: &Label) -> Result<(HandoffRow, Value), Error> {
    let action = context.action("run.read", ResourceKind::Node, context.namespace.as_str())?;
    context.allow(caller, action, None).await?;
    context.store.read(|reader| {
        let row = latest_handoff(reader, task)?.ok_or_else(|| Error::not_found(format!("handoff of task `{task}`")))?;
        let bytes = reader.blob(&row.document)?.ok_or_else(|| Error::not_found("document of it any more"))?;
        Ok((row, serde_json::from_slice(&bytes).map_err(Error::broken)?))
    })
}

/// What a run leaves, for a stranger: its documents, and its entries with their proofs. That it was read is recorded.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn evidence(context: &Context, caller: &Caller, id: &RunId) -> Result<Evidence, Error> {
    let run = find(context, caller, "run.evidence", id).await?;
    let agent = run.state.agent.to_string();
    let action = context.action("run.evidence", ResourceKind::Agent, agent.as_str())?;
    let granted = context.permit(caller, action, Some(agent)).await?;
    let change = context.change(caller, granted, kind::LEDGER_READ, id.as_str()).detail("evidence", id.as_str());
    context.commit(change).await?;
    let run = steward_app_runs::find(context, id)?;
    let trace = run.trace.clone();
    let found = context.store.scan(move |reader| events(reader, &trace, None)).await?;
    let places = found.iter().map(|entry| entry.seq).collect();
    let proved = steward_app_entries::proofs_of(context, places).await?;
    let entries = proved.into_iter().map(|proof| EvidenceEntry { entry: proof.entry, proof: proof.text }).collect();
    let documents = context.store.read(|reader| {
        let mut documents = Vec::new();
        let mut add = |kind: &'static str, digest: Option<Digest>| -> Result<(), Error> {
            if let Some(digest) = digest
                && let Some(bytes) = reader.blob(&digest)?
            {
                documents.push(Document { kind, digest, bytes });
            }
            Ok(())
        };
        add("packet", Some(run.state.packet.digest()))?;
        add("plan", run.state.plan.as_ref().map(steward_governor::Plan::digest))?;
        add("package", run.package)?;
        add("report", run.report)?;
        if let Some(id) = &run.state.handoff {
            add("handoff", steward_app_runs::handoff(reader, id)?.map(|row| row.document))?;
        }
        add("handoff", steward_app_runs::handoff_of(reader, run.id())?.map(|row| row.document))?;
        Ok::<_, Error>(documents)
    })?;
    Ok(Evidence { run, documents, entries })
}
