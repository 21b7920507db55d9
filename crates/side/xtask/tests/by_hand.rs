//! docs/verify-by-hand.sh, which uses nothing of ours, accepts what we prove and refuses what was changed.
//!
//! Needs `jq` and `openssl`; `./test` installs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use steward_clock::Dice;
use steward_ledger::{
    Body, Edge, Hash, Leaf, Salt, TILE_WIDTH, TileId, TreeHead, kind, leaf_hash, proof::prove_inclusion,
    tlog_proof::TlogProof,
};
use steward_seal::{SigningKey, note::NoteKey};

const ORIGIN: &str = "acme.internal/ledger";

struct Fixed(u8);

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// A ledger of `size` entries, no more than a tile has: what `ledger prove` says of entry `seq`, and the verifier key.
fn proved(size: u64, seq: u64) -> (Value, String) {
    let key = SigningKey::generate(&Fixed(1));
    let note_key = NoteKey::new(ORIGIN, key.verifying_key()).expect("a name");
    let mut edge = Edge::new();
    let mut entries = Vec::new();
    for n in 0..size {
        let body = Body::by_node("acme.internal", &format!("entry {n}, ä \" \\ \u{0}")).encode().expect("no floats");
        let salt = Salt([u8::try_from(n % 251).expect("small"); 32]);
        let time = "2026-11-20T20:14:27.123Z".parse().expect("a time");
        let leaf = Leaf { time, kind: kind::NODE_STARTED.to_owned(), body: salt.mac(&body) }.encode();
        edge.append(leaf_hash(&leaf), &mut Vec::new());
        entries.push((leaf, salt, body));
    }
    assert!(size < u64::from(TILE_WIDTH), "one tile is all there is");
    let hashes: Vec<u8> = entries.iter().flat_map(|(leaf, ..)| leaf_hash(leaf).0).collect();
    let tile = |_: TileId| Ok::<_, std::convert::Infallible>(hashes.clone());
    let path: Vec<Hash> = prove_inclusion(size, seq, tile).expect("it is in the tree");
    let head = TreeHead { origin: ORIGIN.to_owned(), size, root: edge.root() }.sign(&key).expect("a name");
    let (leaf, salt, body) = &entries[usize::try_from(seq).expect("small")];
    let entry = json!({
        "seq": seq,
        "leaf": String::from_utf8_lossy(leaf),
        "salt": salt.0.iter().map(|b| format!("{b:02x}")).collect::<String>(),
        "body": String::from_utf8_lossy(body),
        "proof": TlogProof { extra: Vec::new(), index: seq, path, head }.encode(),
        "vkey": note_key.to_string(),
    });
    (entry, note_key.to_string())
}

/// Runs the script: whether it accepted, and what it said.
fn by_hand(folder: &Path, entry: &Value, vkey: &str) -> (bool, String) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../docs/verify-by-hand.sh");
    let file = folder.join("entry.json");
    std::fs::write(&file, entry.to_string()).expect("written");
    let done = Command::new("bash").arg(script).arg(file).arg(vkey).output().expect("bash is there");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_stranger_accepts_every_entry_of_small_trees() {
    let folder = tempfile::tempdir().expect("a folder");
    for (size, seq) in [(1, 0), (2, 1), (3, 2), (5, 4), (6, 4), (7, 0), (7, 3), (8, 7), (200, 131)] {
        let (entry, vkey) = proved(size, seq);
        let (accepted, said) = by_hand(folder.path(), &entry, &vkey);
        assert!(accepted, "entry {seq} of {size}: {said}");
        assert!(said.contains(&format!("entry {seq} stands under the root of {size} entries")), "{said}");
        assert!(said.contains("the body is the one that the leaf stands for"), "{said}");
    }
}

#[test]
fn a_stranger_refuses_whatever_was_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (entry, vkey) = proved(7, 3);
    let other_key = NoteKey::new(ORIGIN, SigningKey::generate(&Fixed(2)).verifying_key()).expect("a name").to_string();
    for (field, from, to, why) in [
        ("body", "entry 3", "entry 4", "the body is not the one"),
        ("salt", "03", "04", "the body is not the one"),
        ("leaf", "node.started", "node.stopped", "the path does not lead"),
        ("proof", "index 3", "index 2", "the path does not lead"),
        ("proof", "\n7\n", "\n8\n", "the signature of the head is wrong"),
        ("proof", "\n7\n", "\n70\n", "the path is too short"),
        ("proof", "internal/ledger\n", "external/ledger\n", "the head is of the ledger"),
        ("proof", "tlog-proof@v1", "tlog-proof@v2", "not a tlog-proof"),
    ] {
        let mut changed = entry.clone();
        let text = entry[field].as_str().expect("text");
        assert!(text.contains(from), "{field} has no `{from}`: {text}");
        changed[field] = text.replacen(from, to, 1).into();
        let (accepted, said) = by_hand(folder.path(), &changed, &vkey);
        assert!(!accepted && said.contains(why), "{field} with `{to}`: {said}");
    }
    let (accepted, said) = by_hand(folder.path(), &entry, &other_key);
    assert!(!accepted && said.contains("signed by another key"), "{said}");
}
