//! Key escrow: keys and secrets, sealed by a passphrase.
//!
//! Argon2id (RFC 9106) makes a key of the passphrase, AES-256-GCM seals with it. Whoever has the backup and not the passphrase has no key
//! and no secret of the node. The header is authenticated; its costs have upper limits, so that a forged one cannot take all memory.
//!
//! Deliberately absent: a way back without the passphrase, and sealing to a recipient's key (age.rs does).

use std::collections::BTreeMap;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use steward_clock::Dice;
use steward_seal::json::{self, Limits};
use zeroize::Zeroizing;

use crate::error::BackupError;

/// The fewest characters of a passphrase.
pub const MIN_PASSPHRASE_CHARS: usize = 12;

/// The most bytes of keys and secrets together.
pub(crate) const MAX_SEALED_BYTES: usize = 16 << 20;

/// The most bytes of the file that holds them: base 64 twice, and what is around it.
pub(crate) const MAX_FILE_BYTES: usize = 2 * MAX_SEALED_BYTES;

/// What one try of a passphrase costs: 64 MiB and three passes, about a third of a second.
const COST: Cost = Cost { m_kib: 64 << 10, t: 3, p: 1 };

/// The most that is spent on reading.
const MAX_COST: Cost = Cost { m_kib: 1 << 20, t: 16, p: 16 };

const KDF: &str = "argon2id";
const AEAD: &str = "AES-256-GCM";

/// What keys and secrets are sealed with. No Debug: it is one.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The passphrase in a file's text: what surrounds it of white space is not part of it.
    ///
    /// # Errors
    /// It is too short.
    pub fn new(text: &str) -> Result<Self, BackupError> {
        let text = text.trim();
        match text.chars().count() {
            chars if chars < MIN_PASSPHRASE_CHARS => Err(BackupError::ShortPassphrase(chars)),
            _ => Ok(Self(Zeroizing::new(text.to_owned()))),
        }
    }

    fn key(&self, salt: &[u8], cost: Cost) -> Option<LessSafeKey> {
        let params = Params::new(cost.m_kib, cost.t, cost.p, Some(32)).ok()?;
        let mut bytes = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.as_bytes(), salt, bytes.as_mut())
            .ok()?;
        UnboundKey::new(&AES_256_GCM, bytes.as_ref()).ok().map(LessSafeKey::new)
    }
}

/// Files by their path in a home. Wiped when they are dropped.
pub(crate) type Secrets = BTreeMap<String, Zeroizing<Vec<u8>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    /// KiB of memory.
    m_kib: u32,
    /// Passes.
    t: u32,
    /// Lanes.
    p: u32,
}

/// What is authenticated beside what is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    kdf: String,
    cost: Cost,
    salt: String,
    aead: String,
    nonce: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedFile {
    header: Header,
    sealed: String,
}

/// Seals `secrets`: the text of `sealed.json`.
pub(crate) fn seal(secrets: &Secrets, passphrase: &Passphrase, dice: &dyn Dice) -> Result<Vec<u8>, BackupError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    dice.fill(&mut salt);
    dice.fill(&mut nonce);
    let header = Header {
        version: 1,
        kdf: KDF.to_owned(),
        cost: COST,
        salt: hex::encode(salt),
        aead: AEAD.to_owned(),
        nonce: hex::encode(nonce),
    };
    let plain = written(secrets);
    // With room for its tag, so that nothing of it is left where it stood before.
    let mut bytes = Vec::with_capacity(plain.len() + 16);
    bytes.extend_from_slice(&plain);
    let key = passphrase.key(&salt, COST).expect("these costs are possible ones");
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(canonical(&header)), &mut bytes)
        .expect("it is far below what the cipher takes");
    let file = SealedFile { header, sealed: STANDARD.encode(&bytes) };
    Ok(json::canonical(&file).expect("text has a canonical form"))
}

/// Keys and secrets as text: each file's bytes in base 64, by its path.
pub(crate) fn written(secrets: &Secrets) -> Zeroizing<Vec<u8>> {
    let encoded: BTreeMap<&str, Zeroizing<String>> =
        secrets.iter().map(|(path, bytes)| (path.as_str(), Zeroizing::new(STANDARD.encode(bytes)))).collect();
    let plain: BTreeMap<&str, &str> = encoded.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Zeroizing::new(json::canonical(&plain).expect("text has a canonical form"))
}

