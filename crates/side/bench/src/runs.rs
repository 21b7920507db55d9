//! A run through the eight phases, with the executable that ships; and how long a revocation takes to reach silence.
//!
//! The node's own processor time is what counts: the sandbox's and the agent's are those of its children, and are shown apart. Beside it:
//! LangGraph's graph of eight nodes with its SQLite saver, in one Python process.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use steward_app_node::home::Home;
use steward_caller::{Caller, Secret};
use steward_wire::{AddAgent, Login, Reason, StartRun};

use crate::{
    measure::{Spent, children_cpu, folder, process_cpu, quantile_ms},
    record::{Server, start_node},
    report::Section,
};

/// Agents that run beside each other.
const AGENTS: usize = 4;

/// Runs of each before anything counts, and runs that count.
const WARM_UP: usize = 3;
const RUNS: usize = 40;

/// Agents that are revoked.
const REVOKED: usize = 60;

/// How long a run may take.
const WITHIN: Duration = Duration::from_secs(30);

/// How often a run is looked at: each look costs the node as much as a decision.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Times that LangGraph's processor time must be ours.
const GOAL_TIMES: f64 = 20.0;

/// Milliseconds from a revocation to silence.
const GOAL_SILENCE_MS: f64 = 50.0;

const TEMPLATE: &str = r#"{
  "deliverables": ["/reports/{task}.md"],
  "constraints": {"scope": ["fs.read:/reports/**", "fs.write:/reports/**"],
                  "required_steps": [{"step": "write the report", "artifact": "/reports/{task}.md"}]},
  "success_criteria": [{"kind": "artifact", "path": "/reports/{task}.md"}]
}"#;

/// An agent that never ends, and neither do those that it starts.
const STUBBORN: &str = "trap '' TERM HUP INT\n(setsid sleep 1000 &)\nsleep 1000 &\nwhile :; do :; done\n";

const LANGGRAPH: &str = r#"
import json, os, sqlite3, tempfile, time
from importlib.metadata import version
from typing import TypedDict
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import StateGraph, START, END

class State(TypedDict):
    phase: str

PHASES = ["bootstrap", "preflight", "plan", "execute", "verify", "package", "report", "exit"]
graph = StateGraph(State)
for phase in PHASES:
    graph.add_node(phase, lambda state, phase=phase: {"phase": phase})
for before, after in zip([START] + PHASES, PHASES + [END]):
    graph.add_edge(before, after)
with tempfile.TemporaryDirectory(dir=os.environ["BENCH_FOLDER"]) as folder:
    saver = SqliteSaver(sqlite3.connect(os.path.join(folder, "graph.sqlite"), check_same_thread=False))
    compiled = graph.compile(checkpointer=saver)
    def run(n):
        for i in range(n):
            compiled.invoke({"phase": ""}, {"configurable": {"thread_id": f"{n}-{i}"}})
    run(10)
    wall, cpu = time.perf_counter(), time.process_time()
    run(100)
    print(json.dumps({"count": 100, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu,
                      "version": version("langgraph")}))
"#;

/// Measures runs and revocations.
pub(crate) fn run(steward: Option<PathBuf>, python: Option<PathBuf>) -> Result<Section> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(steward, python))
}

async fn measure(steward: Option<PathBuf>, python: Option<PathBuf>) -> Result<Section> {
    let beside_us = std::env::current_exe()?.with_file_name("steward");
    let folder = folder()?;
    let home = Home::new(folder.path().join("home"));
    let (server, address) = start_node(&steward.unwrap_or(beside_us), &home).await?;
    let url = format!("http://{address}");
    let way_in = fs::read_to_string(home.login_key()).context("the log-in key of a new home")?;
    let own = Caller::new(&url, Some(Secret::new(&way_in)))?.login(&Login { label: "bench".to_owned() }).await?;
    let api = Caller::new(&url, Some(Secret::new(&own.secret)))?;
    for n in 0..AGENTS {
        enrol(&api, &format!("planner{n}"), &["steward", "demo-agent", "planner"]).await?;
    }
    rounds(&api, WARM_UP, "warm").await?;
    let pid = server.id();
    let (cpu, children, start) = (process_cpu(pid)?, children_cpu(pid)?, Instant::now());
    let mut took = rounds(&api, RUNS, "run").await?;
    let wall = start.elapsed();
    let ours = Spent { wall, cpu: process_cpu(pid)?.saturating_sub(cpu) };
    let theirs = Spent { wall, cpu: children_cpu(pid)?.saturating_sub(children) };
    let count = (AGENTS * RUNS) as u64;
    let (mut silent, mut answered) = silence(&api, &home, &server).await?;
    drop(server);
    let graph = python.as_deref().map(|python| langgraph(python, folder.path())).transpose()?;

    let mut section = Section::new("runs", "A run through the eight phases, and revocation");
    let cpu_ms = ours.cpu_us(count) / 1000.0;
    if let Some((graph, each, _)) = &graph {
        let times = graph.cpu_us(*each) / 1000.0 / cpu_ms;
        section.goal(
            "processor time of LangGraph's eight nodes with its SQLite saver, to that of the node for a run",
            &format!("at least {GOAL_TIMES:.0} times"),
            format!("{times:.1} times"),
            times >= GOAL_TIMES,
        );
    }
    let silence_p99 = quantile_ms(&mut silent, 0.99);
    section.goal(
        "p99 from asking for a revocation until nothing of the agent lives",
        &format!("{GOAL_SILENCE_MS:.0} ms"),
        format!("{silence_p99:.1} ms"),
        silence_p99 <= GOAL_SILENCE_MS,
    );
    let mut table = vec![
        [
            format!("us: the node, {AGENTS} agents at once"),
            format!("{cpu_ms:.2}"),
            format!("{:.0}", quantile_ms(&mut took, 0.5)),
        ],
        [
            "its children: making the sandbox, and the agent in it".to_owned(),
            format!("{:.2}", theirs.cpu_us(count) / 1000.0),
            "–".to_owned(),
        ],
    ];
    if let Some((graph, each, version)) = &graph {
        table.push([
            format!("LangGraph {version}: eight nodes that do nothing, SQLite saver, one process, no sandbox"),
            format!("{:.2}", graph.cpu_us(*each) / 1000.0),
            format!("{:.0}", graph.wall.as_secs_f64() * 1000.0 / *each as f64),
        ]);
    }
    section.table(["what", "CPU ms for each run", "ms of wall for each"], &table);
    section.say(format!(
        "{count} runs, each with a plan, a file written and read, a criterion, an evidence package and a report. {REVOKED} agents that take no \
         signal, with a child in a session of its own, were revoked: p50 {:.1} ms until silence; the answer to whoever revoked took \
         {:.1} ms (p50) and {:.1} ms (p99).",
        quantile_ms(&mut silent, 0.5),
        quantile_ms(&mut answered, 0.5),
        quantile_ms(&mut answered, 0.99),
    ));
    if graph.is_none() {
        section.say(
            "LangGraph was not measured in this run: name a Python that has the packages `langgraph` and `langgraph-checkpoint-sqlite` in \
             `STEWARD_BENCH_PYTHON`.",
        );
    }
    Ok(section)
}

