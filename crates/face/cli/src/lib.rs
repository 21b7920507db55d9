//! Commands for people in a terminal.
//!
//! ```no_run
//! # async fn example(clock: std::sync::Arc<dyn steward_clock::Clock>, dice: std::sync::Arc<dyn steward_clock::Dice>) -> std::process::ExitCode {
//! use clap::Parser as _;
//! let cli = steward_cli::Cli::parse(); // wrong use ends here, with exit code 2
//! steward_cli::run(cli, clock, dice, env!("CARGO_PKG_VERSION")).await
//! # }
//! ```
//!
//! Most commands are one call of the node's API and a way to show the answer. `ledger verify`, `ledger check-proof`,
//! `evidence verify`, `packet check`, `policy check` and `policy test` ask no node: they read files and judge them with the
//! cores, so that nobody needs to believe a running program.
//!
//! What every command keeps to:
//! * The answer goes to stdout, everything else to stderr. `--json` prints the shape of `wire` that the node answered,
//!   also when it refused; commands that ask no node document theirs at their function.
//! * Exit codes: 0 done; 1 refused, or not true; 2 wrong use; 3 the node cannot be reached ([`Exit`]).
//! * Tables and colours on a terminal only. Text of others is shown so that it cannot steer the terminal.
//! * A secret is shown once, when it is made.
//! * The newest tree head of each ledger is remembered outside the node's home (the file `memory.rs` says where), so that a node that
//!   takes something back is found out.
//!
//! Deliberately absent: starting a node (`up` is the binary's), deciding anything, retries.

mod behind;
mod cli;
mod evidence;
mod failure;
mod globals;
mod heads;
mod home;
mod memory;
mod money;
mod session;
mod show;
#[cfg(test)]
mod testing;
mod times;
mod verbs;

use std::{process::ExitCode, sync::Arc};

use steward_clock::{Clock, Dice};

pub use behind::lost_head;
pub use cli::{Cli, Command, UpArgs, UpgradeVerb};
pub use failure::Exit;
pub use globals::Globals;
pub use home::{address_file, default_home};
pub use verbs::backup::{AcceptArgs, BackupVerb};
pub use verbs::keys::{KeyVerb, RescueArgs};

/// Carries out every command but [`Command::Up`], [`BackupVerb::Accept`], [`KeyVerb::Rescue`] and [`Command::Upgrade`], which the binary handles.
///
/// `version` is the program's, to be compared with the node's.
pub async fn run(cli: Cli, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>, version: &str) -> ExitCode {
    let Cli { globals, command } = cli;
    let mut session = session::Session::new(globals, clock, dice, version.to_owned());
    let done = verbs::carry_out(&mut session, command).await;
    ExitCode::from(session.conclude(done).code())
}
