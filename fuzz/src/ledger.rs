//! Parsers of `ledger`.

use serde_json::Value;
use steward_ledger::{
    Body, Hash, Leaf, TileId, TreeHead, decode_bundle, encode_bundle, entries_path as write_entries_path, head,
    leaf_hash, parse_entries_path, tlog_proof::TlogProof,
};
use steward_seal::{
    json::{self, Limits},
    note::NoteKey,
};

use crate::{ground::key, is_printable, one_spelling};

const PRIVATE_KEY: &[u8] = b"$serde_json::private::";

const ORIGIN: &str = "steward.example/log";

pub(crate) fn leaf(bytes: &[u8]) -> bool {
    match Leaf::decode(bytes) {
        Ok(leaf) => {
            assert_eq!(leaf.encode(), bytes, "one leaf, one spelling");
            is_jcs(bytes);
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

pub(crate) fn body(bytes: &[u8]) -> bool {
    match Body::decode(bytes) {
        Ok(body) => {
            assert_eq!(body.encode().as_deref(), Ok(bytes), "one body, one spelling");
            is_jcs(bytes);
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

/// What the ledger writes by itself is what RFC 8785 says.
fn is_jcs(bytes: &[u8]) {
    // The strict reader refuses these keys at the doors, for what serde_json would make of them; the ledger meets none.
    if bytes.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY) {
        return;
    }
    let value: Value = json::read(bytes, Limits::BODY).expect("it is strict JSON");
    assert_eq!(json::canonical(&value).expect("it has a form"), bytes);
}

pub(crate) fn tile_path(bytes: &[u8]) -> bool {
    one_spelling(bytes, str::parse::<TileId>, |id| {
        assert!((1..=256).contains(&id.width) && id.level <= 63);
        id.to_string()
    })
}

pub(crate) fn entries_path(bytes: &[u8]) -> bool {
    one_spelling(bytes, parse_entries_path, |(index, width)| write_entries_path(*index, *width))
}

pub(crate) fn bundle(bytes: &[u8]) -> bool {
    match decode_bundle(bytes) {
        Ok(leaves) => {
            assert_eq!(encode_bundle(leaves.iter().copied()).as_deref(), Ok(bytes), "one bundle, one spelling");
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

/// The text of a head, signed here, so that the fuzzer needs no signature to get behind the door.
pub(crate) fn tree_head(bytes: &[u8]) -> bool {
    let (key, Ok(text)) = (key(), std::str::from_utf8(bytes)) else { return false };
    let signer = NoteKey::new(ORIGIN, key.verifying_key()).expect("a good name");
    let _ = head::open(bytes, &signer, ORIGIN).map_err(|refused| is_printable(&refused));
    let Ok(signed) = steward_seal::note::sign(text, ORIGIN, &key) else { return false };
    match head::open(signed.as_bytes(), &signer, ORIGIN) {
        Ok(sealed) => {
            let head: &TreeHead = sealed.get();
            assert_eq!(head.to_string(), text, "one head, one spelling");
            assert_eq!(head.sign(&key).as_deref(), Ok(signed.as_str()));
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

pub(crate) fn tlog_proof(bytes: &[u8]) -> bool {
    match TlogProof::parse(bytes) {
        Ok(proof) => {
            assert_eq!(proof.encode().as_bytes(), bytes, "one proof, one spelling");
            // Whatever else is in it, it proves nothing without a signature.
            let signer = NoteKey::new(ORIGIN, key().verifying_key()).expect("a good name");
            let leaf = b"a leaf that no ledger holds";
            assert!(steward_ledger::tlog_proof::verify_offline(bytes, leaf, &signer, ORIGIN).is_err());
            let _: Hash = leaf_hash(leaf);
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}
