//! Time on the wall and on the processor, and what the disk does.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Linux reports a process's times in hundredths of a second on every machine that we run on.
const TICKS_PER_SECOND: u64 = 100;

/// How long the disk's own rate is measured.
const SYNC_FOR: Duration = Duration::from_millis(700);

/// What a piece of work took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Spent {
    pub(crate) fn add(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }

    /// Operations in a second on the wall.
    pub(crate) fn rate(&self, operations: u64) -> f64 {
        operations as f64 / self.wall.as_secs_f64()
    }

    /// Operations in a second of one core.
    pub(crate) fn rate_by_core(&self, operations: u64) -> f64 {
        operations as f64 / self.cpu.as_secs_f64()
    }

    /// Microseconds of processor for an operation.
    pub(crate) fn cpu_us(&self, operations: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / operations as f64
    }

    /// Microseconds on the wall for an operation.
    pub(crate) fn wall_us(&self, operations: u64) -> f64 {
        self.wall.as_secs_f64() * 1e6 / operations as f64
    }
}

/// Processor time of this thread, to the nanosecond that the scheduler knows.
fn thread_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("the scheduler's account of this thread")?;
    let ns = text.split_whitespace().next().context("a first field")?;
    Ok(Duration::from_nanos(ns.parse()?))
}

/// Processor time of a process with all its threads, living and gone.
pub(crate) fn process_cpu(process: u32) -> Result<Duration> {
    account(process, 11)
}

/// Processor time of the children of a process that have ended and were waited for, with theirs.
pub(crate) fn children_cpu(process: u32) -> Result<Duration> {
    account(process, 13)
}

/// Two fields of a process's account: time in the program, and time in the system for it.
fn account(process: u32, first: usize) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).context("the account of a process")?;
    // The name may hold spaces and brackets; what follows its last bracket does not.
    let fields = text.rsplit_once(") ").context("a name in brackets")?.1;
    let ticks: u64 = fields.split_whitespace().skip(first).take(2).map(|f| f.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Times work of this thread alone.
pub(crate) fn on_this_thread<T>(work: impl FnOnce() -> T) -> Result<(T, Spent)> {
    let (cpu, wall) = (thread_cpu()?, Instant::now());
    let out = work();
    let spent = Spent { wall: wall.elapsed(), cpu: thread_cpu()?.saturating_sub(cpu) };
    Ok((out, spent))
}

/// Times work of all threads of this process. Processor time comes in hundredths of a second: measure for long.
pub(crate) fn in_this_process<T>(work: impl FnOnce() -> T) -> Result<(T, Spent)> {
    let process = std::process::id();
    let (cpu, wall) = (process_cpu(process)?, Instant::now());
    let out = work();
    let spent = Spent { wall: wall.elapsed(), cpu: process_cpu(process)?.saturating_sub(cpu) };
    Ok((out, spent))
}

/// A folder on the disk that this program lies on: a temporary folder may be in memory, where nothing has to be synced.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().context("the program lies in a folder")?;
    tempfile::Builder::new().prefix("steward-bench-").tempdir_in(beside).context("a folder beside the program")
}

/// How often in a second the disk makes 4 KiB durable.
pub(crate) fn syncs_per_second(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("sync"))?;
    let (start, mut syncs) = (Instant::now(), 0_u32);
    while start.elapsed() < SYNC_FOR {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / start.elapsed().as_secs_f64())
}

/// The value that `share` of all are at most, in milliseconds. Sorts.
pub(crate) fn quantile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
    times.get(at).map_or(f64::NAN, |t| t.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{on_this_thread, process_cpu, quantile_ms};

    #[test]
    fn quantiles() {
        let mut times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!((quantile_ms(&mut times, 0.5), quantile_ms(&mut times, 0.99)), (50.0, 99.0));
        assert!(quantile_ms(&mut [], 0.5).is_nan());
    }

    #[test]
    fn work_takes_processor_time() {
        let work = || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(60) {}
        };
        let ((), spent) = on_this_thread(work).expect("measured");
        assert!(
            spent.wall >= Duration::from_millis(60) && spent.cpu <= spent.wall && !spent.cpu.is_zero(),
            "{spent:?}"
        );
        assert!(process_cpu(std::process::id()).expect("measured") > Duration::ZERO);
        assert!(process_cpu(0).is_err());
    }
}
