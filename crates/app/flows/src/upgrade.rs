//! What a start of this version would do to a home, found out without doing it (OPS-5).
//!
//! The policies are compiled as the node does it, the steps of the tables are taken on a copy of the store, and the copy is audited. The home
//! itself is not changed, and its node may run meanwhile.
//!
//! Deliberately absent: the configuration, which the binary reads; a way back (tables go forward only: take a backup before).

use std::{fs, io};

use steward_app_node::home::Home;
use steward_clock::{Clock, Dice};
use steward_ledger::Audit;
use steward_naming::Namespace;
use steward_policy::Mistake;
use steward_seal::{SigningKey, note::NoteKey};
use steward_store::{Archive, StoreError};

use crate::open::{TREE_HEAD_KEY, migrations};

/// What has to stay free beside the copy that the steps are tried on.
const ROOM_BYTES: u64 = 64 << 20;

/// One thing that was looked at: what was found, or what is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What was looked at.
    pub name: &'static str,
    /// What was found, or what would keep the node from starting, and how to mend it.
    pub found: Result<String, String>,
}

/// Looks at everything that a start needs but the configuration.
pub fn check_upgrade(home: &Home, namespace: &Namespace, clock: &dyn Clock, dice: &dyn Dice) -> Vec<Look> {
    let room = room(home);
    let has_room = room.is_ok();
    let mut looks = vec![
        Look { name: "the policies compile", found: policies(home, namespace, dice) },
        Look { name: "there is room on the disk", found: room },
    ];
    let tables = if has_room { tables(home, namespace, clock) } else { Err("not tried, for want of room".to_owned()) };
    looks.push(Look { name: "the tables can be brought up to date", found: tables });
    looks
}

fn policies(home: &Home, namespace: &Namespace, dice: &dyn Dice) -> Result<String, String> {
    if !home.policies().exists() {
        return Ok("there are none yet; those that ship will be put there".to_owned());
    }
    let sources = steward_app_policies::read(&home.policies()).map_err(|e| e.to_string())?;
    let list = |mistakes: Vec<Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let policy = steward_app_policies::first(sources, namespace, dice).map_err(list)?;
    Ok(format!("{} policies, version {}", policy.engine.listed().len(), policy.engine.version()))
}

fn room(home: &Home) -> Result<String, String> {
    let store = fs::metadata(home.store()).map_or(0, |file| file.len());
    let stat = rustix::fs::statvfs(home.path()).map_err(|e| format!("`{}`: {e}", home.path().display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    // Once for the copy here, and once for what the steps write anew.
    let needed = store.saturating_mul(2).saturating_add(ROOM_BYTES);
    if free >= needed {
        return Ok(format!("{} MiB are free, {} MiB are needed", free >> 20, needed >> 20));
    }
    Err(format!("{} MiB are free, and {} MiB are needed; make room", free >> 20, needed >> 20))
}

fn tables(home: &Home, namespace: &Namespace, clock: &dyn Clock) -> Result<String, String> {
    let archive = match Archive::open(&home.store()) {
        Err(StoreError::Missing(_)) => return Ok("there is no store yet; it will be made".to_owned()),
        other => other.map_err(|e| e.to_string())?,
    };
    if archive.origin().split('/').next() != Some(namespace.as_str()) {
        return Err(format!("the ledger is of `{}`, and the configuration says `{namespace}`", archive.origin()));
    }
    let schema = archive.schema(&migrations()).map_err(|e| e.to_string())?;
    let pem = fs::read_to_string(home.key(TREE_HEAD_KEY)).map_err(|e| format!("the tree-head key: {e}"))?;
    let key = SigningKey::from_pkcs8_pem(&pem).map_err(|e| format!("the tree-head key: {e}"))?;
    let key = NoteKey::new(archive.origin(), key.verifying_key()).map_err(|e| e.to_string())?;
    let folder = home.path().join("run");
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("`run` of the home: {error}"));
        }
        _ => {}
    }
    let beside = folder.join(format!("upgrade-{}.sqlite", std::process::id()));
    let audit = Audit::new(key.clone(), key.name());
    let tried = archive.try_out(&beside, &migrations(), audit, clock.now());
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(format!("{}{suffix}", beside.display()));
    }
    let report = tried.map_err(|e| e.to_string())?;
    if let Some(first) = report.findings().first() {
        return Err(format!("after the steps the store does not verify: {first}"));
    }
    let steps = match schema.pending.len() {
        0 => "they are; no step is to be taken".to_owned(),
        n => format!("{n} steps, tried on a copy: {}", schema.pending.join(", ")),
    };
    Ok(format!("{steps}; {} entries and {} rows verify after it", report.entries, report.rows_compared))
}
