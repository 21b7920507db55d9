//! Secrets as files: one of one line each, which its owner alone can read.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use steward_seal::secret::{Secret, Secrets};
use zeroize::Zeroizing;

use crate::{error::KeeperError, fitting, label};

/// The largest secret in bytes: a private key with its certificates.
pub const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The most secrets: each is looked for in whatever is given to agents.
pub const MAX_SECRETS: usize = 256;

/// A folder of secrets, which need not be there.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
}

impl Files {
    /// A secret by its name; none if there is no such file.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Secret>, KeeperError> {
        let name = label(name)?;
        let failed = |error: io::Error| KeeperError::Io(name.clone(), error);
        let file = match File::open(self.folder.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.size() > MAX_SECRET_BYTES {
            return Err(KeeperError::Unusable(name, "is no file, or larger than 64 KiB"));
        }
        if about.permissions().mode() & 0o077 != 0 {
            return Err(KeeperError::Open(name));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
        fitting(&name, Secret::new(&text)).map(Some)
    }

    /// The names of the files.
    pub(crate) fn names(&self) -> Result<Vec<String>, KeeperError> {
        let failed = |error| KeeperError::Io("secrets".to_owned(), error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let names: Result<Vec<_>, _> = entries.take(MAX_SECRETS).map(|entry| entry.map(|e| e.file_name())).collect();
        Ok(names.map_err(failed)?.iter().filter_map(|name| name.to_str().map(str::to_owned)).collect())
    }

    /// Every secret that can be read.
    pub(crate) fn all(&self) -> Result<Secrets, KeeperError> {
        Ok(Secrets::of(self.names()?.iter().filter_map(|name| self.secret(name).ok().flatten())))
    }
}
