//! Signed notes (c2sp.org/signed-note): a text, a blank line, and one line per signature.
//!
//! Tree heads travel in them. A verifier key is written `name+hash+base64`, as `ledger vkey` prints it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    key::{KeyError, SigningKey, VerifyingKey},
    sealed::Sealed,
};

/// The algorithm byte of Ed25519 in a key's id and encoding.
const ALGORITHM_ED25519: u8 = 0x01;

/// The longest note that is read, in bytes.
pub const MAX_NOTE_BYTES: usize = 64 << 10;

/// The most signature lines that are looked at in one note.
pub const MAX_SIGNATURES: usize = 100;

const SIGNATURE_LINE: &str = "\u{2014} ";

/// Why a note or a verifier key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("this is not a signed note: {0}")]
    Malformed(&'static str),
    /// Not a verifier key.
    #[error("this is not a verifier key: {0}; one looks like `name+1a2b3c4d+AQ…`")]
    MalformedKey(&'static str),
    /// The key's name cannot be written in a note.
    #[error("a key's name is not empty and has no spaces, no control characters and no `+`")]
    Name,
    /// The expected key did not sign it.
    #[error("no signature by `{0}` is on this note")]
    NotSigned(String),
    /// The expected key's signature is there and is wrong.
    #[error("the signature by `{name}` is wrong: the note was changed, or another key of that name signed it")]
    Signature {
        /// The key's name.
        name: String,
    },
}

/// A public key with the name that it signs notes under.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key: VerifyingKey,
}

impl NoteKey {
    /// The verifier of notes that `name` signs with `key`.
    ///
    /// # Errors
    /// The name cannot be written in a note.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::Name);
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// The name that stands in the signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The key's id: the first four bytes of SHA-256(name, newline, algorithm, key).
    pub fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ALGORITHM_ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ALGORITHM_ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::MalformedKey;
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it needs three parts joined by `+`"));
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed("the third part is not base 64"))?;
        let [ALGORITHM_ED25519, key @ ..] = bytes.as_slice() else {
            return Err(malformed("only Ed25519 (algorithm 1) is known here"));
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| malformed("the key is not canonical or is weak"))?;
        let note_key = Self::new(name, key)?;
        if hex::encode(note_key.id()) == id { Ok(note_key) } else { Err(malformed("its hash does not fit its key")) }
    }
}

/// Signs `text` as `name`.
///
/// # Errors
/// The text is empty or does not end in a newline, or the name cannot be written.
pub fn sign(text: &str, name: &str, key: &SigningKey) -> Result<String, NoteError> {
    if !is_note_text(text) {
        return Err(NoteError::Malformed("its text must end in a newline and hold no control characters"));
    }
    let note_key = NoteKey::new(name, key.verifying_key())?;
    let mut bytes = note_key.id().to_vec();
    bytes.extend_from_slice(&key.sign(text.as_bytes()));
    Ok(format!("{text}\n{SIGNATURE_LINE}{name} {}\n", STANDARD.encode(bytes)))
}

/// The door for notes: the text, if `signer` signed it. Signatures by others are passed over.
///
/// # Errors
/// [`NoteError`].
pub fn open(bytes: &[u8], signer: &NoteKey) -> Result<Sealed<String>, NoteError> {
    let malformed = NoteError::Malformed;
    if bytes.len() > MAX_NOTE_BYTES {
        return Err(malformed("it is longer than 64 KiB"));
    }
    let note = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    // The text may hold blank lines; signatures may not, so the last one separates them.
    let split = note.rfind("\n\n").ok_or(malformed("it has no blank line before its signatures"))?;
    let (text, lines) = (&note[..=split], &note[split + 2..]);
    if !is_note_text(text) {
        return Err(malformed("its text holds control characters"));
    }
    let lines = lines.strip_suffix('\n').ok_or(malformed("it does not end in a newline"))?;
    let mut verified = false;
    for (n, line) in lines.split('\n').enumerate() {
        if n == MAX_SIGNATURES {
            return Err(malformed("it has more than 100 signatures"));
        }
        let signature = line.strip_prefix(SIGNATURE_LINE).and_then(|rest| rest.split_once(' '));
        let Some((name, encoded)) = signature else { return Err(malformed("a signature line is malformed")) };
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed("a signature is not base 64"))?;
        if !is_key_name(name) || bytes.len() < 5 {
            return Err(malformed("a signature line is malformed"));
        }
        if name == signer.name() && bytes[..4] == signer.id() && !verified {
            let wrong = |_: KeyError| NoteError::Signature { name: name.to_owned() };
            signer.key().verify(text.as_bytes(), &bytes[4..]).map_err(wrong)?;
            verified = true;
        }
    }
    if verified {
        Ok(Sealed::new(text.to_owned(), signer.key().fingerprint()))
    } else {
        Err(NoteError::NotSigned(signer.name().to_owned()))
    }
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c < ' ' || c == '+')
}

fn is_note_text(text: &str) -> bool {
    text.ends_with('\n') && !text.contains(|c: char| c < ' ' && c != '\n')
}
