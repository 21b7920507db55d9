//! Stories of governed runs, on a real embedded node whose agents' processes are played by the test.

mod budget;
mod children;
mod common;
mod endings;
mod fences;
mod handoff;
mod honest;
mod people;
mod phases;
mod promotion;
mod refused;
mod replay;
mod restart;
mod reviews;
mod revoked;
mod state;
mod whole;
