//! The keeper: on the node's side of the fence, it lives as long as what it keeps, and no longer than the node.
//!
//! ```text
//! enter  →  keep  →  spawns `init` (grade A) or `cage` (grade B), waits, ends the same way
//! ```
//!
//! In grade B it is also the one to which orphans are given (`PR_SET_CHILD_SUBREAPER`), so that what forks twice and starts a
//! session of its own still descends from it, and is killed with the rest.
//!
//! Deliberately absent: handling of signals. It is killed, or it waits.

use std::{
    fs,
    io::Read as _,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, ExitCode, ExitStatus},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsRawFd as _, OwnedFd},
    io::Errno,
    pipe::pipe,
    process::{
        Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getegid, geteuid, getpid, kill_process, pidfd_open,
        set_child_subreaper, setrlimit, wait,
    },
    thread::{CapabilitySet, CapabilitySets, UnshareFlags, capabilities, set_capabilities},
};

use crate::{
    grade::Grade,
    inside::{
        root::INSIDE_ID,
        stage::{self, Ended, Problem, die_with_parent, doing, parent_is},
    },
    plan::Start,
    processes,
};

/// The first stage: what the node leaks is closed by becoming the next.
pub(super) fn enter(start: &str) -> Result<ExitCode, Problem> {
    let Start { node, .. } = read(start)?;
    die_with_parent(|| parent_is(node))?;
    stage::close_all_on_exec();
    Err(doing("go on")(stage::next(&["keep", start]).exec()))
}

/// The keeper.
pub(super) fn keep(start: &str) -> Result<ExitCode, Problem> {
    let start = read(start)?;
    die_with_parent(|| parent_is(start.node))?;
    stage::close_all_on_exec();
    let own = getpid().as_raw_nonzero().get();
    for door in &start.groups {
        fs::write(door, own.to_string()).map_err(doing("join a control group"))?;
    }
    // It may have to end by a signal that leaves a core, as the agent did.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(doing("forbid core files"))?;
    let ended = match start.grade {
        Grade::A => keep_namespace(&start, own)?,
        Grade::B => keep_tree(&start, own)?,
    };
    Ok(end_alike(ended))
}

fn read(start: &str) -> Result<Start, Problem> {
    serde_json::from_str(start).map_err(doing("read what to start"))
}

/// Grade A: the child is pid 1 of a namespace, and everything in it ends with it.
fn keep_namespace(start: &Start, own: i32) -> Result<Ended, Problem> {
    enter_namespaces()?;
    die_with_parent(|| parent_is(start.node))?;
    // Inherited by the child, and closed there: this process has no other thread that could start something in between.
    let (mut report, end_of_child) = open_report()?;
    let number = end_of_child.as_raw_fd().to_string();
    let mut child = stage::next(&["init", &own.to_string(), &number]).spawn().map_err(doing("start the init"))?;
    drop(end_of_child);
    set_capabilities(None, NO_CAPABILITIES).map_err(doing("give up capabilities"))?;
    die_with_parent(|| parent_is(start.node))?;
    let status = wait_for(&mut child)?;
    let mut text = String::new();
    // Nobody is left who could write: everything in the namespace has ended.
    report.read_to_string(&mut text).map_err(doing("hear how it ended"))?;
    Ok(Ended::read(&text).unwrap_or(Ended::of(status.code(), status.signal())))
}

/// No capability, in any set.
pub(super) const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// New namespaces of every kind, in which this process has every capability and is one plain user.
fn enter_namespaces() -> Result<(), Problem> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let all = UnshareFlags::NEWUSER
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    #[expect(deprecated, reason = "deprecated because of CLONE_FILES, which is not among these")]
    rustix::thread::unshare(all).map_err(doing("unshare namespaces"))?;
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/gid_map", format!("{INSIDE_ID} {gid} 1")),
        ("/proc/self/uid_map", format!("{INSIDE_ID} {uid} 1")),
    ] {
        fs::write(file, text).map_err(doing(format_args!("write {file}")))?;
    }
    // A user other than 0 keeps capabilities over an `exec` only as ambient ones. The init needs them to build the root.
    let mut sets = capabilities(None).map_err(doing("read capabilities"))?;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets).map_err(doing("hand on capabilities"))?;
    for capability in sets.permitted.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true).map_err(doing("hand on a capability"))?;
    }
    Ok(())
}

fn open_report() -> Result<(fs::File, OwnedFd), Problem> {
    let (read, write) = pipe().map_err(doing("open a pipe"))?;
    rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::CLOEXEC).map_err(doing("open a pipe"))?;
    Ok((read.into(), write))
}

fn wait_for(child: &mut Child) -> Result<ExitStatus, Problem> {
    child.wait().map_err(doing("wait"))
}

/// Grade B: the child becomes the agent, and what descends from it is killed when it ends or the node does.
fn keep_tree(start: &Start, own: i32) -> Result<Ended, Problem> {
    set_child_subreaper(Some(getpid())).map_err(doing("adopt orphans"))?;
    let node = Pid::from_raw(start.node).ok_or_else(|| Problem::Failed("the node has no id".to_owned()))?;
    let node = pidfd_open(node, PidfdFlags::empty()).map_err(doing("watch the node"))?;
    // From here on the node's end is seen, and is not the end of the keeper before that of the rest.
    die_with_parent(|| parent_is(start.node))?;
    rustix::process::set_parent_process_death_signal(None).map_err(doing("outlive the node for a moment"))?;
    if !parent_is(start.node) {
        return Err(Problem::Failed("the node died meanwhile".to_owned()));
    }
    let mut child = stage::next(&["cage", &own.to_string()]).spawn().map_err(doing("start the cage"))?;
    let agent = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    let agent = agent.ok_or_else(|| Problem::Failed("the agent has no id".to_owned()))?;
    let watched = pidfd_open(agent, PidfdFlags::empty()).map_err(doing("watch the agent"))?;
    let node_ended = loop {
        let mut both = [PollFd::new(&node, PollFlags::IN), PollFd::new(&watched, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) => break !both[0].revents().is_empty(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(doing("watch")(errno)),
        }
    };
    if node_ended {
        processes::kill(agent.as_raw_nonzero().get());
    }
    let status = wait_for(&mut child)?;
    // What is left was given to this process, or will be as its parent dies.
    processes::kill_below(own);
    while let Ok(Some(_)) = wait(WaitOptions::empty()) {
        processes::kill_below(own);
    }
    Ok(Ended::of(status.code(), status.signal()))
}

/// Ends as the agent did, so that the node sees it on the one process that it waits for.
fn end_alike(ended: Ended) -> ExitCode {
    match ended {
        Ended::Code(code) => ExitCode::from(code),
        Ended::Signal(number) => {
            if let Some(signal) = Signal::from_named_raw(number) {
                let _ = kill_process(getpid(), signal);
            }
            // SIGPIPE, which this runtime ignores, as a shell would tell it.
            ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX))
        }
    }
}
