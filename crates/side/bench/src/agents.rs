//! What governance costs an agent: a call of another server's tool and a streamed call of a model, through the node and directly.
//!
//! ```text
//! agents that run elsewhere ──key──► the node: /mcp, /openai/v1 ──► what is called (called.rs)
//!                           ──────────────── directly ────────────► the same
//! ```
//!
//! Each agent is in a run of its own, with its own key and connection. One caller goes from run to run, so that no run is held back for
//! calling too often; callers beside each other have a run each.

use std::{
    fs,
    io::ErrorKind,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use steward_app_node::home::Home;
use steward_caller::{Caller, Secret};
use steward_wire::{AddAgent, AddModel, AddTool, AllowTool, CreateKey, Login, StartRun};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    called::{CHUNKS, THINKS, WORD},
    measure::{Spent, folder, process_cpu, quantile_ms, syncs_per_second},
    record::{Server, ask, send, start_beside, start_node},
    report::{Section, count},
};

/// Agents, each in a run, and callers at once.
const AGENTS: usize = 16;

/// Calls of each run before anything counts.
const WARM_UP: usize = 10;

/// Calls of each run by one caller, who goes from run to run.
const IN_TURN: usize = 90;

/// Calls of each run with all callers at once: within the burst that a run has, so that none is held back.
const AT_ONCE: usize = 180;

/// Streams of each run from a model that answers at once, and from one that takes its time.
const QUICK: usize = 20;
const PACED: usize = 3;

/// What a run may call in a burst and in a second, and in all: what runs/call.rs of the flows says, for the text alone.
const BURST: usize = 200;
const PER_SECOND: usize = 100;
const OF_A_RUN: usize = 3_000;

const _: () = assert!(AT_ONCE < BURST, "a burst holds the calls of a run");

/// How long until a burst is full again.
const REST: Duration = Duration::from_millis(2_500);

const TEMPLATE: &str = r#"{
  "deliverables": [],
  "constraints": {"scope": ["tool.call:echo/echo", "model.call:quick", "model.call:paced"]},
  "success_criteria": []
}"#;

const TEXT: &str = "as it is said";

/// Whom to ask, on a connection that stays.
struct Way {
    stream: TcpStream,
    tool: Vec<u8>,
    quick: Vec<u8>,
    paced: Vec<u8>,
}

impl Way {
    async fn new(address: SocketAddr, key: Option<&str>, tool: &str, models: [&str; 2]) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let asked = |name: &str| json!({"model": name, "stream": true, "messages": [{"role": "user", "content": "Say words."}]});
        Ok(Self {
            stream,
            tool: request(address, "/mcp", key, &tool_call(tool, &json!({"text": TEXT}))),
            quick: request(address, models[0], key, &asked("quick")),
            paced: request(address, models[1], key, &asked("paced")),
        })
    }
}

fn tool_call(name: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}})
}

