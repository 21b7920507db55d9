//! Hooks, as somebody sets them up and types.

use std::fs;

use crate::{DONE, REFUSED, demo, fields, json, list, run, text};

#[test]
fn a_hook_is_set_up_tried_and_looked_at() {
    let (place, node) = demo();
    assert!(run(&place, DONE, &["hook", "list"]).out.contains("[[hooks]]"), "how to set one up");
    assert_eq!(text(&json(&place, REFUSED, &["hook", "test", "page"]), "/code"), "NOT_FOUND");
    node.stop();
    let (said, file) = (place.path("said"), place.home().join("steward.toml"));
    let before = fs::read_to_string(&file).expect("its configuration");
    let mistake = "\n[[hooks]]\nname = \"page\"\ncommand = [\"page\"]\n";
    fs::write(&file, format!("{before}{mistake}")).expect("written");
    let dead = place.try_up(&["--demo"], &[]).err().expect("it does not start");
    let line = before.lines().count() + 2;
    assert!(dead.log.contains(&format!("line {line}")) && dead.log.contains("whole path"), "{dead:?}");

    let script = format!("tee '{}'; test \\\"$STEWARD_EVENT\\\" != hook.test || exit 0; exit 9", said.display());
    let hook = format!("\n[[hooks]]\nname = \"page\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n");
    fs::write(&file, format!("{before}{hook}")).expect("written");
    let node = place.up(&["--demo"]);
    let tested = json(&place, DONE, &["hook", "test", "page"]);
    assert_eq!(fields(&tested), ["hook", "id", "ms", "status", "told"]);
    assert_eq!((tested["told"].as_bool(), tested["status"].as_i64()), (Some(true), Some(0)));
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(&said).expect("it ran")).expect("JSON");
    assert_eq!((text(&told, "/type"), text(&told, "/data/node")), ("hook.test", "acme.internal"));
    let listed = json(&place, DONE, &["hook", "list"]);
    let page = &list(&listed, "/hooks")[0];
    assert_eq!((text(page, "/kind"), text(page, "/to"), page["told"].as_u64()), ("command", "/bin/sh", Some(0)));
    let shown = run(&place, DONE, &["hook", "list"]);
    assert!(shown.out.contains("page") && shown.out.contains("good"), "{shown:?}");
    assert!(!shown.out.contains("tee"), "arguments may be secret: {shown:?}");
    node.stop();
}
