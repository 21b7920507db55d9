//! What people do with runs: stop them, revoke and reinstate agents, halt the node and let it go on.
//!
//! A revocation is final until a person reinstates; the agent comes back one tier lower (GOV-9). A halt is on record before anything
//! is ended, and its row is a guard of every effect, so that nothing begins in between (SEC-5).
//!
//! Deliberately absent: an appeal against a tier that was taken (`standing`).

use serde_json::json;
use steward_app_agents::rows::{self as agents, AgentRow, Status};
use steward_app_node::{
    Caller, Case, Context, Error, Granted, Halt, Kind, ReviewRow, code, rows::open_reviews_of_agent, void,
};
use steward_app_runs::{
    Joined, LockRow, Reinstated, RevocationRow, RunFilter, RunRow, Stepped, live_runs, lock, open_revocation, runs,
};
use steward_clock::mishap;
use steward_governor::{Command, Ending, Reason};
use steward_ledger::kind;
use steward_naming::{Name, ReviewId, RevocationId, RunId};
use steward_permit::{ResourceKind, ReviewKind, Tier};
use steward_policy::Question;
use steward_seal::{Digest, json::canonical};
use steward_store::{Change, Refusal};

use super::{runner::Runner, view::find};

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

/// How often a revocation looks again, because what it looked at was just ending.
const ATTEMPTS: u32 = 5;

/// The most runs of one agent that are looked at: one holds the lock, the others are just beginning.
const MAX_LIVE: u32 = 1000;

/// Why, as it may stand in the record.
pub(crate) fn reason(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("`reason` says why, on one line of at most {MAX_REASON} characters")));
    }
    Ok(text.to_owned())
}

impl Runner {
    /// Stops a run and its children. The agent keeps its standing.
    ///
    /// # Errors
    /// It is not allowed, there is no such run, or it is over.
    pub async fn stop(&self, caller: &Caller, id: &RunId, why: &str) -> Result<RunRow, Error> {
        let why = reason(why)?;
        let run = find(&self.context, caller, "run.stop", id).await?;
        let agent = run.state.agent.to_string();
        let action = self.context.action("run.stop", ResourceKind::Agent, agent.as_str())?;
        let granted = self.context.permit(caller, action, Some(agent)).await?;
        let by = Some((caller.clone(), granted));
        let stepped = self.step_with(id, Command::Stop { reason: why }, by, Joined::default).await?;
        self.end_undriven(id);
        Ok(stepped.run)
    }

    /// A run that no task drives (its process died with an earlier node, say) leaves nothing behind.
    fn end_undriven(&self, id: &RunId) {
        if self.live(id).is_none() {
            self.leave(id);
        }
    }

