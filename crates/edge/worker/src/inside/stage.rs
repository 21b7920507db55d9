//! What all stages share: being sure of the parent, hearing the plan, telling the node, starting the next.
//!
//! ```text
//! stage::die_with_parent(|| parent_is(keeper))?;
//! let plan = stage::hear_plan()?;
//! stage::tell(&Heard::Ready { .. });
//! ```
//!
//! Deliberately absent: buffers. A byte read too far would be the agent's.

use std::{fmt, os::unix::process::CommandExt as _, process::Command};

use rustix::{
    io::Errno,
    process::{Signal, set_parent_process_death_signal},
};

use crate::plan::{FRUGAL, Heard, LENGTH_DIGITS, MAX_PLAN_BYTES, Plan};

/// The exit code of a stage that could not go on. What the agent's exit code means is known by the line before it.
pub(super) const FAILED: u8 = 125;

/// This executable, for the next stage.
const SELF: &str = "/proc/self/exe";

/// Why a stage could not go on.
#[derive(Debug)]
pub(super) enum Problem {
    /// Something that it does failed.
    Failed(String),
    /// The program is not there.
    NoSuchProgram,
}

impl Problem {
    /// As the node hears it.
    pub(super) fn heard(&self) -> Heard {
        match self {
            Self::Failed(what) => Heard::Failed(what.clone()),
            Self::NoSuchProgram => Heard::NoSuchProgram,
        }
    }
}

/// Says what was being done when something failed.
pub(super) fn doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Problem {
    move |error| Problem::Failed(format!("{what}: {error}"))
}

/// Asks to be killed when the parent dies, then makes sure that it has not died before that.
pub(super) fn die_with_parent(is_there: impl FnOnce() -> bool) -> Result<(), Problem> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(doing("ask to die with the parent"))?;
    if is_there() { Ok(()) } else { Err(Problem::Failed("the parent died meanwhile".to_owned())) }
}

/// Whether the parent, as this process sees it, is `pid`.
pub(super) fn parent_is(pid: i32) -> bool {
    rustix::process::getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == pid)
}

/// Reads the plan from standard input, and not a byte more.
pub(super) fn hear_plan() -> Result<Plan, Problem> {
    let mut digits = [0; LENGTH_DIGITS];
    read_exact(&mut digits)?;
    let length = str::from_utf8(&digits).ok().and_then(|text| text.parse::<usize>().ok());
    let length = length.filter(|n| *n <= MAX_PLAN_BYTES).ok_or_else(|| Problem::Failed("no plan came".to_owned()))?;
    let mut json = vec![0; length];
    read_exact(&mut json)?;
    serde_json::from_slice(&json).map_err(doing("read the plan"))
}

fn read_exact(mut bytes: &mut [u8]) -> Result<(), Problem> {
    while !bytes.is_empty() {
        match rustix::io::read(rustix::stdio::stdin(), &mut *bytes) {
            Ok(0) => return Err(Problem::Failed("the plan ended early".to_owned())),
            Ok(n) => bytes = &mut bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(doing("read the plan")(errno)),
        }
    }
    Ok(())
}

/// Writes the one line that the node waits for. If it cannot be written, nobody waits.
pub(super) fn tell(heard: &Heard) {
    let mut line = serde_json::to_vec(heard).expect("plain text and numbers");
    line.push(b'\n');
    let mut rest = &line[..];
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// The next stage, with nothing of this one's environment.
pub(super) fn next(args: &[&str]) -> Command {
    let mut command = Command::new(SELF);
    command.arg0("steward").arg("sandbox-init").args(args).env_clear().env(FRUGAL.0, FRUGAL.1);
    command
}

/// A stage's argument that is a number.
pub(super) fn number(text: &str) -> Result<i32, Problem> {
    text.parse().map_err(doing("read a stage's argument"))
}

/// Marks every descriptor but the standard three to be closed by the next `exec`, whoever opened it.
pub(super) fn close_all_on_exec() {
    close_fds::set_fds_cloexec(3, &[]);
}

/// A process's end as its keeper passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Code(u8),
    Signal(i32),
}

impl Ended {
    pub(super) fn of(code: Option<i32>, signal: Option<i32>) -> Self {
        match (code, signal) {
            (_, Some(signal)) => Self::Signal(signal),
            (code, None) => Self::Code(u8::try_from(code.unwrap_or(0) & 0xff).unwrap_or(u8::MAX)),
        }
    }

    pub(super) fn written(self) -> String {
        match self {
            Self::Code(code) => format!("code {code}"),
            Self::Signal(signal) => format!("signal {signal}"),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        match text.split_once(' ')? {
            ("code", n) => n.parse().ok().map(Self::Code),
            ("signal", n) => n.parse().ok().map(Self::Signal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ended;

    #[test]
    fn an_end_is_read_as_it_was_written() {
        for ended in [Ended::Code(0), Ended::Code(255), Ended::Signal(9), Ended::Signal(31)] {
            assert_eq!(Ended::read(&ended.written()), Some(ended));
        }
        assert_eq!(Ended::read("code 256"), None);
        assert_eq!(Ended::read(""), None);
        assert_eq!(Ended::of(Some(3), None), Ended::Code(3));
        assert_eq!(Ended::of(None, Some(9)), Ended::Signal(9));
    }
}
