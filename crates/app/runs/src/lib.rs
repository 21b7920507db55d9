//! Runs as they are kept: the run itself, its execution lock, its credential, revocations and handoffs.
//!
//! The pure machine of `governor` says what a step does; [`step()`] writes all of it in one commit: run, lock, credential and
//! whatever the step's effects ask for. What belongs to other nouns (the agent that is revoked) is given by flows, which joins them.
//!
//! ```text
//! let run = begin(&context, &caller, new).await?;                       // BOOTSTRAP, on record
//! let stepped = step(&context, run.id(), Command::Booted, None, join).await?;  // by the node's own leave
//! ```
//!
//! Deliberately absent: processes and tools (flows drives them), and deciding what a step does (governor).

mod history;
mod lifetime;
mod read;
mod replay;
mod rows;
mod step;

pub use history::{History, Turn, history};
pub use lifetime::lifetime_ms;
pub use read::{Events, events, find, list};
pub use replay::{Found, Replay, ReplayStep, Story, replay};
pub use rows::{
    CredentialRow, HandoffRow, LockRow, MIGRATIONS, Reinstated, RevocationRow, RunFilter, RunRow, begun_under,
    consecutive_compliant, credential, handoff, handoff_of, latest_handoff, left_over, live_runs, lock,
    locks_that_lapsed, metrics, open_revocation, revocation, revocations, run, runs, runs_by_ending, runs_of_task,
};
pub use step::{Joined, NOT_THE_AGENTS, NewRun, Stepped, begin, refuse_to_begin, renew, step};
