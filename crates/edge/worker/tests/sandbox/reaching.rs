//! Agents that reach for what is another's: files, folders, processes, sockets, descriptors.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    path::Path,
};

use rustix::fs::{Mode, OFlags};
use steward_worker::{EndedBy, Grade, Spec};
use tempfile::TempDir;

use crate::common::{BOTH, launcher, line, mount, perl, python, run, said, sh, start};

/// Tries to read each path, and prints those that it could.
fn reads(paths: &[String]) -> String {
    let list = paths.iter().map(|p| format!("'{p}'")).collect::<Vec<_>>().join(", ");
    format!(
        "import os\nfor p in [{list}]:\n    \
         try:\n        \
             if os.path.isdir(p): os.listdir(p)\n        \
             else:\n            \
                 with open(p, 'rb') as f: f.read(1)\n        \
             print(p)\n    \
         except OSError: pass"
    )
}

#[test]
fn what_is_another_s_is_not_read() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let home = TempDir::new().expect("made");
        let (own, other) = (home.path().join("agents/acme/a/files"), home.path().join("agents/acme/b/files"));
        for folder in [&own, &other] {
            fs::create_dir_all(folder).expect("made");
            fs::write(folder.join("file"), "content").expect("written");
        }
        fs::write(home.path().join("node.key"), "secret").expect("written");
        // Links that the agent's folder holds lead where the agent is, and not where the node is.
        std::os::unix::fs::symlink("../../b/files/file", own.join("sideways")).expect("linked");
        std::os::unix::fs::symlink(home.path().join("node.key"), own.join("up")).expect("linked");
        std::os::unix::fs::symlink("/etc/shadow", own.join("shadow")).expect("linked");
        let node = std::process::id();
        let mut paths: Vec<String> = [
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/hostname_of_node",
            "/root",
            "/home",
            "/var",
            "/boot",
            "/opt",
            "/mnt",
            "/sys",
            "/sys/kernel",
            "/dev/vda",
            "/dev/mem",
            "/dev/kmsg",
            "/proc/1/environ",
            "/proc/kcore",
            "/proc/1/root",
            "/sys/fs/cgroup",
            "sideways",
            "up",
            "shadow",
            "../b",
            "../../b/files/file",
            "/../etc/shadow",
            "/proc/self/root/root",
            "/run/systemd",
        ]
        .map(str::to_owned)
        .into();
        paths.extend(["environ", "mem", "fd", "cwd", "root", "maps", "cmdline"].map(|f| format!("/proc/{node}/{f}")));
        paths.push(home.path().display().to_string());
        paths.push(other.join("file").display().to_string());
        paths.push(home.path().join("node.key").display().to_string());
        let spec = Spec { mounts: vec![mount(&own, "/files")], ..python(&reads(&paths)) };
        assert_eq!(said(&launcher, &spec), "", "{grade:?}");
        // What it was granted, it reads.
        let granted = ["file", "/etc/passwd", "/usr/bin/env"].map(str::to_owned);
        let spec = Spec { mounts: vec![mount(&own, "/files")], ..python(&reads(&granted)) };
        assert_eq!(said(&launcher, &spec), "file\n/etc/passwd\n/usr/bin/env\n");
    }
}

