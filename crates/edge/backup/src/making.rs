//! Making a backup, beside a running node or of one that is not running.

use std::path::{Path, PathBuf};

use steward_clock::Dice;
use steward_naming::Namespace;
use steward_seal::{Digest, SigningKey, dsse, json};

use crate::{
    STORE_FILE,
    error::BackupError,
    escrow::{self, Passphrase},
    files,
    manifest::{FORMAT_VERSION, FileRecord, LeftOut, Listing, MANIFEST_TYPE, Manifest, SealedPart},
    opening::{FILES, HOME, MANIFEST, SEALED},
    staging::{self, Staging, make_folder},
};

/// A backup under way. If it is dropped, nothing is left of it.
///
/// ```text
/// let making = Making::begin(to)?;
/// archive.copy_to(&making.store())?;          // first: files may be newer than the store, and never older
/// let made = making.finish(home, what, key, passphrase, dice)?;
/// ```
pub struct Making {
    staging: Staging,
}

/// What the backup is of.
#[derive(Debug, Clone)]
pub struct What {
    /// The program that makes it.
    pub program: String,
    /// Now: RFC 3339.
    pub taken_at: String,
    /// The namespace of the node.
    pub namespace: Namespace,
    /// The origin of its ledger.
    pub origin: String,
    /// The signed tree head of the copied store.
    pub head: String,
    /// The verifier key of the tree heads.
    pub vkey: String,
}

/// A backup that is there, and on disk.
#[derive(Debug, Clone)]
pub struct Made {
    /// Where it is.
    pub place: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Making {
    /// Begins one at `to`, where there is nothing, or an empty folder.
    ///
    /// # Errors
    /// Something is there, another process is at it, or the file system says no.
    pub fn begin(to: &Path) -> Result<Self, BackupError> {
        let staging = Staging::begin(to)?;
        make_folder(&staging.folder().join(HOME))?;
        Ok(Self { staging })
    }

    /// Where the copy of the store goes.
    pub fn store(&self) -> PathBuf {
        self.staging.folder().join(HOME).join(STORE_FILE)
    }

    /// Copies the rest of the home, seals keys and secrets if there is a passphrase, signs what is in it with the node's document key, and
    /// puts the backup into its place.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn finish(
        self,
        home: &Path,
        what: What,
        key: &SigningKey,
        passphrase: Option<&Passphrase>,
        dice: &dyn Dice,
    ) -> Result<Made, BackupError> {
        let folder = self.staging.folder();
        let mut found = files::copy(home, &folder.join(HOME))?;
        let store = FileRecord {
            path: STORE_FILE.to_owned(),
            mode: Some(0o600),
            content: Some(files::content(&self.store())?),
            target: None,
        };
        found.files.push(store);
        let sealed = match passphrase {
            Some(passphrase) => {
                let bytes = escrow::seal(&found.secrets, passphrase, dice)?;
                staging::write(&folder.join(SEALED), &bytes)?;
                Some(SealedPart { digest: Digest::of(&bytes), names: found.secrets.keys().cloned().collect() })
            }
            None => {
                found.left_out.extend(found.secrets.keys().map(|path| LeftOut {
                    path: path.clone(),
                    why: "it is a key or a secret, and there was no passphrase to seal it with".to_owned(),
                }));
                None
            }
        };
        let mut lines = Vec::new();
        for file in &found.files {
            lines.extend(json::canonical(file).map_err(|e| BackupError::no_backup(&folder.join(FILES), e))?);
            lines.push(b'\n');
        }
        staging::write(&folder.join(FILES), &lines)?;
        let manifest = Manifest {
            version: FORMAT_VERSION,
            program: what.program,
            taken_at: what.taken_at,
            namespace: what.namespace,
            origin: what.origin,
            head: what.head,
            vkey: what.vkey,
            document_key: key.verifying_key().to_spki_pem(),
            files: Listing {
                digest: Digest::of(&lines),
                count: found.files.len() as u64,
                bytes: found.files.iter().filter_map(|file| file.content).map(|content| content.bytes).sum(),
            },
            sealed,
            left_out: found.left_out,
        };
        let signed = |e| BackupError::no_backup(&folder.join(MANIFEST), e);
        let payload = json::canonical(&manifest).map_err(signed)?;
        let envelope = dsse::sign(MANIFEST_TYPE, &payload, &[key]);
        let text = json::canonical(&envelope).map_err(signed)?;
        staging::write(&folder.join(MANIFEST), &text)?;
        Ok(Made { place: self.staging.settle()?, manifest })
    }
}
