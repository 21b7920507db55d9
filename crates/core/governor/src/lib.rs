//! May this run take its next step, and what if not.
//!
//! A run begins with a [`Packet`] and takes the phases of [`Phase`] in their order. Whatever happens is a [`Command`]; the
//! answer is the run after it and [`Effect`]s for the node to carry out. Before each action the run is asked whether
//! packet and phase allow it; a refusal says what it costs.
//!
//! ```text
//! Packet::read ──► Run::begin ──► run.step(command, now) ──► Step { run, effects } | Refusal
//!                                 run.may(action, resource) ──► Ok | Refusal ──charge()──► Command
//!                                 Effect::HandOff ──► Handoff::write ──► the successor's Begin
//! ```
//!
//! Deliberately absent: what a tier may do (that is `policy`), time and chance (they are handed in), the store, locks and
//! processes (the node carries out effects), and a queue of reviews: what needs one fails closed.

mod budget;
mod command;
mod ending;
mod evidence;
mod handoff;
mod locate;
mod mistake;
mod moment;
pub mod offline;
mod packet;
mod packet_text;
mod pattern;
mod phase;
mod plan;
mod reader;
mod recorded;
mod refusal;
mod run;
mod step;
mod template;
mod web;
mod word;

#[cfg(test)]
mod tests;

pub use budget::{MAX_KEY_CHARS, Spent, normalise};
pub use command::{Command, Effect};
pub use ending::{Ended, Ending, Reason};
pub use evidence::{ActionCounts, DecisionRef, EVIDENCE_SCHEMA, EvidencePackage, OutputRef, PhaseTime, Report};
pub use handoff::{HANDOFF_SCHEMA, Handoff, LastKnownState, MAX_HANDED_ARTIFACTS, MAX_TRIED, RevocationReason, Tried};
pub use mistake::{MAX_MISTAKES, Mistake};
pub use packet::{
    Constraints, Criterion, ErrorBudget, EscalationRule, MAX_ERROR_LIMIT, PACKET_SCHEMA, Packet, RequiredStep, Then,
    When,
};
pub use packet_text::{MAX_ARGUMENTS, MAX_ITEMS, MAX_PACKET_BYTES, MAX_PATTERNS};
pub use pattern::{MAX_PATTERN_BYTES, Pattern, PatternError};
pub use phase::Phase;
pub use plan::{Artifact, MAX_STEPS, Plan, PlanStep};
pub use recorded::Recorded;
pub use refusal::Refusal;
pub use run::{Begin, MAX_CHILDREN, MAX_RUN_DEPTH, READS, Run};
pub use step::{MAX_MESSAGE_CHARS, Step};
pub use template::Template;
pub use word::UnknownWord;
