//! The data key, which seals secrets, and what seals the data key: a key in a file, or a passphrase.
//!
//! ```text
//! keys/keeper.key       the key that seals the data key: 64 hexadecimal digits (0600); not there with a passphrase, or a key kept elsewhere
//! keys/keeper.sealed    the data key, sealed by it, or by what Argon2id (RFC 9106) makes of the passphrase
//! ```
//!
//! A data key is made once, when there is none and nothing was sealed yet. A node that is told a passphrase, or a key that is kept elsewhere,
//! for a data key that its key file sealed seals it anew, and takes the key file away: whenever it dies on the way, one of the two opens it.
//!
//! Deliberately absent: speaking to keepers of keys (a TPM, a KMS). The system's service manager does, and hands over what it opened:
//! credential.rs.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use steward_clock::{Dice, mishap};
use steward_seal::secret::Secret;
use zeroize::Zeroizing;

use crate::{
    credential::Credential,
    sealed::{Cipher, KEY_BYTES, SealError, What, parameters, what},
};

/// The shortest passphrase, in characters.
pub const MIN_PASSPHRASE_CHARS: usize = 12;

/// The bytes of a passphrase's salt.
const SALT_BYTES: usize = 16;

/// The bytes of a passphrase's parameters: memory, passes and lanes, then the salt.
const PARAMETER_BYTES: usize = 12 + SALT_BYTES;

/// The largest file of a key, in bytes.
pub(crate) const MAX_KEY_FILE_BYTES: u64 = 4096;

/// How much work it is to try a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// RFC 9106's second choice: what a small machine has, too.
    pub(crate) const USUAL: Self = Self { kib: 64 << 10, passes: 3, lanes: 4 };

    #[cfg(test)]
    pub(crate) const fn of(kib: u32, passes: u32, lanes: u32) -> Self {
        Self { kib, passes, lanes }
    }

    /// The most that is read from a file: it may lie, and would fill the memory.
    const MOST: Self = Self { kib: 1 << 20, passes: 16, lanes: 16 };
}

/// What opens the keystore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Unlock {
    /// The key file in the node's home, which is made with it.
    #[default]
    KeyFile,
    /// A passphrase in this variable of the environment.
    Variable(String),
    /// A passphrase in this file, which its owner alone can read.
    File(PathBuf),
    /// A passphrase that the system's service manager hands over.
    Credential(Credential),
    /// The key itself, in the place of the one in the node's home, from the system's service manager.
    CredentialKey(Credential),
    /// The key itself, in the place of the one in the node's home, in this file, which its owner alone can read.
    KeyAt(PathBuf),
}

impl Unlock {
    /// What it is, in words.
    pub fn in_words(&self) -> String {
        match self {
            Self::KeyFile => "the key file keys/keeper.key".to_owned(),
            Self::Variable(name) => format!("the passphrase in {name}"),
            Self::File(path) => format!("the passphrase in `{}`", path.display()),
            Self::Credential(credential) => format!("the passphrase in {credential}"),
            Self::CredentialKey(credential) => format!("the key in {credential}"),
            Self::KeyAt(path) => format!("the key in `{}`", path.display()),
        }
    }

    /// The key that is kept outside of the home, if one is.
    fn key(&self) -> Result<Option<Key>, String> {
        let bytes = match self {
            Self::CredentialKey(credential) => credential.read()?,
            Self::KeyAt(path) => private(path)?.ok_or_else(|| format!("there is no file `{}`", path.display()))?,
            Self::KeyFile | Self::Variable(_) | Self::File(_) | Self::Credential(_) => return Ok(None),
        };
        key_in(&bytes)
            .map(Some)
            .ok_or_else(|| format!("{} is none: one is 64 hexadecimal digits, or {KEY_BYTES} bytes", self.in_words()))
    }

    fn passphrase(&self) -> Result<Option<Secret>, String> {
        let text = match self {
            Self::KeyFile | Self::CredentialKey(_) | Self::KeyAt(_) => return Ok(None),
            Self::Credential(credential) => text_of(credential.read()?, &self.in_words())?,
            Self::Variable(name) => {
                let text = std::env::var(name).map_err(|_| format!("there is no variable {name} with a passphrase"))?;
                Zeroizing::new(text)
            }
            Self::File(path) => {
                let bytes = private(path)?.ok_or_else(|| format!("there is no file `{}`", path.display()))?;
                text_of(bytes, &self.in_words())?
            }
        };
        let secret = Secret::new(&text);
        if secret.reveal().chars().count() < MIN_PASSPHRASE_CHARS {
            return Err(format!("{} has fewer than {MIN_PASSPHRASE_CHARS} characters", self.in_words()));
        }
        Ok(Some(secret))
    }
}

