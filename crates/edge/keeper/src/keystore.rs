//! The embedded keystore: what was put into it lies sealed in the node's store, and is opened here.
//!
//! Opened values stay in memory while the node runs: they are used with every call, and looked for in whatever is shown. Values that were
//! replaced or revoked are looked for until the node stops, since a process may have had them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{RwLock, RwLockReadGuard},
};

use steward_clock::Dice;
use steward_seal::secret::{Secret, Secrets};
use zeroize::Zeroizing;

use crate::{
    error::KeeperError,
    sealed::{Cipher, SealError, What},
};

/// A secret as it is kept: its name, its version, and its value, sealed; none if it was revoked, or is made for each lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its version; each value has its own.
    pub version: u64,
    /// Its value.
    pub sealed: Option<Vec<u8>>,
    /// Whether it has none because one is made for each lease.
    pub is_made: bool,
}

/// A secret that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its value.
    pub secret: Secret,
    /// Its version; 0 for a file.
    pub version: u64,
}

/// The keystore.
pub(crate) struct Keystore {
    namespace: String,
    /// Or why it is locked.
    cipher: Result<Cipher, String>,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    now: BTreeMap<String, (u64, State)>,
    /// Values that are not in force any more.
    before: Secrets,
}

enum State {
    Open(Secret),
    Revoked,
    Made,
    Damaged(SealError),
    Locked,
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Keystore {
    pub(crate) fn new(namespace: String, cipher: Result<Cipher, String>) -> Self {
        Self { namespace, cipher, held: RwLock::default() }
    }

    /// Why it is locked, if it is.
    pub(crate) fn locked(&self) -> Option<&str> {
        self.cipher.as_ref().err().map(String::as_str)
    }

    fn cipher(&self) -> Result<&Cipher, KeeperError> {
        self.cipher.as_ref().map_err(|why| KeeperError::Locked(why.clone()))
    }

    /// Seals a value, for the version of a name.
    pub(crate) fn seal(
        &self,
        name: &str,
        version: u64,
        secret: &Secret,
        dice: &dyn Dice,
    ) -> Result<Vec<u8>, KeeperError> {
        let about: [&[u8]; 3] = [self.namespace.as_bytes(), name.as_bytes(), &version.to_be_bytes()];
        Ok(self.cipher()?.seal(What::Secret, &[], &about, secret.reveal().as_bytes(), dice))
    }

    fn open(&self, kept: &Kept, sealed: &[u8]) -> State {
        let Ok(cipher) = &self.cipher else { return State::Locked };
        let about: [&[u8]; 3] = [self.namespace.as_bytes(), kept.name.as_bytes(), &kept.version.to_be_bytes()];
        let opened = cipher.open(What::Secret, 0, &about, sealed).and_then(|bytes| {
            let text = std::str::from_utf8(&bytes).map_err(|_| SealError::Other)?;
            Ok(Secret::new(&Zeroizing::new(text.to_owned())))
        });
        opened.map_or_else(State::Damaged, State::Open)
    }

    /// From now on these are the secrets.
    pub(crate) fn hold<E>(&self, read: impl FnOnce() -> Result<Vec<Kept>, E>) -> Result<(), E> {
        let mut held = self.held.write().expect("no holder of this lock panics");
        let state = |kept: &Kept| match &kept.sealed {
            Some(sealed) => self.open(kept, sealed),
            None if kept.is_made => State::Made,
            None => State::Revoked,
        };
        let now = read()?.iter().map(|kept| (kept.name.clone(), (kept.version, state(kept)))).collect();
        let was = std::mem::replace(&mut held.now, now);
        let open = was.into_values().filter_map(|(_, state)| match state {
            State::Open(secret) => Some(secret),
            _ => None,
        });
        // Those that are still in force are there twice; that does no harm.
        held.before = held.before.with(&Secrets::of(open));
        Ok(())
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().expect("no holder of this lock panics")
    }

    /// A secret; none if it was never put here.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Taken>, KeeperError> {
        match self.held().now.get(name) {
            None => Ok(None),
            Some((version, State::Open(secret))) => Ok(Some(Taken { secret: secret.clone(), version: *version })),
            Some((_, State::Revoked)) => Err(KeeperError::Revoked(name.to_owned())),
            Some((_, State::Made)) => Err(KeeperError::Made(name.to_owned())),
            Some((_, State::Damaged(error))) => Err(KeeperError::Damaged(name.to_owned(), *error)),
            Some((_, State::Locked)) => Err(KeeperError::Locked(self.locked().unwrap_or_default().to_owned())),
        }
    }

    /// The version of a secret's value, if it has one that opens, or is made; 0 if it was never put here.
    pub(crate) fn version(&self, name: &str) -> Option<u64> {
        match self.held().now.get(name) {
            None => Some(0),
            Some((version, State::Open(_) | State::Made)) => Some(*version),
            Some(_) => None,
        }
    }

    /// Whether its values are made for each lease.
    pub(crate) fn is_made(&self, name: &str) -> bool {
        matches!(self.held().now.get(name), Some((_, State::Made)))
    }

    /// The names of secrets whose values do not open, though the keystore is open.
    pub(crate) fn damaged(&self) -> Vec<String> {
        let is_damaged = |(_, state): &(u64, State)| matches!(state, State::Damaged(_));
        self.held().now.iter().filter(|(_, kept)| is_damaged(kept)).map(|(name, _)| name.clone()).collect()
    }

    /// Every value that is known, also those that are not in force any more.
    pub(crate) fn all(&self) -> Secrets {
        let held = self.held();
        let open = held.now.values().filter_map(|(_, state)| match state {
            State::Open(secret) => Some(secret.clone()),
            _ => None,
        });
        held.before.with(&Secrets::of(open))
    }
}
