//! The offline planner as an agent: hidden in the executable, so that a node without any model has an agent that works.
//!
//! ```text
//! command = ["/run/steward/steward", "offline-agent"]
//! ```
//!
//! It is an agent like any other, in a sandbox, and asks the node for everything. What it knows are the texts in the folder `knowledge` of
//! the agent's own folder; it reads them by `fs.read`, so that they are on record.
//!
//! Deliberately absent: the planning itself (governor).

use std::{fs, process::ExitCode};

use serde_json::{Value, json};
use steward_governor::offline::{Known, OFFLINE, OfflinePlanner};

use crate::demo_agent::Node;

/// Where an agent's own folder is in its sandbox, and in it what is known.
const KNOWLEDGE: &str = "/files/knowledge";

/// The same, as the node is asked for it.
const AS_ASKED: &str = "/knowledge";

/// The most texts that are read: more is a task for something that understands them.
const MAX_KNOWN: usize = 32;

/// Runs the agent.
pub(crate) fn run() -> ExitCode {
    match work(&mut Node::new()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn work(node: &mut Node) -> Result<(), String> {
    let begin = node.hear()?;
    let packet = &begin["packet"];
    let texts = |at: &str| packet.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let required = texts("/constraints/required_steps").iter().filter_map(|step| step["artifact"].as_str());
    let paths: Vec<&str> = texts("/deliverables").iter().filter_map(Value::as_str).chain(required).collect();
    let wanted: Vec<(&str, &str)> = texts("/success_criteria")
        .iter()
        .filter_map(|criterion| Some((criterion["path"].as_str()?, criterion["contains"].as_str()?)))
        .collect();
    let reads = begin["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool == "fs.read"));
    let known = if reads { knowledge(node) } else { Vec::new() };
    let objective = packet["objective"].as_str().unwrap_or_default();
    let planner = OfflinePlanner { objective, paths: &paths, wanted: &wanted, known: &known };
    let steps = planner.steps();
    let mut planned: Vec<Value> = steps
        .iter()
        .map(|step| json!({"step": step.step, "action": format!("fs.write:{}", step.path), "artifact": step.path}))
        .collect();
    if planned.is_empty() {
        planned.push(json!({"step": "look whether anything is to be written: nothing is"}));
    }
    let mut plan = json!({"summary": OFFLINE, "steps": planned});
    if let Some(handoff) = begin["handoff"]["id"].as_str() {
        plan["acknowledges"] = handoff.into();
    }
    node.ask("submit_plan", plan)?;
    for step in &steps {
        node.ask("fs.write", json!({"path": step.path, "content": planner.document(&step.path)}))?;
    }
    node.ask("finish", json!({"summary": OFFLINE}))?;
    Ok(())
}

/// What is known. What may not be read is not.
fn knowledge(node: &mut Node) -> Vec<Known> {
    let entries = fs::read_dir(KNOWLEDGE).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".md") || name.ends_with(".txt"));
    names.sort();
    let mut known = Vec::new();
    for name in names.into_iter().take(MAX_KNOWN) {
        let path = format!("{AS_ASKED}/{name}");
        // The first that is refused is the last that is asked for: errors are counted.
        let Ok(read) = node.ask("fs.read", json!({"path": path})) else { break };
        if let Some(text) = read["content"].as_str() {
            known.push(Known { path, text: text.to_owned() });
        }
    }
    known
}
