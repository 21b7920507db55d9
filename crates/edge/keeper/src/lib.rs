//! Secrets by name: the embedded keystore, sealed at rest, and files of the node's home behind it.
//!
//! ```no_run
//! # fn example(dice: &dyn steward_clock::Dice) -> Result<(), steward_keeper::KeeperError> {
//! use steward_keeper::{Keeper, Kept, Place, Unlock};
//! use steward_seal::secret::Secret;
//! let place = Place { secrets: "secrets".into(), keys: "keys".into(), namespace: "acme.internal".into() };
//! let keeper = Keeper::open(place, &Unlock::KeyFile, true, dice);
//! let sealed = keeper.seal("openrouter", 1, &Secret::new("sk-123456"), dice)?;       // for a row of the store
//! keeper.hold(|| Ok::<_, steward_keeper::KeeperError>(vec![Kept { name: "openrouter".into(), version: 1, sealed: Some(sealed), is_made: false }]))?;
//! let key = keeper.secret("openrouter")?;               // from the keystore, or the file `secrets/openrouter`
//! let shown = keeper.all()?.scrub("…").into_owned();    // with none of them in it, nor their base 64 or hexadecimal
//! # Ok(()) }
//! ```
//!
//! Engines are asked in turn, and the first that knows a name answers: what was put into the keystore wins over a file of that name, also once
//! it was revoked. A secret is given to who speaks to a provider or a server, and never to an agent.
//!
//! A secret whose values are made for each lease has none of its own: what was made is held under the lease, until that is over.
//!
//! Deliberately absent: rows and leases (app/secrets has them), and Vault, which would be a further engine.

mod credential;
mod error;
mod files;
mod key;
mod keystore;
mod made;
mod sealed;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use steward_clock::Dice;
use steward_naming::Label;
use steward_seal::secret::{Secret, Secrets};
use zeroize::Zeroizing;

pub use credential::Credential;
pub use error::KeeperError;
pub use files::{MAX_SECRET_BYTES, MAX_SECRETS};
pub use key::{MIN_PASSPHRASE_CHARS, Unlock};
pub use keystore::{Kept, Taken};
pub use made::fitting_made;
pub use sealed::SealError;

use crate::{files::Files, key::Cost, keystore::Keystore, made::Made, sealed::Cipher};

/// The fewest random bytes of a generated secret, and the most.
pub const GENERATED_BYTES: std::ops::RangeInclusive<u64> = 16..=1024;

/// Where a node's secrets and keys are, and whose they are.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder of secrets that are files.
    pub secrets: PathBuf,
    /// The folder of keys.
    pub keys: PathBuf,
    /// The node's namespace, to which everything sealed is bound.
    pub namespace: String,
}

/// What has secrets.
#[derive(Debug)]
enum Engine {
    /// Sealed, in the store.
    Keystore(Keystore),
    /// Files.
    Files(Files),
}

impl Engine {
    fn take(&self, name: &str) -> Result<Option<Taken>, KeeperError> {
        match self {
            Self::Keystore(keystore) => keystore.secret(name),
            Self::Files(files) => Ok(files.secret(name)?.map(|secret| Taken { secret, version: 0 })),
        }
    }

    fn all(&self) -> Result<Secrets, KeeperError> {
        match self {
            Self::Keystore(keystore) => Ok(keystore.all()),
            Self::Files(files) => files.all(),
        }
    }
}

/// The secrets of a node.
#[derive(Debug, Clone)]
pub struct Keeper(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// In the order in which they are asked.
    engines: [Engine; 2],
    made: Made,
    unlocked_by: String,
    /// The secrets that were asked for last, and how each may be written.
    written: Mutex<(Secrets, Secrets)>,
}

impl Keeper {
    /// Those of a place. A keystore that does not open is locked: its secrets are refused, and the node starts all the same. Its data key
    /// is made if there is none and `is_new`: nothing was ever sealed.
    pub fn open(place: Place, unlock: &Unlock, is_new: bool, dice: &dyn Dice) -> Self {
        let key = key::data_key(&place.keys, &place.namespace, unlock, is_new, Cost::USUAL, dice);
        let cipher = key.map(|key| Cipher::new(&key));
        let keystore = Engine::Keystore(Keystore::new(place.namespace, cipher));
        let files = Engine::Files(Files { folder: place.secrets });
        let (made, unlocked_by, written) = (Made::default(), unlock.in_words(), Mutex::default());
        Self(Arc::new(Parts { engines: [keystore, files], made, unlocked_by, written }))
    }

    fn keystore(&self) -> &Keystore {
        self.0
            .engines
            .iter()
            .find_map(|engine| match engine {
                Engine::Keystore(keystore) => Some(keystore),
                Engine::Files(_) => None,
            })
            .expect("every keeper is made with one")
    }

    /// What opened the keystore.
    ///
    /// # Errors
    /// Why it is locked.
    pub fn unlocked(&self) -> Result<&str, &str> {
        match self.keystore().locked() {
            None => Ok(&self.0.unlocked_by),
            Some(why) => Err(why),
        }
    }

