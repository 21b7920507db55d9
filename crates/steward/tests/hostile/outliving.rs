//! Agents that would live on: past a signal, past their end, past their node's patience, in what they forked.

use crate::house::{House, Terms};

#[test]
fn nobody_outlives_a_run() {
    let house = House::begin(&[]);
    let stays = "import signal\n\
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE): signal.signal(s, signal.SIG_IGN)\n";
    // Deaf to signals, and nobody at its streams; so are its children.
    let stubborn = format!(
        "from asking import *\n{stays}node = Node(); node.plan(); node.tell('ready')\n\
         os.close(0); os.close(1); os.fork()\nwhile True: time.sleep(1000)\n"
    );
    // Its grandchild has its streams, and a session of its own.
    let deserter = format!(
        "from asking import *\n{stays}node = Node(); node.plan()\n\
         if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
         os.setsid()\n        while True: time.sleep(1000)\n    os._exit(0)\n\
         os.wait(); os._exit(9)\n"
    );
    let lingerer = format!(
        "from asking import *\n{stays}node = Node(); node.plan()\n\
         if os.fork() == 0:\n    os.setsid()\n    while True: time.sleep(1000)\n\
         node.ask('finish')\nwhile True: time.sleep(1000)\n"
    );
    // Asks and asks, and never listens: its answers fill every buffer between the node and it.
    let deaf = "from asking import *\nnode = Node(); node.plan(); node.tell('big', 'x' * 100000); node.tell('ready')\n\
        for n in range(60): node.send('fs.read', path='/big')\n\
        while True: time.sleep(1000)\n";
    let deaf_and_gone = "from asking import *\nnode = Node(); node.plan(); node.tell('big', 'x' * 100000)\n\
        for n in range(60): node.send('fs.read', path='/big')\n\
        os._exit(9)\n";
    // What it starts has its tool's sandbox, which goes with the tool.
    let starter = "from asking import *\nnode = Node(); node.plan()\n\
        script = '(trap \"\" TERM HUP; setsid sleep 3000.@TOKEN@ &) ; setsid sleep 3001.@TOKEN@ & echo started'\n\
        said = node.ask('shell', script=script)\n\
        again = node.ask('exec', argv=['cat', '/files/found.json'])\n\
        node.done([said['result']['stdout'], again['result']['code']])\n";
    // The twin: its children end before it does.
    let modest = "from asking import *\nnode = Node(); node.plan()\n\
        pid = os.fork()\n\
        if pid == 0: os.setsid(); time.sleep(0.1); os._exit(0)\n\
        node.done(os.waitpid(pid, 0)[1])\n";
    for (name, script) in [
        ("stubborn", stubborn.as_str()),
        ("deserter", &deserter),
        ("lingerer", &lingerer),
        ("deaf", deaf),
        ("gone", deaf_and_gone),
        ("starter", starter),
        ("modest", modest),
    ] {
        house.hire(name, "T2", script);
    }
    let [stubborn, deserter, lingerer, deaf, gone, starter, modest] =
        ["stubborn", "deserter", "lingerer", "deaf", "gone", "starter", "modest"]
            .map(|agent| house.start(agent, &Terms::default()));

    let deserter = deserter.ended();
    deserter.is("failed", "AGENT_EXITED");
    assert_eq!(house.exit(&deserter.run)["code"], 9, "{deserter:#?}");
    assert_eq!(house.pids_of("deserter"), [0; 0], "whoever it forked ended with it");
    let lingerer = lingerer.ended();
    lingerer.is("completed", "COMPLETED");
    let exit = house.exit(&lingerer.run);
    assert_eq!((exit["ended_by"].as_str(), exit["signal"].as_u64()), (Some("killed"), Some(9)), "{exit:#}");
    assert_eq!(house.pids_of("lingerer"), [0; 0]);
    gone.ended().is("failed", "AGENT_EXITED");
    starter.ended().is("completed", "COMPLETED");
    assert_eq!(house.found("starter")[0], "started\n");
    modest.ended().is("completed", "COMPLETED");
    assert_eq!(house.found("modest"), 0);

    // Who stays goes on, as far as anybody knows, until somebody says stop.
    for (agent, run) in [("stubborn", stubborn), ("deaf", deaf)] {
        house.until_told(agent, "ready");
        assert!(!house.pids_of(agent).is_empty(), "{agent} is there");
        house.does(&["run", "stop", &house.live(agent)]);
        let ended = run.ended();
        ended.is("stopped", "STOPPED");
        let exit = house.exit(&ended.run);
        assert_eq!(exit["signal"], 9, "{agent}: {exit:#}");
        assert_eq!(house.pids_of(agent), [0; 0], "{agent}");
    }
    house.is_well(0);
    house.close();
}
