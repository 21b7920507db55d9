//! What was asked and what was acknowledged, kept outside of the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use steward_wire::ActionRecord;

/// A file that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) agent: &'static str,
    pub(crate) path: String,
    /// The digest of the content, which no other write has.
    pub(crate) digest: String,
    /// Ticks of the facts' own clock: it happened, if it did, after the first and before the second.
    pub(crate) began: u64,
    pub(crate) ended: Option<u64>,
    /// What was acknowledged.
    pub(crate) answer: Option<ActionRecord>,
}

/// A key that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) secret: String,
    pub(crate) entry: u64,
    /// Somebody asked for its revocation.
    pub(crate) asked: bool,
    /// The entry of the acknowledged revocation.
    pub(crate) revoked: Option<u64>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    now: u64,
    pub(crate) writes: Vec<Write>,
    pub(crate) keys: BTreeMap<String, Key>,
    /// Name and entry.
    pub(crate) people: BTreeMap<String, u64>,
    /// Entry and decision.
    pub(crate) decisions: BTreeMap<u64, String>,
    /// Signed notes.
    pub(crate) heads: BTreeSet<String>,
    pub(crate) acknowledged: u64,
}

impl Known {
    pub(crate) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// The same, shared by callers.
#[derive(Debug, Default)]
pub(crate) struct Facts(Mutex<Known>);

impl Facts {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().expect("no holder of this lock panics"))
    }

    /// A write is asked for. Tells its number.
    pub(crate) fn asks(&self, agent: &'static str, path: &str, digest: String) -> usize {
        self.with(|known| {
            let began = known.tick();
            known.writes.push(Write { agent, path: path.to_owned(), digest, began, ended: None, answer: None });
            known.writes.len() - 1
        })
    }

    /// It was answered.
    pub(crate) fn answered(&self, write: usize, answer: ActionRecord) {
        self.with(|known| {
            let now = known.tick();
            let write = &mut known.writes[write];
            (write.ended, write.answer) = (Some(now), Some(answer));
            known.acknowledged += 1;
        });
    }

    /// The node is gone: whatever was not answered happened by now, or never will.
    pub(crate) fn is_over(&self) {
        self.with(|known| {
            let now = known.tick();
            known.writes.iter_mut().for_each(|write| _ = write.ended.get_or_insert(now));
        });
    }
}
