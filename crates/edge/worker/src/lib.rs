//! Carries out effects that were permitted and journalled. The first: a file, written inside an agent's own folder.
//!
//! The road (decision 0001): the action is intended and on record, then [`Folders::stage`] writes the bytes beside the agent's
//! folder; it is decided again and on record, then [`Folders::publish`] renames them into place, beneath the grant. Both take
//! the [`steward_permit::Warrant`] that the store gave for the record, so that "journalled" is a type and not a habit.
//!
//! ```text
//! let folders = Folders::open(&home.join("agents"))?;
//! let staged = folders.stage(&intended, &action, &agent, bytes)?;          // fsynced, invisible to the agent
//! let published = folders.publish(publishing, &action, &agent, staged)?;   // all of it or nothing
//! ```
//!
//! A path is never normalised and never joined to another as text: its shape is checked by [`GrantPath`], and the kernel
//! resolves it beneath the folder (`openat2`), so that no link, mount or race leads out of it.
//!
//! After a crash, what is still staged was not published: [`Folders::staged`] lists it, [`Folders::discard`] removes it, and
//! [`Folders::published`] tells whether what is gone from there has arrived.
//!
//! Everything blocks; an asynchronous caller moves it to a thread for that.
//!
//! Deliberately absent: any other way to resolve a path where the kernel has no `openat2` (it is refused), deletion and
//! appending (no action asks for them yet), sandboxes and processes (no agent runs yet), and whether the agent *may*: that was
//! decided before the warrant was made.

mod beneath;
mod effect;
mod error;
mod folders;
mod path;
#[cfg(test)]
mod tests;

pub use effect::Staged;
pub use error::EffectError;
pub use folders::{Folders, MAX_LISTED, Published};
pub use path::{GrantPath, MAX_DEPTH, MAX_FILE_BYTES, MAX_PART_BYTES, MAX_PATH_BYTES, PathError};