async fn enrol(api: &Caller, name: &str, command: &[&str]) -> Result<()> {
    let agent = AddAgent {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        tier: "T1".to_owned(),
        command: Some(command.iter().map(|a| (*a).to_owned()).collect()),
        packet: Some(TEMPLATE.to_owned()),
        ..AddAgent::default()
    };
    api.add_agent(&agent).await?;
    Ok(())
}

fn asked(agent: &str, task: &str) -> StartRun {
    StartRun {
        agent: agent.to_owned(),
        task: Some(task.to_owned()),
        objective: Some("Be measured".to_owned()),
        ..StartRun::default()
    }
}

/// Runs each agent so often, all beside each other. Tells how long each took.
async fn rounds(api: &Caller, times: usize, task: &str) -> Result<Vec<Duration>> {
    let one = |n: usize| async move {
        let mut took = Vec::new();
        for round in 0..times {
            let start = Instant::now();
            let mut run = api.start_run(&asked(&format!("planner{n}"), &format!("{task}{n}x{round}"))).await?;
            while run.status == "live" {
                anyhow::ensure!(start.elapsed() < WITHIN, "the run {} does not end", run.id);
                tokio::time::sleep(LOOK_EVERY).await;
                run = api.run(&run.id, None).await?.run;
            }
            anyhow::ensure!(run.status == "completed", "a run ended {}: {:?}", run.status, run.message);
            took.push(start.elapsed());
        }
        Ok::<_, anyhow::Error>(took)
    };
    let (a, b, c, d) = tokio::try_join!(one(0), one(1), one(2), one(3))?;
    Ok([a, b, c, d].concat())
}

const _: () = assert!(AGENTS == 4, "rounds joins so many");

/// Revokes agents that take no signal. Tells how long it took until nothing of each lived, and until the answer came.
async fn silence(api: &Caller, home: &Home, server: &Server) -> Result<(Vec<Duration>, Vec<Duration>)> {
    fs::create_dir_all(home.programs())?;
    fs::write(home.programs().join("stubborn.sh"), STUBBORN)?;
    let (mut silent, mut answered) = (Vec::new(), Vec::new());
    for n in 0..REVOKED {
        let name = format!("stubborn{n}");
        enrol(api, &name, &["sh", "/programs/stubborn.sh"]).await?;
        api.start_run(&asked(&name, "stay")).await?;
        // Until what it starts is there.
        let start = Instant::now();
        let mut there = descendants(server.id())?;
        while there.len() < 5 {
            anyhow::ensure!(start.elapsed() < WITHIN, "the agent does not start: {there:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            there = descendants(server.id())?;
        }
        let start = Instant::now();
        api.revoke_agent(&name, &Reason { reason: "to see how long it takes".to_owned() }).await?;
        answered.push(start.elapsed());
        while there.iter().any(|pid| is_alive(*pid)) {
            anyhow::ensure!(start.elapsed() < WITHIN, "something of the agent lives on");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        silent.push(start.elapsed());
    }
    Ok((silent, answered))
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// What is dead and not yet fetched does nothing any more.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Every process that descends from `of`.
fn descendants(of: u32) -> Result<BTreeSet<u32>> {
    let all = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = all.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = BTreeSet::from([of]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|p| p.0)
            .collect();
        if more.is_empty() {
            found.remove(&of);
            return Ok(found);
        }
        found.extend(more);
    }
}

fn langgraph(python: &Path, folder: &Path) -> Result<(Spent, u64, String)> {
    let out = Command::new(python).args(["-c", LANGGRAPH]).env("BENCH_FOLDER", folder).output();
    let out = out.context("Python could not be started")?;
    anyhow::ensure!(out.status.success(), "LangGraph failed: {}", String::from_utf8_lossy(&out.stderr));
    let said: Value = serde_json::from_slice(&out.stdout).context("what LangGraph's script said")?;
    let seconds = |name: &str| said[name].as_f64().map(Duration::from_secs_f64).context("a time");
    let spent = Spent { wall: seconds("wall")?, cpu: seconds("cpu")? };
    Ok((spent, said["count"].as_u64().context("a count")?, said["version"].as_str().context("a version")?.to_owned()))
}
