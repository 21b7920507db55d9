//! Templates, and what their gaps are filled with.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use steward_naming::{Label, Name};

use super::sample::{at, home};
use crate::{mistake::Mistake, packet::Packet, template::Template};

const TEMPLATE: &str = r#"{
  "objective": "For {task}: {objective} ({other} {}, {{task}})",
  "deliverables": ["/reports/{task}.md"],
  "constraints": {
    "scope": ["fs.write:/reports/**", "fs.read:/{other}"],
    "required_steps": [{"step": "think about {objective}", "artifact": "/notes/{task}.md"}]
  },
  "success_criteria": [
    {"kind": "artifact", "path": "/reports/{task}.md", "contains": "{task}"},
    {"kind": "command", "argv": ["grep", "{objective}", "/reports/{task}.md"]},
    {"kind": "review", "question": "Does it say {objective}?"}
  ]
}"#;

fn template(text: &str) -> Template {
    Template::read(text.as_bytes(), &home()).unwrap()
}

fn scribe() -> Name {
    "scribe.acme.internal".parse().unwrap()
}

fn fill(template: &Template, objective: &str) -> Result<Packet, Vec<Mistake>> {
    let task: Label = "week-47".parse().unwrap();
    template.fill(scribe(), task, objective, "olivia", at(0))
}

fn wrong(mistakes: Vec<Mistake>, expected: Expect) {
    expected.assert_eq(&mistakes.iter().map(|m| format!("{m}\n")).collect::<String>());
}

#[test]
fn gaps_are_filled_once() {
    let packet = fill(&template(TEMPLATE), "{task} is due").unwrap();
    let text = serde_json::to_string_pretty(&packet).unwrap();
    expect![[r#"
        {
          "agent_id": "scribe.acme.internal",
          "task_id": "week-47",
          "created_for": "olivia",
          "objective": "For week-47: {task} is due ({other} {}, {week-47})",
          "deliverables": [
            "/reports/week-47.md"
          ],
          "constraints": {
            "scope": [
              "fs.write:/reports/**",
              "fs.read:/{other}"
            ],
            "forbidden": [],
            "required_steps": [
              {
                "step": "think about {task} is due",
                "artifact": "/notes/week-47.md"
              }
            ]
          },
          "success_criteria": [
            {
              "kind": "artifact",
              "path": "/reports/week-47.md",
              "contains": "{task}"
            },
            {
              "kind": "command",
              "argv": [
                "grep",
                "{task} is due",
                "/reports/week-47.md"
              ]
            },
            {
              "kind": "review",
              "question": "Does it say {task} is due?"
            }
          ],
          "error_budget": {
            "max_total_errors": 8,
            "max_same_error_repeats": 2,
            "max_procedure_violations": 1
          },
          "escalation_rules": [],
          "created_at": "2026-11-18T11:06:40.000Z"
        }"#]]
    .assert_eq(&text);
    assert_eq!(Packet::read(text.as_bytes(), &home()).unwrap(), packet);
}

#[test]
fn what_is_given_goes_before_what_is_written() {
    let own = TEMPLATE.replacen(
        '{',
        r#"{"task_id": "old", "created_for": "x", "created_at": "2020-01-01T00:00:00.000Z", "#,
        1,
    );
    let packet = fill(&template(&own), "x").unwrap();
    assert_eq!((packet.task.as_str(), packet.created_for.as_str(), packet.created_at), ("week-47", "olivia", at(0)));
    let bare = TEMPLATE.replace("\"objective\": \"For {task}: {objective} ({other} {}, {{task}})\",", "");
    assert_eq!(fill(&template(&bare), "{objective}").unwrap().objective, "{objective}");
    let own = template(&TEMPLATE.replacen('{', r#"{"agent_id": "editor", "#, 1));
    wrong(
        fill(&own, "x").unwrap_err(),
        expect![[r#"
        /agent_id: the template is for `editor.acme.internal`; give it to that agent, or use another template
    "#]],
    );
}

#[test]
fn what_was_filled_in_is_checked_again() {
    let paths = template(&TEMPLATE.replace("/reports/{task}.md", "/reports/{objective}"));
    assert!(fill(&paths, "a/b.md").is_ok());
    wrong(
        fill(&paths, "../../etc/passwd").unwrap_err(),
        expect![[r#"
        /deliverables/0: `/reports/../../etc/passwd` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
        /success_criteria/0/path: `/reports/../../etc/passwd` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
    "#]],
    );
    wrong(
        fill(&template(TEMPLATE), "two\nlines").unwrap_err(),
        expect![[r#"
        /constraints/required_steps/0/step: the text holds control characters; write it without any
        /success_criteria/1/argv/1: the text holds control characters; write it without any
        /success_criteria/2/question: the text holds control characters; write it without any
    "#]],
    );
    wrong(
        fill(&template(TEMPLATE), &"x".repeat(499)).unwrap_err(),
        expect![[r#"
        /constraints/required_steps/0/step: the text has 511 characters; write at most 500
        /success_criteria/2/question: the text has 512 characters; write at most 500
    "#]],
    );
    let bare = template(&TEMPLATE.replace("{objective}", ""));
    assert!(fill(&bare, "").is_ok(), "an objective without a gap is not asked for");
}

#[test]
fn a_template_has_mistakes_like_a_packet() {
    let gap = TEMPLATE.replace("{other}\"", "{task}\"");
    wrong(
        Template::read(gap.as_bytes(), &home()).unwrap_err(),
        expect![[r#"
        line 5, column 39: /constraints/scope/1: patterns are not filled in; write `*` for what differs from task to task
    "#]],
    );
    let wrong_one = TEMPLATE.replace("\"scope\"", "\"skope\"").replace("/notes/", "notes/");
    wrong(
        Template::read(wrong_one.as_bytes(), &home()).unwrap_err(),
        expect![[r#"
        line 4, column 18: /constraints: `constraints` needs `scope`; add it
        line 5, column 5: /constraints/skope: `skope` is not a field of `constraints`; did you mean `scope`?
        line 6, column 72: /constraints/required_steps/0/artifact: `notes/x.md` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`
    "#]],
    );
    wrong(
        Template::read(b"{}", &home()).unwrap_err(),
        expect![[r#"
        line 1, column 1: a template needs `deliverables`; add it
        line 1, column 1: a template needs `constraints`; add it
        line 1, column 1: a template needs `success_criteria`; add it
    "#]],
    );
    wrong(
        Template::read(b"[", &home()).unwrap_err(),
        expect![[r#"
        line 1, column 1: EOF while parsing a list
    "#]],
    );
}

#[test]
fn its_canonical_form_is_read_as_itself() {
    let first = template(TEMPLATE);
    let again = Template::read(&first.canonical(), &home()).unwrap();
    assert_eq!(again.canonical(), first.canonical());
}

proptest! {
    #[test]
    fn nothing_that_is_filled_in_breaks_it(objective in "[\\PC\n{}/.]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let template = template(TEMPLATE);
        if let Ok(packet) = fill(&template, &objective) {
            prop_assert_eq!(Packet::read(&packet.canonical(), &home()).unwrap(), packet);
        }
        prop_assert!(Template::read(&bytes, &home()).is_err());
    }
}
