//! What the command line remembers, outside the homes of nodes: keys of one's own, and the newest tree heads seen.
//!
//! ```text
//! $STEWARD_CONFIG_DIR, else $XDG_CONFIG_HOME/steward, else ~/.config/steward      0700
//!   nodes/<16 hex of SHA-256(home or address)>/credential.json                    0600  one's own key of that node
//!                                              vkey                               the verifier key that was seen first
//!   heads/<16 hex of SHA-256(origin)>.note                                        the largest tree head seen
//!                                    .vkey                                        the key that signs it
//!                                    .split-<size>.note                           evidence of a second history
//! ```
//!
//! Each file is written whole or not at all. It lies outside the home because it is there to find out a home that
//! was changed, put back or made anew.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use steward_caller::Secret;
use steward_seal::Digest;

use crate::{failure::Failure, home::read_small, home::user_folder};

/// The most bytes of a file that is remembered: a signed note may have 64 KiB.
const MAX_REMEMBERED_BYTES: usize = 64 << 10;

/// Everything that is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    folder: PathBuf,
}

/// What is remembered of one node.
#[derive(Debug, Clone)]
pub(crate) struct NodeMemory {
    folder: PathBuf,
}

/// What is remembered of one ledger.
#[derive(Debug, Clone)]
pub(crate) struct LedgerMemory {
    folder: PathBuf,
    stem: String,
}

/// One's own key of a node.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) secret: Secret,
    /// Whose it is.
    pub(crate) holder: String,
    /// What it is called.
    pub(crate) label: String,
    /// The verifier key of the node's ledger, as it was at the login.
    pub(crate) vkey: String,
}

/// The file of a [`Credential`]. No Debug: it holds the secret.
#[derive(Serialize, Deserialize)]
struct CredentialFile {
    secret: String,
    holder: String,
    label: String,
    vkey: String,
}

impl Memory {
    /// The user's own.
    pub(crate) fn usual() -> Result<Self, Failure> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual =
            || Some(folder("XDG_CONFIG_HOME").or_else(|| Some(user_folder()?.join(".config")))?.join("steward"));
        let folder = folder("STEWARD_CONFIG_DIR").or_else(usual);
        folder.map(Self::at).ok_or_else(|| {
            Failure::misused("it is not known where to keep keys and tree heads").hint("set STEWARD_CONFIG_DIR or HOME")
        })
    }

    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What is remembered of the node that is known by `identity`: its home, or its address.
    pub(crate) fn node(&self, identity: &str) -> NodeMemory {
        NodeMemory { folder: self.folder.join("nodes").join(short_hash(identity)) }
    }

    /// What is remembered of the ledger of `origin`.
    pub(crate) fn ledger(&self, origin: &str) -> LedgerMemory {
        LedgerMemory { folder: self.folder.join("heads"), stem: short_hash(origin) }
    }
}

impl NodeMemory {
    /// One's own key; nothing if one is not logged in.
    pub(crate) fn credential(&self) -> Result<Option<Credential>, Failure> {
        let path = self.folder.join("credential.json");
        let Some(text) = read(&path)? else { return Ok(None) };
        let mode = fs::metadata(&path).map_err(|e| Failure::file("read", &path, &e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let open = format!("`{}` holds a key and others can read it (mode {:04o})", path.display(), mode & 0o7777);
            return Err(Failure::refused(open).hint(format!("chmod 600 '{}'", path.display())));
        }
        let CredentialFile { secret, holder, label, vkey } = serde_json::from_slice(&text).map_err(|e| {
            Failure::refused(format!("`{}` cannot be read: {e}", path.display()))
                .hint("remove it, and log in with `steward login` and a new login key")
        })?;
        Ok(Some(Credential { secret: Secret::new(&secret), holder, label, vkey }))
    }

    /// Keeps one's own key.
    pub(crate) fn keep_credential(&self, credential: &Credential) -> Result<(), Failure> {
        let file = CredentialFile {
            secret: credential.secret.expose().to_owned(),
            holder: credential.holder.clone(),
            label: credential.label.clone(),
            vkey: credential.vkey.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&file).expect("text has a JSON form");
        text.push(b'\n');
        write(&self.folder, "credential.json", &text)
    }

    /// The verifier key that was seen first.
    pub(crate) fn vkey(&self) -> Result<Option<String>, Failure> {
        read_text(&self.folder.join("vkey"))
    }

    /// Keeps the verifier key.
    pub(crate) fn keep_vkey(&self, vkey: &str) -> Result<(), Failure> {
        write(&self.folder, "vkey", format!("{vkey}\n").as_bytes())
    }
}

impl LedgerMemory {
    /// The largest tree head seen.
    pub(crate) fn note(&self) -> Result<Option<Vec<u8>>, Failure> {
        read(&self.note_file())
    }

    /// Where the largest tree head is kept.
    pub(crate) fn note_file(&self) -> PathBuf {
        self.file("note")
    }

    /// The key that signs it.
    pub(crate) fn vkey(&self) -> Result<Option<String>, Failure> {
        read_text(&self.file("vkey"))
    }

