//! A tier more, or less (GOV-9): where agents, their runs and what they did meet.
//!
//! A record is counted from the runs and effects since the agent got its tier, whenever it is looked at. With a record an agent is
//! promoted where policy says so, else once a person approved it; the approval is bound to the step and to the record's beginning, so
//! that it cannot be used for a later one. A tier is taken at once; for one that was taken a person can appeal.
//!
//! Deliberately absent: promotion of what an agent is outside of its tier.

use serde_json::json;
use steward_app_agents::rows::{self as agents, AgentRow, Status};
use steward_app_node::{Caller, Case, Context, Error, Granted, Kind, ReviewRow, code};
use steward_app_runs::consecutive_compliant;
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_naming::{Name, ReviewId, RunId};
use steward_permit::{Action, ResourceKind, ReviewKind, Tier};
use steward_policy::{Gives, Question};
use steward_seal::{Digest, json::canonical};
use steward_store::Refusal;

use crate::runs::{one_lower, reason, voided};

/// What policy is asked about where there is no agent of that name.
const ANY: &str = "*";

/// The most runs that are looked at for a record.
const MAX_RUNS: u32 = 1_000;

/// What an agent did since it has its tier, and what a tier more asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its tier.
    pub tier: Tier,
    /// Since when it has it.
    pub since: Timestamp,
    /// Its newest compliant runs in a row, newest first.
    pub runs: Vec<RunId>,
    /// How many effects succeeded in these.
    pub actions: u64,
    /// The next tier, with how many runs in a row and how many actions it asks for; none of the highest.
    pub next: Option<(Tier, u64, u64)>,
}

impl Record {
    /// Whether it is what the next tier asks for.
    pub fn is_enough(&self) -> bool {
        self.next.is_some_and(|(_, runs, actions)| self.runs.len() as u64 >= runs && self.actions >= actions)
    }

    fn shown(&self) -> serde_json::Value {
        json!({
            "tier": self.tier, "since": self.since.to_string(), "consecutive_compliant": self.runs.len(),
            "actions": self.actions.to_string(), "runs": self.runs,
        })
    }
}

/// What became of asking for a tier more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promoted {
    /// The agent has it.
    Done(Box<AgentRow>),
    /// A person must approve it.
    Waits(ReviewId),
}

/// The tier above, and what it asks for: compliant runs in a row, and actions. Nothing but a person's approval makes an architect.
const fn next(tier: Tier) -> Option<(Tier, u64, u64)> {
    match tier {
        Tier::T0 => Some((Tier::T1, 5, 10)),
        Tier::T1 => Some((Tier::T2, 10, 50)),
        Tier::T2 => Some((Tier::T3, 20, 200)),
        Tier::T3 => Some((Tier::T4, 0, 0)),
        Tier::T4 => None,
    }
}

/// An agent, by its label or full name.
///
/// # Errors
/// There is no such agent.
pub fn find(context: &Context, name: &str) -> Result<AgentRow, Error> {
    let name = Name::resolve(name, &context.namespace)?;
    let agent = context.store.read(|reader| agents::agent(reader, &name))?;
    agent.ok_or_else(|| Error::not_found(format!("agent `{name}`; `steward agent list` shows them")))
}

/// An agent that somebody asks something for. Who may not learns nothing of which there are.
async fn find_for(context: &Context, caller: &Caller, verb: &'static str, name: &str) -> Result<AgentRow, Error> {
    match find(context, name) {
        Ok(agent) => Ok(agent),
        Err(why) => Err(context.absent(caller, verb, ResourceKind::Agent, ANY, why).await),
    }
}

/// Why it makes no sense for this agent, told to who may ask for it.
async fn senseless(context: &Context, caller: &Caller, verb: &'static str, agent: &AgentRow, why: Error) -> Error {
    match action(context, verb, agent, agent.tier) {
        Ok(asked) => context.unless_refused(caller, question(context, caller, asked, agent, agent.tier), why).await,
        Err(broken) => broken,
    }
}

fn since(agent: &AgentRow) -> Timestamp {
    agent.tier_since.unwrap_or(agent.added_at)
}

/// What an agent did since it has its tier: counted now.
///
/// # Errors
/// The store cannot be read.
pub fn record(context: &Context, agent: &AgentRow) -> Result<Record, Error> {
    context.store.read(|reader| {
        let runs = consecutive_compliant(reader, &agent.name, since(agent), MAX_RUNS)?;
        let mut actions = 0;
        for run in &runs {
            actions += steward_app_actions::rows::succeeded_of_run(reader, run)?;
        }
        Ok(Record { tier: agent.tier, since: since(agent), runs, actions, next: next(agent.tier) })
    })
}