    /// The secrets whose values do not open, though the keystore is open.
    pub fn damaged(&self) -> Vec<String> {
        self.keystore().damaged()
    }

    /// Seals a value, for the version of a name. It opens as nothing else.
    ///
    /// # Errors
    /// The keystore is locked.
    pub fn seal(&self, name: &str, version: u64, secret: &Secret, dice: &dyn Dice) -> Result<Vec<u8>, KeeperError> {
        self.keystore().seal(name, version, secret, dice)
    }

    /// From now on the secrets of the keystore are those that `read` reads from the store. Whoever asks for one meanwhile waits, and of two that
    /// hold, one reads after the other: none puts back what the other replaced.
    ///
    /// # Errors
    /// Those of `read`; then it holds what it held.
    pub fn hold<E>(&self, read: impl FnOnce() -> Result<Vec<Kept>, E>) -> Result<(), E> {
        self.keystore().hold(read)
    }

    /// A secret by its name.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn secret(&self, name: &str) -> Result<Secret, KeeperError> {
        self.take(name).map(|taken| taken.secret)
    }

    /// A secret by its name, with the version of its value.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn take(&self, name: &str) -> Result<Taken, KeeperError> {
        let name = label(name)?;
        for engine in &self.0.engines {
            if let Some(taken) = engine.take(&name)? {
                return Ok(taken);
            }
        }
        Err(KeeperError::Missing(name))
    }

    /// The version of a secret's value, if it has one that opens; 0 for one that was never put into the keystore.
    pub fn version(&self, name: &str) -> Option<u64> {
        self.keystore().version(name)
    }

    /// Whether a secret's values are made for each lease.
    pub fn is_made(&self, name: &str) -> bool {
        self.keystore().is_made(name)
    }

    /// That there is a secret of that name: with a value, or one whose values are made for each lease.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn look_for(&self, name: &str) -> Result<(), KeeperError> {
        if self.is_made(name) { Ok(()) } else { self.take(name).map(|_| ()) }
    }

    /// The value that was made for a lease; none if that is over, or was made by a process before this one.
    pub fn made(&self, lease: &str) -> Option<Secret> {
        self.0.made.value(lease)
    }

    /// Holds the value that was made for a lease, until that is ended. From now on it is kept out of what is shown.
    pub fn hold_made(&self, lease: &str, value: Secret) {
        self.0.made.hold(lease, value);
    }

    /// The lease is over: nobody is given its value any more.
    pub fn end_made(&self, lease: &str) {
        self.0.made.end(lease);
    }

    /// The process ends: nobody is given any value any more.
    pub fn end_all_made(&self) {
        self.0.made.end_all();
    }

    /// A value that was printed and is not used is kept out of what is shown all the same.
    pub fn keep_out(&self, value: Secret) {
        self.0.made.keep_out(value);
    }

    /// The names of secrets that are files, as far as a file of that name counts.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files(&self) -> Result<Vec<String>, KeeperError> {
        let mut names = Vec::new();
        for engine in &self.0.engines {
            if let Engine::Files(files) = engine {
                names = files.names()?;
            }
        }
        names.retain(|name| name.parse::<Label>().is_ok() && self.keystore().version(name) == Some(0));
        names.sort();
        Ok(names)
    }

    /// Every secret that can be read, to be kept out of what is shown: also in base 64 and in hexadecimal digits.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn all(&self) -> Result<Secrets, KeeperError> {
        let mut all = self.0.made.all();
        for engine in &self.0.engines {
            all = all.with(&engine.all()?);
        }
        // They are asked for with each line of the log and each call of a tool, and are the same nearly always.
        let mut written = self.0.written.lock().expect("no holder of this lock panics");
        if written.0 != all {
            *written = (all.clone(), all.however_written());
        }
        Ok(written.1.clone())
    }
}

/// A random secret: so many bytes of chance, in base 64 as it may stand in an address.
pub fn generate(bytes: u64, dice: &dyn Dice) -> Secret {
    let mut random = Zeroizing::new(vec![0; usize::try_from(bytes).unwrap_or_default()]);
    dice.fill(&mut random);
    Secret::new(&Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&*random)))
}

/// A value that can be a secret: of one line, since it becomes a header or a variable, and not empty.
///
/// # Errors
/// It cannot.
pub fn fitting(name: &str, secret: Secret) -> Result<Secret, KeeperError> {
    let text = secret.reveal();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(KeeperError::Unusable(name.to_owned(), "is empty, or has more than one line"));
    }
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(KeeperError::Unusable(name.to_owned(), "is larger than 64 KiB"));
    }
    Ok(secret)
}

/// A label is no path.
fn label(name: &str) -> Result<String, KeeperError> {
    let label = name.parse::<Label>().map_err(|_| {
        KeeperError::Unusable(steward_naming::visible(name), "has no name of letters, digits and hyphens")
    })?;
    Ok(label.to_string())
}

#[cfg(test)]
mod tests;
