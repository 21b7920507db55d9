//! A node, the agents that somebody hires for it, and what they leave.

use std::{
    cell::{Cell, RefCell},
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    common::{NAMESPACE, Place, Said, Up},
    remains::Marks,
};

/// What agents written in Python import.
const ASKING: &str = include_str!("asking.py");

/// How long anything here may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A node that is up, with somebody logged in to it.
pub(crate) struct House {
    pub(crate) place: Place,
    node: RefCell<Option<Up>>,
    allow: String,
    /// Digits that are on the command line of whatever its agents start.
    pub(crate) token: String,
    pub(crate) marks: Marks,
    started: Cell<u32>,
}

/// What a packet says, beside agent and task.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// That of the agent's name if it is empty: on one of its own nobody left anything.
    pub(crate) task: String,
    pub(crate) scope: Vec<String>,
    pub(crate) forbidden: Vec<String>,
    /// Errors, errors of one kind, violations.
    pub(crate) budget: (u32, u32, u32),
}

impl Default for Terms {
    /// Patient, so that an agent is refused often and goes on.
    fn default() -> Self {
        let scope = ["fs.read:/**", "fs.write:/**", "exec:sleep", "exec:cat", "shell:*"];
        Self {
            task: String::new(),
            scope: scope.map(str::to_owned).to_vec(),
            forbidden: Vec::new(),
            budget: (100, 100, 1),
        }
    }
}

impl Terms {
    pub(crate) fn scope(scope: &[&str]) -> Self {
        Self { scope: scope.iter().map(|pattern| (*pattern).to_owned()).collect(), ..Self::default() }
    }

    pub(crate) fn budget(budget: (u32, u32, u32)) -> Self {
        Self { budget, ..Self::default() }
    }
}

/// A run that `steward run start` follows.
pub(crate) struct Followed {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    agent: String,
}

/// How a run ended, as `run start --json` tells it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Option<i32>,
    pub(crate) run: Value,
    /// What was told on standard error while it was followed: shown when a test fails.
    #[expect(dead_code, reason = "it is read by its Debug")]
    told: String,
}

impl House {
    /// A new node, which may fetch from these.
    pub(crate) fn begin(allow: &[String]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (place, allow) = (Place::new(), allow.join(","));
        let token = format!("{:07}{:03}", std::process::id() % 10_000_000, NEXT.fetch_add(1, Ordering::Relaxed));
        let node = place.try_up(&[], &[("STEWARD_HTTP_ALLOW", &allow)]).expect("the node comes up");
        let marks = Marks { token: token.clone(), instance: String::new(), home: place.home() };
        let node = RefCell::new(Some(node));
        let mut house = Self { place, node, allow, token, marks, started: Cell::new(0) };
        house.does(&["login", "--label", "test"]);
        let vkey = house.does(&["ledger", "vkey"]).out;
        let origin = vkey.split('+').next().unwrap_or_default();
        house.marks.instance = origin.rsplit('/').next().unwrap_or_default().to_owned();
        let programs = house.place.home().join("programs");
        fs::create_dir_all(&programs).expect("a folder");
        fs::write(programs.join("asking.py"), ASKING).expect("a file");
        house
    }

    /// A command that ends with 0.
    #[track_caller]
    pub(crate) fn does(&self, arguments: &[&str]) -> Said {
        let said = self.place.steward(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?} {said:#?}\n{}", self.place.log());
        said
    }

    /// The JSON of a command that ends with 0.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.does(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:#?}"))
    }

    /// Registers an agent that runs a Python script, in which `@TOKEN@` is this house's.
    pub(crate) fn hire(&self, name: &str, tier: &str, script: &str) {
        self.hire_with("python3", name, tier, script);
    }

