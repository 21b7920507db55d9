//! Stories of governed runs, on a real embedded node whose agents' processes are played by the test.

mod common;
mod endings;
mod fences;
mod handoff;
mod phases;
mod refused;
mod revoked;
mod whole;
