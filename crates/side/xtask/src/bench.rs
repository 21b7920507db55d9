//! `cargo xtask bench`: builds in release, measures, and writes docs/performance.md.
//!
//! Each measure prints its own section of Markdown. A section that was not measured now stays as it was.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Deciding and recording over HTTP.
    Record,
    /// Deciding alone.
    Decide,
    /// Appending durably.
    Append,
    /// Verifying a whole ledger.
    Verify,
    /// Runs through the eight phases, and revocation.
    Runs,
    /// What governance costs an agent for a tool call and for a streamed model call.
    Agents,
    /// All of them.
    All,
}

/// In the order of the document.
const MEASURES: [(Name, &str); 6] = [
    (Name::Record, "record"),
    (Name::Runs, "runs"),
    (Name::Agents, "agents"),
    (Name::Decide, "decide"),
    (Name::Append, "append"),
    (Name::Verify, "verify"),
];

/// The document, from the root.
const DOCUMENT: &str = "docs/performance.md";

/// What stands before the figures.
const HEAD: &str = "\
# Performance

What is measured, against whom, in one run on the same machine. `cargo xtask bench all` writes this page; nothing on it is typed in.

Processor time for an operation is the steady figure: it holds on a machine that others use too. What waits for the disk is a
ratio to something that waits for the same disk in the same run. A goal that is not met says so.

Not measured here yet: discovery and free text over a million agents, names over DNS, starting with a million agents, synchronizing
records, an edit seen by a peer, the memory of an idle node, a team beside one agent, and gates on a batch of knowledge. Nothing is
measured over a real network, on a disk that syncs slowly, with the callers on another machine, or against another gateway of tools or
models: what a call through one of those costs is not on this page.
";

/// Measures `name` and writes the document.
pub(crate) fn run(root: &Path, name: Name) -> Result<()> {
    build(root)?;
    let program = target(root).join("release/steward-bench");
    let path = root.join(DOCUMENT);
    let mut document = fs::read_to_string(&path).unwrap_or_default();
    for (measure, word) in MEASURES.into_iter().filter(|(measure, _)| name == Name::All || name == *measure) {
        eprintln!("bench: {word} …");
        let out = Command::new(&program).arg(word).stderr(Stdio::inherit()).output();
        let out = out.with_context(|| format!("`{}` could not be started", program.display()))?;
        if !out.status.success() {
            bail!("`steward-bench {word}` failed: {}", out.status);
        }
        let figures = String::from_utf8(out.stdout).context("a section is text")?;
        println!("{figures}");
        let section = with_machine(&figures, &machine()?);
        document = replaced(&document, measure, &section);
    }
    fs::write(&path, document).with_context(|| format!("`{}`", path.display()))
}

fn build(root: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "steward", "--package", "steward-bench"])
        .current_dir(root)
        .status()
        .context("cargo could not be started")?;
    if built.success() { Ok(()) } else { bail!("what is to be measured does not build") }
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target))
}

/// The machine, and how busy it is now.
fn machine() -> Result<String> {
    let information = fs::read_to_string("/proc/cpuinfo").context("the processor")?;
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m));
    let cores = std::thread::available_parallelism()?;
    let load = fs::read_to_string("/proc/loadavg").context("the load")?;
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]).output().context("the date")?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let model = model.unwrap_or("unknown processor");
    Ok(format!("{date} UTC, {cores} cores of {model}, load {load} when it ended, a release build."))
}

/// A section with a line about the machine under its title.
fn with_machine(section: &str, machine: &str) -> String {
    let (title, rest) = section.split_once('\n').unwrap_or((section, ""));
    format!("{title}\n\n{machine}\n{rest}")
}

/// The title of a measure's section, found by its last line: the command that repeats it.
fn command(measure: Name) -> String {
    let word = MEASURES.iter().find(|(m, _)| *m == measure).map_or("all", |(_, word)| word);
    format!("Again: `cargo xtask bench {word}`")
}

/// The document with one section put in its place.
fn replaced(document: &str, measure: Name, section: &str) -> String {
    let old: Vec<String> = document.split("\n## ").skip(1).map(|s| format!("## {}", s.trim_end())).collect();
    let mut out = HEAD.to_owned();
    for (name, _) in MEASURES {
        let kept = old.iter().find(|s| s.ends_with(&command(name))).map(String::as_str);
        let now = if name == measure { Some(section.trim_end()) } else { kept };
        if let Some(text) = now {
            let _ = write!(out, "\n{text}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{HEAD, Name, replaced, with_machine};

    fn section(word: &str, figure: u32) -> String {
        with_machine(&format!("## About {word}\n\n| {figure} |\n\nAgain: `cargo xtask bench {word}`\n"), "a machine")
    }

    #[test]
    fn a_measure_replaces_its_own_section_and_keeps_the_others() {
        let first = replaced("", Name::Verify, &section("verify", 1));
        assert_eq!(
            first,
            format!("{HEAD}\n## About verify\n\na machine\n\n| 1 |\n\nAgain: `cargo xtask bench verify`\n")
        );
        let both = replaced(&first, Name::Decide, &section("decide", 2));
        let (decide, verify) = (both.find("| 2 |").expect("new"), both.find("| 1 |").expect("kept"));
        assert!(decide < verify, "sections keep their order");
        let again = replaced(&both, Name::Verify, &section("verify", 3));
        assert!(again.contains("| 3 |") && again.contains("| 2 |") && !again.contains("| 1 |"), "{again}");
        assert_eq!(replaced(&again, Name::Verify, &section("verify", 3)), again, "nothing grows");
    }
}
