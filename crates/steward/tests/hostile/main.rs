//! Agents that mean harm, as real processes on a whole node: started with `steward run start`, ended by what ends them, on record.
//!
//! ```text
//! let house = House::begin(&[]);                    // a node, somebody logged in to it
//! house.hire("bomber", "T2", "from asking import *\n…");
//! let run = house.start("bomber", &Terms::default());
//! let ended = run.ended();                          // as `run start --json` tells it
//! house.close();                                    // everything verifies, and nothing is left on the machine
//! ```
//!
//! The tests run as whoever runs them, root too, on a machine that others use. So what an agent here attempts must do no harm **if
//! it succeeds**: files of the system are opened and not written, what is written is a decoy, processes are signalled with 0, floods
//! have a shore. In each test a harmless twin does the same within its bounds, and completes.
//!
//! Deliberately absent: single system calls and grade B, which the worker's own tests have.

mod calling;
#[path = "../common/mod.rs"]
mod common;
mod fetching;
mod flooding;
mod house;
mod outliving;
mod paths;
mod reaching;
#[path = "../crash/runs/remains.rs"]
mod remains;
mod silence;
