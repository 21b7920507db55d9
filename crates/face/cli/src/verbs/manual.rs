//! `steward completions` and `steward man`.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{failure::Failure, session::Session};

/// Prints a completion script.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints or writes the manual.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write all pages into, one for each command; without it the main page is printed
    dir: Option<PathBuf>,
}

pub(crate) fn complete(session: &mut Session, args: &CompletionsArgs, mut program: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "steward", &mut script);
    session.show.bytes(&script)
}

pub(crate) fn man(session: &mut Session, args: &ManArgs, program: Command) -> Result<(), Failure> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(program).render(&mut page)?;
        return session.show.bytes(&page);
    };
    std::fs::create_dir_all(dir).map_err(|e| Failure::file("make", dir, &e))?;
    clap_mangen::generate_to(program, dir).map_err(|e| Failure::file("write into", dir, &e))?;
    session.show.aside(&format!(
        "The pages are in `{}`; read one with `man {}/steward.1`.",
        dir.display(),
        dir.display()
    ));
    Ok(())
}
