//! Agents of this node.
//!
//! An agent is registered with a manifest (the part of REG-2 that a node needs to govern it), which is kept whole as a blob.
//! People with the right to drive an agent act *as* the agent: [`drive`] turns a person's call into the agent's, and the
//! record names both.
//!
//! Deliberately absent: publishing, signatures of publishers, trust (the registry's, later); promotion (GOV-9, later).

mod agents;
pub mod rows;

pub use agents::{Manifest, actor, add, agents, as_actor, drive, find};
pub use rows::AgentRow;
