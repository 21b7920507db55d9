//! Carries out effects that were permitted and journalled: files in an agent's own folder, agents and tools in sandboxes.
//!
//! The road of a file (decision 0001): the action is intended and on record, then [`Folders::stage`] writes the bytes beside
//! the agent's folder; it is decided again and on record, then [`Folders::publish`] renames them into place, beneath the grant.
//! The road of a process: [`Worker::start`] for an agent that talks in lines, [`Worker::run`] for a tool with an end. All take
//! the [`steward_permit::Warrant`] that the store gave for the record, so that "journalled" is a type and not a habit.
//!
//! ```text
//! let folders = Folders::open(&home.join("agents"))?;
//! let staged = folders.stage(&intended, &action, &agent, bytes)?;          // fsynced, invisible to the agent
//! let published = folders.publish(publishing, &action, &agent, staged)?;   // all of it or nothing
//!
//! let launcher = Launcher::start(LauncherSettings { helper, instance })?;  // probes the grade by running something
//! let session = launcher.start(&warrant, &action, &spec)?;                 // and `helper sandbox-init …` is `sandbox_init`
//! ```
//!
//! A path is never normalised and never joined to another as text: its shape is checked by [`GrantPath`], and the kernel
//! resolves it beneath the folder (`openat2`), so that no link, mount or race leads out of it.
//!
//! After a crash, what is still staged was not published: [`Folders::staged`] lists it, [`Folders::discard`] removes it, and
//! [`Folders::published`] tells whether what is gone from there has arrived. Processes die with the node; what a control
//! group still holds is ended by [`Worker::sweep`].
//!
//! Everything blocks; an asynchronous caller moves it to a thread for that.
//!
//! Deliberately absent: any other way to resolve a path where the kernel has no `openat2` (it is refused), deletion and
//! appending (no action asks for them yet), running anything of an agent's without a sandbox ([`Plain`] is a program of the operator's
//! own, which no agent chooses), and whether the agent *may*: that was decided before the warrant was made.

mod alive;
mod beneath;
mod effect;
mod error;
mod folders;
mod grade;
mod group;
mod handoff;
mod inside;
mod kill;
mod launcher;
mod lines;
mod path;
mod plain;
mod plan;
mod processes;
mod running;
mod scratch;
mod session;
mod spawner;
mod spec;
#[cfg(test)]
mod tests;
mod worker;

pub use alive::MAX_ALIVE;
pub use effect::Staged;
pub use error::EffectError;
pub use folders::{Folders, MAX_LISTED, Published};
pub use grade::{Grade, LimitsBy};
pub use inside::sandbox_init;
pub use launcher::{Launcher, LauncherSettings};
pub use path::{GrantPath, MAX_DEPTH, MAX_FILE_BYTES, MAX_PART_BYTES, MAX_PATH_BYTES, PathError};
pub use plain::{MAX_PLAIN_INPUT_BYTES, PLAIN_TIMEOUT_MS, Plain, PlainEnd, PlainEnded, Printed, pass_on_nothing};
pub use session::{
    DOOR_PORT, EndedBy, Exit, Killer, LINES_WAITING, Line, MAX_LINE_BYTES, MAX_STDERR_TAIL_BYTES, Output, Session,
};
pub use spec::{Limits, MAX_ARGUMENT_BYTES, MAX_MOUNTS, MAX_SPEC_BYTES, Mount, Spec};
pub use worker::Worker;
