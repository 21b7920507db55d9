//! Agents as `agent init` begins them: each runs as it is.

use std::fs;

use crate::{DONE, REFUSED, demo, json, run};

#[test]
fn each_starter_runs_to_its_end() {
    let (place, _node) = demo();
    for starter in ["python", "shell", "offline"] {
        run(&place, DONE, &["agent", "init", starter, "--starter", starter]);
        run(&place, REFUSED, &["agent", "init", starter, "--starter", starter]);
        let manifest = place.home().join("programs").join(starter).join("agent.toml");
        run(&place, DONE, &["agent", "add", manifest.to_str().expect("a path")]);
        let task = format!("first-{starter}");
        let ended = json(&place, DONE, &["run", "start", starter, "--task", &task, "Say hello"]);
        assert_eq!(ended["status"], "completed", "{ended}");
        let shown = json(&place, DONE, &["run", "show", ended["id"].as_str().expect("an id")]);
        // Only what was made without a model says so.
        let says = shown.to_string().contains("no model was asked");
        assert_eq!(says, starter == "offline", "{shown}");
    }
}

#[test]
fn the_offline_planner_writes_what_is_known_and_says_what_it_is() {
    let (place, _node) = demo();
    run(&place, DONE, &["agent", "init", "clerk-of-old", "--starter", "offline"]);
    let folder = place.home().join("programs/clerk-of-old");
    let packet = folder.join("packet.json");
    let text = fs::read_to_string(&packet).expect("written");
    fs::write(&packet, text.replace("fs.read:/reports/**", "fs.read:/**")).expect("written");
    run(&place, DONE, &["agent", "add", folder.join("agent.toml").to_str().expect("a path")]);
    let files = place.home().join("agents/acme.internal/clerk-of-old/files");
    fs::create_dir_all(files.join("knowledge")).expect("made");
    fs::write(files.join("knowledge/orders.md"), "Orders come by mail.\nHello is said at nine.\n").expect("written");
    let ended =
        json(&place, DONE, &["run", "start", "clerk-of-old", "--task", "orders", "Say hello, and how orders come"]);
    assert_eq!(ended["status"], "completed", "{ended}");
    let report = fs::read_to_string(files.join("reports/orders.md")).expect("its report");
    for part in ["Written without a model", "> Orders come by mail.", "From `/knowledge/orders.md`"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}
