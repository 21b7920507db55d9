//! Where a backup is read from: a folder, or one file.
//!
//! Of one file the index is read when it is opened, and each content where it stands; nothing is unpacked but the copy of the store, when the
//! ledger in it is asked for, since SQLite opens files only.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Take},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    STORE_FILE,
    error::BackupError,
    files::{MAX_FILES, is_plain},
    manifest::{SEALED, SEALED_TO_KEYS},
    opening::{FILES, HOME, MANIFEST},
    tar::{self, Part},
};

/// Where a backup is read from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A folder.
    Folder(PathBuf),
    /// A file.
    Packed(Box<Packed>),
}

/// A backup that is one file.
#[derive(Debug)]
pub(crate) struct Packed {
    path: PathBuf,
    files: BTreeMap<String, Part>,
    folders: BTreeSet<String>,
    store: OnceLock<Scratch>,
}

impl Source {
    /// The one that lies there.
    pub(crate) fn open(path: &Path) -> Result<Self, BackupError> {
        let about = fs::metadata(path).map_err(BackupError::io("open", path))?;
        if about.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if !about.is_file() {
            return Err(BackupError::no_backup(path, "it is neither a folder nor a file"));
        }
        let mut from = BufReader::new(File::open(path).map_err(BackupError::io("open", path))?);
        let (mut files, mut folders) = (BTreeMap::new(), BTreeSet::new());
        let index = tar::read(&mut from, |item, part| {
            let shown = steward_naming::visible(&item.path);
            let in_home = item.path.strip_prefix(HOME).and_then(|rest| rest.strip_prefix('/'));
            let is_known = match (in_home, item.bytes) {
                (Some(path), _) => is_plain(path),
                (None, None) => item.path == HOME,
                (None, Some(_)) => [MANIFEST, FILES, SEALED, SEALED_TO_KEYS].contains(&item.path.as_str()),
            };
            if !is_known {
                return Err(format!("`{shown}` is nothing of a backup, or leads out of one"));
            }
            if files.contains_key(MANIFEST) {
                return Err(format!("`{shown}` stands behind its manifest, which is its end"));
            }
            if files.len() + folders.len() >= MAX_FILES + 8 {
                return Err(format!("it has more than {MAX_FILES} files"));
            }
            let is_new = match item.bytes {
                Some(_) => !folders.contains(&item.path) && files.insert(item.path, part).is_none(),
                None => !files.contains_key(&item.path) && folders.insert(item.path),
            };
            if is_new { Ok(()) } else { Err(format!("`{shown}` stands in it twice")) }
        });
        index.map_err(BackupError::io("read", path))?.map_err(|why| BackupError::no_backup(path, why))?;
        Ok(Self::Packed(Box::new(Packed { path: path.to_owned(), files, folders, store: OnceLock::new() })))
    }

    /// A name for what lies in it, for people.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        match self {
            Self::Folder(root) => root.join(path),
            Self::Packed(packed) => packed.path.join(path),
        }
    }

    /// The content of a file, and its bytes.
    pub(crate) fn file(&self, path: &str) -> Result<(Take<File>, u64), BackupError> {
        match self {
            Self::Folder(root) => {
                let path = root.join(path);
                let file = File::open(&path).map_err(BackupError::io("open", &path))?;
                let bytes = file.metadata().map_err(BackupError::io("look at", &path))?.len();
                Ok((file.take(u64::MAX), bytes))
            }
            Self::Packed(packed) => packed.file(path),
        }
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        match self {
            Self::Folder(root) => root.join(path).is_dir(),
            Self::Packed(packed) => packed.folders.contains(path),
        }
    }

    /// The files and folders of the home in it, by their path there.
    pub(crate) fn home(&self) -> Result<Vec<String>, BackupError> {
        match self {
            Self::Folder(root) => {
                let mut found = Vec::new();
                walk(&root.join(HOME), "", &mut found)?;
                Ok(found)
            }
            Self::Packed(packed) => {
                let all = packed.files.keys().chain(&packed.folders);
                let in_home = |path: &String| Some(path.strip_prefix(HOME)?.strip_prefix('/')?.to_owned());
                Ok(all.filter_map(in_home).collect())
            }
        }
    }

    /// The copy of the store, as a file.
    pub(crate) fn store(&self) -> Result<PathBuf, BackupError> {
        match self {
            Self::Folder(root) => Ok(root.join(HOME).join(STORE_FILE)),
            Self::Packed(packed) => packed.store(),
        }
    }
}

impl Packed {
    fn file(&self, path: &str) -> Result<(Take<File>, u64), BackupError> {
        let place = self.path.join(path);
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it is not in the backup");
        let part = self.files.get(path).ok_or_else(|| BackupError::io("read", &place)(missing()))?;
        let mut file = File::open(&self.path).map_err(BackupError::io("open", &self.path))?;
        file.seek(SeekFrom::Start(part.at)).map_err(BackupError::io("read", &self.path))?;
        Ok((file.take(part.bytes), part.bytes))
    }

    fn store(&self) -> Result<PathBuf, BackupError> {
        if let Some(scratch) = self.store.get() {
            return Ok(scratch.folder.join(STORE_FILE));
        }
        let (mut content, bytes) = self.file(&format!("{HOME}/{STORE_FILE}"))?;
        let scratch = Scratch::new()?;
        let to = scratch.folder.join(STORE_FILE);
        let free = rustix::fs::statvfs(&scratch.folder).map(|about| about.f_bavail.saturating_mul(about.f_frsize));
        let free = free.map_err(|error| BackupError::io("look at", &to)(error.into()))?;
        if bytes > free {
            return Err(BackupError::NoRoom { path: to.display().to_string(), needed: bytes, free });
        }
        let writing = BackupError::io("write", &to);
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).map_err(&writing)?;
        let copied = io::copy(&mut content, &mut copy).map_err(&writing)?;
        if copied != bytes {
            return Err(BackupError::no_backup(&self.path, "it became shorter while it was read"));
        }
        // Two at once make two; the second goes away with its folder.
        Ok(self.store.get_or_init(|| scratch).folder.join(STORE_FILE))
    }
}

/// A folder for what must be a file for a while, which its owner alone reads. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) folder: PathBuf,
}

impl Scratch {
    /// In the folder for such things: `TMPDIR`.
    pub(crate) fn new() -> Result<Self, BackupError> {
        static NTH: AtomicU64 = AtomicU64::new(0);
        loop {
            let name = format!("steward-backup-{}-{}", std::process::id(), NTH.fetch_add(1, Ordering::Relaxed));
            let folder = env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self { folder }),
                // Of a process of the same number that was killed, or somebody's who is in the way: not ours.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BackupError::io("make", &folder)(error)),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for what may go away.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The files and folders in `folder`, by their path.
fn walk(folder: &Path, before: &str, found: &mut Vec<String>) -> Result<(), BackupError> {
    let failed = BackupError::io("read", folder);
    for item in fs::read_dir(folder).map_err(&failed)? {
        let item = item.map_err(&failed)?;
        let path = format!("{before}{}", item.file_name().to_string_lossy());
        if item.file_type().map_err(&failed)?.is_dir() {
            walk(&item.path(), &format!("{path}/"), found)?;
        }
        found.push(path);
    }
    Ok(())
}
