//! Secrets that operators put into the node's home: a file each, which its owner alone can read.
//!
//! ```no_run
//! # fn example() -> Result<(), steward_keeper::KeeperError> {
//! use steward_keeper::Keeper;
//! let keeper = Keeper::new("/var/lib/steward/secrets".into());
//! let key = keeper.secret("openrouter")?;          // the file `openrouter`, without the white space around it
//! let shown = keeper.all()?.scrub("…").into_owned();   // with none of them in it
//! # Ok(()) }
//! ```
//!
//! A secret is read when it is used, so that a new one counts at once. It is given to who speaks to a provider or a server, and never to
//! an agent.
//!
//! Deliberately absent: leases, encryption at rest, and another keeper behind the same names. They come with the secrets of
//! people.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use steward_naming::Label;
use steward_seal::secret::{Secret, Secrets};

/// The largest secret in bytes: a private key with its certificates.
pub const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The most secrets: each is looked for in whatever is given to agents.
pub const MAX_SECRETS: usize = 256;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// There is no such file.
    #[error("there is no secret `{0}`; put it into the file `secrets/{0}` of the node's home, with the mode 0600")]
    Missing(String),
    /// Others could read it.
    #[error("the secret `{0}` can be read by others; type: chmod 600 secrets/{0}")]
    Open(String),
    /// It is none.
    #[error("the secret `{0}` {1}")]
    Unusable(String, &'static str),
    /// The file system says no.
    #[error("the secret `{0}` cannot be read: {1}")]
    Io(String, io::Error),
}

/// The secrets of a node.
#[derive(Debug, Clone)]
pub struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    /// Those in `folder`, which need not be there.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A secret by its name.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn secret(&self, name: &str) -> Result<Secret, KeeperError> {
        // A label is no path.
        let Ok(label) = name.parse::<Label>() else {
            return Err(KeeperError::Unusable(
                steward_naming::visible(name),
                "has no name of letters, digits and hyphens",
            ));
        };
        let name = label.to_string();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => KeeperError::Missing(name.clone()),
            _ => KeeperError::Io(name.clone(), error),
        };
        let file = File::open(self.folder.join(&name)).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.size() > MAX_SECRET_BYTES {
            return Err(KeeperError::Unusable(name, "is no file, or larger than 64 KiB"));
        }
        if about.permissions().mode() & 0o077 != 0 {
            return Err(KeeperError::Open(name));
        }
        let mut text = String::new();
        file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
        let secret = Secret::new(&text);
        let fits = !secret.reveal().is_empty() && !secret.reveal().chars().any(char::is_control);
        if fits { Ok(secret) } else { Err(KeeperError::Unusable(name, "is empty, or has more than one line")) }
    }

    /// Every secret that can be read, to be kept out of what is shown.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn all(&self) -> Result<Secrets, KeeperError> {
        let failed = |error| KeeperError::Io("secrets".to_owned(), error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Secrets::default()),
            entries => entries.map_err(failed)?,
        };
        let names: Result<Vec<_>, _> = entries.take(MAX_SECRETS).map(|entry| entry.map(|e| e.file_name())).collect();
        let names = names.map_err(failed)?;
        Ok(Secrets::of(names.iter().filter_map(|name| self.secret(name.to_str()?).ok())))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{Keeper, KeeperError};

    fn put(folder: &Path, name: &str, text: &str, mode: u32) {
        fs::write(folder.join(name), text).expect("written");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn a_secret_is_a_file_of_one_line_that_nobody_else_reads() {
        let folder = tempfile::tempdir().expect("made");
        let keeper = Keeper::new(folder.path().to_owned());
        put(folder.path(), "good", " sk-123456\n", 0o600);
        put(folder.path(), "open", "sk-654321", 0o640);
        put(folder.path(), "empty", "\n", 0o600);
        put(folder.path(), "lines", "a\nb", 0o600);
        put(folder.path(), "large", &"x".repeat(70_000), 0o600);
        assert_eq!(keeper.secret("good").expect("read").reveal(), "sk-123456");
        assert!(matches!(keeper.secret("none"), Err(KeeperError::Missing(_))));
        assert!(matches!(keeper.secret("open"), Err(KeeperError::Open(_))));
        for bad in ["empty", "lines", "large", "../good", "", "a/b"] {
            assert!(matches!(keeper.secret(bad), Err(KeeperError::Unusable(..))), "{bad}");
        }
        let all = keeper.all().expect("read");
        assert_eq!(all.scrub("sk-123456 sk-654321"), "[secret] sk-654321");
        assert!(Keeper::new(folder.path().join("nowhere")).all().expect("none").is_empty());
    }
}
