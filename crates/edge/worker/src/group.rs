//! Control groups: one per process that was started, which holds all that descends from it.
//!
//! ```text
//! let groups = Groups::find("a1b2c3");                 // version 1 or 2, or none
//! let group = groups.make("17-3", &limits)?;           // steward-a1b2c3/17-3 below the node's own group
//! group.kill(); group.counters(); group.remove();
//! groups.sweep(|id| is_mine(id));                      // what a dead node of this instance left
//! ```
//!
//! Version 1 needs `memory` and `pids` (and counts processor time if `cpuacct` can be had); version 2 needs both to be
//! delegated, below the node's own group or beside it (systemd: `Delegate=yes`, `DelegateSubgroup=node`).
//!
//! Deliberately absent: shares of processor time and disk, which no limit names yet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{grade::LimitsBy, processes, spec::Limits};

/// The processes of ours that are in the group beside the agent's.
const OURS: u32 = 2;

/// How often a group is looked at until what was killed in it has gone, a millisecond apart: the kernel takes its time to
/// free the memory of a large process.
const MAX_LOOKS: usize = 5000;

/// How deep below the root of a hierarchy a sweep looks for groups of this instance, and how many folders in all.
const MAX_SWEPT: (usize, usize) = (8, 20_000);

/// What is limited by which hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    /// Version 1.
    Memory,
    /// Version 1.
    Pids,
    /// Version 1; counts only.
    Cpuacct,
    /// Version 2, memory and pids.
    Unified,
}

/// Where groups can be made.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    by: LimitsBy,
    /// The folder of this instance in each hierarchy.
    places: Vec<(Controller, PathBuf)>,
    /// The roots of those hierarchies.
    roots: Vec<PathBuf>,
    name: String,
}

impl Groups {
    /// Finds out which groups can be made, by making one.
    pub(crate) fn find(instance: &str) -> Self {
        let (mounts, own) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
        Self::find_in(instance, &hierarchies(&mounts, &own))
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self { by: LimitsBy::Rlimits, places: Vec::new(), roots: Vec::new(), name: String::new() }
    }

    fn find_in(instance: &str, hierarchies: &[Hierarchy]) -> Self {
        let name = format!("steward-{instance}");
        let of = |controller: &str| hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == controller));
        let mut found = Self { by: LimitsBy::Rlimits, places: Vec::new(), roots: Vec::new(), name };
        if let (Some(memory), Some(pids)) = (of("memory"), of("pids")) {
            let mut places = Vec::new();
            for (controller, hierarchy) in [
                (Controller::Memory, Some(memory)),
                (Controller::Pids, Some(pids)),
                (Controller::Cpuacct, of("cpuacct")),
            ] {
                let Some(hierarchy) = hierarchy else { continue };
                if let Some(place) =
                    hierarchy.own.iter().map(|own| own.join(&found.name)).find(|p| can_make(p, controller))
                {
                    places.push((controller, place));
                    found.roots.push(hierarchy.root.clone());
                }
            }
            if places.iter().filter(|(c, _)| *c != Controller::Cpuacct).count() == 2 {
                return Self { by: LimitsBy::CgroupV1, places, ..found };
            }
        }
        found.roots.clear();
        if let Some(unified) = of("") {
            // Beside the node's own group is where a delegated subgroup has its siblings.
            let candidates = unified.own.iter().flat_map(|own| [Some(own.as_path()), own.parent()]).flatten();
            for place in candidates.filter(|p| p.starts_with(&unified.root)).map(|p| p.join(&found.name)) {
                if can_make(&place, Controller::Unified) {
                    let roots = vec![unified.root.clone()];
                    return Self { by: LimitsBy::CgroupV2, places: vec![(Controller::Unified, place)], roots, ..found };
                }
            }
        }
        found
    }

    /// Which kind they are.
    pub(crate) fn by(&self) -> LimitsBy {
        self.by
    }

    /// A group for one process, or one of nothing if there are none.
    pub(crate) fn make(&self, id: &str, limits: &Limits) -> io::Result<Group> {
        let mut group = Group { folders: Vec::new() };
        for (controller, place) in &self.places {
            let folder = place.join(id);
            let made = make_folder(&folder).and_then(|()| {
                group.folders.push((*controller, folder.clone()));
                set_limits(*controller, &folder, limits)
            });
            if let Err(error) = made {
                group.remove();
                return Err(error);
            }
        }
        Ok(group)
    }

    /// Ends and removes what is in groups of this instance, but for those that are mine. Returns how many processes it ended.
    pub(crate) fn sweep(&self, is_mine: impl Fn(&str) -> bool) -> io::Result<usize> {
        let mut ended = 0;
        for root in &self.roots {
            for place in named(root, &self.name) {
                for folder in folders(&place) {
                    let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if is_mine(&id) {
                        continue;
                    }
                    let group = Group { folders: vec![(Controller::Unified, folder.clone())] };
                    ended += group.members().len();
                    if !group.remove() {
                        return Err(io::Error::other(format!("`{}` could not be emptied", folder.display())));
                    }
                }
                // That of now stays: in version 2 it has been told which controllers its groups have.
                if !self.places.iter().any(|(_, own)| *own == place) {
                    let _ = fs::remove_dir(&place);
                }
            }
        }
        Ok(ended)
    }

    /// Removes the folders of this instance, if nothing is in them.
    pub(crate) fn close(&self) {
        for (_, place) in &self.places {
            let _ = fs::remove_dir(place);
        }
    }
}

