//! Sealed bytes: AES-256-GCM, with everything beside the ciphertext bound to it.
//!
//! ```text
//! "stwk" | 1 | what | parameters of what | nonce (12) | ciphertext | tag (16)
//! ```
//!
//! `what` says what is sealed, and by what. What stands before the nonce is authenticated, and so is what the bytes are said to be about:
//! namespace, name and version, each with its length before it. So bytes that were moved to another name open nowhere.
//!
//! Deliberately absent: keys (key.rs has them), and where sealed bytes are kept.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use steward_clock::Dice;
use zeroize::Zeroizing;

/// What sealed bytes begin with.
const MAGIC: &[u8; 4] = b"stwk";

/// The version of the format.
const FORMAT: u8 = 1;

/// The bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// The bytes of a tag.
const TAG_BYTES: usize = 16;

/// What is sealed, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A secret, by the data key.
    Secret = 1,
    /// The data key, by a key that lies in a file.
    DataByFile = 2,
    /// The data key, by a key that a passphrase gives; its cost and salt stand before the nonce.
    DataByPassphrase = 3,
}

/// Why sealed bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too few.
    #[error("is cut off")]
    CutOff,
    /// Not sealed by us.
    #[error("is nothing that this keystore sealed")]
    Foreign,
    /// Of a later version.
    #[error("was sealed by a later version of this program")]
    Later,
    /// Something else than what is wanted.
    #[error("holds something else than it should")]
    Other,
    /// The tag is wrong.
    #[error("does not open: it was changed, or is of another name, version or node, or was sealed by another key")]
    Wrong,
}

/// A key that seals and opens.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the algorithm's length")))
    }

    /// Seals. The nonce is chance: of 96 bits, for far fewer than 2^32 sealings under one key.
    pub(crate) fn seal(
        &self,
        what: What,
        parameters: &[u8],
        about: &[&[u8]],
        plain: &[u8],
        dice: &dyn Dice,
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        dice.fill(&mut nonce);
        let mut sealed = head(what, parameters);
        let bound = bound(&sealed, about);
        // With room for its tag, so that nothing of it is left where it stood before.
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + TAG_BYTES));
        text.extend_from_slice(plain);
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&bound), &mut *text)
            .expect("a secret is far shorter than what can be sealed");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        sealed
    }

    /// Opens, if all of it is as it was sealed.
    pub(crate) fn open(
        &self,
        what: What,
        parameters: usize,
        about: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, rest) = parts(what, parameters, sealed)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::CutOff)?;
        if text.len() < TAG_BYTES {
            return Err(SealError::CutOff);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::CutOff)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length =
            self.0.open_in_place(nonce, Aad::from(bound(head, about)), &mut text).map_err(|_| SealError::Wrong)?.len();
        text.truncate(length);
        Ok(text)
    }
}

fn head(what: What, parameters: &[u8]) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend([FORMAT, what as u8]);
    head.extend_from_slice(parameters);
    head
}

/// What is authenticated beside the ciphertext.
fn bound(head: &[u8], about: &[&[u8]]) -> Vec<u8> {
    let mut bound = head.to_vec();
    for part in about {
        let length = u32::try_from(part.len()).expect("names are short");
        bound.extend(length.to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

/// What stands before the nonce, and the rest.
fn parts(what: What, parameters: usize, sealed: &[u8]) -> Result<(&[u8], &[u8]), SealError> {
    let (magic, rest) = sealed.split_at_checked(MAGIC.len()).ok_or(SealError::CutOff)?;
    if magic != MAGIC {
        return Err(SealError::Foreign);
    }
    match rest {
        [FORMAT, found, ..] if *found == what as u8 => {}
        [FORMAT, _, ..] => return Err(SealError::Other),
        [_, _, ..] => return Err(SealError::Later),
        _ => return Err(SealError::CutOff),
    }
    sealed.split_at_checked(MAGIC.len() + 2 + parameters).ok_or(SealError::CutOff)
}

/// What is sealed there, if it can be told.
pub(crate) fn what(sealed: &[u8]) -> Option<What> {
    [What::Secret, What::DataByFile, What::DataByPassphrase].into_iter().find(|what| parts(*what, 0, sealed).is_ok())
}

/// The parameters that stand before the nonce.
pub(crate) fn parameters(what: What, length: usize, sealed: &[u8]) -> Result<&[u8], SealError> {
    let (head, _) = parts(what, length, sealed)?;
    Ok(&head[head.len() - length..])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Cipher, SealError, What};
    use crate::tests::Fixed;

    const ABOUT: [&[u8]; 2] = [b"acme.internal", b"wiki"];

    #[test]
    fn golden() {
        let sealed = Cipher::new(&[7; 32]).seal(What::Secret, &[], &ABOUT, b"sk-123456", &Fixed(9));
        // "stwk", format 1, a secret, twelve nines; what follows is what Python's `cryptography` makes of it, too.
        expect!["7374776b010109090909090909090909090954eea9a58cc3f55496d4b6cf87fed6a2df65d50c0849914450"]
            .assert_eq(&hex::encode(sealed));
    }

    #[test]
    fn each_bit_and_each_length_counts() {
        let cipher = Cipher::new(&[7; 32]);
        let sealed = cipher.seal(What::Secret, &[1, 2], &ABOUT, b"sk-123456", &Fixed(9));
        let open = |sealed: &[u8]| cipher.open(What::Secret, 2, &ABOUT, sealed);
        assert_eq!(open(&sealed).expect("as it was sealed").as_slice(), b"sk-123456");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(open(&changed).is_err(), "byte {at}, bit {bit}");
            }
            assert!(open(&sealed[..at]).is_err(), "{at} bytes");
        }
        assert_eq!(open(&[&sealed[..], &[0]].concat()), Err(SealError::Wrong));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cipher = Cipher::new(&[7; 32]);
        let sealed = cipher.seal(What::Secret, &[], &ABOUT, b"sk-123456", &Fixed(9));
        let with = |at: usize, byte: u8| {
            let mut changed = sealed.clone();
            changed[at] = byte;
            cipher.open(What::Secret, 0, &ABOUT, &changed).expect_err("it was changed")
        };
        assert_eq!(with(0, b'x'), SealError::Foreign);
        assert_eq!(with(4, 2), SealError::Later);
        assert_eq!(with(5, 2), SealError::Other);
        assert_eq!(with(30, 0), SealError::Wrong);
        for n in [0, 3, 5, 17, 33] {
            assert_eq!(cipher.open(What::Secret, 0, &ABOUT, &sealed[..n]), Err(SealError::CutOff), "{n} bytes");
        }
        // Moved to another name; two names that would be one if their lengths did not count; another key.
        for about in [&[&b"acme.internal"[..], b"wike"][..], &[b"acme.interna", b"lwiki"], &[b"acme.internal"]] {
            assert_eq!(cipher.open(What::Secret, 0, about, &sealed), Err(SealError::Wrong));
        }
        assert_eq!(Cipher::new(&[8; 32]).open(What::Secret, 0, &ABOUT, &sealed), Err(SealError::Wrong));
    }
}
