//! Agents that want out: system calls, namespaces, `/proc`, privileges.

use std::collections::BTreeMap;

use steward_worker::{EndedBy, Grade};

use crate::common::{BOTH, launcher, perl, python, run, said, sh, spec};

/// What never happens by accident, as the brief of this crate lists it.
const DEADLY: &[(&str, i64)] = &[
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("fsopen", libc::SYS_fsopen),
    ("fsmount", libc::SYS_fsmount),
    ("fsconfig", libc::SYS_fsconfig),
    ("fspick", libc::SYS_fspick),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("setns", libc::SYS_setns),
    ("unshare", libc::SYS_unshare),
    ("bpf", libc::SYS_bpf),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("kexec_load", libc::SYS_kexec_load),
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module),
    ("delete_module", libc::SYS_delete_module),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("request_key", libc::SYS_request_key),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("reboot", libc::SYS_reboot),
    ("swapon", libc::SYS_swapon),
    ("swapoff", libc::SYS_swapoff),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock_settime", libc::SYS_clock_settime),
    ("acct", libc::SYS_acct),
    ("quotactl", libc::SYS_quotactl),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    #[cfg(target_arch = "x86_64")]
    ("ptrace of x32", 0x4000_0000 | 521),
    #[cfg(target_arch = "x86_64")]
    ("getpid of x32", 0x4000_0000 | libc::SYS_getpid),
];

#[test]
fn a_deadly_call_is_deadly() {
    for grade in BOTH {
        let launcher = launcher(grade);
        for (name, number) in DEADLY {
            let exit = run(&launcher, &perl(&format!("syscall({number}, 0, 0, 0, 0, 0)"))).exit;
            assert_eq!((exit.ended_by, exit.signal), (EndedBy::Seccomp, Some(31)), "{name} in {grade:?}: {exit:?}");
        }
    }
}

/// The error that a call gives, by number and arguments; 0 if it went well.
fn errnos(calls: &[(&str, i64, &str)]) -> String {
    let each = calls
        .iter()
        .map(|(name, number, args)| format!("$! = 0; syscall({number}, {args}); print \"{name} \", $! + 0, \"\\n\";"));
    each.collect()
}

#[test]
fn a_refused_call_is_refused() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let new = |flag: i32| format!("{flag} | 17, 0, 0, 0, 0");
        let namespaces: Vec<(String, String)> = [
            libc::CLONE_NEWNS,
            libc::CLONE_NEWCGROUP,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWUSER | libc::CLONE_NEWNET,
        ]
        .map(|flag| (format!("clone_{flag:x}"), new(flag)))
        .into();
        let mut calls = vec![
            ("clone3", libc::SYS_clone3, "0, 0"),
            ("io_uring_setup", libc::SYS_io_uring_setup, "1, 0"),
            ("io_uring_enter", libc::SYS_io_uring_enter, "0, 0, 0, 0"),
            ("io_uring_register", libc::SYS_io_uring_register, "0, 0, 0, 0"),
            ("personality", libc::SYS_personality, "0x0040000"),
            ("personality_asked", libc::SYS_personality, "0xffffffff"),
            ("prlimit64", libc::SYS_prlimit64, "1, 7, 0, 0"),
            ("prlimit64_own", libc::SYS_prlimit64, "0, 7, 0, 0"),
            ("getpid", libc::SYS_getpid, "0"),
        ];
        calls.extend(namespaces.iter().map(|(name, args)| (name.as_str(), libc::SYS_clone, args.as_str())));
        // Every family, and a few types.
        let sockets: Vec<String> = (0..47).map(|family| format!("{family}, {}, 0", [1, 2, 3, 5][family % 4])).collect();
        calls.extend(sockets.iter().map(|args| ("socket", libc::SYS_socket, args.as_str())));
        let text = said(&launcher, &perl(&errnos(&calls)));
        for line in text.lines() {
            let (name, errno) = line.split_once(' ').expect("a name and a number");
            let expected = match name {
                "clone3" | "io_uring_setup" | "io_uring_enter" | "io_uring_register" => libc::ENOSYS,
                "personality_asked" | "prlimit64_own" | "getpid" => 0,
                _ => libc::EPERM,
            };
            assert_eq!(errno, expected.to_string(), "{name} in {grade:?}");
        }
        assert_eq!(text.lines().count(), calls.len());
    }
}