#[test]
fn what_was_granted_is_not_written() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let files = TempDir::new().expect("made");
        fs::write(files.path().join("file"), "content").expect("written");
        fs::create_dir(files.path().join("folder")).expect("made");
        let before = fs::metadata(files.path().join("file")).expect("there");
        let script = "import os\n\
            def attempt(name, f):\n    \
                try: f(); print(name, 'done')\n    \
                except OSError as e: pass\n\
            tmp = os.environ['TMPDIR']\n\
            attempt('append', lambda: open('file', 'a'))\n\
            attempt('truncate', lambda: os.truncate('file', 0))\n\
            attempt('create', lambda: open('new', 'w'))\n\
            attempt('mkdir', lambda: os.mkdir('new'))\n\
            attempt('rmdir', lambda: os.rmdir('folder'))\n\
            attempt('unlink', lambda: os.unlink('file'))\n\
            attempt('rename', lambda: os.rename('file', 'other'))\n\
            attempt('rename out', lambda: os.rename('file', tmp + '/other'))\n\
            attempt('link', lambda: os.link('file', 'other'))\n\
            attempt('link out', lambda: os.link('file', tmp + '/other'))\n\
            attempt('symlink', lambda: os.symlink('/etc', 'other'))\n\
            attempt('fifo', lambda: os.mkfifo('fifo'))\n\
            attempt('chmod', lambda: os.chmod('file', 0o777))\n\
            attempt('utime', lambda: os.utime('file', (0, 0)))\n\
            attempt('reopen', lambda: os.open('/proc/self/fd/%d' % os.open('file', os.O_RDONLY), os.O_WRONLY))\n\
            print(open('file').read())";
        let spec = Spec { mounts: vec![mount(files.path(), "/files")], ..python(script) };
        assert_eq!(said(&launcher, &spec), "content\n", "{grade:?}");
        let after = fs::metadata(files.path().join("file")).expect("there");
        assert_eq!(fs::read_dir(files.path()).expect("readable").count(), 2);
        assert_eq!(before.modified().expect("known"), after.modified().expect("known"));
        assert_eq!(before.permissions(), after.permissions());
    }
}

#[test]
fn no_socket_is_reached() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let files = TempDir::new().expect("made");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let path = files.path().join("socket");
        let unix = UnixListener::bind(&path).expect("bound");
        let datagrams = UnixDatagram::bind(files.path().join("datagrams")).expect("bound");
        let name = crate::common::instance();
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("bound");
        for socket in [tcp.set_nonblocking(true), unix.set_nonblocking(true), hidden.set_nonblocking(true)] {
            socket.expect("set");
        }
        let (tcp_port, udp_port) = (tcp.local_addr().expect("known").port(), udp.local_addr().expect("known").port());
        let script = format!(
            "import os, socket\n\
             def attempt(name, f):\n    \
                 try: f(); print(name, 'done')\n    \
                 except OSError as e: print(name, e.errno)\n\
             S = socket\n\
             def reach(family, kind, address, protocol=0):\n    \
                 s = S.socket(family, kind, protocol); s.connect(address); s.send(b'x')\n\
             attempt('tcp', lambda: reach(S.AF_INET, S.SOCK_STREAM, ('127.0.0.1', {tcp_port})))\n\
             attempt('tcp6', lambda: reach(S.AF_INET6, S.SOCK_STREAM, ('::ffff:127.0.0.1', {tcp_port})))\n\
             attempt('udp', lambda: reach(S.AF_INET, S.SOCK_DGRAM, ('127.0.0.1', {udp_port})))\n\
             attempt('unix', lambda: reach(S.AF_UNIX, S.SOCK_STREAM, os.environ['STEWARD_FILES'] + '/socket'))\n\
             attempt('datagram', lambda: reach(S.AF_UNIX, S.SOCK_DGRAM, os.environ['STEWARD_FILES'] + '/datagrams'))\n\
             attempt('abstract', lambda: reach(S.AF_UNIX, S.SOCK_STREAM, '\\0{name}'))\n\
             attempt('raw', lambda: S.socket(S.AF_INET, S.SOCK_RAW, 1))\n\
             attempt('packet', lambda: S.socket(17, S.SOCK_RAW, 3))\n\
             attempt('netlink', lambda: S.socket(16, S.SOCK_RAW, 0))\n\
             attempt('vsock', lambda: S.socket(40, S.SOCK_STREAM, 0))\n\
             attempt('alg', lambda: S.socket(38, S.SOCK_SEQPACKET, 0))"
        );
        let spec = Spec { mounts: vec![mount(files.path(), "/files")], ..python(&script) };
        let text = said(&launcher, &spec);
        assert_eq!(text.lines().count(), 11, "{text}");
        assert!(text.lines().all(|line| line.ends_with(" 1")), "{text}");
        // A pair is no way out: both ends are the agent's. One of datagrams could name a receiver, and is refused.
        let script = format!(
            "import os, socket\n\
             S, address = socket, os.environ['STEWARD_FILES'] + '/datagrams'\n\
             a, b = S.socketpair(); a.send(b'x'); print(b.recv(1))\n\
             for kind in (S.SOCK_STREAM, S.SOCK_SEQPACKET, S.SOCK_DGRAM, S.SOCK_RAW, S.SOCK_DGRAM | S.SOCK_CLOEXEC):\n    \
                 for to in (address, '\\0{name}'):\n        \
                     for reach in (lambda s: s.sendto(b'x', to), lambda s: s.connect(to), lambda s: s.sendmsg([b'x'], [], 0, to)):\n            \
                         try: reach(S.socketpair(S.AF_UNIX, kind)[0]); print('reached', kind)\n            \
                         except OSError: pass"
        );
        let spec = Spec { mounts: vec![mount(files.path(), "/files")], ..python(&script) };
        let text = said(&launcher, &spec);
        // A connected pair takes the bytes and passes them to its own other end, whatever address stands beside them.
        assert!(text.starts_with("b'x'\n") && text.lines().skip(1).all(|l| l == "reached 5"), "{grade:?} {text}");
        let bash = format!("exec 3<>/dev/tcp/127.0.0.1/{tcp_port}");
        assert_ne!(run(&launcher, &crate::common::spec(&["/bin/bash", "-c", &bash])).exit.code, Some(0));
        // Nobody came.
        for came in [tcp.accept().is_ok(), unix.accept().is_ok(), hidden.accept().is_ok()] {
            assert!(!came);
        }
        for socket in [udp.set_nonblocking(true), datagrams.set_nonblocking(true)] {
            socket.expect("set");
        }
        assert!(udp.recv(&mut [0]).is_err() && datagrams.recv(&mut [0]).is_err());
    }
}