    /// The same in another language.
    pub(crate) fn hire_with(&self, interpreter: &str, name: &str, tier: &str, script: &str) {
        let program = format!("{name}-{}", self.token);
        let script = script.replace("@TOKEN@", &self.token);
        fs::write(self.place.home().join("programs").join(&program), script).expect("a file");
        let manifest = self.place.path(&format!("{name}.toml"));
        let text = format!(
            "name = '{name}'\nversion = '1.0.0'\ntier = '{tier}'\ncommand = ['{interpreter}', '/programs/{program}']\n"
        );
        fs::write(&manifest, text).expect("a file");
        self.does(&["agent", "add", manifest.to_str().expect("text")]);
        fs::create_dir_all(self.files(name)).expect("a folder");
    }

    /// The folder of an agent's files.
    pub(crate) fn files(&self, agent: &str) -> PathBuf {
        self.place.home().join("agents").join(NAMESPACE).join(agent).join("files")
    }

    /// A packet for an agent, in a file.
    pub(crate) fn packet(&self, agent: &str, terms: &Terms) -> PathBuf {
        let (total, same, violations) = terms.budget;
        let task = if terms.task.is_empty() { agent } else { &terms.task };
        let packet = json!({
            "agent_id": agent, "task_id": task, "created_for": "operator@acme.internal", "objective": "Do it.",
            "deliverables": [], "constraints": {"scope": terms.scope, "forbidden": terms.forbidden},
            "success_criteria": [], "created_at": "2026-11-20T08:00:00.000Z",
            "error_budget": {
                "max_total_errors": total, "max_same_error_repeats": same, "max_procedure_violations": violations,
            },
        });
        let file = self.place.path(&format!("{agent}.packet.json"));
        fs::write(&file, packet.to_string()).expect("a file");
        file
    }

    /// Starts a run and follows it in the background.
    pub(crate) fn start(&self, agent: &str, terms: &Terms) -> Followed {
        let file = self.packet(agent, terms);
        let n = self.started.replace(self.started.get() + 1);
        let (out, err) = (self.place.path(&format!("run-{n}.out")), self.place.path(&format!("run-{n}.err")));
        let mut command: Command = self.place.command();
        command.args(["run", "start", agent, "--json", "--packet"]).arg(file);
        command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let child = command.spawn().expect("the executable runs");
        Followed { child, out, err, agent: agent.to_owned() }
    }

    /// Runs an agent to its end.
    pub(crate) fn run(&self, agent: &str, terms: &Terms) -> Ended {
        self.start(agent, terms).ended()
    }