/// The step as an action: bound to both tiers, and to since when the agent has the first.
fn action(context: &Context, name: &'static str, agent: &AgentRow, to: Tier) -> Result<Action, Error> {
    let bound = json!({"from": agent.tier, "to": to, "since": since(agent).to_string()});
    let action = context.action(name, ResourceKind::Agent, agent.name.to_string())?;
    Ok(action.with_arguments(Digest::of(&canonical(&bound).map_err(Error::broken)?)))
}

fn question(context: &Context, caller: &Caller, action: Action, agent: &AgentRow, to: Tier) -> Question {
    let gives = Gives { scopes: None, tier: Some(to) };
    Question { gives, ..context.question(caller, action, Some(agent.name.to_string())) }
}

/// Whether somebody may ask for a step at all. A refusal is on record, and tells nothing of the agent's record.
async fn may_ask(context: &Context, caller: &Caller, question: &Question) -> Result<(), Error> {
    let verdict = context.policy().engine.weigh(question);
    if verdict.could_be_allowed() {
        return Ok(());
    }
    match context.decide(caller, question.clone(), &Refusal::default()).await? {
        Ok(_) => Ok(()),
        Err((denial, noted)) => Err(noted.tell(Error::from(&denial))),
    }
}

/// Asks that an agent gets a tier more.
///
/// # Errors
/// It is not allowed, its record is too short, or it has no tier above.
pub async fn promote(context: &Context, caller: &Caller, name: &str, why: &str) -> Result<Promoted, Error> {
    let why = reason(why)?;
    let agent = find_for(context, caller, "agent.promote", name).await?;
    let Some((to, runs, actions)) = next(agent.tier) else {
        let why = Error::invalid(format!("`{}` is of tier {}; there is none above", agent.name, agent.tier));
        return Err(senseless(context, caller, "agent.promote", &agent, why).await);
    };
    if agent.status == Status::Revoked {
        let message = format!("`{}` is revoked; a person must reinstate it first", agent.name);
        let why = Error::new(Kind::Refused, code::AGENT_REVOKED, message);
        return Err(senseless(context, caller, "agent.promote", &agent, why).await);
    }
    let record = record(context, &agent)?;
    let asked = action(context, "agent.promote", &agent, to)?;
    let question = question(context, caller, asked, &agent, to);
    may_ask(context, caller, &question).await?;
    if !record.is_enough() {
        let message = format!(
            "{to} asks for {runs} compliant runs in a row and {actions} actions in them; `{}` has {} and {} since {}",
            agent.name,
            record.runs.len(),
            record.actions,
            record.since
        );
        return Err(Error::new(Kind::Refused, code::RECORD_TOO_SHORT, message));
    }
    ask(context, caller, question, Step { agent, to, record, back: false }, &why).await
}

/// Asks that an agent gets the tier back that was taken from it.
///
/// # Errors
/// It is not allowed, or none was taken.
pub async fn appeal(context: &Context, caller: &Caller, name: &str, why: &str) -> Result<Promoted, Error> {
    let why = reason(why)?;
    let agent = find_for(context, caller, "agent.appeal", name).await?;
    let Some(to) = agent.tier_before.filter(|_| agent.status == Status::Active) else {
        let message =
            format!("no tier was taken from `{}`, or it is revoked; there is nothing to appeal for", agent.name);
        return Err(senseless(context, caller, "agent.appeal", &agent, Error::invalid(message)).await);
    };
    let record = record(context, &agent)?;
    let asked = action(context, "agent.appeal", &agent, to)?;
    let question = question(context, caller, asked, &agent, to);
    ask(context, caller, question, Step { agent, to, record, back: true }, &why).await
}

/// A tier more.
struct Step {
    agent: AgentRow,
    to: Tier,
    record: Record,
    /// Whether it is one that was taken.
    back: bool,
}

/// Gives it, if policy lets it be given; or has a person asked.
async fn ask(context: &Context, caller: &Caller, question: Question, step: Step, why: &str) -> Result<Promoted, Error> {
    let Step { agent, to, record, back } = &step;
    let case = Case {
        kind: Some(if *back { ReviewKind::Appeal } else { ReviewKind::Promotion }),
        why: format!("`{}` {}from {} to {to}: {why}", agent.name, if *back { "back " } else { "" }, agent.tier),
        document: Some(canonical(&record.shown()).map_err(Error::broken)?),
        agent: Some(agent.name.to_string()),
        tier: Some(*to),
        ..Case::default()
    };
    match context.decide_case(caller, question, &Refusal::default(), std::future::ready(Ok(case))).await? {
        Ok(granted) => give(context, caller, granted, step, why).await.map(Promoted::Done),
        Err((denial, noted)) => {
            let error = noted.tell(Error::from(&denial));
            error.review.clone().map_or(Err(error), |review| Ok(Promoted::Waits(*review)))
        }
    }
}

