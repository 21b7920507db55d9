//! Deciding and recording over HTTP: the whole way, with the executable that ships.
//!
//! 64 callers with a connection each ask `POST /v1/decisions` with an agent's key and wait for the answer, which comes when the
//! decision is durable. Beside it, in the same run: a bare route that reads and writes the same JSON and does nothing, and bare
//! commits of one finished entry.

use std::{
    io::{BufRead as _, BufReader, ErrorKind},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use steward_app_node::home::Home;
use steward_caller::{Caller, Secret};
use steward_wire::{AddAgent, CreateKey, Decide, Login};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    append::beside,
    measure::{Spent, folder, process_cpu, quantile_ms, syncs_per_second},
    peers::{Bare, Rows},
    report::{Section, count},
    toolkit,
};

/// Callers at once.
const CALLERS: usize = 64;

/// How long a server is asked before anything counts.
const WARM_UP: Duration = Duration::from_millis(700);

/// How long the bare route is asked.
const ROUTE_FOR: Duration = Duration::from_secs(3);

/// The share of the full rate at which callers take turns, to see what an answer takes where nobody waits for the processor.
const PACE: f64 = 0.25;

/// How long that is measured.
const PACED_FOR: Duration = Duration::from_secs(4);

/// How long bare commits are made, before the load and after it.
const COMMIT_FOR: Duration = Duration::from_secs(2);

/// How long a node may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);

/// Acknowledged decisions after which the tree head is looked at.
const LOOKS: usize = 300;

/// Microseconds of the server's processor for a decision.
const GOAL_CPU_US: f64 = 60.0;

/// Times of a bare commit's p99.
const GOAL_P99: f64 = 3.0;

/// Milliseconds until a tree head covers what was acknowledged.
const GOAL_COVERED_MS: f64 = 250.0;

/// A process that ends with its owner.
pub(crate) struct Server(Child);

