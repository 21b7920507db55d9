//! Log lines in files of the home: written, rotated, archived, and read again without the node (OPS-1).
//!
//! ```text
//! let logs = Logs::new(settings, clock);
//! registry().with(logs.layer()).init();          // lines wait from here on
//! logs.open(&home.logs());                       // and are written from here on
//! logs.counts();                                 // how many were written, and how many could not be
//! logs.close();                                  // what waits is written
//! ```
//!
//! A line is a JSON object ([`Line`]). Where it goes:
//!
//! | file | what |
//! |---|---|
//! | `main.log` | what is about no agent |
//! | `agents/NAME.log` | what names an agent (`agent.name`), also what it writes itself |
//! | `errors.log` | errors again, wherever else they stand |
//! | `archive/` | what was rotated, compressed |
//!
//! Nobody waits for the disk: a line that finds no place in the queue, or that cannot be written, is counted and dropped. What looks
//! like a secret is not written ([`scrub()`]).
//!
//! Deliberately absent: lines on standard error (the binary's, for people), shipping lines elsewhere, and `reasoning/` and
//! `federation/`, until something writes there.

mod files;
mod layer;
mod line;
mod read;
mod scrub;
mod settings;
mod writer;

pub use layer::LogLayer;
pub use line::{Level, Line, MAX_LINE_BYTES, MAX_TEXT_BYTES, UnknownLevel};
pub use read::{Analysis, Follow, MAX_READ_BYTES, MessageCount, Which, analyze, tail};
pub use scrub::scrub;
pub use settings::{MAX_COMPONENTS, Settings, SettingsError};
pub use writer::{Counts, Hides, Logs, MAX_OPEN_FILES, MAX_WAITING};
