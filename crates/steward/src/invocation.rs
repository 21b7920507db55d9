//! How this program is called.

use std::path::Path;

use steward_cli::Globals;

/// How this program is called, for the lines to try.
pub(crate) fn command(home: &Path) -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|p| {
        let here = std::env::current_dir().ok()?;
        Some(p.strip_prefix(here).unwrap_or(p).display().to_string())
    });
    let program = program.unwrap_or_else(|| "steward".to_owned());
    let usual = Globals::default().home().is_ok_and(|usual| usual == home);
    if usual { program } else { format!("{program} --home {}", home.display()) }
}
