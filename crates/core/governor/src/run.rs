//! One agent's pass through the lifecycle: how it begins, and what it may do (GOV-2, GOV-3).
//!
//! ```text
//! Run::begin(Begin { id, packet, tier, … })? ──► Run in BOOTSTRAP
//! run.may(&action, "/reports/a.md")?          is asked before each action, after the policy
//! run.step(command, now)? ──► Step            (step.rs) the only way to change it
//! ```
//!
//! Deliberately absent: what the tier may do (that is policy), locks and fences (`store`), and whether the agent was
//! revoked before: the node asks that first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;
use steward_naming::{HandoffId, Label, Name, RunId, visible};
use steward_permit::{ActionName, Tier};

use crate::{
    budget::Spent,
    ending::Ended,
    packet::{ErrorBudget, Packet, When},
    pattern::Pattern,
    phase::Phase,
    plan::Plan,
    refusal::{Refusal, quoted},
};

/// Runs within runs, the first included. A lead, its teams, their members, and one to spare (GOV-10).
pub const MAX_RUN_DEPTH: u32 = 4;

/// Live children of a run: the largest team is of seven (GOV-10), and all of them stop with their parent in one step.
pub const MAX_CHILDREN: usize = 16;

/// What only looks. It may be done while planning, too.
pub const READS: [&str; 7] =
    ["docs.read", "fs.read", "infra.read", "inventory.read", "logs.read", "model.call", "policy.read"];

/// One agent's pass through the lifecycle. Changed by `step` only, stored as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The agent. The packet names the same one.
    pub agent: Name,
    /// The task. The packet names the same one.
    pub task: Label,
    /// What the agent may do, when the run began.
    pub tier: Tier,
    /// The instructions in force: a child's forbid what its parent's forbid, too.
    pub packet: Packet,
    /// Where the run is.
    pub phase: Phase,
    /// What has gone wrong.
    pub spent: Spent,
    /// The plan that was submitted last. From EXECUTE on, the one that was approved.
    pub plan: Option<Plan>,
    /// What a predecessor left, which must be acknowledged with the plan.
    pub handoff: Option<HandoffId>,
    /// Whether it was.
    pub acknowledged: bool,
    /// The run that this one was begun under.
    pub parent: Option<RunId>,
    /// Parents above it.
    pub depth: u32,
    /// Runs begun under this one that are not over.
    pub children: BTreeSet<RunId>,
    /// The escalation rules that were followed. Each is once.
    pub escalated: BTreeSet<When>,
    /// Why the run waits for a person, if it does: nothing is done in it, and it goes no further, before they say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// When the run began.
    #[serde(with = "crate::moment")]
    pub started_at: Timestamp,
    /// When it came into its phase.
    #[serde(with = "crate::moment")]
    pub phase_at: Timestamp,
    /// How it ended. Set in EXIT, and there only.
    pub ended: Option<Ended>,
}

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct Begin<'a> {
    /// The new run's id.
    pub id: RunId,
    /// The agent's instructions.
    pub packet: Packet,
    /// What the agent may do.
    pub tier: Tier,
    /// The handoff of a revoked predecessor on the task.
    pub handoff: Option<HandoffId>,
    /// The run under which this one begins. Tell it so with `ChildStarted`, in the same commit.
    pub parent: Option<&'a Run>,
    /// Now.
    pub now: Timestamp,
}

impl Run {
    /// A new run, in BOOTSTRAP.
    ///
    /// # Errors
    /// Under a parent: the parent is over or not in EXECUTE, has too many children or is too deep, or would give what it
    /// does not have: scope, tier, or error budget.
    pub fn begin(begin: Begin<'_>) -> Result<Self, Refusal> {
        let Begin { id, mut packet, tier, handoff, parent, now } = begin;
        let mut depth = 0;
        if let Some(parent) = parent {
            depth = parent.depth + 1;
            parent.admits(&packet, tier)?;
            for pattern in &parent.packet.constraints.forbidden {
                if !packet.constraints.forbidden.contains(pattern) {
                    packet.constraints.forbidden.push(pattern.clone());
                }
            }
        }
        Ok(Self {
            id,
            agent: packet.agent.clone(),
            task: packet.task.clone(),
            tier,
            packet,
            phase: Phase::Bootstrap,
            spent: Spent::default(),
            plan: None,
            handoff,
            acknowledged: false,
            parent: parent.map(|parent| parent.id.clone()),
            depth,
            children: BTreeSet::new(),
            escalated: BTreeSet::new(),
            held: None,
            started_at: now,
            phase_at: now,
            ended: None,
        })
    }

    /// Whether this action may be attempted now, as far as packet and phase are asked.
    ///
    /// What is forbidden is refused first, so that it is that in any phase; then what is not for this phase; then
    /// what no pattern of the scope matches.
    ///
    /// # Errors
    /// [`Refusal::Over`], [`Refusal::Forbidden`], [`Refusal::NotInPhase`] or [`Refusal::OutOfScope`].
    pub fn may(&self, action: &ActionName, resource: &str) -> Result<(), Refusal> {
        self.live()?;
        let constraints = &self.packet.constraints;
        // Before PLAN there is no agent that could attempt anything: it is a slip of the node's.
        if self.phase > Phase::Preflight
            && let Some(pattern) = constraints.forbidden.iter().find(|pattern| {
                // Whoever forbids a host forbids it however it is asked.
                let bare = resource.strip_prefix("http://");
                pattern.matches(action, resource) || bare.is_some_and(|bare| pattern.matches(action, bare))
            })
        {
            let (action, resource) = (action.to_string(), visible(resource));
            return Err(Refusal::Forbidden { action, resource, pattern: pattern.clone() });
        }
        self.unheld()?;
        let legal: &[Phase] =
            if READS.contains(&action.as_str()) { &[Phase::Plan, Phase::Execute] } else { &[Phase::Execute] };
        self.in_phase(action.as_str(), legal)?;
        if constraints.scope.iter().any(|pattern| pattern.matches(action, resource)) {
            return Ok(());
        }
        let (action, resource) = (action.to_string(), visible(resource));
        Err(Refusal::OutOfScope { action, resource, scope: constraints.scope.clone() })
    }

