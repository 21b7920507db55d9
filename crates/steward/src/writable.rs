//! What everybody on the machine may write is not what a node does: its home, `steward.toml`, and the policy.
//!
//! Deliberately absent: what a group may write, which people set up on purpose, and the folders above the home.

use std::{fs, os::unix::fs::MetadataExt as _};

use anyhow::{Context as _, Result, bail};
use steward_app_node::home::Home;

/// How deep it is looked into the folder of policies: one deeper than they are read.
const MAX_DEPTH: usize = 5;

/// Refuses a home in which everybody may change what the node does: whoever writes `steward.toml` has it run commands, and whoever writes the
/// policy decides. What is not there is written by nobody.
///
/// # Errors
/// What everybody may write, its mode, and the command that mends it.
pub(crate) fn refuse_what_everybody_may_write(home: &Home) -> Result<()> {
    let policies = home.policies();
    let mut open: Vec<String> = Vec::new();
    let mut left = vec![home.path().to_owned(), home.configuration(), policies.clone()];
    while let Some(path) = left.pop() {
        // A link is what it leads to.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let (mode, shown) = (metadata.mode() & 0o7777, path.display());
        if mode & 0o002 != 0 {
            open.push(format!("`{shown}` (mode {mode:o}): run `chmod o-w {shown}`"));
        }
        if path.starts_with(&policies) && metadata.is_dir() {
            let within = fs::read_dir(&path).with_context(|| format!("`{shown}`"))?;
            // Further down there is none: a folder that leads to itself ends here.
            let within = within.filter_map(Result::ok).map(|item| item.path());
            left.extend(within.filter(|path| path.components().count() <= policies.components().count() + MAX_DEPTH));
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    open.sort_unstable();
    bail!(
        "everybody on this machine may write what the node goes by, and may have done so: look at what is in there first. {}",
        open.join("; ")
    )
}
