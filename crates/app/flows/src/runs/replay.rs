//! A run, lived again from its record; its decisions, asked again of the policy in force; and what became of an agent.
//!
//! Deliberately absent: doing anything again, and verifying the ledger (the command line does that off-line).

use std::collections::{BTreeMap, HashMap};

use steward_app_node::{Caller, Context, Error};
use steward_app_policies::{Unasked, WouldBe, asked_again};
use steward_app_runs::{Found, History, Replay, ReplayStep, RunRow, Story, begun_under, events, replay};
use steward_ledger::{BodyActor, BodyDecision, kind};
use steward_naming::{Name, RunId};
use steward_permit::ResourceKind;
use steward_seal::Digest;
use steward_store::{EntryRow, Reader};

use super::view::{Event, event, find};

/// A run that was lived again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The run as it stands.
    pub run: RunRow,
    /// Whether every step was made again, and led to what was recorded.
    pub agrees: bool,
    /// What is wrong with the whole of it.
    pub troubles: Vec<String>,
    /// Everything on record about it, in order.
    pub events: Vec<ReplayedEvent>,
    /// The version of the policy that was asked.
    pub policy_version: Digest,
    /// Decisions that come out the same under it.
    pub same: u64,
    /// Decisions that could not be asked again, by the reason; and the first of them.
    pub not_asked: BTreeMap<Unasked, (u64, u64)>,
}

/// Something on record about a run.
#[derive(Debug, Clone)]
pub struct ReplayedEvent {
    /// What happened.
    pub event: Event,
    /// Who did it, or asked for it.
    pub actor: Option<BodyActor>,
    /// The step that it is, made again.
    pub step: Option<ReplayStep>,
    /// Of a decision that would come out otherwise now: how it came out, and how it would.
    pub otherwise: Option<(BodyDecision, WouldBe)>,
}

impl Replayed {
    /// How many steps led to what was recorded, to something else, and could not be made again.
    pub fn counts(&self) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for step in self.events.iter().filter_map(|event| event.step.as_ref()) {
            match step.found {
                Found::Same => counts.0 += 1,
                Found::Differs(_) => counts.1 += 1,
                Found::NotReplayed(_) => counts.2 += 1,
            }
        }
        counts
    }
}

/// How many runs are above one.
fn depth(reader: &Reader<'_>, run: &RunRow) -> Result<u32, Error> {
    let mut depth = 0;
    let mut above = run.state.parent.clone();
    while let Some(parent) = above.filter(|_| depth < steward_governor::MAX_RUN_DEPTH) {
        depth += 1;
        above = steward_app_runs::run(reader, &run.namespace, &parent)?.and_then(|run| run.state.parent);
    }
    Ok(depth)
}

/// A run, lived again; with everything on record about it, in order.
///
/// # Errors
/// The store cannot be read.
pub fn live_again(reader: &Reader<'_>, run: &RunRow) -> Result<(Vec<EntryRow>, Replay), Error> {
    let mut entries = events(reader, &run.trace, None)?;
    entries.extend(begun_under(reader, run.id())?);
    entries.sort_by_key(|entry| entry.seq);
    let document = |digest: &Digest| reader.blob(digest).ok().flatten();
    let lived = replay(&Story { run, entries: &entries, depth: depth(reader, run)?, document });
    Ok((entries, lived))
}

/// A run, lived again from its record, and its decisions asked again of the policy in force. That it was read is recorded.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn replayed(context: &Context, caller: &Caller, id: &RunId) -> Result<Replayed, Error> {
    let run = find(context, caller, "run.evidence", id).await?;
    let agent = run.state.agent.to_string();
    let action = context.action("run.evidence", ResourceKind::Agent, agent.as_str())?;
    let granted = context.permit(caller, action, Some(agent)).await?;
    let change = context.change(caller, granted, kind::LEDGER_READ, id.as_str()).detail("replay", id.as_str());
    context.commit(change).await?;
    let (namespace, id, policy) = (context.namespace.clone(), id.clone(), context.policy());
    let scanned = context.store.scan(move |reader| {
        // Once more, so that it is of the same moment as the rest.
        let run = steward_app_runs::run(reader, &namespace, &id)?.unwrap_or(run);
        let (entries, lived) = live_again(reader, &run)?;
        let agrees = lived.agrees();
        let Replay { steps, troubles } = lived;
        let mut steps: HashMap<u64, ReplayStep> = steps.into_iter().map(|step| (step.seq, step)).collect();
        let mut replayed = Replayed {
            agrees,
            troubles,
            events: Vec::new(),
            policy_version: policy.engine.version(),
            same: 0,
            not_asked: BTreeMap::new(),
            run: run.clone(),
        };
        for entry in &entries {
            // One that was changed is told as such, and keeps nothing else from being told.
            let body = entry.read_body().ok().flatten();
            let event = event(entry).unwrap_or_else(|error| Event {
                seq: entry.seq,
                time: entry.time,
                kind: entry.kind.clone(),
                says: format!("it cannot be read: {error}"),
            });
            let mut otherwise = None;
            if let Some(decision) = body.as_ref().and_then(|body| body.decision.clone()) {
                match body.as_ref().map_or(Err(Unasked::Erased), |body| asked_again(&policy.engine, body)) {
                    Ok(None) => replayed.same += 1,
                    Ok(Some(would_be)) => otherwise = Some((decision, would_be)),
                    Err(why) => replayed.not_asked.entry(why).or_insert((0, entry.seq)).0 += 1,
                }
            }
            replayed.events.push(ReplayedEvent {
                event,
                actor: body.map(|body| body.actor),
                step: steps.remove(&entry.seq),
                otherwise,
            });
        }
        Ok::<_, Error>(replayed)
    });
    scanned.await
}

/// What the record says of an agent.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn history(context: &Context, caller: &Caller, agent: &str) -> Result<(Name, History), Error> {
    let name = steward_app_agents::find(context, caller, agent).await?.name;
    let of = name.clone();
    let history = context.store.scan(move |reader| Ok::<_, Error>(steward_app_runs::history(reader, &of)?)).await?;
    Ok((name, history))
}
