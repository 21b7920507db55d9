//! What the system says of this process.

use std::fs;

/// Ticks of processor time in a second, as `/proc` counts them on every Linux that this runs on.
const TICKS_PER_S: f64 = 100.0;

/// What a process uses. A figure that the system does not tell is not there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Process {
    /// Processor time of all its threads, in seconds.
    pub(crate) cpu_s: Option<f64>,
    /// Memory that is in the machine's own, in bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
    /// Open files and sockets.
    pub(crate) open_fds: Option<u64>,
}

impl Process {
    /// This one, now.
    pub(crate) fn measured() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        Self {
            cpu_s: cpu_s(&stat),
            resident_bytes: kib(&status, "VmRSS:"),
            threads: number(&status, "Threads:"),
            open_fds,
        }
    }
}

/// User and system time: the 14th and 15th field, counted behind the name, which may hold anything.
fn cpu_s(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_S)
}

fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kib(status: &str, name: &str) -> Option<u64> {
    number(status, name)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::{Process, cpu_s, kib, number};

    #[test]
    fn the_system_tells() {
        let stat = "42 (a) b ) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1234 0";
        assert_eq!(cpu_s(stat), Some(2.0));
        assert_eq!(cpu_s("nothing"), None);
        let status = "Name:\tsteward\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        assert_eq!(
            (kib(status, "VmRSS:"), number(status, "Threads:"), number(status, "Other:")),
            (Some(2 << 20), Some(9), None)
        );
        let now = Process::measured();
        assert!(now.cpu_s.is_some() && now.threads.is_some_and(|n| n > 0), "{now:?}");
        assert!(now.resident_bytes.is_some_and(|n| n > 1 << 20) && now.open_fds.is_some_and(|n| n > 2), "{now:?}");
    }
}
