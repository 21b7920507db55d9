//! What the system's service manager hands to a service: `LoadCredential=` and `LoadCredentialEncrypted=` of systemd.
//!
//! ```text
//! [Service]
//! LoadCredentialEncrypted=passphrase:/etc/credstore.encrypted/steward.passphrase     opened by the machine's TPM or key, for the service alone
//!
//! $CREDENTIALS_DIRECTORY/passphrase     what the service reads: in memory, of its user or of root, writable for nobody else
//! ```
//!
//! The manager owns the folder, and makes each file readable for the service's user alone: by its owner (0400), or by an access list, whose
//! mask shows as the group's bits of a file of root (0440). Anything else was not made by it, and is refused. A name is one file of that folder:
//! neither a path nor a link leads elsewhere.
//!
//! Deliberately absent: opening what is encrypted. The manager does, and the node never has the key that does.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use rustix::fs::{CWD, Mode, OFlags, openat};
use zeroize::Zeroizing;

use crate::key::MAX_KEY_FILE_BYTES;

/// The longest name of a credential: that of a file.
const MAX_NAME: usize = 255;

/// A credential of the service that this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The folder that the service manager names in `CREDENTIALS_DIRECTORY`; none if it names none.
    pub folder: Option<PathBuf>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the credential `{}`", steward_naming::visible(&self.name))
    }
}

impl Credential {
    /// What it holds.
    ///
    /// # Errors
    /// Why it cannot be had, in words for an operator.
    pub(crate) fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let name = self.name.as_str();
        let is_name = (1..=MAX_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'))
            && !matches!(name, "." | "..");
        if !is_name {
            return Err(format!("{self} has no name of one: a file's name of letters, digits, dots and hyphens"));
        }
        let folder = self.folder.as_deref().ok_or_else(|| {
            format!("{self} is not handed to this process: start it as a service with `LoadCredential={name}:PATH`")
        })?;
        if !folder.is_absolute() {
            return Err(format!("CREDENTIALS_DIRECTORY names `{}`, which is no absolute path", folder.display()));
        }
        let failed = |what: &str, error: io::Error| format!("{self}: {what} `{}`: {error}", folder.display());
        let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = openat(CWD, folder, flags | OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty());
        let opened = File::from(opened.map_err(|error| failed("the folder", error.into()))?);
        let about = opened.metadata().map_err(|error| failed("the folder", error))?;
        if !is_trusted(about.uid()) || about.mode() & 0o022 != 0 {
            return Err(format!(
                "{self} lies in `{}`, into which others can write: no service manager made that",
                folder.display()
            ));
        }
        // A pipe would be waited for; nothing of systemd is one.
        let opened = openat(&opened, name, flags | OFlags::NONBLOCK | OFlags::RDONLY, Mode::empty());
        let file = File::from(opened.map_err(|error| match error {
            rustix::io::Errno::LOOP => format!("{self} is a link; a service manager makes none"),
            rustix::io::Errno::NOENT => format!(
                "{self} is not among those that are handed to this service: `LoadCredential={name}:PATH` in its unit does"
            ),
            error => failed("cannot be opened in", error.into()),
        })?);
        let about = file.metadata().map_err(|error| failed("cannot be looked at in", error))?;
        if !about.is_file() || about.size() > MAX_KEY_FILE_BYTES {
            return Err(format!("{self} is no file, or has more than {MAX_KEY_FILE_BYTES} bytes"));
        }
        if !is_private(about.uid(), about.gid(), about.mode()) {
            return Err(format!("{self} can be read by others (mode {:04o})", about.mode() & 0o7777));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES as usize));
        file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes).map_err(|error| failed("cannot be read in", error))?;
        Ok(bytes)
    }
}

/// Whether nobody reads a file but its service. The group's bits of a file of root's are the mask of its access list.
fn is_private(owner: u32, group: u32, mode: u32) -> bool {
    let others = if (owner, group) == (0, 0) { 0o037 } else { 0o077 };
    is_trusted(owner) && mode & others == 0
}

