//! Traces, as somebody sets them up and looks at them.

use std::fs;

use steward_testkit::Collector;

use crate::{DONE, demo, json, run, text};

#[test]
fn a_receiver_is_set_up_and_looked_at() {
    let (place, node) = demo();
    assert!(run(&place, DONE, &["traces"]).out.contains("`url` in `[traces]`"), "how to set one up");
    assert_eq!(json(&place, DONE, &["traces"])["to"].as_str(), None);
    node.stop();
    let file = place.home().join("steward.toml");
    let before = fs::read_to_string(&file).expect("its configuration");
    let with = |url: &str| {
        let text = before.replacen("\nurl = \"\"\n", &format!("\nurl = \"{url}\"\n"), 1);
        assert_ne!(text, before);
        text
    };
    fs::write(&file, with("http://user:word@127.0.0.1/")).expect("written");
    let dead = place.try_up(&["--demo"], &[]).err().expect("it does not start");
    assert!(dead.log.contains("traces.url") && !dead.log.contains("word@"), "{dead:?}");

    let collector = Collector::new();
    fs::write(&file, with(&collector.url())).expect("written");
    let node = place.up(&["--demo"]);
    let sends = || json(&place, DONE, &["traces"])["sent"].as_u64().expect("a count");
    let began = || {
        let found = json(&place, DONE, &["ledger", "search", "--kind", "traces.settled"]);
        !found["entries"].as_array().expect("entries").is_empty()
    };
    while !began() {}
    let plan = place.path("plan.md");
    fs::write(&plan, "a plan").expect("written");
    run(&place, DONE, &["act", "watcher", "fs.write", "/plans/spans.md", "--from", plan.to_str().expect("text")]);
    while sends() == 0 {}
    assert_eq!(collector.spans()[0].name, "execute_tool fs.write");
    let shown = run(&place, DONE, &["traces"]);
    assert!(shown.out.contains("good") && shown.out.contains(&collector.url()), "{shown:?}");
    assert_eq!(text(&json(&place, DONE, &["traces"]), "/to"), collector.url());
    node.stop();
}
