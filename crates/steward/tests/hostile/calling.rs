//! Agents that abuse what they may ask for: tricks with programs, shells above their tier, floods of calls, calls out of turn, forged
//! lines.

use std::fs;

use serde_json::{Value, json};

use crate::house::{House, Terms, soon};

#[test]
fn a_program_is_what_its_scope_names() {
    let house = House::begin(&[]);
    let asks = json!([
        ["/bin/../bin/sh", "-c", "echo out"],
        ["/usr/bin/grep", "x", "/files/text"],
        ["./grep", "x"],
        ["sh", "-c", "echo out"],
        ["bash"],
        ["GREP", "x"],
        [" grep", "x"],
        ["grep ", "x"],
        ["env", "grep"],
        ["/proc/self/exe"],
        ["../bin/grep"],
        [""],
        ["grep\n"],
        ["grep\u{0}"],
        ["*"],
        ["/programs/../bin/sh"],
        ["\u{ff47}rep", "x"],
    ]);
    let script = |asks: &Value| {
        format!(
            "from asking import *\nnode = Node(); node.plan()\n\
             node.tell('text', 'x')\n\
             codes = {{json.dumps(argv): node.code('exec', argv=argv) for argv in json.loads({:?})}}\n\
             node.done(codes)\n",
            asks.to_string()
        )
    };
    house.hire("trickster", "T2", &script(&asks));
    // The twin is told of as many, and all of them are grep.
    house.hire("modest", "T2", &script(&json!([["grep", "x", "/files/text"], ["grep", "-c", "x; sh", "/files/text"]])));
    // A shell by tier: the packet would let it, and policy does not.
    let observer = "from asking import *\nnode = Node(); node.plan()\n\
        codes = [node.code('shell', script='echo out'), node.code('exec', argv=['echo', 'out']), node.code('fs.write', path='/a', content='')]\n\
        node.tell('plans/codes', json.dumps(codes)); node.ask('finish')\n";
    house.hire("observer", "T0", observer);
    house.hire("operator", "T1", observer);
    let terms = Terms::scope(&["fs.write:/**", "exec:grep"]);
    let everything = Terms::scope(&["fs.write:/**", "exec:*", "shell:*"]);
    let runs = [
        house.start("trickster", &terms),
        house.start("modest", &terms),
        house.start("observer", &everything),
        house.start("operator", &everything),
    ];
    for run in runs {
        run.ended().is("completed", "COMPLETED");
    }
    let codes = house.found("trickster");
    let codes = codes.as_object().expect("codes");
    assert_eq!(codes.len(), asks.as_array().expect("a list").len());
    for (argv, code) in codes {
        assert!(["OUT_OF_SCOPE", "MALFORMED_ACTION"].contains(&code.as_str().expect("a code")), "{argv}: {code}");
    }
    assert!(house.found("modest").as_object().expect("codes").values().all(|code| code == "OK"));
    let codes = |agent: &str| {
        let text = fs::read(house.files(agent).join("plans/codes")).expect("written");
        serde_json::from_slice::<Value>(&text).expect("JSON")
    };
    assert_eq!(codes("observer"), json!(["NOT_PERMITTED", "NOT_PERMITTED", "NOT_PERMITTED"]));
    assert_eq!(codes("operator"), json!(["OK", "OK", "NOT_PERMITTED"]));
    // No program of the trickster's ran but none; and what it wanted is on record.
    let list = house.json(&["action", "list", "--agent", "trickster", "--decision", "deny"]);
    assert!(list.to_string().contains("/bin/../bin/sh"), "{list:#}");
    house.close();
}