/// The service manager's, or the service's own.
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        path::Path,
    };

    use tempfile::TempDir;

    use super::{Credential, is_private, is_trusted};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    /// A folder as systemd makes it: 0500, and each file 0400.
    fn handed(files: &[(&str, &[u8], u32)]) -> TempDir {
        let folder = tempfile::tempdir().expect("made");
        for (name, bytes, bits) in files {
            fs::write(folder.path().join(name), bytes).expect("written");
            mode(&folder.path().join(name), *bits);
        }
        mode(folder.path(), 0o500);
        folder
    }

    fn read(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
        Credential { folder: Some(folder.to_owned()), name: name.to_owned() }.read().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn what_the_service_manager_hands_over_is_read() {
        let folder = handed(&[("passphrase", b"correct horse battery\n", 0o400), ("bytes", &[0xff; 32], 0o400)]);
        assert_eq!(read(folder.path(), "passphrase").expect("read"), b"correct horse battery\n");
        assert_eq!(read(folder.path(), "bytes").expect("read"), [0xff; 32]);
    }

    #[test]
    fn what_no_service_manager_made_is_refused() {
        let large = vec![b'x'; 4097];
        let folder = handed(&[
            ("good", b"correct horse battery", 0o400),
            ("for-all", b"correct horse battery", 0o444),
            ("for-writers", b"correct horse battery", 0o420),
            ("large", &large, 0o400),
        ]);
        let path = folder.path();
        mode(path, 0o700);
        symlink("good", path.join("link")).expect("linked");
        fs::create_dir(path.join("folder")).expect("made");
        rustix::fs::mkfifoat(rustix::fs::CWD, path.join("pipe"), rustix::fs::Mode::RUSR).expect("made");
        mode(path, 0o500);
        for (name, says) in [
            ("none", "LoadCredential=none:PATH"),
            ("for-all", "read by others (mode 0444)"),
            ("for-writers", "read by others (mode 0420)"),
            ("large", "more than 4096 bytes"),
            ("link", "is a link"),
            ("folder", "is no file"),
            ("pipe", "is no file"),
            ("", "no name"),
            (".", "no name"),
            ("..", "no name"),
            ("../good", "no name"),
            ("a/b", "no name"),
            ("a:b", "no name"),
        ] {
            let why = read(path, name).expect_err(name);
            assert!(why.contains(says) && !why.contains("horse"), "{name}: {why}");
        }
        // A folder that others can write into, one that is a link, a relative one, and none.
        let outside = tempfile::tempdir().expect("made");
        symlink(path, outside.path().join("link")).expect("linked");
        assert!(read(&outside.path().join("link"), "good").is_err_and(|why| why.contains("the folder")));
        mode(path, 0o730);
        assert!(read(path, "good").is_err_and(|why| why.contains("others can write")));
        assert!(read(Path::new("credentials"), "good").is_err_and(|why| why.contains("no absolute path")));
        let none = Credential { folder: None, name: "good".to_owned() };
        assert!(none.read().is_err_and(|why| why.contains("LoadCredential=good:PATH")));
    }

    #[test]
    fn whose_it_may_be() {
        let own = rustix::process::geteuid().as_raw();
        assert!(is_trusted(0) && is_trusted(own) && !is_trusted(own + 1));
        // With an access list, where the file system has them; else given to the service's user.
        assert!(is_private(0, 0, 0o440) && is_private(own, 100, 0o400) && is_private(0, 0, 0o400));
        for (owner, group, mode) in
            [(0, 100, 0o440), (own, 100, 0o440), (0, 0, 0o444), (0, 0, 0o460), (0, 0, 0o450), (own + 1, 0, 0o400)]
        {
            assert!(!is_private(owner, group, mode), "{owner} {group} {mode:o}");
        }
    }
}
