//! Which files of a home are copied, and how.
//!
//! What is known to hold no secret is copied as it is. What is known to be made anew is left out. Everything else counts as a secret and is
//! sealed, so that a file that a later version puts there is not copied in the clear by mistake.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use steward_seal::Digest;
use zeroize::Zeroizing;

use crate::{
    ROLLED_BACK_FILE, STORE_FILE,
    error::BackupError,
    escrow::{MAX_SEALED_BYTES, Secrets},
    manifest::{Content, FileRecord, LeftOut},
    packing::Out,
    staging::{self, make_folder},
};

/// What is copied as it is.
const PLAIN: [&str; 6] = ["agents", "policies", "programs", "steward.toml", "tools", ROLLED_BACK_FILE];

/// What is no part of what a node is: the store is copied by itself, the rest is made anew by each start.
const PASSED_OVER: [&str; 5] = [STORE_FILE, "store.sqlite-wal", "store.sqlite-shm", "run", "runs"];

/// What is left out, and why.
const LEFT_OUT: [(&str, &str); 2] =
    [("logs", "logs are no facts: what happened stands in the ledger"), ("index", "it is made anew from the store")];

/// The most files, folders and links.
pub(crate) const MAX_FILES: usize = 1_000_000;

/// The deepest that folders lie in each other.
const MAX_DEPTH: usize = 64;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// What was found in a home.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<FileRecord>,
    pub(crate) secrets: Secrets,
    pub(crate) left_out: Vec<LeftOut>,
    sealed_bytes: usize,
}

