//! Tree heads: what the node signs (c2sp.org/tlog-checkpoint, which calls them checkpoints).
//!
//! [`open`] is the one door for them. The expected key and origin are parameters; a head of another ledger, or signed by
//! another key, does not come in. Signatures of others on the same note (witnesses) are passed over.
//!
//! Deliberately absent: extension lines. Nobody can audit them, so a head that has them is refused.

use std::fmt;

use steward_seal::{
    Sealed, SigningKey,
    note::{self, NoteError, NoteKey},
};

use crate::{
    hash::{EMPTY_ROOT, Hash},
    tile::decimal,
};

/// A state of a ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeHead {
    /// Which ledger: a text that no other ledger has, also the name that its key signs under.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// Why a tree head was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not a signed note, or not signed by the expected key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A note of the expected key, but not a tree head.
    #[error("this is a signed note, but not a tree head: {0}")]
    Malformed(&'static str),
    /// The head of another ledger.
    #[error("this is a head of the ledger `{found}`, and one of `{expected}` is needed")]
    OtherOrigin {
        /// The ledger that it is a head of.
        found: String,
        /// The ledger that the door is for.
        expected: String,
    },
}

/// The door for tree heads: the head, if `key` signed it and it is one of `origin`.
///
/// # Errors
/// [`HeadError`].
pub fn open(bytes: &[u8], key: &NoteKey, origin: &str) -> Result<Sealed<TreeHead>, HeadError> {
    note::open(bytes, key)?.map(|text| {
        let head = TreeHead::parse(&text)?;
        if head.origin == origin {
            Ok(head)
        } else {
            Err(HeadError::OtherOrigin { found: steward_naming::visible(&head.origin), expected: origin.to_owned() })
        }
    })
}

impl TreeHead {
    /// Signs the head, under the name of its origin.
    ///
    /// # Errors
    /// The origin cannot be the name of a key: it is empty, or holds spaces or a `+`.
    pub fn sign(&self, key: &SigningKey) -> Result<String, NoteError> {
        note::sign(&self.to_string(), &self.origin, key)
    }

