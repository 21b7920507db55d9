//! Agents at work, as somebody watches them: started, followed, listed, stopped, revoked and taken over; a node that is halted.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    DONE, MISUSED, REFUSED,
    common::{Place, Said, Up},
    ended, fields, json, list, number, run, text,
};

const RUN: [&str; 18] = [
    "agent",
    "agent_version",
    "code",
    "ended_at",
    "ended_in",
    "entry",
    "errors",
    "fence",
    "id",
    "max_errors",
    "message",
    "objective",
    "phase",
    "sandbox",
    "started_at",
    "started_by",
    "status",
    "task",
];

/// What the agents of these stories run.
const AGENT: &str = include_str!("agent.py");

const TEMPLATE: &str = r#"{
  "deliverables": ["/reports/{task}.md"],
  "constraints": {"scope": ["fs.read:/reports/**", "fs.write:/reports/**", "http.get:http://127.0.0.1:PORT/**"]},
  "success_criteria": [{"kind": "artifact", "path": "/reports/{task}.md", "contains": "rite"}],
  "error_budget": {"max_total_errors": 3, "max_same_error_repeats": 2, "max_procedure_violations": 1}
}"#;

/// A node that is up, somebody logged in, and agents that can be run, with a template that lets them fetch from a port.
pub(crate) fn at_work(agents: &[&str], tier: &str, port: u16) -> (Place, Up) {
    let place = Place::new();
    let allow = format!("http://127.0.0.1:{port}/**");
    let node = place.try_up(&[], &[("STEWARD_HTTP_ALLOW", &allow)]).expect("the node comes up");
    ended(DONE, &place.steward(&["login", "--label", "test"]));
    let programs = place.home().join("programs");
    fs::create_dir_all(&programs).expect("a folder");
    fs::write(programs.join("agent.py"), AGENT).expect("a file");
    fs::write(place.path("template.json"), TEMPLATE.replace("PORT", &port.to_string())).expect("a file");
    for agent in agents {
        let manifest = place.path(&format!("{agent}.toml"));
        let text = format!(
            "name = '{agent}'\nversion = '1.0.0'\ntier = '{tier}'\ncommand = ['python3', '/programs/agent.py']\npacket = 'template.json'\n"
        );
        fs::write(&manifest, text).expect("a file");
        run(&place, DONE, &["agent", "add", manifest.to_str().expect("text")]);
    }
    (place, node)
}

