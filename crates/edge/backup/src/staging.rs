//! A folder that is made beside its place, and takes it by a rename: all of it or nothing.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with},
    io::Errno,
};

use crate::error::BackupError;

/// A folder under way. It is removed when it is dropped; one of a process that was killed is removed by the next that wants the place.
pub(crate) struct Staging {
    place: PathBuf,
    parent: PathBuf,
    folder: PathBuf,
    is_settled: bool,
    /// Locked while this process works on it.
    _held: File,
}

impl Staging {
    /// Begins beside `place`, which must be free: nothing, or an empty folder.
    pub(crate) fn begin(place: &Path) -> Result<Self, BackupError> {
        Self::beside(place, is_free)
    }

    /// The same for a file, which takes no folder's place.
    pub(crate) fn begin_file(place: &Path) -> Result<Self, BackupError> {
        Self::beside(place, is_nothing)
    }

    fn beside(place: &Path, is_free: impl Fn(&Path) -> Result<(), BackupError>) -> Result<Self, BackupError> {
        let place = std::path::absolute(place).map_err(BackupError::io("find", place))?;
        let name = place.file_name().ok_or_else(|| BackupError::Occupied(place.display().to_string()))?;
        let name = name.to_string_lossy().into_owned();
        let parent = place.parent().unwrap_or(Path::new("/")).to_owned();
        fs::create_dir_all(&parent).map_err(BackupError::io("make", &parent))?;
        is_free(&place)?;
        let folder = parent.join(format!(".{name}.half"));
        loop {
            let is_ours = match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                Err(error) => return Err(BackupError::io("make", &folder)(error)),
            };
            let held = File::open(&folder).map_err(BackupError::io("open", &folder))?;
            flock(&held, FlockOperation::NonBlockingLockExclusive)
                .map_err(|_| BackupError::Busy(place.display().to_string()))?;
            if is_ours {
                return Ok(Self { place, parent, folder, is_settled: false, _held: held });
            }
            // Of a process that was killed: nobody holds it.
            fs::remove_dir_all(&folder).map_err(BackupError::io("remove", &folder))?;
        }
    }

    /// The folder under way.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// One file of it is all, and on disk: that takes the place.
    pub(crate) fn settle_file(self, file: &Path) -> Result<PathBuf, BackupError> {
        let moving = BackupError::io("move", file);
        steward_clock::mishap::at("backup.before_rename").map_err(&moving)?;
        // Whatever somebody put there meanwhile stays.
        match renameat_with(CWD, file, CWD, &self.place, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => return Err(BackupError::Occupied(self.place.display().to_string())),
            // A file system that cannot: whatever is there is looked for, and then replaced.
            Err(Errno::INVAL) => {
                is_nothing(&self.place)?;
                fs::rename(file, &self.place).map_err(&moving)?;
            }
            moved => moved.map_err(|error| moving(error.into()))?,
        }
        steward_clock::mishap::at("backup.after_rename").map_err(&moving)?;
        sync(&self.parent)?;
        Ok(self.place.clone())
    }

    /// Everything is in it and on disk: it takes its place.
    pub(crate) fn settle(mut self) -> Result<PathBuf, BackupError> {
        sync_folders(&self.folder)?;
        // Somebody may have put something there meanwhile. A rename replaces an empty folder and nothing else.
        is_free(&self.place)?;
        steward_clock::mishap::at("backup.before_rename").map_err(BackupError::io("move", &self.folder))?;
        fs::rename(&self.folder, &self.place).map_err(BackupError::io("move", &self.folder))?;
        self.is_settled = true;
        steward_clock::mishap::at("backup.after_rename").map_err(BackupError::io("move", &self.folder))?;
        sync(&self.parent)?;
        Ok(self.place.clone())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next that wants the place.
        if !self.is_settled {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn is_nothing(place: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io("look at", place)(error)),
        Ok(_) => Err(BackupError::Occupied(place.display().to_string())),
    }
}

fn is_free(place: &Path) -> Result<(), BackupError> {
    match fs::read_dir(place) {
        Ok(mut inside) => match inside.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::Occupied(place.display().to_string())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(BackupError::Occupied(place.display().to_string()))
        }
        Err(error) => Err(BackupError::io("look into", place)(error)),
    }
}

/// Makes a folder that is its owner's alone.
pub(crate) fn make_folder(folder: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(folder).map_err(BackupError::io("make", folder))
}

pub(crate) fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(BackupError::io("sync", path))
}

/// Syncs a folder and all folders in it.
fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    for item in fs::read_dir(folder).map_err(BackupError::io("read", folder))? {
        let item = item.map_err(BackupError::io("read", folder))?;
        if item.file_type().map_err(BackupError::io("read", folder))?.is_dir() {
            sync_folders(&item.path())?;
        }
    }
    sync(folder)
}

/// Writes a file that is its owner's alone, and syncs it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(BackupError::io("write", path))
}