    /// What an agent that completed found out.
    #[track_caller]
    pub(crate) fn found(&self, agent: &str) -> Value {
        let text = fs::read(self.files(agent).join("found.json")).expect("it wrote what it found");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Puts a file into an agent's folder, which waits for it.
    pub(crate) fn put(&self, agent: &str, name: &str, content: &str) {
        fs::write(self.files(agent).join(name), content).expect("a file");
    }

    /// Waits until an agent has written a file.
    #[track_caller]
    pub(crate) fn until_told(&self, agent: &str, name: &str) {
        soon(&format!("`{agent}` writes `{name}`"), || self.files(agent).join(name).exists());
    }

    /// The id of an agent's live run.
    #[track_caller]
    pub(crate) fn live(&self, agent: &str) -> String {
        let list = self.json(&["run", "list", "--agent", agent, "--live"]);
        list["runs"][0]["id"].as_str().unwrap_or_else(|| panic!("`{agent}` runs: {list}")).to_owned()
    }

    /// What happened in a run, in order: entry, kind, and what it says.
    pub(crate) fn events(&self, run: &str) -> Vec<(u64, String, String)> {
        let detail = self.json(&["run", "show", run]);
        let events = detail["events"].as_array().expect("events").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        events.map(|e| (e["entry"].as_u64().expect("a number"), text(&e["kind"]), text(&e["says"]))).collect()
    }

    /// How a run's process ended and what it used, as it is on record.
    #[track_caller]
    pub(crate) fn exit(&self, run: &Value) -> Value {
        let id = run["id"].as_str().expect("an id");
        let mut found = Value::Null;
        // It is recorded when the process is gone, a moment after the run's end.
        soon(&format!("the end of {id}'s process is on record"), || {
            let list = self.json(&["ledger", "search", "--kind", "run.agent_ended", "--subject", id]);
            found = list["entries"][0]["body"]["detail"].clone();
            found.is_object()
        });
        found
    }

    /// The node answers, and says that so many runs are live.
    #[track_caller]
    pub(crate) fn is_well(&self, live: u64) {
        let status = self.json(&["node", "status"]);
        assert_eq!(status["runs_live"], live, "{status:#}");
    }

    /// The process of the node.
    pub(crate) fn pid(&self) -> i32 {
        let home = self.place.home();
        let home = home.to_str().expect("text");
        let nodes = processes(|line| line.contains(home) && line.contains("\0up\0"));
        nodes.first().copied().expect("the node has a process")
    }

    /// What an agent of this house runs as, with everything that it forked.
    pub(crate) fn pids_of(&self, agent: &str) -> Vec<i32> {
        let program = format!("/programs/{agent}-{}", self.token);
        processes(|line| line.contains(&program))
    }

    /// Where the node listens.
    pub(crate) fn port(&self) -> u16 {
        let url = self.node.borrow().as_ref().expect("it is up").url().to_owned();
        url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Stops the node and starts it again.
    pub(crate) fn restart(&self) {
        self.node.take().expect("it is up").stop();
        let node = self.place.try_up(&[], &[("STEWARD_HTTP_ALLOW", &self.allow)]).expect("the node comes up");
        *self.node.borrow_mut() = Some(node);
    }

    /// Asserts that no process of these agents is left, soon.
    pub(crate) fn is_silent(&self, agents: &[&str], context: &str) {
        let tool = format!("00.{}", self.token);
        soon(&format!("{context}: no process of {agents:?}"), || {
            agents.iter().all(|agent| self.pids_of(agent).is_empty())
                && processes(|line| line.contains(&tool)).is_empty()
        });
    }

    /// Asserts that no effect is open and nothing of any run is left, then that nothing at all is once the node is stopped, and
    /// that ledger and state verify.
    pub(crate) fn close(self) {
        soon("effects are settled and runs over", || {
            let status = self.json(&["node", "status"]);
            status["effects_open"] == 0 && status["runs_live"] == 0
        });
        self.marks.nothing(false, "the node is up");
        self.node.take().expect("it is up").stop();
        self.marks.nothing(true, "the node was stopped");
        self.does(&["ledger", "verify", "--state"]);
        let log = self.place.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

impl Followed {
    /// Waits until the run is over.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let read = |path: &PathBuf| fs::read_to_string(path).expect("text");
        let begin = Instant::now();
        let exit = loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                break status.code();
            }
            if begin.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("the run of `{}` does not end: {}", self.agent, read(&self.err));
            }
            std::thread::sleep(LOOK_EVERY);
        };
        let (out, told) = (read(&self.out), read(&self.err));
        // The record comes first; if the run did not complete, what is wrong follows.
        let mut values = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
        let run = values.next().and_then(Result::ok).unwrap_or_else(|| panic!("`{}`: {out} {told}", self.agent));
        Ended { exit, run, told }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Status and code.
    pub(crate) fn how(&self) -> (&str, &str) {
        (self.run["status"].as_str().unwrap_or("?"), self.run["code"].as_str().unwrap_or("-"))
    }

    /// Asserts that it ended so. A run that did not complete ends `run start` with 1.
    #[track_caller]
    pub(crate) fn is(&self, status: &str, code: &str) {
        assert_eq!(self.how(), (status, code), "{self:#?}");
        assert_eq!(self.exit, Some(i32::from(status != "completed")), "{self:#?}");
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The processes of the machine whose command line is such.
fn processes(is_such: impl Fn(&str) -> bool) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("there are processes").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        is_such(&String::from_utf8_lossy(&line))
    })
    .collect()
}
