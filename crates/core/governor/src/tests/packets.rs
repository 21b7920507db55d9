//! What is read as a packet or a plan, and every mistake at its place.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::sample::{PACKET, home, packet};
use crate::{
    mistake::Mistake,
    packet::{ErrorBudget, Packet},
    plan::Plan,
};

fn told(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
}

fn wrong(text: &str, expected: Expect) {
    let mistakes = Packet::read(text.as_bytes(), &home()).expect_err("it has mistakes");
    expected.assert_eq(&told(&mistakes));
}

/// The sample with one text in the place of another.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(PACKET.matches(from).count(), 1, "{from} is there once");
    PACKET.replace(from, to)
}

#[test]
fn a_full_packet_is_read() {
    let packet = packet();
    assert_eq!(packet.agent.to_string(), "scribe.acme.internal");
    assert_eq!(packet.task.as_str(), "weekly-report");
    assert_eq!(packet.deliverables, ["/reports/week.md"]);
    assert_eq!(packet.constraints.scope.len(), 4);
    assert_eq!(packet.success_criteria.len(), 4);
    assert_eq!(packet.error_budget.max_total_errors, 5);
    assert_eq!(packet.created_at.to_string(), "2026-11-20T08:00:00.000Z");
    let again = Packet::read(&packet.canonical(), &"elsewhere.org".parse().unwrap()).unwrap();
    assert_eq!(again, packet, "the canonical form has the full name");
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let text = r#"{"agent_id": "scribe.other.org", "task_id": "t", "created_for": "x", "objective": "y",
        "deliverables": [], "constraints": {"scope": []}, "success_criteria": [],
        "created_at": "2026-11-20T08:00:00.000Z"}"#;
    let packet = Packet::read(text.as_bytes(), &home()).unwrap();
    assert_eq!(packet.agent.to_string(), "scribe.other.org");
    assert_eq!(packet.error_budget, ErrorBudget::default());
    let limits = (packet.error_budget.max_total_errors, packet.error_budget.max_same_error_repeats);
    assert_eq!((limits, packet.error_budget.max_procedure_violations), ((8, 2), 1), "GOV-4");
    assert!(packet.escalation_rules.is_empty() && packet.constraints.forbidden.is_empty());
    let text = text.replace("\"success", "\"error_budget\": {\"max_total_errors\": 100}, \"success");
    let budget = Packet::read(text.as_bytes(), &home()).unwrap().error_budget;
    assert_eq!(budget, ErrorBudget { max_total_errors: 100, ..ErrorBudget::default() });
}

