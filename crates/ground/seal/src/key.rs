//! Keys that carry their algorithm. Ed25519 (RFC 8032), verified strictly.

use std::{fmt, str::FromStr};

use ed25519_dalek::{
    Signer as _,
    pkcs8::{
        DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
        spki::der::pem::LineEnding,
    },
};
use serde::{Deserialize, Serialize};
use steward_clock::Dice;
use zeroize::{Zeroize as _, Zeroizing};

use crate::digest::Digest;

/// Why a key or a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a key of a kind that is known here.
    #[error("this is not an Ed25519 key as {0}")]
    Malformed(&'static str),
    /// A public key of small order: anyone can make signatures that verify with it.
    #[error("this key is weak (of small order) and proves nothing; make a new one")]
    Weak,
    /// The signature does not verify.
    #[error("the signature does not verify with key {0}")]
    Signature(Fingerprint),
}

/// The SHA-256 of a key's SPKI in DER: `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Digest);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Fingerprint {
    type Err = crate::digest::MalformedDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A private key. It never appears in Debug output and is wiped when dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new Ed25519 key.
    pub fn generate(dice: &dyn Dice) -> Self {
        let mut seed = [0; 32];
        dice.fill(&mut seed);
        let key = Self(ed25519_dalek::SigningKey::from_bytes(&seed));
        seed.zeroize();
        key
    }

    /// Reads PKCS#8 in PEM (RFC 8410).
    ///
    /// # Errors
    /// The text is not such a key.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| KeyError::Malformed("PKCS#8 in PEM"))
    }

    /// The key as PKCS#8 in PEM (RFC 8410), for a file that only its owner can read.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        // Without the public key, which RFC 5958 allows to be added: OpenSSL 3.0 and others do not read that form.
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key always encodes")
    }

    /// The key that verifies what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// A public key that passed enrolment: canonical, and not of small order.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Enrols a raw Ed25519 public key.
    ///
    /// # Errors
    /// The encoding is not canonical, is not a point, or is a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed("a canonical point"))?;
        // A decompressed point re-encodes canonically: other bytes mean that these were a second spelling.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::Malformed("a canonical point"));
        }
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Reads an SPKI in PEM (RFC 8410), and enrols it.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_bytes`].
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem)
            .map_err(|_| KeyError::Malformed("a public key in PEM"))?;
        Self::from_bytes(key.as_bytes())
    }

    /// The key as SPKI in PEM (RFC 8410).
    pub fn to_spki_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("an Ed25519 key always encodes")
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        let spki = self.0.to_public_key_der().expect("an Ed25519 key always encodes");
        Fingerprint(Digest::of(spki.as_bytes()))
    }

    /// Verifies `signature` over `message`, strictly: canonical encodings, no small-order key or R, no cofactor.
    ///
    /// # Errors
    /// The signature does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let refused = || KeyError::Signature(self.fingerprint());
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| refused())?;
        self.0.verify_strict(message, &signature).map_err(|_| refused())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.fingerprint())
    }
}
