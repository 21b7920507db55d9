//! Where agents' files are, and what recovery needs to know about them.
//!
//! ```text
//! <root>/<namespace>/<label>/files/      what the agent owns; its path `/reports/a.md` is files/reports/a.md
//! <root>/<namespace>/<label>/staging/    one file per action on its way, named by the action's id
//! ```
//!
//! All on one file system (a rename must be atomic): a mount or a link inside the root is refused. Folders have mode 0700,
//! files 0600.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, fchmod, fsync, openat, unlinkat},
    io::Errno,
};
use steward_clock::mishap;
use steward_naming::{ActionId, Name};
use steward_seal::Digest;

use crate::{
    beneath,
    error::{EffectError, failed, refused},
    path::{GrantPath, MAX_FILE_BYTES},
};

pub(crate) const FILES: &str = "files";
const STAGING: &str = "staging";

/// A file that is in place and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The digest of its content.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}

/// The most that [`Folders::staged`] lists at a time, so that a start after a crash has bounded memory: discard those and ask
/// again.
pub const MAX_LISTED: usize = 10_000;

/// The folders of all agents of a node.
#[derive(Debug)]
pub struct Folders {
    /// Everything is opened beneath this, so that moving or replacing the path that it was opened by changes nothing.
    root: OwnedFd,
    /// Where it was when it was opened, for what can only be named by a path: a mount.
    path: PathBuf,
}

