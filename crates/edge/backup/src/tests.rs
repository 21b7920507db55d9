//! Backups from end to end, without a store: any file takes its place here.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode};
use steward_clock::Dice;
use steward_seal::{Digest, SigningKey, dsse, json};
use tempfile::TempDir;

use crate::{
    Backup, BackupError, Identity, Keys, Made, Making, Manifest, Passphrase, Recipient, Restoring, What,
    files::{open_in_home, write_secret},
    manifest::{FileRecord, MANIFEST_TYPE},
    tar,
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
        making.finish(&self.home(), what(), &key(1), passphrase.map_or(Keys::LeftOut, Keys::By), &Fixed(3)).unwrap()
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
    // A link through a link, and one that stands twice.
    let link = |path: &str, target: &Path| FileRecord {
        path: path.into(),
        mode: None,
        content: None,
        target: Some(target.to_str().unwrap().into()),
    };
    for second in ["agents/evil", "agents"] {
        world.forge(&[link("agents", &outside), link(second, Path::new("/etc/passwd"))], |_| {});
        assert!(matches!(world.open().unwrap().check(), Err(BackupError::NotABackup { .. })), "{second}");
        assert!(matches!(restore(&world, &world.path("again")), Err(BackupError::NotABackup { .. })), "{second}");
    }
    // A secret through a link.
    symlink(&outside, world.path("through")).unwrap();
    write_secret(&world.path(""), "through/evil", b"x").unwrap_err();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    write_secret(&world.path(""), "plain/good", b"x").unwrap();
}

#[test]
fn what_is_swapped_for_a_link_while_it_is_copied_is_not_followed() {
    let world = World::new();
    fs::create_dir_all(world.path("tools/data")).unwrap();
    fs::create_dir_all(world.path("keys")).unwrap();
    fs::write(world.path("keys/secret"), "secret").unwrap();
    symlink("../../keys/secret", world.path("tools/data/file")).unwrap();
    symlink("../keys", world.path("tools/folder")).unwrap();
    let top = fs::canonicalize(world.path("")).unwrap();
    // As they were found a moment ago: a file; a file of a folder; a folder.
    for (path, is_folder) in [("tools/data/file", false), ("tools/folder/secret", false), ("tools/folder", true)] {
        let opened = open_in_home(&top.join(path), is_folder);
        assert!(
            matches!(&opened, Err(BackupError::Io { source, .. }) if source.kind() == ErrorKind::NotFound),
            "{path}"
        );
    }
    // A pipe keeps nobody waiting.
    rustix::fs::mknodat(rustix::fs::CWD, top.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(open_in_home(&top.join("pipe"), false).is_err());
    assert!(open_in_home(&top.join("keys/secret"), false).is_ok() && open_in_home(&top.join("keys"), true).is_ok());
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

/// The backup as one file, with keys to a public key.
fn pack(world: &World, keys: Keys<'_>) -> PathBuf {
    let file = world.path("backup.stwb");
    let making = Making::begin_file(&file).unwrap();
    fs::write(making.store(), "a store").unwrap();
    let made = making.finish(&world.home(), what(), &key(1), keys, &Fixed(3)).unwrap();
    assert_eq!(made.place, file);
    file
}

fn open_file(file: &Path) -> Result<Backup, BackupError> {
    Backup::open(file, Some(&key(1).verifying_key()))
}

/// What somebody who can write archives makes of one.
fn packed(items: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut writer = tar::Writer::new(Vec::new());
    for (path, content) in items {
        match content {
            Some(bytes) => writer.file(path, bytes.len() as u64, &mut &bytes[..]).unwrap(),
            None => writer.folder(path).unwrap(),
        }
    }
    writer.finish().unwrap()
}

#[test]
fn one_file_says_and_gives_what_a_folder_does() {
    let world = World::new();
    // Larger than what is read whole, and with a name that does not fit into a block.
    let long = format!("agents/acme/scribe/files/{}", "ü".repeat(100));
    fs::write(world.home().join(&long), vec![b'x'; (1 << 20) + 5]).unwrap();
    let made = world.make(None);
    let file = pack(&world, Keys::LeftOut);
    let backup = open_file(&file).unwrap();
    assert_eq!(backup.manifest(), &made.manifest, "the same manifest, to the byte");
    assert_eq!(backup.check().unwrap(), []);
    assert_eq!(fs::read_to_string(backup.store().unwrap()).unwrap(), "a store");
    let mut restoring = Restoring::begin(&world.path("again")).unwrap();
    restoring.copy(&backup).unwrap();
    let to = restoring.settle().unwrap();
    assert_eq!(fs::read(to.join(&long)).unwrap().len(), (1 << 20) + 5);
    assert_eq!(fs::read_to_string(to.join("programs/link")).unwrap(), "#!/bin/sh");
    assert!(to.join("agents/acme/clerk/files").is_dir());
    let scratch = backup.store().unwrap();
    drop(backup);
    assert!(!scratch.exists(), "the copy of the store goes with it");
    assert!(!world.path(".backup.stwb.half").exists());
    // Everybody's tar makes the folder of it.
    fs::create_dir(world.path("unpacked")).unwrap();
    let tar = std::process::Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(world.path("unpacked")).status();
    assert!(tar.unwrap().success());
    assert_eq!(Backup::open(&world.path("unpacked"), Some(&key(1).verifying_key())).unwrap().check().unwrap(), []);
    // What is written while it is read is the same file.
    let (reading, writing) = std::io::pipe().unwrap();
    let streamed = std::thread::spawn(move || std::io::read_to_string(hexed(reading)).unwrap());
    let making = Making::begin_stream(writing).unwrap();
    fs::write(making.store(), "a store").unwrap();
    making.finish(&world.home(), what(), &key(1), Keys::LeftOut, &Fixed(3)).unwrap();
    assert_eq!(streamed.join().unwrap(), hex::encode(fs::read(&file).unwrap()));
}

fn hexed(mut from: impl std::io::Read) -> std::io::Cursor<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    std::io::Cursor::new(hex::encode(bytes))
}

#[test]
fn a_file_takes_nobodys_place() {
    let world = World::new();
    fs::write(world.path("backup.stwb"), "mine").unwrap();
    assert!(matches!(Making::begin_file(&world.path("backup.stwb")).err(), Some(BackupError::Occupied(_))));
    fs::create_dir(world.path("empty.stwb")).unwrap();
    assert!(matches!(Making::begin_file(&world.path("empty.stwb")).err(), Some(BackupError::Occupied(_))));
    fs::remove_file(world.path("backup.stwb")).unwrap();
    let making = Making::begin_file(&world.path("backup.stwb")).unwrap();
    fs::write(making.store(), "a store").unwrap();
    // Somebody is there first.
    fs::write(world.path("backup.stwb"), "mine").unwrap();
    let late = making.finish(&world.home(), what(), &key(1), Keys::LeftOut, &Fixed(3));
    assert!(matches!(late, Err(BackupError::Occupied(_))), "{late:?}");
    assert_eq!(fs::read_to_string(world.path("backup.stwb")).unwrap(), "mine");
    assert!(!world.path(".backup.stwb.half").exists());
}

#[test]
fn a_file_that_leads_elsewhere_repeats_itself_or_goes_on_is_no_backup() {
    let world = World::new();
    let good = fs::read(pack(&world, Keys::LeftOut)).unwrap();
    let file = world.path("other.stwb");
    let refused = |bytes: &[u8], says: &str| {
        fs::write(&file, bytes).unwrap();
        let error = open_file(&file).map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, BackupError::NotABackup { .. }) && error.to_string().contains(says),
            "{says}: {error}"
        );
    };
    let (f, m) = (("files.jsonl", Some(&b""[..])), ("manifest.json", Some(&b"{}"[..])));
    for path in ["../evil", "/tmp/evil", "home/../evil", "home//evil", "home/a/../../evil", "evil", "home/"] {
        refused(&packed(&[(path, Some(b"x")), f, m]), "leads out of one");
    }
    refused(&packed(&[("..", None), f, m]), "leads out of one");
    refused(&packed(&[("home/a", Some(b"x")), ("home/a", Some(b"y")), f, m]), "twice");
    refused(&packed(&[("home/a", None), ("home/a", Some(b"y")), f, m]), "twice");
    refused(&packed(&[f, m, ("home/a", Some(b"x"))]), "behind its manifest");
    refused(&[&good[..], b"x"].concat(), "follow its end");
    refused(b"", "cut off");
    for cut in [1, 511, 512, good.len() / 2, good.len() - 512, good.len() - 1] {
        refused(&good[..cut], "");
    }
    // A hole of eight exabytes is not read: nothing stands in it.
    let mut bomb = packed(&[("home/a", Some(b""))]);
    bomb.truncate(bomb.len() - 1024);
    let large = fs::File::create(&file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&large, &bomb, 0).unwrap();
    large.set_len(1 << 40).unwrap();
    assert!(open_file(&file).is_err());
    fs::write(&file, &good).unwrap();
    open_file(&file).unwrap();
}

