//! The folder that holds all of a node's state.
//!
//! ```text
//! steward.toml           configuration
//! store.sqlite           facts and ledger (docs/store.md)
//! keys/tree-head.pem     signs tree heads      (PKCS#8, 0600)
//! keys/document.pem      signs documents       (PKCS#8, 0600)
//! keys/keeper.key        opens the keystore, unless a passphrase does (0600)
//! keys/keeper.sealed     the data key of the keystore, sealed
//! policies/              the policy, as files to edit
//! agents/<ns>/<name>/    what agents own
//! programs/              agents' programs, which every sandbox shows at /programs, read-only
//! secrets/               secrets that are files: of providers and of servers of tools (0600)
//! tools/<server>/        what servers of tools own
//! runs/<run>/            what a run is given for its time: copies of what a predecessor left
//! logs/                  log lines: main.log, errors.log, agents/<name>.log, archive/
//! run/address            where the node listens, while it does
//! run/lock               held while a node runs
//! login.key              the first person's single-use log-in key, until it is used
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;
use steward_clock::Dice;
use steward_seal::SigningKey;

/// A node's home.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The file system says no.
    #[error("`{path}`: {source}")]
    Io {
        /// What could not be read or written.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could read a key.
    #[error(
        "`{path}` can be read by others (mode {mode:o}); run `chmod 600 {path}`, and make new keys if others may have read it"
    )]
    Readable {
        /// The key's file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Not a key.
    #[error("`{path}` is not a key: {reason}")]
    Key {
        /// The key's file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Another node runs there.
    #[error("another node runs in `{0}`; stop it, or choose another `--home`")]
    Running(String),
}

impl Home {
    /// The home at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration's file.
    pub fn configuration(&self) -> PathBuf {
        self.0.join("steward.toml")
    }

    /// The database.
    pub fn store(&self) -> PathBuf {
        self.0.join("store.sqlite")
    }

    /// The policy's files.
    pub fn policies(&self) -> PathBuf {
        self.0.join("policies")
    }

    /// What agents own.
    pub fn agents(&self) -> PathBuf {
        self.0.join("agents")
    }

    /// Secrets, a file each.
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// What servers of tools own.
    pub fn tools(&self) -> PathBuf {
        self.0.join("tools")
    }

    /// Agents' programs.
    pub fn programs(&self) -> PathBuf {
        self.0.join("programs")
    }

    /// What runs are given for their time.
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// Log lines.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Where the node listens, while it does.
    pub fn address(&self) -> PathBuf {
        self.0.join("run/address")
    }

    /// The first person's log-in key.
    pub fn login_key(&self) -> PathBuf {
        self.0.join("login.key")
    }

    /// The node's keys.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The file of one of the node's keys that sign.
    pub fn key(&self, name: &str) -> PathBuf {
        self.keys().join(format!("{name}.pem"))
    }

    /// Makes the folders, for their owner alone.
    ///
    /// # Errors
    /// The file system says no.
    pub fn prepare(&self) -> Result<(), HomeError> {
        for folder in [self.0.clone(), self.keys(), self.0.join("run"), self.programs(), self.secrets(), self.tools()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| at(&folder, e))?;
        }
        Ok(())
    }

    /// Takes the home for this process, until the file is dropped.
    ///
    /// # Errors
    /// Another node runs there.
    pub fn lock(&self) -> Result<File, HomeError> {
        let path = self.0.join("run/lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| at(&path, e))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| HomeError::Running(self.0.display().to_string()))?;
        Ok(file)
    }

    /// One of the node's keys; made if it is not there.
    ///
    /// # Errors
    /// Others can read it, or it is not a key.
    pub fn signing_key(&self, name: &str, dice: &dyn Dice) -> Result<SigningKey, HomeError> {
        let path = self.key(name);
        match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = SigningKey::generate(dice);
                write_private(&path, key.to_pkcs8_pem().as_bytes())?;
                return Ok(key);
            }
            Err(e) => return Err(at(&path, e)),
            Ok(metadata) if metadata.mode() & 0o077 != 0 => {
                return Err(HomeError::Readable { path: path.display().to_string(), mode: metadata.mode() & 0o777 });
            }
            Ok(_) => {}
        }
        let pem = fs::read_to_string(&path).map_err(|e| at(&path, e))?;
        SigningKey::from_pkcs8_pem(&pem)
            .map_err(|e| HomeError::Key { path: path.display().to_string(), reason: e.to_string() })
    }
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// The file system says no.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| at(path, e))
}

fn at(path: &Path, source: io::Error) -> HomeError {
    HomeError::Io { path: path.display().to_string(), source }
}
