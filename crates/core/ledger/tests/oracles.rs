//! Another implementation of the same specifications must agree, both ways.

use signed_note::{Note, StandardVerifier, Verifier as _, VerifierList};
use steward_clock::Dice;
use steward_ledger::{Edge, Hash, TileId, TreeHead, head, leaf_hash, proof};
use steward_seal::{SigningKey, note::NoteKey};
use tlog_tiles::{
    Checkpoint, Error, HashReader, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record,
    prove_tree, tree_hash,
};

const ORIGIN: &str = "acme.internal/ledger";

struct Ones;

impl Dice for Ones {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(1);
    }
}

/// Our log, as its tiles.
struct Served {
    edge: Edge,
    leaves: Vec<Hash>,
    full: Vec<(TileId, Vec<u8>)>,
}

impl Served {
    fn of(size: u64) -> Self {
        let mut log = Self { edge: Edge::new(), leaves: Vec::new(), full: Vec::new() };
        for n in 0..size {
            let leaf = leaf_hash(&n.to_le_bytes());
            log.leaves.push(leaf);
            log.edge.append(leaf, &mut log.full);
        }
        log
    }

    fn tile(&self, id: TileId) -> Result<Vec<u8>, String> {
        match self.edge.partial(id.level) {
            Some((partial, bytes)) if partial == id => Ok(bytes.to_vec()),
            _ => {
                let full = self.full.iter().find(|(full, _)| *full == id);
                full.map(|(_, bytes)| bytes.clone()).ok_or_else(|| id.to_string())
            }
        }
    }
}

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        // Theirs asks by its own path, `tile/8/<L>/<N>`; ours must understand what follows the height.
        let read = |tile: &Tile| {
            let path = tile.path();
            let id: TileId = path.strip_prefix("tile/8/").expect("height 8").parse().expect("their path is ours");
            assert_eq!(format!("tile/8/{id}"), path);
            self.tile(id).map_err(|_| Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

fn ours(proof: &[tlog_tiles::Hash]) -> Vec<Hash> {
    proof.iter().map(|h| Hash(h.0)).collect()
}

#[test]
fn proofs_from_our_tiles_agree() {
    for size in [1_u64, 2, 3, 7, 255, 256, 257, 700, 3000] {
        let log = Served::of(size);
        let root = log.edge.root();
        // This reader verifies every tile that we serve against our root.
        let reader = TileHashReader::new(size, theirs(&root), &log);
        assert_eq!(tree_hash(size, &reader).expect("readable").0, root.0);
        for seq in [0, size / 3, size / 2, size - 1] {
            let leaf = log.leaves[usize::try_from(seq).expect("small")];
            let path = proof::prove_inclusion(size, seq, |t| log.tile(t)).expect("served");
            let other = prove_record(size, seq, &reader).expect("readable");
            assert_eq!(path, ours(&other), "entry {seq} of {size}");
            let path = path.iter().map(theirs).collect();
            check_record(&path, size, theirs(&root), seq, theirs(&leaf)).expect("they accept our proof");
        }
        for old in [1, size.div_ceil(3), size.div_ceil(2), size] {
            let old_root = Served::of(old).edge.root();
            let path = proof::prove_consistency(old, size, |t| log.tile(t)).expect("served");
            let other = prove_tree(size, old, &reader).expect("readable");
            assert_eq!(path, ours(&other), "{old} of {size}");
            proof::verify_consistency(old, size, &old_root, &root, &ours(&other)).expect("we accept their proof");
            let path = path.iter().map(theirs).collect();
            check_tree(&path, size, theirs(&root), old, theirs(&old_root)).expect("they accept our proof");
        }
    }
}

#[test]
fn stored_hashes_agree() {
    // Their own storage, which knows nothing of tiles, gives our roots.
    struct Hashes(Vec<tlog_tiles::Hash>);

    impl HashReader for Hashes {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, Error> {
            Ok(indexes.iter().map(|n| self.0[usize::try_from(*n).expect("small")]).collect())
        }
    }

    let (mut hashes, mut edge) = (Hashes(Vec::new()), Edge::new());
    for n in 0..600_u64 {
        let more = tlog_tiles::stored_hashes(n, &n.to_le_bytes(), &hashes).expect("readable");
        hashes.0.extend(more);
        edge.append(leaf_hash(&n.to_le_bytes()), &mut Vec::new());
        assert_eq!(tree_hash(n + 1, &hashes).expect("readable").0, edge.root().0, "{} entries", n + 1);
    }
}

#[test]
fn tree_heads_agree() {
    let key = SigningKey::generate(&Ones);
    let note_key = NoteKey::new(ORIGIN, key.verifying_key()).expect("a name");
    let ours = TreeHead { origin: ORIGIN.to_owned(), size: 20_852_163, root: leaf_hash(b"") };
    let signed = ours.sign(&key).expect("signs");

    let verifier = StandardVerifier::new(&note_key.to_string()).expect("our verifier key is theirs");
    assert_eq!(verifier.key_id().to_be_bytes(), note_key.id());
    let note = Note::from_bytes(signed.as_bytes()).expect("a note");
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("our signature verifies");
    let theirs = Checkpoint::from_bytes(note.text()).expect("our head is a checkpoint");
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (ORIGIN, ours.size, ours.root.0));

    let theirs = Checkpoint::new(ORIGIN, 7, tlog_tiles::Hash(ours.root.0), "").expect("valid").to_bytes();
    let text = String::from_utf8(theirs).expect("text");
    let signed = steward_seal::note::sign(&text, ORIGIN, &key).expect("signs");
    let opened = head::open(signed.as_bytes(), &note_key, ORIGIN).expect("their checkpoint is a head");
    assert_eq!(opened.into_inner(), TreeHead { size: 7, ..ours });
}

#[test]
fn paths_agree() {
    for index in [0, 1, 999, 1000, 1_234_067, 999_999_999, u64::MAX >> 8] {
        for width in [1_u16, 17, 255, 256] {
            for level in [0_u8, 1, 7, 63] {
                let id = TileId { level, index, width };
                let path = format!("tile/8/{id}");
                let theirs = Tile::from_path(&path).expect("our path is theirs");
                assert_eq!((theirs.level(), theirs.level_index(), theirs.width()), (level, index, u32::from(width)));
                assert_eq!(theirs.path(), path);
            }
        }
    }
}
