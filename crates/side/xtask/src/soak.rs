//! The same tests as `./test`, for as many rounds as somebody has patience.
//!
//! ```text
//! cargo xtask soak crash --rounds 300 --seed 7    kills nodes 300 times; says where they died, and what does not fit
//! cargo xtask soak runs --rounds 500 --seed 7     the same with agents at work
//! ```
//!
//! Deliberately absent: a harness of its own. What is run is the test of the crate `steward`, told by its environment how often and
//! from which seed.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

/// What is soaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Nodes die anywhere.
    Crash,
    /// Nodes die anywhere while agents are at work.
    Runs,
}

impl Name {
    /// The test binary, and the test in it.
    const fn test(self) -> (&'static str, &'static str) {
        match self {
            Self::Crash => ("crash", "a_node_that_dies_anywhere_loses_nothing_and_repeats_nothing"),
            Self::Runs => ("crash", "a_run_whose_node_dies_anywhere_ends_once_and_leaves_nothing"),
        }
    }
}

/// Runs it. What it says goes where this program's output goes.
pub(crate) fn run(root: &Path, name: Name, rounds: u64, seed: Option<u64>) -> Result<ExitCode> {
    let (binary, test) = name.test();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root)
        .args(["test", "--package", "steward", "--test", binary, "--", "--exact", test, "--nocapture"])
        .env("STEWARD_ROUNDS", rounds.to_string());
    if let Some(seed) = seed {
        command.env("STEWARD_SEED", seed.to_string());
    }
    let status = command.status().context("cargo cannot be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::ValueEnum as _;

    use super::Name;

    /// `cargo test -- --exact NAME` of a test that is not there passes.
    #[test]
    fn every_soak_names_a_test_that_is_there() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../steward/tests");
        for name in Name::value_variants() {
            let (binary, test) = name.test();
            let text = fs::read_to_string(tests.join(binary).join("main.rs")).expect("the test binary's source");
            assert!(text.contains(&format!("async fn {test}()")), "{test} is not in {binary}");
        }
    }
}
