//! Proofs in a file (c2sp.org/tlog-proof): that an entry stands in a ledger, for a stranger without a network.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra …                    (perhaps)
//! index 73894
//! …                          (the path, a hash on each line)
//!
//! …                          (the signed tree head)
//! ```
//!
//! [`verify_offline`] takes the file, the leaf, and the key and origin that the stranger knows already; what it gives can
//! also [check a body](VerifiedEntry::body). Whether the head is one that others saw too, it cannot say: for that the
//! head is compared with kept ones.
//!
//! Deliberately absent: witnesses' cosignatures, which are carried and not looked at.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use steward_seal::{
    Fingerprint, Sealed,
    note::{MAX_NOTE_BYTES, NoteKey},
};

use crate::{
    body::{Body, BodyError},
    hash::{Hash, leaf_hash},
    head::{self, HeadError, TreeHead},
    leaf::{Leaf, LeafError, Salt},
    proof::{MAX_PATH, PathError, verify_inclusion},
    tile::decimal,
};

/// The most bytes of a proof: a note, the longest path, and extra data.
pub const MAX_PROOF_BYTES: usize = 4 * MAX_NOTE_BYTES;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof as it stands in the file. Nothing in it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data that nobody authenticated; perhaps none.
    pub extra: Vec<u8>,
    /// The entry.
    pub index: u64,
    /// The hashes from the leaf's sibling up to the root's child.
    pub path: Vec<Hash>,
    /// The signed tree head, as it was issued.
    pub head: String,
}

