//! The one door for backups: the manifest, if the expected key signed it; then every byte, held against it.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use steward_seal::{
    Digest, Fingerprint, VerifyingKey, dsse,
    json::{self, Limits},
};

use crate::{
    age::{self, Identity},
    error::BackupError,
    escrow::{self, Passphrase, Secrets},
    files::{MAX_FILES, content_of, is_plain},
    manifest::{FORMAT_VERSION, FileRecord, MANIFEST_TYPE, Manifest, SealedPart},
    source::Source,
};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const FILES: &str = "files.jsonl";
pub(crate) const HOME: &str = "home";

/// The most bytes of the manifest.
const MAX_MANIFEST: Limits = Limits { bytes: 4 << 20, depth: 8 };

/// The most bytes of a line of the list.
const MAX_LINE: Limits = Limits { bytes: 64 << 10, depth: 4 };

/// A backup whose manifest is signed.
#[derive(Debug)]
pub struct Backup {
    source: Source,
    manifest: Manifest,
    signer: Fingerprint,
    is_pinned: bool,
}

/// Something in a backup that is not as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file of the backup.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// As much of an envelope as is needed to find the key that it names.
#[derive(Deserialize)]
struct Named {
    payload: String,
}

impl Backup {
    /// Opens the backup at `root`: a folder, or a file. Its manifest must be signed by `key`; without one, by the key that it names itself, which proves that nothing
    /// was damaged and not who made it ([`Backup::is_pinned`]).
    ///
    /// # Errors
    /// There is none, it is of a newer format, or it is not signed by that key.
    pub fn open(root: &Path, key: Option<&VerifyingKey>) -> Result<Self, BackupError> {
        let source = Source::open(root)?;
        let path = source.place(MANIFEST);
        let bytes = read(&source, MANIFEST, MAX_MANIFEST.bytes)?;
        let named = match key {
            Some(key) => key.clone(),
            None => named(&bytes).map_err(|reason| BackupError::no_backup(&path, reason))?,
        };
        let sealed = dsse::open(&bytes, MANIFEST_TYPE, &named).map_err(|e| BackupError::no_backup(&path, e))?;
        let signer = *sealed.signer();
        let manifest: Manifest =
            json::read(sealed.get(), MAX_MANIFEST).map_err(|e| BackupError::no_backup(&path, e))?;
        if manifest.version != FORMAT_VERSION {
            return Err(BackupError::Version { found: manifest.version, known: FORMAT_VERSION });
        }
        Ok(Self { source, manifest, signer, is_pinned: key.is_some() })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The key that signed it.
    pub fn signer(&self) -> Fingerprint {
        self.signer
    }

    /// Whether that key was known before. Otherwise whoever changed the backup could have signed it anew.
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// The copy of the store, as a file that is there as long as this is.
    ///
    /// # Errors
    /// It is not there, or there is no room for it (of a backup that is one file).
    pub fn store(&self) -> Result<PathBuf, BackupError> {
        self.source.store()
    }

    /// Reads every file and holds it against the manifest: what is changed, missing or more than there should be.
    ///
    /// # Errors
    /// The list of the files is not the one that the manifest names, or cannot be read.
    pub fn check(&self) -> Result<Vec<Problem>, BackupError> {
        let mut problems = Vec::new();
        let mut problem = |path: &str, message: String| problems.push(Problem { path: path.to_owned(), message });
        let mut listed = BTreeSet::new();
        for file in self.files()? {
            let path = format!("{HOME}/{}", file.path);
            if let Some(expected) = file.content {
                match self.content(&path) {
                    Ok(found) if found == expected => {}
                    Ok(found) => problem(
                        &file.path,
                        format!(
                            "it has {} bytes that hash to {}, and not the {} that hash to {}",
                            found.bytes, found.digest, expected.bytes, expected.digest
                        ),
                    ),
                    Err(error) => problem(&file.path, error.to_string()),
                }
            } else if file.target.is_none() && !self.source.is_folder(&path) {
                problem(&file.path, "the folder is not there".to_owned());
            }
            listed.insert(file.path);
        }
        for path in self.source.home()?.into_iter().filter(|path| !listed.contains(path)) {
            problem(&path, "it is there, and the manifest does not name it".to_owned());
        }
        if let Some(part) = &self.manifest.sealed {
            match self.content(part.file()) {
                Ok(found) if found.digest == part.digest => {}
                Ok(_) => problem(part.file(), "it is not the file that the manifest names".to_owned()),
                Err(error) => problem(part.file(), error.to_string()),
            }
        }
        Ok(problems)
    }

    /// Keys and secrets, by a passphrase.
    ///
    /// # Errors
    /// There are none in it, they are sealed to a public key, or the passphrase is another one.
    pub(crate) fn secrets(&self, passphrase: &Passphrase) -> Result<Secrets, BackupError> {
        let (part, bytes) = self.sealed()?;
        if !part.recipients.is_empty() {
            let to = part.recipients.join(", ");
            return Err(BackupError::NoKeys(format!(
                "keys are sealed to {to}, and not by a passphrase; give --identity FILE"
            )));
        }
        self.within(part, escrow::open(&bytes, passphrase)?)
    }

    /// Keys and secrets, by the secret half of a public key that they are sealed to.
    ///
    /// # Errors
    /// There are none in it, they are sealed by a passphrase, or to others.
    pub(crate) fn secrets_by(&self, identities: &[Identity]) -> Result<Secrets, BackupError> {
        let (part, bytes) = self.sealed()?;
        if part.recipients.is_empty() {
            let why = "keys are sealed by a passphrase, and not to a public key; give --passphrase-file FILE";
            return Err(BackupError::NoKeys(why.to_owned()));
        }
        let plain = age::open(&bytes, identities)?;
        self.within(part, escrow::read(&plain).ok_or(BackupError::WrongIdentity)?)
    }

    /// What is sealed, as it is.
    fn sealed(&self) -> Result<(&SealedPart, Vec<u8>), BackupError> {
        let part = self.manifest.sealed.as_ref().ok_or_else(|| {
            BackupError::NoKeys("keys are not in this backup, so that there is nothing to open".to_owned())
        })?;
        let bytes = read(&self.source, part.file(), escrow::MAX_FILE_BYTES)?;
        if Digest::of(&bytes) != part.digest {
            return Err(BackupError::Changed {
                path: part.file().to_owned(),
                reason: "it is not the file that the manifest names".to_owned(),
            });
        }
        Ok((part, bytes))
    }

    fn within(&self, part: &SealedPart, secrets: Secrets) -> Result<Secrets, BackupError> {
        match secrets.keys().find(|path| !is_plain(path)) {
            Some(path) => {
                let why = format!("`{path}` leads out of a home");
                Err(BackupError::no_backup(&self.source.place(part.file()), why))
            }
            None => Ok(secrets),
        }
    }

    fn content(&self, path: &str) -> Result<crate::manifest::Content, BackupError> {
        content_of(&mut self.source.file(path)?.0).map_err(BackupError::io("read", &self.source.place(path)))
    }

    /// A file of the home in it.
    pub(crate) fn file(&self, path: &str) -> Result<impl std::io::Read, BackupError> {
        Ok(self.source.file(&format!("{HOME}/{path}"))?.0)
    }

    /// The list of the files, if it is the one that the manifest names.
    pub(crate) fn files(&self) -> Result<Vec<FileRecord>, BackupError> {
        let path = self.source.place(FILES);
        if self.content(FILES)?.digest != self.manifest.files.digest {
            return Err(BackupError::no_backup(&path, "it is not the list that the manifest names"));
        }
        let wrong = |reason: String| BackupError::no_backup(&path, reason);
        let mut lines = BufReader::new(self.source.file(FILES)?.0);
        let mut files = Vec::new();
        loop {
            let mut line = Vec::new();
            let n = (&mut lines)
                .take(MAX_LINE.bytes as u64)
                .read_until(b'\n', &mut line)
                .map_err(BackupError::io("read", &path))?;
            if n == 0 {
                return match misplaced(&files) {
                    None => Ok(files),
                    Some(path) => Err(wrong(format!("`{path}` stands twice in it, or lies in what is no folder"))),
                };
            }
            let file: FileRecord = json::read(&line, MAX_LINE).map_err(|e| wrong(e.to_string()))?;
            if !is_plain(&file.path) {
                return Err(wrong(format!("`{}` leads out of a home", file.path)));
            }
            if files.len() == MAX_FILES {
                return Err(wrong(format!("it has more than {MAX_FILES} lines")));
            }
            files.push(file);
        }
    }
}

/// A path that stands twice, or that lies in anything but a folder of the list: in a link, say, which leads elsewhere.
fn misplaced(files: &[FileRecord]) -> Option<&str> {
    let is_folder = |file: &&FileRecord| file.content.is_none() && file.target.is_none();
    let folders: BTreeSet<&str> = files.iter().filter(is_folder).map(|file| file.path.as_str()).collect();
    let mut seen = BTreeSet::new();
    let lies_well = |path: &str| path.rsplit_once('/').is_none_or(|(folder, _)| folders.contains(folder));
    files.iter().map(|file| file.path.as_str()).find(|path| !seen.insert(*path) || !lies_well(path))
}

/// The key that a manifest names.
fn named(bytes: &[u8]) -> Result<VerifyingKey, String> {
    let envelope: Named = json::read(bytes, MAX_MANIFEST).map_err(|e| e.to_string())?;
    let payload = STANDARD.decode(&envelope.payload).map_err(|e| e.to_string())?;
    let value = json::value(&payload, MAX_MANIFEST).map_err(|e| e.to_string())?;
    let key = value.get("document_key").and_then(|k| k.as_str()).ok_or("it names no key")?;
    VerifyingKey::from_spki_pem(key).map_err(|e| e.to_string())
}

fn read(source: &Source, path: &str, limit: usize) -> Result<Vec<u8>, BackupError> {
    let place = source.place(path);
    let mut bytes = Vec::new();
    let (content, _) = source.file(path)?;
    content.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(BackupError::io("read", &place))?;
    if bytes.len() > limit {
        return Err(BackupError::no_backup(&place, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}