#[test]
fn each_byte_of_a_file_counts() {
    let world = World::new();
    let good = fs::read(pack(&world, Keys::LeftOut)).unwrap();
    let manifest = open_file(&world.path("backup.stwb")).unwrap().manifest().clone();
    let from = good.windows(13).rposition(|window| window == b"manifest.json").unwrap();
    let file = world.path("other.stwb");
    for at in (0..good.len()).step_by(7) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        let is_found = match open_file(&file) {
            Err(_) => true,
            // An envelope says by which key it may be signed; nobody believes that, and what was signed is the same.
            Ok(backup) if at >= from => backup.manifest() == &manifest,
            Ok(backup) => !backup.check().is_ok_and(|problems| problems.is_empty()),
        };
        assert!(is_found, "byte {at}");
    }
}

#[test]
fn keys_that_are_sealed_to_somebody_are_opened_elsewhere_alone() {
    let world = World::new();
    let secret = "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN";
    let identities = Identity::read(secret).unwrap();
    let to: Vec<Recipient> = identities.iter().map(Identity::recipient).collect();
    let file = pack(&world, Keys::To(&to));
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(7).any(|seven| seven == b"private"), "the home has it, the backup has not");
    let backup = open_file(&file).unwrap();
    assert_eq!(backup.check().unwrap(), []);
    assert_eq!(backup.manifest().sealed.as_ref().unwrap().recipients, [to[0].to_string()]);
    let mut restoring = Restoring::begin(&world.path("again")).unwrap();
    let passphrase = Passphrase::new("correct horse battery").unwrap();
    let error = restoring.open(&backup, &passphrase).unwrap_err().to_string();
    assert!(error.contains("--identity"), "{error}");
    let other = "AGE-SECRET-KEY-1QGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ0N3JDM";
    let wrong = restoring.open_by(&backup, &Identity::read(other).unwrap());
    assert!(matches!(wrong, Err(BackupError::WrongIdentity)));
    restoring.open_by(&backup, &identities).unwrap();
    assert_eq!(restoring.key("keys/document.pem").unwrap(), b"private");
    // By a passphrase, an identity opens nothing.
    world.make(Some(&passphrase));
    let error = restoring.open_by(&world.open().unwrap(), &identities).unwrap_err().to_string();
    assert!(error.contains("--passphrase-file"), "{error}");
}
