//! A worker whose agents are played by the test, and whose tools do what the test says.
//!
//! ```text
//! let run = node.start_run(&olivia, "scribe", packet).await?;
//! let mut agent = node.next_agent().await;                     // what a process would have got
//! agent.call("submit_plan", plan()).await;                     // a line, and its answer
//! agent.exit(0);
//! ```
//!
//! Deliberately absent: sandboxes. Real processes are in the tests of the worker and of the binary.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use steward_permit::{Action, Warrant};
use steward_worker::{EffectError, EndedBy, Exit, Grade, Killer, LimitsBy, Line, Output, Session, Spec, Worker};
use tokio::sync::{mpsc, oneshot};

/// How many lines wait in either direction.
const WAITING: usize = 64;

/// How long a tool runs that nobody ends. A test that waits for it fails then, and does not hang.
const LASTS: std::time::Duration = std::time::Duration::from_secs(10);

type Tool = Arc<dyn Fn(&Spec) -> Output + Send + Sync>;

/// The worker.
pub struct Scripted {
    arrived: mpsc::UnboundedSender<Played>,
    arrivals: tokio::sync::Mutex<mpsc::UnboundedReceiver<Played>>,
    tools: Mutex<BTreeMap<String, Tool>>,
    lasting: Mutex<BTreeSet<String>>,
    alive: Arc<AtomicUsize>,
    ran: AtomicUsize,
    grade: Mutex<Grade>,
}

/// An agent that the test plays.
pub struct Played {
    /// What it was started with.
    pub spec: Spec,
    to: mpsc::Receiver<String>,
    end: Arc<End>,
    next: u64,
    /// Answers that came while another was waited for.
    early: BTreeMap<u64, Value>,
}

struct End {
    lines: Mutex<Option<mpsc::Sender<Line>>>,
    exit: Mutex<Option<oneshot::Sender<Exit>>>,
    alive: Arc<AtomicUsize>,
}

impl End {
    fn with(&self, exit: Exit) {
        self.lines.lock().expect("no holder of this lock panics").take();
        if let Some(sender) = self.exit.lock().expect("no holder of this lock panics").take() {
            self.alive.fetch_sub(1, Ordering::SeqCst);
            let _ = sender.send(exit);
        }
    }
}

/// How something ended.
pub fn exit(ended_by: EndedBy, code: Option<i32>) -> Exit {
    Exit {
        code,
        signal: code.is_none().then_some(9),
        ended_by,
        wall_ms: 1,
        cpu_ms: Some(1),
        peak_memory_bytes: None,
        oom_kills: 0,
        refused_forks: 0,
        output_bytes: 0,
        stderr_tail: String::new(),
        grade: Grade::A,
        limits_by: LimitsBy::Rlimits,
    }
}

/// What a tool that ended with `code` said.
pub fn output(code: i32, stdout: &str) -> Output {
    Output {
        exit: exit(EndedBy::Itself, Some(code)),
        stdout: stdout.as_bytes().to_vec(),
        stderr: Vec::new(),
        truncated: false,
    }
}

impl Default for Scripted {
    fn default() -> Self {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        Self {
            arrived,
            arrivals: tokio::sync::Mutex::new(arrivals),
            tools: Mutex::default(),
            lasting: Mutex::default(),
            alive: Arc::default(),
            ran: AtomicUsize::new(0),
            grade: Mutex::new(Grade::A),
        }
    }
}

impl Scripted {
    /// From now on a program does this.
    pub fn tool(&self, program: &str, does: impl Fn(&Spec) -> Output + Send + Sync + 'static) {
        self.tools.lock().expect("no holder of this lock panics").insert(program.to_owned(), Arc::new(does));
    }

    /// From now on a program runs until it is ended.
    pub fn lasts(&self, program: &str) {
        self.lasting.lock().expect("no holder of this lock panics").insert(program.to_owned());
    }

    /// Its sandboxes are of this grade.
    pub fn graded(&self, grade: Grade) {
        *self.grade.lock().expect("no holder of this lock panics") = grade;
    }

    /// How many tools were run.
    pub fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    /// The next agent that was started.
    pub async fn next(&self) -> Played {
        self.arrivals.lock().await.recv().await.expect("the sender is here")
    }
}

impl Worker for Scripted {
    fn grade(&self) -> Grade {
        *self.grade.lock().expect("no holder of this lock panics")
    }

    fn limits_by(&self) -> LimitsBy {
        LimitsBy::Rlimits
    }

