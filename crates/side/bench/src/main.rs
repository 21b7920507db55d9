//! Measures what docs/performance.md says, with the peers beside us in the same run.
//!
//! ```text
//! cargo xtask bench all        builds this in release, runs every measure, writes docs/performance.md
//! steward-bench decide         one of them: a section of Markdown on standard output
//! ```
//!
//! Goals are ratios within one run, or CPU time: those hold on a shared machine too. What waits for the disk is shown with the
//! raw rate of the disk in the same run.
//!
//! Deliberately absent: a harness of statistics. Each measure runs us and the peer in turns, a few rounds each, and adds the
//! rounds up.

mod agents;
mod append;
mod called;
mod decide;
mod measure;
mod peers;
mod record;
mod report;
mod runs;
mod toolkit;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The allocator of the executable that ships: what is measured in this process is what it does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what docs/performance.md says.
#[derive(Debug, Parser)]
#[command(name = "steward-bench", version)]
struct Arguments {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// Deciding alone, beside Cedar's evaluation of every policy.
    Decide,
    /// Appending durably with rows, beside bare SQLite with the same rows.
    Append,
    /// Reading a whole ledger again, by hashes and in full.
    Verify {
        /// Entries in the ledger.
        #[arg(long, default_value_t = 200_000)]
        entries: u64,
    },
    /// Deciding and recording over HTTP, beside a bare route and a bare commit.
    Record {
        /// How long the load lasts.
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// The node's executable; the one beside this one if not said.
        #[arg(long)]
        steward: Option<PathBuf>,
        /// A Python in which the package agentmesh-platform is installed.
        #[arg(long, env = "STEWARD_BENCH_PYTHON")]
        python: Option<PathBuf>,
    },
    /// Runs through the eight phases beside LangGraph's, and how soon a revocation reaches silence.
    Runs {
        /// The node's executable; the one beside this one if not said.
        #[arg(long)]
        steward: Option<PathBuf>,
        /// A Python in which the packages langgraph and langgraph-checkpoint-sqlite are installed.
        #[arg(long, env = "STEWARD_BENCH_PYTHON")]
        python: Option<PathBuf>,
    },
    /// What governance costs an agent: a tool call and a streamed model call, beside the same ones made directly.
    Agents {
        /// The node's executable; the one beside this one if not said.
        #[arg(long)]
        steward: Option<PathBuf>,
    },
    /// Serves the bare route that `record` compares with, until it is killed.
    #[command(hide = true)]
    Route,
    /// Serves the tool and the model that `agents` calls, until it is killed.
    #[command(hide = true)]
    Called,
}

fn main() -> Result<()> {
    let section = match Arguments::parse().measure {
        Measure::Decide => decide::run()?,
        Measure::Append => append::run()?,
        Measure::Verify { entries } => verify::run(entries)?,
        Measure::Record { seconds, steward, python } => record::run(seconds, steward, python)?,
        Measure::Runs { steward, python } => runs::run(steward, python)?,
        Measure::Agents { steward } => agents::run(steward)?,
        Measure::Called => return called::serve(),
        Measure::Route => return peers::serve_route(),
    };
    print!("{section}");
    Ok(())
}
