//! What the node tells the sandbox that is being made, and what it hears back.
//!
//! ```text
//! helper sandbox-init enter '<Start>'      what concerns the node and is no secret: on the command line
//! <Plan>                                   arguments, variables, mounts: length and JSON, first on standard input
//! <Heard>                                  one line of JSON, first on standard output, before any byte of the agent's
//! ```
//!
//! Both ends are the same executable, so the form may change with any release.
//!
//! Deliberately absent: anything from the agent. It runs only after the line was written.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    grade::Grade,
    spec::{Limits, MAX_MOUNTS, MAX_SPEC_BYTES},
};

/// Keeps the node's own program from reserving a gibibyte of addresses when it is a stage: where memory is limited by `setrlimit`, those
/// count, and the next thing that it starts would have none.
pub(crate) const FRUGAL: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "0");

/// How many bytes of decimal digits stand before the plan.
pub(crate) const LENGTH_DIGITS: usize = 10;

/// The most bytes of a plan: arguments and variables at their largest, each character escaped at its longest, and the mounts.
pub(crate) const MAX_PLAN_BYTES: usize = 8 * 1024 * 1024;

// Each byte that JSON writes at its longest, as an escape of six.
const _: () = assert!(MAX_PLAN_BYTES > 6 * (MAX_SPEC_BYTES + MAX_MOUNTS * 2 * 4096));

/// The most bytes of the line that is heard back.
pub(crate) const MAX_HEARD_BYTES: usize = 8 * 1024;

/// Where this executable is seen inside.
pub(crate) const INSIDE_HELPER: &str = "/run/steward/steward";

/// What the keeper needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// How to keep it in.
    pub(crate) grade: Grade,
    /// The node, which must be the parent.
    pub(crate) node: i32,
    /// The node's own name among those of the machine, so that a sweep finds it.
    pub(crate) instance: String,
    /// The control groups to join: their `cgroup.procs`.
    pub(crate) groups: Vec<PathBuf>,
}

/// What the sandbox is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) mounts: Vec<Granted>,
    pub(crate) limits: Limits,
    /// Whether the node is to be reached from inside.
    pub(crate) door: bool,
    /// The executable of this code, to be seen inside.
    pub(crate) helper: PathBuf,
    /// Whether memory and processes are limited by nothing else.
    pub(crate) by_rlimits: bool,
    /// Grade B: the folder of the node that holds the scratch files.
    pub(crate) scratch: Option<PathBuf>,
}

/// A mount whose source was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Granted {
    pub(crate) from: PathBuf,
    pub(crate) at: String,
    pub(crate) executable: bool,
    pub(crate) writable: bool,
}

/// What the node hears before the agent runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Heard {
    /// All is done; the next thing that happens is the agent.
    Ready {
        /// The process to kill: the init of the sandbox, or in grade B the agent.
        pid: i32,
        /// What could not be had, and is done without.
        without: Vec<String>,
    },
    /// The program is not there.
    NoSuchProgram,
    /// It could not be made.
    Failed(String),
}

impl Plan {
    /// The same plan for a sandbox whose folders are where the node has them: arguments that name something in a mount name
    /// it there.
    pub(crate) fn seen_from_outside(mut self) -> Self {
        for argument in &mut self.argv {
            let places = self.mounts.iter().map(|mount| (mount.at.as_str(), &mount.from));
            let seen = places.chain([(INSIDE_HELPER, &self.helper)]).find_map(|(at, from)| {
                let rest = argument.strip_prefix(at)?;
                (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", from.display()))
            });
            if let Some(seen) = seen {
                *argument = seen;
            }
        }
        self
    }

    /// Where the agent starts in such a sandbox: at its files, if it was granted any.
    pub(crate) fn working_folder_outside(&self) -> PathBuf {
        let work = self.mounts.iter().find(|mount| mount.at == "/files").map(|mount| mount.from.clone());
        work.or_else(|| self.scratch.clone()).unwrap_or_else(|| PathBuf::from("/"))
    }
}

/// A plan as it stands on standard input.
pub(crate) fn framed(plan: &Plan) -> Vec<u8> {
    let json = serde_json::to_vec(plan).expect("paths were checked to be text, and the rest is");
    let mut bytes = format!("{:0LENGTH_DIGITS$}", json.len()).into_bytes();
    bytes.extend(json);
    bytes
}

/// What stands in the sandbox at a mount: variables that tell it, in a sandbox whose folders are where the node has them,
/// where they are.
pub(crate) fn variable_for(at: &str) -> String {
    let name: String =
        at.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("STEWARD{name}")
}

#[cfg(test)]
mod tests {
    use super::{Granted, Plan, framed, variable_for};
    use crate::spec::Limits;

    fn plan(argv: &[&str]) -> Plan {
        let granted =
            |from: &str, at: &str| Granted { from: from.into(), at: at.to_owned(), executable: false, writable: false };
        Plan {
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            env: vec![],
            mounts: vec![granted("/node/files", "/files"), granted("/node/programs", "/programs")],
            limits: Limits::TOOL,
            helper: "/node/steward".into(),
            door: false,
            by_rlimits: false,
            scratch: None,
        }
    }

    #[test]
    fn without_namespaces_arguments_name_what_the_node_has() {
        let argv = ["/run/steward/steward", "/files", "/programs/a b.py", "/workshop", "x/files", "--in=/files", "/"];
        assert_eq!(
            plan(&argv).seen_from_outside().argv,
            ["/node/steward", "/node/files", "/node/programs/a b.py", "/workshop", "x/files", "--in=/files", "/"]
        );
        assert_eq!(plan(&[]).working_folder_outside(), std::path::Path::new("/node/files"));
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let plan = plan(&["sh", "-c", "echo \"\u{1}\n\""]);
        let bytes = framed(&plan);
        let (digits, json) = bytes.split_at(super::LENGTH_DIGITS);
        assert_eq!(std::str::from_utf8(digits).expect("digits").parse::<usize>().expect("a number"), json.len());
        assert_eq!(serde_json::from_slice::<Plan>(json).expect("a plan"), plan);
    }

    #[test]
    fn a_mount_has_a_variable() {
        assert_eq!(variable_for("/files"), "STEWARD_FILES");
        assert_eq!(variable_for("/handoff/from.a-1"), "STEWARD_HANDOFF_FROM_A_1");
    }
}