#[test]
fn calls_out_of_turn_end_the_run() {
    let house = House::begin(&[]);
    let begin = "from asking import *\nnode = Node()\n";
    let terms = Terms { forbidden: vec!["fs.write:/secret/**".to_owned()], ..Terms::default() };
    let agents = [
        ("eager", "node.tell('early'); node.plan()", "revoked", "PROCEDURE_VIOLATION"),
        ("hasty", "node.ask('finish')", "revoked", "PROCEDURE_VIOLATION"),
        ("planner", "node.plan(); node.plan()", "revoked", "PROCEDURE_VIOLATION"),
        ("curious", "node.plan(); node.tell('secret/a')", "revoked", "FORBIDDEN_ACTION"),
        (
            "late",
            "node.plan(); node.tell('in-time'); node.ask('finish'); node.send('fs.write', path='/late', content='')",
            "completed",
            "COMPLETED",
        ),
        // Everything at once, without listening: what stands before the end is done, and nothing of what stands behind it.
        (
            "rushed",
            "node.send('submit_plan', summary='x', steps=[{'step': 'x'}])\n\
             for n in range(20): node.send('fs.write', path='/in-time%d' % n, content='')\n\
             node.send('finish')\n\
             for n in range(20): node.send('fs.write', path='/late', content='')\n",
            "completed",
            "COMPLETED",
        ),
    ];
    for (name, script, ..) in agents {
        house.hire(name, "T2", &format!("{begin}{script}\ntime.sleep(3000)\n"));
    }
    let runs = agents.map(|(name, ..)| house.start(name, &terms));
    for (run, (name, _, status, code)) in runs.into_iter().zip(agents) {
        let ended = run.ended();
        assert_eq!(ended.how(), (status, code), "{name}: {ended:#?}");
        let events = house.events(ended.run["id"].as_str().expect("an id"));
        let execute_ended = events
            .iter()
            .find(|(_, kind, says)| kind == "run.ended" || kind == "run.phase" && says.ends_with("VERIFY"));
        let (end, ..) = execute_ended.expect("EXECUTE ends");
        for (entry, kind, says) in &events {
            assert!(kind != "action.intended" || entry < end, "{name}: {says} at {entry}, after {end}");
        }
        for file in ["early", "secret/a", "late"] {
            assert!(!house.files(name).join(file).exists(), "{name}: {file}");
        }
        if code == "PROCEDURE_VIOLATION" || code == "FORBIDDEN_ACTION" {
            let refused = if code == "FORBIDDEN_ACTION" { code } else { "WRONG_PHASE" };
            assert!(
                events.iter().any(|(_, kind, says)| kind == "action.refused" && says.contains(refused)),
                "{name}: {events:#?}"
            );
        }
    }
    assert!(house.files("late").join("in-time").exists());
    assert!((0..20).all(|n| house.files("rushed").join(format!("in-time{n}")).exists()), "they were asked for before");
    house.close();
}