#[test]
fn tools_that_would_leave_are_stopped() {
    let launcher = launcher(Grade::A);
    for argv in [
        &["/usr/bin/unshare", "-Ur", "true"][..],
        &["/usr/bin/unshare", "-n", "true"],
        &["/usr/sbin/chroot", "/tmp", "true"],
    ] {
        let exit = run(&launcher, &spec(argv)).exit;
        assert_eq!(exit.ended_by, EndedBy::Seccomp, "{argv:?} {exit:?}");
    }
    // The helper can be run inside, and is no way out: it keeps nothing in that is not in already.
    let start = r#"{"grade":"A","node":1,"instance":"x","groups":[]}"#;
    let script = format!("/run/steward/steward sandbox-init keep '{start}' </dev/null; echo $?");
    let text = said(&launcher, &sh(&script));
    assert!(text.ends_with("125\n") || text.ends_with("159\n"), "{text}");
}

#[test]
fn the_sandbox_is_all_there_is() {
    let launcher = launcher(Grade::A);
    let script = "import os, socket\n\
        print('root', sorted(os.listdir('/')))\n\
        print('above', sorted(os.listdir('/proc/self/root/..')) == sorted(os.listdir('/')))\n\
        print('pids', len([p for p in os.listdir('/proc') if p.isdigit()]) <= 2)\n\
        print('ids', os.getuid(), os.getgid(), os.geteuid())\n\
        print('host', os.uname().nodename)\n\
        print('interfaces', os.listdir('/proc/self/net') and open('/proc/self/net/dev').read().count(':'))\n\
        status = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)\n\
        print('caps', [status[c].strip('0') for c in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')])\n\
        print('kept', status['NoNewPrivs'], status['Seccomp'])\n\
        print('session', os.getsid(0) != 0, os.path.exists('/dev/tty'))\n\
        print('umask', oct(os.umask(0)))\n\
        print('env', sorted(os.environ))\n\
        print('groups', [l.split(':')[2] for l in open('/proc/self/cgroup')].count('/'))";
    let text = said(&launcher, &python(script));
    let found: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let root: Vec<&str> =
        found["root"].split('\'').filter(|n| n.chars().all(char::is_alphanumeric) && !n.is_empty()).collect();
    let allowed = ["bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "tmp", "usr"];
    assert!(root.iter().all(|name| allowed.contains(name)), "{text}");
    for (name, expected) in [
        ("above", "True"),
        ("pids", "True"),
        ("ids", "1000 1000 1000"),
        ("host", "agent"),
        ("interfaces", "1"),
        ("caps", "['', '', '', '', '']"),
        ("kept", "1 2"),
        ("umask", "0o77"),
        ("env", "['HOME', 'LANG', 'PATH', 'TMPDIR']"),
    ] {
        assert_eq!(found[name], expected, "{name}: {text}");
    }
    assert!(found["session"].ends_with("False"), "{text}");
}

#[test]
fn what_is_the_node_s_cannot_be_written() {
    let launcher = launcher(Grade::A);
    let script = "import os\n\
        def attempt(name, f):\n    \
            try: f(); print(name, 'done')\n    \
            except OSError as e: print(name, e.errno)\n\
        # Opened, and nothing written; what is not there is not made.\n\
        for path in ['/usr/bin/python3', '/usr/bin/env', '/etc/passwd', '/bin/sh', '/run/steward/steward', '/proc/self/exe',\n             \
                     '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/self/oom_score_adj', '/proc/self/uid_map',\n             \
                     '/proc/self/setgroups', '/proc/self/mem', '/proc/1/mem', '/proc/1/root/etc/passwd']:\n    \
            attempt('open ' + path, lambda: os.close(os.open(path, os.O_WRONLY)))\n\
        def make(path):\n    \
            os.mkdir(path); os.rmdir(path)\n\
        for path in ['/', '/usr', '/usr/bin', '/usr/local', '/etc', '/etc/alternatives', '/dev', '/run', '/run/steward', '/proc',\n             \
                     '/proc/1/root', '/proc/self/root']:\n    \
            attempt('make in ' + path, lambda: make(path + '/steward-test'))\n\
        # To what they are; and of folders, which would not go.\n\
        for path in ['/usr/bin/env', '/etc/passwd', '/run/steward/steward', '/']:\n    \
            stat = os.stat(path)\n    \
            attempt('chmod ' + path, lambda: os.chmod(path, stat.st_mode & 0o7777))\n    \
            attempt('utime ' + path, lambda: os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns)))\n\
        for path in ['/usr/bin', '/etc/alternatives']:\n    \
            try: os.rmdir(path)\n    \
            except OSError as e: print('rmdir', path, 'done' if e.errno == 39 else e.errno)\n\
        attempt('mknod', lambda: os.mknod('/tmp/null', 0o20666, os.makedev(1, 3)))";
    let text = said(&launcher, &python(script));
    assert_eq!(text.lines().count(), 14 + 12 + 8 + 2 + 1, "{text}");
    assert!(!text.contains("done"), "{text}");
    // And what is the agent's can.
    assert_eq!(
        said(
            &launcher,
            &sh(
                "umask 022; echo a > /tmp/a && chmod 755 /tmp/a && ln /tmp/a /tmp/b && mv /tmp/b /tmp/c && touch /tmp/c && cat /tmp/c"
            )
        ),
        "a\n"
    );
}

#[test]
fn the_init_is_not_the_agent_s() {
    let launcher = launcher(Grade::A);
    let script = "import os\n\
        for path in ['environ', 'mem', 'maps', 'fd/0', 'fd/1', 'exe', 'root', 'cwd', 'stack']:\n    \
            try:\n        \
                full = '/proc/1/' + path\n        \
                if path in ('exe', 'root', 'cwd', 'fd/0'): os.readlink(full)\n        \
                else:\n            \
                    with open(full, 'rb') as f: f.read(1)\n        \
                print(path, 'read')\n    \
            except OSError as e: print(path, e.errno)";
    let text = said(&launcher, &python(script));
    assert_eq!(text.lines().count(), 9, "{text}");
    assert!(!text.contains("read"), "{text}");
}

#[test]
fn there_are_no_privileges_and_no_way_to_new_ones() {
    for grade in BOTH {
        let launcher = launcher(grade);
        // Effective, permitted and inheritable capabilities; PR_GET_NO_NEW_PRIVS; PR_GET_SECCOMP; PR_CAPBSET_READ of each.
        let script = format!(
            "my ($head, $sets) = (pack('Ii', 0x20080522, 0), chr(0) x 24); syscall({}, $head, $sets); \
             print unpack('H*', $sets), ' ', syscall({prctl}, 39, 0, 0, 0, 0), ' ', syscall({prctl}, 21, 0, 0, 0, 0), ' ', \
             scalar grep {{ syscall({prctl}, 23, $_, 0, 0, 0) == 1 }} 0 .. 40",
            libc::SYS_capget,
            prctl = libc::SYS_prctl
        );
        let text = said(&launcher, &perl(&script));
        let (sets, rest) = text.split_once(' ').expect("four fields");
        assert_eq!(sets, "0".repeat(48), "{grade:?}");
        // In grade B only root can give up what no set-user-id program could give it: with no new privileges none can.
        let gives_up = grade == Grade::A || rustix::process::geteuid().is_root();
        assert!(rest == "1 2 0" || !gives_up && rest.starts_with("1 2 "), "{grade:?} {rest}");
    }
}

#[test]
fn in_grade_b_nothing_of_the_host_s_is_changed() {
    let launcher = launcher(Grade::B);
    let outside = tempfile::TempDir::new().expect("made");
    let file = outside.path().join("file");
    std::fs::write(&file, "kept").expect("written");
    let path = file.to_str().expect("text");
    let script = format!(
        "import os\n\
         def attempt(name, f):\n    \
             try: f(); print(name, 'done')\n    \
             except OSError as e: print(name, e.errno)\n\
         p = '{path}'\n\
         attempt('chmod', lambda: os.chmod(p, 0o777))\n\
         attempt('chown', lambda: os.chown(p, os.getuid(), os.getgid()))\n\
         attempt('utime', lambda: os.utime(p, (0, 0)))\n\
         attempt('setxattr', lambda: os.setxattr(p, 'user.x', b'x'))\n\
         attempt('truncate', lambda: os.truncate(p, 0))\n\
         attempt('unlink', lambda: os.unlink(p))\n\
         attempt('rename', lambda: os.rename(p, os.environ['TMPDIR'] + '/x'))\n\
         attempt('link', lambda: os.link(p, os.environ['TMPDIR'] + '/x'))\n\
         attempt('read', lambda: open(p).read())\n\
         attempt('list', lambda: os.listdir(os.path.dirname(p)))\n\
         attempt('tmp', lambda: os.rmdir(os.mkdir('/tmp/steward-b') or '/tmp/steward-b'))\n\
         attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5))\n\
         attempt('affinity', lambda: os.sched_setaffinity(os.getppid(), [0]))\n\
         attempt('kill', lambda: os.kill(os.getppid(), 0))\n\
         attempt('proc', lambda: os.listdir('/proc/%d' % os.getppid()))"
    );
    let text = said(&launcher, &python(&script));
    assert_eq!(text.lines().count(), 15, "{text}");
    assert!(!text.contains("done"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "kept");
}
