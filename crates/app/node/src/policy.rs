//! The policy in force.

use steward_policy::{Engine, Sources};
use steward_seal::Digest;

/// A policy that decides, and the entry that loaded it.
pub struct InForce {
    /// Decides.
    pub engine: Engine,
    /// Its files.
    pub sources: Sources,
    /// The entry that loaded the policy on record; none until the first was recorded.
    pub entry_seq: Option<u64>,
    /// The version of the policy on record: the one that decides, unless that could not be brought back.
    pub version_on_record: Digest,
}