/// What is known of one process and all that descends from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) cpu_ms: Option<u64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) oom_kills: u64,
    pub(crate) refused_forks: u64,
}

/// The group of one process.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    folders: Vec<(Controller, PathBuf)>,
}

impl Group {
    /// The files into which a process writes its id to join.
    pub(crate) fn doors(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|(_, folder)| folder.join("cgroup.procs")).collect()
    }

    /// Whether there is such a group.
    pub(crate) fn exists(&self) -> bool {
        !self.folders.is_empty()
    }

    /// The processes in it.
    fn members(&self) -> Vec<i32> {
        let Some(door) = self.doors().into_iter().next() else { return Vec::new() };
        read(door).lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
    }

    /// Kills all in it, until nothing is. Returns whether it came to that.
    pub(crate) fn kill(&self) -> bool {
        for look in 0..MAX_LOOKS {
            // Version 2 kills at once, and what is being forked with it.
            for (_, folder) in &self.folders {
                let _ = fs::write(folder.join("cgroup.kill"), "1");
            }
            let members = self.members();
            if members.is_empty() {
                return true;
            }
            members.into_iter().for_each(processes::kill);
            if look > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        false
    }

    /// What it used so far.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for (controller, folder) in &self.folders {
            let number = |file: &str| read(folder.join(file)).trim().parse::<u64>().ok();
            let field = |file: &str, name: &str| {
                read(folder.join(file)).lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok())
            };
            match controller {
                Controller::Memory => {
                    counters.peak_memory_bytes = number("memory.max_usage_in_bytes");
                    counters.oom_kills = field("memory.oom_control", "oom_kill ").unwrap_or(0);
                }
                Controller::Pids => counters.refused_forks = field("pids.events", "max ").unwrap_or(0),
                Controller::Cpuacct => counters.cpu_ms = number("cpuacct.usage").map(|ns| ns / 1_000_000),
                Controller::Unified => {
                    counters.peak_memory_bytes = number("memory.peak");
                    counters.oom_kills = field("memory.events", "oom_kill ").unwrap_or(0);
                    counters.refused_forks = field("pids.events", "max ").unwrap_or(0);
                    counters.cpu_ms = field("cpu.stat", "usage_usec ").map(|us| us / 1000);
                }
            }
        }
        counters
    }

    /// Removes it, with what may still be in it. Returns whether it is gone.
    pub(crate) fn remove(&self) -> bool {
        let mut gone = true;
        for folder in self.folders.iter().map(|(_, folder)| folder) {
            gone &= (0..MAX_LOOKS).any(|look| {
                if look > 0 {
                    self.kill();
                    std::thread::sleep(Duration::from_millis(1));
                }
                match fs::remove_dir(folder) {
                    Ok(()) => true,
                    Err(error) => error.kind() == io::ErrorKind::NotFound,
                }
            });
        }
        gone
    }
}

