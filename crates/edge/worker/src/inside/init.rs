//! Pid 1 inside: builds the root, gives everything up, spawns the agent, reaps, and ends with it. The kernel kills whatever is
//! left in the namespace then.
//!
//! ```text
//! keep ──spawns──▶ init ──spawns──▶ the agent
//!                   └─ writes how the agent ended to the keeper's pipe
//! ```
//!
//! It is not the agent itself, because pid 1 ignores the signals that it has no handler for, and must reap orphans.
//!
//! Deliberately absent: restarts, and passing on signals: the only one that comes from outside kills.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Child, Command, ExitCode},
};

use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, setsid, wait};

use crate::{
    inside::{
        door, filter, give_up,
        program::{self, CANNOT_START},
        root,
        stage::{self, Ended, Problem, die_with_parent, doing},
    },
    plan::Heard,
    processes::Stat,
};

/// The init, which the keeper `keeper` spawned with the pipe `report` open for it.
pub(super) fn init(keeper: &str, report: &str) -> Result<ExitCode, Problem> {
    let keeper = stage::number(keeper)?;
    // Seen from inside, the parent has no id. The `/proc` of outside is still there, and knows both.
    die_with_parent(|| Stat::at(Path::new("/proc/self")).is_ok_and(|own| own.parent == keeper))?;
    let own = Stat::at(Path::new("/proc/self")).map_err(doing("find the own id"))?;
    let report = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{}", stage::number(report)?))
        .map_err(doing("open the keeper's pipe"))?;
    stage::close_all_on_exec();
    let plan = stage::hear_plan()?;
    setsid().map_err(doing("start a session"))?;
    let without = root::build(&plan)?;
    rustix::system::sethostname(b"agent").map_err(doing("set the host's name"))?;
    let program = program::Program::find(&plan)?;
    if plan.door {
        door::open()?;
    }
    give_up::limits(&plan)?;
    give_up::capabilities()?;
    filter::apply(&filter::for_namespaces(plan.door)?)?;
    // What the agent could read of this process, or write into it, is not the agent's.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(doing("close the init to the agent"))?;
    stage::tell(&Heard::Ready { pid: own.pid, without });
    Ok(run(program.command(), report))
}

/// Spawns the agent and ends with it. From here on standard output is the agent's.
fn run(mut command: Command, report: File) -> ExitCode {
    command.current_dir(program::working_folder());
    let ended = match command.spawn() {
        Ok(agent) => reap_until(&agent),
        Err(error) => {
            eprintln!("steward: the program cannot be started: {error}");
            Ended::Code(CANNOT_START)
        }
    };
    let mut report = report;
    // If it cannot be written, the keeper has died, and this process is about to.
    let _ = report.write_all(ended.written().as_bytes());
    ExitCode::SUCCESS
}

/// Reaps whatever ends, until it is the agent.
fn reap_until(agent: &Child) -> Ended {
    let agent = i32::try_from(agent.id()).ok().and_then(Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == agent => {
                return Ended::of(status.exit_status(), status.terminating_signal());
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // No children, though there was one: nothing that can be said of it is known.
            Err(_) => return Ended::Code(CANNOT_START),
        }
    }
}
