//! Runs as they look.

use expect_test::expect;
use serde_json::json;
use steward_wire::{ArtifactRecord, RunDetail, RunEvent, RunList};

use super::{advice, detail_view, event_line, list_view, run_view};
use crate::{show::Looks, testing::story::run_record};

const TERMINAL: Looks = Looks { is_terminal: true, colour: false, width: Some(100) };

fn event() -> RunEvent {
    RunEvent {
        entry: 41,
        time: "2026-11-20T20:14:27.123Z".into(),
        kind: "run.phase".into(),
        says: "PLAN → EXECUTE\u{1b}[2J".into(),
    }
}

#[test]
fn an_event_is_one_line() {
    assert_eq!(
        event_line(&event(), Looks::default()),
        "2026-11-20T20:14:27.123Z 41 run.phase PLAN → EXECUTE\\u{1b}[2J"
    );
    assert_eq!(event_line(&event(), TERMINAL), "20:14:27  PLAN → EXECUTE\\u{1b}[2J");
    let odd = RunEvent { time: "now".into(), ..event() };
    assert_eq!(event_line(&odd, TERMINAL), "now  PLAN → EXECUTE\\u{1b}[2J");
}

#[test]
fn a_run_says_why_it_ended() {
    expect![[r#"
        run        run_01KAHW5V8NQ4Z0M7C2R9T3XBYD
        agent      scribe.acme.internal 1.0.0, T1
        task       design
        objective  Design a thing
        status     revoked
        phase      EXIT
        because    `no such host` twice
        code       REPEATED_ERROR
        started    2026-11-20T20:14:27.123Z, by olivia@acme.internal
        ended      2026-11-20T20:14:40.000Z, in EXECUTE
        errors     1 of 8
        sandbox    A, cgroup-v1
        lock       7
        trace      trc_01KAHW5V8NQ4Z0M7C2R9T3XBYD
        entry      12
    "#]]
    .assert_eq(&run_view(&run_record("revoked"), Looks::default()));
}

#[test]
fn runs_in_a_list() {
    let list = RunList { runs: ["live", "completed", "revoked"].map(run_record).to_vec() };
    expect![[r#"
        started                   run                             agent                 task    phase    status     code
        2026-11-20T20:14:27.123Z  run_01KAHW5V8NQ4Z0M7C2R9T3XBYD  scribe.acme.internal  design  EXECUTE  live       -
        2026-11-20T20:14:27.123Z  run_01KAHW5V8NQ4Z0M7C2R9T3XBYD  scribe.acme.internal  design  EXIT     completed  COMPLETED
        2026-11-20T20:14:27.123Z  run_01KAHW5V8NQ4Z0M7C2R9T3XBYD  scribe.acme.internal  design  EXIT     revoked    REPEATED_ERROR
    "#]]
    .assert_eq(&list_view(&list, Looks::default()));
    let text = list_view(&list, TERMINAL);
    assert!(text.contains("revoked (REPEATED_ERROR)"), "{text}");
    assert!(text.contains("EXECUTE"), "{text}");
}

#[test]
fn a_run_with_everything_about_it() {
    let detail = RunDetail {
        run: run_record("revoked"),
        packet: json!({
            "created_for": "the board", "created_at": "2026-11-20T20:00:00.000Z", "deliverables": ["/design.md"],
            "constraints": {
                "scope": ["fs.write:/**", "exec:grep"], "forbidden": ["shell:*"],
                "required_steps": [{"step": "look around"}, {"step": "write", "artifact": "/design.md"}],
            },
            "success_criteria": [
                {"kind": "artifact", "path": "/design.md", "contains": "API"},
                {"kind": "command", "argv": ["grep", "-q", "x", "/files/design.md"]},
                {"kind": "review", "question": "Is it good?"},
            ],
            "error_budget": {"max_total_errors": 8, "max_same_error_repeats": 2, "max_procedure_violations": 1},
            "escalation_rules": [{"when": "denial", "then": "notify"}],
        }),
        plan: Some(
            json!({"summary": "write it", "steps": [{"step": "write", "action": "fs.write:/**", "artifact": "/design.md"}]}),
        ),
        handoff: None,
        report: Some(json!({
            "actions": {"succeeded": 1, "failed": 2, "denied": 0, "unknown": 0},
            "phases": [{"phase": "BOOTSTRAP", "at": "2026-11-20T20:14:27.123Z"}],
            "planner": null, "note": "n",
        })),
        artifacts: vec![ArtifactRecord { path: "/design.md".into(), digest: "sha256:00".into(), bytes: 3 }],
        children: vec!["run_2".into()],
        waits_for: vec!["rev_1".to_owned()],
        events: vec![event()],
    };
    let text = detail_view(&detail, "do this", Looks::default());
    let after_the_run = text.split_once("\n\n").map_or("", |(_, rest)| rest);
    expect![[r#"
        What it was told
        for            the board
        written        2026-11-20T20:00:00.000Z
        may            fs.write:/**
                       exec:grep
        must not       shell:*
        must           look around
                       write (/design.md)
        delivers       /design.md
        is checked by  /design.md is there and holds `API`
                       `grep -q x /files/design.md` ends with 0
                       Is it good?
        error budget   8 errors, 2 of one kind, 1 violations
        escalates      denial: notify

        What it planned
        summary  write it
        steps    write (fs.write:/**, /design.md)

        What happened
        time                      entry  what
        2026-11-20T20:14:27.123Z  41     PLAN → EXECUTE\u{1b}[2J

        What it left
        /design.md  3 bytes, sha256:00

        Its live children
        child  run_2

        What it waits for a person to decide
        rev_1  steward review show rev_1

        Its report
        actions  1 succeeded, 2 failed, 0 denied, 0 unknown
        phases   2026-11-20T20:14:27.123Z BOOTSTRAP
        note     n

        do this
    "#]]
    .assert_eq(after_the_run);
}

#[test]
fn every_end_says_what_to_do_next() {
    for (status, what) in [
        ("live", "steward run stop run_"),
        ("completed", "steward run evidence run_"),
        ("revoked", "steward agent reinstate scribe.acme.internal"),
        ("refused", "new run"),
        ("stopped", "new run"),
        ("failed", "new run"),
    ] {
        let said = advice(&run_record(status), &|verb| format!("steward {verb}"));
        assert!(said.contains(what), "{status}: {said}");
    }
}
