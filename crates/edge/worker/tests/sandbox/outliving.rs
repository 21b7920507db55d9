//! Agents that want to stay: after the end of whatever holds them, nothing of them is left.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use steward_worker::{EndedBy, Grade, Launcher, LauncherSettings, Worker as _};

use crate::common::{
    BOTH, ended, helper, instance, launcher, launcher_with_groups, line, mark, marked, run, said, sh, start, with_mark,
};

/// Leaves processes in every way that a shell knows, each with the test's mark, and says when it has.
fn leave() -> String {
    let nap = "sleep NAP";
    format!(
        "trap '' TERM HUP INT; {nap} & setsid {nap} & (setsid sh -c '{nap} & {nap}' &) ; \
         setsid setsid sh -c 'trap \"\" TERM HUP; ({nap} &) ; {nap}' </dev/null >/dev/null 2>&1 & nohup {nap} >/dev/null 2>&1 & echo up; "
    )
}

#[test]
fn what_forked_twice_ends_with_the_agent() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let exit = run(&launcher, &sh(&format!("{} exit 7", leave()))).exit;
        assert_eq!((exit.code, exit.ended_by), (Some(7), EndedBy::Itself), "{exit:?}");
        assert_eq!(with_mark(&mark()), [0; 0]);
    }
}

#[test]
fn what_forked_twice_is_killed_with_it() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let mut session = start(&launcher, &sh(&format!("{} sleep NAP", leave()))).expect("starts");
        assert_eq!(line(&mut session).as_deref(), Some("up"));
        assert!(with_mark(&mark()).len() >= 3);
        session.killer.kill();
        session.killer.clone().kill();
        let exit = ended(session);
        assert_eq!((exit.ended_by, exit.signal), (EndedBy::Killed, Some(9)), "{exit:?}");
        assert_eq!(with_mark(&mark()), [0; 0]);
        assert_eq!(launcher.alive(), 0);
    }
}

#[test]
fn signals_go_no_further_than_the_sandbox() {
    let _after = LeaveNothing;
    let node = std::process::id();
    let bystander = Command::new("sleep").arg(mark()).spawn().expect("starts");
    let (launcher, mut bystander) = (launcher(Grade::B), bystander);
    // Signal 0 asks whether another would be delivered. In grade B everybody else can be named, and not reached.
    let script = format!(
        "for pid in {node} {} $PPID 1; do kill -0 $pid 2>/dev/null && echo reached $pid; done; \
         sleep NAP & kill -0 $! && kill -9 $! && echo own",
        bystander.id()
    );
    assert_eq!(said(&launcher, &sh(&script)), "own\n");
    bystander.kill().expect("still there");
    bystander.wait().expect("waited for");
}

#[test]
fn killing_everything_is_killing_oneself() {
    let launcher = launcher(Grade::A);
    // Only a pid namespace has a shell for one of its first processes: outside of one, nothing is killed.
    let script = "[ $$ -lt 9 ] || exit 1; sleep NAP & kill -9 -1; kill -9 1; wait; echo still; read end";
    let mut session = start(&launcher, &sh(script)).expect("starts");
    assert_eq!(line(&mut session).as_deref(), Some("still"));
    assert_eq!(with_mark(&mark()).len(), 1, "of the shell's own command line");
    let other = start(&launcher, &sh("read end")).expect("the node still starts things");
    drop((session.to_agent, other.to_agent));
    assert_eq!(session.exit.blocking_recv().expect("it ends").ended_by, EndedBy::Itself);
    assert_eq!(other.exit.blocking_recv().expect("it ends").ended_by, EndedBy::Itself);
}

#[test]
fn a_launcher_takes_all_with_it() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let mut sessions: Vec<_> =
            (0..3).map(|_| start(&launcher, &sh(&format!("{} sleep NAP", leave()))).expect("starts")).collect();
        for session in &mut sessions {
            assert_eq!(line(session).as_deref(), Some("up"));
        }
        drop(launcher);
        assert_eq!(with_mark(&mark()), [0; 0]);
        for session in sessions {
            assert_eq!(ended(session).ended_by, EndedBy::Killed);
        }
    }
}

