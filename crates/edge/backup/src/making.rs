//! Making a backup, beside a running node or of one that is not running.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use steward_clock::Dice;
use steward_naming::Namespace;
use steward_seal::{Digest, SigningKey, dsse, json};

use crate::{
    STORE_FILE,
    age::{self, Recipient},
    error::BackupError,
    escrow::{self, Passphrase, Secrets},
    files,
    manifest::{FORMAT_VERSION, FileRecord, LeftOut, Listing, MANIFEST_TYPE, Manifest, SealedPart},
    opening::{FILES, HOME, MANIFEST},
    packing::Out,
    source::Scratch,
    staging::{Staging, make_folder},
};

/// The file of a staging folder that becomes the backup, if that is one file.
const PACKED: &str = "packed";

/// A backup under way. If it is dropped, nothing is left of it.
///
/// ```text
/// let making = Making::begin(to)?;
/// archive.copy_to(&making.store())?;          // first: files may be newer than the store, and never older
/// let made = making.finish(home, what, key, Keys::By(&passphrase), dice)?;
/// ```
pub struct Making {
    place: Place,
}

/// Where it goes.
enum Place {
    Folder(Staging),
    File(Staging),
    Stream(Scratch, Box<dyn Write + Send>),
}

/// What becomes of keys and secrets.
#[derive(Clone, Copy)]
pub enum Keys<'a> {
    /// They are left out.
    LeftOut,
    /// They are sealed by a passphrase.
    By(&'a Passphrase),
    /// They are sealed to these public keys: each opens them alone, and nothing here does.
    To(&'a [Recipient]),
}

/// A sealed text, and the public keys that it is sealed to.
type SealedTo = (Vec<u8>, Vec<String>);

impl Keys<'_> {
    /// The text that they are sealed in, and to whom.
    fn seal(self, secrets: &Secrets, dice: &dyn Dice) -> Result<Option<SealedTo>, BackupError> {
        match self {
            Self::LeftOut => Ok(None),
            Self::By(passphrase) => Ok(Some((escrow::seal(secrets, passphrase, dice)?, Vec::new()))),
            Self::To(recipients) => {
                let sealed = age::seal(&escrow::written(secrets), recipients, dice)?;
                Ok(Some((sealed, recipients.iter().map(Recipient::to_string).collect())))
            }
        }
    }
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
        Self::at(Place::Folder(Staging::begin(to)?))
    }

    /// Begins one that is a file at `to`, where there is nothing.
    ///
    /// # Errors
    /// Those of [`Self::begin`].
    pub fn begin_file(to: &Path) -> Result<Self, BackupError> {
        Self::at(Place::File(Staging::begin_file(to)?))
    }

    /// Begins one that is written to somebody who reads it meanwhile. Whether it came whole shows at its end: there stands the manifest.
    ///
    /// # Errors
    /// There is no place for the copy of the store (`TMPDIR`).
    pub fn begin_stream(to: impl Write + Send + 'static) -> Result<Self, BackupError> {
        Self::at(Place::Stream(Scratch::new()?, Box::new(to)))
    }

    fn at(place: Place) -> Result<Self, BackupError> {
        let making = Self { place };
        make_folder(&making.folder().join(HOME))?;
        Ok(making)
    }

    fn folder(&self) -> &Path {
        match &self.place {
            Place::Folder(staging) | Place::File(staging) => staging.folder(),
            Place::Stream(scratch, _) => &scratch.folder,
        }
    }

    /// Where the copy of the store goes.
    pub fn store(&self) -> PathBuf {
        self.folder().join(HOME).join(STORE_FILE)
    }

    /// Copies the rest of the home, seals keys and secrets, signs what is in it with the node's document key, and puts the backup into its place.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn finish(
        self,
        home: &Path,
        what: What,
        key: &SigningKey,
        keys: Keys<'_>,
        dice: &dyn Dice,
    ) -> Result<Made, BackupError> {
        let store = self.store();
        match self.place {
            Place::Folder(staging) => {
                let out = Out::Folder(staging.folder());
                let manifest = write(out, &store, home, what, key, keys, dice)?;
                Ok(Made { place: staging.settle()?, manifest })
            }
            Place::File(staging) => {
                let path = staging.folder().join(PACKED);
                let writing = BackupError::io("write", &path);
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(&writing)?;
                let out = Out::packed(&file, staging.folder());
                let manifest = write(out, &store, home, what, key, keys, dice)?;
                file.sync_all().map_err(&writing)?;
                Ok(Made { place: staging.settle_file(&path)?, manifest })
            }
            Place::Stream(scratch, to) => {
                let out = Out::packed(to, &scratch.folder);
                let manifest = write(out, &store, home, what, key, keys, dice)?;
                Ok(Made { place: PathBuf::from("-"), manifest })
            }
        }
    }
}

/// Writes all of it: the store first, the manifest last.
fn write(
    mut out: Out<'_>,
    store: &Path,
    home: &Path,
    what: What,
    key: &SigningKey,
    keys: Keys<'_>,
    dice: &dyn Dice,
) -> Result<Manifest, BackupError> {
    let content = out.own(store, STORE_FILE)?;
    let mut found = files::copy(home, &mut out)?;
    found.files.push(FileRecord {
        path: STORE_FILE.to_owned(),
        mode: Some(0o600),
        content: Some(content),
        target: None,
    });
    let sealed = match keys.seal(&found.secrets, dice)? {
        Some((bytes, recipients)) => {
            let names = found.secrets.keys().cloned().collect();
            let part = SealedPart { digest: Digest::of(&bytes), names, recipients };
            out.bytes(part.file(), &bytes)?;
            Some(part)
        }
        None => {
            found.left_out.extend(found.secrets.keys().map(|path| LeftOut {
                path: path.clone(),
                why: "it is a key or a secret, and there was nothing to seal it with".to_owned(),
            }));
            None
        }
    };
    let mut lines = Vec::new();
    for file in &found.files {
        lines.extend(json::canonical(file).map_err(|e| BackupError::no_backup(Path::new(FILES), e))?);
        lines.push(b'\n');
    }
    out.bytes(FILES, &lines)?;
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
    let signed = |e| BackupError::no_backup(Path::new(MANIFEST), e);
    let payload = json::canonical(&manifest).map_err(signed)?;
    let envelope = dsse::sign(MANIFEST_TYPE, &payload, &[key]);
    out.bytes(MANIFEST, &json::canonical(&envelope).map_err(signed)?)?;
    out.finish()?;
    Ok(manifest)
}
