//! Runs, driven: where the nouns of a governed run meet (agents, actions, runs, the worker).
//!
//! ```text
//! let run = runner.start(&caller, NewRun { agent: "scribe".into(), packet, ..NewRun::default() }).await?;
//! // its agent's lines are answered in the background, until it ends
//! runner.stop(&caller, run.id(), "enough").await?;
//! ```
//!
//! Deliberately absent: the machine itself (governor), and the tables (runs).

mod attach;
mod blocking;
mod call;
mod conclude;
mod drive;
mod follow;
mod leases;
mod models;
mod offered;
mod people;
mod protocol;
mod recover;
mod replay;
mod runner;
mod start;
mod state;
mod view;
mod waiting;

pub(crate) use people::{one_lower, reason, voided};

pub use attach::{Brief, Called};
pub use call::Answered;
pub use models::{Asking, ModelTested, Said};
pub use offered::Offered;
pub use protocol::PROTOCOL;
pub use recover::Recovered;
pub use replay::{Replayed, ReplayedEvent, history, live_again, replayed};
pub use runner::{MAX_LIVE_RUNS, Runner, RunnerParts, ServeDoor};
pub use start::NewRun;
pub use state::{StateEntry, state};
pub use view::{Document, Event, Evidence, EvidenceEntry, RunView, evidence, handoff, run, runs};
