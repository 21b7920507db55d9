//! The agent that the demo runs: hidden in the executable, so that the demo needs nothing installed.
//!
//! It is an agent like any other: a process in a sandbox that reads lines and writes lines, and asks the node for everything
//! (docs/agents.md). It has no model; what it writes is made from its packet by rule, and says so.
//!
//! ```text
//! steward demo-agent planner      works through its packet and finishes
//! steward demo-agent fumbler      reports one problem after the other, until its budget is spent
//! ```

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::{Value, json};

/// What it says of itself in everything that it writes.
const WHAT_IT_IS: &str = "Written by rule from the packet, by the demo's agent, which has no model.";

/// The parts of a system that a design is made of, and what each answers.
const PARTS: [(&str, &str); 6] = [
    ("Boundaries", "one service for each thing that the business names, with its own data"),
    ("Contracts", "what crosses a boundary is versioned, and grows only"),
    ("Data", "one owner for each fact; others keep copies that say how old they are"),
    ("Failure", "each call has a deadline, and each effect an idempotency key"),
    ("Operation", "every service says whether it is alive, ready, and how much it does"),
    ("Proof", "what happened is on record, and the record can be checked by a stranger"),
];

/// Runs the agent.
pub(crate) fn run(role: Option<&str>) -> ExitCode {
    let done = match role {
        Some("planner") => work(&mut Node::new()),
        Some("fumbler") => fumble(&mut Node::new()),
        _ => Err("there are two: planner and fumbler".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The node, as an agent sees it: lines out, lines in.
pub(crate) struct Node {
    lines: io::Lines<io::StdinLock<'static>>,
    next: u64,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { lines: io::stdin().lines(), next: 1 }
    }

    pub(crate) fn hear(&mut self) -> Result<Value, String> {
        let line = self.lines.next().ok_or("the node says nothing more")?.map_err(|e| e.to_string())?;
        serde_json::from_str(&line).map_err(|e| e.to_string())
    }

    /// Asks for something, and waits for the answer; a refusal is an error.
    pub(crate) fn ask(&mut self, tool: &str, arguments: Value) -> Result<Value, String> {
        let id = self.next;
        self.next += 1;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", json!({"id": id, "tool": tool, "arguments": arguments}))
            .and_then(|()| out.flush())
            .map_err(|e| e.to_string())?;
        let mut said = self.hear()?;
        if said["ok"] == true { Ok(said["result"].take()) } else { Err(said["error"]["message"].to_string()) }
    }
}

fn deliverables(packet: &Value) -> Vec<String> {
    let paths = packet["deliverables"].as_array().map(Vec::as_slice).unwrap_or_default();
    paths.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Plans one step for each deliverable, writes each, looks at it again, and finishes.
fn work(node: &mut Node) -> Result<(), String> {
    let begin = node.hear()?;
    let packet = &begin["packet"];
    let paths = deliverables(packet);
    let steps: Vec<Value> = paths
        .iter()
        .map(|path| json!({"step": format!("write {path}"), "action": format!("fs.write:{path}"), "artifact": path}))
        .collect();
    let mut plan = json!({"summary": format!("Write what is asked for. {WHAT_IT_IS}"), "steps": steps});
    if let Some(handoff) = begin["handoff"]["id"].as_str() {
        plan["acknowledges"] = handoff.into();
    }
    node.ask("submit_plan", plan)?;
    for path in &paths {
        let written = node.ask("fs.write", json!({"path": path, "content": document(packet, &begin["handoff"])}))?;
        let read = node.ask("fs.read", json!({"path": path}))?;
        if read["content"].as_str().map(str::len) != written["bytes"].as_u64().and_then(|n| usize::try_from(n).ok()) {
            node.ask("report_problem", json!({"message": format!("{path} is not what was written")}))?;
        }
    }
    node.ask("finish", json!({"summary": "everything is written"}))?;
    Ok(())
}

/// Plans, and then reports problems of every kind.
fn fumble(node: &mut Node) -> Result<(), String> {
    let begin = node.hear()?;
    node.ask("submit_plan", json!({"summary": "Think about it.", "steps": [{"step": "think"}]}))?;
    if let Some(path) = deliverables(&begin["packet"]).first() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        node.ask("fs.write", json!({"path": format!("{folder}/draft.md"), "content": "# A draft\n\nTo be done.\n"}))?;
    }
    for problem in [
        "the objective is too wide",
        "nobody says who the users are",
        "the numbers are missing",
        "there are two answers",
        "the draft is empty",
        "the examples disagree",
        "it is late",
        "a service has no owner",
        "a name is taken",
        "the end is not in sight",
    ] {
        node.ask("report_problem", json!({"message": problem}))?;
    }
    Ok(())
}

fn document(packet: &Value, handoff: &Value) -> String {
    let objective = packet["objective"].as_str().unwrap_or("Nothing was asked.");
    let mut text = format!("# {objective}\n\n{WHAT_IT_IS}\n");
    if let Some(previous) = handoff["previous_agent_id"].as_str() {
        let why = handoff["blocking_issue"].as_str().unwrap_or_default();
        text.push_str(&format!("\nTaken over from {previous}, which was stopped by this: {why}\n"));
    }
    for (n, (part, answer)) in PARTS.iter().enumerate() {
        text.push_str(&format!("\n## {}. {part}\n\n{answer}.\n", n + 1));
    }
    text
}