    /// What is left of the error budget. Of a live run each is at least 1.
    pub fn left(&self) -> ErrorBudget {
        let (budget, spent) = (&self.packet.error_budget, &self.spent);
        ErrorBudget {
            max_total_errors: budget.max_total_errors.saturating_sub(spent.total),
            max_same_error_repeats: budget.max_same_error_repeats,
            max_procedure_violations: budget.max_procedure_violations.saturating_sub(spent.violations),
        }
    }

    /// The paths that EXECUTE must leave: of the plan, and of the packet's required steps.
    pub fn required_artifacts(&self) -> BTreeSet<&str> {
        let planned = self.plan.iter().flat_map(|plan| &plan.steps).filter_map(|step| step.artifact.as_deref());
        let required = self.packet.constraints.required_steps.iter().filter_map(|step| step.artifact.as_deref());
        planned.chain(required).collect()
    }

    pub(crate) fn live(&self) -> Result<(), Refusal> {
        match &self.ended {
            None => Ok(()),
            Some(ended) => Err(Refusal::Over { run: self.id.clone(), ending: ended.ending, code: ended.code.clone() }),
        }
    }

    /// Whether no person has to look at it first.
    pub(crate) fn unheld(&self) -> Result<(), Refusal> {
        match &self.held {
            None => Ok(()),
            Some(why) => Err(Refusal::Held { run: self.id.clone(), why: why.clone() }),
        }
    }

    pub(crate) fn in_phase(&self, asked: &str, legal: &[Phase]) -> Result<(), Refusal> {
        if legal.contains(&self.phase) {
            return Ok(());
        }
        Err(Refusal::NotInPhase { asked: asked.to_owned(), phase: self.phase, legal: legal.to_vec() })
    }

    /// Room for one more child.
    pub(crate) fn has_room(&self) -> Result<(), Refusal> {
        if self.children.len() < MAX_CHILDREN { Ok(()) } else { Err(Refusal::TooManyChildren { limit: MAX_CHILDREN }) }
    }

    /// Whether a run with this packet may begin under this one.
    fn admits(&self, packet: &Packet, tier: Tier) -> Result<(), Refusal> {
        self.live()?;
        self.in_phase("begin a run under it", &[Phase::Execute])?;
        self.has_room()?;
        if self.depth + 1 >= MAX_RUN_DEPTH {
            return Err(Refusal::TooDeep { limit: MAX_RUN_DEPTH });
        }
        let mut wider = Vec::new();
        let tiers = tiers_under(self.tier);
        if !tiers.contains(&tier) {
            let words: Vec<&str> = tiers.iter().map(|tier| tier.as_str()).collect();
            wider.push(format!("tier {tier}, under {} there may be {}", self.tier, words.join(", ")));
        }
        let scope = &self.packet.constraints.scope;
        for pattern in packet.constraints.scope.iter().filter(|p| !scope.iter().any(|ours| ours.covers(p))) {
            wider.push(format!("scope `{pattern}`, the parent's is {}", quoted(scope)));
        }
        let (asked, left) = (&packet.error_budget, self.left());
        for (name, asked, left) in [
            ("max_total_errors", asked.max_total_errors, left.max_total_errors),
            ("max_same_error_repeats", asked.max_same_error_repeats, left.max_same_error_repeats),
            ("max_procedure_violations", asked.max_procedure_violations, left.max_procedure_violations),
        ] {
            if asked > left {
                wider.push(format!("`{name}` {asked}, at most {left} is left"));
            }
        }
        if wider.is_empty() { Ok(()) } else { Err(Refusal::WiderThanParent(wider)) }
    }

    /// Whether the packet has anything against a plan's pattern.
    pub(crate) fn objection(&self, pattern: &Pattern) -> Option<String> {
        let constraints = &self.packet.constraints;
        if let Some(forbidden) = constraints.forbidden.iter().find(|forbidden| forbidden.covers(pattern)) {
            return Some(format!("`{pattern}` is forbidden by `{forbidden}`"));
        }
        let inside = constraints.scope.iter().any(|allowed| allowed.covers(pattern));
        (!inside).then(|| format!("`{pattern}` is outside the scope, which is {}", quoted(&constraints.scope)))
    }
}

/// The tiers that a run of a tier may have under it: its own and those below. An architect is no further step of the
/// ladder (policy gives it what an observer has, and governance), so that no executor can be had from it.
fn tiers_under(tier: Tier) -> &'static [Tier] {
    match tier {
        Tier::T0 => &[Tier::T0],
        Tier::T1 => &[Tier::T0, Tier::T1],
        Tier::T2 => &[Tier::T0, Tier::T1, Tier::T2],
        Tier::T3 => &[Tier::T0, Tier::T1, Tier::T2, Tier::T3],
        Tier::T4 => &[Tier::T0, Tier::T4],
    }
}
