//! Who descends from whom, as `/proc` tells it.
//!
//! ```text
//! let stat = Stat::of(pid)?;                     // its parent and when it began
//! processes::kill_below(pid);                    // everything that descends from it, and not it
//! ```
//!
//! A walk of `/proc` can be outrun by what forks faster: it is repeated until nothing is found, and control groups or a pid
//! namespace are used instead wherever they can be had.
//!
//! Deliberately absent: signals other than KILL. What is in a sandbox is not asked.

use std::{collections::BTreeMap, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// How often a walk is repeated: what still forks then is limited by the number of its processes, and is found by a sweep.
const MAX_WALKS: usize = 200;

/// A line of `/proc/<pid>/stat`, as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// Whether it has ended and only waits to be waited for.
    pub(crate) ended: bool,
}

impl Stat {
    /// Of the process whose folder in some `/proc` this is.
    pub(crate) fn at(folder: &Path) -> io::Result<Self> {
        let text = fs::read(folder.join("stat"))?;
        Self::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| io::Error::other("a stat of another form"))
    }

    fn parse(text: &str) -> Option<Self> {
        // The name stands in brackets and may hold brackets, spaces and line breaks: what follows the last one is plain.
        let (before, after) = text.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            pid: before.split_whitespace().next()?.parse().ok()?,
            parent: fields.next()?.parse().ok()?,
            ended: matches!(state, "Z" | "X" | "x"),
        })
    }
}

/// Every process that can be seen.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let folders = entries.flatten().map(|entry| entry.path());
    folders.filter(|path| is_number(path)).filter_map(|path| Stat::at(&path).ok()).collect()
}

fn is_number(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

/// What descends from `top` and has not ended, `top` itself excepted.
pub(crate) fn below(top: i32, all: &[Stat]) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<&Stat>> = BTreeMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(stat);
    }
    let (mut found, mut next) = (Vec::new(), vec![top]);
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).into_iter().flatten() {
            next.push(child.pid);
            if !child.ended {
                found.push(child.pid);
            }
        }
    }
    found
}

/// How many threads this process's user has, here and elsewhere.
pub(crate) fn threads_of_user() -> u64 {
    let own = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| is_number(path));
    let of_user = folders.filter(|path| fs::metadata(path).is_ok_and(|meta| meta.uid() == own));
    of_user.map(|path| fs::read_dir(path.join("task")).map_or(0, |tasks| tasks.count() as u64)).sum()
}

/// Kills what descends from `top`, until nothing does. Returns whether it came to that.
pub(crate) fn kill_below(top: i32) -> bool {
    for _ in 0..MAX_WALKS {
        let found = below(top, &all());
        if found.is_empty() {
            return true;
        }
        found.into_iter().for_each(kill);
        std::thread::yield_now();
    }
    false
}

/// Kills one process; that it is gone already is fine.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 1) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Ends the sandboxes of `instance` that outlived their node: their keepers say on their command line whose they are. Returns
/// how many processes it ended.
pub(crate) fn sweep(instance: &str) -> usize {
    let all = all();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let wanted = format!("\"instance\":\"{instance}\"");
    let mine = below(own, &all);
    let mut ended = 0;
    for stat in all.iter().filter(|stat| !stat.ended && !mine.contains(&stat.pid)) {
        let command_line = fs::read(format!("/proc/{}/cmdline", stat.pid)).unwrap_or_default();
        let mut args = command_line.split(|b| *b == 0).skip(1);
        let is_keeper = args.next() == Some(b"sandbox-init")
            && args.next().is_some_and(|stage| stage == b"keep" || stage == b"enter")
            && args.next().is_some_and(|start| String::from_utf8_lossy(start).contains(&wanted));
        if is_keeper {
            ended += 1 + below(stat.pid, &all).len();
            kill_below(stat.pid);
            kill(stat.pid);
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::{Stat, below};

    fn stat(pid: i32, parent: i32, ended: bool) -> Stat {
        Stat { pid, parent, ended }
    }

    #[test]
    fn a_name_cannot_pretend_to_be_another_process() {
        for (text, parsed) in [
            ("7 (sh) S 3 7 7 0", Some(stat(7, 3, false))),
            ("7 (a) R 1 (b)) Z 3 7", Some(stat(7, 3, true))),
            ("7 (a\nb c) X 3 7", Some(stat(7, 3, true))),
            ("7 (sh", None),
            ("", None),
            ("7 (sh) S", None),
        ] {
            assert_eq!(Stat::parse(text), parsed, "{text:?}");
        }
    }

    #[test]
    fn descendants_are_found_through_those_that_ended() {
        let all = [stat(2, 1, false), stat(3, 2, true), stat(4, 3, false), stat(5, 4, false), stat(6, 1, false)];
        let mut found = below(2, &all);
        found.sort_unstable();
        assert_eq!(found, [4, 5]);
        assert!(below(6, &all).is_empty());
        // A circle, which a walk over a changing table can show, ends.
        assert_eq!(below(8, &[stat(8, 9, false), stat(9, 8, false)]).len(), 2);
    }
}
