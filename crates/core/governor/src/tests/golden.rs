//! The bytes that others verify and that the store keeps. A change here is a change of format.

use expect_test::expect;
use serde_json::Value;
use steward_naming::ActionId;
use steward_seal::{Digest, json::canonical};

use super::sample::{after, artifact, at, begin, error, executing, handoff_id, packet, plan, run_id};
use crate::{
    command::{Command, Effect},
    ending::Ending,
    evidence::{ActionCounts, DecisionRef, EvidencePackage, OutputRef, PhaseTime, Report},
    handoff::{Handoff, Tried},
    phase::Phase,
    run::{Begin, Run},
};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A run with something in every field.
pub(crate) fn full_run() -> Run {
    let begun = Run::begin(Begin { handoff: Some(handoff_id(1)), ..begin(packet()) }).unwrap();
    let submit = Command::Submit { plan: plan(), acknowledges: Some(handoff_id(1)) };
    let way = [
        Command::Booted,
        Command::PreflightPassed,
        submit,
        Command::Approve,
        Command::ChildStarted(run_id(3)),
        error("TIMEOUT", "no answer after 31 s"),
    ];
    Run { parent: Some(run_id(2)), depth: 1, ..after(&begun, way) }
}

pub(crate) fn full_handoff() -> Handoff {
    let revoked = Command::Violation { details: "wrote in VERIFY".to_owned() };
    let run = full_run();
    let run = after(&run, [revoked.clone()]);
    let step = run.step(revoked, at(9)).unwrap();
    let Some(Effect::HandOff { reason, details }) = step.effects.get(1).cloned() else { panic!("{:?}", step.effects) };
    let tried = |action: &str, resource: &str, outcome: &str, error: Option<&str>| Tried {
        action: action.to_owned(),
        resource: resource.to_owned(),
        outcome: outcome.to_owned(),
        error: error.map(str::to_owned),
    };
    let tried = vec![
        tried("fs.write", "/reports/notes.md", "succeeded", None),
        tried("fs.write", "/elsewhere", "denied", Some("outside the scope")),
    ];
    Handoff::write(handoff_id(2), &step.run, reason, &details, tried, vec![artifact("/reports/notes.md")])
}

pub(crate) fn full_evidence() -> EvidencePackage {
    let action: ActionId = "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".parse().unwrap();
    EvidencePackage {
        run: run_id(1),
        task: packet().task,
        agent: packet().agent,
        packet: packet().digest(),
        plan: Some(plan().digest()),
        artifacts: vec![artifact("/reports/week.md")],
        decisions: vec![DecisionRef {
            seq: "17".to_owned(),
            action: "fs.write".to_owned(),
            resource: "/reports/week.md".to_owned(),
            verdict: "allow".to_owned(),
            policies: vec!["T2/writes".to_owned()],
        }],
        outputs: vec![OutputRef {
            action,
            tool: "fs.write".to_owned(),
            status: "succeeded".to_owned(),
            digest: Some(Digest::of(b"x")),
        }],
    }
}

