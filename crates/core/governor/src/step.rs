//! The machine: a run, a command and now go in; the run after it and effects come out (GOV-3, GOV-4).
//!
//! ```text
//! let Step { run, effects } = run.step(Command::Submit { plan, acknowledges: None }, now)?;
//! ```
//!
//! A step takes the next phase, ends the run, or stays. A revocation beats an escalation, and an escalation never changes an
//! ending that the same step brought. Every ending stops children, kills the process, revokes the credential and releases the lock,
//! in that order: the lock last, so that no successor meets a predecessor.
//!
//! Deliberately absent: retries. A failed VERIFY ends the run; a retry is a new run.

use steward_clock::Timestamp;
use steward_naming::{HandoffId, visible};

use crate::{
    command::{Command, Effect},
    ending::{CRITERION_FAILED, ESCALATED, Ended, Ending, MISSING_DELIVERABLE, Reason},
    packet::{Then, When},
    phase::Phase,
    plan::{Artifact, Plan},
    refusal::Refusal,
    run::Run,
};

/// The longest message in characters that is kept with an ending.
pub const MAX_MESSAGE_CHARS: usize = 1_000;

/// What a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The run after it.
    pub run: Run,
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
}

impl Run {
    /// What follows from a command. The run itself is left as it is.
    ///
    /// # Errors
    /// Why not; [`Refusal::charge`] says what that costs the agent, if the agent asked.
    pub fn step(&self, command: Command, now: Timestamp) -> Result<Step, Refusal> {
        self.live()?;
        self.in_phase(command.name(), command.legal())?;
        if command.goes_further() {
            self.unheld()?;
        }
        let mut turn = Turn { run: self.clone(), effects: Vec::new(), halt: None, now };
        turn.take(command)?;
        Ok(turn.close())
    }
}

/// A step that is being made.
struct Turn {
    run: Run,
    effects: Vec<Effect>,
    /// The strictest escalation of this step that ends or holds a run: what it says, and a message.
    halt: Option<(Then, String)>,
    now: Timestamp,
}

impl Turn {
    fn take(&mut self, command: Command) -> Result<(), Refusal> {
        match command {
            Command::Booted | Command::PreflightPassed => self.advance(),
            Command::Submit { plan, acknowledges } => self.submit(plan, acknowledges)?,
            Command::Approve if self.run.plan.is_none() => return Err(Refusal::NoPlan),
            Command::Approve => self.advance(),
            Command::RefusePlan { .. } if self.run.plan.is_none() => return Err(Refusal::NoPlan),
            Command::RefusePlan { code, message } => {
                self.notice(When::PlanRefused, &message);
                self.end(Ending::Refused, &code, &message);
            }
            Command::Finish { artifacts } => self.finish(&artifacts),
            Command::Verified { failed } if failed.is_empty() => self.advance(),
            Command::Verified { failed } => {
                let message = failed.join("; ");
                self.notice(When::CriterionFailed, &message);
                self.end(Ending::Failed, CRITERION_FAILED, &message);
            }
            Command::Packaged { missing } if missing.is_empty() => self.advance(),
            Command::Packaged { missing } => self.end(Ending::Failed, MISSING_DELIVERABLE, &missing.join("; ")),
            Command::Reported => self.end(Ending::Completed, "COMPLETED", "everything that was asked is there"),
            Command::Error { kind, message } => self.charge_error(&kind, &message),
            Command::Denied { code, message } => {
                self.notice(When::Denial, &message);
                self.charge_error(&code, &message);
            }
            Command::Violation { details } => {
                let (spent, reason) = self.run.spent.charge_violation(&self.run.packet.error_budget);
                self.run.spent = spent;
                reason.into_iter().for_each(|reason| self.revoke(reason, &details));
            }
            Command::Forbidden { details } => self.revoke(Reason::ForbiddenAction, &details),
            Command::UnknownOutcome { action } => {
                self.notice(When::UnknownOutcome, &format!("nobody knows whether {action} was done"));
            }
            Command::Fail { code, message } => self.end(Ending::Failed, &code, &message),
            Command::Refuse { code, message } => self.end(Ending::Refused, &code, &message),
            Command::Stop { reason } => self.end(Ending::Stopped, "STOPPED", &reason),
            Command::Revoke { details } => self.revoke(Reason::ByPerson, &details),
            Command::Looked { goes_on: true, .. } => self.run.held = None,
            Command::Looked { goes_on: false, message } => self.end(Ending::Stopped, ESCALATED, &message),
            Command::ChildStarted(child) => {
                if !self.run.children.contains(&child) {
                    self.run.has_room()?;
                }
                self.run.children.insert(child);
            }
            Command::ChildEnded(child) => {
                self.run.children.remove(&child);
            }
        }
        Ok(())
    }

