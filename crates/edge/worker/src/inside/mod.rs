//! The side of the sandbox that is being made: the same executable, started again, one stage after another.
//!
//! ```text
//! node ──spawns──▶ enter   marks every inherited descriptor but 0, 1, 2 to be closed, and becomes
//!                  keep    joins the control groups, dies with the node, unshares, and waits for
//!        grade A:  init    pid 1 inside: builds the root, gives everything up, spawns the agent, reaps
//!        grade B:  cage    restricts itself, gives everything up, becomes the agent
//!                  probe   run as an agent to find out what this machine can do
//! ```
//!
//! Each stage is single-threaded and makes sure that the one before it is still there: a parent-death signal that is asked
//! for after the parent's death never comes. What goes wrong is written as one line to standard output before any byte of the
//! agent's can be, so that the agent cannot forge it.
//!
//! Deliberately absent: anything that reads what the agent writes.

mod cage;
mod door;
mod filter;
mod give_up;
mod init;
mod keep;
mod landlock;
mod probe;
mod program;
mod root;
mod stage;

use std::{ffi::OsString, process::ExitCode};

pub(crate) use probe::KEPT_IN;

/// The body of the hidden subcommand `sandbox-init`, with the arguments that follow it. To be called before the process has
/// started a thread or opened a file.
pub fn sandbox_init(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Option<Vec<String>> = args.map(|arg| arg.into_string().ok()).collect();
    let args = args.unwrap_or_default();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["enter", start] => keep::enter(start),
        ["keep", start] => keep::keep(start),
        ["init", keeper, report] => init::init(keeper, report),
        ["cage", keeper] => cage::cage(keeper),
        ["probe"] => return probe::probe(),
        _ => {
            eprintln!("`sandbox-init` is what the node itself starts; there is nothing here to be typed");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(problem) => {
            stage::tell(&problem.heard());
            ExitCode::from(stage::FAILED)
        }
    }
}
