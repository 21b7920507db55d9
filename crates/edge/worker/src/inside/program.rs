//! Finding the program, and the environment that it is started with.
//!
//! ```text
//! let program = Program::find(&plan)?;           // seen from where it will run
//! program.command().spawn()
//! ```
//!
//! Deliberately absent: anything of the node's environment.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    inside::stage::Problem,
    plan::{Plan, variable_for},
};

/// The exit code of what is there and could not be started, as shells have it.
pub(super) const CANNOT_START: u8 = 126;

/// Where programs are looked up.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/programs:/run/steward";

/// The program that was found, and how to start it.
#[derive(Debug)]
pub(super) struct Program {
    file: PathBuf,
    argv: Vec<String>,
    env: Vec<(String, String)>,
}

impl Program {
    /// Finds the program of a plan.
    pub(super) fn find(plan: &Plan) -> Result<Self, Problem> {
        let scratch = plan.scratch.as_ref().map_or("/tmp".to_owned(), |path| path.display().to_string());
        let mut env: Vec<(String, String)> =
            [("PATH", PATH.to_owned()), ("HOME", scratch.clone()), ("TMPDIR", scratch), ("LANG", "C.UTF-8".to_owned())]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        for mount in &plan.mounts {
            let seen = if plan.scratch.is_some() { mount.from.display().to_string() } else { mount.at.clone() };
            env.push((variable_for(&mount.at), seen));
        }
        env.extend(plan.env.iter().cloned());
        let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(PATH, |(_, path)| path);
        let name = plan.argv.first().map_or("", String::as_str);
        let file = look_up(name, path).ok_or(Problem::NoSuchProgram)?;
        Ok(Self { file, argv: plan.argv.clone(), env })
    }

    /// How to start it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.env_clear().envs(self.env.iter().cloned());
        if let Some((name, rest)) = self.argv.split_first() {
            command.arg0(name).args(rest);
        }
        command
    }
}

/// The file that `name` names: a path, or a name to be looked up.
fn look_up(name: &str, path: &str) -> Option<PathBuf> {
    let is_program = |file: &Path| fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| is_program(file));
    }
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(name))
        .find(|f| is_program(f))
}

/// Where the agent starts: at its files, if it was granted any.
pub(super) fn working_folder() -> &'static str {
    let work = "/files";
    if Path::new(work).is_dir() { work } else { "/tmp" }
}