/// An entry that stands under a head that the expected key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    /// Its sequence number, counted from 0.
    pub seq: u64,
    /// What stands in the tree.
    pub leaf: Leaf,
    /// The head that it stands under.
    pub head: TreeHead,
    /// The key that signed the head.
    pub signer: Fingerprint,
}

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not a proof.
    #[error("this is not a c2sp.org/tlog-proof@v1 proof: {0}")]
    Malformed(&'static str),
    /// The head in it.
    #[error("the proof's tree head: {0}")]
    Head(#[from] HeadError),
    /// The path in it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The leaf.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The body is not the one that the leaf stands for.
    #[error("body and salt do not fit the entry's leaf: one of them was changed, or belongs to another entry")]
    OtherBody,
    /// The body fits the leaf, but is not one that is understood here.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl TlogProof {
    /// The proof as a file.
    pub fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if !self.extra.is_empty() {
            text.push_str(&format!("extra {}\n", STANDARD.encode(&self.extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.path {
            text.push_str(&hash.to_base64());
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.head);
        text
    }

    /// Reads a proof; every proof has exactly one spelling. The head is not looked at yet.
    ///
    /// # Errors
    /// [`TlogProofError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        let malformed = TlogProofError::Malformed;
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(malformed("it is longer than 256 KiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let (proof, head) = text.split_once("\n\n").ok_or(malformed("it has no blank line before its tree head"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let mut extra = Vec::new();
        if let Some(encoded) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            extra = STANDARD.decode(encoded).map_err(|_| malformed("its extra data is not base 64"))?;
            if extra.is_empty() {
                return Err(malformed("its extra line is empty; leave it out"));
            }
            lines.next();
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(malformed("it has no line `index` with a decimal number"))?;
        let path: Option<Vec<Hash>> = lines.map(Hash::from_base64).collect();
        let path = path.ok_or(malformed("its path has a line that is not 32 bytes in base 64"))?;
        if path.len() > MAX_PATH {
            return Err(malformed("its path is longer than that of any tree"));
        }
        Ok(Self { extra, index, path, head: head.to_owned() })
    }
}

/// Verifies that `leaf` stands in the ledger `origin`, under a head that `key` signed, with nothing but these bytes.
///
/// # Errors
/// [`TlogProofError`].
pub fn verify_offline(proof: &[u8], leaf: &[u8], key: &NoteKey, origin: &str) -> Result<VerifiedEntry, TlogProofError> {
    let proof = TlogProof::parse(proof)?;
    let head: Sealed<TreeHead> = head::open(proof.head.as_bytes(), key, origin)?;
    let TreeHead { size, root, .. } = head.get();
    verify_inclusion(*size, proof.index, &leaf_hash(leaf), &proof.path, root)?;
    let signer = *head.signer();
    Ok(VerifiedEntry { seq: proof.index, leaf: Leaf::decode(leaf)?, head: head.into_inner(), signer })
}

impl VerifiedEntry {
    /// The body, if it is the one that the entry's leaf stands for.
    ///
    /// # Errors
    /// It is another one, or cannot be read.
    pub fn body(&self, salt: &Salt, body: &[u8]) -> Result<Body, TlogProofError> {
        if !self.leaf.is_of(salt, body) {
            return Err(TlogProofError::OtherBody);
        }
        Ok(Body::decode(body)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{TlogProof, TlogProofError, verify_offline};
    use crate::{
        body::Body,
        edge::tests::Log,
        hash::leaf_hash,
        head::{
            HeadError, TreeHead,
            tests::{ORIGIN, key, note_key},
        },
        kind,
        leaf::{Leaf, LeafError, Salt},
        proof::{PathError, prove_inclusion},
    };

    const SALT: Salt = Salt([9; 32]);

    fn body() -> Vec<u8> {
        Body::by_node("acme.internal", "acme.internal").encode().expect("encodes")
    }

    fn leaf() -> Vec<u8> {
        let time = "2026-11-20T20:14:27.123Z".parse().expect("a time");
        Leaf { time, kind: kind::LEDGER_CREATED.to_owned(), body: SALT.mac(&body()) }.encode()
    }

    /// A ledger of five leaves, ours at 2.
    fn proof() -> TlogProof {
        let mut log = Log::default();
        [b"0".as_slice(), b"1", &leaf(), b"3", b"4"].into_iter().for_each(|l| log.append(leaf_hash(l)));
        let head = TreeHead { origin: ORIGIN.to_owned(), size: 5, root: log.edge.root() }.sign(&key(1)).expect("signs");
        TlogProof { extra: Vec::new(), index: 2, path: prove_inclusion(5, 2, |t| log.served(t)).expect("served"), head }
    }

    fn verify(proof: &TlogProof, leaf: &[u8]) -> Result<super::VerifiedEntry, TlogProofError> {
        verify_offline(proof.encode().as_bytes(), leaf, &note_key(1), ORIGIN)
    }

    #[test]
    fn golden_proof() {
        // Frozen: strangers keep files like this one.
        expect_test::expect![[r#"
            c2sp.org/tlog-proof@v1
            index 2
            kGxdJIXK5yIHOkMPTQT+F2dQdZLO8iZimurbhaLskJ0=
            ywCYnZSlacCmeK4EK2Pc1GJduWRAUX83put5duok7Us=
            EeH1WCI/THG2vhzs/R8N6HFG0llId8J7KexRn5BAITw=

            acme.internal/ledger
            5
            2rNOtMXwjSy4Yk5Re7h3aWqW3M3da7ekTHb6mAQj5s8=

            — acme.internal/ledger 6P3cYOYpDaJM5ujOxTv/8hX/0n8LonBrfKh93bsnFU3bAvDU6iIkNCoxUfh49OBiz4x/tmR9EOH0TDOZbnALWOijrAo=
        "#]].assert_eq(&proof().encode());
        let entry = verify(&proof(), &leaf()).expect("verifies");
        assert_eq!((entry.seq, entry.head.size, entry.leaf.kind.as_str()), (2, 5, kind::LEDGER_CREATED));
        assert_eq!(entry.body(&SALT, &body()).expect("its body").subject, "acme.internal");
        assert_eq!(entry.body(&Salt([8; 32]), &body()), Err(TlogProofError::OtherBody));
        assert_eq!(entry.body(&SALT, b"{}"), Err(TlogProofError::OtherBody));
        let with_extra = TlogProof { extra: b"a hint".to_vec(), ..proof() };
        assert_eq!(verify(&with_extra, &leaf()), Ok(entry), "extra data decides nothing");
    }

    #[test]
    fn lies_are_refused() {
        let other = |index| verify(&TlogProof { index, ..proof() }, &leaf());
        assert_eq!(other(3), Err(PathError::Root.into()));
        assert_eq!(other(5), Err(PathError::Range.into()));
        assert_eq!(verify(&proof(), b"3"), Err(PathError::Root.into()));
        let path = proof().path[1..].to_vec();
        assert_eq!(verify(&TlogProof { path, ..proof() }, &leaf()), Err(PathError::Length.into()));
        let theirs = verify_offline(proof().encode().as_bytes(), &leaf(), &note_key(2), ORIGIN);
        assert!(matches!(theirs, Err(TlogProofError::Head(HeadError::Note(_)))));
        let elsewhere = verify_offline(proof().encode().as_bytes(), &leaf(), &note_key(1), "other");
        assert!(matches!(elsewhere, Err(TlogProofError::Head(HeadError::OtherOrigin { .. }))));
        // A leaf of the tree that is not one of ours.
        let log = Log::of(1);
        let head = TreeHead { origin: ORIGIN.to_owned(), size: 1, root: log.edge.root() }.sign(&key(1)).expect("signs");
        let foreign = TlogProof { extra: Vec::new(), index: 0, path: Vec::new(), head };
        assert_eq!(verify(&foreign, &0_u64.to_be_bytes()), Err(LeafError::Malformed.into()));
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = TlogProof { extra: b"a hint".to_vec(), ..proof() }.encode();
        for (from, to) in [
            ("@v1", "@v2"),
            ("c2sp", "\nc2sp"),
            ("extra YSBoaW50", "extra "),
            ("extra YSBoaW50", "extra YSBoaW5"),
            ("extra YSBoaW50", "Extra YSBoaW50"),
            ("extra YSBoaW50", "extra YSBoaW50\nextra YSBoaW50"),
            ("index 2", "index 02"),
            ("index 2", "index +2"),
            ("index 2", "index 2 "),
            ("index 2", "index 2\r"),
            ("index 2", "index"),
            ("index 2\n", ""),
            ("index 2", "index 18446744073709551616"),
            ("index 2\n", "index 2\nAAAA\n"),
            ("\n\n", "\n"),
        ] {
            let other = if to == "\n" { text.replace(from, to) } else { text.replacen(from, to, 1) };
            let refusal = TlogProof::parse(other.as_bytes());
            assert!(matches!(refusal, Err(TlogProofError::Malformed(_))), "{from:?} -> {to:?}: {refusal:?}");
        }
        let long = TlogProof { path: vec![leaf_hash(b""); 129], ..proof() }.encode();
        assert!(TlogProof::parse(long.as_bytes()).is_err());
        assert!(TlogProof::parse(&vec![b'a'; super::MAX_PROOF_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_proof_never_verifies(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = proof().encode().into_bytes();
            let at = at.index(bytes.len());
            let before = std::mem::replace(&mut bytes[at], byte);
            prop_assert_eq!(verify_offline(&bytes, &leaf(), &note_key(1), ORIGIN).is_ok(), before == byte);
        }

        #[test]
        fn whatever_is_read_is_written_the_same(
            proof in (prop::collection::vec(any::<u8>(), 0..9), any::<u64>(), prop::collection::vec(any::<[u8; 32]>(), 0..4), "\\PC*")
                .prop_map(|(extra, index, path, head)| TlogProof { extra, index, path: path.into_iter().map(crate::hash::Hash).collect(), head }),
            at in any::<prop::sample::Index>(),
            insert in "[ -~\n]{0,2}",
        ) {
            let mut text = proof.encode();
            prop_assert_eq!(TlogProof::parse(text.as_bytes()), Ok(proof));
            let places: Vec<usize> = text.char_indices().map(|(n, _)| n).collect();
            text.insert_str(places[at.index(places.len())], &insert);
            if let Ok(read) = TlogProof::parse(text.as_bytes()) {
                prop_assert_eq!(read.encode(), text);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(TlogProof::parse(&bytes).is_err());
        }
    }
}
