//! Where a node keeps itself, and where it says that it listens.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The most bytes of `run/address` that are read.
const MAX_ADDRESS_BYTES: usize = 512;

/// The environment variable with the key to use instead of the remembered one: an agent's, or that of a script.
pub(crate) const KEY_VARIABLE: &str = "STEWARD_KEY";

/// There is no place to look for a node in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not known where the node's home is: give it with --home DIR, or set STEWARD_HOME")]
pub struct NoHome;

/// The usual place of a node's home: `~/.local/share/steward`.
///
/// # Errors
/// `$HOME` is not set.
pub fn default_home() -> Result<PathBuf, NoHome> {
    user_folder().map(|user| user.join(".local/share/steward")).ok_or(NoHome)
}

/// The file in which a running node says where it listens.
pub fn address_file(home: &Path) -> PathBuf {
    home.join("run/address")
}

/// What was said, or the usual place; absolute, and without links if it exists.
pub(crate) fn home(said: Option<&Path>) -> Result<PathBuf, NoHome> {
    let home = match said {
        Some(home) if home.as_os_str().is_empty() => return Err(NoHome),
        Some(home) => home.to_owned(),
        None => default_home()?,
    };
    fs::canonicalize(&home).or_else(|_| std::path::absolute(&home)).map_err(|_| NoHome)
}

/// Whether the environment holds a key.
pub(crate) fn has_key_of_environment() -> bool {
    std::env::var_os(KEY_VARIABLE).is_some_and(|key| !key.is_empty())
}

/// The user's own folder.
pub(crate) fn user_folder() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Where the node of this home says it listens; nothing if it does not run. A node that was killed leaves its address behind, and
/// somebody else may listen there now, who is to get no key: the address is believed while the node holds its lock.
pub(crate) fn address(home: &Path) -> io::Result<Option<String>> {
    match fs::File::open(home.join("run/lock")) {
        Ok(lock) if lock.try_lock_shared().is_ok() => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    match read_small(&address_file(home), MAX_ADDRESS_BYTES) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_bounded(fs::File::open(path)?, limit)
}

/// Reads at most `limit` bytes, and refuses more.
pub(crate) fn read_bounded(from: impl io::Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(from, limit as u64 + 1), &mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{address, home, read_bounded};

    #[test]
    fn a_home_is_absolute_and_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
        assert_eq!(home(Some(&folder.path().join("link"))), home(Some(&real)));
        assert!(home(Some(Path::new("nowhere"))).unwrap().is_absolute());
        assert!(home(Some(Path::new(""))).is_err());
    }

    #[test]
    fn the_address_is_what_the_node_wrote() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(address(folder.path()).unwrap(), None);
        std::fs::create_dir(folder.path().join("run")).unwrap();
        let lock = std::fs::File::create(folder.path().join("run/lock")).unwrap();
        std::fs::write(folder.path().join("run/address"), "http://127.0.0.1:4000\n").unwrap();
        assert_eq!(address(folder.path()).unwrap(), None, "a node that is gone is believed nothing");
        lock.lock().unwrap();
        assert_eq!(address(folder.path()).unwrap().as_deref(), Some("http://127.0.0.1:4000"));
        std::fs::write(folder.path().join("run/address"), vec![b'x'; 1000]).unwrap();
        assert!(address(folder.path()).is_err());
    }

    #[test]
    fn reading_stops_at_the_limit() {
        assert_eq!(read_bounded(&b"abc"[..], 3).unwrap(), b"abc");
        assert!(read_bounded(&b"abcd"[..], 3).is_err());
        assert!(read_bounded(std::io::repeat(0), 1000).is_err());
    }
}
