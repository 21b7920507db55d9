//! Well-behaved agents and tools: what they need is there, and what they do is heard.

use std::{fs, time::Instant};

use steward_permit::{Action, ActionName, Resource, ResourceKind};
use steward_worker::{EndedBy, Grade, Line, MAX_LINE_BYTES, Spec, Worker as _};
use tempfile::TempDir;

use crate::common::{
    BOTH, ended, launcher, line, mark, mount, perl, python, run, said, sh, spec, start, warrant, with_mark,
};

const ECHO: &str = "import sys\nfor line in sys.stdin:\n    sys.stdout.write(line)\n    sys.stdout.flush()";

#[test]
fn an_agent_talks_in_lines() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let mut session = start(&launcher, &python(ECHO)).expect("starts");
        assert_eq!(launcher.alive(), 1);
        let long = "ä".repeat(30_000);
        for said in ["one", "", "{\"ready\":{\"pid\":1,\"without\":[]}}", &long] {
            session.to_agent.blocking_send(said.to_owned()).expect("heard");
            assert_eq!(line(&mut session).as_deref(), Some(said));
        }
        session.to_agent.blocking_send("two\nlines".to_owned()).expect("heard");
        assert_eq!(line(&mut session).as_deref(), Some("two lines"));
        let (to_agent, mut from_agent) = (session.to_agent, session.from_agent);
        drop(to_agent);
        assert_eq!(from_agent.blocking_recv(), None);
        let exit = session.exit.blocking_recv().expect("it ends");
        assert_eq!((exit.code, exit.signal, exit.ended_by), (Some(0), None, EndedBy::Itself), "{exit:?}");
        assert_eq!((exit.grade, exit.limits_by), (grade, launcher.limits_by()));
        assert!(exit.output_bytes > 60_000 && exit.oom_kills == 0 && exit.refused_forks == 0, "{exit:?}");
        assert_eq!(launcher.alive(), 0);
        // Of something that is over, killing again is nothing.
        session.killer.kill();
    }
}

#[test]
fn lines_that_are_none_are_told() {
    let launcher = launcher(Grade::A);
    let script = format!(
        "$| = 1; print 'x' x {MAX_LINE_BYTES}, \"\\n\"; print 'x' x ({MAX_LINE_BYTES} + 1), \"\\n\\xff\\n\"; print 'y' for 1 .. 300000; print \"\\nlast\""
    );
    let mut session = start(&launcher, &perl(&script)).expect("starts");
    let mut heard = Vec::new();
    while let Some(line) = session.from_agent.blocking_recv() {
        heard.push(line);
    }
    let whole = Line::Text("x".repeat(MAX_LINE_BYTES));
    assert_eq!(heard, [whole, Line::TooLong, Line::NotText, Line::TooLong, Line::Text("last".to_owned())]);
    assert_eq!(ended(session).code, Some(0));
}

#[test]
fn a_tool_is_given_input_and_ends_as_it_does() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let spec = sh("cat; echo wrong >&2; exit 3");
        let resource = Resource::new(ResourceKind::Command, "sh").expect("valid");
        let action =
            Action::new("acme.internal".parse().expect("valid"), ActionName::parse("shell").expect("valid"), resource)
                .with_arguments(spec.digest());
        let input = vec![b'i'; 300_000];
        let output = launcher.run(&warrant(&action), &action, &spec, &input).expect("runs");
        assert!(output.stdout == input && !output.truncated);
        assert_eq!(output.stderr, b"wrong\n");
        assert_eq!((output.exit.code, output.exit.stderr_tail.as_str()), (Some(3), "wrong\n"));
        let killed = run(&launcher, &sh("kill -USR1 $$"));
        assert_eq!((killed.exit.code, killed.exit.signal), (None, Some(10)), "{:?}", killed.exit);
        assert_eq!(killed.exit.ended_by, EndedBy::Itself);
        // What does not read its input is not waited for.
        assert_eq!(launcher.run(&warrant(&action), &action, &spec, b"").expect("runs").exit.code, Some(3));
        assert_eq!(said(&launcher, &sh("exec true")), "");
    }
}

