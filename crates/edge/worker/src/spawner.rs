//! The one thread that spawns.
//!
//! ```text
//! let spawner = Spawner::start()?;
//! let child = spawner.spawn(command)?;      // from any thread; spawned by that one
//! ```
//!
//! A parent-death signal comes when the *thread* ends that spawned, and threads of a runtime end when they are idle. This one ends
//! with the spawner.
//!
//! Deliberately absent: waiting. Any thread can wait for a child.

use std::{
    io,
    process::{Child, Command},
    sync::mpsc,
    thread,
};

/// Spawns on a thread of its own.
#[derive(Debug)]
pub(crate) struct Spawner(mpsc::Sender<Request>);

struct Request {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, received) = mpsc::channel::<Request>();
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            for Request { mut command, reply } in received {
                // Nobody waits any more: what was spawned is dropped, and its keeper finds its input at an end.
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self(requests))
    }

    /// Spawns `command`.
    pub(crate) fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that spawns has ended");
        let (reply, answer) = mpsc::channel();
        self.0.send(Request { command, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}