/// A hierarchy that is mounted: its controllers (version 2: the empty one), its root, and where this process is in it.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    controllers: Vec<String>,
    root: PathBuf,
    own: Vec<PathBuf>,
}

/// The hierarchies of `/proc/self/mountinfo`, and this process in them by `/proc/self/cgroup`.
fn hierarchies(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let (before, after): (Vec<_>, Vec<_>) = (before.split(' ').collect(), after.split(' ').collect());
        let ([_, _, _, subtree, at, ..], [kind, _, options, ..]) = (&before[..], &after[..]) else { continue };
        let controllers = match *kind {
            "cgroup" => options.split(',').map(str::to_owned).collect(),
            "cgroup2" => vec![String::new()],
            _ => continue,
        };
        let root = PathBuf::from(at);
        let mine = cgroup.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (names, path) = (parts.next()?, parts.next()?);
            let is_it = names.split(',').all(|n| controllers.iter().any(|c| c == n));
            // In a container the path is that of the host, and what is mounted begins where the container does.
            let beneath = Path::new(path).strip_prefix(subtree).or_else(|_| Path::new(path).strip_prefix("/")).ok()?;
            is_it.then(|| root.join(beneath))
        });
        let own = mine.chain([root.clone()]).collect();
        found.push(Hierarchy { controllers, root, own });
    }
    found
}

/// Whether a group can be made below `place`, with what the controller needs.
fn can_make(place: &Path, controller: Controller) -> bool {
    let probe = place.join(format!("probe-{}", std::process::id()));
    let limits = Limits::TOOL;
    let made = (|| {
        if controller == Controller::Unified {
            for above in [place.parent(), Some(place)].into_iter().flatten() {
                make_folder(above)?;
                fs::write(above.join("cgroup.subtree_control"), "+memory +pids")?;
            }
        }
        make_folder(place)?;
        make_folder(&probe)?;
        set_limits(controller, &probe, &limits)
    })();
    let _ = fs::remove_dir(&probe);
    made.is_ok()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // The folder of the instance goes with its last group.
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(folder),
        other => other,
    }
}

fn set_limits(controller: Controller, folder: &Path, limits: &Limits) -> io::Result<()> {
    let set = |file: &str, value: String| fs::write(folder.join(file), value);
    let processes = (limits.processes.saturating_add(OURS)).to_string();
    match controller {
        Controller::Memory => {
            set("memory.limit_in_bytes", limits.memory_bytes.to_string())?;
            // Swap is not always counted; where it is, it is not more room.
            let _ = set("memory.memsw.limit_in_bytes", limits.memory_bytes.to_string());
            Ok(())
        }
        Controller::Pids => set("pids.max", processes),
        Controller::Cpuacct => Ok(()),
        Controller::Unified => {
            set("memory.max", limits.memory_bytes.to_string())?;
            let _ = set("memory.swap.max", "0".to_owned());
            set("pids.max", processes)
        }
    }
}

/// The text of a small file of the kernel's, or none.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of) else { return Vec::new() };
    entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// The folders called `name` below `root`.