#[test]
fn nothing_of_the_node_is_inherited() {
    let folder = TempDir::new().expect("made");
    let path = folder.path().join("open");
    File::create(&path).expect("made").write_all(b"secret").expect("written");
    // Without O_CLOEXEC, as a careless library opens it; several, so that there are high numbers.
    let leaked: Vec<_> =
        (0..40).map(|_| rustix::fs::open(&path, OFlags::RDWR, Mode::empty()).expect("opened")).collect();
    for grade in BOTH {
        let launcher = launcher(grade);
        let script =
            "import os\nfor n in range(500):\n    try: os.fstat(n); print(n, end=' ')\n    except OSError: pass";
        assert_eq!(said(&launcher, &python(script)), "0 1 2 ", "{grade:?}");
        // Not even by the keeper, which is on this side.
        let mut session = start(&launcher, &sh("echo up; read end")).expect("starts");
        assert_eq!(line(&mut session).as_deref(), Some("up"));
        let mut looked_at = 0;
        for pid in crate::common::with_mark("sandbox-init\0keep").into_iter().filter(|pid| is_below_us(*pid)) {
            for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
                looked_at += 1;
                assert_ne!(fs::read_link(entry.path()).unwrap_or_default(), path, "{pid}");
            }
        }
        assert!(looked_at >= 3, "the keeper has three at least");
        session.killer.kill();
    }
    drop(leaked);
}

fn is_below_us(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
    parent == Some(std::process::id())
}

#[test]
fn the_node_is_not_traced() {
    let node = std::process::id();
    for grade in BOTH {
        let launcher = launcher(grade);
        // PTRACE_ATTACH and PTRACE_SEIZE, of the parent and of the node.
        for (request, pid) in [(16, "getppid".to_owned()), (0x4206, node.to_string()), (16, node.to_string())] {
            let script = format!("syscall({}, {request}, {pid}, 0, 0); print 'alive'", libc::SYS_ptrace);
            let output = run(&launcher, &perl(&script));
            assert_eq!((output.exit.ended_by, output.stdout.len()), (EndedBy::Seccomp, 0), "{:?}", output.exit);
        }
        // Signals go no further than the sandbox.
        let text = said(&launcher, &sh(&format!("kill -0 {node} 2>/dev/null; echo $?")));
        assert_eq!(text, "1\n", "{grade:?}");
        assert!(Path::new("/proc").join(node.to_string()).exists());
    }
}

#[test]
fn the_node_s_environment_is_its_own() {
    // Of whatever runs the tests there is always one.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    for (grade, names) in [(Grade::A, "HOME LANG PATH TMPDIR"), (Grade::B, "HOME LANG PATH TMPDIR")] {
        let script = "import os; print(*sorted(n for n in os.environ if n != 'LC_CTYPE'))";
        assert_eq!(said(&launcher(grade), &python(script)).trim(), names);
    }
}
