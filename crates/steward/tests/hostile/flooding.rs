//! Agents that use up what they can: processes, memory, disk, output, lines.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, Terms, soon};

/// Forks until it cannot, and stays; everybody in a session of their own.
const FORKS: &str = "from asking import *
node = Node(); node.plan()
n, errno = 0, 0
while n < 600:
    try:
        if os.fork() == 0:
            os.setsid(); time.sleep(3000)
    except OSError as error:
        errno = error.errno
        break
    n += 1
node.tell('count', json.dumps([n, errno]))
time.sleep(3000)
";

/// What a node must bear, and a twin does within its bounds: processes, memory, disk, a long line, standard error.
const MODEST: &str = "from asking import *
node = Node(); node.plan()
children = []
for n in range(20):
    pid = os.fork()
    if pid == 0: os._exit(7)
    children.append(pid)
ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
memory = len(bytearray(64 << 20))
with open('/tmp/some', 'wb') as f: f.write(b'x' * (16 << 20))
disk = os.path.getsize('/tmp/some')
sys.stderr.write('words\\n' * 10000)
long = node.code('fs.write', path='/long', content='x' * 200000)
node.done({'ended': ended, 'memory': memory, 'disk': disk, 'long': long})
";

#[test]
fn floods_of_processes_memory_and_disk_end_where_they_began() {
    let house = House::begin(&[]);
    // One that has nothing to do with it, and is there all the time.
    house.hire(
        "quiet",
        "T2",
        "from asking import *\nnode = Node(); node.plan()\nnode.tell('ready')\n\
        n, slowest = 0, 0\n\
        while not os.path.exists('/files/enough'):\n    \
            begin = time.monotonic()\n    \
            assert node.code('fs.write', path='/count', content=str(n)) == 'OK'\n    \
            slowest = max(slowest, time.monotonic() - begin); n += 1; time.sleep(0.05)\n\
        node.done({'n': n, 'slowest': slowest})\n",
    );
    let quiet = house.start("quiet", &Terms::default());
    house.until_told("quiet", "ready");

    house.hire("forks", "T2", FORKS);
    house.hire_with("perl", "bomb", "T2", "$| = 1; my $begin = <STDIN>; fork for 1 .. 9; sleep 3000 while 1;\n");
    house.hire("memory", "T2", "from asking import *\nnode = Node(); node.plan()\nhoard = [bytearray(1 << 20) for _ in range(3000)]\nnode.done(1)\n");
    house.hire(
        "disk",
        "T2",
        "from asking import *\nnode = Node(); node.plan()\n\
        found = {'bytes': 0, 'files': 0}\n\
        try:\n    \
            with open('/tmp/flood', 'wb', 0) as f:\n        \
                while found['bytes'] < 600 << 20: found['bytes'] += f.write(b'x' * (1 << 20))\n\
        except OSError as error: found['full'] = error.errno\n\
        os.remove('/tmp/flood')\n\
        try:\n    \
            while found['files'] < 200000: open('/tmp/%d' % found['files'], 'w').close(); found['files'] += 1\n\
        except OSError as error: found['no_more'] = error.errno\n\
        node.done(found)\n",
    );
    house.hire("modest", "T2", MODEST);
    let [forks, bomb, memory, disk, modest] =
        ["forks", "bomb", "memory", "disk", "modest"].map(|agent| house.start(agent, &Terms::default()));

    let memory = memory.ended();
    memory.is("failed", "SANDBOX_LIMIT");
    let exit = house.exit(&memory.run);
    assert_eq!(exit["ended_by"], "memory", "{exit:#}");
    assert!(exit["oom_kills"].as_u64().is_some_and(|n| n > 0), "{exit:#}");

    disk.ended().is("completed", "COMPLETED");
    let found = house.found("disk");
    let number = |name: &str| found[name].as_u64().unwrap_or_else(|| panic!("{name}: {found:#}"));
    assert!((200 << 20..=256 << 20).contains(&number("bytes")), "{found:#}");
    assert!([27, 28].contains(&number("full")) && number("no_more") == 28, "{found:#}");
    assert!(number("files") < 200_000, "{found:#}");

    modest.ended().is("completed", "COMPLETED");
    let found = house.found("modest");
    assert_eq!(found["ended"], Value::from(vec![7; 20]), "{found:#}");
    assert_eq!((found["long"].as_str(), found["disk"].as_u64()), (Some("OK"), Some(16 << 20)), "{found:#}");

    // Both bombs went off, and the node answers.
    house.until_told("forks", "count");
    let count: Value =
        serde_json::from_slice(&std::fs::read(house.files("forks").join("count")).expect("there")).expect("JSON");
    assert!(count[0].as_u64().is_some_and(|n| n <= 128) && count[1] == 11, "{count}");
    let begin = Instant::now();
    house.is_well(3);
    assert!(begin.elapsed() < Duration::from_secs(20), "the node is slow: {:?}", begin.elapsed());
    for (agent, run) in [("forks", forks), ("bomb", bomb)] {
        house.does(&["run", "stop", &house.live(agent), "--reason", "it forks"]);
        let ended = run.ended();
        ended.is("stopped", "STOPPED");
        let exit = house.exit(&ended.run);
        assert!(exit["refused_forks"].as_u64().is_some_and(|n| n > 0), "{agent}: {exit:#}");
    }
    soon("only the quiet one is left", || house.json(&["node", "status"])["runs_live"] == 1);

    house.put("quiet", "enough", "");
    quiet.ended().is("completed", "COMPLETED");
    let found = house.found("quiet");
    assert!(found["n"].as_u64().is_some_and(|n| n >= 3), "{found}");
    house.close();
}

