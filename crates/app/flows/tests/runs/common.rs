//! What the stories begin with, and what each ends with.

use serde_json::{Value, json};
use steward_app_agents::rows::{Status, agent as agent_row};
use steward_app_runs::{LockRow, RevocationRow, RunRow};
use steward_ledger::Body;
use steward_naming::{Name, RunId};
use steward_permit::{Role, Tier};
use steward_store::EntryRow;
use steward_testkit::{Known, Played, TestNode};

/// A node with an operator and an agent of tier 1, `scribe`.
pub(crate) async fn node() -> (TestNode, Known) {
    let node = TestNode::new().await;
    let olivia = staff(&node).await;
    (node, olivia)
}

/// The operator and the agent of a node.
pub(crate) async fn staff(node: &TestNode) -> Known {
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    olivia
}

/// A packet for an agent that writes one report.
pub(crate) fn packet(agent: &str) -> Value {
    json!({
        "agent_id": agent,
        "task_id": "weekly",
        "created_for": "olivia",
        "objective": "Say what happened this week.",
        "deliverables": ["/reports/week.md"],
        "constraints": {
            "scope": ["fs.read:/**", "fs.write:/reports/**", "exec:grep"],
            "forbidden": ["fs.write:/reports/secret/**"],
            "required_steps": [{"step": "write the report", "artifact": "/reports/week.md"}],
        },
        "success_criteria": [{"kind": "artifact", "path": "/reports/week.md", "contains": "Nothing burned"}],
        "error_budget": {},
        "escalation_rules": [],
        "created_at": "2026-11-20T09:00:00.000Z",
    })
}

/// The same with something else at a JSON pointer.
pub(crate) fn packet_with(agent: &str, at: &str, value: Value) -> Value {
    let mut packet = packet(agent);
    *packet.pointer_mut(at).expect("it is in the packet") = value;
    packet
}

/// A plan that writes the report.
pub(crate) fn plan() -> Value {
    json!({"summary": "Write it.", "steps": [
        {"step": "write the report", "action": "fs.write:/reports/week.md", "artifact": "/reports/week.md"},
    ]})
}

/// The report that the packet asks for.
pub(crate) fn report() -> Value {
    json!({"path": "/reports/week.md", "content": "# This week\n\nNothing burned.\n"})
}

/// Something to write, at this path.
pub(crate) fn file(path: &str) -> Value {
    json!({"path": path, "content": "x"})
}

/// A problem of a kind of its own.
pub(crate) fn problem(kind: &str) -> Value {
    json!({"kind": kind, "message": "it does not work"})
}

/// As many kinds of problems as nobody's budget has.
pub(crate) fn kind_of_problem(n: usize) -> String {
    // Letters: digits of a type would do too, but read as one error.
    format!("KIND_{}", char::from(b'A' + u8::try_from(n).expect("few kinds")))
}

/// Plays an agent through PLAN.
pub(crate) async fn planned(agent: &mut Played) {
    agent.begin().await;
    let said = agent.call("submit_plan", plan()).await;
    assert_eq!((said["ok"].as_bool(), said["phase"].as_str()), (Some(true), Some("EXECUTE")), "{said}");
}

/// Starts a run, whose agent is in PLAN and has read its first line.
pub(crate) async fn planning(node: &TestNode, who: &Known, packet: &Value) -> (RunId, Played) {
    let run = begun(node, who, packet).await;
    let mut agent = node.next_agent().await;
    agent.begin().await;
    (run.id().clone(), agent)
}

/// Starts a run, whose agent is in EXECUTE.
pub(crate) async fn executing(node: &TestNode, who: &Known, packet: &Value) -> (RunId, Played) {
    let run = begun(node, who, packet).await;
    let mut agent = node.next_agent().await;
    planned(&mut agent).await;
    (run.id().clone(), agent)
}

/// Starts a run of the packet's agent.
pub(crate) async fn begun(node: &TestNode, who: &Known, packet: &Value) -> RunRow {
    // Ids are in the order in which they were made only if they are of different milliseconds.
    node.clock().advance_ms(1_000);
    let agent = packet["agent_id"].as_str().expect("packets name the agent");
    let run = node.start_run(who, agent, packet).await.expect("it begins");
    assert!(run.is_live(), "{:?}", run.state.ended);
    run
}

