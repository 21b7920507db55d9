//! How well a process is kept in, and by what its limits hold.
//!
//! ```text
//! if !worker.grade().meets(Grade::A) { /* a person decides, or policy names the exception */ }
//! ```
//!
//! Deliberately absent: a grade for "no sandbox". A process that cannot be kept in is not started.

use serde::{Deserialize, Serialize};

/// How well a process is kept in. Recorded with everything that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Grade {
    /// Own user, mount, pid, network, ipc, uts and cgroup namespaces, a read-only root, seccomp, no new privileges.
    A,
    /// Landlock, and seccomp that denies `socket()`: for machines on which there are no user namespaces.
    B,
}

impl Grade {
    /// `A` or `B`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }

    /// Whether it is at least as good as `minimum`.
    pub const fn meets(self, minimum: Self) -> bool {
        matches!((self, minimum), (Self::A, _) | (Self::B, Self::B))
    }
}

/// By what the limits on memory and processes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LimitsBy {
    /// Control groups of version 1 (`memory`, `pids`): on everything together that descends from the process.
    CgroupV1,
    /// Control groups of version 2: the same.
    CgroupV2,
    /// `setrlimit`, which is weaker: memory is address space per process; the number of processes is not held where the node
    /// runs as root, and in grade B is that of all the user's, with as many more as the limit says when it starts.
    Rlimits,
}

impl LimitsBy {
    /// `cgroup_v1`, `cgroup_v2` or `rlimits`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CgroupV1 => "cgroup_v1",
            Self::CgroupV2 => "cgroup_v2",
            Self::Rlimits => "rlimits",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Grade;

    #[test]
    fn a_is_better_than_b() {
        for (has, minimum, enough) in [
            (Grade::A, Grade::A, true),
            (Grade::A, Grade::B, true),
            (Grade::B, Grade::B, true),
            (Grade::B, Grade::A, false),
        ] {
            assert_eq!(has.meets(minimum), enough, "{has:?} {minimum:?}");
        }
    }
}