#[test]
fn floods_of_output_and_lines_end_the_run() {
    let house = House::begin(&[]);
    let talkers = [
        // Each is one error, and the second of one kind is enough.
        ("yes", "sh", "read -r begin; exec yes", "revoked", "REPEATED_ERROR"),
        (
            "chatter",
            "sh",
            "read -r begin; echo hello; read -r no; echo world; read -r no; sleep 3000",
            "revoked",
            "REPEATED_ERROR",
        ),
        (
            "binary",
            "perl",
            "$| = 1; <STDIN>; print \"\\xff\\xfe\\n\"; <STDIN>; print \"[1]\\n\"; <STDIN>; print '{\"id\":-1}', \"\\n\"; sleep 3000;",
            "revoked",
            "ERROR_BUDGET_EXCEEDED",
        ),
        // A line without an end is one error, however long; the output has an end.
        ("endless", "sh", "read -r begin; tr '\\0' x </dev/zero", "failed", "SANDBOX_LIMIT"),
        ("stderr", "sh", "read -r begin; exec yes >&2", "failed", "SANDBOX_LIMIT"),
    ];
    for (name, interpreter, script, ..) in talkers {
        house.hire_with(interpreter, name, "T2", script);
    }
    house.hire("modest", "T2", MODEST);
    let runs = talkers.map(|(name, ..)| house.start(name, &Terms::budget((3, 2, 1))));
    let modest = house.start("modest", &Terms::budget((1, 1, 1)));
    for (run, (name, .., status, code)) in runs.into_iter().zip(talkers) {
        let ended = run.ended();
        assert_eq!(ended.how(), (status, code), "{name}: {ended:#?}");
        let exit = house.exit(&ended.run);
        if code == "SANDBOX_LIMIT" {
            assert_eq!(exit["ended_by"], "output", "{name}: {exit:#}");
        }
        let tail = exit["stderr_tail"].as_str().expect("a text");
        assert!(tail.len() <= 4096, "{name}: {} bytes of standard error are on record", tail.len());
        let errors = house.events(ended.run["id"].as_str().expect("an id"));
        let errors = errors.iter().filter(|(_, kind, says)| kind == "run.error" && says.contains("PROTOCOL")).count();
        assert_eq!(errors > 0, name != "stderr", "{name}: what was no call is on record");
    }
    modest.ended().is("completed", "COMPLETED");
    house.is_well(0);
    house.close();
}
