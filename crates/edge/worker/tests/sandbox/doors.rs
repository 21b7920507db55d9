//! Agents with a door: they reach their node over their own loopback, and nothing else.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
};

use steward_worker::{DOOR_PORT, EffectError, Grade, Mount, Spec};
use tempfile::TempDir;

use crate::common::{launcher, line, python, run, start};

fn with_door(script: &str) -> Spec {
    Spec { door: true, ..python(script) }
}

#[test]
fn the_node_is_reached_from_inside_and_only_there() {
    let launcher = launcher(Grade::A);
    // Something of the machine listens on the same address, and is another.
    let outside = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = outside.local_addr().expect("known").port();
    let script = format!(
        "import socket\n\
         def ask(port):\n    \
             try:\n        \
                 s = socket.create_connection(('127.0.0.1', port), 5)\n        \
                 s.sendall(b'ping')\n        \
                 return s.recv(9).decode()\n    \
             except OSError as e: return type(e).__name__\n\
         print(ask({DOOR_PORT}), ask({port}), flush=True)"
    );
    let mut session = start(&launcher, &with_door(&script)).expect("starts");
    let door = session.door.take().expect("a door");
    let (mut inside, _) = door.accept().expect("the agent connects");
    let mut said = [0; 4];
    inside.read_exact(&mut said).expect("it speaks");
    inside.write_all(b"pong").expect("it listens");
    assert_eq!((&said, line(&mut session).expect("a line").as_str()), (b"ping", "pong ConnectionRefusedError"));
}

#[test]
fn two_sandboxes_do_not_share_a_door() {
    let launcher = launcher(Grade::A);
    let script =
        "import socket; s = socket.create_connection(('127.0.0.1', 7373), 5); print(s.recv(9).decode(), flush=True)";
    let mut sessions = [0, 1].map(|_| start(&launcher, &with_door(script)).expect("starts"));
    // In the other order: each is told what is said through its own.
    for n in [1, 0] {
        let (mut inside, _) = sessions[n].door.take().expect("a door").accept().expect("the agent connects");
        inside.write_all(format!("door {n}").as_bytes()).expect("it listens");
    }
    for (n, session) in sessions.iter_mut().enumerate() {
        assert_eq!(line(session), Some(format!("door {n}")));
    }
}

#[test]
fn no_other_socket_is_to_be_had() {
    let launcher = launcher(Grade::A);
    let script = "import socket\n\
        f, t = socket, lambda *a: (socket.socket(*a).close(), 'got')[1]\n\
        for a in [(f.AF_INET, f.SOCK_DGRAM), (f.AF_INET, f.SOCK_RAW, 1), (f.AF_INET6, f.SOCK_STREAM), (f.AF_UNIX, f.SOCK_STREAM), \
        (f.AF_UNIX, f.SOCK_DGRAM), (f.AF_NETLINK, f.SOCK_RAW), (f.AF_PACKET, f.SOCK_RAW), (f.AF_INET, f.SOCK_STREAM, 132), \
        (f.AF_INET, f.SOCK_STREAM, 262), (f.AF_VSOCK, f.SOCK_STREAM)]:\n    \
            try: print(a, t(*a), flush=True)\n    \
            except PermissionError: pass\n\
        print(t(f.AF_INET, f.SOCK_STREAM), t(f.AF_INET, f.SOCK_STREAM, 6), flush=True)\n\
        for address in ['10.0.0.1', '192.0.2.1', '169.254.169.254']:\n    \
            s = socket.socket(); s.settimeout(5)\n    \
            try: s.connect((address, 80)); print('reached', address, flush=True)\n    \
            except OSError as e: print(e.errno, flush=True)";
    let mut session = start(&launcher, &with_door(script)).expect("starts");
    let said: Vec<String> = std::iter::from_fn(|| line(&mut session)).collect();
    // ENETUNREACH: there is no route to anywhere.
    assert_eq!(said, ["got got", "101", "101", "101"]);
}

#[test]
fn a_door_needs_a_network_of_its_own() {
    let weaker = launcher(Grade::B);
    let refused = start(&weaker, &with_door("print()")).expect_err("refused");
    assert!(matches!(refused, EffectError::SandboxTooWeak { .. }), "{refused}");
}

#[test]
fn only_what_is_to_be_written_is() {
    let launcher = launcher(Grade::A);
    let (own, other) = (TempDir::new().expect("made"), TempDir::new().expect("made"));
    let mount = |from: &TempDir, at: &str, writable| Mount {
        from: from.path().to_owned(),
        at: at.to_owned(),
        executable: false,
        writable,
    };
    let script = "for p in ['/data/a', '/other/a', '/data/../b']:\n    \
        try: open(p, 'w').write('x'); print(p)\n    \
        except OSError: pass";
    let mounts = vec![mount(&own, "/data", true), mount(&other, "/other", false)];
    let output = run(&launcher, &Spec { mounts, ..python(script) });
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "/data/a");
    assert_eq!(fs::read(own.path().join("a")).expect("written"), b"x");
    assert_eq!(fs::read_dir(other.path()).expect("a folder").count(), 0);
}
