//! From the answer on nothing happens any more: revoke, stop and halt, of agents that work as fast as they can, and of paused ones.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};

use crate::house::{House, Terms, soon};

/// Writes as fast as it is let, while programs run for it and what it forked goes on, deaf to signals.
const BUSY: &str = "from asking import *
import signal, threading
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
node = Node(); node.plan()
for n in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            with open('/tmp/%d' % n, 'w') as f: f.write('x')
            time.sleep(0.001)
for n in range(2): node.send('exec', argv=['sleep', '3000.@TOKEN@'])
def listen():
    while True: node.hear()
threading.Thread(target=listen, daemon=True).start()
n = 0
while True:
    node.send('fs.write', path='/w/%d' % (n % 7), content=str(n)); n += 1
";

/// Works at a walk, and must not be disturbed.
const CALM: &str = "from asking import *
node = Node(); node.plan(); node.tell('ready')
while not os.path.exists('/files/enough'):
    assert node.code('fs.write', path='/count', content='') == 'OK'
    time.sleep(0.02)
node.done('undisturbed')
";

/// Who makes an end, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Revoke,
    Stop,
    Halt,
}

/// Asserts that a run did nothing after its end. Tells how much it did before.
fn nothing_after_the_end(house: &House, run: &str, context: &str) -> usize {
    let events = house.events(run);
    let end =
        events.iter().find(|(_, kind, _)| kind == "run.ended").unwrap_or_else(|| panic!("{context}: {events:#?}"));
    let mut done = BTreeMap::<&str, usize>::new();
    for (entry, kind, says) in &events {
        let begins = ["action.intended", "action.publishing", "action.decided", "run.agent_started", "run.phase"];
        assert!(
            !begins.contains(&kind.as_str()) || *entry < end.0,
            "{context}: {kind} at {entry}, after {end:?}: {says}"
        );
        *done.entry(kind).or_default() += 1;
    }
    done.get("action.settled").copied().unwrap_or_default()
}

#[test]
fn after_the_answer_there_is_silence() {
    let house = House::begin(&[]);
    house.hire("calm", "T2", CALM);
    let calm = house.start("calm", &Terms::default());
    house.until_told("calm", "ready");
    let mut calm = Some(calm);
    for (n, (how, is_paused)) in [
        (How::Revoke, false),
        (How::Revoke, true),
        (How::Stop, false),
        (How::Stop, true),
        (How::Halt, false),
        (How::Halt, true),
    ]
    .into_iter()
    .enumerate()
    {
        let (agent, context) = (format!("busy{n}"), format!("{how:?}, paused: {is_paused}"));
        if how == How::Halt
            && let Some(calm) = calm.take()
        {
            // It was there all the time.
            house.put("calm", "enough", "");
            calm.ended().is("completed", "COMPLETED");
        }
        house.hire(&agent, "T2", BUSY);
        let run = house.start(&agent, &Terms::default());
        house.until_told(&agent, "w/6");
        let id = house.live(&agent);
        let pids = house.pids_of(&agent);
        assert!(pids.len() >= 4, "{context}: {pids:?}");
        if is_paused {
            for pid in pids {
                let pid = Pid::from_raw(pid).expect("no process is 0");
                // One of them may be a tool that ended.
                let _ = kill_process(pid, Signal::STOP);
            }
        }
        match how {
            How::Revoke => house.does(&["agent", "revoke", &agent, "--reason", "it is enough"]),
            How::Stop => house.does(&["run", "stop", &id, "--reason", "it is enough"]),
            How::Halt => house.does(&["halt", "--reason", "it is enough"]),
        };
        let answered = house.events(&id).last().expect("something happened").0;
        house.is_silent(&[&agent], &context);
        soon("what was under way is settled", || {
            let open = house.json(&["effect", "list", "--run", &id]);
            let open = open["effects"].as_array().expect("a list").clone();
            open.iter().all(|effect| !["intended", "publishing"].contains(&effect["status"].as_str().unwrap_or("?")))
        });
        assert!(nothing_after_the_end(&house, &id, &context) > 10, "{context}: it worked before");
        let ended = run.ended();
        match how {
            How::Revoke => ended.is("revoked", "BY_PERSON"),
            How::Stop | How::Halt => ended.is("stopped", "STOPPED"),
        }
        let exit = house.exit(&ended.run);
        assert_eq!(exit["signal"], 9, "{context}: {exit:#}");
        assert!(house.events(&id).last().expect("its end").0 >= answered);
        if how == How::Halt {
            house.is_well(0);
            let packet = house.packet(&agent, &Terms::default());
            let again = ["run", "start", &agent, "--packet", packet.to_str().expect("text")];
            for restarts in [false, true] {
                if restarts && is_paused {
                    house.restart();
                }
                let said = house.place.steward(&again);
                assert!(said.code == Some(1) && said.err.contains("HALTED"), "{context}: {said:?}");
                assert!(house.json(&["node", "status"])["halted"].as_str().is_some_and(|by| by.contains("enough")));
            }
            house.does(&["resume", "--reason", "looked at it"]);
        }
        if how == How::Revoke {
            house.run(&agent, &Terms::default()).is("refused", "AGENT_PREVIOUSLY_REVOKED");
        }
    }
    house.close();
}