#[test]
fn every_mistake_is_told_at_its_place() {
    wrong(
        r#"{
  "agent_id": "scr ibe",
  "task_id": "weekly.report",
  "created_for": "",
  "objetive": "Write",
  "deliverables": ["/a/../b", 7, "reports/a.md"],
  "constraints": {
    "scope": ["fs.write:/reports/**", "anything goes", "fs.write:a"],
    "forbiden": [],
    "required_steps": [{"step": "x", "artefact": "/x"}, "y"]
  },
  "success_criteria": [{"kind": "artefact"}, {"path": "/x"}, {"kind": "command", "argv": []}, {"kind": "review", "path": "/x"}, 3,
    {"kind": "command", "argv": ["", "x"]}],
  "error_budget": {"max_total_errors": 0, "max_same_error_repeats": 101, "max_procedure_violations": 1.5},
  "escalation_rules": [{"when": "denial", "then": "panic"}, {"when": "denial", "then": "stop"}, {"when": "never"}],
  "größe": null,
  "created_at": "yesterday"
}"#,
        expect![[r#"
            line 1, column 1: a packet needs `objective`; add it
            line 2, column 15: /agent_id: `scr ibe` contains U+0020, which is not allowed in a name; write it without
            line 3, column 14: /task_id: `weekly.report` is not a label: letters, digits and inner hyphens, at most 63, such as `billing-agent`
            line 4, column 18: /created_for: the text is empty; write one, or leave the field out where that is allowed
            line 5, column 3: /objetive: `objetive` is not a field of a packet; did you mean `objective`?
            line 6, column 20: /deliverables/0: `/a/../b` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
            line 6, column 31: /deliverables/1: a text is expected here; write it in quotation marks
            line 6, column 34: /deliverables/2: `reports/a.md` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
            line 8, column 39: /constraints/scope/1: `anything goes` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`
            line 8, column 56: /constraints/scope/2: in `fs.write:a`, a path begins with `/`; write it from the root of the folder
            line 9, column 5: /constraints/forbiden: `forbiden` is not a field of `constraints`; did you mean `forbidden`?
            line 10, column 38: /constraints/required_steps/0/artefact: `artefact` is not a field of a required step; did you mean `artifact`?
            line 10, column 57: /constraints/required_steps/1: a required step is an object here; write `{…}`
            line 12, column 33: /success_criteria/0/kind: a criterion is of the kind `artifact`, `command` or `review`; write `"kind": "artifact"`
            line 12, column 46: /success_criteria/1: a criterion is of the kind `artifact`, `command` or `review`; write `"kind": "artifact"`
            line 12, column 90: /success_criteria/2/argv: a command has a program; write `["grep", "-q", "done", "/reports/a.md"]`
            line 12, column 95: /success_criteria/3: a review criterion needs `question`; add it
            line 12, column 114: /success_criteria/3/path: `path` is not a field of a review criterion; its fields are kind, question
            line 12, column 129: /success_criteria/4: a criterion is of the kind `artifact`, `command` or `review`; write `"kind": "artifact"`
            line 13, column 33: /success_criteria/5/argv: a command has a program; write `["grep", "-q", "done", "/reports/a.md"]`
            line 14, column 40: /error_budget/max_total_errors: a whole number from 1 to 100 is expected here
            line 14, column 69: /error_budget/max_same_error_repeats: a whole number from 1 to 100 is expected here
            line 14, column 102: /error_budget/max_procedure_violations: a whole number from 1 to 100 is expected here
            line 15, column 51: /escalation_rules/0/then: `panic` is not something to do; they are notify, review, stop
            line 15, column 70: /escalation_rules/1/when: `denial` has a rule already; write one for each
            line 15, column 97: /escalation_rules/2: an escalation rule needs `then`; add it
            line 15, column 106: /escalation_rules/2/when: `never` is not a condition; they are first_error, denial, plan_refused, unknown_outcome, half_of_budget, criterion_failed
            line 16, column 3: /gr\u{f6}\u{df}e: `gr\u{f6}\u{df}e` is not a field of a packet; its fields are agent_id, task_id, created_for, objective, deliverables, constraints, success_criteria, error_budget, escalation_rules, created_at
            line 17, column 17: /created_at: `yesterday` is not a time; write it as 2026-11-20T20:14:27.123Z
        "#]],
    );
}

#[test]
fn a_wrong_shape_is_one_mistake() {
    for (text, expected) in [
        (
            "[]",
            expect![[r#"
            line 1, column 1: a packet is an object here; write `{…}`
        "#]],
        ),
        (
            "{}",
            expect![[r#"
            line 1, column 1: a packet needs `agent_id`; add it
            line 1, column 1: a packet needs `task_id`; add it
            line 1, column 1: a packet needs `created_for`; add it
            line 1, column 1: a packet needs `objective`; add it
            line 1, column 1: a packet needs `deliverables`; add it
            line 1, column 1: a packet needs `constraints`; add it
            line 1, column 1: a packet needs `success_criteria`; add it
            line 1, column 1: a packet needs `created_at`; add it
        "#]],
        ),
        (
            "{\"a\": 1,\n \"ä\": 1, \"ä\": 2}",
            expect![[r#"
            line 2, column 12: the key `\u{e4}` is written twice
        "#]],
        ),
        (
            "{\"ää\": 1,, }",
            expect![[r#"
            line 1, column 10: key must be a string
        "#]],
        ),
        (
            "",
            expect![[r#"
            line 1, column 1: EOF while parsing a value
        "#]],
        ),
        (
            "{} x",
            expect![[r#"
            line 1, column 4: trailing characters
        "#]],
        ),
        (
            "[[[[[[]]]]]]",
            expect![[r#"
            line 1, column 7: more than 5 levels of nesting
        "#]],
        ),
    ] {
        wrong(text, expected);
    }
    wrong(
        &"x".repeat(300_000),
        expect![[r#"
        line 1, column 1: the document has 300000 bytes; at most 262144 are read
    "#]],
    );
    let mistakes = Packet::read(b"{\"a\": \"\xff\"}", &home()).expect_err("it is not UTF-8");
    expect![[r#"
        line 1, column 8: invalid unicode code point
    "#]]
    .assert_eq(&told(&mistakes));
}

#[test]
fn limits_hold() {
    let many = |n: usize, item: &str| vec![item; n].join(", ");
    let scope = format!("\"scope\": [{}]", many(65, "\"exec:a\""));
    wrong(
        &changed(
            "\"scope\": [\"fs.write:/reports/**\", \"fs.read:/**\", \"http.get:*.example.org/**\", \"exec:grep\"]",
            &scope,
        ),
        expect![[r#"
            line 8, column 14: /constraints/scope: the list has 65 items; at most 64 are read
        "#]],
    );
    wrong(
        &changed("[\"/reports/week.md\"]", &format!("[{}]", many(65, "\"/a\""))),
        expect![[r#"
        line 6, column 19: /deliverables: the list has 65 items; at most 64 are read
    "#]],
    );
    wrong(
        &changed("[\"grep\", \"-q\", \"Summary\", \"/reports/week.md\"]", &format!("[{}]", many(33, "\"a\""))),
        expect![[r#"
            line 15, column 33: /success_criteria/2/argv: the list has 33 items; at most 32 are read
        "#]],
    );
    wrong(
        &changed("olivia@acme.internal", &"ö".repeat(501)),
        expect![[r#"
        line 4, column 18: /created_for: the text has 501 characters; write at most 500
    "#]],
    );
    wrong(
        &changed("olivia@acme.internal", "a\\nb"),
        expect![[r#"
        line 4, column 18: /created_for: the text holds control characters; write it without any
    "#]],
    );
    wrong(
        &changed("Keep it short.", "\\t"),
        expect![[r#"
        line 5, column 16: /objective: the text holds control characters; write it without any but new lines
    "#]],
    );
    wrong(
        &changed("Keep it short.", &"x".repeat(8_000)),
        expect![[r#"
        line 5, column 16: /objective: the text has 8025 characters; write at most 8000
    "#]],
    );
    wrong(
        &changed("[\"/reports/week.md\"]", &format!("[\"/{}\"]", "ö".repeat(2_048))),
        expect![[r#"
        line 6, column 20: /deliverables/0: `/\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}\u{f6}...` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
    "#]],
    );
    let junk: String = (0..500).map(|i| format!("\"junk{i}\": 1, ")).collect();
    let mistakes = Packet::read(changed("\"agent_id\"", &format!("{junk}\"agent_id\"")).as_bytes(), &home());
    assert_eq!(mistakes.unwrap_err().len(), crate::MAX_MISTAKES);
    // An argument, unlike a step, may be empty.
    assert!(Packet::read(changed("\"-q\"", "\"\"").as_bytes(), &home()).is_ok());
}

#[test]
fn a_packet_has_one_digest() {
    let spaced = PACKET.replace(": ", "  :\t").replace("\"scribe\"", "\"SCRIBE.acme.internal\"");
    let again = Packet::read(spaced.as_bytes(), &home()).unwrap();
    assert_eq!(again.digest(), packet().digest());
    let other = Packet::read(changed("Keep it short", "Keep it long").as_bytes(), &home()).unwrap();
    assert_ne!(other.digest(), packet().digest());
}

#[test]
fn plans_are_read_or_every_mistake_is_told() {
    let plan =
        json!({"summary": "s", "steps": [{"step": "a", "action": "fs.read:/**", "artifact": "/a"}, {"step": "b"}]});
    let read = Plan::read(&plan).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), plan);
    assert_eq!(read.digest(), Plan::read(&plan).unwrap().digest());
    for (value, expected) in [
        (
            json!([]),
            expect![[r#"
            a plan is an object here; write `{…}`
        "#]],
        ),
        (
            json!({"summary": "", "steps": []}),
            expect![[r#"
            /summary: the text is empty; write one, or leave the field out where that is allowed
            /steps: a plan has at least one step; write what you will do first
        "#]],
        ),
        (
            json!({"sumary": "x", "steps": [{"step": 1, "action": "do it", "artifact": "a"}, {"steps": "x"}]}),
            expect![[r#"
                /sumary: `sumary` is not a field of a plan; did you mean `summary`?
                a plan needs `summary`; add it
                /steps/0/step: a text is expected here; write it in quotation marks
                /steps/0/action: `do it` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`
                /steps/0/artifact: `a` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
                /steps/1/steps: `steps` is not a field of a step; did you mean `step`?
                /steps/1: a step needs `step`; add it
            "#]],
        ),
        (
            json!({"summary": "x", "steps": vec![json!({"step": "x"}); 101]}),
            expect![[r#"
            /steps: the list has 101 items; at most 100 are read
        "#]],
        ),
    ] {
        expected.assert_eq(&told(&Plan::read(&value).unwrap_err()));
    }
}

/// Some value of the sample replaced by another, anywhere.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Object(map) => map.values_mut().for_each(|inner| replace(inner, at, with)),
        Value::Array(items) => items.iter_mut().for_each(|inner| replace(inner, at, with)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Packet::read(&bytes, &home()).is_err());
    }

    /// A cut, a flipped byte: read or refused, and what is read is what is written.
    #[test]
    fn no_damage_breaks_it(at in 0..PACKET.len(), byte: u8, cut: bool) {
        let mut bytes = PACKET.as_bytes().to_vec();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        match Packet::read(&bytes, &home()) {
            Ok(packet) => prop_assert_eq!(Packet::read(&packet.canonical(), &home()).unwrap(), packet),
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                prop_assert!(mistakes.iter().all(|m| m.line > 0 && m.column > 0));
            }
        }
    }

    #[test]
    fn no_value_breaks_it(at in 0_usize..50, with in prop_oneof![Just(json!(null)), Just(json!(7)), Just(json!("x")), Just(json!([1])), Just(json!({"x": {}}))]) {
        let mut value: Value = serde_json::from_str(PACKET).unwrap();
        replace(&mut value, &mut at.clone(), &with);
        let text = serde_json::to_string_pretty(&value).unwrap();
        if let Err(mistakes) = Packet::read(text.as_bytes(), &home()) {
            prop_assert!(!mistakes.is_empty());
        }
        if let Err(mistakes) = Plan::read(&value) {
            prop_assert!(!mistakes.is_empty());
        }
    }
}