/// A request as it goes over the wire: the same for the node and for what it calls, but for the key.
fn request(address: SocketAddr, path: &str, key: Option<&str>, body: &Value) -> Vec<u8> {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{key}Accept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2025-11-25\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Calls a tool once. Fails unless it says `expected`.
async fn call(stream: &TcpStream, request: &[u8], expected: &str, buffer: &mut Vec<u8>) -> Result<Duration> {
    let start = Instant::now();
    ask(stream, request, buffer).await?;
    let took = start.elapsed();
    let text = String::from_utf8_lossy(buffer);
    anyhow::ensure!(!text.contains(r#""isError":true"#) && text.contains(expected), "not an answer: {text}");
    Ok(took)
}

/// Asks a model once. Tells how long the first chunk took, and all.
async fn listen(stream: &TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    send(stream, request).await?;
    buffer.clear();
    let (mut some, mut first) = ([0; 16_384], None);
    loop {
        stream.readable().await?;
        match stream.try_read(&mut some) {
            Ok(0) => anyhow::bail!("the server hung up: {}", String::from_utf8_lossy(buffer)),
            Ok(read) => buffer.extend_from_slice(&some[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        if first.is_none() && buffer.windows(WORD.len()).any(|w| w == WORD.as_bytes()) {
            first = Some(start.elapsed());
        }
        let is_refused = buffer.len() > 12 && !buffer.starts_with(b"HTTP/1.1 200");
        if is_refused || buffer.ends_with(b"\r\n0\r\n\r\n") {
            break;
        }
    }
    let (all, text) = (start.elapsed(), String::from_utf8_lossy(buffer));
    let (words, is_whole) = (text.matches(WORD).count(), text.contains("data: [DONE]"));
    anyhow::ensure!(words == CHUNKS && is_whole, "{words} chunks, and not the end: {text}");
    Ok((first.context("a first chunk")?, all))
}

/// What calls of one kind took, and the node's processor with them.
struct Calls {
    times: Vec<Duration>,
    firsts: Vec<Duration>,
    spent: Spent,
}

impl Calls {
    fn cpu_us(&self) -> f64 {
        self.spent.cpu_us(self.times.len() as u64)
    }
}

/// What is called of a way.
#[derive(Clone, Copy)]
enum What {
    Tool,
    Quick,
    Paced,
}

/// One caller goes over all ways, so often.
async fn in_turn(ways: &[Way], what: What, rounds: usize, node: &Server) -> Result<Calls> {
    let (mut times, mut firsts, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    let (cpu, start) = (process_cpu(node.id())?, Instant::now());
    for way in (0..rounds).flat_map(|_| ways) {
        let (first, all) = match what {
            What::Tool => {
                let took = call(&way.stream, &way.tool, TEXT, &mut buffer).await?;
                (took, took)
            }
            What::Quick => listen(&way.stream, &way.quick, &mut buffer).await?,
            What::Paced => listen(&way.stream, &way.paced, &mut buffer).await?,
        };
        firsts.push(first);
        times.push(all);
    }
    let spent = Spent { wall: start.elapsed(), cpu: process_cpu(node.id())?.saturating_sub(cpu) };
    Ok(Calls { times, firsts, spent })
}

/// All ways at once call the tool, each so often. Gives the ways back.
async fn at_once(ways: Vec<Way>, each: usize, node: &Server) -> Result<(Calls, Vec<Way>)> {
    let mut callers = JoinSet::new();
    let (cpu, start) = (process_cpu(node.id())?, Instant::now());
    for way in ways {
        callers.spawn(async move {
            let (mut times, mut buffer) = (Vec::new(), Vec::new());
            for _ in 0..each {
                times.push(call(&way.stream, &way.tool, TEXT, &mut buffer).await?);
            }
            Ok::<_, anyhow::Error>((times, way))
        });
    }
    let (mut times, mut ways) = (Vec::new(), Vec::new());
    while let Some(done) = callers.join_next().await {
        let (of_one, way) = done??;
        times.extend(of_one);
        ways.push(way);
    }
    let spent = Spent { wall: start.elapsed(), cpu: process_cpu(node.id())?.saturating_sub(cpu) };
    Ok((Calls { times, firsts: Vec::new(), spent }, ways))
}

/// Puts the tool and both models under governance.
async fn offer(api: &Caller, called: SocketAddr) -> Result<()> {
    let url = Some(format!("http://{called}/mcp"));
    api.add_tool(&AddTool { name: "echo".to_owned(), url, ..AddTool::default() }).await?;
    let allow = AllowTool { tool: Some("echo".to_owned()), tier: Some("T1".to_owned()), ..AllowTool::default() };
    api.allow_tool("echo", &allow).await?;
    for name in ["quick", "paced"] {
        let url = format!("http://{called}/{name}/v1");
        api.add_model(&AddModel { name: name.to_owned(), url, ..AddModel::default() }).await?;
    }
    Ok(())
}

/// An agent that runs elsewhere, in a run in which it is at work.
async fn enrol(api: &Caller, node: SocketAddr, n: usize) -> Result<Way> {
    let name = format!("caller{n}");
    let agent = AddAgent {
        name: name.clone(),
        version: "1.0.0".to_owned(),
        tier: "T1".to_owned(),
        protocol: Some("mcp".to_owned()),
        packet: Some(TEMPLATE.to_owned()),
        ..AddAgent::default()
    };
    api.add_agent(&agent).await?;
    let key = CreateKey {
        agent: Some(name.clone()),
        label: "bench".to_owned(),
        scopes: vec!["act".to_owned()],
        ..CreateKey::default()
    };
    let key = api.create_key(&key).await?.secret;
    let task = Some(format!("measure{n}"));
    api.start_run(&StartRun { agent: name, task, objective: Some("Be measured".to_owned()), ..StartRun::default() })
        .await?;
    let models = ["/openai/v1/chat/completions"; 2];
    let way = Way::new(node, Some(&key), "echo__echo", models).await?;
    let plan = json!({"summary": "Call it.", "steps": [{"step": "call", "action": "tool.call:echo/echo"}]});
    let plan = request(node, "/mcp", Some(&key), &tool_call("submit_plan", &plan));
    call(&way.stream, &plan, "EXECUTE", &mut Vec::new()).await.context("the plan")?;
    Ok(way)
}

/// Measures both.
pub(crate) fn run(steward: Option<PathBuf>) -> Result<Section> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(steward))
}

async fn measure(steward: Option<PathBuf>) -> Result<Section> {
    let beside_us = std::env::current_exe()?.with_file_name("steward");
    let folder = folder()?;
    let home = Home::new(folder.path().join("home"));
    let (_served, called) = start_beside("called")?;
    let (node, address) = start_node(&steward.unwrap_or(beside_us), &home).await?;
    let url = format!("http://{address}");
    let way_in = fs::read_to_string(home.login_key()).context("the log-in key of a new home")?;
    let own = Caller::new(&url, Some(Secret::new(&way_in)))?.login(&Login { label: "bench".to_owned() }).await?;
    let api = Caller::new(&url, Some(Secret::new(&own.secret)))?;
    offer(&api, called).await?;
    let (mut through, mut direct) = (Vec::new(), Vec::new());
    for n in 0..AGENTS {
        through.push(enrol(&api, address, n).await?);
        let models = ["/quick/v1/chat/completions", "/paced/v1/chat/completions"];
        direct.push(Way::new(called, None, "echo", models).await?);
    }
    let syncs_before = syncs_per_second(folder.path())?;

    in_turn(&direct, What::Tool, WARM_UP, &node).await?;
    in_turn(&through, What::Tool, WARM_UP, &node).await?;
    let mut bare = in_turn(&direct, What::Tool, IN_TURN, &node).await?;
    let size = api.ledger_head().await?.size;
    let mut governed = in_turn(&through, What::Tool, IN_TURN, &node).await?;
    let tool_entries = (api.ledger_head().await?.size - size) as f64 / governed.times.len() as f64;
    tokio::time::sleep(REST).await;
    let (mut bare_all, direct) = at_once(direct, AT_ONCE, &node).await?;
    let (mut governed_all, through) = at_once(through, AT_ONCE, &node).await?;
    tokio::time::sleep(REST).await;

    in_turn(&direct, What::Quick, 2, &node).await?;
    in_turn(&through, What::Quick, 2, &node).await?;
    let mut quick = in_turn(&direct, What::Quick, QUICK, &node).await?;
    let size = api.ledger_head().await?.size;
    let mut quick_governed = in_turn(&through, What::Quick, QUICK, &node).await?;
    let model_entries = (api.ledger_head().await?.size - size) as f64 / quick_governed.times.len() as f64;
    let mut paced = in_turn(&direct, What::Paced, PACED, &node).await?;
    let mut paced_governed = in_turn(&through, What::Paced, PACED, &node).await?;
    let syncs_after = syncs_per_second(folder.path())?;

    let mut section = Section::new("agents", "What governance costs an agent");
    let node_cpu = |calls: &Calls, is_governed: bool| {
        if is_governed { format!("{:.0}", calls.cpu_us()) } else { "–".to_owned() }
    };
    let tool = |what: &str, calls: &mut Calls, is_governed: bool| {
        [
            what.to_owned(),
            format!("{}/s", count(calls.spent.rate(calls.times.len() as u64))),
            node_cpu(calls, is_governed),
            format!("{:.2}", quantile_ms(&mut calls.times, 0.5)),
            format!("{:.2}", quantile_ms(&mut calls.times, 0.99)),
        ]
    };
    let rows = [
        tool("directly, one caller", &mut bare, false),
        tool("through the node, one caller", &mut governed, true),
        tool(&format!("directly, {AGENTS} callers"), &mut bare_all, false),
        tool(&format!("through the node, {AGENTS} callers"), &mut governed_all, true),
    ];
    section
        .table(["a call of another server's tool", "rate", "CPU µs of the node for each", "p50 ms", "p99 ms"], &rows);
    let stream = |what: &str, calls: &mut Calls, is_governed: bool| {
        [
            what.to_owned(),
            node_cpu(calls, is_governed),
            format!("{:.2}", quantile_ms(&mut calls.firsts, 0.5)),
            format!("{:.2}", quantile_ms(&mut calls.firsts, 0.99)),
            format!("{:.2}", quantile_ms(&mut calls.times, 0.5)),
            format!("{:.2}", quantile_ms(&mut calls.times, 0.99)),
        ]
    };
    let slow = THINKS.as_millis();
    let rows = [
        stream("all at once, directly", &mut quick, false),
        stream("all at once, through the node", &mut quick_governed, true),
        stream(&format!("{slow} ms before each, directly"), &mut paced, false),
        stream(&format!("{slow} ms before each, through the node"), &mut paced_governed, true),
    ];
    let head = format!("a model's answer of {CHUNKS} chunks, one caller");
    let head =
        [head.as_str(), "CPU µs of the node for each", "first chunk, p50 ms", "p99 ms", "whole, p50 ms", "p99 ms"];
    section.table(head, &rows);
    section.say(format!(
        "{} and {} tool calls each way, {} and {} streams. The agent runs elsewhere and comes with a key: MCP's Streamable HTTP without \
         sessions, and OpenAI's API; the tool is `echo` of a server on rmcp, the model a script, both in one process on this machine, which \
         do nothing: against a tool or a model that does something the same milliseconds are a smaller share. The client sends the same bytes \
         either way, but for the key and the names, over connections that stay open. The disk made 4 KiB durable {} times a second before \
         and {} times after.",
        count((AGENTS * IN_TURN) as f64),
        count((AGENTS * AT_ONCE) as f64),
        count((AGENTS * QUICK) as f64),
        count((AGENTS * PACED) as f64),
        count(syncs_before),
        count(syncs_after),
    ));
    section.say(format!(
        "A run may call {PER_SECOND} times a second with a burst of {BURST}, and {} times in all; so {AGENTS} agents are in a run each. One \
         caller goes from run to run; of {AGENTS} callers each has a run, and stays within its burst. A single agent that calls without a \
         pause gets {PER_SECOND} a second, whatever the table says.",
        count(OF_A_RUN as f64),
    ));
    section.say(format!(
        "What the overhead consists of: two commits that are waited for, one before the call (the decision, and that it begins) and one after \
         it (how it ended), {tool_entries:.1} entries of the ledger for a tool call and {model_entries:.1} for a model's; another connection \
         over HTTP with its parsing there and back; the key, the packet, the phase and the policies; for a tool the comparison with what was \
         pinned and the checks of its answer; for a model the reservation of its budget, and each chunk read and written again. With one \
         caller nothing is shared: each call waits for both commits alone. With {AGENTS} the commits are shared, and the processor is what is \
         waited for, which the callers and what is called have a part of.",
    ));
    Ok(section)
}
