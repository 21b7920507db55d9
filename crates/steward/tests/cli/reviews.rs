//! What waits for a person, decided from the terminal.

use std::io::{BufRead as _, BufReader};

use crate::{DONE, MISUSED, REFUSED, common::Place, demo, json, list, run, text};

/// Registers an agent of this tier.
fn agent(place: &Place, name: &str, tier: &str) {
    let file = place.path(&format!("{name}.toml"));
    std::fs::write(&file, format!("name = \"{name}\"\nversion = \"1.0.0\"\ntier = \"{tier}\"\n")).expect("a file");
    run(place, DONE, &["agent", "add", file.to_str().expect("text")]);
}

#[test]
fn what_an_architect_writes_waits_for_somebody_else() {
    let (place, node) = demo();
    agent(&place, "architect", "T4");
    let added = json(&place, DONE, &["people", "add", "rita", "--role", "reviewer"]);
    let key = place.path("rita.key");
    std::fs::write(&key, text(&added, "/login_key/secret")).expect("a file");
    let hers = |arguments: &[&str]| {
        let mut command = place.command();
        command.env("STEWARD_CONFIG_DIR", place.path("hers")).args(arguments);
        command.output().expect("it runs")
    };
    assert!(hers(&["login", "--key-file", key.to_str().expect("text")]).status.success());
    let plan = place.path("plan.md");
    std::fs::write(&plan, "one\n").expect("a file");
    let act = ["act", "architect", "fs.write", "/plans/a.md", "--from", plan.to_str().expect("text")];

    assert_eq!(run(&place, DONE, &["review", "list"]).out, "nothing waits for a decision\n");
    let waits = run(&place, REFUSED, &act);
    assert!(waits.err.contains("steward review show rvw_"), "it says what to do next: {waits:?}");
    let reviews = json(&place, DONE, &["review", "list"]);
    let id = text(&list(&reviews, "/reviews")[0], "/id").to_owned();
    let shown = run(&place, DONE, &["review", "show", &id]);
    for words in ["architect", "fs.write /plans/a.md", "T4/approval", "if approved", "one"] {
        assert!(shown.out.contains(words), "{words}: {shown:?}");
    }
    let own = json(&place, REFUSED, &["review", "approve", &id, "--reason", "mine"]);
    assert_eq!(text(&own, "/code"), "FORBIDDEN", "who asked does not approve");
    run(&place, MISUSED, &["review", "approve", &id]);
    let approved = hers(&["review", "approve", &id, "--reason", "it is sound"]);
    assert!(approved.status.success(), "{approved:?}");
    run(&place, DONE, &act);
    let used = json(&place, DONE, &["review", "show", &id]);
    assert_eq!(text(&used, "/review/status"), "used");
    let explained = run(&place, DONE, &["action", "explain", text(&used, "/review/used_by")]);
    assert!(explained.out.contains("rita@acme.internal approved exactly this"), "{explained:?}");

    // Another text is another question, and a difference.
    std::fs::write(&plan, "two\n").expect("a file");
    run(&place, REFUSED, &act);
    let next = text(&list(&json(&place, DONE, &["review", "list"]), "/reviews")[0], "/id").to_owned();
    let shown = run(&place, DONE, &["review", "show", &next]).out;
    assert!(shown.contains("-one") && shown.contains("+two"), "{shown}");
    let rejected = hers(&["review", "reject", &next, "--reason", "not two"]);
    assert!(rejected.status.success(), "{rejected:?}");
    let refused = run(&place, REFUSED, &act);
    assert!(refused.err.contains("not two"), "{refused:?}");
    assert_eq!(list(&json(&place, DONE, &["review", "list", "--all"]), "/reviews").len(), 2);
    let short = json(&place, REFUSED, &["agent", "promote", "scribe", "--reason", "please"]);
    assert_eq!(text(&short, "/code"), "RECORD_TOO_SHORT");
    let verified = run(&place, DONE, &["ledger", "verify", "--state"]);
    assert!(!verified.out.contains("finding"), "{verified:?}");
    node.stop();
}

#[test]
fn who_watches_goes_on_when_the_node_is_back() {
    let (place, node) = demo();
    agent(&place, "architect", "T4");
    let plan = place.path("plan.md");
    let waits = |text: &str| {
        std::fs::write(&plan, text).expect("a file");
        run(&place, REFUSED, &["act", "architect", "fs.write", "/plans/a.md", "--from", plan.to_str().expect("text")]);
    };
    waits("one\n");
    let mut command = place.command();
    let piped = std::process::Stdio::piped;
    let mut child = command.args(["review", "watch"]).stdout(piped()).stderr(piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut asides = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.next().expect("a line").contains("fs.write /plans/a.md"));
    node.stop();
    let aside = asides.next().expect("it says that the node is away");
    assert!(aside.contains("goes on when the node is back"), "{aside}");
    let node = place.up(&[]);
    assert_eq!(asides.next().as_deref(), Some("The node is back."));
    waits("two\n");
    assert!(lines.next().expect("another").contains("fs.write /plans/a.md"), "and each is told once");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
    assert!(child.wait().expect("it ends").success(), "whoever ends it has seen enough");
    assert_eq!(lines.next(), None);
    node.stop();
}
