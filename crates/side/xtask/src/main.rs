//! Checks of the house that no compiler makes: `cargo xtask tidy`.
//!
//! ```text
//! cargo xtask tidy          every rule over every file that git knows or would take
//! cargo xtask tidy --rules  what is checked, a line each
//! ```
//!
//! Deliberately absent: formatting and lints, which `./test` runs from their own tools.

mod tidy;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand};

/// Checks of the house that no compiler makes.
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
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Tidy { rules: true } => {
            for rule in tidy::RULES {
                println!("{:<13} {}", rule.name, rule.says);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Tidy { rules: false } => {
            // The crate stands three folders below the root; cargo sets the variable at build time and at run time.
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
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
    }
}
