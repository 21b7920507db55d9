//! Agents that use up what they can. Each limit ends them, or refuses them what would pass it.

use steward_worker::{EndedBy, Grade, Limits, LimitsBy, Line, Spec, Worker as _};

use crate::common::{
    BOTH, ended, launcher, launcher_by, launcher_with_groups, mark, perl, python, run, said, sh, start, tight,
    with_mark,
};

#[test]
fn a_fork_bomb_stays_small() {
    for grade in BOTH {
        let launcher = launcher_with_groups(grade);
        let script = "import os, time\n\
            n = 0\n\
            try:\n    \
                while n < 400:\n        \
                    if os.fork() == 0:\n            \
                        os.setsid(); time.sleep(NAP)\n        \
                    n += 1\n    \
                print(n, 0)\n\
            except OSError as e:\n    print(n, e.errno)";
        let output = run(&launcher, &python(script));
        assert_eq!(output.exit.code, Some(0), "{:?}", output.exit);
        let text = String::from_utf8(output.stdout).expect("text");
        let (count, errno) = text.trim().split_once(' ').expect("two numbers");
        let most = tight().processes;
        assert!(count.parse::<u32>().expect("a number") <= most + 1, "{text}");
        assert_eq!(errno, "11");
        assert!(output.exit.refused_forks > 0, "{:?}", output.exit);
        // All of them had a session of their own, and ended with the one that made them.
        assert_eq!(with_mark(&mark()), [0; 0]);

        // All at once: each of them forks as fast as it can, and would make five hundred.
        let limits = Limits { wall_ms: 1500, ..tight() };
        let bomb = Spec { limits, ..perl("fork for 1 .. 9; sleep NAP") };
        let output = run(&launcher, &bomb);
        assert_eq!(output.exit.ended_by, EndedBy::WallTime, "{:?}", output.exit);
        assert!(output.exit.refused_forks > 0);
        assert_eq!(with_mark(&mark()), [0; 0]);
    }
}

#[test]
fn a_memory_flood_ends() {
    for grade in BOTH {
        let launcher = launcher_with_groups(grade);
        let exit = run(&launcher, &python("a = [bytearray(1 << 20) for _ in range(400)]\nprint('all of it')")).exit;
        assert_eq!(exit.ended_by, EndedBy::Memory, "{exit:?}");
        assert!(exit.oom_kills > 0 && exit.peak_memory_bytes.is_some_and(|peak| peak <= 128 << 20), "{exit:?}");
        // A child that floods does not take its parent with it for nothing: it is told, and counted.
        let text = said(&launcher, &sh("python3 -c 'x = bytearray(1 << 30)'; echo $?; true"));
        assert_eq!(text, "137\n");
        // Within the limit it is left alone.
        assert_eq!(said(&launcher, &python("x = bytearray(48 << 20); print(len(x))")).trim(), "50331648");
    }
}

#[test]
fn a_disk_flood_is_refused() {
    let launcher = launcher(Grade::A);
    let flood = "import os\n\
        n = 0\n\
        try:\n    \
            with open('/tmp/flood', 'wb', 0) as f:\n        \
                while n < 64 << 20: n += f.write(b'x' * 65536)\n\
        except OSError as e: print(n, e.errno)\n\
        os.remove('/tmp/flood')\n\
        n = 0\n\
        try:\n    \
            while n < 9000: open('/tmp/%d' % n, 'w').close(); n += 1\n\
        except OSError as e: print(n, e.errno)";
    let text = said(&launcher, &python(flood));
    let mut lines = text.lines().map(|l| l.split_once(' ').expect("two"));
    let ((bytes, full), (files, no_more)) = (lines.next().expect("one"), lines.next().expect("two"));
    let (bytes, files): (u64, u64) = (bytes.parse().expect("a number"), files.parse().expect("a number"));
    assert!(bytes <= 8 << 20 && bytes > 7 << 20, "{text}");
    assert!((500..=2048).contains(&files), "{text}");
    assert!(["27", "28"].contains(&full) && no_more == "28", "{text}");
    // There is nowhere else to write.
    let places = "find / -xdev -type d -writable; find /proc /dev /run /etc /usr -maxdepth 2 -type d -writable";
    assert_eq!(said(&launcher, &sh(&format!("({places}) 2>/dev/null; true"))), "/tmp\n");
    assert_eq!(said(&launcher, &sh("echo x > /tmp/x && cat /tmp/x && ls -A /tmp")), "x\nx\n");
}