    fn submit(&mut self, plan: Plan, acknowledges: Option<HandoffId>) -> Result<(), Refusal> {
        if let Some(handoff) = &self.run.handoff {
            let named = acknowledges.as_ref() == Some(handoff);
            let again = acknowledges.is_none() && self.run.acknowledged;
            if !named && !again {
                return Err(Refusal::NotAcknowledged { handoff: handoff.clone() });
            }
        }
        let patterns = plan.steps.iter().enumerate().filter_map(|(i, step)| Some((i + 1, step.action.as_ref()?)));
        let objections = patterns.filter_map(|(i, p)| self.run.objection(p).map(|o| format!("step {i}: {o}")));
        let objections: Vec<String> = objections.collect();
        if !objections.is_empty() {
            return Err(Refusal::OutsidePacket(objections));
        }
        self.run.acknowledged = self.run.handoff.is_some();
        self.run.plan = Some(plan);
        Ok(())
    }

    fn finish(&mut self, artifacts: &[Artifact]) {
        let missing = self.run.required_artifacts();
        let missing: Vec<String> = missing
            .into_iter()
            .filter(|path| artifacts.iter().all(|artifact| artifact.path != *path))
            .map(|path| format!("`{}`", visible(path)))
            .collect();
        if missing.is_empty() {
            self.advance();
        } else {
            self.revoke(Reason::MissingArtifact, &format!("EXECUTE left no {}", missing.join(", ")));
        }
    }

    fn charge_error(&mut self, kind: &str, message: &str) {
        let budget = self.run.packet.error_budget;
        let (spent, reason) = self.run.spent.charge_error(&budget, kind, message);
        self.run.spent = spent;
        let details = format!("{kind}: {message}");
        if self.run.spent.total == 1 {
            self.notice(When::FirstError, &details);
        }
        // Half of 7 is 4: before that, less than half has happened.
        if self.run.spent.total >= budget.max_total_errors.div_ceil(2) {
            self.notice(When::HalfOfBudget, &details);
        }
        reason.into_iter().for_each(|reason| self.revoke(reason, &details));
    }

    /// Follows the rule for a condition, once in a run.
    fn notice(&mut self, when: When, details: &str) {
        let Some(rule) = self.run.packet.rule(when) else { return };
        if !self.run.escalated.insert(when) {
            return;
        }
        self.effects.push(Effect::Escalate { when, then: rule.then });
        let is_stricter = self.halt.as_ref().is_none_or(|(halt, _)| rule.then > *halt);
        if rule.then > Then::Notify && is_stricter {
            self.halt = Some((rule.then, format!("the packet says {} on {when}: {details}", rule.then)));
        }
    }

    fn advance(&mut self) {
        // Legal phases are checked before, and EXIT is none of them.
        self.run.phase = self.run.phase.next().unwrap_or(Phase::Exit);
        self.run.phase_at = self.now;
        self.effects.push(Effect::RenewLease);
    }

    fn revoke(&mut self, reason: Reason, details: &str) {
        let details = clip(details);
        self.effects.push(Effect::RevokeAgent { reason, details: details.clone() });
        self.effects.push(Effect::HandOff { reason, details: details.clone() });
        self.end(Ending::Revoked, reason.as_str(), &details);
    }

    fn end(&mut self, ending: Ending, code: &str, message: &str) {
        let (phase, at) = (self.run.phase, self.now);
        self.run.ended = Some(Ended { ending, code: clip(code), message: clip(message), phase, at });
        self.run.phase = Phase::Exit;
        self.run.phase_at = at;
        let children = std::mem::take(&mut self.run.children);
        if !children.is_empty() {
            self.effects.push(Effect::StopChildren(children.into_iter().collect()));
        }
        self.effects.extend([Effect::KillAgent, Effect::RevokeCredential, Effect::ReleaseLock]);
    }

    /// Stops or holds a run, as an escalation says, unless it ended already.
    fn close(mut self) -> Step {
        if let (Some((then, message)), None) = (self.halt.take(), &self.run.ended) {
            if then == Then::Stop {
                self.end(Ending::Stopped, ESCALATED, &message);
            } else {
                self.run.held.get_or_insert(clip(&message));
            }
        }
        Step { run: self.run, effects: self.effects }
    }
}

/// A text of limited length without control characters: it may come from an agent, and goes into records.
pub(crate) fn clip(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_CHARS).collect()
}