/// Does what a person approved: the node gives the tier, if the agent is still what was looked at.
///
/// # Errors
/// The approval is for something that is no more, or it cannot be recorded.
pub(crate) async fn carry_out(context: &Context, review: &ReviewRow) -> Result<(), Error> {
    let name = review.review.agent.as_deref().ok_or_else(|| Error::broken("a promotion is an agent's"))?;
    let agent = find(context, name)?;
    let to = review.review.tier;
    let back = review.review.kind == ReviewKind::Appeal;
    let asked = action(context, if back { "agent.appeal" } else { "agent.promote" }, &agent, to)?;
    let node = Caller::node(&context.namespace);
    let record = record(context, &agent)?;
    if agent.status == Status::Revoked {
        return Err(Error::new(Kind::Refused, code::AGENT_REVOKED, format!("`{name}` is revoked")));
    }
    if !back && !record.is_enough() {
        let message = format!("the record of `{name}` is not any more what {to} asks for");
        return Err(Error::new(Kind::Refused, code::RECORD_TOO_SHORT, message));
    }
    let granted = context.decide_by(&node, question(context, &node, asked, &agent, to), review).await?;
    give(context, &node, granted, Step { agent, to, record, back }, &review.review.why).await.map(|_| ())
}

async fn give(
    context: &Context,
    caller: &Caller,
    granted: Granted,
    step: Step,
    why: &str,
) -> Result<Box<AgentRow>, Error> {
    let Step { agent, to, record, back } = step;
    let guard = agent.guard();
    let before = agent.tier;
    // A tier that was earned anew leaves nothing to appeal for.
    let row = AgentRow { tier: to, tier_since: Some(context.now()), tier_before: None, ..agent };
    let change = context
        .change(caller, granted, kind::AGENT_PROMOTED, row.name.to_string())
        .guard(guard)
        .row(row.row())
        .detail("tier_before", before.as_str())
        .detail("tier", to.as_str())
        .detail("appeal", back)
        .detail("record", record.shown())
        .detail("reason", why);
    let done = context.commit(change).await?;
    tracing::info!(agent.name = %row.name, from = before.as_str(), to = to.as_str(), "an agent has a tier more");
    Ok(Box::new(AgentRow { entry_seq: done.recorded.seq, ..row }))
}

/// Takes a tier from an agent, at once.
///
/// # Errors
/// It is not allowed, or there is no tier below.
pub async fn demote(context: &Context, caller: &Caller, name: &str, why: &str) -> Result<AgentRow, Error> {
    let why = reason(why)?;
    let agent = find_for(context, caller, "agent.demote", name).await?;
    let asked = context.action("agent.demote", ResourceKind::Agent, agent.name.to_string())?;
    let to = one_lower(agent.tier);
    let gives = Gives { scopes: None, tier: Some(to) };
    let granted = context.permit_giving(caller, asked, Some(agent.name.to_string()), gives).await?;
    if to == agent.tier {
        return Err(Error::invalid(format!("`{}` is of tier {to}; there is none below", agent.name)));
    }
    let (guard, before) = (agent.guard(), agent.tier);
    let row = AgentRow { tier: to, tier_since: Some(context.now()), tier_before: Some(before), ..agent };
    let change = context
        .change(caller, granted, kind::AGENT_DEMOTED, row.name.to_string())
        .urgent()
        .guard(guard)
        .row(row.row())
        .detail("tier_before", before.as_str())
        .detail("tier", to.as_str())
        .detail("reason", why);
    let change = voided(context, change, &row.name, "its agent lost a tier")?;
    let done = context.commit(change).await?;
    context.tell_reviewed();
    Ok(AgentRow { entry_seq: done.recorded.seq, ..row })
}

/// After a run: an agent whose record is enough gets its tier where policy says so; else people are asked, once.
pub(crate) async fn look_at(context: &Context, agent: &Name) {
    let node = Caller::node(&context.namespace);
    let looked = async {
        let row = find(context, &agent.to_string())?;
        // An architect is made by people who ask for one.
        if row.status == Status::Revoked || row.tier == Tier::T3 || !record(context, &row)?.is_enough() {
            return Ok(());
        }
        promote(context, &node, &agent.to_string(), "its record is what the next tier asks for").await.map(|_| ())
    };
    match looked.await {
        Ok(()) => {}
        // A person said no a while ago, or policy does: that is on record.
        Err(error) if matches!(error.kind, Kind::Refused | Kind::Stale) => {}
        Err(error) => {
            tracing::error!(agent.name = %agent, %error, context = error.context(), "a record could not be looked at")
        }
    }
}