#[test]
fn what_a_program_needs_is_there() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let files = TempDir::new().expect("made");
        fs::write(files.path().join("a.txt"), "content").expect("written");
        let programs = TempDir::new().expect("made");
        fs::write(programs.path().join("agent.py"), "import json, os, subprocess, tempfile, threading\n\
            with open('a.txt') as f: text = f.read()\n\
            with open(os.environ['STEWARD_FILES'] + '/a.txt') as f: assert f.read() == text\n\
            with tempfile.TemporaryFile() as f: f.write(b'scratch')\n\
            children = [subprocess.run(['sh', '-c', 'echo $0 | tr a-z A-Z', 'child'], capture_output=True) for _ in range(4)]\n\
            t = threading.Thread(target=lambda: None); t.start(); t.join()\n\
            r, w = os.pipe(); os.write(w, b'x'); os.urandom(8); open('/dev/null', 'w').write('x')\n\
            print(json.dumps([text, children[0].stdout.decode(), os.environ['LANG'], os.environ['EXTRA']]))\n")
            .expect("written");
        let spec = Spec {
            mounts: vec![mount(files.path(), "/files"), mount(programs.path(), "/programs")],
            env: vec![("EXTRA".into(), "given".into())],
            ..spec(&["python3", "/programs/agent.py"])
        };
        assert_eq!(said(&launcher, &spec).trim(), r#"["content", "CHILD\n", "C.UTF-8", "given"]"#);
    }
}

#[test]
fn shells_find_their_devices() {
    let launcher = launcher(Grade::A);
    let output = run(&launcher, &sh("echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/fd/0; id -un"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\nagent\n", "{:?}", output.exit);
    assert_eq!(output.stderr, b"err\n");
}

#[test]
fn only_what_is_executable_is_started() {
    let launcher = launcher(Grade::A);
    let programs = TempDir::new().expect("made");
    let file = programs.path().join("tool");
    fs::write(&file, "#!/bin/sh\necho started\n").expect("written");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let at = |executable| {
        let mut mount = mount(programs.path(), "/programs");
        mount.executable = executable;
        Spec { mounts: vec![mount], ..spec(&["tool"]) }
    };
    assert_eq!(said(&launcher, &at(true)), "started\n");
    assert_eq!(run(&launcher, &at(false)).exit.code, Some(126));
}

#[test]
fn what_cannot_start_says_so() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let gone = TempDir::new().expect("made").path().to_owned();
        for (spec, code) in [
            (spec(&["no-such-program"]), "NO_SUCH_PROGRAM"),
            (spec(&["/usr/bin"]), "NO_SUCH_PROGRAM"),
            (spec(&["/etc/shadow"]), "NO_SUCH_PROGRAM"),
            (spec(&[""]), "SPEC_REFUSED"),
            (Spec { mounts: vec![mount(&gone, "/files")], ..spec(&["true"]) }, "SPEC_REFUSED"),
            (Spec { mounts: vec![mount("/".as_ref(), "/files")], ..spec(&["true"]) }, "SPEC_REFUSED"),
        ] {
            assert_eq!(start(&launcher, &spec).expect_err(code).code(), code, "{spec:?}");
        }
        assert_eq!(launcher.alive(), 0);
    }
    let weak = launcher(Grade::B);
    let spec = Spec { minimum: Grade::A, ..spec(&["true"]) };
    assert_eq!(start(&weak, &spec).expect_err("weak").code(), "SANDBOX_TOO_WEAK");
}

#[test]
fn a_helper_that_is_none_is_found_out() {
    for helper in ["/bin/true", "/bin/cat", "/bin/yes", "/no/such/file"] {
        let settings = steward_worker::LauncherSettings { helper: helper.into(), ..crate::common::settings() };
        let error = steward_worker::Launcher::start(settings).expect_err(helper);
        assert_eq!(error.code(), "SANDBOX_UNAVAILABLE", "{error}");
    }
    for instance in ["", "A", "a/b", "..", &"a".repeat(33)] {
        let settings = steward_worker::LauncherSettings { instance: instance.into(), ..crate::common::settings() };
        assert_eq!(steward_worker::Launcher::start(settings).expect_err(instance).code(), "SPEC_REFUSED");
    }
}