/// A key of the keystore.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// The data key in a folder of keys, for a namespace; made if there is none, and it `may_be_made`: nothing was sealed yet.
///
/// # Errors
/// Why it is locked, in words for an operator.
pub(crate) fn data_key(
    folder: &Path,
    namespace: &str,
    unlock: &Unlock,
    may_be_made: bool,
    cost: Cost,
    dice: &dyn Dice,
) -> Result<Key, String> {
    let (key_file, sealed_file) = (folder.join("keeper.key"), folder.join("keeper.sealed"));
    let (passphrase, elsewhere) = (unlock.passphrase()?, unlock.key()?);
    // What is taken over from is removed: that must not be what opens it from then on.
    let lies_there = private(&key_file)?;
    let is_passphrase =
        |bytes: &[u8]| passphrase.as_ref().is_some_and(|p| p.reveal().as_bytes().trim_ascii() == bytes.trim_ascii());
    let is_key = |bytes: &[u8]| elsewhere.as_ref().is_some_and(|by| key_in(bytes).is_some_and(|there| *there == **by));
    if let Some(bytes) = &lies_there
        && (is_passphrase(bytes) || is_key(bytes))
    {
        return Err(format!(
            "{} gives what keys/keeper.key of this home holds already: leave the key out of steward.toml, which uses that file; or have \
             another made, and handed over from elsewhere",
            unlock.in_words()
        ));
    }
    let about: [&[u8]; 2] = [namespace.as_bytes(), b"data key"];
    let by_passphrase = |key: &Key, passphrase: &Secret| -> Result<Vec<u8>, String> {
        let mut salt = [0; SALT_BYTES];
        dice.fill(&mut salt);
        let mut before = Vec::with_capacity(PARAMETER_BYTES);
        [cost.kib, cost.passes, cost.lanes].iter().for_each(|n| before.extend(n.to_be_bytes()));
        before.extend(salt);
        let cipher = Cipher::new(&*derived(passphrase, &salt, cost)?);
        Ok(cipher.seal(What::DataByPassphrase, &before, &about, &key[..], dice))
    };
    let said = |error: SealError| format!("keys/keeper.sealed {error}");
    let Some(sealed) = bytes(&sealed_file)? else {
        if !may_be_made {
            return Err(
                "keys/keeper.sealed is not there, and secrets are sealed by what it holds: put it back from a backup"
                    .to_owned(),
            );
        }
        let mut key = Key::default();
        dice.fill(&mut *key);
        let sealed = match (&passphrase, &elsewhere) {
            (Some(passphrase), _) => by_passphrase(&key, passphrase)?,
            (None, Some(by)) => Cipher::new(by).seal(What::DataByFile, &[], &about, &key[..], dice),
            (None, None) => {
                let by = key_of_file(&key_file)?.map_or_else(|| make_key(&key_file, dice), Ok)?;
                mishap::at("keeper.key_made").map_err(|e| e.to_string())?;
                Cipher::new(&by).seal(What::DataByFile, &[], &about, &key[..], dice)
            }
        };
        write_private(&sealed_file, &sealed)?;
        return Ok(key);
    };
    match (what(&sealed), &passphrase) {
        (Some(What::DataByPassphrase), Some(passphrase)) => {
            let before = parameters(What::DataByPassphrase, PARAMETER_BYTES, &sealed).map_err(said)?;
            let (numbers, salt) = before.split_at(12);
            let number = |n: usize| u32::from_be_bytes(numbers[4 * n..4 * n + 4].try_into().expect("four bytes"));
            let cost = Cost { kib: number(0), passes: number(1), lanes: number(2) };
            let (most, is_more) = (Cost::MOST, |a: u32, b: u32| a > b);
            if is_more(cost.kib, most.kib) || is_more(cost.passes, most.passes) || is_more(cost.lanes, most.lanes) {
                return Err(said(SealError::Wrong));
            }
            let cipher = Cipher::new(&*derived(passphrase, salt, cost)?);
            let opened = cipher
                .open(What::DataByPassphrase, PARAMETER_BYTES, &about, &sealed)
                .map_err(|error| format!("keys/keeper.sealed {error}; is {} the right one?", unlock.in_words()))?;
            // What the last start did not come to.
            let _ = fs::remove_file(&key_file);
            key_of(&opened)
        }
        (Some(What::DataByPassphrase), None) => {
            Err("the keystore is sealed by a passphrase: say in steward.toml, under `keeper_passphrase`, where it is"
                .to_owned())
        }
        (Some(What::DataByFile), None) if elsewhere.is_some() => {
            let by = elsewhere.expect("it was just asked");
            if let Ok(opened) = Cipher::new(&by).open(What::DataByFile, 0, &about, &sealed) {
                // What the last start did not come to.
                let _ = fs::remove_file(&key_file);
                return key_of(&opened);
            }
            let wrong = || format!("{}; is {} the right one?", said(SealError::Wrong), unlock.in_words());
            let before = key_of_file(&key_file)?.ok_or_else(wrong)?;
            let key = key_of(&Cipher::new(&before).open(What::DataByFile, 0, &about, &sealed).map_err(said)?)?;
            write_private(&sealed_file, &Cipher::new(&by).seal(What::DataByFile, &[], &about, &key[..], dice))?;
            mishap::at("keeper.sealed_anew").map_err(|e| e.to_string())?;
            fs::remove_file(&key_file).map_err(|e| format!("`{}`: {e}", key_file.display()))?;
            Ok(key)
        }
        (Some(What::DataByFile), _) => {
            let by = key_of_file(&key_file)?.ok_or(
                "keys/keeper.key is not there: put it back from a backup, or say under `keeper_key` where it is kept",
            )?;
            let key = key_of(&Cipher::new(&by).open(What::DataByFile, 0, &about, &sealed).map_err(said)?)?;
            if let Some(passphrase) = &passphrase {
                write_private(&sealed_file, &by_passphrase(&key, passphrase)?)?;
                mishap::at("keeper.sealed_anew").map_err(|e| e.to_string())?;
                fs::remove_file(&key_file).map_err(|e| format!("`{}`: {e}", key_file.display()))?;
            }
            Ok(key)
        }
        (Some(What::Secret), _) => Err(said(SealError::Other)),
        (None, _) => Err(said(
            Cipher::new(&[0; KEY_BYTES]).open(What::DataByFile, 0, &about, &sealed).err().unwrap_or(SealError::Foreign),
        )),
    }
}

