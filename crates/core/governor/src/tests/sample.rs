//! A packet, a run and ids for the tests.

use std::sync::LazyLock;

use steward_clock::Timestamp;
use steward_naming::{HandoffId, Namespace, RunId};
use steward_permit::{ActionName, Tier};
use steward_seal::Digest;

use crate::{
    command::{Command, Effect},
    packet::Packet,
    plan::{Artifact, Plan, PlanStep},
    run::{Begin, Run},
};

/// Every field of a packet, of every kind.
pub(crate) const PACKET: &str = r#"{
  "agent_id": "scribe",
  "task_id": "weekly-report",
  "created_for": "olivia@acme.internal",
  "objective": "Write the weekly report.\nKeep it short.",
  "deliverables": ["/reports/week.md"],
  "constraints": {
    "scope": ["fs.write:/reports/**", "fs.read:/**", "http.get:*.example.org/**", "exec:grep"],
    "forbidden": ["fs.write:/reports/secret/**", "shell:*"],
    "required_steps": [{"step": "read last week's report", "artifact": "/reports/notes.md"}, {"step": "think"}]
  },
  "success_criteria": [
    {"kind": "artifact", "path": "/reports/week.md", "contains": "Summary"},
    {"kind": "artifact", "path": "/reports/notes.md"},
    {"kind": "command", "argv": ["grep", "-q", "Summary", "/reports/week.md"]},
    {"kind": "review", "question": "Is it short?"}
  ],
  "error_budget": {"max_total_errors": 5, "max_same_error_repeats": 3, "max_procedure_violations": 2},
  "escalation_rules": [{"when": "first_error", "then": "notify"}, {"when": "unknown_outcome", "then": "review"}],
  "created_at": "2026-11-20T08:00:00.000Z"
}"#;

pub(crate) fn home() -> Namespace {
    "acme.internal".parse().unwrap()
}

pub(crate) fn packet() -> Packet {
    static READ: LazyLock<Packet> = LazyLock::new(|| Packet::read(PACKET.as_bytes(), &home()).unwrap());
    READ.clone()
}

pub(crate) fn action(name: &str) -> ActionName {
    ActionName::parse(name).unwrap()
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_795_000_000_000 + second * 1_000)
}

/// Different numbers, different ids.
pub(crate) fn run_id(n: u32) -> RunId {
    format!("run_01KAHW5V8NQ4Z0M7C2R9{n:06}").parse().unwrap()
}

pub(crate) fn handoff_id(n: u32) -> HandoffId {
    format!("hnd_01KAHW5V8NQ4Z0M7C2R9{n:06}").parse().unwrap()
}

pub(crate) fn begin(packet: Packet) -> Begin<'static> {
    Begin { id: run_id(1), packet, tier: Tier::T2, handoff: None, parent: None, now: at(0) }
}

pub(crate) fn run() -> Run {
    Run::begin(begin(packet())).unwrap()
}

pub(crate) fn artifact(path: &str) -> Artifact {
    Artifact { path: path.to_owned(), digest: Digest::of(path.as_bytes()), bytes: 12 }
}

pub(crate) fn plan() -> Plan {
    let step = |step: &str, action: Option<&str>, artifact: Option<&str>| PlanStep {
        step: step.to_owned(),
        action: action.map(|a| a.parse().unwrap()),
        artifact: artifact.map(str::to_owned),
    };
    Plan {
        summary: "Read, then write.".to_owned(),
        steps: vec![
            step("read", Some("fs.read:/reports/**"), None),
            step("write", Some("fs.write:/reports/week.md"), Some("/reports/week.md")),
        ],
    }
}

pub(crate) fn submit() -> Command {
    Command::Submit { plan: plan(), acknowledges: None }
}

/// With everything that plan and packet require.
pub(crate) fn finish() -> Command {
    Command::Finish { artifacts: vec![artifact("/reports/week.md"), artifact("/reports/notes.md")] }
}

pub(crate) fn verified() -> Command {
    Command::Verified { failed: Vec::new() }
}

pub(crate) fn packaged() -> Command {
    Command::Packaged { missing: Vec::new() }
}

pub(crate) fn error(kind: &str, message: &str) -> Command {
    Command::Error { kind: kind.to_owned(), message: message.to_owned() }
}

/// One step that must be accepted, at the second 1.
pub(crate) fn step(run: &Run, command: Command) -> (Run, Vec<Effect>) {
    let step = run.step(command, at(1)).unwrap();
    (step.run, step.effects)
}

/// The run after some steps that must be accepted.
pub(crate) fn after(run: &Run, commands: impl IntoIterator<Item = Command>) -> Run {
    commands.into_iter().fold(run.clone(), |run, command| step(&run, command).0)
}

/// A run in each phase, in order; in PLAN it has a plan.
pub(crate) fn run_in_each_phase() -> Vec<Run> {
    let mut run = run();
    let mut all = vec![run.clone()];
    let way = [
        vec![Command::Booted],
        vec![Command::PreflightPassed, submit()],
        vec![Command::Approve],
        vec![finish()],
        vec![verified()],
        vec![packaged()],
        vec![Command::Reported],
    ];
    for commands in way {
        run = after(&run, commands);
        all.push(run.clone());
    }
    all
}

/// A run in EXECUTE.
pub(crate) fn executing() -> Run {
    run_in_each_phase().swap_remove(3)
}
