//! Reading an agent's files, and copying them for another.
//!
//! ```text
//! let bytes = folders.read(&warrant, &action, &agent)?;                     // action `fs.read`
//! let mount = Mount { from: folders.path_of(&agent), .. };                  // what the agent sees of its own
//! folders.copy_for(&agent, &[("/reports/a.md".into(), digest)], &to)?;      // what a successor is handed
//! ```
//!
//! Deliberately absent: listing a folder (no action asks for it), and copying what was not recorded by digest.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fd::AsFd as _,
    fs::{CWD, Mode, OFlags, fsync, openat},
    io::Errno,
};
use steward_naming::{Name, visible};
use steward_permit::{Action, ResourceKind, Warrant};
use steward_seal::Digest;

use crate::{
    beneath,
    error::{EffectError, failed, refused},
    folders::{FILES, Folders, place, plain, read_bounded},
    path::GrantPath,
};

impl Folders {
    /// The bytes of the agent's file that `action` (`fs.read`) names.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH`, `PATH_REFUSED`, `FILE_NOT_FOUND`, `TARGET_NOT_A_FILE`, `TOO_LARGE`, `BROKEN`.
    pub fn read(&self, warrant: &Warrant, action: &Action, agent: &Name) -> Result<Vec<u8>, EffectError> {
        let why = if *warrant.digest() != action.digest() {
            "the warrant is for another action"
        } else if action.name().as_str() != "fs.read" || action.resource().kind() != ResourceKind::File {
            "the warrant is not for reading a file"
        } else if action.namespace() != agent.namespace() {
            "the warrant is for another namespace than the agent's"
        } else if warrant.actor() != agent.to_string() {
            "the warrant is for another agent"
        } else {
            return self.bytes_of(agent, &GrantPath::parse(action.resource().id())?);
        };
        Err(EffectError::WarrantMismatch(why))
    }

    /// The bytes of a file of the agent's, for a check of the node's own; none if there is no such file. Nothing is given to
    /// anybody, so that no warrant is asked for.
    ///
    /// # Errors
    /// `PATH_REFUSED`, `TARGET_NOT_A_FILE`, `TOO_LARGE`, `BROKEN`.
    pub fn contents(&self, agent: &Name, path: &GrantPath) -> Result<Option<Vec<u8>>, EffectError> {
        match self.bytes_of(agent, path) {
            Err(EffectError::FileNotFound(_)) => Ok(None),
            other => other.map(Some),
        }
    }

    /// The folder that `agent` owns, as an absolute path of the node, made if missing: to be mounted where the agent can read
    /// it. If it cannot be made, starting with that mount is refused, because it is missing.
    pub fn path_of(&self, agent: &Name) -> PathBuf {
        let _ = self.files(agent);
        self.path().join(place(agent, FILES))
    }

    /// Copies those files of `from` whose digests still match into a new folder `to`, on disk when it returns. `to` must not
    /// be there; after an error it is not.
    ///
    /// # Errors
    /// `ARTIFACT_CHANGED` naming the path that is gone or no longer what was recorded; `PATH_REFUSED`, `TARGET_NOT_A_FILE`,
    /// `TOO_LARGE`, `NO_SPACE`, `BROKEN`.
    pub fn copy_for(&self, from: &Name, artifacts: &[(String, Digest)], to: &Path) -> Result<(), EffectError> {
        let of_one = artifacts.iter().map(|(path, digest)| (from.clone(), path.clone(), *digest));
        self.copy_all(&of_one.collect::<Vec<_>>(), to)
    }

    /// The same of the files of several agents: each with its agent, path and digest. No two have one path.
    ///
    /// # Errors
    /// As [`Folders::copy_for`].
    pub fn copy_all(&self, artifacts: &[(Name, String, Digest)], to: &Path) -> Result<(), EffectError> {
        let failed = failed("copy the artifacts");
        DirBuilder::new().mode(beneath::FOLDER_MODE.bits()).create(to).map_err(&failed)?;
        let copied = self.copy_into(artifacts, to);
        if copied.is_err() {
            // Half of a handoff is none.
            let _ = fs::remove_dir_all(to);
        }
        copied
    }

    fn copy_into(&self, artifacts: &[(Name, String, Digest)], to: &Path) -> Result<(), EffectError> {
        let failed = failed("copy the artifacts");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = openat(CWD, to, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        for (from, path, digest) in artifacts {
            let path = GrantPath::parse(path)?;
            let bytes = match self.bytes_of(from, &path) {
                Ok(bytes) if Digest::of(&bytes) == *digest => bytes,
                Ok(_) | Err(EffectError::FileNotFound(_)) => {
                    return Err(EffectError::ArtifactChanged(visible(path.as_str())));
                }
                Err(error) => return Err(error),
            };
            let written = (|| {
                let (parent, name) = path.parent_and_name();
                let folder = parent.map(|parent| beneath::make_folders(&top, parent)).transpose()?;
                let folder = folder.as_ref().unwrap_or(&top);
                let mut file = beneath::new_file(folder.as_fd(), name)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                Ok::<_, io::Error>(fsync(folder)?)
            })();
            written.map_err(&failed)?;
        }
        fsync(&top).map_err(|e| failed(e.into()))
    }

    /// All of an agent's file.
    fn bytes_of(&self, agent: &Name, path: &GrantPath) -> Result<Vec<u8>, EffectError> {
        const DOING: &str = "read the file";
        let refused = refused(path, DOING);
        let gone = || EffectError::FileNotFound(visible(path.as_str()));
        let files = self.files(agent).map_err(|e| failed(DOING)(e.into()))?;
        // Looked at before it is opened, because opening a device can do something; and again after, because it may have changed.
        let stat = beneath::look(&files, path.beneath()).map_err(&refused)?.ok_or_else(gone)?;
        plain(path, &stat)?;
        let (file, stat) = match beneath::file(&files, path.beneath()) {
            Err(Errno::NOENT) => return Err(gone()),
            other => other.map_err(&refused)?,
        };
        plain(path, &stat)?;
        read_bounded(file).map_err(failed(DOING))?.ok_or(EffectError::TooLarge)
    }
}