    fn start(&self, warrant: &Warrant, action: &Action, spec: &Spec) -> Result<Session, EffectError> {
        assert_eq!(*warrant.digest(), action.digest(), "what is started is what was permitted");
        let (to_agent, to) = mpsc::channel(WAITING);
        let (lines, from_agent) = mpsc::channel(WAITING);
        let (sender, exited) = oneshot::channel();
        let (lines, sender) = (Mutex::new(Some(lines)), Mutex::new(Some(sender)));
        let end = Arc::new(End { lines, exit: sender, alive: Arc::clone(&self.alive) });
        self.alive.fetch_add(1, Ordering::SeqCst);
        let killed = Arc::clone(&end);
        let killer = Killer::new(move || killed.with(exit(EndedBy::Killed, None)));
        let played = Played { spec: spec.clone(), to, end, next: 1, early: BTreeMap::new() };
        self.arrived.send(played).expect("the receiver is here");
        Ok(Session::from_parts(to_agent, from_agent, killer, exited))
    }

    fn run_until(
        &self,
        warrant: &Warrant,
        action: &Action,
        spec: &Spec,
        _input: &[u8],
        started: &dyn Fn(Killer),
    ) -> Result<Output, EffectError> {
        let (kill, killed) = std::sync::mpsc::channel();
        let kill = Mutex::new(kill);
        started(Killer::new(move || {
            // Who ended by itself is not ended.
            let _ = kill.lock().expect("no holder of this lock panics").send(());
        }));
        assert_eq!(*warrant.digest(), action.digest(), "what is run is what was permitted");
        self.ran.fetch_add(1, Ordering::SeqCst);
        if self.lasting.lock().expect("no holder of this lock panics").contains(&spec.argv[0]) {
            return Ok(match killed.recv_timeout(LASTS) {
                Ok(()) => Output { exit: exit(EndedBy::Killed, None), ..output(0, "") },
                Err(_) => output(0, "nobody ended it"),
            });
        }
        let tool = self.tools.lock().expect("no holder of this lock panics").get(&spec.argv[0]).map(Arc::clone);
        Ok(tool.map_or_else(|| output(0, ""), |tool| tool(spec)))
    }

    fn sweep(&self) -> Result<usize, EffectError> {
        Ok(0)
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

impl Played {
    /// The first line that it got.
    ///
    /// # Panics
    /// It got none.
    pub async fn begin(&mut self) -> Value {
        let line = self.to.recv().await.expect("the node says how it begins");
        serde_json::from_str(&line).expect("a line is JSON")
    }

    /// Says a line.
    pub async fn say(&self, line: impl Into<String>) {
        let lines = self.end.lines.lock().expect("no holder of this lock panics").clone();
        if let Some(lines) = lines {
            // Who was killed says nothing.
            let _ = lines.send(Line::Text(line.into())).await;
        }
    }

    /// Makes a call, without waiting for the answer; tells its number.
    pub async fn ask(&mut self, tool: &str, arguments: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.say(json!({"id": id, "tool": tool, "arguments": arguments}).to_string()).await;
        id
    }

    /// The next answer; none if the node says nothing more.
    pub async fn hear(&mut self) -> Option<Value> {
        loop {
            let line = self.to.recv().await?;
            let said: Value = serde_json::from_str(&line).expect("a line is JSON");
            if said.get("event").is_none() {
                return Some(said);
            }
        }
    }

    /// The answer to a call; none if the node says nothing more.
    pub async fn answer(&mut self, id: u64) -> Option<Value> {
        loop {
            if let Some(said) = self.early.remove(&id) {
                return Some(said);
            }
            let said = self.hear().await?;
            match said["id"].as_u64() {
                Some(other) => self.early.insert(other, said),
                None => return Some(said),
            };
        }
    }

    /// Makes a call and waits for the answer, which refuses it; tells the code.
    ///
    /// # Panics
    /// It is not refused, or the node says nothing more.
    pub async fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let said = self.call(tool, arguments).await;
        assert_eq!(said["ok"], false, "{tool}: {said}");
        said["error"]["code"].as_str().expect("a refusal has a code").to_owned()
    }

    /// Makes a call and waits for its answer.
    ///
    /// # Panics
    /// The node says nothing more.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.ask(tool, arguments).await;
        self.answer(id).await.expect("the node answers")
    }

    /// Ends by itself.
    pub fn exit(&self, code: i32) {
        self.end.with(exit(EndedBy::Itself, Some(code)));
    }

    /// Ends as something else ended it.
    pub fn ended_by(&self, ended_by: EndedBy) {
        self.end.with(exit(ended_by, None));
    }

    /// Whether it was ended.
    pub fn is_over(&self) -> bool {
        self.end.exit.lock().expect("no holder of this lock panics").is_none()
    }
}