    /// Revokes an agent, and ends its run.
    ///
    /// # Errors
    /// It is not allowed, there is no such agent, or it is revoked already.
    pub async fn revoke(&self, caller: &Caller, agent: &str, why: &str) -> Result<RevocationRow, Error> {
        let why = reason(why)?;
        let name = Name::resolve(agent, &self.context.namespace)?;
        for attempt in 1_u32.. {
            match self.revoke_once(caller, &name, &why).await {
                // The run ended in the same moment, or another took its place: look again.
                Err(error) if attempt < ATTEMPTS && (error.code == code::RUN_OVER || error.kind == Kind::Stale) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        // Whatever else of the agent's was just beginning.
        for run in look(&self.context, &name)?.live {
            let reason = format!("`{name}` was revoked");
            over_already(self.step(run.id(), Command::Stop { reason }).await)?;
            self.end_undriven(run.id());
        }
        let now = self.context.store.read(|reader| open_revocation(reader, &name))?;
        now.ok_or_else(|| Error::broken("it was just revoked"))
    }

    async fn revoke_once(&self, caller: &Caller, name: &Name, why: &str) -> Result<(), Error> {
        let context = &self.context;
        let action = context.action("agent.revoke", ResourceKind::Agent, name.to_string())?;
        let granted = context.permit(caller, action, Some(name.to_string())).await?;
        let Found { agent, open, lock, live } = look(context, name)?;
        if let Some(open) = open {
            let message = format!("`{name}` is revoked already, since {}: {}", open.at, open.details);
            return Err(Error::new(Kind::Taken, code::AGENT_REVOKED, message));
        }
        // The run that works is the one that holds the lock; one that was just begun may stand beside it.
        let working = live.iter().find(|run| lock.is_held_by(run.id(), run.fence));
        if let Some(run) = working {
            let by = Some((caller.clone(), granted));
            self.step_with(run.id(), Command::Revoke { details: why.to_owned() }, by, Joined::default).await?;
            self.end_undriven(run.id());
            return Ok(());
        }
        let revocation = RevocationRow {
            id: RevocationId::new(context.now(), context.dice.as_ref()),
            agent: name.clone(),
            reason: Reason::ByPerson,
            details: why.to_owned(),
            run: None,
            task: None,
            by: caller.actor.full_name(),
            at: context.now(),
            reinstated: None,
            entry_seq: 0,
        };
        let guard = agent.guard();
        let revoked = AgentRow { status: Status::Revoked, ..agent };
        let change = context
            .change(caller, granted, kind::AGENT_REVOKED, name.to_string())
            .urgent()
            .guard(guard)
            .guard(lock.guard())
            .guard(revocation.absent())
            .row(revoked.row())
            .row(revocation.row())
            .detail("reason", revocation.reason.as_str())
            .detail("details", revocation.details.as_str());
        let change = voided(context, change, name, "its agent was revoked")?;
        context.commit(change).await?;
        mishap::at("agent.revoked").map_err(Error::broken)?;
        Ok(())
    }

    /// Takes the revocation of an agent back: it may work again, one tier lower. Who may only ask for it has a person asked, and the node
    /// does it when they approved.
    ///
    /// # Errors
    /// It is not allowed, or not before a person approved it; there is no such agent, or it is not revoked.
    pub async fn reinstate(&self, caller: &Caller, agent: &str, why: &str) -> Result<RevocationRow, Error> {
        let why = reason(why)?;
        let context = &self.context;
        let name = Name::resolve(agent, &context.namespace)?;
        let open = context.store.read(|reader| open_revocation(reader, &name))?;
        // Who asks whether anything can be taken back is decided first: a refusal tells nothing of the agent.
        let question = question(context, caller, &name, open.as_ref())?;
        let case = async {
            let Found { agent: row, open, .. } = look(context, &name)?;
            let open = open.ok_or_else(|| not_revoked(&name))?;
            let tier = one_lower(row.tier);
            let document = json!({
                "agent": name.to_string(), "revocation": open.id, "reason": open.reason.as_str(), "details": open.details,
                "by": open.by, "at": open.at.to_string(), "run": open.run, "tier": row.tier, "tier_after": tier,
            });
            Ok(Case {
                kind: Some(ReviewKind::Reinstatement),
                why: format!("`{name}` back, as {tier}: {why}"),
                document: Some(canonical(&document).map_err(Error::broken)?),
                agent: Some(name.to_string()),
                tier: Some(tier),
                ..Case::default()
            })
        };
        match context.decide_case(caller, question, &Refusal::default(), case).await? {
            Ok(granted) => self.give_back(caller, granted, &name, &why, &caller.actor.full_name()).await,
            Err((denial, noted)) => Err(noted.tell(Error::from(&denial))),
        }
    }

    /// Does what a person approved: the agent comes back, if it is still for the revocation that was looked at.
    ///
    /// # Errors
    /// The approval is for something that is no more, or it cannot be recorded.
    pub(crate) async fn carry_out_reinstatement(&self, review: &ReviewRow) -> Result<(), Error> {
        let context = &self.context;
        let name: Name =
            review.review.agent.as_deref().ok_or_else(|| Error::broken("a reinstatement is an agent's"))?.parse()?;
        let open = context.store.read(|reader| open_revocation(reader, &name))?;
        let open = open.ok_or_else(|| not_revoked(&name))?;
        let node = Caller::node(&context.namespace);
        let granted = context.decide_by(&node, question(context, &node, &name, Some(&open))?, review).await?;
        let by = review.approved_by().join(", ");
        self.give_back(&node, granted, &name, &review.review.why, &by).await.map(|_| ())
    }

    async fn give_back(
        &self,
        caller: &Caller,
        granted: Granted,
        name: &Name,
        why: &str,
        by: &str,
    ) -> Result<RevocationRow, Error> {
        let context = &self.context;
        let Found { agent: row, open, .. } = look(context, name)?;
        let open = open.ok_or_else(|| not_revoked(name))?;
        let (tier, before) = (one_lower(row.tier), row.tier);
        let reinstated = Reinstated { by: by.to_owned(), reason: why.to_owned(), at: context.now(), tier };
        let (agent_guard, open_guard) = (row.guard(), open.guard());
        let lost = (tier != before).then_some(before);
        let since = if lost.is_some() { Some(context.now()) } else { row.tier_since };
        let tier_before = lost.or(row.tier_before);
        let back = AgentRow { status: Status::Active, tier, tier_since: since, tier_before, ..row };
        let revocation = RevocationRow { reinstated: Some(reinstated), ..open };
        let used = granted.review().cloned();
        let change = context
            .change(caller, granted, kind::AGENT_REINSTATED, name.to_string())
            .guard(agent_guard)
            .guard(open_guard)
            .row(back.row())
            .row(revocation.row())
            .detail("revocation", revocation.id.as_str())
            .detail("reason", why)
            .detail("tier_before", before.as_str())
            .detail("tier", tier.as_str());
        let change = voided_but(context, change, name, used.as_ref(), "the agent was reinstated")?;
        let done = context.commit(change).await?;
        mishap::at("agent.reinstated").map_err(Error::broken)?;
        context.tell_reviewed();
        Ok(RevocationRow { entry_seq: done.recorded.seq, ..revocation })
    }

    /// Halts the node: no run begins, nothing that an agent asks for is done, and every run is stopped. It stays so over restarts.
    ///
    /// # Errors
    /// It is not allowed, or it cannot be recorded.
    pub async fn halt(&self, caller: &Caller, why: &str) -> Result<(Halt, Vec<RunId>), Error> {
        let halt = self.set_halt(caller, true, why).await?;
        mishap::at("halt.recorded").map_err(Error::broken)?;
        // Processes first, however many there are: what they asked for is refused already.
        for id in self.drives() {
            if let Some(live) = self.live(&id) {
                live.end();
            }
        }
        // Servers of tools, too: while the node is halted, none is started again.
        self.gateway.end_all().await;
        mishap::at("halt.processes_ended").map_err(Error::broken)?;
        Ok((halt, self.stop_all().await?))
    }

    /// Stops every run, because the node is halted.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub(crate) async fn stop_all(&self) -> Result<Vec<RunId>, Error> {
        let (mut stopped, mut failed) = (Vec::new(), None);
        for run in self.context.store.read(live_runs)? {
            let reason = self.context.halt().to_string();
            // One that cannot be stopped keeps no other from it.
            if let Err(error) = over_already(self.step(run.id(), Command::Stop { reason }).await) {
                tracing::error!(run.id = run.id().as_str(), %error, "a run could not be stopped");
                failed = failed.or(Some(error));
            }
            self.end_undriven(run.id());
            let ended = steward_app_runs::find(&self.context, run.id())?.state.ended;
            if ended.is_some_and(|ended| ended.ending == Ending::Stopped) {
                stopped.push(run.id().clone());
            }
        }
        failed.map_or(Ok(stopped), Err)
    }

    /// Lets a halted node go on. Runs that were stopped stay so.
    ///
    /// # Errors
    /// It is not allowed, the node is not halted, or it cannot be recorded.
    pub async fn resume(&self, caller: &Caller, why: &str) -> Result<Halt, Error> {
        let halt = self.set_halt(caller, false, why).await?;
        mishap::at("halt.lifted").map_err(Error::broken)?;
        Ok(halt)
    }

    async fn set_halt(&self, caller: &Caller, is_halted: bool, why: &str) -> Result<Halt, Error> {
        let why = reason(why)?;
        let context = &self.context;
        let (verb, kind) =
            if is_halted { ("node.halt", kind::NODE_HALTED) } else { ("node.resume", kind::NODE_RESUMED) };
        let action = context.action(verb, ResourceKind::Node, context.namespace.as_str())?;
        let granted = context.permit(caller, action, None).await?;
        let before = context.halt();
        if before.is_halted == is_halted {
            if is_halted {
                // Once more does no harm: whatever is left is stopped.
                return Ok(Halt::clone(&before));
            }
            return Err(Error::new(
                Kind::Taken,
                code::INVALID_REQUEST,
                "the node is not halted; there is nothing to resume",
            ));
        }
        let after = Halt {
            is_halted,
            by: caller.actor.full_name(),
            reason: why.clone(),
            at: Some(context.now()),
            entry_seq: None,
        };
        let change = context
            .change(caller, granted, kind, context.namespace.as_str())
            .urgent()
            .guard(before.guard(&context.namespace))
            .row(after.row(&context.namespace))
            .detail("reason", why);
        let done = context.commit(change).await?;
        let after = Halt { entry_seq: Some(done.recorded.seq), ..after };
        context.put_halt(after.clone());
        Ok(after)
    }
}

/// The step as an action: bound to the revocation that it takes back.
fn question(context: &Context, caller: &Caller, name: &Name, open: Option<&RevocationRow>) -> Result<Question, Error> {
    let action = context.action("agent.reinstate", ResourceKind::Agent, name.to_string())?;
    let action = match open {
        Some(open) => action.with_arguments(Digest::of(open.id.as_str().as_bytes())),
        None => action,
    };
    Ok(context.question(caller, action, Some(name.to_string())))
}

fn not_revoked(name: &Name) -> Error {
    let message = format!("`{name}` is not revoked; there is nothing to take back");
    Error::new(Kind::Taken, code::INVALID_REQUEST, message)
}

/// What waits for a person about an agent, and for no run, ends with a change: nobody approves anything of an agent that is revoked.
pub(crate) fn voided(context: &Context, change: Change, agent: &Name, why: &str) -> Result<Change, Error> {
    voided_but(context, change, agent, None, why)
}

/// The same, but for a review that the change itself uses.
fn voided_but(
    context: &Context,
    mut change: Change,
    agent: &Name,
    used: Option<&ReviewId>,
    why: &str,
) -> Result<Change, Error> {
    for row in context.store.read(|reader| open_reviews_of_agent(reader, &agent.to_string()))? {
        if Some(&row.review.id) == used {
            continue;
        }
        if let Some((row, guard)) = void(&row, why, context.now()) {
            change = change.guard(guard).row(row);
        }
    }
    Ok(change)
}

/// Whoever ended already needs not be stopped.
fn over_already(stepped: Result<Stepped, Error>) -> Result<(), Error> {
    match stepped {
        Err(error) if error.code == code::RUN_OVER => Ok(()),
        other => other.map(|_| ()),
    }
}

/// An agent, its open revocation, its lock, and its live runs.
struct Found {
    agent: AgentRow,
    open: Option<RevocationRow>,
    lock: LockRow,
    live: Vec<RunRow>,
}

fn look(context: &Context, name: &Name) -> Result<Found, Error> {
    context.store.read(|reader| {
        let agent = agents::agent(reader, name)?;
        let agent =
            agent.ok_or_else(|| Error::not_found(format!("agent `{name}`; `steward agent list` shows them")))?;
        let filter = RunFilter { agent: Some(name.to_string()), task: None, live: true, limit: MAX_LIVE };
        let (open, lock) = (open_revocation(reader, name)?, lock(reader, name)?);
        Ok(Found { agent, open, lock, live: runs(reader, &filter)? })
    })
}

/// The tier below; the architect, who stands on no ladder, comes back as an observer.
pub(crate) const fn one_lower(tier: Tier) -> Tier {
    match tier {
        Tier::T0 | Tier::T1 | Tier::T4 => Tier::T0,
        Tier::T2 => Tier::T1,
        Tier::T3 => Tier::T2,
    }
}
