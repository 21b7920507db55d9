//! Starts what was permitted: the trait, and the check that the permission is for exactly this.
//!
//! ```text
//! let session = worker.start(&warrant, &action, &spec)?;          // action `agent.start`
//! let output = worker.run(&warrant, &action, &spec, input)?;      // action `exec` or `shell`
//! worker.sweep()?;                                                // after a crash
//! ```
//!
//! Two implementations: [`crate::Launcher`], and a scripted one in tests of what drives agents.
//!
//! Deliberately absent: restarts, queues and time-tables, which belong to whoever holds the session.

use steward_permit::{Action, ResourceKind, Warrant};

use crate::{
    error::EffectError,
    grade::{Grade, LimitsBy},
    session::{Killer, Output, Session},
    spec::Spec,
};

/// Starts agents and tools.
pub trait Worker: Send + Sync {
    /// How well they are kept in.
    fn grade(&self) -> Grade;

    /// By what their limits hold.
    fn limits_by(&self) -> LimitsBy;

    /// Starts an agent, or a tool server (`tool.start`): something long-lived that talks in lines.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for `action`, and that is `agent.start` with the digest of `spec`;
    /// `SPEC_REFUSED`, `SANDBOX_TOO_WEAK`, `NO_SUCH_PROGRAM`, `SANDBOX_FAILED`, `WORKER_FULL`: nothing was started.
    fn start(&self, warrant: &Warrant, action: &Action, spec: &Spec) -> Result<Session, EffectError>;

    /// Runs a tool with `input` on its standard input, and blocks until it has ended. What it did is in the output, also when
    /// it failed or a limit ended it.
    ///
    /// # Errors
    /// As for [`Worker::start`], with `exec` or `run.verify` on the command `argv[0]`, or `shell` on the command `sh` for `/bin/sh -c script`.
    fn run(&self, warrant: &Warrant, action: &Action, spec: &Spec, input: &[u8]) -> Result<Output, EffectError> {
        self.run_until(warrant, action, spec, input, &|_| {})
    }

    /// The same, giving what ends it to `started` as soon as it runs: a run that ends takes its tools with it.
    ///
    /// # Errors
    /// As for [`Worker::run`].
    fn run_until(
        &self,
        warrant: &Warrant,
        action: &Action,
        spec: &Spec,
        input: &[u8],
        started: &dyn Fn(Killer),
    ) -> Result<Output, EffectError>;

    /// Ends what an earlier process of this node has left, and returns how many. To be called before anything is started.
    ///
    /// # Errors
    /// `SANDBOX_FAILED` if something could not be ended.
    fn sweep(&self) -> Result<usize, EffectError>;

    /// How many agents and tools have not ended.
    fn alive(&self) -> usize;
}

/// Whether the warrant is for this action, and that for starting this agent.
pub(crate) fn check_start(warrant: &Warrant, action: &Action, spec: &Spec) -> Result<(), EffectError> {
    check(warrant, action, spec)?;
    let starts = matches!(
        (action.name().as_str(), action.resource().kind()),
        ("agent.start", ResourceKind::Agent) | ("tool.start", ResourceKind::Tool)
    );
    if !starts {
        return Err(EffectError::WarrantMismatch("the warrant is not for starting an agent or a tool server"));
    }
    Ok(())
}

/// Whether the warrant is for this action, and that for running this tool.
pub(crate) fn check_run(warrant: &Warrant, action: &Action, spec: &Spec) -> Result<(), EffectError> {
    check(warrant, action, spec)?;
    let resource = action.resource();
    let is_exec = matches!(action.name().as_str(), "exec" | "run.verify")
        && spec.argv.first().is_some_and(|program| program == resource.id());
    let is_shell = action.name().as_str() == "shell"
        && resource.id() == "sh"
        && matches!(&spec.argv[..], [sh, c, _] if sh == "/bin/sh" && c == "-c");
    if resource.kind() != ResourceKind::Command || !(is_exec || is_shell) {
        return Err(EffectError::WarrantMismatch("the warrant is not for running this command"));
    }
    Ok(())
}

fn check(warrant: &Warrant, action: &Action, spec: &Spec) -> Result<(), EffectError> {
    if *warrant.digest() != action.digest() {
        return Err(EffectError::WarrantMismatch("the warrant is for another action"));
    }
    if action.arguments() != Some(&spec.digest()) {
        return Err(EffectError::WarrantMismatch("the command line is not the one that was permitted"));
    }
    Ok(())
}