#[test]
fn a_file_has_an_end_in_grade_b() {
    let launcher = launcher(Grade::B);
    let flood = "import os, sys\n\
        n = 0\n\
        try:\n    \
            with open(os.environ['TMPDIR'] + '/flood', 'wb', 0) as f:\n        \
                while n < 64 << 20: n += f.write(b'x' * 65536)\n\
        except OSError as e: print(n, e.errno)";
    assert_eq!(said(&launcher, &python(flood)).trim(), format!("{} 27", 8 << 20));
}

#[test]
fn an_output_flood_ends() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let limits = Limits { output_bytes: 100_000, ..tight() };
        for (script, on_stdout) in [("yes", true), ("yes >&2", false)] {
            let output = run(&launcher, &Spec { limits, ..sh(script) });
            assert_eq!(output.exit.ended_by, EndedBy::Output, "{:?}", output.exit);
            assert!(output.truncated && output.exit.output_bytes > 100_000);
            let kept = if on_stdout { &output.stdout } else { &output.stderr };
            assert_eq!(kept.len(), 100_000);
            assert!(output.exit.stderr_tail.len() <= 4096);
        }
        let within = run(&launcher, &Spec { limits, ..sh("head -c 100000 /dev/zero") });
        assert_eq!((within.exit.ended_by, within.truncated, within.stdout.len()), (EndedBy::Itself, false, 100_000));
        let mut session = start(&launcher, &Spec { limits, ..sh("yes") }).expect("starts");
        let mut heard = 0;
        while let Some(line) = session.from_agent.blocking_recv() {
            assert_eq!(line, Line::Text("y".to_owned()));
            heard += 2;
        }
        assert_eq!(heard, 100_000);
        assert_eq!(ended(session).ended_by, EndedBy::Output);
    }
}

#[test]
fn time_ends() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let limits = Limits { wall_ms: 300, ..tight() };
        let stubborn = "$SIG{TERM} = $SIG{INT} = $SIG{HUP} = 'IGNORE'; sleep NAP while 1";
        let exit = run(&launcher, &Spec { limits, ..perl(stubborn) }).exit;
        assert_eq!((exit.ended_by, exit.signal), (EndedBy::WallTime, Some(9)), "{exit:?}");
        assert!(exit.wall_ms >= 300, "{exit:?}");
        let session = start(&launcher, &Spec { limits, ..perl(stubborn) }).expect("starts");
        assert_eq!(ended(session).ended_by, EndedBy::WallTime);
        assert_eq!(with_mark(&mark()), [0; 0]);
    }
}

#[test]
fn files_that_are_open_are_counted() {
    for grade in BOTH {
        let launcher = launcher(grade);
        let limits = Limits { open_files: 50, ..tight() };
        let script = "import resource\nf = []\ntry:\n    while True: f.append(open('/dev/null'))\nexcept OSError as e: print(e.errno, len(f) <= 47)";
        assert_eq!(said(&launcher, &Spec { limits, ..python(script) }).trim(), "24 True");
    }
}

#[test]
fn without_control_groups_there_are_still_limits() {
    for grade in BOTH {
        let launcher = launcher_by(grade, Some(LimitsBy::Rlimits));
        assert_eq!(launcher.limits_by(), LimitsBy::Rlimits);
        let script = "try:\n    x = bytearray(1 << 30)\nexcept MemoryError: print('refused')";
        assert_eq!(said(&launcher, &python(script)).trim(), "refused");
        let exit = run(&launcher, &sh("true")).exit;
        assert_eq!((exit.cpu_ms, exit.peak_memory_bytes, exit.limits_by), (None, None, LimitsBy::Rlimits));
        // Killed all the same, with what has left its session.
        let session =
            start(&launcher, &sh("setsid sh -c 'sleep NAP & sleep NAP' & echo up; sleep NAP")).expect("starts");
        let mut from_agent = session.from_agent;
        assert_eq!(from_agent.blocking_recv(), Some(Line::Text("up".to_owned())));
        session.killer.kill();
        assert_eq!(session.exit.blocking_recv().expect("it ends").ended_by, EndedBy::Killed);
        assert_eq!(with_mark(&mark()), [0; 0]);
    }
}