impl Folders {
    /// Opens the folders at `root` (a node's HOME/agents), made with mode 0700 if missing, set to it otherwise.
    ///
    /// # Errors
    /// `NO_RESOLVER` if the kernel cannot resolve beneath a folder (there is no other way to go on); `BROKEN` if the root is a
    /// link, not a folder, or not ours.
    pub fn open(root: &Path) -> Result<Self, EffectError> {
        let failed = failed("open the agents' folders");
        match DirBuilder::new().mode(beneath::FOLDER_MODE.bits()).create(root) {
            // That it exists is on disk before anything in it is.
            Ok(()) => sync_parent(root).map_err(&failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(CWD, root, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        fchmod(&folder, beneath::FOLDER_MODE).map_err(|e| failed(e.into()))?;
        match beneath::folder(&folder, ".") {
            Ok(_) => Ok(Self { root: folder, path: root.canonicalize().map_err(failed)? }),
            // A sandbox that does not know the call answers EPERM.
            Err(errno @ (Errno::NOSYS | Errno::PERM)) => Err(EffectError::NoResolver(errno.into())),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// How many bytes are free on the disk that the folders, and with them the node's store, are on.
    ///
    /// # Errors
    /// The file system says no.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether bytes of `action` are staged, whole or in part.
    ///
    /// # Errors
    /// `BROKEN`.
    pub fn is_staged(&self, agent: &Name, action: &ActionId) -> Result<bool, EffectError> {
        let failed = failed("look for staged bytes");
        let Some(staging) = self.existing(agent, STAGING).map_err(|e| failed(e.into()))? else { return Ok(false) };
        Ok(beneath::look(&staging, action.as_str()).map_err(|e| failed(e.into()))?.is_some())
    }

    /// What is staged for any agent, sorted: at most [`MAX_LISTED`], whichever were found first. Whatever has no name that this
    /// crate gives is passed over.
    ///
    /// # Errors
    /// `BROKEN`.
    pub fn staged(&self) -> Result<Vec<(Name, ActionId)>, EffectError> {
        self.leftovers().map_err(|e| failed("list what is staged")(e.into()))
    }

    /// Removes what is staged of `action`. Doing it again does nothing.
    ///
    /// # Errors
    /// `BROKEN`.
    pub fn discard(&self, agent: &Name, action: &ActionId) -> Result<(), EffectError> {
        let failed = failed("discard staged bytes");
        let Some(staging) = self.existing(agent, STAGING).map_err(|e| failed(e.into()))? else { return Ok(()) };
        mishap::at("effect.discard.before_unlink").map_err(&failed)?;
        match unlinkat(&staging, action.as_str(), AtFlags::empty()) {
            Ok(()) => {
                mishap::at("effect.discard.after_unlink").map_err(&failed)?;
                fsync(&staging).map_err(|e| failed(e.into()))
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// The digest and size of the file at `path`, found by the same resolution as publishing uses; `None` if nothing is there.
    ///
    /// # Errors
    /// `PATH_REFUSED`, `TARGET_NOT_A_FILE`, `TOO_LARGE`, `BROKEN`.
    pub fn published(&self, agent: &Name, path: &GrantPath) -> Result<Option<Published>, EffectError> {
        const DOING: &str = "read the file";
        let Some(files) = self.existing(agent, FILES).map_err(|e| failed(DOING)(e.into()))? else { return Ok(None) };
        let refused = refused(path, DOING);
        // Looked at before it is opened, because opening a device can do something; and again after, because it may have changed.
        match beneath::look(&files, path.beneath()).map_err(&refused)? {
            Some(stat) => plain(path, &stat)?,
            None => return Ok(None),
        }
        let (file, stat) = match beneath::file(&files, path.beneath()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(&refused)?,
        };
        plain(path, &stat)?;
        let bytes = read_bounded(file).map_err(failed(DOING))?.ok_or(EffectError::TooLarge)?;
        Ok(Some(Published { digest: Digest::of(&bytes), bytes: bytes.len() as u64 }))
    }

    /// The folder in which `agent`'s bytes wait, made if missing.
    pub(crate) fn staging(&self, agent: &Name) -> rustix::io::Result<OwnedFd> {
        self.own(agent, STAGING)
    }

    /// The folder that `agent` owns, made if missing.
    pub(crate) fn files(&self, agent: &Name) -> rustix::io::Result<OwnedFd> {
        self.own(agent, FILES)
    }

    /// The root, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn own(&self, agent: &Name, which: &str) -> rustix::io::Result<OwnedFd> {
        beneath::make_folders(&self.root, &place(agent, which))
    }

    fn existing(&self, agent: &Name, which: &str) -> rustix::io::Result<Option<OwnedFd>> {
        match beneath::folder(&self.root, &place(agent, which)) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn leftovers(&self) -> rustix::io::Result<Vec<(Name, ActionId)>> {
        let mut found = Vec::new();
        'all: for namespace in names(&self.root)? {
            let namespace = namespace?;
            let Some(labels) = folder_or_none(&self.root, &namespace)? else { continue };
            for label in names(&labels)? {
                let label = label?;
                let Ok(agent) = format!("{label}.{namespace}").parse::<Name>() else { continue };
                // Only in its one spelling: a folder `Scribe` is not that of `scribe`.
                if agent.label().as_str() != label || agent.namespace().as_str() != namespace {
                    continue;
                }
                let Some(staging) = folder_or_none(&labels, &format!("{label}/{STAGING}"))? else { continue };
                for id in names(&staging)? {
                    let Ok(id) = id?.parse() else { continue };
                    found.push((agent.clone(), id));
                    if found.len() == MAX_LISTED {
                        break 'all;
                    }
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Where something of an agent's is, from the root. Labels and namespaces are lower-case ASCII without slashes and never empty.
pub(crate) fn place(agent: &Name, which: &str) -> String {
    format!("{}/{}/{which}", agent.namespace(), agent.label())
}

/// The names in a folder as they are read, but for `.` and `..` and what is not text.
fn names(folder: &OwnedFd) -> rustix::io::Result<impl Iterator<Item = rustix::io::Result<String>>> {
    Ok(Dir::read_from(folder)?.filter_map(|entry| match entry {
        Ok(entry) => {
            entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(|n| Ok(n.to_owned()))
        }
        Err(errno) => Some(Err(errno)),
    }))
}

/// The folder at `path`, or `None` if there is none: nothing, or something that is not ours.
fn folder_or_none(top: &OwnedFd, path: &str) -> rustix::io::Result<Option<OwnedFd>> {
    match beneath::folder(top, path) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn sync_parent(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Refuses what is not a plain file of one name.
pub(crate) fn plain(path: &GrantPath, stat: &rustix::fs::Stat) -> Result<(), EffectError> {
    match beneath::not_a_plain_file(stat) {
        None => Ok(()),
        Some(what) => Err(EffectError::TargetNotAFile { path: steward_naming::visible(path.as_str()), what }),
    }
}

/// All of a file, or `None` if it has more than [`MAX_FILE_BYTES`].
pub(crate) fn read_bounded(file: File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_FILE_BYTES).then_some(bytes))
}
