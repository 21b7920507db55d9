//! What the process that becomes the agent gives up: resources, capabilities, the way back to either.
//!
//! ```text
//! give_up::limits(&plan)?;          // rlimits, umask
//! give_up::capabilities()?;         // all sets, for ever
//! ```
//!
//! Deliberately absent: users. The agent runs as the node's own, and is kept in by what it cannot reach.

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
    },
};

use crate::{
    inside::{
        keep::NO_CAPABILITIES,
        stage::{Problem, doing},
    },
    plan::Plan,
    processes,
};

/// Sets what `setrlimit` and `umask` hold.
pub(super) fn limits(plan: &Plan) -> Result<(), Problem> {
    umask(Mode::RWXG | Mode::RWXO);
    let limits = &plan.limits;
    let mut all = vec![
        (Resource::Nofile, u64::from(limits.open_files)),
        (Resource::Core, 0),
        (Resource::Fsize, limits.scratch_bytes),
        (Resource::Memlock, 64 * 1024),
        (Resource::Msgqueue, 0),
        (Resource::Rtprio, 0),
    ];
    if plan.by_rlimits {
        all.push((Resource::As, limits.memory_bytes));
        // Counted per user and user namespace: without one of its own, the sandbox is counted with all else that the user runs.
        let beside = if plan.scratch.is_some() { processes::threads_of_user() } else { 0 };
        all.push((Resource::Nproc, beside + u64::from(limits.processes)));
    }
    for (resource, most) in all {
        // Never more than the node itself may: that would be refused.
        let most = getrlimit(resource).maximum.map_or(most, |of_node| most.min(of_node));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(doing("set a limit on a resource"))?;
    }
    Ok(())
}

/// Gives up every capability, and with it the ways in which an `exec` could give one back.
pub(super) fn capabilities() -> Result<(), Problem> {
    let held = rustix::thread::capabilities(None).map_err(doing("read capabilities"))?.effective;
    if held.contains(CapabilitySet::SETPCAP) {
        for capability in (0..64).map(|n| CapabilitySet::from_bits_retain(1 << n)) {
            // The kernel has fewer than these, and says so.
            match remove_capability_from_bounding_set(capability) {
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(errno) => return Err(doing("give up a capability")(errno)),
            }
        }
        let bits = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        clear_ambient_capability_set().map_err(doing("give up ambient capabilities"))?;
        set_capabilities_secure_bits(bits).map_err(doing("give up what root can do"))?;
    }
    set_capabilities(None, NO_CAPABILITIES).map_err(doing("give up capabilities"))?;
    set_no_new_privs(true).map_err(doing("give up new privileges"))
}
