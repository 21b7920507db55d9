//! Checks of the house that no compiler makes, and its measurements.
//!
//! ```text
//! cargo xtask tidy          every rule over every file that git knows or would take
//! cargo xtask tidy --rules  what is checked, a line each
//! cargo xtask bench [NAME]  measures, and writes docs/performance.md
//! cargo xtask soak NAME     runs a test of chance for many rounds
//! ```
//!
//! Deliberately absent: formatting and lints, which `./test` runs from their own tools.

mod bench;
mod soak;
mod tidy;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand};

/// Checks of the house that no compiler makes, and its measurements.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the floors, the laws that a program can check, and that ARCHITECTURE.md says what exists.
    Tidy {
        /// Prints what is checked, and checks nothing.
        #[arg(long)]
        rules: bool,
    },
    /// Measures with the peers in the same run, and writes docs/performance.md.
    Bench {
        /// What is measured.
        #[arg(value_enum, default_value = "all")]
        name: bench::Name,
    },
    /// Runs a test of chance for many rounds. A failure names seed and round.
    Soak {
        /// Which.
        #[arg(value_enum)]
        name: soak::Name,
        /// How many rounds.
        #[arg(long, default_value_t = 300)]
        rounds: u64,
        /// The seed; one of its own if not said.
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    // The crate stands three folders below the root; cargo sets the variable at build time and at run time.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    match Arguments::parse().command {
        Command::Tidy { rules: true } => {
            for rule in tidy::RULES {
                println!("{:<13} {}", rule.name, rule.says);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Tidy { rules: false } => {
            let house = tidy::House::read(&root)?;
            let findings = tidy::check(&house);
            for finding in &findings {
                println!("{finding}");
            }
            println!(
                "tidy: {} rules, {} files, {} crates, {} findings",
                tidy::RULES.len(),
                house.files().len(),
                house.crates().len(),
                findings.len()
            );
            Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Bench { name } => bench::run(&root, name).map(|()| ExitCode::SUCCESS),
        Command::Soak { name, rounds, seed } => soak::run(&root, name, rounds, seed),
    }
}
