//! Key escrow to somebody's public key: the age format, version 1 (age-encryption.org/v1, C2SP), with X25519 recipients.
//!
//! ```text
//! age-keygen -o escrow.txt                                  elsewhere: age1…, and the identity that opens
//! steward backup create --to DIR --escrow-to age1…          here: nothing that opens it was ever here
//! age -d -i escrow.txt DIR/sealed.age                       what everybody's age does with it
//! ```
//!
//! The primitives are aws-lc-rs's; what is ours is the format around them. It is small, and the crate that has it brings six dozen others.
//!
//! Deliberately absent: passphrases (escrow.rs has them, as before), plugins, SSH keys, armour, and streams: keys and secrets are in memory.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use steward_clock::Dice;
use zeroize::Zeroizing;

use crate::error::BackupError;

/// The most that one backup is sealed to.
pub const MAX_RECIPIENTS: usize = 16;

const VERSION: &str = "age-encryption.org/v1";
const KEY_BYTES: usize = 32;
const FILE_KEY_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const CHUNK: usize = 64 << 10;

/// The most bytes of a head, and the most stanzas in it: others may be in it than ours.
const MAX_HEAD: usize = 64 << 10;
const MAX_STANZAS: usize = 64;

/// The columns of a stanza's body.
const COLUMNS: usize = 64;

/// Whom something is sealed to: `age1…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient([u8; KEY_BYTES]);

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode::<Bech32>(Hrp::parse_unchecked("age"), &self.0);
        f.write_str(&text.expect("32 bytes are short enough"))
    }
}

impl FromStr for Recipient {
    type Err = BackupError;

    fn from_str(text: &str) -> Result<Self, BackupError> {
        let is_secret = text.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("age"))
            && text.to_ascii_uppercase().contains("AGE-SECRET-KEY-");
        if is_secret {
            // Not shown, and not kept.
            return Err(BackupError::NoRecipient("that is the secret half; give the public one".to_owned()));
        }
        let bytes = decoded(text, "age").filter(|_| !text.contains(|c: char| c.is_ascii_uppercase()));
        let bytes = bytes.ok_or_else(|| {
            BackupError::NoRecipient("one is written `age1…`, as `age-keygen` says it (X25519)".to_owned())
        })?;
        Ok(Self(*bytes))
    }
}

/// What opens what was sealed to its recipient. No Debug: it is a secret.
pub struct Identity {
    key: PrivateKey,
    public: [u8; KEY_BYTES],
}

impl Identity {
    /// Those in a file, as `age-keygen` writes it: a line each, between comments.
    ///
    /// # Errors
    /// There is none in it, or something else.
    pub fn read(text: &str) -> Result<Vec<Self>, BackupError> {
        let wrong = || BackupError::NoIdentity;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let found = lines.take(MAX_RECIPIENTS).map(|line| {
            let bytes = decoded(line, "age-secret-key-").ok_or_else(wrong)?;
            Self::new(&bytes).ok_or_else(wrong)
        });
        let found = found.collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() { Err(wrong()) } else { Ok(found) }
    }

    fn new(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        let key = PrivateKey::from_private_key(&X25519, bytes).ok()?;
        let public = key.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(Self { key, public })
    }

    /// Whom to seal to, that this opens it.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.public)
    }

    /// What both halves agree on, as a key for one message.
    fn wrapping(&self, other: &[u8; KEY_BYTES], share: &[u8], recipient: &[u8]) -> Option<LessSafeKey> {
        let salt = [share, recipient].concat();
        let peer = UnparsedPublicKey::new(&X25519, other);
        // A key of small order gives nothing, and is refused.
        agreement::agree(&self.key, peer, (), |shared| Ok(derived(&salt, shared, b"age-encryption.org/v1/X25519")))
            .ok()
            .map(|key| cipher(&key))
    }
}

fn decoded(text: &str, before: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(checked.byte_iter().collect());
    let is_ours = checked.hrp().to_lowercase() == before;
    let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().ok().filter(|_| is_ours)?;
    Some(Zeroizing::new(key))
}