/// Copies what is plain of the home `from`, and reads what is secret. A file that disappears meanwhile was not there.
pub(crate) fn copy(from: &Path, to: &mut Out<'_>) -> Result<Found, BackupError> {
    let mut found = Found::default();
    let from = &fs::canonicalize(from).map_err(BackupError::io("read", from))?;
    for name in names(from)? {
        let path = from.join(&name);
        if PASSED_OVER.contains(&name.as_str()) {
            continue;
        }
        if let Some((_, why)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == name) {
            found.left_out.push(LeftOut { path: name, why: (*why).to_owned() });
        } else if PLAIN.contains(&name.as_str()) {
            take(&path, to, &name, 0, &mut found)?;
        } else {
            hide(&path, &name, 0, &mut found)?;
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Opens what was found in a home, if it is still a file or a folder there, and no link stands in its path: what agents and tools may write
/// changes while it is copied. `from` begins with the home's own path, which leads through no link.
pub(crate) fn open_in_home(from: &Path, is_folder: bool) -> Result<File, BackupError> {
    let failed = BackupError::io("read", from);
    let kind = if is_folder { OFlags::DIRECTORY } else { OFlags::NONBLOCK };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | kind;
    let opened = openat2(CWD, from, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
    let file = match opened {
        // It was a file or a folder a moment ago, and is something else now: as if it had not been there.
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(failed(ErrorKind::NotFound.into())),
        other => File::from(other.map_err(|e| failed(e.into()))?),
    };
    let is_as_said = file.metadata().map_err(&failed)?.is_dir() == is_folder;
    match is_folder || file.metadata().map_err(&failed)?.is_file() {
        true if is_as_said => Ok(file),
        _ => Err(failed(ErrorKind::NotFound.into())),
    }
}

/// The names in a folder that are text, the last first: a node's `staging` is read before its `files`, so that what is published
/// meanwhile is in one of them.
fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let failed = BackupError::io("read", folder);
    let opened = open_in_home(folder, true)?;
    let mut names = Vec::new();
    for item in fs::read_dir(format!("/proc/self/fd/{}", opened.as_raw_fd())).map_err(&failed)? {
        let name = item.map_err(&failed)?.file_name();
        let name = name.into_string().map_err(|name| {
            failed(io::Error::new(ErrorKind::InvalidData, format!("the name {name:?} in it is not UTF-8")))
        })?;
        names.push(name);
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn is_gone(error: &BackupError) -> bool {
    matches!(error, BackupError::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// Copies a file, a folder with all that is in it, or a link.
fn take(from: &Path, to: &mut Out<'_>, path: &str, depth: usize, found: &mut Found) -> Result<(), BackupError> {
    let metadata = match fs::symlink_metadata(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(BackupError::io("look at", from))?,
    };
    if depth > MAX_DEPTH || found.files.len() >= MAX_FILES {
        let why = "there are too many files, or folders too deep in each other";
        return Err(BackupError::io("copy", from)(io::Error::other(why)));
    }
    let record = |content, target, mode| FileRecord { path: path.to_owned(), mode, content, target };
    let mode = Some(metadata.mode() & 0o777);
    let kind = metadata.file_type();
    if kind.is_dir() {
        let names = match names(from) {
            Err(error) if is_gone(&error) => return Ok(()),
            other => other?,
        };
        to.folder(path)?;
        found.files.push(record(None, None, mode));
        for name in names {
            take(&from.join(&name), to, &format!("{path}/{name}"), depth + 1, found)?;
        }
    } else if kind.is_file() {
        match to.file(from, path) {
            Ok(content) => found.files.push(record(Some(content), None, mode)),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    } else if kind.is_symlink() {
        let target = match fs::read_link(from) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(BackupError::io("read", from))?,
        };
        match target.into_os_string().into_string() {
            Ok(target) => found.files.push(record(None, Some(target), None)),
            Err(_) => leave_out(found, path, "it is a link to what is not UTF-8"),
        }
    } else {
        leave_out(found, path, "it is neither a file nor a folder nor a link");
    }
    Ok(())
}

fn leave_out(found: &mut Found, path: &str, why: &str) {
    found.left_out.push(LeftOut { path: path.to_owned(), why: why.to_owned() });
}

/// Reads what is secret into memory.
fn hide(from: &Path, path: &str, depth: usize, found: &mut Found) -> Result<(), BackupError> {
    let metadata = match fs::symlink_metadata(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(BackupError::io("look at", from))?,
    };
    if metadata.is_dir() && depth < MAX_DEPTH {
        for name in names(from)? {
            hide(&from.join(&name), &format!("{path}/{name}"), depth + 1, found)?;
        }
    } else if metadata.is_file() {
        let mut bytes = Zeroizing::new(Vec::new());
        let room = MAX_SEALED_BYTES - found.sealed_bytes;
        let file = open_in_home(from, false)?;
        file.take(room as u64 + 1).read_to_end(&mut bytes).map_err(BackupError::io("read", from))?;
        if bytes.len() > room {
            return Err(BackupError::TooMuchSealed { path: path.to_owned(), limit: MAX_SEALED_BYTES });
        }
        found.sealed_bytes += bytes.len();
        found.secrets.insert(path.to_owned(), bytes);
    } else {
        leave_out(found, path, "it is neither a file nor a folder");
    }
    Ok(())
}

/// Copies a file of which somebody may be writing the end: as much as it has when it is opened. The copy is on disk when this returns.
/// Its mode is the one of the original, or the one that is given.
pub(crate) fn copy_file(from: &Path, to: &Path, mode: Option<u32>) -> Result<Content, BackupError> {
    let reading = BackupError::io("read", from);
    let writing = BackupError::io("write", to);
    let mut source = open_in_home(from, false)?;
    let metadata = source.metadata().map_err(&reading)?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(&writing)?;
    let content = pour(&mut source, metadata.len(), Some(&mut copy)).map_err(&writing)?;
    let mode = mode.unwrap_or(metadata.mode() & 0o777);
    copy.set_permissions(fs::Permissions::from_mode(mode)).map_err(&writing)?;
    copy.sync_all().map_err(&writing)?;
    Ok(content)
}

/// Copies what is in a backup into a file that is not there yet. The copy is on disk when this returns.
pub(crate) fn put_file(from: &mut impl Read, to: &Path, mode: u32) -> Result<Content, BackupError> {
    let writing = BackupError::io("write", to);
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(&writing)?;
    let content = pour(from, u64::MAX, Some(&mut copy)).map_err(&writing)?;
    copy.set_permissions(fs::Permissions::from_mode(mode)).map_err(&writing)?;
    copy.sync_all().map_err(&writing)?;
    Ok(content)
}

/// What a file holds now.
pub(crate) fn content(path: &Path) -> Result<Content, BackupError> {
    let reading = BackupError::io("read", path);
    let mut file = File::open(path).map_err(&reading)?;
    content_of(&mut file).map_err(&reading)
}

/// What is left to read.
pub(crate) fn content_of(from: &mut impl Read) -> io::Result<Content> {
    pour(from, u64::MAX, None)
}

/// Counts and hashes what is read through it.
pub(crate) struct Hashing<R> {
    from: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, hash: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn content(self) -> Content {
        Content { digest: Digest::from_bytes(self.hash.finalize().into()), bytes: self.bytes }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(piece)?;
        self.hash.update(&piece[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

fn pour(from: &mut impl Read, limit: u64, mut to: Option<&mut File>) -> io::Result<Content> {
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE];
    while bytes < limit {
        let most = usize::try_from(limit - bytes).map_or(PIECE, |left| left.min(PIECE));
        let n = match from.read(&mut piece[..most]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        };
        if n == 0 {
            break;
        }
        hash.update(&piece[..n]);
        if let Some(to) = &mut to {
            to.write_all(&piece[..n])?;
        }
        bytes += n as u64;
    }
    Ok(Content { digest: Digest::from_bytes(hash.finalize().into()), bytes })
}

/// The parts of a path in a home, if it is one that leads nowhere else.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.len() < 4096
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Writes a secret file, with the folders that it lies in.
pub(crate) fn write_secret(home: &Path, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let to = home.join(path);
    let mut folder = home.to_owned();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            // A link, say, that leads elsewhere.
            Ok(_) => {
                let why = io::Error::other("it is no folder, and a secret would be written through it");
                return Err(BackupError::io("write", &folder)(why));
            }
            Err(_) => make_folder(&folder)?,
        }
    }
    staging::write(&to, bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{Out, copy, is_plain};

    #[test]
    fn what_is_not_known_to_be_plain_is_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (home, to) = (folder.path().join("home"), folder.path().join("to"));
        for (path, text) in [
            ("agents/acme/scribe/files/a.md", "a"),
            ("programs/agent.sh", "#!"),
            ("steward.toml", "log = 1"),
            ("store.sqlite", "not by this"),
            ("run/lock", ""),
            ("logs/main.log", "x"),
            ("keys/document.pem", "secret"),
            ("secrets/openrouter", "secret"),
            ("tls/later.pem", "secret of a later version"),
        ] {
            fs::create_dir_all(home.join(path).parent().unwrap()).unwrap();
            fs::write(home.join(path), text).unwrap();
        }
        symlink("agent.sh", home.join("programs/link")).unwrap();
        fs::create_dir_all(to.join("home")).unwrap();
        let found = copy(&home, &mut Out::Folder(&to)).unwrap();
        let to = to.join("home");
        let paths: Vec<&str> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "agents",
                "agents/acme",
                "agents/acme/scribe",
                "agents/acme/scribe/files",
                "agents/acme/scribe/files/a.md",
                "programs",
                "programs/agent.sh",
                "programs/link",
                "steward.toml",
            ]
        );
        let secrets: Vec<&str> = found.secrets.keys().map(String::as_str).collect();
        assert_eq!(secrets, ["keys/document.pem", "secrets/openrouter", "tls/later.pem"]);
        assert_eq!(found.left_out.iter().map(|l| l.path.as_str()).collect::<Vec<_>>(), ["logs"]);
        assert!(!to.join("keys").exists() && !to.join("tls").exists() && to.join("programs/agent.sh").exists());
    }

    #[test]
    fn paths_lead_nowhere_else() {
        assert!(is_plain("a") && is_plain("a/b.c/…"));
        for path in ["", "/a", "a/", "a//b", ".", "a/../b", "..", "a/.", "a\0b"] {
            assert!(!is_plain(path), "{path:?}");
        }
    }
}
