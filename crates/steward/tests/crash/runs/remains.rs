//! What a node could leave on its machine: processes, control groups, mounts, folders.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long what a dead node started may take to be gone: the kernel kills it when the node's thread ends, on a busy machine.
const GONE_WITHIN_MS: u64 = 5_000;

/// Between two looks.
const LOOK_EVERY_MS: u64 = 5;

/// How deep groups are looked for.
const MAX_DEPTH: usize = 8;

/// By what the things of one home are known.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    /// On the command lines of its agents and tools.
    pub(crate) token: String,
    /// The node's own mark: on the command lines of its sandboxes, and in the names of groups and scratch folders.
    pub(crate) instance: String,
    pub(crate) home: PathBuf,
}

impl Marks {
    /// Asserts that no process of a sandbox is left, soon.
    pub(crate) fn no_process(&self, context: &str) {
        self.soon(context, || self.processes());
    }

    /// Asserts that nothing at all is left, soon, of runs that are over; nor, if the node was stopped, of the node.
    pub(crate) fn nothing(&self, is_stopped: bool, context: &str) {
        self.no_process(context);
        self.soon(context, || self.groups(is_stopped));
        self.soon(context, || self.mounts());
        self.soon(context, || self.folders());
    }

    fn soon(&self, context: &str, left: impl Fn() -> Vec<String>) {
        let until = Instant::now() + Duration::from_millis(GONE_WITHIN_MS);
        loop {
            let left = left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "{context}: left behind: {left:#?}");
            std::thread::sleep(Duration::from_millis(LOOK_EVERY_MS));
        }
    }

    fn processes(&self) -> Vec<String> {
        let (instance, group) = (format!("\"instance\":\"{}\"", self.instance), self.group());
        let found = fs::read_dir("/proc").expect("there are processes").flatten().filter_map(|entry| {
            let folder = entry.path();
            let pid = entry.file_name().to_string_lossy().into_owned();
            let read =
                |file: &str| String::from_utf8_lossy(&fs::read(folder.join(file)).unwrap_or_default()).into_owned();
            if !pid.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let (command, groups) = (read("cmdline").replace('\0', " "), read("cgroup"));
            let is_ours = command.contains(&self.token) || command.contains(&instance) || groups.contains(&group);
            // One that has ended and waits to be waited for, by whoever took it over, is none of the node's.
            let state = read("stat").rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
            (is_ours && state.is_some_and(|state| !"ZXx".contains(state))).then(|| format!("{pid} {command}"))
        });
        found.collect()
    }

    fn group(&self) -> String {
        format!("steward-{}", self.instance)
    }

    fn groups(&self, is_stopped: bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut next = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
        while let Some((folder, depth)) = next.pop() {
            for below in folders(&folder) {
                if below.file_name().is_some_and(|name| name.to_string_lossy() == self.group()) {
                    found.extend(folders(&below));
                    found.extend(is_stopped.then_some(below));
                } else if depth < MAX_DEPTH {
                    next.push((below, depth + 1));
                }
            }
        }
        found.iter().map(|path| path.display().to_string()).collect()
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts can be read");
        let home = self.home.to_string_lossy();
        let is_ours = |line: &&str| line.contains(&*home) || line.contains(&self.group());
        mounts.lines().filter(is_ours).map(str::to_owned).collect()
    }

    /// What was given to runs for their time, what was staged, and scratch folders.
    fn folders(&self) -> Vec<String> {
        let mut found = folders(&self.home.join("runs"));
        for agent in folders(&self.home.join("agents")).iter().flat_map(|namespace| folders(namespace)) {
            let staged = fs::read_dir(agent.join("staging")).into_iter().flatten().flatten();
            found.extend(staged.map(|entry| entry.path()));
        }
        let scratch = fs::read_dir(env::temp_dir()).into_iter().flatten().flatten();
        let scratch = scratch.filter(|entry| entry.file_name().to_string_lossy().starts_with(&self.group()));
        found.extend(scratch.map(|entry| entry.path()));
        found.iter().map(|path| path.display().to_string()).collect()
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of) else { return Vec::new() };
    entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}