/// Starts a run that is refused; nothing of it is left, and no process was started.
pub(crate) async fn refused(node: &TestNode, who: &Known, packet: &Value) -> RunRow {
    node.clock().advance_ms(1_000);
    let (agent, alive) = (packet["agent_id"].as_str().expect("packets name the agent"), node.runner().processes());
    let run = node.start_run(who, agent, packet).await.expect("that it was refused is on record");
    nothing_is_left(node, &run);
    assert_eq!(node.runner().processes(), alive, "nothing was started");
    run
}

/// A run once it has ended; nothing of it is left, and its agent's process is over.
pub(crate) async fn over(node: &TestNode, id: &RunId, agent: &Played) -> RunRow {
    let run = node.ended(id).await;
    assert!(agent.is_over(), "its process is over");
    nothing_is_left(node, &run);
    run
}

fn nothing_is_left(node: &TestNode, run: &RunRow) {
    let ended = run.state.ended.as_ref().expect("it ended");
    assert_ne!(lock(node, run).run.as_ref(), Some(run.id()), "the lock is released: {}", ended.message);
    if let Some(credential) = &run.credential {
        let store = &node.context().store;
        let found = store.read(|reader| steward_app_runs::credential(reader, node.namespace(), credential));
        let credential = found.expect("it reads").expect("it is kept");
        assert!(credential.revoked_at.is_some(), "the credential is revoked: {}", ended.message);
    }
    assert!(!node.runner().is_driven(run.id()), "nothing drives it");
}

/// The lock of a run's agent.
pub(crate) fn lock(node: &TestNode, run: &RunRow) -> LockRow {
    node.context().store.read(|reader| steward_app_runs::lock(reader, &run.state.agent)).expect("it reads")
}

/// How a run ended: ending, code, whether it counts for or against its agent.
pub(crate) fn verdict(run: &RunRow) -> (&str, &str, Option<bool>) {
    let ended = run.state.ended.as_ref().expect("it ended");
    (ended.ending.as_str(), ended.code.as_str(), run.compliant)
}

/// Why a run ended, in words.
pub(crate) fn message(run: &RunRow) -> &str {
    &run.state.ended.as_ref().expect("it ended").message
}

pub(crate) fn name(node: &TestNode, agent: &str) -> Name {
    Name::resolve(agent, node.namespace()).expect("a name")
}

/// What an agent is now: its tier, and whether it may do anything.
pub(crate) fn standing(node: &TestNode, agent: &str) -> (Tier, Status) {
    let name = name(node, agent);
    let row = node.context().store.read(|reader| agent_row(reader, &name)).expect("it reads").expect("it is there");
    (row.tier, row.status)
}

/// The revocation of an agent that nobody took back.
pub(crate) fn revocation(node: &TestNode, agent: &str) -> Option<RevocationRow> {
    let name = name(node, agent);
    node.context().store.read(|reader| steward_app_runs::open_revocation(reader, &name)).expect("it reads")
}

/// Everything on record about a run, in order.
pub(crate) fn events(node: &TestNode, id: &RunId) -> Vec<EntryRow> {
    let run = node.run(id);
    node.context().store.read(|reader| steward_app_runs::events(reader, &run.trace, None)).expect("it reads")
}

/// The kinds of what is on record about a run, in order.
pub(crate) fn kinds(node: &TestNode, id: &RunId) -> Vec<String> {
    events(node, id).into_iter().map(|entry| entry.kind).collect()
}

/// The entries of one kind, in order, of all runs.
pub(crate) fn entries(node: &TestNode, kind: &str) -> Vec<Body> {
    let found = node.context().store.read(|reader| reader.entries("WHERE kind = ?1 ORDER BY seq", &[&kind]));
    found.expect("it reads").iter().map(|e| e.read_body().expect("a body").expect("it is there")).collect()
}

/// Waits until something is so, while the node's own tasks go on.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..1_000_000 {
        if is() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{what} does not come to be");
}
