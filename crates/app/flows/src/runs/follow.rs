//! A step of a run and what follows from it: the one place where runs, agents, revocations and handoffs meet.
//!
//! The step, the revocation of the agent, the handoff, the lock, the credential and the leases of secrets are one commit. What follows after it (ending
//! processes, stopping children) is done then, and is done again by the next start if the process dies in between: an ended run
//! drives nothing.
//!
//! Deliberately absent: where a step comes from (call.rs, conclude.rs, start.rs, people.rs).

use std::collections::BTreeSet;

use serde_json::json;
use steward_app_actions::rows::effects_of_run;
use steward_app_agents::rows::{self as agents, Status};
use steward_app_node::{Caller, Context, Error, Granted, rows::open_reviews_of_agent, void};
use steward_app_runs::{HandoffRow, Joined, RevocationRow, RunRow, Stepped, latest_handoff, open_revocation};
use steward_clock::mishap;
use steward_governor::{Artifact, Command, Effect, Handoff, Phase, Reason, Tried};
use steward_naming::{HandoffId, RevocationId, RunId};
use steward_store::{Guard, Row};

use super::runner::Runner;
use crate::standing;

impl Runner {
    /// One step of a run, and what follows.
    ///
    /// # Errors
    /// The machine refuses, or it cannot be recorded.
    pub(crate) async fn step(&self, id: &RunId, command: Command) -> Result<Stepped, Error> {
        self.step_with(id, command, None, Joined::default).await
    }

    /// The same by somebody's leave, or with more to write: `more` is asked anew for each attempt.
    ///
    /// # Errors
    /// The machine refuses, or it cannot be recorded; or, with a leave, that it was stale.
    pub(crate) async fn step_with(
        &self,
        id: &RunId,
        command: Command,
        by: Option<(Caller, Granted)>,
        more: impl Fn() -> Joined,
    ) -> Result<Stepped, Error> {
        let live = self.live(id);
        let turn = match &live {
            Some(live) => Some(live.turn.lock().await),
            None => None,
        };
        let who = by.as_ref().map_or_else(|| self.context.namespace.to_string(), |(c, _)| c.actor.full_name());
        let acknowledges = match &command {
            Command::Submit { acknowledges, .. } => acknowledges.clone(),
            _ => None,
        };
        let boots = command == Command::Booted;
        let stepped = steward_app_runs::step(&self.context, id, command, by, |run, effects| {
            let mut joined = more();
            join(&self.context, run, effects, &who, &mut joined)?;
            joined.rows.extend(leases(&self.context, run, effects)?);
            if boots {
                unrevoked(&self.context, run, &mut joined)?;
            }
            if let Some(handoff) = &acknowledges {
                acknowledge(&self.context, run, handoff, &mut joined)?;
            }
            Ok(joined)
        })
        .await;
        drop(turn);
        let stepped = stepped?;
        let point = if stepped.run.is_live() { point(stepped.run.state.phase) } else { "run.ended" };
        mishap::at(point).map_err(Error::broken)?;
        if stepped.effects.iter().any(|effect| matches!(effect, Effect::RevokeAgent { .. })) {
            mishap::at("run.revoked").map_err(Error::broken)?;
        }
        Box::pin(self.follow(&stepped)).await?;
        Ok(stepped)
    }

