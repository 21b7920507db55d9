//! Putting a backup back.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use steward_clock::mishap;
use zeroize::Zeroizing;

use crate::{
    ROLLED_BACK_FILE,
    age::Identity,
    error::BackupError,
    escrow::{Passphrase, Secrets},
    files::{put_file, write_secret},
    opening::Backup,
    staging::{Staging, make_folder, write},
};

/// A key's file that is put into the home: its path there, and its content.
pub type KeyFile = (String, Zeroizing<Vec<u8>>);

/// A home under way. If it is dropped, nothing is left of it.
///
/// ```text
/// let mut restoring = Restoring::begin(&home)?;
/// restoring.copy(&backup)?;                         // every byte held against the manifest once more
/// restoring.open(&backup, &passphrase)?;            // or restoring.keys(files)
/// restoring.mark(note)?;                            // if somebody keeps a head of a longer ledger
/// restoring.settle()?;                              // a rename: the home is there, whole
/// ```
pub struct Restoring {
    staging: Staging,
    secrets: Secrets,
}

impl Restoring {
    /// Begins a home at `place`, where there is nothing, or an empty folder.
    ///
    /// # Errors
    /// Something is there, another process is at it, or the file system says no.
    pub fn begin(place: &Path) -> Result<Self, BackupError> {
        Ok(Self { staging: Staging::begin(place)?, secrets: BTreeMap::new() })
    }

    /// Copies the files. Each is held against the manifest while it is copied.
    ///
    /// # Errors
    /// One is not what the manifest says, or the file system says no.
    pub fn copy(&mut self, backup: &Backup) -> Result<(), BackupError> {
        let to = self.staging.folder();
        let mut files = backup.files()?;
        // A folder before what is in it.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for file in &files {
            let path = to.join(&file.path);
            match (&file.content, &file.target) {
                (Some(expected), _) => {
                    let found = put_file(&mut backup.file(&file.path)?, &path, file.mode.unwrap_or(0o600) & 0o777)?;
                    if found != *expected {
                        return Err(BackupError::Changed {
                            path: file.path.clone(),
                            reason: "it changed while it was copied".to_owned(),
                        });
                    }
                    mishap::at("restore.copied").map_err(BackupError::io("write", &path))?;
                }
                (None, None) => make_folder(&path)?,
                (None, Some(_)) => {}
            }
        }
        // Links last, so that nothing was written through one; then who may do what in the folders.
        for file in &files {
            if let Some(target) = &file.target {
                let path = to.join(&file.path);
                symlink(target, &path).map_err(BackupError::io("make", &path))?;
            }
        }
        for file in files.iter().rev().filter(|file| file.content.is_none() && file.target.is_none()) {
            let path = to.join(&file.path);
            // Its owner can go on working in it.
            let mode = file.mode.unwrap_or(0o700) & 0o777 | 0o700;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(BackupError::io("set", &path))?;
        }
        Ok(())
    }

    /// Keys and secrets that are sealed in the backup.
    ///
    /// # Errors
    /// There are none in it, or the passphrase is another one.
    pub fn open(&mut self, backup: &Backup, passphrase: &Passphrase) -> Result<(), BackupError> {
        self.secrets.extend(backup.secrets(passphrase)?);
        Ok(())
    }

    /// Keys and secrets that are sealed in the backup to a public key, by its secret half.
    ///
    /// # Errors
    /// There are none in it, or they are sealed to others.
    pub fn open_by(&mut self, backup: &Backup, identities: &[Identity]) -> Result<(), BackupError> {
        self.secrets.extend(backup.secrets_by(identities)?);
        Ok(())
    }

    /// Keys that were kept elsewhere. They take the place of those that are sealed.
    pub fn keys(&mut self, files: impl IntoIterator<Item = KeyFile>) {
        self.secrets.extend(files);
    }

    /// A key's file, as it will be in the home.
    pub fn key(&self, path: &str) -> Option<&[u8]> {
        self.secrets.get(path).map(|bytes| bytes.as_slice())
    }

    /// Marks the home: somebody keeps this signed head of a longer ledger, or of another one. The node starts read-only.
    ///
    /// # Errors
    /// The file system says no.
    pub fn mark(&mut self, note: &str) -> Result<(), BackupError> {
        let path = self.staging.folder().join(ROLLED_BACK_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(BackupError::io("write", &path)(error));
            }
            _ => {}
        }
        write(&path, note.as_bytes())
    }

    /// Everything is there: the home takes its place.
    ///
    /// # Errors
    /// Something is there meanwhile, or the file system says no.
    pub fn settle(self) -> Result<PathBuf, BackupError> {
        for (path, bytes) in &self.secrets {
            write_secret(self.staging.folder(), path, bytes)?;
        }
        self.staging.settle()
    }
}