fn derived(salt: &[u8], from: &[u8], info: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Salt::new(HKDF_SHA256, salt)
        .extract(from)
        .expand(&[info], HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("a key of 32 bytes is short enough");
    key
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has the algorithm's length"))
}

fn nonce(bytes: [u8; NONCE_LEN]) -> Nonce {
    Nonce::assume_unique_for_key(bytes)
}

/// The nonce of a chunk: its number, and whether it is the last.
fn of_chunk(number: usize, is_last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[3..11].copy_from_slice(&(number as u64).to_be_bytes());
    bytes[11] = u8::from(is_last);
    nonce(bytes)
}

fn mac_key(file_key: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*derived(&[], file_key, b"header"))
}

/// Seals to all of these: each opens it alone.
///
/// # Errors
/// There are none, or too many, or one is no key.
pub(crate) fn seal(plain: &[u8], to: &[Recipient], dice: &dyn Dice) -> Result<Vec<u8>, BackupError> {
    if to.is_empty() || to.len() > MAX_RECIPIENTS {
        return Err(BackupError::NoRecipient(format!("a backup is sealed to 1 to {MAX_RECIPIENTS} of them")));
    }
    let mut file_key = Zeroizing::new([0; FILE_KEY_BYTES]);
    dice.fill(&mut *file_key);
    let mut head = format!("{VERSION}\n");
    for recipient in to {
        let no_key = || BackupError::NoRecipient(format!("`{recipient}` is no key that anything can be sealed to"));
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        dice.fill(&mut *secret);
        let once = Identity::new(&secret).ok_or_else(no_key)?;
        let key = once.wrapping(&recipient.0, &once.public, &recipient.0).ok_or_else(no_key)?;
        let mut wrapped = file_key.to_vec();
        key.seal_in_place_append_tag(nonce([0; NONCE_LEN]), Aad::empty(), &mut wrapped).map_err(|_| no_key())?;
        let (share, body) = (STANDARD_NO_PAD.encode(once.public), STANDARD_NO_PAD.encode(&wrapped));
        head += &format!("-> X25519 {share}\n{body}\n");
    }
    head += "---";
    let mac = hmac::sign(&mac_key(&*file_key), head.as_bytes());
    let mut out = format!("{head} {}\n", STANDARD_NO_PAD.encode(mac.as_ref())).into_bytes();
    let mut salt = [0; 16];
    dice.fill(&mut salt);
    out.extend_from_slice(&salt);
    let key = cipher(&derived(&salt, &*file_key, b"payload"));
    let chunks = plain.chunks(CHUNK).len().max(1);
    for number in 0..chunks {
        let piece = plain.chunks(CHUNK).nth(number).unwrap_or_default();
        let mut piece_out = Zeroizing::new(Vec::with_capacity(piece.len() + TAG_BYTES));
        piece_out.extend_from_slice(piece);
        key.seal_in_place_append_tag(of_chunk(number, number + 1 == chunks), Aad::empty(), &mut *piece_out)
            .expect("a chunk is far below what the cipher takes");
        out.extend_from_slice(&piece_out);
    }
    Ok(out)
}

/// Opens what was sealed to one of these.
///
/// # Errors
/// It was sealed to others, or was changed.
pub(crate) fn open(sealed: &[u8], with: &[Identity]) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    read(sealed, with).ok_or(BackupError::WrongIdentity)
}

/// A stanza of a head: its words, and its body.
struct Stanza {
    words: Vec<String>,
    body: Vec<u8>,
}

fn read(sealed: &[u8], with: &[Identity]) -> Option<Zeroizing<Vec<u8>>> {
    let (stanzas, signed, mac, payload) = parts(sealed)?;
    let opened = stanzas.iter().find_map(|stanza| with.iter().find_map(|identity| unwrapped(stanza, identity)))?;
    hmac::verify(&mac_key(&*opened), signed, &mac).ok()?;
    let (salt, payload) = payload.split_at_checked(16)?;
    let key = cipher(&derived(salt, &*opened, b"payload"));
    let mut plain = Zeroizing::new(Vec::with_capacity(payload.len()));
    let chunks = payload.chunks(CHUNK + TAG_BYTES).len();
    for (number, chunk) in payload.chunks(CHUNK + TAG_BYTES).enumerate() {
        let is_last = number + 1 == chunks;
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let opened = key.open_in_place(of_chunk(number, is_last), Aad::empty(), &mut chunk).ok()?;
        // Of what is empty the first is the last; else a last one has something.
        if opened.is_empty() && number > 0 {
            return None;
        }
        plain.extend_from_slice(opened);
    }
    (chunks > 0).then_some(plain)
}

