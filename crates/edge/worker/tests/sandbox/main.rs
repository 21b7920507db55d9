//! Agents and tools as real processes: what they can do, and what hostile ones cannot. Each runs in a sandbox of grade A, and
//! most in one of grade B.
//!
//! The tests run as whoever runs them, root too, on a machine that others use. So what an agent here attempts must do no harm
//! **if it succeeds**, because that is what it does on the day a guard is broken: files are opened and not written, modes and
//! times are set to what they are, folders that cannot go are removed, processes are signalled with 0, floods have a shore.

mod common;
mod doors;
mod escaping;
mod flooding;
mod outliving;
mod reaching;
mod talking;
