//! Runs agents and tools in sandboxes, as processes of this machine.
//!
//! ```text
//! let launcher = Launcher::start(LauncherSettings { helper: env::current_exe()?, instance: "a1b2c3".into() })?;
//! launcher.grade();                                     // A or B, found out by running something
//! launcher.sweep()?;                                    // what a dead node of this instance left
//! launcher.run(&warrant, &action, &spec, b"")?;
//! drop(launcher);                                       // everything that it started is killed
//! ```
//!
//! One thread of its own spawns everything and lives as long as the launcher, because a parent-death signal comes when the
//! thread ends that spawned.
//!
//! Deliberately absent: a way to start anything without a warrant, but for the probe.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use steward_permit::{Action, Warrant};

use crate::{
    alive::Alive,
    error::EffectError,
    grade::{Grade, LimitsBy},
    group::{Group, Groups},
    inside::KEPT_IN,
    plan::{FRUGAL, Granted, INSIDE_HELPER, Plan, Start},
    processes,
    running::{self, Making},
    scratch::Scratch,
    session::{EndedBy, Killer, Output, Session},
    spawner::Spawner,
    spec::{Limits, Mount, Spec},
    worker::{Worker, check_run, check_start},
};

/// What a launcher is made with.
#[derive(Debug, Clone)]
pub struct LauncherSettings {
    /// The program whose subcommand `sandbox-init` is [`crate::sandbox_init`]: this executable.
    pub helper: PathBuf,
    /// What tells this node from others on the machine, 1 to 32 of `a-z0-9`: unique per home.
    pub instance: String,
}

/// Runs agents and tools in sandboxes. Dropped, it kills all that it started, and waits until nothing of it is left.
pub struct Launcher {
    settings: LauncherSettings,
    grade: Grade,
    groups: Groups,
    /// What sandboxes of this machine do without.
    without: Vec<String>,
    spawner: Spawner,
    /// What has not ended, by the name of its group.
    alive: Arc<Alive>,
    next: AtomicU64,
}

impl Launcher {
    /// Finds out what this machine can do, by running something in a sandbox: of grade A, or else of B.
    ///
    /// # Errors
    /// `SANDBOX_UNAVAILABLE` with what failed, if neither keeps in; `SPEC_REFUSED` for settings that are none.
    pub fn start(settings: LauncherSettings) -> Result<Self, EffectError> {
        Self::start_with(settings, &[Grade::A, Grade::B], None)
    }

    /// As [`Launcher::start`], but of no grade above `best`, and if asked for without control groups: what a poorer machine does.
    ///
    /// # Errors
    /// As there.
    pub fn start_poorer(settings: LauncherSettings, best: Grade, by: Option<LimitsBy>) -> Result<Self, EffectError> {
        let grades: &[Grade] = if best == Grade::A { &[Grade::A, Grade::B] } else { &[Grade::B] };
        Self::start_with(settings, grades, by)
    }

    fn start_with(settings: LauncherSettings, grades: &[Grade], by: Option<LimitsBy>) -> Result<Self, EffectError> {
        let plain = settings.instance.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !plain || !(1..=32).contains(&settings.instance.len()) {
            return Err(EffectError::SpecRefused("an instance has 1 to 32 of `a-z0-9`; name it so".to_owned()));
        }
        let helper = settings.helper.canonicalize().map_err(|error| unavailable(format!("the helper: {error}")))?;
        let groups = if by == Some(LimitsBy::Rlimits) { Groups::none() } else { Groups::find(&settings.instance) };
        let mut launcher = Self {
            settings: LauncherSettings { helper, ..settings },
            grade: Grade::A,
            groups,
            without: Vec::new(),
            spawner: Spawner::start().map_err(|error| unavailable(format!("a thread: {error}")))?,
            alive: Arc::default(),
            next: AtomicU64::new(1),
        };
        let mut failures = Vec::new();
        for grade in grades {
            launcher.grade = *grade;
            match launcher.probe() {
                Ok(()) => {
                    launcher.without.append(&mut failures);
                    return Ok(launcher);
                }
                Err(failure) => failures.push(format!("{}: {failure}", grade.as_str())),
            }
        }
        Err(unavailable(failures.join("; ")))
    }

    /// What sandboxes of this machine do without, in words for an operator.
    pub fn without(&self) -> &[String] {
        &self.without
    }

    fn probe(&mut self) -> Result<(), String> {
        let spec = Spec {
            argv: [INSIDE_HELPER, "sandbox-init", "probe"].map(str::to_owned).into(),
            env: Vec::new(),
            mounts: Vec::new(),
            limits: Limits { wall_ms: 20_000, ..Limits::TOOL },
            minimum: self.grade,
            door: false,
        };
        let making = self.make(&spec).map_err(|error| error.to_string())?;
        let without = making.without.clone();
        let output = running::run(making, Vec::new()).map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.exit.ended_by != EndedBy::Itself || said != KEPT_IN {
            return Err(format!(
                "a probe ended with {:?} and said `{said}` {}",
                output.exit.code, output.exit.stderr_tail
            ));
        }
        self.without = without;
        if self.limits_by() == LimitsBy::Rlimits {
            self.without.push("control groups: memory is limited per process".to_owned());
            if rustix::process::geteuid().is_root() {
                self.without
                    .push("a limit on processes: the node runs as root, for which the kernel has none".to_owned());
            }
        }
        Ok(())
    }

