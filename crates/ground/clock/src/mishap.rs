//! Named points at which a test build dies, or fails to write, on demand.
//!
//! ```
//! # fn commit() -> std::io::Result<()> {
//! steward_clock::mishap::at("commit.before_sync")?;
//! # Ok(()) }
//! ```
//!
//! Without the feature `mishaps`, which no shipped build has, [`at`] is empty. With it, the environment decides:
//! `STEWARD_MISHAP=commit.before_sync:3` kills the process (SIGKILL) the third time that the point is reached;
//! `STEWARD_MISHAP=commit.before_sync:3:full` and `…:broken` return "no space left on device" and "input/output error"
//! from that time on, `…:full:2` twice and then no more. Several are separated by commas.

use std::io;

/// A point that a test can make the process die or fail at.
///
/// # Errors
/// Only in test builds, and only what `STEWARD_MISHAP` asks for.
#[inline]
pub fn at(point: &'static str) -> io::Result<()> {
    #[cfg(feature = "mishaps")]
    return armed::at(point);
    #[cfg(not(feature = "mishaps"))]
    {
        let _ = point;
        Ok(())
    }
}

#[cfg(feature = "mishaps")]
mod armed {
    use std::{
        io,
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    enum Kind {
        Die,
        /// With this error, so often.
        Fail(i32, u64),
    }

    struct Plan {
        point: String,
        nth: u64,
        kind: Kind,
        reached: AtomicU64,
    }

    fn plans() -> &'static [Plan] {
        static PLANS: OnceLock<Vec<Plan>> = OnceLock::new();
        PLANS.get_or_init(|| {
            let Ok(text) = std::env::var("STEWARD_MISHAP") else { return Vec::new() };
            text.split(',')
                .map(|plan| {
                    let mut parts = plan.split(':');
                    let point = parts.next().expect("split yields one part").to_owned();
                    let nth = parts
                        .next()
                        .and_then(|n| n.parse().ok())
                        .expect("STEWARD_MISHAP is POINT:NTH[:full|broken[:TIMES]]");
                    let kind = parts.next();
                    let times =
                        parts.next().map_or(u64::MAX, |n| n.parse().expect("STEWARD_MISHAP: TIMES is a number"));
                    let kind = match kind {
                        None => Kind::Die,
                        Some("full") => Kind::Fail(28, times),
                        Some("broken") => Kind::Fail(5, times),
                        Some(other) => panic!("STEWARD_MISHAP: `{other}` is neither `full` nor `broken`"),
                    };
                    Plan { point, nth, kind, reached: AtomicU64::new(0) }
                })
                .collect()
        })
    }

    pub(super) fn at(point: &'static str) -> io::Result<()> {
        for plan in plans().iter().filter(|plan| plan.point == point) {
            let reached = plan.reached.fetch_add(1, Ordering::Relaxed) + 1;
            match plan.kind {
                Kind::Die if reached == plan.nth => {
                    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                    loop {
                        std::thread::park();
                    }
                }
                Kind::Fail(errno, times) if reached >= plan.nth && reached - plan.nth < times => {
                    return Err(io::Error::from_raw_os_error(errno));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