#[test]
fn nothing_starts_that_was_not_permitted() {
    let launcher = launcher(Grade::A);
    let spec = sh("true");
    let action = |name: &str, kind, id: &str| {
        let resource = Resource::new(kind, id).expect("valid");
        Action::new("acme.internal".parse().expect("valid"), ActionName::parse(name).expect("valid"), resource)
    };
    let (exec, shell) =
        (action("exec", ResourceKind::Command, "/bin/sh"), action("shell", ResourceKind::Command, "sh"));
    let agent = action("agent.start", ResourceKind::Agent, "scribe.acme.internal");
    let digest = spec.digest();
    // Permitted is one thing; asked for is another.
    for (permitted, asked) in [
        (exec.clone().with_arguments(digest), shell.clone().with_arguments(digest)),
        (exec.clone(), exec.clone()),
        (shell.clone(), shell.clone()),
        (agent.clone(), agent.clone()),
    ] {
        for error in [
            launcher.run(&warrant(&permitted), &asked, &spec, b"").map(drop).expect_err("run"),
            launcher.start(&warrant(&permitted), &asked, &spec).map(drop).expect_err("start"),
        ] {
            assert_eq!(error.code(), "WARRANT_MISMATCH");
        }
    }
    // A permitted action that is not for this.
    for asked in [
        agent.clone(),
        action("exec", ResourceKind::Command, "/bin/true"),
        action("exec", ResourceKind::File, "/bin/sh"),
        action("shell", ResourceKind::Command, "/bin/sh"),
        action("fs.write", ResourceKind::Command, "/bin/sh"),
    ] {
        let asked = asked.with_arguments(digest);
        assert_eq!(launcher.run(&warrant(&asked), &asked, &spec, b"").expect_err("run").code(), "WARRANT_MISMATCH");
    }
    // A shell is `sh -c script` and nothing else.
    for argv in [
        &["/bin/sh", "-c", "true", "x"][..],
        &["/bin/sh", "script"],
        &["sh", "-c", "true"],
        &["/bin/bash", "-c", "true"],
    ] {
        let spec = crate::common::spec(argv);
        let asked = shell.clone().with_arguments(spec.digest());
        assert_eq!(launcher.run(&warrant(&asked), &asked, &spec, b"").expect_err("run").code(), "WARRANT_MISMATCH");
    }
    for asked in [exec, shell, action("agent.start", ResourceKind::Command, "/bin/sh")] {
        let asked = asked.with_arguments(digest);
        assert_eq!(
            launcher.start(&warrant(&asked), &asked, &spec).map(drop).expect_err("start").code(),
            "WARRANT_MISMATCH"
        );
    }
    let asked = agent.with_arguments(digest);
    assert_eq!(ended(launcher.start(&warrant(&asked), &asked, &spec).expect("permitted")).code, Some(0));
}

#[test]
fn an_agent_that_nobody_hears_ends() {
    for grade in BOTH {
        let launcher = launcher(grade);
        // Once while it is silent, once while it talks.
        for script in ["sleep NAP", "while :; do echo talking; done; sleep NAP"] {
            let session = start(&launcher, &sh(script)).expect("starts");
            drop(session.from_agent);
            let exit = session.exit.blocking_recv().expect("it ends");
            assert_eq!(exit.ended_by, EndedBy::Killed, "{exit:?}");
            assert!(with_mark(&mark()).is_empty());
        }
    }
}

#[test]
fn nobody_waits_for_ever() {
    for grade in BOTH {
        let launcher = launcher(grade);
        // An agent that talks to a node that does not listen, and one that does not listen to a node that talks.
        let mut talks = start(&launcher, &sh("while :; do echo talking; done")).expect("starts");
        let deaf = start(&launcher, &sh("echo up; sleep NAP")).expect("starts");
        assert_eq!(line(&mut talks).as_deref(), Some("talking"));
        let mut sent = 0;
        while deaf.to_agent.try_send("x".repeat(MAX_LINE_BYTES)).is_ok() || sent == 0 {
            sent += 1;
        }
        assert!(sent < 100, "what waits is bounded");
        for session in [talks, deaf] {
            session.killer.kill();
            assert_eq!(ended(session).ended_by, EndedBy::Killed);
        }
        assert_eq!(launcher.alive(), 0);
    }
}

#[test]
fn many_run_at_once() {
    let launcher = launcher(Grade::A);
    std::thread::scope(|scope| {
        for n in 0..24 {
            let launcher = &launcher;
            scope.spawn(move || {
                let mut session = start(launcher, &sh("read n; echo $n; read end")).expect("starts");
                session.to_agent.blocking_send(n.to_string()).expect("heard");
                assert_eq!(line(&mut session), Some(n.to_string()));
                if n % 2 == 0 {
                    session.killer.kill();
                }
                let (to_agent, exit) = (session.to_agent, session.exit);
                drop(to_agent);
                let ended_by = exit.blocking_recv().expect("it ends").ended_by;
                assert_eq!(ended_by, if n % 2 == 0 { EndedBy::Killed } else { EndedBy::Itself });
            });
        }
    });
    assert_eq!(launcher.alive(), 0);
}

#[test]
fn starting_takes() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let mut times: Vec<u128> = (0..20)
            .map(|_| {
                let begin = Instant::now();
                let mut session = start(&launcher, &sh("echo up")).expect("starts");
                assert_eq!(line(&mut session).as_deref(), Some("up"));
                let took = begin.elapsed().as_micros();
                ended(session);
                took
            })
            .collect();
        times.sort_unstable();
        println!("grade {}: start to first line, in microseconds: {times:?}", grade.as_str());
    }
}