fn unwrapped(stanza: &Stanza, identity: &Identity) -> Option<Zeroizing<[u8; FILE_KEY_BYTES]>> {
    let [kind, share] = stanza.words.as_slice() else { return None };
    if kind != "X25519" || stanza.body.len() != FILE_KEY_BYTES + TAG_BYTES {
        return None;
    }
    let share: [u8; KEY_BYTES] = STANDARD_NO_PAD.decode(share).ok()?.try_into().ok()?;
    let key = identity.wrapping(&share, &share, &identity.public)?;
    let mut body = Zeroizing::new(stanza.body.clone());
    let opened = key.open_in_place(nonce([0; NONCE_LEN]), Aad::empty(), &mut body).ok()?;
    Some(Zeroizing::new((&*opened).try_into().ok()?))
}

/// The stanzas; what the tag is over; the tag; the rest.
#[expect(clippy::type_complexity, reason = "it is taken apart at once")]
fn parts(sealed: &[u8]) -> Option<(Vec<Stanza>, &[u8], Vec<u8>, &[u8])> {
    let mut at = 0;
    let mut line = || {
        let rest = &sealed[at..sealed.len().min(MAX_HEAD)];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let start = at;
        at += end + 1;
        Some((start, std::str::from_utf8(&rest[..end]).ok()?, at))
    };
    (line()?.1 == VERSION).then_some(())?;
    let mut stanzas = Vec::new();
    loop {
        let (start, text, after) = line()?;
        if let Some(mac) = text.strip_prefix("--- ") {
            let mac = STANDARD_NO_PAD.decode(mac).ok()?;
            return Some((stanzas, &sealed[..start + 3], mac, &sealed[after..]));
        }
        let words: Vec<String> = text.strip_prefix("-> ")?.split(' ').map(str::to_owned).collect();
        let is_visible = |word: &String| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        (words.iter().all(is_visible) && stanzas.len() < MAX_STANZAS).then_some(())?;
        let mut body = Vec::new();
        loop {
            let (_, text, _) = line()?;
            (text.len() <= COLUMNS).then_some(())?;
            body.extend(STANDARD_NO_PAD.decode(text).ok()?);
            if text.len() < COLUMNS {
                break;
            }
        }
        stanzas.push(Stanza { words, body });
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use steward_clock::Dice;

    use super::{BackupError, CHUNK, Identity, Recipient, open, seal};

    struct Counting;

    impl Dice for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        }
    }

    /// Of 32 ones, as everybody writes it.
    const SECRET: &str = "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN";
    const PUBLIC: &str = "age15nsf9y4k28p83wth93tf7hafhvfajp45d2mge80ems45gz0c5gys3me64l";

    /// What another implementation (rage, through Python's pyrage 1.4.0) sealed to that, with a stanza that is nobody's before ours.
    const OF_A_STRANGER: &str = concat!(
        "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBURHpkLytYOVRMSi9FU0puUFE2Yy9TVWZ2S2JDSXlGLzh4aGkySVZrM0Y0ClhuTkFoU0RMbVMzZC80bjJBODJD",
        "NkROcXljOWg0QlZhc3g0YjRydjRkclEKLT4gbjh3Ri1ncmVhc2UgRXFYLkQyImUgUmRyICUpIF4nPDJPCnhqRC9aUzM4QmhPT1owSms1VktwLzdtSHgzcWtveHpCSHdy",
        "elJ2MENvVUNiWW9uOEVleHkrakNaNjg2RlVGcUcKSEhRdU5PcVdUVVlndjdySWFPS2Q4S0VyNXpqK21pT1UKLS0tIG9JbXN3c3pTa1hVR2JqMzNTcHE1czBkNFlkdGJu",
        "MkVZOXJsVkdUdkRPL0EKvNTigLRy3W1JtcNPPrdLA6hbJ6z3GXWKg8trc/GzKoPQ9l864yNYOZ/3Ltde",
    );

    fn identity(seed: u8) -> Identity {
        Identity::new(&[seed; 32]).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_each_it_was_sealed_to_and_nobody_else() {
        let to = [identity(1).recipient(), identity(2).recipient()];
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let plain = vec![b'p'; length];
            let sealed = seal(&plain, &to, &Counting).unwrap();
            for seed in [1, 2] {
                assert_eq!(*open(&sealed, &[identity(9), identity(seed)]).unwrap(), plain, "{length}");
            }
            assert!(matches!(open(&sealed, &[identity(3)]), Err(BackupError::WrongIdentity)));
            assert!(open(&sealed[..sealed.len() - 1], &[identity(1)]).is_err(), "{length}: cut off");
            assert!(open(&[&sealed[..], b"x"].concat(), &[identity(1)]).is_err(), "{length}: more");
        }
        // The last chunk gone: what is left is whole chunks.
        let sealed = seal(&vec![0; 2 * CHUNK], &to, &Counting).unwrap();
        assert!(open(&sealed[..sealed.len() - CHUNK - 16], &[identity(1)]).is_err());
    }

    #[test]
    fn what_strangers_write_is_read() {
        let identities = Identity::read(&format!("# created: 2026-11-29\n# public key: {PUBLIC}\n{SECRET}\n")).unwrap();
        assert_eq!(identities[0].recipient().to_string(), PUBLIC);
        let sealed = STANDARD.decode(OF_A_STRANGER).unwrap();
        assert_eq!(open(&sealed, &identities).unwrap().as_slice(), b"a private key");
        assert!(open(&sealed, &[identity(2)]).is_err());
    }

    /// Frozen: backups of every age are opened with this. It is also what pyrage opens.
    #[test]
    fn golden() {
        let sealed = seal(b"a private key", &[PUBLIC.parse().unwrap()], &Counting).unwrap();
        let golden = expect_test::expect![
            "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBCNk44dkJRZ2s4aTNWZHdiRU9oc3RDWTNTdEZxcUZQdEM5L0Fzcmh0SEh3CnFmZUNJdE9oZXpXdFRYeGlNdkpaRUNNejMzY1h4LzJOSkQwS3BUbGs1V1EKLS0tIDNGZUJTWG9pVUkvU2lreW5qNHVpQWl4NDdydTNKQ3dVbGszSFNtem9wN1kKAQIDBAUGBwgJCgsMDQ4PEB7WLeH79r3LHsvqMQGM3g7mZ1qalqiHhpsKOMYE"
        ];
        golden.assert_eq(&STANDARD.encode(&sealed));
        assert_eq!(
            open(&STANDARD.decode(golden.data()).unwrap(), &[identity(1)]).unwrap().as_slice(),
            b"a private key"
        );
    }

    #[test]
    fn each_bit_counts() {
        let sealed = seal(b"a private key", &[identity(1).recipient()], &Counting).unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(open(&changed, &[identity(1)]).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn keys_are_written_one_way() {
        let recipient = identity(1).recipient();
        assert_eq!(recipient.to_string().parse::<Recipient>().unwrap(), recipient);
        for wrong in ["", "age1", "ssh-ed25519 AAAA", &recipient.to_string().to_uppercase(), SECRET] {
            let error = wrong.parse::<Recipient>().unwrap_err().to_string();
            assert!(!error.contains("QYPQX"), "the secret half is not repeated: {error}");
        }
        let mut other = recipient.to_string();
        other.replace_range(10..11, if &other[10..11] == "q" { "p" } else { "q" });
        assert!(other.parse::<Recipient>().is_err(), "a mistake in it is found");
        // The point of order one: everybody knows what is agreed on with it.
        assert!(matches!(seal(b"x", &[Recipient([0; 32])], &Counting), Err(BackupError::NoRecipient(_))));
        for wrong in ["", "# nothing\n", &recipient.to_string(), "AGE-SECRET-KEY-1QQ"] {
            assert!(matches!(Identity::read(wrong), Err(BackupError::NoIdentity)), "{wrong}");
        }
    }
}
