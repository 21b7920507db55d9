//! Something that runs, as the node holds it: lines in, lines out, an end.
//!
//! ```text
//! let Session { to_agent, mut from_agent, killer, exit, .. } = worker.start(&warrant, &action, &spec)?;
//! to_agent.send("{\"hello\":1}".into()).await?;               // dropped: the agent reads the end of its input
//! while let Some(line) = from_agent.recv().await { /* … */ }    // dropped: the agent is killed
//! killer.kill();
//! let exit = exit.await?;                                      // comes once, when nothing of it is left
//! ```
//!
//! Deliberately absent: what a line means (the agent protocol's), and restarts (the caller's).

use std::{fmt, net::TcpListener, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::grade::{Grade, LimitsBy};

/// The longest line that an agent can say, 256 KiB without its end: what holds a report or a source file, and what every session
/// may hold in memory per line that waits.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// How many lines wait in either direction before the other side is made to wait: enough that neither runs dry, few enough
/// that they fit in memory at their greatest length.
pub const LINES_WAITING: usize = 32;

/// The most of its standard error that is kept, 4 KiB: the end of a stack trace.
pub const MAX_STDERR_TAIL_BYTES: usize = 4 * 1024;

/// Where a sandbox with a door reaches its node: this port of its own loopback, which nothing outside of it shares.
pub const DOOR_PORT: u16 = 7373;

/// An agent that runs.
#[derive(Debug)]
pub struct Session {
    /// Lines to the agent, without their end; a line break inside becomes a space. Dropped, the agent's input ends.
    pub to_agent: mpsc::Sender<String>,
    /// Lines from the agent. It ends when nothing of the agent can write any more. Dropped, the agent is killed.
    pub from_agent: mpsc::Receiver<Line>,
    /// Ends it now.
    pub killer: Killer,
    /// How it ended. It comes when nothing of the agent is left, though lines from it may still wait.
    pub exit: oneshot::Receiver<Exit>,
    /// What listens inside the sandbox, if it was to have a door: whoever connects is in it.
    pub door: Option<TcpListener>,
}

impl Session {
    /// A session of parts, as a scripted worker makes it.
    pub fn from_parts(
        to_agent: mpsc::Sender<String>,
        from_agent: mpsc::Receiver<Line>,
        killer: Killer,
        exit: oneshot::Receiver<Exit>,
    ) -> Self {
        Self { to_agent, from_agent, killer, exit, door: None }
    }
}

/// Ends a session or tool, with all that it started.
#[derive(Clone)]
pub struct Killer(Arc<dyn Fn() + Send + Sync>);

impl Killer {
    /// A killer that does `kill`, which must be harmless when done again and when it is over already.
    pub fn new(kill: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(kill))
    }

    /// Kills everything of it, now, without asking. Again does nothing.
    pub fn kill(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Killer")
    }
}

/// What an agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Text(String),
    /// A line of more than [`MAX_LINE_BYTES`], which was dropped.
    TooLong,
    /// A line that is not UTF-8, which was dropped.
    NotText,
}

/// What ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndedBy {
    /// Itself, by exit or by a signal of its own making.
    Itself,
    /// [`Killer::kill`], or that nobody listened any more.
    Killed,
    /// The limit on time.
    WallTime,
    /// The limit on output.
    Output,
    /// The limit on memory.
    Memory,
    /// A system call that no agent may make.
    Seccomp,
}

impl EndedBy {
    /// In one word, for records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Killed => "killed",
            Self::WallTime => "wall_time",
            Self::Output => "output",
            Self::Memory => "memory",
            Self::Seccomp => "seccomp",
        }
    }
}

/// How it ended, and what it used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code, if it ended by one.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What ended it.
    pub ended_by: EndedBy,
    /// How long it ran, in milliseconds.
    pub wall_ms: u64,
    /// How much processor time all of it took, in milliseconds, where that is counted.
    pub cpu_ms: Option<u64>,
    /// The most memory that all of it had at a time, where that is counted.
    pub peak_memory_bytes: Option<u64>,
    /// How often the kernel killed something in it for want of memory.
    pub oom_kills: u64,
    /// How often it could not start a process.
    pub refused_forks: u64,
    /// How much it wrote to its standard output and error.
    pub output_bytes: u64,
    /// The end of its standard error, at most [`MAX_STDERR_TAIL_BYTES`], with what cannot be seen made visible.
    pub stderr_tail: String,
    /// How well it was kept in.
    pub grade: Grade,
    /// By what its limits held.
    pub limits_by: LimitsBy,
}

/// What a tool did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// Whether there was more than the limit.
    pub truncated: bool,
}
