//! Opening what lies beneath a folder, and only that.
//!
//! Every name that this crate opens goes through `openat2` (Linux 5.6) with [`RESOLVE`]: the kernel refuses, in the same walk that
//! finds the file, whatever would lead out. Text is never joined, and nothing is checked first and opened later.

use std::{fs::File, os::fd::OwnedFd};

use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, fsync, mkdirat, openat2},
    io::{Errno, Result},
};

/// Beneath the folder, through no link of any kind, on the same file system.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Folders are their owner's only: 0700.
pub(crate) const FOLDER_MODE: Mode = Mode::RWXU;

/// Files are their owner's only: 0600.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The folder at `path` beneath `top`.
pub(crate) fn folder(top: impl AsFd, path: &str) -> Result<OwnedFd> {
    openat2(top, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), RESOLVE)
}

/// The folder `name` of `top`, made if it is missing; then its existence is on disk.
pub(crate) fn make_folder(top: impl AsFd, name: &str) -> Result<OwnedFd> {
    let top = top.as_fd();
    match folder(top, name) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    match mkdirat(top, name, FOLDER_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    fsync(top)?;
    folder(top, name)
}

/// The folder at `path` beneath `top`, with those on the way made one at a time.
pub(crate) fn make_folders(top: impl AsFd, path: &str) -> Result<OwnedFd> {
    let top = top.as_fd();
    match folder(top, path) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut parent: Option<OwnedFd> = None;
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        // Each is found from the top, so that a folder that was moved away in the meantime is not followed to where it went.
        let so_far = &path[..end];
        let next = match folder(top, so_far) {
            Err(Errno::NOENT) => {
                let name = so_far.rsplit('/').next().unwrap_or(so_far);
                make_folder(parent.as_ref().map_or(top, |parent| parent.as_fd()), name)?
            }
            other => other?,
        };
        parent = Some(next);
    }
    folder(top, path)
}

/// What stands at `path` beneath `top`, without opening it: a fifo does not block and a device does nothing. `None` if
/// nothing is there.
pub(crate) fn look(top: impl AsFd, path: &str) -> Result<Option<Stat>> {
    match openat2(top, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), RESOLVE) {
        Ok(node) => Ok(Some(fstat(node)?)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The file at `path` beneath `top`, to be read, and what it is.
pub(crate) fn file(top: impl AsFd, path: &str) -> Result<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat2(top, path, flags, Mode::empty(), RESOLVE)?;
    let stat = fstat(&file)?;
    Ok((file.into(), stat))
}

/// A new file `name` in the folder `top`; an error if anything has that name.
pub(crate) fn new_file(top: BorrowedFd<'_>, name: &str) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(top, name, flags, FILE_MODE, RESOLVE).map(File::from)
}

/// Why `stat` is not of a plain file with one name; `None` if it is.
pub(crate) fn not_a_plain_file(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink > 1 => Some("a file with a second name (a hard link)"),
        FileType::RegularFile => None,
        FileType::Symlink => Some("a link"),
        FileType::Directory => Some("a folder"),
        FileType::Fifo => Some("a fifo"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("something unknown"),
    }
}
