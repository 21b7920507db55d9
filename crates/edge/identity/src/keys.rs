//! An issuer's keys (RFC 7517, RFC 8037), and whether one of them signed a token.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use steward_seal::{
    VerifyingKey,
    json::{self, Limits},
};

use crate::{
    issuer::Algorithm,
    token::{Token, TokenError},
};

/// The most bytes of a set of keys.
pub const MAX_KEY_SET_BYTES: usize = 256 << 10;

/// The most keys of a set.
pub const MAX_KEYS: usize = 64;

/// The deepest that a set nests.
const MAX_DEPTH: usize = 8;

/// The bytes of an RSA modulus: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The most bytes of an RSA exponent: 65537 has three, and a large one only costs time.
const MAX_EXPONENT_BYTES: usize = 4;

/// Why a document is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeySetError(String);

/// The keys of an issuer that this node can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// One of them. It decides by itself with which algorithms it is used: a token does not choose.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    kid: Option<String>,
    /// If the issuer says that it is for one only.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Box<VerifyingKey>),
    /// An uncompressed point.
    P256(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl Material {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
        }
    }
}

impl KeySet {
    /// Reads a set of keys. Keys of kinds that this node does not use, or for other uses than signatures, are left out.
    ///
    /// # Errors
    /// It is no set, is too large, tells a secret, or has two keys of one name.
    pub fn read(bytes: &[u8]) -> Result<Self, KeySetError> {
        let wrong = |why: &str| KeySetError(why.to_owned());
        let set: Value = json::value(bytes, Limits { bytes: MAX_KEY_SET_BYTES, depth: MAX_DEPTH })
            .map_err(|e| KeySetError(e.to_string()))?;
        let all = set.get("keys").and_then(Value::as_array).ok_or_else(|| wrong("it has no list `keys`"))?;
        if all.len() > MAX_KEYS {
            return Err(KeySetError(format!("it has more than {MAX_KEYS} keys")));
        }
        let mut keys: Vec<Key> = Vec::new();
        for one in all {
            let one = one.as_object().ok_or_else(|| wrong("a key is not an object"))?;
            // Whoever publishes that has lost it: nothing that the key signs means anything.
            if one.contains_key("d") {
                return Err(wrong(
                    "it has a private key, so that anybody can sign with it; its issuer must replace it",
                ));
            }
            let Some(key) = key(one) else { continue };
            let is_same = |other: &&Key| other.kid == key.kid && key.kid.is_some();
            if keys.iter().any(|other| is_same(&other)) {
                return Err(wrong("two of its keys have one `kid`"));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a key that a token with this name could be signed with.
    pub fn has(&self, kid: Option<&str>) -> bool {
        kid.map_or(!self.0.is_empty(), |kid| self.0.iter().any(|key| key.kid.as_deref() == Some(kid)))
    }

    /// Whether one of these signed it: the one that the token names, or the only one for its algorithm.
    ///
    /// # Errors
    /// There is no such key, or it did not.
    pub(crate) fn verify(&self, token: &Token) -> Result<(), TokenError> {
        self.signed(token.algorithm, token.kid.as_deref(), &token.signed, &token.signature)
    }

    pub(crate) fn signed(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let fits = |key: &&Key| key.material.is_for(algorithm) && key.only.is_none_or(|only| only == algorithm);
        let key = match kid {
            Some(kid) => self.0.iter().find(|key| key.kid.as_deref() == Some(kid)).filter(fits),
            None => {
                let mut fitting = self.0.iter().filter(fits);
                fitting.next().filter(|_| fitting.next().is_none())
            }
        };
        let key = key.ok_or(TokenError::Key)?;
        let is_by = match &key.material {
            Material::Ed25519(key) => key.verify(signed, signature).is_ok(),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            Material::Rsa { n, e } => {
                let parameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
        };
        if is_by { Ok(()) } else { Err(TokenError::Signature) }
    }
}

/// A key, if it is one that this node uses.
fn key(one: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| one.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|use_| use_ != "sig") {
        return None;
    }
    if let Some(operations) = one.get("key_ops")
        && !operations.as_array()?.iter().any(|operation| operation == "verify")
    {
        return None;
    }
    let only = match one.get("alg") {
        None => None,
        Some(alg) => Some(alg.as_str()?.parse().ok()?),
    };
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let material = match (text("kty")?, text("crv")) {
        ("OKP", Some("Ed25519")) => {
            let x: [u8; 32] = bytes("x")?.try_into().ok()?;
            Material::Ed25519(Box::new(VerifyingKey::from_bytes(&x).ok()?))
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            Material::P256([&[4], &x[..], &y[..]].concat())
        }
        ("RSA", None) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            if !RSA_BYTES.contains(&n.len()) || n[0] == 0 || e.is_empty() || e.len() > MAX_EXPONENT_BYTES {
                return None;
            }
            Material::Rsa { n, e }
        }
        _ => return None,
    };
    if only.is_some_and(|only| !material.is_for(only)) {
        return None;
    }
    Some(Key { kid: text("kid").map(str::to_owned), only, material })
}
