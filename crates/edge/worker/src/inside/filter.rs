//! The system calls that no agent may make.
//!
//! ```text
//! filter::apply(&filter::for_namespaces(false)?)?;
//! ```
//!
//! Everything is allowed but a list: an agent is a program of any language, and what runtimes call changes with each. What is
//! never an accident ends the process by SIGSYS, so that it is seen and recorded; what runtimes try and do without gets an error
//! that they know.
//!
//! Deliberately absent: filters on paths, which a filter cannot see, and 32-bit and x32 calls, which are killed as such.

use std::collections::BTreeMap;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

use crate::inside::stage::{Problem, doing};

/// Never an accident: other processes' memory, mounts, namespaces, the kernel's own state, keys.
const KILLED: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_userfaultfd,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// Newer ways to do what the other lists hold, past which a filter cannot see: a program takes the older way instead.
const UNKNOWN: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Refused in grade B, where no namespace or read-only mount keeps the host's own objects of these kinds apart.
const SHARED: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    // What files say of themselves is no right that Landlock knows, and the node's are the same user's.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
];

/// The same number on every processor, and not known to `libc` everywhere.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const FILE_SETATTR: i64 = 469;
const OPEN_TREE_ATTR: i64 = 467;

/// Refused in grade B on another process than the caller: the node has the same user.
const ON_OTHERS: &[i64] = &[
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setaffinity,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// The flags of `clone` that make a namespace.
const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The bits of a socket's type that are no flags.
const SOCKET_KIND: u64 = 0xf;

/// The personalities that programs ask for: none, 32 bits' uname, both with an older uname, and the question which.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// The filters of grade A; with a door, a socket of TCP over IPv4 can be had, which reaches the sandbox's own loopback.
pub(super) fn for_namespaces(door: bool) -> Result<Vec<BpfProgram>, Problem> {
    programs(false, door)
}

/// The filters of grade B.
pub(super) fn for_landlock() -> Result<Vec<BpfProgram>, Problem> {
    programs(true, false)
}

/// Puts filters in force for this process and what it becomes, for ever.
pub(super) fn apply(programs: &[BpfProgram]) -> Result<(), Problem> {
    programs.iter().try_for_each(|program| apply_filter(program).map_err(doing("filter system calls")))
}

/// The kernel takes the hardest answer of any filter.
fn programs(shares_the_host: bool, door: bool) -> Result<Vec<BpfProgram>, Problem> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(doing("filter system calls on this processor"))?;
    let filter = |rules: BTreeMap<i64, Vec<SeccompRule>>, action| {
        let filter =
            SeccompFilter::new(rules, SeccompAction::Allow, action, arch).map_err(doing("filter system calls"))?;
        BpfProgram::try_from(filter).map_err(doing("filter system calls"))
    };
    let always = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect::<BTreeMap<_, _>>();
    let errno = |errno: Errno| SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    Ok(vec![
        no_other_numbers(),
        filter(always(KILLED), SeccompAction::KillProcess)?,
        filter(always(UNKNOWN), errno(Errno::NOSYS))?,
        filter(refused(shares_the_host, door)?, errno(Errno::PERM))?,
    ])
}

/// What is refused as not permitted, some of it only with certain arguments.
fn refused(shares_the_host: bool, door: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, Problem> {
    let is = |op, value: u64| {
        move |argument| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value).map_err(doing("filter system calls"))
        }
    };
    let rule = |conditions| SeccompRule::new(conditions).map_err(doing("filter system calls"));
    let mut rules = BTreeMap::new();
    if door {
        let number = |number: i32| u64::from(number.unsigned_abs());
        let mut others = vec![rule(vec![is(SeccompCmpOp::Ne, number(libc::AF_INET))(0)?])?];
        // Of the kinds of sockets all but streams, and of streams all protocols but TCP.
        for kind in (0..=SOCKET_KIND).filter(|kind| *kind != number(libc::SOCK_STREAM)) {
            others.push(rule(vec![is(SeccompCmpOp::MaskedEq(SOCKET_KIND), kind)(1)?])?);
        }
        let protocol = |value| is(SeccompCmpOp::Ne, value)(2);
        others.push(rule(vec![protocol(0)?, protocol(number(libc::IPPROTO_TCP))?])?);
        rules.insert(libc::SYS_socket, others);
    } else {
        rules.insert(libc::SYS_socket, Vec::new());
        rules.insert(libc::SYS_connect, Vec::new());
    }
    // A pair is the agent's at both ends, but one of datagrams (and `SOCK_RAW`, which becomes that) can name another receiver.
    let kind = |kind: i32| rule(vec![is(SeccompCmpOp::MaskedEq(SOCKET_KIND), u64::from(kind.unsigned_abs()))(1)?]);
    rules.insert(libc::SYS_socketpair, vec![kind(libc::SOCK_DGRAM)?, kind(libc::SOCK_RAW)?]);
    let namespaces = NEW_NAMESPACES.map(|flag| u64::from(flag.unsigned_abs()));
    let clones: Result<_, _> =
        namespaces.iter().map(|flag| rule(vec![is(SeccompCmpOp::MaskedEq(*flag), *flag)(0)?])).collect();
    rules.insert(libc::SYS_clone, clones?);
    let odd: Result<_, _> = PERSONALITIES.iter().map(|known| is(SeccompCmpOp::Ne, *known)(0)).collect();
    rules.insert(libc::SYS_personality, vec![rule(odd?)?]);
    let on_another = || rule(vec![is(SeccompCmpOp::Ne, 0)(0)?]);
    rules.insert(libc::SYS_prlimit64, vec![on_another()?]);
    if shares_the_host {
        rules.extend(SHARED.iter().map(|call| (*call, Vec::new())));
        for call in ON_OTHERS {
            rules.insert(*call, vec![on_another()?]);
        }
    }
    Ok(rules)
}

/// Kills calls whose number is past those of the processor's own table: x32 on x86-64, which has the same architecture in a
/// filter's eyes and would pass every list above.
fn no_other_numbers() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, of `seccomp_data.nr` at 0
    const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const X32: u32 = 0x4000_0000;
    vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: SeccompAction::KillProcess.into() },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: SeccompAction::Allow.into() },
    ]
}

#[cfg(test)]
mod tests {
    use super::{KILLED, ON_OTHERS, SHARED, UNKNOWN, programs};

    #[test]
    fn each_call_stands_in_one_list() {
        let mut all: Vec<i64> = [KILLED, UNKNOWN, SHARED, ON_OTHERS].concat();
        all.extend([libc::SYS_socket, libc::SYS_clone, libc::SYS_personality, libc::SYS_prlimit64]);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn the_filters_are_small_enough_for_the_kernel() {
        for (shares, door) in [(false, false), (false, true), (true, false)] {
            for program in programs(shares, door).expect("this processor is known") {
                assert!(program.len() < 4096);
            }
        }
    }
}