#[test]
fn forged_lines_do_nothing_to_anybody() {
    let house = House::begin(&[]);
    house.hire(
        "victim",
        "T2",
        "from asking import *\nnode = Node(); node.plan(); node.tell('ready'); wait_for('enough'); node.done(1)\n",
    );
    let victim = house.start("victim", &Terms::default());
    house.until_told("victim", "ready");
    let run = house.live("victim");
    let forger = format!(
        "from asking import *\nnode = Node(); own = node.begin['run']\n\
         def raw(line):\n    sys.stdout.write(line + '\\n'); sys.stdout.flush(); return code(node.hear())\n\
         found = {{}}\n\
         plan = {{'summary': 'x', 'steps': [{{'step': 'x'}}]}}\n\
         found['no handoff'] = node.code('submit_plan', **plan, acknowledges=own)\n\
         node.plan()\n\
         for name, more in (('run', '\"{run}\"'), ('agent', '\"victim.acme.internal\"'), ('phase', '\"EXECUTE\"'), ('key', '1'), ('ok', 'true')):\n    \
             found['line ' + name] = raw('{{\"id\":7,\"tool\":\"fs.write\",\"arguments\":{{\"path\":\"/forged\",\"content\":\"\"}},\"%s\":%s}}' % (name, more))\n    \
             found['argument ' + name] = raw('{{\"id\":7,\"tool\":\"fs.write\",\"arguments\":{{\"path\":\"/forged\",\"content\":\"\",\"%s\":%s}}}}' % (name, more))\n\
         found['twice'] = raw('{{\"id\":1,\"id\":2,\"tool\":\"fs.write\",\"arguments\":{{\"path\":\"/forged\",\"content\":\"\"}}}}')\n\
         found['negative'] = raw('{{\"id\":-1,\"tool\":\"fs.write\",\"arguments\":{{\"path\":\"/forged\",\"content\":\"\"}}}}')\n\
         found['event'] = raw('{{\"event\":\"begin\",\"run\":\"{run}\",\"phase\":\"EXECUTE\"}}')\n\
         found['deep'] = raw('{{\"id\":1,\"tool\":\"fs.write\",\"arguments\":' + '[' * 5000 + ']' * 5000 + '}}')\n\
         for tool in ('run.stop', 'run.start', 'run.step', 'run.verify', 'agent.start', 'agent.revoke', 'agent.reinstate', 'node.halt', 'node.stop',\n             \
                      'key.create', 'people.add', 'policy.write', 'ledger.read', 'FS.WRITE', 'fs.write ', '', 'submit_plan\\n'):\n    \
             for target in ('{run}', 'victim.acme.internal', 'acme.internal'):\n        \
                 found[tool + ' ' + target] = node.code(tool, resource=target)\n\
         done = [name for name, code in found.items() if code == 'OK']\n\
         # The twin: one id for two calls is its own affair, and both are answered.\n\
         same = [raw('{{\"id\":7,\"tool\":\"fs.write\",\"arguments\":{{\"path\":\"/same%d\",\"content\":\"\"}}}}' % n) for n in range(2)]\n\
         node.done({{'done': done, 'found': found, 'same': same}})\n"
    );
    house.hire("forger", "T2", &forger);
    // A packet may name them; policy gives none of them to an agent.
    let scope = ["fs.*:/**", "run.*:**", "agent.*:**", "node.*:**", "key.*:**"];
    house.run("forger", &Terms::scope(&scope)).is("completed", "COMPLETED");
    let found = house.found("forger");
    assert_eq!(found["done"], json!([]), "{found:#}");
    for (what, code) in found["found"].as_object().expect("codes") {
        let expected: &[&str] = match what.split_once(' ') {
            Some(("line", _)) | None => &["PROTOCOL"],
            Some(("argument" | "no", _)) => &["INVALID_REQUEST"],
            Some(("run.stop" | "run.start" | "agent.revoke" | "node.halt" | "key.create", _)) => &["NOT_PERMITTED"],
            _ => &["NOT_PERMITTED", "OUT_OF_SCOPE", "MALFORMED_ACTION"],
        };
        assert!(expected.contains(&code.as_str().expect("a code")), "{what:?}: {code}, and not {expected:?}");
    }
    assert_eq!(found["same"], json!(["OK", "OK"]), "{found:#}");
    assert!(!house.files("forger").join("forged").exists() && !house.files("victim").join("forged").exists());
    assert_eq!(house.live("victim"), run, "the victim runs");
    assert!(house.json(&["node", "status"])["halted"].is_null());
    house.put("victim", "enough", "");
    victim.ended().is("completed", "COMPLETED");
    house.close();
}