    async fn follow(&self, stepped: &Stepped) -> Result<(), Error> {
        let id = stepped.run.id();
        if stepped.run.is_live() {
            self.soft.beat(id.as_str(), self.context.now(), steward_app_runs::lifetime_ms(stepped.run.state.tier));
        }
        // The process first, whatever becomes of the rest.
        if stepped.effects.contains(&Effect::KillAgent)
            && let Some(live) = self.live(id)
        {
            live.end();
        }
        let mut failed = None;
        for effect in &stepped.effects {
            match effect {
                Effect::StopChildren(children) => {
                    for child in children {
                        mishap::at("run.child_to_stop").map_err(Error::broken)?;
                        let reason = format!("its parent, {id}, ended");
                        let stopped = over_already(self.step(child, Command::Stop { reason }).await);
                        failed = failed.or(stopped.err());
                    }
                }
                Effect::Escalate { when, then } => {
                    let (when, then) = (when.as_str(), then.as_str());
                    tracing::warn!(
                        run.id = id.as_str(),
                        when,
                        then,
                        "a rule of the packet asks for people's attention"
                    );
                }
                // Done above, or in the commit.
                Effect::KillAgent
                | Effect::RenewLease
                | Effect::ReleaseLock
                | Effect::RevokeCredential
                | Effect::RevokeAgent { .. }
                | Effect::HandOff { .. } => {}
            }
        }
        if stepped.effects.iter().any(|effect| matches!(effect, Effect::Escalate { .. })) {
            let asked = Box::pin(super::waiting::ask_to_look(self, &stepped.run)).await;
            failed = failed.or(asked.err());
        }
        if let Some(ended) = &stepped.run.state.ended {
            tracing::info!(
                run.id = id.as_str(),
                agent.name = %stepped.run.state.agent,
                ending = ended.ending.as_str(),
                code = ended.code,
                "a run ended"
            );
            mishap::at("run.followed").map_err(Error::broken)?;
            if stepped.run.compliant == Some(true) {
                Box::pin(standing::look_at(&self.context, &stepped.run.state.agent)).await;
            }
            if let Some(parent) = &stepped.run.state.parent {
                let told = over_already(self.step(parent, Command::ChildEnded(id.clone())).await);
                failed = failed.or(told.err());
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Whoever ended already needs not be ended.
fn over_already(stepped: Result<Stepped, Error>) -> Result<(), Error> {
    match stepped {
        Err(error) if error.code == steward_app_node::code::RUN_OVER => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The point at which a test build dies after a run came into a phase.
const fn point(phase: Phase) -> &'static str {
    match phase {
        Phase::Bootstrap => "run.bootstrap",
        Phase::Preflight => "run.preflight",
        Phase::Plan => "run.plan",
        Phase::Execute => "run.execute",
        Phase::Verify => "run.verify",
        Phase::Package => "run.package",
        Phase::Report => "run.report",
        Phase::Exit => "run.exit",
    }
}

/// A run boots under the guard that its agent is not revoked.
fn unrevoked(context: &Context, run: &RunRow, joined: &mut Joined) -> Result<(), Error> {
    let agent = context.store.read(|reader| agents::agent(reader, &run.state.agent))?;
    let agent = agent.ok_or_else(|| Error::broken("a run's agent is there"))?;
    steward_app_agents::as_actor(&agent)?;
    joined.holds.push(agent.guard());
    Ok(())
}

fn acknowledge(context: &Context, run: &RunRow, id: &HandoffId, joined: &mut Joined) -> Result<(), Error> {
    // Naming one that this run was not given takes nothing over.
    if run.state.handoff.as_ref() != Some(id) {
        return Ok(());
    }
    let found = context.store.read(|reader| latest_handoff(reader, &run.state.task))?;
    if let Some(handoff) = found.filter(|handoff| handoff.id == *id) {
        let guard = handoff.guard();
        let row = HandoffRow { acknowledged_by: Some(run.id().clone()), ..handoff };
        joined.rows.push((row.row(), guard));
    }
    Ok(())
}

/// The leases of secrets that a run has: renewed with its credential, and ended with it.
fn leases(context: &Context, run: &RunRow, effects: &[Effect]) -> Result<Vec<(Row, Guard)>, Error> {
    let now = context.now();
    let until = run.is_live().then(|| now.plus_ms(steward_app_runs::lifetime_ms(run.state.tier)));
    if run.is_live() && !effects.contains(&Effect::RenewLease) {
        return Ok(Vec::new());
    }
    context.store.read(|reader| steward_app_secrets::with_step(reader, run.id(), now, until))
}

/// What a revocation writes: the agent, the revocation, the handoff.
fn join(context: &Context, run: &RunRow, effects: &[Effect], by: &str, joined: &mut Joined) -> Result<(), Error> {
    for effect in effects {
        match effect {
            Effect::RevokeAgent { reason, details } => revoke(context, run, *reason, details, by, joined)?,
            Effect::HandOff { reason, details } => hand_off(context, run, *reason, details, joined)?,
            _ => {}
        }
    }
    super::waiting::void_all(context, run, joined)
}

fn revoke(
    context: &Context,
    run: &RunRow,
    reason: Reason,
    details: &str,
    by: &str,
    joined: &mut Joined,
) -> Result<(), Error> {
    let (agent, open) = context.store.read(|reader| {
        Ok::<_, Error>((agents::agent(reader, &run.state.agent)?, open_revocation(reader, &run.state.agent)?))
    })?;
    let agent = agent.ok_or_else(|| Error::broken("a run's agent is there"))?;
    if let Some(open) = open {
        // Revoked already, by a person in the same moment: that stands.
        joined.detail.push(("revocation", open.id.as_str().into()));
        return Ok(());
    }
    let revocation = RevocationRow {
        id: RevocationId::new(context.now(), context.dice.as_ref()),
        agent: run.state.agent.clone(),
        reason,
        details: details.to_owned(),
        run: Some(run.id().clone()),
        task: Some(run.state.task.clone()),
        by: by.to_owned(),
        at: context.now(),
        reinstated: None,
        entry_seq: 0,
    };
    let guard = agent.guard();
    let agent = agents::AgentRow { status: Status::Revoked, ..agent };
    joined.detail.push(("revocation", revocation.id.as_str().into()));
    for row in context.store.read(|reader| open_reviews_of_agent(reader, &agent.name.to_string()))? {
        joined.rows.extend(void(&row, "its agent was revoked", context.now()));
    }
    joined.rows.push((agent.row(), guard));
    joined.rows.push((revocation.row(), revocation.absent()));
    Ok(())
}

fn hand_off(context: &Context, run: &RunRow, reason: Reason, details: &str, joined: &mut Joined) -> Result<(), Error> {
    let (tried, artifacts) = context.store.read(|reader| {
        let effects = effects_of_run(reader, run.id())?;
        let tried = effects.iter().map(|effect| Tried {
            action: effect.action.clone(),
            resource: effect.resource.clone(),
            outcome: effect.status.as_str().to_owned(),
            error: effect.error.as_ref().map(|(code, message)| format!("{code}: {message}")),
        });
        // What the run was handed and did not write anew is handed on.
        let mut left = artifacts(&effects);
        if let Some(given) = &run.state.handoff
            && let Some(row) = steward_app_runs::handoff(reader, given)?
            && let Some(bytes) = reader.blob(&row.document)?
        {
            let given: Handoff = serde_json::from_slice(&bytes).map_err(Error::broken)?;
            let own: BTreeSet<String> = left.iter().map(|artifact| artifact.path.clone()).collect();
            left.extend(given.artifacts.into_iter().filter(|artifact| !own.contains(&artifact.path)));
        }
        Ok::<_, Error>((tried.collect(), left))
    })?;
    let id = HandoffId::new(context.now(), context.dice.as_ref());
    let document = Handoff::write(id.clone(), &run.state, reason, details, tried, artifacts);
    let row = HandoffRow {
        namespace: run.namespace.clone(),
        id: id.clone(),
        task: run.state.task.clone(),
        previous_agent: run.state.agent.clone(),
        run: run.id().clone(),
        document: document.digest(),
        written_at: context.now(),
        acknowledged_by: None,
        entry_seq: 0,
    };
    joined.blobs.push(document.canonical());
    joined.detail.push(("handoff", json!({"id": id.as_str(), "digest": document.digest().to_string()})));
    joined.rows.push((row.row(), row.absent()));
    Ok(())
}

/// What a run wrote, as its effects tell: the last content of each path.
pub(crate) fn artifacts(effects: &[steward_app_actions::EffectRow]) -> Vec<Artifact> {
    let mut last = std::collections::BTreeMap::new();
    // In the order in which they were settled, not in which they were asked for.
    let mut effects: Vec<_> = effects.iter().filter(|e| e.action == "fs.write").collect();
    effects.sort_by_key(|effect| effect.entry_seq);
    for effect in effects {
        if let (steward_app_actions::Status::Succeeded, Some((digest, bytes))) = (effect.status, effect.written) {
            last.insert(effect.resource.clone(), (digest, bytes));
        }
    }
    last.into_iter().map(|(path, (digest, bytes))| Artifact { path, digest, bytes }).collect()
}