    /// Makes the sandbox: when this returns, the next thing that happens in it is the program.
    fn make(&self, spec: &Spec) -> Result<Making, EffectError> {
        spec.check()?;
        if !self.grade.meets(spec.minimum) {
            return Err(EffectError::SandboxTooWeak { grade: self.grade, minimum: spec.minimum });
        }
        if spec.door && self.grade != Grade::A {
            return Err(EffectError::SandboxTooWeak { grade: self.grade, minimum: Grade::A });
        }
        let mounts = spec.mounts.iter().map(granted).collect::<Result<_, _>>()?;
        let failed = |what: &str, error: std::io::Error| EffectError::SandboxFailed(format!("{what}: {error}"));
        let name = format!("{}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
        let place = self.alive.take(name.clone())?;
        let group = self.groups.make(&name, &spec.limits).map_err(|error| failed("make a control group", error))?;
        let scratch = match self.grade {
            Grade::A => None,
            Grade::B => {
                let made = Scratch::make(&self.settings.instance, &name);
                Some(made.map_err(|error| {
                    group.remove();
                    failed("make a folder for scratch files", error)
                })?)
            }
        };
        let plan = Plan {
            argv: spec.argv.clone(),
            env: spec.env.clone(),
            mounts,
            limits: spec.limits,
            door: spec.door,
            helper: self.settings.helper.clone(),
            by_rlimits: !group.exists(),
            scratch: scratch.as_ref().map(|scratch| scratch.path().to_owned()),
        };
        let parts = running::Parts {
            grade: self.grade,
            limits_by: self.groups.by(),
            limits: spec.limits,
            program: spec.argv.first().cloned().unwrap_or_default(),
            group,
            scratch,
            place,
        };
        let command = self.keeper(&parts.group);
        running::make(&self.spawner, command, &plan, parts)
    }

    /// The first stage of a sandbox.
    fn keeper(&self, group: &Group) -> Command {
        let start = Start {
            grade: self.grade,
            node: i32::try_from(std::process::id()).unwrap_or(0),
            instance: self.settings.instance.clone(),
            groups: group.doors(),
        };
        let start = serde_json::to_string(&start).expect("paths of control groups are text");
        let mut command = Command::new(&self.settings.helper);
        command.args(["sandbox-init", "enter", &start]).env_clear().env(FRUGAL.0, FRUGAL.1).current_dir("/");
        command
    }
}

impl Worker for Launcher {
    fn grade(&self) -> Grade {
        self.grade
    }

    fn limits_by(&self) -> LimitsBy {
        self.groups.by()
    }

    fn start(&self, warrant: &Warrant, action: &Action, spec: &Spec) -> Result<Session, EffectError> {
        check_start(warrant, action, spec)?;
        running::start(self.make(spec)?)
    }

    fn run_until(
        &self,
        warrant: &Warrant,
        action: &Action,
        spec: &Spec,
        input: &[u8],
        started: &dyn Fn(Killer),
    ) -> Result<Output, EffectError> {
        check_run(warrant, action, spec)?;
        let making = self.make(spec)?;
        started(making.killer());
        running::run(making, input.to_vec())
    }

    fn sweep(&self) -> Result<usize, EffectError> {
        let failed = |error: std::io::Error| EffectError::SandboxFailed(format!("sweep: {error}"));
        let is_mine = |name: &str| self.alive.all().contains_key(name);
        let mut ended = self.groups.sweep(is_mine).map_err(failed)?;
        ended += processes::sweep(&self.settings.instance);
        Scratch::sweep(&self.settings.instance, is_mine).map_err(failed)?;
        Ok(ended)
    }

    fn alive(&self) -> usize {
        self.alive.all().len()
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let all: Vec<_> = self.alive.all().values().flatten().cloned().collect();
        for kill in all {
            kill.kill(EndedBy::Killed);
        }
        self.alive.until_none(running::ENDING);
        self.groups.close();
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Launcher({}, {}, {} alive)", self.grade.as_str(), self.limits_by().as_str(), self.alive())
    }
}

/// A mount whose source is there, by its real path: what is a link now is not followed later.
fn granted(mount: &Mount) -> Result<Granted, EffectError> {
    let missing = |why: String| EffectError::SpecRefused(format!("what is to be mounted at `{}` {why}", mount.at));
    let from = mount.from.canonicalize().map_err(|_| missing("is not there; make it first".to_owned()))?;
    if from == Path::new("/") || from.to_str().is_none() {
        return Err(missing("is no folder of its own with a plain name; mount one that is".to_owned()));
    }
    Ok(Granted { from, at: mount.at.clone(), executable: mount.executable, writable: mount.writable })
}

fn unavailable(why: String) -> EffectError {
    EffectError::SandboxUnavailable(why)
}
