//! What works without root: everything.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Somebody who owns nothing.
const NOBODY: u32 = 65534;

/// Where control groups cannot be made, memory is limited by `setrlimit`, which counts what a program reserves: without the stages' being
/// frugal nothing could be started of grade A, and the demo's agents would be refused.
#[test]
fn the_demo_runs_its_agents_without_root() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("anybody may come in");
    // Where this was built need not be readable by anybody else.
    let program = folder.path().join("steward");
    fs::copy(env!("CARGO_BIN_EXE_steward"), &program).expect("a copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("anybody may start it");
    let (home, said) = (folder.path().join("home"), folder.path().join("said"));
    let mut command = Command::new(&program);
    command.arg("--home").arg(&home).args(["up", "--demo", "--listen", "127.0.0.1:0"]).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", folder.path()).current_dir("/").stdin(Stdio::null());
    command.stdout(fs::File::create(&said).expect("a file")).stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut node = command.spawn().expect("it starts");
    let start = Instant::now();
    let text = loop {
        let text = fs::read_to_string(&said).expect("it reads");
        if text.contains("Stop it with Ctrl-C") || start.elapsed() > Duration::from_secs(100) {
            break text;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    node.kill().expect("it ends");
    node.wait().expect("it ended");
    for ran in ["completed  designer", "revoked    novice", "refused    novice", "completed  veteran"] {
        assert!(text.contains(ran), "{text}");
    }
}
