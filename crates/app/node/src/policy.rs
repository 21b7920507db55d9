//! The policy in force.

use steward_policy::{Engine, Sources};

/// A policy that decides, and the entry that loaded it.
pub struct InForce {
    /// Decides.
    pub engine: Engine,
    /// Its files.
    pub sources: Sources,
    /// The entry that loaded it; none until the first was recorded.
    pub entry_seq: Option<u64>,
}