    /// Reads the text of a head. Signed heads come in through [`open`].
    fn parse(text: &str) -> Result<Self, HeadError> {
        let malformed = HeadError::Malformed;
        let text = text.strip_suffix('\n').ok_or(malformed("it does not end in a newline"))?;
        let lines: Vec<&str> = text.splitn(4, '\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(malformed("it has not exactly three lines: origin, size and root"));
        };
        if origin.is_empty() {
            return Err(malformed("its origin is empty"));
        }
        let size = decimal(size).ok_or(malformed("its size is not a decimal number of 64 bits"))?;
        let root = Hash::from_base64(root).ok_or(malformed("its root is not 32 bytes in base 64"))?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(malformed("it is empty, and its root is not that of the empty tree"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl fmt::Display for TreeHead {
    /// The text that is signed: origin, size and root, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use steward_clock::Dice;
    use steward_seal::{
        SigningKey,
        note::{self, NoteError, NoteKey},
    };

    use super::{HeadError, TreeHead, open};
    use crate::hash::{EMPTY_ROOT, leaf_hash};

    pub(crate) struct Fixed(pub(crate) u8);

    impl Dice for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    pub(crate) const ORIGIN: &str = "acme.internal/ledger";

    pub(crate) fn key(seed: u8) -> SigningKey {
        SigningKey::generate(&Fixed(seed))
    }

    pub(crate) fn note_key(seed: u8) -> NoteKey {
        NoteKey::new(ORIGIN, key(seed).verifying_key()).expect("a good name")
    }

    fn head() -> TreeHead {
        TreeHead { origin: ORIGIN.to_owned(), size: 1, root: leaf_hash(b"") }
    }

    #[test]
    fn golden_note() {
        let note = head().sign(&key(1)).expect("signs");
        // Frozen: this is what witnesses and strangers keep.
        expect_test::expect![[r#"
            acme.internal/ledger
            1
            bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=

            — acme.internal/ledger 6P3cYP8rw65P4kiY5i3G0x+kAGZ9D/Riy/Z5W9HGrt/zlFGCsDGuXW2rlBOvYEyf/LUk+hiPZ4LOu2HmMYI+kDS2Wgo=
        "#]].assert_eq(&note);
        let opened = open(note.as_bytes(), &note_key(1), ORIGIN).expect("ours");
        assert_eq!((opened.get(), *opened.signer()), (&head(), key(1).verifying_key().fingerprint()));
    }

    #[test]
    fn the_specifications_example() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let head = TreeHead::parse(text).expect("a head");
        assert_eq!((head.size, head.to_string().as_str()), (20_852_163, text));
    }

    #[test]
    fn heads_of_others_stay_outside() {
        let note = head().sign(&key(1)).expect("signs");
        let other = open(note.as_bytes(), &note_key(2), ORIGIN);
        assert_eq!(other, Err(HeadError::Note(NoteError::NotSigned(ORIGIN.to_owned()))));
        let other = TreeHead { origin: "other".to_owned(), ..head() }.to_string();
        let note = note::sign(&other, ORIGIN, &key(1)).expect("signs");
        assert!(matches!(open(note.as_bytes(), &note_key(1), ORIGIN), Err(HeadError::OtherOrigin { .. })));
        for origin in ["", "a b", "a+b", "a\nb"] {
            assert!(TreeHead { origin: origin.to_owned(), ..head() }.sign(&key(1)).is_err(), "{origin:?}");
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        let root = EMPTY_ROOT.to_base64();
        for text in [
            "\n".to_owned(),
            format!("{ORIGIN}\n0\n"),
            format!("\n0\n{root}\n"),
            format!("{ORIGIN}\n00\n{root}\n"),
            format!("{ORIGIN}\n01\n{root}\n"),
            format!("{ORIGIN}\n+1\n{root}\n"),
            format!("{ORIGIN}\n-1\n{root}\n"),
            format!("{ORIGIN}\n\n{root}\n"),
            format!("{ORIGIN}\n18446744073709551616\n{root}\n"),
            format!("{ORIGIN}\n1\n{}\n", &root[..43]),
            format!("{ORIGIN}\n1\n{}\n", root.replace("U=", "V=")),
            format!("{ORIGIN}\n1\n{root}\nextension\n"),
            format!("{ORIGIN}\n1\n{root}\n\n"),
            format!("{ORIGIN}\n1\n {root}\n"),
            format!("{ORIGIN}\n0\n{}\n", leaf_hash(b"").to_base64()),
        ] {
            let note = note::sign(&text, ORIGIN, &key(1)).expect("any text can be signed");
            let refusal = open(note.as_bytes(), &note_key(1), ORIGIN);
            assert!(matches!(refusal, Err(HeadError::Malformed(_))), "{text:?}: {refusal:?}");
        }
    }

    proptest! {
        #[test]
        fn every_head_survives(size in 1..=u64::MAX, root in any::<[u8; 32]>()) {
            let head = TreeHead { size, root: crate::hash::Hash(root), ..head() };
            prop_assert_eq!(TreeHead::parse(&head.to_string()), Ok(head));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "[a-z]{0,3}\n[0-9]{0,3}\n[A-Za-z0-9+/]{43}=\n|\\PC{0,9}\n[0-9]\n\\PC*") {
            if let Ok(head) = TreeHead::parse(&text) {
                prop_assert_eq!(head.to_string(), text);
            }
        }

        #[test]
        fn a_changed_note_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let note = head().sign(&key(1)).expect("signs");
            let mut bytes = note.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert_eq!(open(&bytes, &note_key(1), ORIGIN).is_ok(), bytes == note.as_bytes());
        }
    }
}