fn named(root: &Path, name: &str) -> Vec<PathBuf> {
    let (max_depth, max_folders) = MAX_SWEPT;
    let (mut found, mut next, mut seen) = (Vec::new(), vec![(root.to_owned(), 0)], 0);
    while let Some((folder, depth)) = next.pop() {
        for below in folders(&folder) {
            seen += 1;
            if below.file_name().is_some_and(|n| n == name) {
                found.push(below);
            } else if depth < max_depth && seen < max_folders {
                next.push((below, depth + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tempfile::TempDir;

    use super::{Controller, Counters, Group, Groups, Hierarchy, hierarchies};
    use crate::{grade::LimitsBy, spec::Limits};

    #[test]
    fn hierarchies_are_found_where_they_are_mounted() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      39 31 0:36 /docker/abc /sys/fs/cgroup/pids rw master:3 - cgroup cgroup rw,pids\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      22 27 0:21 / /proc rw - proc proc rw\nbroken\n";
        let own = "8:pids:/docker/abc/inner\n4:memory:/a/b\n1:cpu,cpuacct:/c\n0::/system.slice/steward.service\n";
        let found = hierarchies(mounts, own);
        let owns: Vec<_> = found.iter().map(|h| h.own[0].to_str().expect("text")).collect();
        assert_eq!(
            owns,
            [
                "/sys/fs/cgroup/memory/a/b",
                "/sys/fs/cgroup/pids/inner",
                "/sys/fs/cgroup/unified/system.slice/steward.service"
            ]
        );
        assert!(found.iter().all(|h| h.own.last() == Some(&h.root)));
    }

    /// Version 2 with everything delegated, as far as files can play it.
    fn unified(root: &Path) -> Groups {
        let hierarchy = Hierarchy {
            controllers: vec![String::new()],
            root: root.to_owned(),
            own: vec![root.join("unit/node"), root.to_owned()],
        };
        fs::create_dir_all(root.join("unit/node")).expect("made");
        Groups::find_in("x", &[hierarchy])
    }

    #[test]
    fn version_2_is_told_its_limits() {
        let root = TempDir::new().expect("made");
        let groups = unified(root.path());
        assert_eq!(groups.by(), LimitsBy::CgroupV2);
        let place = root.path().join("unit/node/steward-x");
        assert_eq!(fs::read_to_string(place.join("cgroup.subtree_control")).expect("told"), "+memory +pids");
        let group = groups.make("1-1", &Limits::TOOL).expect("made");
        let file = |name: &str| fs::read_to_string(place.join("1-1").join(name)).expect(name);
        assert_eq!(file("memory.max"), Limits::TOOL.memory_bytes.to_string());
        assert_eq!(file("pids.max"), (Limits::TOOL.processes + 2).to_string());
        assert_eq!(group.doors(), [place.join("1-1/cgroup.procs")]);
    }

    #[test]
    fn counters_are_read_in_both_versions() {
        let folder = TempDir::new().expect("made");
        for (name, text) in [
            ("memory.peak", "4096\n"),
            ("memory.max_usage_in_bytes", "8192\n"),
            ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            ("pids.events", "max 7\n"),
            ("cpu.stat", "usage_usec 12999\nuser_usec 1\n"),
            ("cpuacct.usage", "34999999\n"),
        ] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let group = |controllers: &[Controller]| Group {
            folders: controllers.iter().map(|c| (*c, folder.path().to_owned())).collect(),
        };
        let expected = |cpu, peak, oom_kills| Counters {
            cpu_ms: Some(cpu),
            peak_memory_bytes: Some(peak),
            oom_kills,
            refused_forks: 7,
        };
        assert_eq!(group(&[Controller::Unified]).counters(), expected(12, 4096, 2));
        let first = [Controller::Memory, Controller::Pids, Controller::Cpuacct];
        assert_eq!(group(&first).counters(), expected(34, 8192, 1));
        assert_eq!(group(&[]).counters(), Counters::default());
    }

    #[test]
    fn without_what_is_needed_there_are_none() {
        assert_eq!(Groups::find_in("x", &[]).by(), LimitsBy::Rlimits);
        let pids = Hierarchy { controllers: vec!["pids".to_owned()], root: "/no".into(), own: vec!["/no".into()] };
        let groups = Groups::find_in("x", &[pids]);
        assert_eq!(groups.by(), LimitsBy::Rlimits);
        assert!(!groups.make("1-1", &Limits::TOOL).expect("nothing to make").exists());
        assert_eq!(groups.sweep(|_| false).expect("nothing to sweep"), 0);
    }
}
