//! What must be so after a node died and another recovered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use steward_app_actions::{
    EffectRow, Status,
    rows::{effect, entries_of, open_effects},
};
use steward_caller::CallError;
use steward_ledger::{Audit, head};
use steward_naming::{ActionId, Namespace};
use steward_seal::Digest;
use steward_store::{Archive, EntryRow, StoreError};

use crate::{
    common::{NAMESPACE, Up},
    facts::Known,
    life::Life,
    load::{WATCHER, WRITERS},
};

/// What a caller sees: keys and people that were acknowledged are there, what was revoked is refused, nothing is open.
pub(crate) async fn at_the_door(life: &Life, node: &Up, context: &str) {
    let operator = life.ways(node).operator;
    let status = operator.node_status().await.expect("the node answers");
    assert_eq!(status.effects_open, 0, "{context}: effects are open after recovery");
    let people = operator.people().await.expect("people").people;
    let keys = operator.keys().await.expect("keys").keys;
    let (known_people, known_keys) = life.facts.with(|known| (known.people.clone(), known.keys.clone()));
    for (name, entry) in known_people {
        let found = people.iter().find(|person| person.name == name);
        assert_eq!(found.map(|person| person.entry), Some(entry), "{context}: person {name}");
    }
    let (mut revoked, mut active) = (None, None);
    for (id, key) in known_keys {
        let found = keys.iter().find(|k| k.id == id).unwrap_or_else(|| panic!("{context}: key {id} is lost"));
        match key.revoked {
            Some(entry) => {
                assert_eq!((found.status.as_str(), found.entry), ("revoked", entry), "{context}: key {id}");
                revoked = Some(key);
            }
            // It was asked for and not acknowledged: it happened, or it did not.
            None if key.asked && found.status == "revoked" => {}
            None => {
                assert_eq!((found.status.as_str(), found.entry), ("active", key.entry), "{context}: key {id}");
                active = Some(key).filter(|key| !key.asked);
            }
        }
    }
    if let Some(key) = revoked {
        let refused = node.caller(Some(&key.secret)).keys().await;
        assert!(matches!(&refused, Err(CallError::Refused(p)) if p.code == "KEY_REVOKED"), "{context}: {refused:?}");
    }
    if let Some(key) = active {
        node.caller(Some(&key.secret)).keys().await.unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    let head = operator.ledger_head().await.expect("the head").note;
    life.facts.with(|known| _ = known.heads.insert(head));
}

/// What a stranger sees in the home of a node that was stopped.
pub(crate) fn on_disk(life: &Life, context: &str) {
    let home = life.place.home();
    let archive = Archive::open(&home.join("store.sqlite")).expect("there is a store");
    verifies(life, &archive, context);
    let effects = archive.read(|reader| {
        let open = open_effects(reader)?;
        assert!(open.is_empty(), "{context}: {open:?} are open");
        let entries = reader
            .entries("WHERE kind IN ('action.intended', 'action.publishing', 'action.settled') ORDER BY seq", &[])?;
        let effects = of_all_actions(&entries, context);
        let namespace: Namespace = NAMESPACE.parse().expect("a namespace");
        let find = |id: &ActionId| Ok(effect(reader, &namespace, id)?.expect("whatever was intended has a row"));
        effects.iter().map(find).collect::<Result<Vec<EffectRow>, StoreError>>()
    });
    let effects = effects.expect("the store can be read");
    life.facts.with(|known| {
        answers_are_kept(known, &archive, context);
        files_are_whole(life, known, &effects, context);
    });
    for agent in WRITERS.into_iter().chain([WATCHER]) {
        let staged = all_files(&life.files(agent).with_file_name("staging"));
        assert!(staged.is_empty(), "{context}: {staged:?} are left over");
    }
    for gone in ["run/address", "run/address.new"] {
        assert!(!home.join(gone).exists(), "{context}: {gone} is there after a stop");
    }
}

/// The ledger and the state verify, and continue every head that was kept.
fn verifies(life: &Life, archive: &Archive, context: &str) {
    let mut audit = Audit::new(life.head_key.clone(), life.head_key.name());
    let notes = life.facts.with(|known| known.heads.clone());
    let mut largest = 0;
    for note in &notes {
        let kept = head::open(note.as_bytes(), &life.head_key, life.head_key.name()).expect("the node signed it");
        largest = largest.max(kept.get().size);
        audit.anchor(&kept);
    }
    let report = archive.audit(audit, true).expect("the store can be read");
    assert!(report.is_consistent(), "{context}: {:#?}", report.findings());
    assert_eq!(report.anchored_size, largest, "{context}: the ledger continues the newest head that was kept");
}

/// Each action was intended once, published once at most, and settled once, in this order. Tells all ids.
fn of_all_actions(entries: &[EntryRow], context: &str) -> Vec<ActionId> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    entries.iter().for_each(|entry| kinds.entry(&entry.subject).or_default().push(&entry.kind));
    for (id, kinds) in &kinds {
        let once = ["action.intended", "action.settled"];
        let through = ["action.intended", "action.publishing", "action.settled"];
        assert!(kinds[..] == once || kinds[..] == through, "{context}: {id}: {kinds:?}");
    }
    kinds.keys().map(|id| id.parse().expect("the id of an action")).collect()
}