#[test]
fn a_flood_of_calls_is_slowed_down_and_nothing_else() {
    let house = House::begin(&[]);
    // Without waiting for a single answer; what is refused by rate costs nothing, and nothing is done for it.
    let flooder = "from asking import *\nimport threading\nnode = Node(); node.plan(); node.tell('small', 'x')\n\
        N = 1500\n\
        codes = {}\n\
        def listen():\n    \
            for n in range(N):\n        \
                said = code(node.hear()); codes[said] = codes.get(said, 0) + 1\n\
        listener = threading.Thread(target=listen); listener.start()\n\
        begin = time.monotonic()\n\
        for n in range(N): node.send('fs.read', path='/small')\n\
        listener.join()\n\
        codes['ms'] = int((time.monotonic() - begin) * 1000)\n\
        while node.code('fs.write', path='/found.json', content=json.dumps(codes)) != 'OK': time.sleep(0.1)\n\
        while node.code('finish') != 'OK': time.sleep(0.1)\n";
    house.hire("flooder", "T2", flooder);
    house.hire(
        "modest",
        "T2",
        "from asking import *\nnode = Node(); node.plan(); node.tell('small', 'x')\n\
        node.done([node.code('fs.read', path='/small') for n in range(100)])\n",
    );
    let terms = Terms::budget((1, 1, 1));
    let (flooder, modest) = (house.start("flooder", &terms), house.start("modest", &terms));
    modest.ended().is("completed", "COMPLETED");
    assert_eq!(house.found("modest"), json!(vec!["OK"; 100]));
    flooder.ended().is("completed", "COMPLETED");
    let codes = house.found("flooder");
    let count = |code: &str| codes[code].as_u64().unwrap_or_default();
    assert_eq!(count("OK") + count("RATE_LIMITED"), 1500, "{codes}");
    // A burst of 200, and 100 a second, however fast the machine is.
    assert!(count("OK") <= 200 + count("ms") / 10 + 100, "{codes}");
    house.close();
}

#[test]
fn a_handoff_is_taken_over_by_whom_it_was_given_to() {
    let house = House::begin(&[]);
    let terms = Terms { task: "shared".to_owned(), ..Terms::default() };
    // One that fails, and one on the same task that began before and was given nothing.
    house.hire("first", "T2", "from asking import *\nnode = Node(); node.plan(); node.tell('draft', 'x'); node.tell('ready'); time.sleep(3000)\n");
    let claims = "from asking import *\nnode = Node(); wait_for('id')\n\
        id = open('/files/id').read()\n\
        found = [node.begin['handoff'], node.code('submit_plan', summary='x', steps=[{'step': 'x'}], acknowledges=id)]\n\
        node.tell('claimed'); wait_for('enough'); node.done(found)\n";
    house.hire("claimer", "T2", claims);
    // Its heir says nothing of it, then another's, then what it was given.
    let heir = "from asking import *\nnode = Node(); id = node.begin['handoff']['id']\n\
        plan = {'summary': 'x', 'steps': [{'step': 'x'}]}\n\
        found = [node.code('submit_plan', **plan), node.code('submit_plan', **plan, acknowledges='hnd_01KAHW5V8NQ4Z0M7C2R9T3XBYD')]\n\
        found.append(open('/handoff/draft').read())\n\
        found.append(node.code('submit_plan', **plan, acknowledges=id))\n\
        node.done(found)\n";
    house.hire("heir", "T2", heir);
    let claimer = house.start("claimer", &terms);
    let first = house.start("first", &terms);
    house.until_told("first", "ready");
    soon("the claimer waits", || {
        house.json(&["run", "list", "--agent", "claimer", "--live"])["runs"][0]["phase"] == "PLAN"
    });
    house.does(&["agent", "revoke", "first", "--reason", "it is enough"]);
    first.ended().is("revoked", "BY_PERSON");
    let left = house.json(&["handoff", "show", "shared"]);
    let id = left["id"].as_str().expect("an id");
    house.put("claimer", "new-id", id);
    fs::rename(house.files("claimer").join("new-id"), house.files("claimer").join("id")).expect("renamed");
    house.until_told("claimer", "claimed");
    let of = |left: &Value| left["acknowledged_by"].clone();
    assert_eq!(
        of(&house.json(&["handoff", "show", "shared"])),
        Value::Null,
        "it was given nothing, and took nothing over"
    );
    let heir = house.run("heir", &terms);
    heir.is("completed", "COMPLETED");
    let refused = "HANDOFF_NOT_ACKNOWLEDGED";
    assert_eq!(house.found("heir"), json!([refused, refused, "x", "OK"]));
    assert_eq!(of(&house.json(&["handoff", "show", "shared"])), heir.run["id"]);
    house.put("claimer", "enough", "");
    claimer.ended().is("completed", "COMPLETED");
    assert_eq!(house.found("claimer"), json!([null, "OK"]));
    house.close();
}