/// What [`written`] wrote.
pub(crate) fn read(plain: &[u8]) -> Option<Secrets> {
    let files: BTreeMap<String, String> = json::read(plain, Limits { bytes: MAX_FILE_BYTES, depth: 8 }).ok()?;
    files
        .into_iter()
        .map(|(path, text)| (path, Zeroizing::new(text)))
        .map(|(path, text)| Some((path, Zeroizing::new(STANDARD.decode(text.as_bytes()).ok()?))))
        .collect()
}

/// Opens what [`seal`] wrote.
pub(crate) fn open(bytes: &[u8], passphrase: &Passphrase) -> Result<Secrets, BackupError> {
    let wrong = || BackupError::WrongPassphrase;
    let limits = Limits { bytes: MAX_FILE_BYTES, depth: 8 };
    let SealedFile { header, sealed } = json::read(bytes, limits).map_err(|_| wrong())?;
    let Cost { m_kib, t, p } = header.cost;
    let is_known = header.version == 1 && header.kdf == KDF && header.aead == AEAD;
    if !is_known || m_kib > MAX_COST.m_kib || t > MAX_COST.t || p > MAX_COST.p {
        return Err(wrong());
    }
    let salt = hex::decode(&header.salt).map_err(|_| wrong())?;
    let mut nonce = [0; 12];
    hex::decode_to_slice(&header.nonce, &mut nonce).map_err(|_| wrong())?;
    let mut sealed = Zeroizing::new(STANDARD.decode(&sealed).map_err(|_| wrong())?);
    let key = passphrase.key(&salt, header.cost).ok_or_else(wrong)?;
    let plain = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(canonical(&header)), &mut sealed)
        .map_err(|_| wrong())?;
    read(plain).ok_or_else(wrong)
}

fn canonical(header: &Header) -> Vec<u8> {
    json::canonical(header).expect("text and small numbers have a canonical form")
}

#[cfg(test)]
mod tests {
    use steward_clock::Dice;
    use zeroize::Zeroizing;

    use super::{BackupError, Passphrase, Secrets, open, seal};

    struct Counting;

    impl Dice for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_alone() {
        let secrets: Secrets = [("keys/document.pem".to_owned(), Zeroizing::new(b"a private key".to_vec()))].into();
        let right = Passphrase::new("correct horse battery\n").unwrap();
        let sealed = seal(&secrets, &right, &Counting).unwrap();
        let text = String::from_utf8(sealed.clone()).unwrap();
        assert!(!text.contains("private") && !text.contains("document"), "{text}");
        assert_eq!(open(&sealed, &Passphrase::new("correct horse battery").unwrap()).unwrap(), secrets);
        let other = Passphrase::new("correct horse batteries").unwrap();
        assert!(matches!(open(&sealed, &other), Err(BackupError::WrongPassphrase)));
        for (from, to) in
            [("\"t\":3", "\"t\":2"), ("\"m_kib\":65536", "\"m_kib\":4294967295"), ("sealed\":\"", "sealed\":\"AAAA")]
        {
            let forged = text.replacen(from, to, 1);
            assert_ne!(forged, text, "{from}");
            assert!(matches!(open(forged.as_bytes(), &right), Err(BackupError::WrongPassphrase)), "{from}");
        }
    }

    /// Frozen: backups of every age are opened with this.
    #[test]
    fn golden_form() {
        let secrets: Secrets = [("keys/document.pem".to_owned(), Zeroizing::new(b"a private key".to_vec()))].into();
        let passphrase = Passphrase::new("correct horse battery").unwrap();
        let sealed = String::from_utf8(seal(&secrets, &passphrase, &Counting).unwrap()).unwrap();
        let golden = expect_test::expect![[
            r#"{"header":{"aead":"AES-256-GCM","cost":{"m_kib":65536,"p":1,"t":3},"kdf":"argon2id","nonce":"0102030405060708090a0b0c","salt":"0102030405060708090a0b0c0d0e0f10","version":1},"sealed":"yo2FlFqepUA8uJ9yT0xaScA8vFOx4OyfwKjYDsChMIaU6sajWFdFG9dmoAYoovhReX9tgIc5L634/5pS"}"#
        ]];
        golden.assert_eq(&sealed);
        assert_eq!(open(golden.data().as_bytes(), &passphrase).unwrap(), secrets);
    }

    #[test]
    fn a_short_passphrase_is_refused() {
        assert!(matches!(Passphrase::new("  short  \n"), Err(BackupError::ShortPassphrase(5))));
    }
}