/// The key that a passphrase gives.
fn derived(passphrase: &Secret, salt: &[u8], cost: Cost) -> Result<Key, String> {
    let wrong = |error: argon2::Error| format!("the passphrase gives no key: {error}");
    let params = Params::new(cost.kib, cost.passes, cost.lanes, Some(KEY_BYTES)).map_err(wrong)?;
    let mut key = Key::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.reveal().as_bytes(), salt, &mut *key)
        .map_err(wrong)?;
    Ok(key)
}

fn key_of(bytes: &[u8]) -> Result<Key, String> {
    let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| "the data key has not the length of one".to_owned())?;
    Ok(Zeroizing::new(key))
}

fn key_of_file(path: &Path) -> Result<Option<Key>, String> {
    let Some(bytes) = private(path)? else { return Ok(None) };
    key_in(&bytes).map(Some).ok_or_else(|| format!("`{}` is no key: one is 64 hexadecimal digits", path.display()))
}

/// A key as it is written: 64 hexadecimal digits, or its bytes.
fn key_in(bytes: &[u8]) -> Option<Key> {
    let mut key = Key::default();
    if bytes.len() == KEY_BYTES {
        key.copy_from_slice(bytes);
        return Some(key);
    }
    hex::decode_to_slice(bytes.trim_ascii(), &mut *key).ok().map(|()| key)
}

/// What is read is text.
fn text_of(bytes: Zeroizing<Vec<u8>>, what: &str) -> Result<Zeroizing<String>, String> {
    std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| format!("{what} is not UTF-8"))
}

fn make_key(path: &Path, dice: &dyn Dice) -> Result<Key, String> {
    let mut key = Key::default();
    dice.fill(&mut *key);
    let text = Zeroizing::new(format!("{}\n", hex::encode(*key)));
    write_private(path, text.as_bytes())?;
    Ok(key)
}

/// What its owner alone can read; none if there is no such file.
fn private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let failed = |error: io::Error| format!("`{}`: {error}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() || about.size() > MAX_KEY_FILE_BYTES {
        return Err(format!("`{}` is no file of a key or passphrase", path.display()));
    }
    if about.permissions().mode() & 0o077 != 0 {
        return Err(format!("`{0}` can be read by others; type: chmod 600 {0}", path.display()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES as usize));
    file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("`{}`: {error}", path.display())),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error: io::Error| format!("`{}`: {error}", path.display()))
}
