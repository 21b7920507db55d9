//! Grade B: what can be reached of the file system, and of other processes.
//!
//! ```text
//! let without = landlock::restrict(&plan)?;
//! ```
//!
//! Files are required: a kernel without Landlock is an error. Newer rights (truncating, devices, TCP, signals and abstract
//! sockets beyond the sandbox) are taken where the kernel has them.
//!
//! Deliberately absent: `/proc`, which would show every process of the node's user.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use crate::{
    inside::stage::{Problem, doing},
    plan::Plan,
};

/// The newest rights that this code knows the meaning of.
const NEWEST: ABI = ABI::V6;

/// Programs and libraries.
const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs read at their start, as in grade A. None of it is secret.
const READ: [&str; 9] = [
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/dev/urandom",
];

/// Devices that are written to, or are endless.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"];

/// Restricts this process and what it becomes, for ever. Returns what the kernel does not have.
pub(super) fn restrict(plan: &Plan) -> Result<Vec<String>, Problem> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let rules = || -> Result<RulesetCreated, RulesetError> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for path in PROGRAMS {
            rules = grant(rules, Path::new(path), run)?;
        }
        for path in READ {
            rules = grant(rules, Path::new(path), read)?;
        }
        for path in DEVICES {
            rules = grant(rules, Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile)?;
        }
        rules = grant(rules, &plan.helper, run)?;
        for mount in &plan.mounts {
            rules = grant(rules, &mount.from, if mount.executable { run } else { read })?;
        }
        match &plan.scratch {
            Some(scratch) => grant(rules, scratch, AccessFs::from_all(NEWEST) & !AccessFs::IoctlDev),
            None => Ok(rules),
        }
    };
    let status = rules().and_then(RulesetCreated::restrict_self).map_err(doing("restrict what can be reached"))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(Vec::new()),
        RulesetStatus::PartiallyEnforced => {
            Ok(vec!["some of what the newest Landlock keeps in: signals, TCP or devices".to_owned()])
        }
        RulesetStatus::NotEnforced => Err(Problem::Failed("the kernel does not enforce Landlock".to_owned())),
    }
}

/// Grants `access` at and below `path`; of a file, what a file has. What is not there cannot be reached.
fn grant(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(opened, access))
}