/// Every answer is still what the store says.
fn answers_are_kept(known: &Known, archive: &Archive, context: &str) {
    let namespace: Namespace = NAMESPACE.parse().expect("a namespace");
    let checked: Result<(), StoreError> = archive.read(|reader| {
        for (seq, id) in &known.decisions {
            let found = reader.entry(*seq)?.and_then(|entry| entry.decision_id);
            assert_eq!(found.as_ref(), Some(id), "{context}: entry {seq}");
        }
        for answer in known.writes.iter().filter_map(|write| write.answer.as_ref()) {
            let id: ActionId = answer.id.parse().expect("an id");
            let now = effect(reader, &namespace, &id)?.unwrap_or_else(|| panic!("{context}: {id} is lost"));
            let said = answer.effect.as_ref().expect("an allowed write has an effect");
            assert_eq!(now.status.as_str(), said.status, "{context}: {id}");
            assert_eq!(now.written.map(|(digest, _)| digest.to_string()), said.digest, "{context}: {id}");
            let entries: Vec<u64> = entries_of(reader, &id)?.iter().map(|entry| entry.seq).collect();
            assert_eq!(entries, answer.entries, "{context}: {id}");
        }
        Ok(())
    });
    checked.expect("the store can be read");
}

/// Each file is one of those that were asked for at its path, whole; and not one that a later one had replaced.
fn files_are_whole(life: &Life, known: &Known, effects: &[EffectRow], context: &str) {
    let effects: BTreeMap<String, &EffectRow> = effects.iter().map(|row| (row.arguments.to_string(), row)).collect();
    let mut at: BTreeMap<(&str, &str), Vec<_>> = BTreeMap::new();
    for write in &known.writes {
        at.entry((write.agent, &write.path)).or_default().push(write);
    }
    let mut expected = BTreeSet::new();
    for ((agent, path), writes) in &at {
        let file = life.files(agent).join(path.trim_start_matches('/'));
        let status = |digest: &String| effects.get(digest).map(|row| row.status);
        let found = file.is_file().then(|| Digest::of(&fs::read(&file).expect("a file can be read")).to_string());
        let there = found.as_ref().map(|digest| {
            let write = writes.iter().find(|write| write.digest == *digest);
            write.unwrap_or_else(|| panic!("{context}: {} is nothing that was asked for", file.display()))
        });
        if let [alone] = writes[..]
            && let Some(status) = status(&alone.digest)
            && alone.answer.as_ref().and_then(|answer| answer.effect.as_ref()).is_none_or(|e| e.status != "unknown")
        {
            // Nobody else writes there, so that recovery is never in doubt.
            let expected = if there.is_some() { Status::Succeeded } else { Status::Failed };
            assert_eq!(status, expected, "{context}: {}", file.display());
        }
        if let Some(write) = there {
            let status = status(&write.digest);
            assert!(
                matches!(status, Some(Status::Succeeded | Status::Unknown)),
                "{context}: {} is there and {status:?}",
                file.display()
            );
            expected.insert(file.clone());
        }
        for done in writes.iter().filter(|write| status(&write.digest) == Some(Status::Succeeded)) {
            let there = there.unwrap_or_else(|| panic!("{context}: {} succeeded and is not there", file.display()));
            let replaced = there.digest == done.digest || there.ended.is_none_or(|ended| done.began < ended);
            assert!(replaced, "{context}: {} is older than one that succeeded later", file.display());
        }
    }
    for agent in WRITERS.into_iter().chain([WATCHER]) {
        for file in all_files(&life.files(agent)) {
            assert!(expected.contains(&file), "{context}: nobody asked for {}", file.display());
        }
    }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    paths.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}
