//! Grade B: no namespaces. The process restricts itself and becomes the agent.
//!
//! ```text
//! keep ──spawns──▶ cage ═becomes═▶ the agent
//! ```
//!
//! What is weaker than in grade A: the agent sees the node's folders where they are (those that it was granted, and which
//! exist, by `stat`), other processes' ids, and the host's name; scratch files have no limit on all of them together; `/proc`
//! cannot be read at all; modes, owners and times of files cannot be changed, not even of its own. What it started is killed by its control group or, where there is none, by walking what descends from
//! the keeper, which adopts orphans: if the keeper itself is killed from outside in that case, only the agent dies with it.
//!
//! Deliberately absent: a grade without Landlock.

use std::{os::unix::process::CommandExt as _, process::ExitCode};

use rustix::process::{getpid, setsid};

use crate::{
    inside::{
        filter, give_up, landlock,
        program::{CANNOT_START, Program},
        stage::{self, Problem, die_with_parent, doing, parent_is},
    },
    plan::Heard,
};

/// The cage, which the keeper `keeper` spawned.
pub(super) fn cage(keeper: &str) -> Result<ExitCode, Problem> {
    let keeper = stage::number(keeper)?;
    die_with_parent(|| parent_is(keeper))?;
    stage::close_all_on_exec();
    let plan = stage::hear_plan()?.seen_from_outside();
    setsid().map_err(doing("start a session"))?;
    let program = Program::find(&plan)?;
    let folder = plan.working_folder_outside();
    std::env::set_current_dir(&folder).map_err(doing("enter the working folder"))?;
    give_up::limits(&plan)?;
    let without = landlock::restrict(&plan)?;
    give_up::capabilities()?;
    filter::apply(&filter::for_landlock()?)?;
    // Giving up capabilities takes the wish back.
    die_with_parent(|| parent_is(keeper))?;
    stage::tell(&Heard::Ready { pid: getpid().as_raw_nonzero().get(), without });
    let error = program.command().exec();
    eprintln!("steward: the program cannot be started: {error}");
    Ok(ExitCode::from(CANNOT_START))
}
