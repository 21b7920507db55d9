//! Ending a sandbox, from whichever thread has a reason first.
//!
//! ```text
//! kill.kill(EndedBy::WallTime);       // everything in it, now; only the first reason counts
//! let why = kill.close();             // by the one that waits: from here on the ids may be another's
//! ```
//!
//! Deliberately absent: asking first. What wants to end well is told so in lines.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fd::OwnedFd,
    process::{Signal, pidfd_send_signal},
};

use crate::{grade::Grade, group::Group, processes, session::EndedBy};

/// Ends one sandbox, once, and remembers why.
#[derive(Debug)]
pub(crate) struct Kill {
    pub(crate) grade: Grade,
    /// The keeper's id, which is not another's before the keeper was waited for.
    pub(crate) keeper_id: i32,
    pub(crate) keeper: OwnedFd,
    /// The init, with which its namespace ends; in grade B the agent.
    pub(crate) inner: OwnedFd,
    pub(crate) group: Group,
    pub(crate) state: Mutex<State>,
}

/// Where it stands with the end of a sandbox.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Runs,
    Killed(EndedBy),
    /// The keeper has ended: whatever has its id now is another.
    Over,
}

impl Kill {
    /// Kills everything, because of `why`. Only the first reason counts.
    pub(crate) fn kill(&self, why: EndedBy) {
        // Held until it is done: whoever waits for the keeper closes this first, so that its id is still its own.
        let mut state = self.state();
        if *state != State::Runs {
            return;
        }
        *state = State::Killed(why);
        match self.grade {
            // The rest ends with the init, and the keeper after it.
            Grade::A => signal(&self.inner),
            Grade::B if self.group.exists() => {
                self.group.kill();
            }
            Grade::B => {
                processes::kill_below(self.keeper_id);
            }
        }
    }

    /// The last resort.
    pub(crate) fn kill_keeper(&self) {
        signal(&self.inner);
        signal(&self.keeper);
        self.group.kill();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes it: what ended it, if something other than itself did.
    pub(crate) fn close(&self) -> Option<EndedBy> {
        match mem::replace(&mut *self.state(), State::Over) {
            State::Killed(why) => Some(why),
            State::Runs | State::Over => None,
        }
    }
}

/// Kills a process by its descriptor, which is never another's; that it is gone already is fine.
fn signal(process: &OwnedFd) {
    let _ = pidfd_send_signal(process, Signal::KILL);
}