/// Asks until the answer is such.
#[track_caller]
fn until(place: &Place, arguments: &[&str], is_such: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let answer = json(place, DONE, arguments);
        if is_such(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{arguments:?}: {answer:#}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts an agent that waits, and tells its run.
#[track_caller]
fn waiting(place: &Place, agent: &str, task: &str, more: &[&str]) -> String {
    let start = [&["run", "start", agent, "--task", task, "wait", "--detach"], more].concat();
    let id = text(&json(place, DONE, &start), "/id").to_owned();
    until(place, &["run", "show", &id], |detail| !list(detail, "/artifacts").is_empty());
    id
}

/// The place of a text among others.
#[track_caller]
fn at(said: &Said, text: &str) -> usize {
    said.err.find(text).unwrap_or_else(|| panic!("`{text}` is told: {said:#?}"))
}

#[test]
fn a_run_is_followed_to_its_end_and_looked_at_afterwards() {
    let (place, node) = at_work(&["scribe"], "T1", 9);
    let said = run(&place, DONE, &["run", "start", "scribe", "--task", "week-47", "Write the report"]);
    // Live on stderr, in order; the record on stdout.
    let told = [
        "run.started",
        "BOOTSTRAP → PREFLIGHT",
        "run.agent_started",
        "PLAN → EXECUTE",
        "fs.write /reports/week-47.md was allowed",
        "EXECUTE → VERIFY",
        "REPORT",
        "completed in REPORT",
    ];
    assert!(told.map(|text| at(&said, text)).is_sorted(), "{said:#?}");
    assert!(
        said.out.contains("completed") && said.out.contains("scribe.acme.internal") && !said.out.contains("PREFLIGHT"),
        "{said:#?}"
    );
    let file = place.home().join("agents/acme.internal/scribe/files/reports/week-47.md");
    assert_eq!(fs::read_to_string(file).expect("it wrote it"), "# Write the report\n");

    // The same with a packet of its own, and as JSON.
    let record = json(&place, DONE, &["run", "start", "scribe", "--task", "week-48", "Write another"]);
    assert!(RUN.iter().all(|name| fields(&record).contains(name)), "{record:#}");
    assert_eq!(
        (text(&record, "/status"), text(&record, "/ended_in"), text(&record, "/task")),
        ("completed", "REPORT", "week-48")
    );
    let id = text(&record, "/id");
    let shown = json(&place, DONE, &["run", "show", id]);
    assert_eq!(shown["run"], record);
    let packet = place.path("packet.json");
    let mut own = shown["packet"].clone();
    own["task_id"] = "week-49".into();
    own["deliverables"] = serde_json::json!(["/reports/week-48.md"]);
    fs::write(&packet, own.to_string()).expect("a file");
    let packet = packet.to_str().expect("text");
    assert_eq!(text(&json(&place, DONE, &["run", "start", "scribe", "--packet", packet]), "/task"), "week-49");
    assert_eq!(text(&shown, "/artifacts/0/path"), "/reports/week-48.md");
    assert_eq!(text(&shown, "/report/run"), id);
    let told = run(&place, DONE, &["run", "show", id]).out;
    for block in ["What it was told", "What it planned", "What happened", "What it left", "Its report", "run evidence"]
    {
        assert!(told.contains(block), "{block}: {told}");
    }

    // The same from the record alone, and what the record says of its agent.
    let replay = json(&place, DONE, &["run", "replay", id]);
    assert_eq!((&replay["agrees"], number(&replay, "/differ"), number(&replay, "/not_replayed")), (&true.into(), 0, 0));
    assert!(list(&replay, "/decisions_otherwise").is_empty() && number(&replay, "/decisions_same") > 0, "{replay:#}");
    let told = run(&place, DONE, &["run", "replay", id]).out;
    assert!(told.contains("every step leads to what was recorded"), "{told}");
    let history = json(&place, DONE, &["agent", "history", "scribe"]);
    let turns: Vec<_> = list(&history, "/turns").iter().map(|turn| text(turn, "/kind")).collect();
    assert_eq!(turns[..3], ["agent.added", "run.started", "run.ended"]);
    assert!(run(&place, DONE, &["agent", "history", "scribe"]).out.contains("3 runs ended, 3 of them compliant"));

    let runs = json(&place, DONE, &["run", "list"]);
    assert_eq!(
        list(&runs, "/runs").iter().map(|run| text(run, "/task")).collect::<Vec<_>>(),
        ["week-49", "week-48", "week-47"]
    );
    for (filter, count) in
        [(["--task", "week-47"], 1), (["--agent", "scribe"], 3), (["--limit", "2"], 2), (["--agent", "nobody"], 0)]
    {
        let found = json(&place, DONE, &[&["run", "list"][..], &filter].concat());
        assert_eq!(list(&found, "/runs").len(), count, "{filter:?}");
    }
    assert_eq!(list(&json(&place, DONE, &["run", "list", "--live"]), "/runs").len(), 0);

    // What does not begin.
    assert_eq!(text(&json(&place, REFUSED, &["run", "start", "nobody", "--task", "a", "x"]), "/code"), "NOT_FOUND");
    assert_eq!(text(&json(&place, REFUSED, &["run", "show", "run_01KAHW5V8NQ4Z0M7C2R9T3XBYD"]), "/code"), "NOT_FOUND");
    let over = json(&place, REFUSED, &["run", "stop", id]);
    assert_eq!(text(&over, "/code"), "RUN_OVER");
    run(&place, MISUSED, &["run", "start", "scribe"]);
    run(&place, MISUSED, &["run", "start", "scribe", "--packet", "there-is-none.json"]);
    fs::write(place.path("bad.json"), "{}").expect("a file");
    let said = run(&place, MISUSED, &["run", "start", "scribe", "--packet", "bad.json"]);
    assert!(said.err.contains("bad.json:1:1: "), "every mistake has its place: {said:?}");
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
}

#[test]
fn a_run_is_stopped_with_its_children_and_the_agent_goes_on() {
    let (place, node) = at_work(&["scribe", "child", "other"], "T1", 9);
    let parent = waiting(&place, "scribe", "week", &[]);
    let child = waiting(&place, "child", "part", &["--parent", &parent]);
    let other = waiting(&place, "other", "else", &[]);
    assert_eq!(list(&json(&place, DONE, &["run", "list", "--live"]), "/runs").len(), 3);
    assert_eq!(number(&json(&place, DONE, &["node", "status"]), "/runs_live"), 3);
    let shown = json(&place, DONE, &["run", "show", &parent]);
    assert_eq!(list(&shown, "/children"), [Value::from(child.as_str())]);
    // One run of an agent at a time.
    let second = json(&place, REFUSED, &["run", "start", "scribe", "--task", "more", "wait"]);
    assert_eq!((text(&second, "/status"), text(&second, "/code")), ("refused", "CANNOT_ACQUIRE_LOCK"));

    // What the keys say while it runs.
    let state = json(&place, DONE, &["state", "get", "agent:scribe.acme.internal:*"]);
    let keys: Vec<&str> = list(&state, "/entries").iter().map(|entry| text(entry, "/key")).collect();
    let own = |name: &str| format!("agent:scribe.acme.internal:{name}");
    for name in ["packet", "state", "errors", "heartbeat", "lock"] {
        assert!(keys.contains(&own(name).as_str()), "{name}: {keys:?}");
    }
    // Who was refused beside it does not hide it.
    let now = json(&place, DONE, &["state", "get", &own("state")]);
    assert!(text(&now, "/entries/0/value").contains(&parent), "{now:#}");
    let active = json(&place, DONE, &["state", "get", "task:else:active_agent"]);
    assert_eq!(text(&active, "/entries/0/value"), "other.acme.internal");
    let lock = json(&place, DONE, &["state", "get", &own("lock")]);
    assert!(!text(&lock, "/entries/0/value").is_empty());
    assert!(text(&lock, "/entries/0/expires_at").ends_with('Z'));
    assert!(run(&place, DONE, &["state", "get", "task:*"]).out.contains("\"other.acme.internal\""));
    run(&place, DONE, &["state", "get", "nothing:*"]);
    run(&place, REFUSED, &["state", "get", "nothing:at-all"]);

    let stopped = json(&place, DONE, &["run", "stop", &parent, "--reason", "it takes too long"]);
    assert_eq!((text(&stopped, "/status"), text(&stopped, "/message")), ("stopped", "it takes too long"));
    let ended = json(&place, DONE, &["run", "show", &child]);
    assert_eq!((text(&ended, "/run/status"), text(&ended, "/run/parent")), ("stopped", parent.as_str()));
    assert_eq!(text(&json(&place, DONE, &["run", "show", &other]), "/run/status"), "live");
    run(&place, REFUSED, &["state", "get", &own("lock")]);
    run(&place, REFUSED, &["state", "get", &own("heartbeat")]);
    assert_eq!(
        text(&json(&place, DONE, &["run", "start", "scribe", "--task", "again", "Write"]), "/status"),
        "completed"
    );
    let doctor = json(&place, DONE, &["doctor"]);
    assert!(list(&doctor, "/checks").iter().all(|check| text(check, "/status") != "failed"), "{doctor:#}");
    assert!(run(&place, DONE, &["node", "status"]).out.contains("grade A"));
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);

    // An agent dies with its node: the next one says so.
    let node = place.up(&[]);
    let shown = json(&place, DONE, &["run", "show", &other]);
    assert_eq!((text(&shown, "/run/status"), text(&shown, "/run/code")), ("failed", "INTERRUPTED"));
    node.stop();
}

#[test]
fn a_revoked_agent_leaves_a_handoff_and_comes_back_one_tier_lower() {
    let (place, node) = at_work(&["novice", "veteran"], "T2", 9);
    let said = run(&place, REFUSED, &["run", "start", "novice", "--task", "migration", "fumble"]);
    assert!(said.err.contains("ERROR_BUDGET_EXCEEDED") && said.err.contains("handoff show migration"), "{said:#?}");
    let again = run(&place, REFUSED, &["run", "start", "novice", "--task", "migration", "Write"]);
    assert!(again.err.contains("AGENT_PREVIOUSLY_REVOKED") && again.err.contains("agent reinstate"), "{again:#?}");

    let handoff = json(&place, DONE, &["handoff", "show", "migration"]);
    assert_eq!(text(&handoff, "/handoff/previous_agent_id"), "novice.acme.internal");
    assert_eq!(text(&handoff, "/handoff/artifacts/0/path"), "/reports/draft.md");
    assert_eq!(handoff["acknowledged_by"], Value::Null);
    let told = run(&place, DONE, &["handoff", "show", "migration"]);
    assert!(told.out.contains("nobody yet") && told.err.contains("run start AGENT --task migration"), "{told:?}");
    run(&place, REFUSED, &["handoff", "show", "nothing"]);
    let key = json(&place, DONE, &["state", "get", "handoff:migration:latest"]);
    assert!(text(&key, "/entries/0/value").contains(text(&handoff, "/id")));
    let revocations = json(&place, DONE, &["state", "get", "revocations:ledger"]);
    assert!(revocations.to_string().contains("ERROR_BUDGET_EXCEEDED"), "{revocations:#}");

    let successor = json(&place, DONE, &["run", "start", "veteran", "--task", "migration", "Write"]);
    assert_eq!(text(&successor, "/status"), "completed");
    let handoff = json(&place, DONE, &["handoff", "show", "migration"]);
    assert_eq!(text(&handoff, "/acknowledged_by"), text(&successor, "/id"));

    assert_eq!(text(&json(&place, DONE, &["agent", "show", "novice"]), "/status"), "revoked");
    let back = json(&place, DONE, &["agent", "reinstate", "novice", "--reason", "the packet was wrong"]);
    assert_eq!((text(&back, "/reason"), text(&back, "/reinstated_tier")), ("ERROR_BUDGET_EXCEEDED", "T1"));
    assert_eq!(text(&json(&place, DONE, &["agent", "show", "novice"]), "/tier"), "T1");
    run(&place, REFUSED, &["agent", "reinstate", "novice", "--reason", "once more"]);
    assert_eq!(text(&json(&place, DONE, &["run", "start", "novice", "--task", "small", "Write"]), "/tier"), "T1");

    // By a person: at work, and idle.
    let live = waiting(&place, "novice", "long", &[]);
    let revoked = json(&place, DONE, &["agent", "revoke", "novice", "--reason", "it reads too much"]);
    assert_eq!((text(&revoked, "/reason"), text(&revoked, "/run")), ("BY_PERSON", live.as_str()));
    assert_eq!(text(&json(&place, DONE, &["run", "show", &live]), "/run/status"), "revoked");
    assert_eq!(
        text(&json(&place, REFUSED, &["agent", "revoke", "novice", "--reason", "again"]), "/code"),
        "AGENT_REVOKED"
    );
    let idle = json(&place, DONE, &["agent", "revoke", "veteran", "--reason", "it rests"]);
    assert_eq!(idle["run"], Value::Null);
    run(&place, MISUSED, &["agent", "revoke", "veteran", "--reason", ""]);
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
}

#[test]
fn a_halt_lasts_until_somebody_resumes() {
    let (place, node) = at_work(&["scribe", "clerk"], "T1", 9);
    let ids = [waiting(&place, "scribe", "a", &[]), waiting(&place, "clerk", "b", &[])];
    let halted = json(&place, DONE, &["halt", "--reason", "smoke"]);
    let mut stopped: Vec<&str> = list(&halted, "/stopped").iter().filter_map(Value::as_str).collect();
    stopped.sort_unstable();
    let mut expected: Vec<&str> = ids.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(stopped, expected);
    for id in &ids {
        assert_eq!(text(&json(&place, DONE, &["run", "show", id]), "/run/status"), "stopped");
    }
    let refuses = || {
        let said = json(&place, REFUSED, &["run", "start", "scribe", "--task", "c", "Write"]);
        assert_eq!(text(&said, "/code"), "HALTED");
        fs::write(place.path("a.md"), "a").expect("a file");
        let said = json(&place, REFUSED, &["act", "scribe", "fs.write", "/reports/a.md", "--from", "a.md"]);
        assert_eq!(text(&said, "/code"), "HALTED");
        assert!(text(&json(&place, DONE, &["node", "status"]), "/halted").contains("smoke"));
    };
    refuses();
    run(&place, DONE, &["halt", "--reason", "once more does no harm"]);
    node.stop();
    let node = place.up(&[]);
    refuses();
    assert!(run(&place, DONE, &["node", "status"]).out.contains("smoke"));
    let resumed = json(&place, DONE, &["resume", "--reason", "it was toast"]);
    assert_eq!(resumed["halted"], false);
    run(&place, REFUSED, &["resume"]);
    assert_eq!(text(&json(&place, DONE, &["run", "start", "scribe", "--task", "c", "Write"]), "/status"), "completed");
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
}
