//! Backups from end to end, without a store: any file takes its place here.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use steward_clock::Dice;
use steward_seal::{Digest, SigningKey, dsse, json};
use tempfile::TempDir;

use crate::{
    Backup, BackupError, Made, Making, Manifest, Passphrase, Restoring, What,
    manifest::{FileRecord, MANIFEST_TYPE},
};

struct Fixed(u8);

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("agents/acme/scribe/files/reports/a.md", "a report"),
            ("programs/agent.sh", "#!/bin/sh"),
            ("policies/roles.cedar", "permit"),
            ("steward.toml", "log = 'info'"),
            ("keys/document.pem", "private"),
        ] {
            let path = world.home().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(world.home().join("agents/acme/clerk/files")).unwrap();
        fs::set_permissions(world.home().join("programs/agent.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("agent.sh", world.home().join("programs/link")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn home(&self) -> PathBuf {
        self.path("home")
    }

    fn make(&self, passphrase: Option<&Passphrase>) -> Made {
        let making = Making::begin(&self.path("backup")).unwrap();
        fs::write(making.store(), "a store").unwrap();
        making.finish(&self.home(), what(), &key(1), passphrase, &Fixed(3)).unwrap()
    }

    fn open(&self) -> Result<Backup, BackupError> {
        Backup::open(&self.path("backup"), Some(&key(1).verifying_key()))
    }

    /// Signs another manifest, with a list of files to fit: whoever has the key.
    fn forge(&self, files: &[FileRecord], edit: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.open().unwrap().manifest().clone();
        let lines: String =
            files.iter().map(|f| format!("{}\n", String::from_utf8(json::canonical(f).unwrap()).unwrap())).collect();
        manifest.files.digest = Digest::of(lines.as_bytes());
        edit(&mut manifest);
        fs::write(self.path("backup/files.jsonl"), lines).unwrap();
        let envelope = dsse::sign(MANIFEST_TYPE, &json::canonical(&manifest).unwrap(), &[&key(1)]);
        fs::write(self.path("backup/manifest.json"), json::canonical(&envelope).unwrap()).unwrap();
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::generate(&Fixed(seed))
}

fn what() -> What {
    What {
        program: "steward 0.0.0".into(),
        taken_at: "2026-11-20T20:14:27.123Z".into(),
        namespace: "acme.internal".parse().unwrap(),
        origin: "acme.internal/ledger".into(),
        head: "a note".into(),
        vkey: "a key".into(),
    }
}

fn restore(world: &World, to: &Path) -> Result<PathBuf, BackupError> {
    let backup = world.open()?;
    let mut restoring = Restoring::begin(to)?;
    restoring.copy(&backup)?;
    restoring.settle()
}

#[test]
fn what_is_put_back_is_what_was_copied() {
    let world = World::new();
    let passphrase = Passphrase::new("correct horse battery").unwrap();
    let made = world.make(Some(&passphrase));
    assert_eq!(made.manifest.sealed.as_ref().unwrap().names, ["keys/document.pem"]);
    let backup = world.open().unwrap();
    assert_eq!(backup.check().unwrap(), []);
    let to = world.path("again");
    let mut restoring = Restoring::begin(&to).unwrap();
    restoring.copy(&backup).unwrap();
    restoring.open(&backup, &passphrase).unwrap();
    restoring.mark("a head").unwrap();
    assert!(!to.exists(), "not before the end");
    restoring.settle().unwrap();
    let read = |path: &str| fs::read_to_string(to.join(path)).unwrap();
    assert_eq!(read("agents/acme/scribe/files/reports/a.md"), "a report");
    assert_eq!((read("store.sqlite"), read("keys/document.pem")), ("a store".into(), "private".into()));
    assert_eq!((read("programs/link"), read("ROLLED_BACK")), ("#!/bin/sh".into(), "a head".into()));
    assert!(to.join("agents/acme/clerk/files").is_dir(), "empty folders too");
    let mode = |path: &str| fs::metadata(to.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("programs/agent.sh"), mode("keys/document.pem"), mode("store.sqlite")), (0o755, 0o600, 0o600));
    assert!(!world.path(".again.half").exists() && !world.path(".backup.half").exists());
}

#[test]
fn a_place_that_is_taken_stays_as_it_is() {
    let world = World::new();
    world.make(None);
    assert!(matches!(Making::begin(&world.path("backup")).err(), Some(BackupError::Occupied(_))));
    assert!(matches!(restore(&world, &world.home()), Err(BackupError::Occupied(_))));
    assert!(matches!(restore(&world, &world.home().join("steward.toml")), Err(BackupError::Occupied(_))));
    fs::create_dir(world.path("empty")).unwrap();
    restore(&world, &world.path("empty")).unwrap();
    // Two at once: the second is told.
    let first = Restoring::begin(&world.path("third")).unwrap();
    assert!(matches!(Restoring::begin(&world.path("third")).err(), Some(BackupError::Busy(_))));
    drop(first);
    restore(&world, &world.path("third")).unwrap();
}

#[test]
fn what_a_process_that_was_killed_left_is_cleared_away() {
    let world = World::new();
    world.make(None);
    fs::create_dir_all(world.path(".again.half/agents")).unwrap();
    fs::write(world.path(".again.half/agents/half"), "a fi").unwrap();
    restore(&world, &world.path("again")).unwrap();
    assert!(!world.path("again/agents/half").exists() && !world.path(".again.half").exists());
}

#[test]
fn another_signer_and_another_format_are_refused() {
    let world = World::new();
    world.make(None);
    let other = Backup::open(&world.path("backup"), Some(&key(2).verifying_key()));
    assert!(matches!(other, Err(BackupError::NotABackup { .. })));
    let named = Backup::open(&world.path("backup"), None).unwrap();
    assert!(!named.is_pinned() && named.signer() == key(1).verifying_key().fingerprint());
    let files = world.open().unwrap().files().unwrap();
    world.forge(&files, |manifest| manifest.version = 2);
    assert!(matches!(world.open(), Err(BackupError::Version { found: 2, .. })));
    assert!(matches!(Backup::open(&world.path("nothing"), None), Err(BackupError::Io { .. })));
}

#[test]
fn no_path_and_no_link_leads_out_of_the_home() {
    let world = World::new();
    world.make(None);
    let files = world.open().unwrap().files().unwrap();
    let file = files.iter().find(|file| file.path == "steward.toml").unwrap().clone();
    for path in ["../evil", "/tmp/evil", "agents/../../evil", ""] {
        world.forge(&[FileRecord { path: path.into(), ..file.clone() }], |_| {});
        assert!(matches!(world.open().unwrap().check(), Err(BackupError::NotABackup { .. })), "{path}");
        assert!(matches!(restore(&world, &world.path("again")), Err(BackupError::NotABackup { .. })), "{path}");
    }
    // A file through a link that stands in the list before it.
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    let link =
        FileRecord { path: "agents".into(), mode: None, content: None, target: Some(outside.to_str().unwrap().into()) };
    fs::create_dir_all(world.path("backup/home/agents")).unwrap();
    fs::copy(world.path("backup/home/steward.toml"), world.path("backup/home/agents/evil")).unwrap();
    world.forge(&[link, FileRecord { path: "agents/evil".into(), ..file }], |_| {});
    assert!(restore(&world, &world.path("again")).is_err());
    assert!(!outside.join("evil").exists() && !world.path("again").exists());
}

#[test]
fn what_changes_between_checking_and_copying_is_found() {
    let world = World::new();
    world.make(None);
    let backup = world.open().unwrap();
    assert_eq!(backup.check().unwrap(), []);
    fs::write(world.path("backup/home/policies/roles.cedar"), "forbid").unwrap();
    let changed = restore(&world, &world.path("again"));
    assert!(
        matches!(&changed, Err(BackupError::Changed { path, .. }) if path == "policies/roles.cedar"),
        "{changed:?}"
    );
    assert!(!world.path("again").exists());
}
