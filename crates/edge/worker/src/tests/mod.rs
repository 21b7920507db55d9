//! A node's agents' folders in a temporary place, and warrants for one agent's writes.

mod guards;
mod handoff;
mod mishaps;
mod writing;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, Name};
use steward_permit::{Action, ActionName, Actor, Issuer, Resource, ResourceKind, Ruling, Tier, Warrant};
use steward_seal::Digest;
use tempfile::TempDir;

use crate::{EffectError, Folders, GrantPath, Published, Staged};

/// A temporary place with the agents' folders and, beside them, a folder `outside` in which nothing may ever appear.
struct Place {
    _dir: TempDir,
    top: PathBuf,
    folders: Folders,
    agent: Name,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let top = dir.path().to_owned();
        fs::create_dir(top.join("outside")).expect("made");
        let folders = Folders::open(&top.join("agents")).expect("opened");
        Self { _dir: dir, top, folders, agent: scribe() }
    }

    /// What the agent owns, on disk.
    fn files(&self) -> PathBuf {
        let files = self.top.join("agents/acme.internal/scribe/files");
        fs::create_dir_all(&files).expect("made");
        files
    }

    fn staging(&self) -> PathBuf {
        self.top.join("agents/acme.internal/scribe/staging")
    }

    fn outside(&self) -> PathBuf {
        self.top.join("outside")
    }

    fn stage(&self, write: &Write, bytes: &[u8]) -> Result<Staged, EffectError> {
        self.folders.stage(&write.warrant(), &write.action, &self.agent, bytes)
    }

    fn publish(&self, write: &Write, staged: Staged) -> Result<Published, EffectError> {
        self.folders.publish(write.warrant(), &write.action, &self.agent, staged)
    }

    /// The whole effect.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<Published, EffectError> {
        let write = Write::new(path, bytes);
        let staged = self.stage(&write, bytes)?;
        let outcome = self.publish(&write, staged);
        // Refused or done, the caller discards at the end.
        self.folders.discard(&self.agent, &write.id).expect("discarded");
        outcome
    }

    /// The code with which a write is refused.
    fn refusal(&self, path: &str) -> &'static str {
        self.write(path, b"content").expect_err(path).code()
    }

    fn published(&self, path: &str) -> Option<Digest> {
        self.folders
            .published(&self.agent, &GrantPath::parse(path).expect("plain"))
            .expect("readable")
            .map(|p| p.digest)
    }
}

fn scribe() -> Name {
    "scribe.acme.internal".parse().expect("valid")
}

/// One permitted write: the action and the id of its decision.
struct Write {
    id: ActionId,
    action: Action,
}

impl Write {
    fn new(path: &str, bytes: &[u8]) -> Self {
        Self::of("fs.write", ResourceKind::File, path, Some(Digest::of(bytes)))
    }

    fn of(name: &str, kind: ResourceKind, id: &str, arguments: Option<Digest>) -> Self {
        let resource = Resource::new(kind, id).expect("valid");
        let action = Action::new(scribe().namespace().clone(), ActionName::parse(name).expect("valid"), resource);
        let action = match arguments {
            Some(digest) => action.with_arguments(digest),
            None => action,
        };
        Self { id: ActionId::new(Timestamp::from_unix_ms(0), &Counting), action }
    }

    /// The warrant that the store would give for it.
    fn warrant(&self) -> Warrant {
        let ruling = Ruling {
            id: self.id.clone(),
            actor: Actor::Agent { name: scribe(), version: "1.0.0".to_owned(), tier: Tier::T2, via: None },
            key: None,
            action: self.action.clone(),
            circumstances: None,
            policies: Vec::new(),
            policy_version: Digest::of(b"policy"),
            at: Timestamp::from_unix_ms(0),
        };
        Issuer::for_policy_engine().permit(ruling).spend(1)
    }
}

/// An action on something, and the warrant that the store would give for one.
pub(crate) fn action_on(name: &str, kind: ResourceKind, id: &str) -> Action {
    Write::of(name, kind, id, None).action
}

pub(crate) fn warrant_for(action: &Action) -> Warrant {
    Write { id: ActionId::new(Timestamp::from_unix_ms(0), &Counting), action: action.clone() }.warrant()
}

/// Dice that never fall the same way twice.
struct Counting;

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in bytes.iter_mut().rev().zip(next.iter().rev()) {
            *to = *from;
        }
    }
}

/// Everything in a folder, by name.
fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}