#[test]
fn packet_bytes() {
    expect![[r#"{"agent_id":"scribe.acme.internal","constraints":{"forbidden":["fs.write:/reports/secret/**","shell:*"],"required_steps":[{"artifact":"/reports/notes.md","step":"read last week's report"},{"step":"think"}],"scope":["fs.write:/reports/**","fs.read:/**","http.get:*.example.org/**","exec:grep"]},"created_at":"2026-11-20T08:00:00.000Z","created_for":"olivia@acme.internal","deliverables":["/reports/week.md"],"error_budget":{"max_procedure_violations":2,"max_same_error_repeats":3,"max_total_errors":5},"escalation_rules":[{"then":"notify","when":"first_error"},{"then":"review","when":"unknown_outcome"}],"objective":"Write the weekly report.\nKeep it short.","success_criteria":[{"contains":"Summary","kind":"artifact","path":"/reports/week.md"},{"kind":"artifact","path":"/reports/notes.md"},{"argv":["grep","-q","Summary","/reports/week.md"],"kind":"command"},{"kind":"review","question":"Is it short?"}],"task_id":"weekly-report"}"#]].assert_eq(&text(packet().canonical()));
    expect!["sha256:57049f0ab5396a9e9950efcc795c6193c4dcf363595802345269f7a9ea0813cc"]
        .assert_eq(&packet().digest().to_string());
}

#[test]
fn plan_bytes() {
    expect![[r#"{"steps":[{"action":"fs.read:/reports/**","step":"read"},{"action":"fs.write:/reports/week.md","artifact":"/reports/week.md","step":"write"}],"summary":"Read, then write."}"#]].assert_eq(&text(plan().canonical()));
}

#[test]
fn run_bytes() {
    let run = full_run();
    let stored = serde_json::to_string(&run).unwrap();
    expect![[r#"{"id":"run_01KAHW5V8NQ4Z0M7C2R9000001","agent":"scribe.acme.internal","task":"weekly-report","tier":"T2","packet":{"agent_id":"scribe.acme.internal","task_id":"weekly-report","created_for":"olivia@acme.internal","objective":"Write the weekly report.\nKeep it short.","deliverables":["/reports/week.md"],"constraints":{"scope":["fs.write:/reports/**","fs.read:/**","http.get:*.example.org/**","exec:grep"],"forbidden":["fs.write:/reports/secret/**","shell:*"],"required_steps":[{"step":"read last week's report","artifact":"/reports/notes.md"},{"step":"think"}]},"success_criteria":[{"kind":"artifact","path":"/reports/week.md","contains":"Summary"},{"kind":"artifact","path":"/reports/notes.md"},{"kind":"command","argv":["grep","-q","Summary","/reports/week.md"]},{"kind":"review","question":"Is it short?"}],"error_budget":{"max_total_errors":5,"max_same_error_repeats":3,"max_procedure_violations":2},"escalation_rules":[{"when":"first_error","then":"notify"},{"when":"unknown_outcome","then":"review"}],"created_at":"2026-11-20T08:00:00.000Z"},"phase":"EXECUTE","spent":{"total":1,"violations":0,"repeats":{"TIMEOUT: no answer after # s":1}},"plan":{"summary":"Read, then write.","steps":[{"step":"read","action":"fs.read:/reports/**"},{"step":"write","action":"fs.write:/reports/week.md","artifact":"/reports/week.md"}]},"handoff":"hnd_01KAHW5V8NQ4Z0M7C2R9000001","acknowledged":true,"parent":"run_01KAHW5V8NQ4Z0M7C2R9000002","depth":1,"children":["run_01KAHW5V8NQ4Z0M7C2R9000003"],"escalated":["first_error"],"started_at":"2026-11-18T11:06:40.000Z","phase_at":"2026-11-18T11:06:41.000Z","ended":null}"#]].assert_eq(&stored);
    assert_eq!(serde_json::from_str::<Run>(&stored).unwrap(), run);
    let ended = after(&run, [Command::Stop { reason: "enough".to_owned() }]);
    let stored = serde_json::to_string(&ended).unwrap();
    let tail = stored.split_once("\"started_at\"").unwrap().1;
    expect![[r#":"2026-11-18T11:06:40.000Z","phase_at":"2026-11-18T11:06:41.000Z","ended":{"ending":"stopped","code":"STOPPED","message":"enough","phase":"EXECUTE","at":"2026-11-18T11:06:41.000Z"}}"#]].assert_eq(tail);
    assert_eq!(serde_json::from_str::<Run>(&stored).unwrap(), ended);
}

#[test]
fn handoff_bytes() {
    let handoff = full_handoff();
    expect![[r#"
        {
          "id": "hnd_01KAHW5V8NQ4Z0M7C2R9000002",
          "task_id": "weekly-report",
          "previous_agent_id": "scribe.acme.internal",
          "revoked": true,
          "revocation_reason": {
            "type": "PROCEDURE_VIOLATION",
            "details": "wrote in VERIFY"
          },
          "last_known_state": {
            "phase": "EXECUTE",
            "step": "step 2 of 2: write"
          },
          "what_was_tried": [
            {
              "action": "fs.write",
              "resource": "/reports/notes.md",
              "outcome": "succeeded"
            },
            {
              "action": "fs.write",
              "resource": "/elsewhere",
              "outcome": "denied",
              "error": "outside the scope"
            }
          ],
          "blocking_issue": "PROCEDURE_VIOLATION: wrote in VERIFY",
          "required_next_actions": [
            "avoid what led to PROCEDURE_VIOLATION: see blocking_issue",
            "write the required artifact `/reports/week.md`",
            "see to it that `/reports/week.md` is there and holds `Summary`",
            "see to it that `grep -q Summary /reports/week.md` ends with 0",
            "see to it that a reviewer says yes to: Is it short?"
          ],
          "constraints_reminder": [
            "allowed: `fs.write:/reports/**`",
            "allowed: `fs.read:/**`",
            "allowed: `http.get:*.example.org/**`",
            "allowed: `exec:grep`",
            "forbidden: `fs.write:/reports/secret/**`",
            "forbidden: `shell:*`",
            "required: read last week's report",
            "required: think"
          ],
          "artifacts": [
            {
              "path": "/reports/notes.md",
              "digest": "sha256:db067c245bd86f6710e18a0d73db7465ee777e0ce64e79168ffe3207af79e879",
              "bytes": 12
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&handoff).unwrap());
    expect!["sha256:048fa3c69e0e7f4ea11e33c1fe8737949492b9972f7e0297b7c60faf66407b23"]
        .assert_eq(&handoff.digest().to_string());
    assert_eq!(serde_json::from_slice::<Handoff>(&handoff.canonical()).unwrap(), handoff);
}

#[test]
fn evidence_bytes() {
    let evidence = full_evidence();
    expect![[r#"{"agent":"scribe.acme.internal","artifacts":[{"bytes":12,"digest":"sha256:0b55b1d757c8b520f2bf3974fd74f7ef5bad2c3f4b37fa1227a1ca5f6f545a6b","path":"/reports/week.md"}],"decisions":[{"action":"fs.write","policies":["T2/writes"],"resource":"/reports/week.md","seq":"17","verdict":"allow"}],"outputs":[{"action":"act_01KAHW5V8NQ4Z0M7C2R9T3XBYD","digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","status":"succeeded","tool":"fs.write"}],"packet":"sha256:57049f0ab5396a9e9950efcc795c6193c4dcf363595802345269f7a9ea0813cc","plan":"sha256:2dd5aef3b0bedd71f2d7494884f06b065837f34723c6aeb187d6650dcc80e07e","run":"run_01KAHW5V8NQ4Z0M7C2R9000001","task":"weekly-report"}"#]].assert_eq(&text(evidence.canonical()));
    assert_eq!(serde_json::from_slice::<EvidencePackage>(&evidence.canonical()).unwrap(), evidence);
}

#[test]
fn report_bytes() {
    let run = executing();
    let report = Report {
        run: run.id,
        task: run.task,
        agent: run.agent,
        tier: run.tier,
        packet: run.packet.digest(),
        evidence: Some(full_evidence().digest()),
        ending: Ending::Completed,
        code: "COMPLETED".to_owned(),
        message: "everything that was asked is there".to_owned(),
        phases: vec![PhaseTime { phase: Phase::Bootstrap, at: at(0) }],
        actions: ActionCounts { succeeded: 3, failed: 2, denied: 1, unknown: 0 },
        errors: full_run().spent,
        artifacts: vec![artifact("/reports/week.md")],
        planner: Some("offline".to_owned()),
        note: None,
    };
    expect![[r#"{"actions":{"denied":1,"failed":2,"succeeded":3,"unknown":0},"agent":"scribe.acme.internal","artifacts":[{"bytes":12,"digest":"sha256:0b55b1d757c8b520f2bf3974fd74f7ef5bad2c3f4b37fa1227a1ca5f6f545a6b","path":"/reports/week.md"}],"code":"COMPLETED","ending":"completed","errors":{"repeats":{"TIMEOUT: no answer after # s":1},"total":1,"violations":0},"evidence":"sha256:459e28c1b1aa04465c91eedf86da393929594d437b6bf5089d78ef8e032bc4d4","message":"everything that was asked is there","note":null,"packet":"sha256:57049f0ab5396a9e9950efcc795c6193c4dcf363595802345269f7a9ea0813cc","phases":[{"at":"2026-11-18T11:06:40.000Z","phase":"BOOTSTRAP"}],"planner":"offline","run":"run_01KAHW5V8NQ4Z0M7C2R9000001","task":"weekly-report","tier":"T2"}"#]].assert_eq(&text(report.canonical()));
    assert_eq!(serde_json::from_slice::<Report>(&report.canonical()).unwrap(), report);
    assert_eq!(report.digest(), Digest::of(&report.canonical()));
}

/// An unknown field anywhere in what is stored is refused: it is of a newer node, or was put there.
#[test]
fn unknown_fields_are_refused() {
    fn objects(value: &Value, at: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                out.push(at.to_owned());
                map.iter().for_each(|(key, inner)| objects(inner, &format!("{at}/{key}"), out));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, inner)| objects(inner, &format!("{at}/{i}"), out))
            }
            _ => {}
        }
    }
    fn check<T: serde::de::DeserializeOwned + serde::Serialize>(whole: &T) {
        let value: Value = serde_json::from_slice(&canonical(whole).unwrap()).unwrap();
        let mut pointers = Vec::new();
        objects(&value, "", &mut pointers);
        // A map of counts has any keys.
        for pointer in pointers.iter().filter(|p| !p.ends_with("/repeats")) {
            let mut changed = value.clone();
            let object = changed.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
            object.insert("newer".to_owned(), Value::Null);
            assert!(serde_json::from_value::<T>(changed).is_err(), "{pointer}");
        }
    }
    check(&after(&full_run(), [Command::Stop { reason: "x".to_owned() }]));
    check(&full_handoff());
    check(&full_evidence());
}
