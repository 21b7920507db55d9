//! Agents that reach out of their sandbox: for the node's process, its home, other agents' folders, its door, the network.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::symlink,
            net::{SocketAddr, UnixListener},
        },
    },
};

use serde_json::{Value, json};

use crate::house::{House, Terms};

/// The names of what could be done.
#[track_caller]
fn done(found: &Value) -> Vec<&str> {
    found["done"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect()
}

#[test]
fn the_node_is_neither_traced_nor_signalled() {
    let house = House::begin(&[]);
    let node = house.pid();
    // PTRACE_ATTACH of the parent, of the node, and process_vm_readv: each ends the agent, and its standing.
    let tracers = [
        ("parent", "ptrace(16, os.getppid(), 0, 0)".to_owned()),
        ("attach", format!("ptrace(16, {node}, 0, 0)")),
        ("memory", format!("process_vm_readv({node}, 0, 0, 0, 0, 0)")),
    ];
    for (name, call) in &tracers {
        let script = format!(
            "from asking import *\nimport ctypes\nnode = Node(); node.plan()\n\
             ctypes.CDLL(None).{call}\nnode.done('alive')\n"
        );
        house.hire(name, "T2", &script);
    }
    // Signals with 0 only: what could be signalled could be killed.
    let signals = format!(
        "from asking import *\nnode = Node(); node.plan()\n\
         done, failed = attempts([(str(pid), lambda pid=pid: os.kill(pid, 0)) for pid in {} if pid != os.getpid()])\n\
         pids = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())\n\
         seen = [open('/proc/%d/cmdline' % pid).read() for pid in pids]\n\
         node.done({{'done': done, 'failed': failed, 'pids': pids, 'seen': seen}})\n",
        json!([node, std::process::id()])
    );
    house.hire("signals", "T2", &signals);
    house.hire(
        "modest",
        "T2",
        "from asking import *\nimport ctypes\nnode = Node(); node.plan()\n\
        pid = os.fork()\n\
        if pid == 0: time.sleep(1000)\n\
        os.kill(pid, 9)\n\
        node.done([os.waitpid(pid, 0)[1], ctypes.CDLL(None).getpid() == os.getpid()])\n",
    );
    let runs = tracers.clone().map(|(name, ..)| house.start(name, &Terms::default()));
    let (signals, modest) = (house.start("signals", &Terms::default()), house.start("modest", &Terms::default()));
    for (run, (name, ..)) in runs.into_iter().zip(&tracers) {
        let ended = run.ended();
        ended.is("revoked", "PROCEDURE_VIOLATION");
        let exit = house.exit(&ended.run);
        assert_eq!(
            (exit["ended_by"].as_str(), exit["signal"].as_u64()),
            (Some("seccomp"), Some(31)),
            "{name}: {exit:#}"
        );
        assert!(!house.files(name).join("found.json").exists(), "{name}");
        house.run(name, &Terms::default()).is("refused", "AGENT_PREVIOUSLY_REVOKED");
    }
    signals.ended().is("completed", "COMPLETED");
    let found = house.found("signals");
    assert_eq!(done(&found), [""; 0], "{found:#}");
    // The numbers of the machine's processes mean nothing inside.
    assert!(found["failed"].as_object().is_some_and(|f| f.values().all(|errno| errno == "ESRCH")), "{found:#}");
    let seen = found["seen"].to_string();
    assert!(found["pids"].as_array().is_some_and(|pids| pids.len() <= 3) && !seen.contains("up\\u0000"), "{found:#}");
    modest.ended().is("completed", "COMPLETED");
    assert_eq!(house.found("modest"), json!([9, true]));
    house.is_well(0);
    house.close();
}

#[test]
fn what_is_another_s_is_neither_read_nor_written() {
    let house = House::begin(&[]);
    for (name, script) in [("victim", ""), ("spy", ""), ("modest", "")] {
        house.hire(name, "T2", script);
    }
    let home = house.place.home();
    let victim = house.files("victim").join("private");
    fs::write(&victim, "the victim's own").expect("a file");
    let spy = house.files("spy");
    fs::write(spy.join("own"), "mine").expect("a file");
    fs::write(house.files("modest").join("own"), "mine").expect("a file");
    // Links in its own folder, as somebody else may have left them.
    for (name, to) in [
        ("sideways", victim.clone()),
        ("above", home.join("store.sqlite")),
        ("shadow", "/etc/shadow".into()),
        ("up", "../..".into()),
        ("root", "/".into()),
    ] {
        symlink(to, spy.join(name)).expect("a link");
    }
    let node = house.pid();
    let mut paths: Vec<String> = [
        "/etc/shadow",
        "/root",
        "/home",
        "/var",
        "/opt",
        "/sys",
        "/boot",
        "/dev/mem",
        "/dev/kmsg",
        "/proc/1/environ",
        "/proc/1/root",
        "/proc/kcore",
        "/proc/self/root/root",
        "/files/sideways",
        "/files/above",
        "/files/shadow",
        "/files/up/staging",
        "/files/root/var",
        "/files/../agents",
        "/files/../../victim",
        "/handoff",
        "/sys/fs/cgroup",
        "/run/steward/..//node",
    ]
    .map(str::to_owned)
    .into();
    paths.extend(["environ", "mem", "fd", "cwd", "root", "maps", "cmdline"].map(|name| format!("/proc/{node}/{name}")));
    let mut kept: Vec<String> =
        fs::read_dir(&home).expect("a home").flatten().map(|e| e.path().display().to_string()).collect();
    assert!(kept.len() > 5, "there is something to read: {kept:?}");
    paths.append(&mut kept);
    paths.extend([
        home.display().to_string(),
        victim.display().to_string(),
        house.place.path("config").display().to_string(),
    ]);
    // Opened, and nothing written; what is made is in folders of this test.
    let program = format!("/programs/spy-{}", house.token);
    let writes = [
        "/files/own",
        "/files/new",
        "/programs/new",
        program.as_str(),
        "/programs/asking.py",
        "/usr/bin/env",
        "/etc/passwd",
        "/bin/sh",
        "/run/steward/steward",
        "/proc/sys/kernel/hostname",
        "/proc/self/oom_score_adj",
        "/files/sideways",
    ];
    let script = |reads: &Value, writes: &Value| {
        format!(
            "from asking import *\nnode = Node(); node.plan()\n\
             def read(path):\n    \
                 if os.path.isdir(path): os.listdir(path)\n    \
                 else:\n        \
                     with open(path, 'rb') as f: f.read(1)\n\
             def write(path):\n    \
                 make = os.O_CREAT if path.endswith('/new') else 0\n    \
                 os.close(os.open(path, os.O_WRONLY | os.O_APPEND | make))\n\
             done, failed = attempts([('read ' + p, lambda p=p: read(p)) for p in {reads}])\n\
             more, refused = attempts([('write ' + p, lambda p=p: write(p)) for p in {writes}])\n\
             others, no = attempts([\n    \
                 ('link', lambda: os.link('/files/own', '/tmp/own')), ('symlink', lambda: os.symlink('/etc', '/files/etc')),\n    \
                 ('rename', lambda: os.rename('/files/own', '/files/other')), ('remove', lambda: os.remove('/files/own')),\n    \
                 ('mkdir', lambda: os.mkdir('/files/folder')), ('chmod', lambda: os.chmod('/files/own', 0o600)),\n    \
                 ('truncate', lambda: os.truncate('/files/own', 4))])\n\
             node.done({{'done': done + more + others, 'env': sorted(os.environ), 'failed': refused}})\n"
        )
    };
    let write = |name: &str, text: String| {
        fs::write(home.join("programs").join(format!("{name}-{}", house.token)), text).expect("a file");
    };
    write("spy", script(&json!(paths), &json!(writes)));
    write(
        "modest",
        script(&json!(["/files/own", "/etc/passwd", "/programs/asking.py", "/usr/bin/env"]), &json!(["/dev/null"])),
    );
    let [spying, modest] = ["spy", "modest"].map(|agent| house.start(agent, &Terms::default()));
    spying.ended().is("completed", "COMPLETED");
    let found = house.found("spy");
    assert_eq!(done(&found), [""; 0], "{found:#}");
    let environment = found["env"].to_string();
    for name in ["STEWARD_KEY", "STEWARD_CONFIG_DIR", "STEWARD_HTTP_ALLOW", "CARGO"] {
        assert!(!environment.contains(name), "{environment}");
    }
    modest.ended().is("completed", "COMPLETED");
    let found = house.found("modest");
    assert_eq!(
        done(&found),
        ["read /files/own", "read /etc/passwd", "read /programs/asking.py", "read /usr/bin/env", "write /dev/null"]
    );
    assert_eq!(fs::read(&victim).expect("there"), b"the victim's own");
    assert_eq!(fs::read(spy.join("own")).expect("there"), b"mine");
    assert!(!spy.join("new").exists() && !home.join("programs/new").exists());
    house.close();
}

#[test]
fn nobody_is_reached_by_a_socket() {
    let house = House::begin(&[]);
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let name = format!("steward-test-{}", house.token);
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("bound");
    house.hire("caller", "T2", "");
    // Where the agent sees it; the name of a socket has room for little.
    let beside = UnixListener::bind(house.files("caller").join("s")).expect("bound");
    let port = |address: std::io::Result<std::net::SocketAddr>| address.expect("known").port();
    let (node, tcp_port, udp_port) = (house.port(), port(tcp.local_addr()), port(udp.local_addr()));
    let script = format!(
        "from asking import *\nimport socket as S\nnode = Node(); node.plan()\n\
         def reach(family, kind, address):\n    \
             s = S.socket(family, kind); s.settimeout(5); s.connect(address); s.send(b'x')\n\
         def pair(address):\n    \
             a, b = S.socketpair(S.AF_UNIX, S.SOCK_DGRAM); a.sendto(b'x', address)\n\
         done, failed = attempts([\n    \
             ('node', lambda: reach(S.AF_INET, S.SOCK_STREAM, ('127.0.0.1', {node}))),\n    \
             ('node6', lambda: reach(S.AF_INET6, S.SOCK_STREAM, ('::ffff:127.0.0.1', {node}))),\n    \
             ('loopback', lambda: reach(S.AF_INET, S.SOCK_STREAM, ('127.0.0.1', {tcp_port}))),\n    \
             ('any', lambda: reach(S.AF_INET, S.SOCK_STREAM, ('0.0.0.0', {tcp_port}))),\n    \
             ('udp', lambda: reach(S.AF_INET, S.SOCK_DGRAM, ('127.0.0.1', {udp_port}))),\n    \
             ('metadata', lambda: reach(S.AF_INET, S.SOCK_STREAM, ('169.254.169.254', 80))),\n    \
             ('abstract', lambda: reach(S.AF_UNIX, S.SOCK_STREAM, '\\0{name}')),\n    \
             ('path', lambda: reach(S.AF_UNIX, S.SOCK_STREAM, '/files/s')),\n    \
             ('datagram', lambda: pair('\\0{name}')), ('netlink', lambda: S.socket(16, S.SOCK_RAW, 0)),\n    \
             ('packet', lambda: S.socket(17, S.SOCK_RAW, 3)), ('vsock', lambda: S.socket(40, S.SOCK_STREAM, 0))])\n\
         a, b = S.socketpair(); a.send(b'x')\n\
         tool = node.ask('exec', argv=['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/{node}'])\n\
         node.done({{'done': done, 'failed': failed, 'pair': b.recv(1).decode(), 'tool': tool['result']['code']}})\n"
    );
    fs::write(house.place.home().join("programs").join(format!("caller-{}", house.token)), script).expect("a file");
    for quiet in [
        tcp.set_nonblocking(true),
        udp.set_nonblocking(true),
        hidden.set_nonblocking(true),
        beside.set_nonblocking(true),
    ] {
        quiet.expect("set");
    }
    let ended = house.run("caller", &Terms::scope(&["fs.write:/**", "exec:bash"]));
    ended.is("completed", "COMPLETED");
    let found = house.found("caller");
    assert_eq!(done(&found), [""; 0], "{found:#}");
    let refused = found["failed"].as_object().expect("errors");
    assert!(refused.len() == 12 && refused.values().all(|errno| errno == "EPERM"), "{found:#}");
    // The twin: its own two ends.
    assert_eq!(found["pair"], "x");
    assert_ne!(found["tool"], 0, "neither does a tool reach the node");
    let nobody =
        [tcp.accept().is_err(), hidden.accept().is_err(), beside.accept().is_err(), udp.recv(&mut [0]).is_err()];
    assert_eq!(nobody, [true; 4], "nobody came");
    // Nobody knocked without a key either.
    assert_eq!(house.json(&["node", "status"])["unauthenticated"], 0);
    drop(beside);
    fs::remove_file(house.files("caller").join("s")).expect("removed");
    house.close();
}