impl Server {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a load gave.
struct Load {
    count: u64,
    spent: Spent,
    p50_ms: f64,
    p99_ms: f64,
}

/// A request as it goes over the wire.
fn request(address: SocketAddr, key: Option<&str>) -> Result<Vec<u8>> {
    let asked = Decide {
        agent: None,
        action: "fs.write".to_owned(),
        kind: "file".to_owned(),
        resource: "/plans/next.md".to_owned(),
        confidence_bp: None,
    };
    let body = serde_json::to_string(&asked)?;
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    Ok(format!(
        "POST /v1/decisions HTTP/1.1\r\nHost: {address}\r\n{key}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes())
}

/// Sends a request.
pub(crate) async fn send(stream: &TcpStream, request: &[u8]) -> Result<()> {
    let mut rest = request;
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Asks once on a connection. Fails unless the answer is 200.
pub(crate) async fn ask(stream: &TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
    send(stream, request).await?;
    buffer.clear();
    let mut some = [0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut some) {
            Ok(0) => anyhow::bail!("the server hung up"),
            Ok(read) => buffer.extend_from_slice(&some[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if buffer.len() >= end + 4 + length.context("an answer with a length")? {
            anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "refused: {}", String::from_utf8_lossy(buffer));
            return Ok(());
        }
    }
}

/// Asks from all callers at once until the time is over: each again as soon as it has its answer, or in turns `every` so often.
/// Tells what each answer took.
async fn hammer(address: SocketAddr, request: &[u8], until: Instant, every: Option<Duration>) -> Result<Vec<Duration>> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let request = request.to_vec();
        let mut turn = every.map(|every| {
            let first = tokio::time::Instant::now() + every * caller as u32 / CALLERS as u32;
            tokio::time::interval_at(first, every)
        });
        callers.spawn(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut buffer, mut times) = (Vec::with_capacity(4096), Vec::new());
            while Instant::now() < until {
                if let Some(turn) = &mut turn {
                    turn.tick().await;
                }
                let start = Instant::now();
                ask(&stream, &request, &mut buffer).await?;
                times.push(start.elapsed());
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(of_one) = callers.join_next().await {
        times.extend(of_one??);
    }
    Ok(times)
}

async fn load(
    server: &Server,
    address: SocketAddr,
    request: &[u8],
    lasts: Duration,
    every: Option<Duration>,
) -> Result<Load> {
    hammer(address, request, Instant::now() + WARM_UP, every).await?;
    let (cpu, start) = (process_cpu(server.0.id())?, Instant::now());
    let mut times = hammer(address, request, start + lasts, every).await?;
    let spent = Spent { wall: start.elapsed(), cpu: process_cpu(server.0.id())?.saturating_sub(cpu) };
    let (p50_ms, p99_ms) = (quantile_ms(&mut times, 0.5), quantile_ms(&mut times, 0.99));
    Ok(Load { count: times.len() as u64, spent, p50_ms, p99_ms })
}

/// Starts a node in a new home, and waits until it answers.
pub(crate) async fn start_node(program: &Path, home: &Home) -> Result<(Server, SocketAddr)> {
    let child = Command::new(program)
        .arg("--home")
        .arg(home.path())
        .args(["up", "--listen", "127.0.0.1:0"])
        // It is measured what it can do, not what one caller is let do.
        .envs(
            ["KEY_PER_S", "KEY_BURST", "ADDRESS_PER_S", "ADDRESS_BURST"]
                .map(|key| (format!("STEWARD_LIMITS_{key}"), "0")),
        )
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("`{}` could not be started", program.display()))?;
    let mut server = Server(child);
    let start = Instant::now();
    loop {
        if let Ok(url) = std::fs::read_to_string(home.address())
            && Caller::new(url.trim(), None)?.is_healthy().await.is_ok()
        {
            return Ok((server, url.trim().trim_start_matches("http://").parse()?));
        }
        anyhow::ensure!(server.0.try_wait()?.is_none(), "the node stopped by itself");
        anyhow::ensure!(start.elapsed() < START_WITHIN, "the node did not start in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Enrols an agent. Gives a key of its own.
async fn enrol(home: &Home, address: SocketAddr) -> Result<String> {
    let url = format!("http://{address}");
    let way_in = std::fs::read_to_string(home.login_key()).context("the log-in key of a new home")?;
    let own = Caller::new(&url, Some(Secret::new(&way_in)))?.login(&Login { label: "bench".to_owned() }).await?;
    let api = Caller::new(&url, Some(Secret::new(&own.secret)))?;
    let agent = AddAgent {
        name: "worker".to_owned(),
        version: "1.0.0".to_owned(),
        tier: "T1".to_owned(),
        ..AddAgent::default()
    };
    api.add_agent(&agent).await?;
    let key = CreateKey {
        agent: Some("worker".to_owned()),
        label: "bench".to_owned(),
        scopes: vec!["act".to_owned()],
        ..CreateKey::default()
    };
    Ok(api.create_key(&key).await?.secret)
}

/// After each acknowledged decision looks once at the tree head. Tells how long a look took, and how many heads did not cover the
/// decision's entry.
async fn looks(address: SocketAddr, key: &str) -> Result<(Vec<Duration>, usize)> {
    let api = Caller::new(&format!("http://{address}"), Some(Secret::new(key)))?;
    let asked = Decide {
        agent: None,
        action: "fs.write".to_owned(),
        kind: "file".to_owned(),
        resource: "/plans/next.md".to_owned(),
        confidence_bp: None,
    };
    let (mut times, mut uncovered) = (Vec::new(), 0);
    for _ in 0..LOOKS {
        let entry = api.decide(&asked).await?.entry.context("an allowed decision has an entry")?;
        let start = Instant::now();
        let head = api.ledger_head().await?;
        times.push(start.elapsed());
        uncovered += usize::from(head.size <= entry);
    }
    Ok((times, uncovered))
}

/// Starts this program again to serve `what`; it says where it listens.
pub(crate) fn start_beside(what: &str) -> Result<(Server, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?).arg(what).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("its output")?;
    let server = Server(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    Ok((server, line.trim().parse().context("the bare route's address")?))
}

/// Measures the node, then the bare route, with bare commits around both.
pub(crate) fn run(seconds: u64, steward: Option<PathBuf>, python: Option<PathBuf>) -> Result<Section> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(seconds, steward, python))
}

async fn measure(seconds: u64, steward: Option<PathBuf>, python: Option<PathBuf>) -> Result<Section> {
    let beside_us = std::env::current_exe()?.with_file_name("steward");
    let folder = folder()?;
    let home = Home::new(folder.path().join("home"));
    let (server, address) = start_node(&steward.unwrap_or(beside_us), &home).await?;
    let key = enrol(&home, address).await?;
    let asks = request(address, Some(&key))?;
    // A few thousand entries, so that bare commits have rows to write.
    hammer(address, &asks, Instant::now() + WARM_UP, None).await?;

    let read = beside(&home.store())?;
    let rows = Rows::read(&read, "ledger_entry", "seq", 0)?;
    let bare = Bare::new(&folder.path().join("bare.sqlite"), &read, &["ledger_entry"])?;
    let mut commits = Vec::new();
    let syncs_before = syncs_per_second(folder.path())?;
    bare.commits(&rows, COMMIT_FOR, &mut commits)?;
    let ours = load(&server, address, &asks, Duration::from_secs(seconds), None).await?;
    let every = Duration::from_secs_f64(CALLERS as f64 / (ours.spent.rate(ours.count) * PACE));
    let paced = load(&server, address, &asks, PACED_FOR, Some(every)).await?;
    bare.clear("ledger_entry")?;
    bare.commits(&rows, COMMIT_FOR, &mut commits)?;
    let syncs_after = syncs_per_second(folder.path())?;
    let (mut looked, uncovered) = looks(address, &key).await?;
    drop(server);
    let (server, address) = start_beside("route")?;
    let route = load(&server, address, &request(address, None)?, ROUTE_FOR, None).await?;
    drop(server);
    let toolkit = python.as_deref().map(toolkit::measure).transpose()?;

    let commit_p99 = quantile_ms(&mut commits, 0.99);
    let commit_p50 = quantile_ms(&mut commits, 0.5);
    let (cpu, times, calm) = (ours.spent.cpu_us(ours.count), ours.p99_ms / commit_p99, paced.p99_ms / commit_p99);
    let covered = quantile_ms(&mut looked, 0.99);
    let mut section = Section::new("record", "Deciding and recording durably, over HTTP");
    section.goal(
        "the node's processor for a decision",
        &format!("at most {GOAL_CPU_US:.0} µs"),
        format!("{cpu:.1} µs"),
        cpu <= GOAL_CPU_US,
    );
    section.goal(
        &format!("p99 of {CALLERS} callers at full load, to that of a bare commit of one row"),
        &format!("at most {GOAL_P99:.0} times"),
        format!("{times:.2} times"),
        times <= GOAL_P99,
    );
    section.goal(
        &format!("the same at {:.0} % of that rate", PACE * 100.0),
        &format!("at most {GOAL_P99:.0} times"),
        format!("{calm:.2} times"),
        calm <= GOAL_P99,
    );
    section.goal(
        "p99 from the answer to a tree head that covers the entry",
        &format!("{GOAL_COVERED_MS:.0} ms"),
        format!("{uncovered} of {LOOKS} not covered at once; a look took {covered:.1} ms"),
        uncovered == 0 && covered <= GOAL_COVERED_MS,
    );
    let row = |what: String, m: &Load| {
        [
            what,
            format!("{}/s", count(m.spent.rate(m.count))),
            format!("{:.1}", m.spent.cpu_us(m.count)),
            format!("{:.2}", m.p50_ms),
            format!("{:.2}", m.p99_ms),
        ]
    };
    let mut table = vec![
        row(format!("us: decided, recorded, durable, {CALLERS} callers"), &ours),
        row(format!("us at {:.0} % of that rate, {CALLERS} callers in turns", PACE * 100.0), &paced),
        row(format!("a bare route with the same JSON, nothing decided or kept, {CALLERS} callers"), &route),
        [
            "a bare SQLite FULL commit of one entry, one caller".to_owned(),
            format!("{}/s", count(commits.len() as f64 / commits.iter().sum::<Duration>().as_secs_f64())),
            "–".to_owned(),
            format!("{commit_p50:.2}"),
            format!("{commit_p99:.2}"),
        ],
    ];
    if let Some(toolkit) = &toolkit {
        table.push([
            format!("Microsoft's toolkit {}: Python, in process, in memory, no HTTP, nothing durable", toolkit.version),
            format!("{}/s", count(toolkit.spent.rate(toolkit.count))),
            format!("{:.1}", toolkit.spent.cpu_us(toolkit.count)),
            "–".to_owned(),
            "–".to_owned(),
        ]);
    }
    section.table(["what", "rate", "CPU µs of the server for each", "p50 ms", "p99 ms"], &table);
    section.say(format!(
        "{} decisions in {:.1} s. The disk made 4 KiB durable {} times a second before and {} times after; the bare commits were made \
         right before the load and right after it. The callers are one thread on the same machine. At full load an answer takes as long \
         as {CALLERS} decisions take the processor: where the disk is quick, that is what is waited for, and not the disk.",
        count(ours.count as f64),
        ours.spent.wall.as_secs_f64(),
        count(syncs_before),
        count(syncs_after)
    ));
    if toolkit.is_none() {
        section.say(
            "Microsoft's toolkit was not measured in this run: name a Python that has the package `agentmesh-platform` in \
             `STEWARD_BENCH_PYTHON`.",
        );
    }
    Ok(section)
}