    /// Keeps a head and the key that signed it, if `is_larger` still says so of the one that is kept by then.
    pub(crate) fn keep(
        &self,
        note: &[u8],
        vkey: &str,
        is_larger: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Result<(), Failure> {
        make_folder(&self.folder)?;
        let lock_file = self.file("lock");
        let failed = |e: io::Error| Failure::file("lock", &lock_file, &e);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_file);
        let lock = lock.map_err(failed)?;
        lock.lock().map_err(failed)?; // given back when `lock` is closed
        if is_larger(self.note()?.as_deref()) {
            write(&self.folder, &format!("{}.vkey", self.stem), format!("{vkey}\n").as_bytes())?;
            write(&self.folder, &format!("{}.note", self.stem), note)?;
        }
        Ok(())
    }

    /// Keeps a head that contradicts the one that is kept, as evidence.
    pub(crate) fn keep_evidence(&self, note: &[u8], size: u64) -> Result<PathBuf, Failure> {
        let name = format!("{}.split-{size}.note", self.stem);
        write(&self.folder, &name, note)?;
        Ok(self.folder.join(name))
    }

    /// Puts aside what is kept, for a ledger that was made anew. It stays as `.old` files.
    pub(crate) fn forget(&self) -> Result<(), Failure> {
        for suffix in ["note", "vkey"] {
            let path = self.file(suffix);
            match fs::rename(&path, self.file(&format!("{suffix}.old"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::file("put aside", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.stem))
    }
}

/// The first 16 hexadecimal digits of the SHA-256.
fn short_hash(text: &str) -> String {
    let digest = Digest::of(text.as_bytes()).to_string();
    digest.trim_start_matches("sha256:").chars().take(16).collect()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match read_small(path, MAX_REMEMBERED_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

fn read_text(path: &Path) -> Result<Option<String>, Failure> {
    Ok(read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// Makes a folder that is its owner's alone.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| Failure::file("make", folder, &e))
}

/// Writes a file whole or not at all, readable by its owner only.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    make_folder(folder)?;
    let path = folder.join(name);
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {} // of a process of the same number that was killed
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|e| Failure::file("write", &path, &e))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use steward_caller::Secret;

    use super::{Credential, Memory};
    use crate::failure::Exit;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn credential() -> Credential {
        let secret = Secret::new("stw_secret");
        Credential { secret, holder: "olivia@acme.internal".into(), label: "desk".into(), vkey: "v".into() }
    }

    #[test]
    fn a_credential_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("steward");
        let node = Memory::at(root.clone()).node("/home/olivia/node");
        assert!(node.credential().unwrap().is_none());
        node.keep_credential(&credential()).unwrap();
        node.keep_credential(&credential()).unwrap();
        let kept = node.credential().unwrap().unwrap();
        assert_eq!((kept.secret.expose(), kept.holder.as_str()), ("stw_secret", "olivia@acme.internal"));
        let file = node.folder.join("credential.json");
        assert_eq!(
            (mode(&root), mode(&root.join("nodes")), mode(&node.folder), mode(&file)),
            (0o700, 0o700, 0o700, 0o600)
        );
        assert_eq!(fs::read_dir(&node.folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(!format!("{kept:?}").contains("stw_secret"));
    }

    #[test]
    fn a_credential_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let node = Memory::at(folder.path().to_owned()).node("x");
        node.keep_credential(&credential()).unwrap();
        let file = node.folder.join("credential.json");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = node.credential().unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.contains("0640"), "{}", refused.message);
        assert!(refused.hint.unwrap().starts_with("chmod 600"));
    }

    #[test]
    fn a_damaged_credential_says_what_to_do_and_not_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let node = Memory::at(folder.path().to_owned()).node("x");
        super::write(&node.folder, "credential.json", br#"{"secret":"stw_secret"}"#).unwrap();
        let refused = node.credential().unwrap_err();
        assert!(!refused.message.contains("stw_secret"), "{}", refused.message);
        assert!(refused.hint.unwrap().contains("steward login"));
    }

    #[test]
    fn heads_are_kept_only_if_larger_by_then() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Memory::at(folder.path().to_owned()).ledger("acme.internal/ledger");
        ledger.keep(b"one", "v1", |kept| kept.is_none()).unwrap();
        ledger.keep(b"two", "v2", |kept| kept != Some(b"one")).unwrap();
        assert_eq!(ledger.note().unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(ledger.vkey().unwrap().as_deref(), Some("v1"));
        ledger.forget().unwrap();
        ledger.forget().unwrap();
        assert_eq!(ledger.note().unwrap(), None);
    }

    #[test]
    fn nodes_and_ledgers_do_not_share_memory() {
        let memory = Memory::at("/nowhere".into());
        assert_ne!(memory.node("a").folder, memory.node("b").folder);
        assert_ne!(memory.ledger("a").note_file(), memory.ledger("b").note_file());
        let name = memory.ledger("a").note_file().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name, "ca978112ca1bbdca.note"); // the beginning of SHA-256("a")
    }
}