#[test]
fn a_killed_node_takes_all_with_it() {
    let _after = LeaveNothing;
    drop(launcher_with_groups(Grade::A));
    for grade in ["A", "B"] {
        let mark = &mark();
        let instance = instance();
        let mut node = node(&instance, grade, &format!("{} sleep NAP", leave()));
        assert!(with_mark(mark).len() >= 3);
        node.kill().expect("killed");
        node.wait().expect("waited for");
        // They end on their own, as fast as the kernel and the keeper are.
        assert!(soon(|| with_mark(mark).is_empty()), "left in {grade}: {:?}", with_mark(mark));
        // Their groups stay, until the next node of that home sweeps.
        assert_ne!(groups_of(&instance), [""; 0]);
        let launcher =
            Launcher::start(LauncherSettings { helper: helper(), instance: instance.clone() }).expect("starts");
        launcher.sweep().expect("swept");
        assert_eq!(launcher.sweep().expect("swept again"), 0);
        drop(launcher);
        assert_eq!(groups_of(&instance), [""; 0]);
    }
}

#[test]
fn what_outlives_even_that_is_swept() {
    let _after = LeaveNothing;
    drop(launcher_with_groups(Grade::B));
    let instance = instance();
    let mark = &mark();
    let mut node = node(&instance, "B", &format!("{} sleep NAP", leave()));
    // The one thing that grade B does not hold by itself: the keeper is killed before the node, and by somebody else.
    let node_id = Pid::from_raw(i32::try_from(node.id()).expect("small")).expect("not zero");
    kill_process(node_id, Signal::STOP).expect("stopped");
    for keeper in with_mark(&format!("\"instance\":\"{instance}\"")) {
        kill_process(Pid::from_raw(keeper).expect("not zero"), Signal::KILL).expect("killed");
    }
    node.kill().expect("killed");
    node.wait().expect("waited for");
    assert!(!with_mark(mark).is_empty(), "otherwise there is nothing to sweep");
    let launcher = Launcher::start(LauncherSettings { helper: helper(), instance: instance.clone() }).expect("starts");
    let mut mine = start(&launcher, &sh("echo up; read end")).expect("starts");
    assert_eq!(line(&mut mine).as_deref(), Some("up"));
    assert!(launcher.sweep().expect("swept") >= 3);
    assert_eq!(with_mark(mark), [0; 0]);
    // Mine was left alone.
    drop(mine.to_agent);
    let exit = mine.exit.blocking_recv().expect("it ends");
    assert_eq!((exit.signal, exit.ended_by), (None, EndedBy::Itself));
    drop(launcher);
    assert_eq!(groups_of(&instance), [""; 0]);
}

#[test]
fn two_nodes_of_one_machine_leave_each_other_alone() {
    let (one, other) = (launcher(Grade::A), launcher(Grade::A));
    let mut session = start(&one, &sh("echo up; read end; echo end")).expect("starts");
    assert_eq!(line(&mut session).as_deref(), Some("up"));
    assert_eq!(other.sweep().expect("swept"), 0);
    session.to_agent.blocking_send("go".to_owned()).expect("heard");
    assert_eq!(line(&mut session).as_deref(), Some("end"));
    assert_eq!(ended(session).code, Some(0));
}

/// Kills what a broken guard has left, when the test that found it ends.
struct LeaveNothing;

impl Drop for LeaveNothing {
    fn drop(&mut self) {
        for pid in with_mark(&mark()).into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A node in a process of its own, whose agent has said something.
fn node(instance: &str, grade: &str, script: &str) -> Child {
    let program = helper().with_file_name("sandbox_node");
    let mut node = Command::new(program)
        .args([instance, grade, &marked(script)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the node starts");
    let mut said = String::new();
    BufReader::new(node.stdout.as_mut().expect("piped")).read_line(&mut said).expect("it talks");
    assert_eq!(said, "up\n");
    node
}

/// Whether it comes to be so, as everything does that only the kernel's time stands between.
fn soon(is_so: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if is_so() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// The control groups of single processes of this instance.
fn groups_of(instance: &str) -> Vec<String> {
    fn walk(folder: &Path, name: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() == name {
                let below = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
                let folders = below.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
                found.extend(folders.map(|e| e.path().display().to_string()));
            } else {
                walk(&entry.path(), name, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &format!("steward-{instance}"), &mut found);
    found
}
