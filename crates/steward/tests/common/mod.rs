//! A node as it ships, in a process of its own, on a temporary folder.
//!
//! ```text
//! let place = Place::new();
//! let node = place.up(&["--demo"]);
//! let (operator, key) = node.login().await;              // a steward_caller::Caller, and the key that it has
//! let shown = place.steward(&["agent", "list", "--json"]);  // the same executable as a command: code, out, err
//! node.stop();                                           // SIGTERM; it must end with 0
//! ```
//!
//! Whatever is still up when a test ends is killed. Helpers panic where a test could not go on.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use steward_caller::{Caller, Secret};
use steward_wire::{CreatedKey, Login};
use tempfile::TempDir;

/// The namespace of nodes that are told no other.
pub(crate) const NAMESPACE: &str = "acme.internal";

/// A folder with a node's home in it, and with what its callers remember.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a command said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Its exit code; none if it died of a signal.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

/// A node that did not come up.
#[derive(Debug)]
pub(crate) struct Dead {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it said on standard error.
    pub(crate) log: String,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A place with nothing in it.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The node's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Anything else in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the nodes said on standard error, all of them.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The executable, on this home, with an environment that holds nothing of whoever runs the tests.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STEWARD_") {
                command.env_remove(name);
            }
        }
        command
            .env("STEWARD_CONFIG_DIR", self.path("config"))
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .arg("--home")
            .arg(self.home());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn steward(&self, arguments: &[&str]) -> Said {
        let output = self.command().args(arguments).output().expect("the executable runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command to its end, with something on its standard input.
    pub(crate) fn steward_with(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that does not read is not wrong.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts a node on a port of its own.
    ///
    /// # Panics
    /// It does not come up.
    pub(crate) fn up(&self, arguments: &[&str]) -> Up {
        self.try_up(arguments, &[]).unwrap_or_else(|dead| panic!("the node came up: {dead:?}"))
    }

    /// Starts a node on another machine, as it were: where something else is remembered.
    ///
    /// # Panics
    /// It does not come up.
    pub(crate) fn up_at(&self, desk: &Path) -> Up {
        let desk = desk.to_str().expect("text");
        let started = self.try_up(&[], &[("STEWARD_CONFIG_DIR", desk)]);
        started.unwrap_or_else(|dead| panic!("the node came up: {dead:?}"))
    }

    /// Starts a node with something in its environment (`STEWARD_MISHAP`, say), which may end it before it is up.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn try_up(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Up, Dead> {
        self.start(self.command(), arguments, environment)
    }

    /// Starts a node that may write no file larger than so many blocks of 512 bytes.
    pub(crate) fn up_within(&self, blocks: u64) -> Up {
        self.up_after(&format!("ulimit -f {blocks}"))
    }

    /// Starts a node with this umask.
    pub(crate) fn up_with_umask(&self, umask: &str) -> Up {
        self.up_after(&format!("umask {umask}"))
    }

    /// Starts a node in a shell that did this before.
    fn up_after(&self, before: &str) -> Up {
        let inner = self.command();
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\""));
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null()).current_dir(self.folder.path());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.start(command, &[], &[]).unwrap_or_else(|dead| panic!("the node came up: {dead:?}"))
    }

    fn start(&self, mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Up, Dead> {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a file for the log");
        command.args(["up", "--listen", "127.0.0.1:0", "--namespace", NAMESPACE]).args(arguments);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the executable runs");
        let mut said = String::new();
        let mut url = None;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        while url.is_none() && lines.read_line(&mut said).is_ok_and(|bytes| bytes > 0) {
            let last = said.lines().next_back().unwrap_or_default();
            url = last
                .strip_prefix("Steward listens on ")
                .map(|rest| rest.split_once(". ").map_or(rest, |(url, _)| url).to_owned());
        }
        let Some(url) = url else {
            let status = child.wait().expect("it ends");
            return Err(Dead { status, log: self.log() });
        };
        Ok(Up { child: Some(child), said, url, home: self.home() })
    }
}

/// A node that is up.
pub(crate) struct Up {
    /// None once it has ended.
    child: Option<Child>,
    said: String,
    url: String,
    home: PathBuf,
}

impl Up {
    /// Where it listens: `http://127.0.0.1:…`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it said on standard output until it listened.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Where its home is.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Somebody who calls it, with a key or without.
    pub(crate) fn caller(&self, key: Option<&str>) -> Caller {
        Caller::new(&self.url, key.map(Secret::new)).expect("its address and the key are good")
    }

    /// Logs in with the key that a new node leaves for its first person.
    ///
    /// # Panics
    /// There is none, or it is no good.
    pub(crate) async fn login(&self) -> (Caller, CreatedKey) {
        let token = fs::read_to_string(self.home.join("login.key")).expect("a new node leaves a log-in key");
        let door = self.caller(Some(token.trim()));
        let key = door.login(&Login { label: "test".to_owned() }).await.expect("the log-in key is good");
        (self.caller(Some(&key.secret)), key)
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Panics
    /// It does not end with 0.
    pub(crate) fn stop(mut self) {
        let status = self.end(Signal::TERM);
        assert!(status.success(), "a node that is told to stop ends with 0, and not with {status}");
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.end(Signal::KILL);
    }

    /// Sends a signal, and does not wait.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it is up");
        let pid = Pid::from_child(child);
        // One that has died by itself meanwhile is still there to be waited for.
        kill_process(pid, signal).expect("a signal can be sent");
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.take().expect("it is up").wait().expect("it ends")
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().expect("it is up").try_wait().expect("it can be asked")
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.take().expect("it is up").wait().expect("it ends")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
