//! What an agent is told: checked before it is sent, where each mistake is.

use std::fs;

use serde_json::{Value, json};

use crate::{DONE, MISUSED, REFUSED, common::Place, fields, json, list, number, run, text};

/// A packet for `scribe`, on several lines, so that places can be named.
const PACKET: &str = r#"{
  "agent_id": "scribe",
  "task_id": "week-47",
  "created_for": "olivia@acme.internal",
  "objective": "Write the report.",
  "deliverables": ["/reports/week-47.md"],
  "constraints": {
    "scope": ["fs.read:/reports/**", "fs.write:/reports/**", "exec:wc"],
    "forbidden": ["fs.write:/reports/secret/**"]
  },
  "success_criteria": [{"kind": "artifact", "path": "/reports/week-47.md", "contains": "Summary"}],
  "created_at": "2026-11-20T08:00:00.000Z"
}
"#;

#[test]
fn a_packet_is_checked_without_a_node() {
    let place = Place::new();
    let file = |name: &str, content: &str| {
        let path = place.path(name);
        fs::write(&path, content).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let good = file("good.json", PACKET);
    let checked = json(&place, DONE, &["packet", "check", &good, "--namespace", "acme.internal"]);
    assert_eq!(fields(&checked), ["agent", "digest", "document", "mistakes", "task"]);
    assert_eq!((text(&checked, "/agent"), text(&checked, "/task")), ("scribe.acme.internal", "week-47"));
    assert!(text(&checked, "/digest").starts_with("sha256:"));
    assert_eq!(list(&checked, "/mistakes").len(), 0);
    assert!(run(&place, DONE, &["packet", "check", &good]).out.contains("no mistakes"));

    // All mistakes at once, each with its place.
    let wrong = PACKET
        .replace("\"week-47\",", "\"Week 47!\",")
        .replace("exec:wc", "write everything")
        .replace("\"objective\"", "\"objectif\"")
        .replace("\"artifact\"", "\"miracle\"");
    let wrong = file("wrong.json", &wrong);
    let said = run(&place, REFUSED, &["packet", "check", &wrong]);
    for at in [
        ":3:14: /task_id: ",
        ":8:62: /constraints/scope/2: ",
        ":5:3: /objectif: ",
        ":11:33: /success_criteria/0/kind: ",
    ] {
        assert!(said.out.contains(&format!("{wrong}{at}")), "{at} is in {}", said.out);
    }
    assert!(said.out.contains(&format!("mistakes in {wrong}")), "{}", said.out);
    let checked = json(&place, REFUSED, &["packet", "check", &wrong]);
    let task =
        list(&checked, "/mistakes").iter().find(|mistake| text(mistake, "/at") == "/task_id").expect("it is found");
    assert_eq!((number(task, "/line"), number(task, "/column")), (3, 14));

    // What is no JSON at all; what is there twice; what is not there.
    let said = run(&place, REFUSED, &["packet", "check", &file("broken.json", "{\n  \"agent_id\": scribe\n}\n")]);
    assert!(said.out.contains("broken.json:2:15: "), "{}", said.out);
    let twice = PACKET.replace("\"task_id\"", "\"agent_id\"");
    run(&place, REFUSED, &["packet", "check", &file("twice.json", &twice)]);
    run(&place, MISUSED, &["packet", "check", "there-is-none.json"]);
    run(&place, MISUSED, &["packet", "check", &file("large.json", &" ".repeat(2 << 20))]);
    run(&place, MISUSED, &["packet", "check", &good, "--namespace", "Not A Name"]);

    // A template leaves out what is filled in; as a packet it is not enough.
    let template = file(
        "t.json",
        r#"{"deliverables": ["/reports/{task}.md"], "constraints": {"scope": ["fs.write:/reports/**"]}, "success_criteria": []}"#,
    );
    run(&place, DONE, &["packet", "check", "--template", &template]);
    assert_eq!(list(&json(&place, REFUSED, &["packet", "check", &template]), "/mistakes").len(), 5);
    run(&place, REFUSED, &["packet", "check", "--template", &wrong]);
}

#[test]
fn the_schemas_are_printed_and_are_json() {
    let place = Place::new();
    let titles = [&["packet", "schema"][..], &["packet", "schema", "handoff"], &["packet", "schema", "evidence"]].map(
        |arguments| {
            let schema: Value = serde_json::from_str(&run(&place, DONE, arguments).out).expect("JSON");
            assert_eq!(text(&schema, "/type"), "object", "{schema:#}");
            text(&schema, "/$schema").to_owned() + &schema["required"].to_string()
        },
    );
    assert!(titles[0] != titles[1] && titles[1] != titles[2]);
    assert_eq!(run(&place, DONE, &["packet", "schema"]).out, run(&place, DONE, &["packet", "schema", "packet"]).out);
    run(&place, MISUSED, &["packet", "schema", "vote"]);
    // What the schema requires, the check misses.
    let schema: Value = serde_json::from_str(&run(&place, DONE, &["packet", "schema"]).out).expect("JSON");
    let whole: Value = serde_json::from_str(PACKET).expect("JSON");
    let required = list(&schema, "/required");
    assert!(required.len() > 5);
    for name in required {
        let mut less = whole.clone();
        less.as_object_mut().expect("an object").remove(name.as_str().expect("a name"));
        let path = place.path("less.json");
        fs::write(&path, less.to_string()).expect("a file");
        let checked = json(&place, REFUSED, &["packet", "check", path.to_str().expect("text")]);
        assert!(json!(checked["mistakes"]).to_string().contains(name.as_str().expect("a name")), "{name}: {checked:#}");
    }
}
