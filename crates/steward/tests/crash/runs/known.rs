//! What was acknowledged about runs, kept outside of the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use steward_wire::RunRecord;

/// What was said of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// The most errors.
    pub(crate) errors: u64,
    /// How it ended, and why.
    pub(crate) ended: Option<(String, String)>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) runs: BTreeMap<String, Said>,
    /// Agents that a person revoked; whether somebody asked for them back.
    pub(crate) revoked: BTreeMap<String, bool>,
    /// Agents that were reinstated, and that nobody asked to revoke since.
    pub(crate) back: BTreeSet<String>,
    /// Whether the node is halted; none if it was asked for and not answered.
    pub(crate) is_halted: Option<bool>,
    /// Signed notes.
    pub(crate) heads: BTreeSet<String>,
    pub(crate) acknowledged: u64,
}

/// The same, shared by callers.
#[derive(Debug, Default)]
pub(crate) struct Facts(Mutex<Known>);

impl Facts {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().expect("no holder of this lock panics"))
    }

    /// A run was told of. What is known of its end stays so.
    pub(crate) fn heard(&self, run: &RunRecord) {
        self.with(|known| {
            known.acknowledged += 1;
            let said = known.runs.entry(run.id.clone()).or_default();
            assert!(
                u64::from(run.errors) >= said.errors,
                "{}: {} errors, and before {}",
                run.id,
                run.errors,
                said.errors
            );
            said.errors = u64::from(run.errors);
            let ended = (run.status != "live").then(|| (run.status.clone(), run.code.clone().unwrap_or_default()));
            assert!(said.ended.is_none() || said.ended == ended, "{}: {ended:?}, and before {:?}", run.id, said.ended);
            said.ended = ended;
        });
    }
}
