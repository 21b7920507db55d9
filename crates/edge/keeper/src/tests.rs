//! What a keeper gives, and what it refuses.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use steward_clock::Dice;
use steward_seal::secret::Secret;
use tempfile::TempDir;

use crate::{
    Credential, Keeper, KeeperError, Kept, Place, SealError, Unlock, generate,
    key::{Cost, data_key},
};

/// Chance that is none.
pub(crate) struct Fixed(pub(crate) u8);

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// Of work for nobody.
const CHEAP: Cost = Cost::of(64, 1, 1);

fn put(folder: &Path, name: &str, text: &str, mode: u32) {
    fs::write(folder.join(name), text).expect("written");
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("set");
}

fn home() -> TempDir {
    let home = tempfile::tempdir().expect("made");
    fs::create_dir(home.path().join("keys")).expect("made");
    fs::create_dir(home.path().join("secrets")).expect("made");
    home
}

fn keeper_of(home: &TempDir, namespace: &str, is_new: bool, dice: u8) -> Keeper {
    let (secrets, keys) = (home.path().join("secrets"), home.path().join("keys"));
    Keeper::open(Place { secrets, keys, namespace: namespace.to_owned() }, &Unlock::KeyFile, is_new, &Fixed(dice))
}

fn kept(name: &str, version: u64, sealed: &[u8]) -> Kept {
    Kept { name: name.to_owned(), version, sealed: Some(sealed.to_vec()), is_made: false }
}

fn hold(keeper: &Keeper, kept: Vec<Kept>) {
    keeper.hold(|| Ok::<_, KeeperError>(kept)).expect("it reads");
}

#[test]
fn a_secret_is_a_file_of_one_line_that_nobody_else_reads() {
    let home = home();
    let folder = home.path().join("secrets");
    let keeper = keeper_of(&home, "acme.internal", true, 1);
    put(&folder, "good", " sk-123456\n", 0o600);
    put(&folder, "open", "sk-654321", 0o640);
    put(&folder, "empty", "\n", 0o600);
    put(&folder, "lines", "a\nb", 0o600);
    put(&folder, "large", &"x".repeat(70_000), 0o600);
    assert_eq!(keeper.secret("good").expect("read").reveal(), "sk-123456");
    assert!(matches!(keeper.secret("none"), Err(KeeperError::Missing(_))));
    assert!(matches!(keeper.secret("open"), Err(KeeperError::Open(_))));
    for bad in ["empty", "lines", "large", "../good", "", "a/b"] {
        assert!(matches!(keeper.secret(bad), Err(KeeperError::Unusable(..))), "{bad}");
    }
    let all = keeper.all().expect("read");
    assert_eq!(all.scrub("sk-123456 sk-654321"), "[secret] sk-654321");
    assert_eq!(keeper.files().expect("read"), ["empty", "good", "large", "lines", "open"]);
    fs::remove_dir_all(&folder).expect("removed");
    assert!(keeper.all().expect("none").is_empty());
}

#[test]
fn what_was_put_wins_and_opens_as_itself_only() {
    let home = home();
    put(&home.path().join("secrets"), "wiki", "sk-of-the-file", 0o600);
    let keeper = keeper_of(&home, "acme.internal", true, 1);
    assert_eq!(keeper.secret("wiki").expect("the file").reveal(), "sk-of-the-file");
    let sealed = keeper.seal("wiki", 2, &Secret::new("sk-of-the-keystore"), &Fixed(3)).expect("unlocked");
    assert!(!sealed.windows(6).any(|w| w == b"sk-of-"), "it is sealed");
    hold(&keeper, vec![kept("wiki", 2, &sealed)]);
    let taken = keeper.take("wiki").expect("it opens");
    assert_eq!((taken.secret.reveal(), taken.version), ("sk-of-the-keystore", 2));
    assert!(keeper.files().expect("read").is_empty(), "the file counts no more");
    for (name, version) in [("wike", 2), ("wiki", 1), ("wiki", 3)] {
        hold(&keeper, vec![kept(name, version, &sealed)]);
        assert!(matches!(keeper.secret(name), Err(KeeperError::Damaged(_, SealError::Wrong))), "{name} {version}");
        assert_eq!(keeper.damaged(), [name]);
    }
    hold(&keeper, vec![kept("wiki", 2, &sealed[..20])]);
    let error = keeper.secret("wiki").expect_err("it was cut off");
    assert_eq!(
        error.to_string(),
        "what is kept of the secret `wiki` is cut off; `steward secret rotate wiki` gives it another value"
    );
    // Revoked: the file does not come back in its place, and what a process may have had is still looked for.
    hold(&keeper, vec![Kept { name: "wiki".to_owned(), version: 3, sealed: None, is_made: false }]);
    assert!(matches!(keeper.secret("wiki"), Err(KeeperError::Revoked(_))));
    assert_eq!(keeper.all().expect("read").scrub("sk-of-the-keystore"), "[secret]");
    // Of another node, with the same keys.
    let other = keeper_of(&home, "other.internal", false, 1);
    assert!(other.unlocked().is_err_and(|why| why.contains("does not open")), "{:?}", other.unlocked());
}

#[test]
fn what_is_looked_for_is_also_looked_for_in_other_spellings() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let home = home();
    put(&home.path().join("secrets"), "wiki", "sk-verysecret-0123456789", 0o600);
    let all = keeper_of(&home, "acme.internal", true, 1).all().expect("read");
    for around in ["", "a", "ab"] {
        let encoded = BASE64_STANDARD.encode(format!("{around}sk-verysecret-0123456789, and more"));
        assert!(all.scrub(&encoded).contains("[secret]"), "{around}: {}", all.scrub(&encoded));
    }
    assert_eq!(all.scrub(&hex::encode("sk-verysecret-0123456789")), "[secret]");
    assert_eq!(all.scrub(&hex::encode_upper("sk-verysecret-0123456789")), "[secret]");
}

#[test]
fn a_generated_secret_is_as_long_as_was_asked_for() {
    assert_eq!(generate(32, &Fixed(255)).reveal(), "_".repeat(42) + "8");
}

#[test]
fn the_keys_of_a_keystore_golden() {
    let home = home();
    let keys = home.path().join("keys");
    let key = data_key(&keys, "acme.internal", &Unlock::KeyFile, true, CHEAP, &Fixed(7)).expect("made");
    assert_eq!(*key, [7; 32]);
    let text = fs::read_to_string(keys.join("keeper.key")).expect("written");
    assert_eq!(text, format!("{}\n", "07".repeat(32)));
    let mode = |name: &str| fs::metadata(keys.join(name)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("keeper.key"), mode("keeper.sealed")), (0o600, 0o600));
    expect_test::expect!["7374776b0102070707070707070707070707c99c4d3801e1b8624bee863d38dea1734ba28017fe796366698612f88eef16d9340833aefb623723ce533fd24b2598b2"].assert_eq(&hex::encode(fs::read(keys.join("keeper.sealed")).expect("written")));
    let again = data_key(&keys, "acme.internal", &Unlock::KeyFile, false, CHEAP, &Fixed(9)).expect("opened");
    assert_eq!(*again, [7; 32]);
}

#[test]
fn a_keystore_that_does_not_open_says_why_and_is_never_made_anew() {
    let home = home();
    let keys = home.path().join("keys");
    let open = |is_new: bool| data_key(&keys, "acme.internal", &Unlock::KeyFile, is_new, CHEAP, &Fixed(7)).map(|_| ());
    assert!(open(false).expect_err("none").contains("put it back"), "something is sealed: no new key is made");
    open(true).expect("made");
    let sealed = fs::read(keys.join("keeper.sealed")).expect("there");
    for (what, file, bytes, says) in [
        ("cut off", "keeper.sealed", sealed[..20].to_vec(), "is cut off"),
        ("not ours", "keeper.sealed", b"-----BEGIN".to_vec(), "nothing that this keystore sealed"),
        ("another key", "keeper.key", "08".repeat(32).into_bytes(), "does not open"),
        ("no key", "keeper.key", b"hello".to_vec(), "64 hexadecimal digits"),
    ] {
        let before = fs::read(keys.join(file)).expect("there");
        fs::write(keys.join(file), bytes).expect("written");
        let why = open(true).expect_err(what);
        assert!(why.contains(says), "{what}: {why}");
        fs::write(keys.join(file), before).expect("written");
    }
    fs::set_permissions(keys.join("keeper.key"), fs::Permissions::from_mode(0o640)).expect("set");
    assert!(open(true).expect_err("open").contains("chmod 600"));
    fs::remove_file(keys.join("keeper.key")).expect("removed");
    assert!(open(true).expect_err("gone").contains("keeper.key is not there"));
    // A node with a locked keystore refuses, and says so.
    let keeper = keeper_of(&home, "acme.internal", false, 1);
    assert!(matches!(keeper.seal("a", 1, &Secret::new("b"), &Fixed(1)), Err(KeeperError::Locked(_))));
    hold(&keeper, vec![kept("wiki", 1, b"whatever")]);
    assert!(matches!(keeper.secret("wiki"), Err(KeeperError::Locked(_))));
    assert!(matches!(keeper.secret("other"), Err(KeeperError::Missing(_))));
}

#[test]
fn a_passphrase_takes_the_place_of_the_key_file() {
    let home = home();
    let keys = home.path().join("keys");
    let with = |unlock: &Unlock, dice: u8| data_key(&keys, "acme.internal", unlock, dice == 7, CHEAP, &Fixed(dice));
    let file = |text: &str| {
        put(home.path(), "passphrase", text, 0o600);
        Unlock::File(home.path().join("passphrase"))
    };
    with(&Unlock::KeyFile, 7).expect("made");
    assert!(with(&file("short"), 1).expect_err("too short").contains("12 characters"));
    assert!(keys.join("keeper.key").exists());
    let by = file("correct horse battery");
    assert_eq!(*with(&by, 1).expect("sealed anew"), [7; 32]);
    assert!(!keys.join("keeper.key").exists(), "the key file opens nothing any more");
    assert_eq!(*with(&by, 2).expect("opened"), [7; 32]);
    let sealed = fs::read(keys.join("keeper.sealed")).expect("there");
    expect_test::expect!["7374776b010300000040000000010000000101010101010101010101010101010101010101010101010101010101538b2c01a1d83e0bf9763ead244f1e06412fec1eb2aa83588abcfd196230fe1e869cfa8ed0f6dd7d1246c3d1f411b377"].assert_eq(&hex::encode(&sealed));
    assert!(with(&file("correct horse batterz"), 2).expect_err("wrong").contains("is the passphrase in"));
    assert!(with(&Unlock::KeyFile, 2).expect_err("a passphrase").contains("keeper_passphrase"));
    assert!(with(&Unlock::Variable("STEWARD_NOBODY_SETS_THIS".to_owned()), 2).is_err());
    // A file that asks for more memory than there is.
    let mut greedy = sealed;
    greedy[6] = 0xff;
    fs::write(keys.join("keeper.sealed"), greedy).expect("written");
    assert!(with(&by, 2).expect_err("greedy").contains("does not open"));
}

/// As systemd hands them over, in a folder `credentials` of the home.
fn credential(home: &TempDir, name: &str, bytes: &[u8]) -> Credential {
    let folder = home.path().join("credentials");
    fs::create_dir_all(&folder).expect("made");
    let file = folder.join(name);
    // One that is there cannot be written.
    let _ = fs::remove_file(&file);
    fs::write(&file, bytes).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("set");
    Credential { folder: Some(folder), name: name.to_owned() }
}

#[test]
fn a_credential_of_the_service_opens_the_keystore() {
    let home = home();
    let keys = home.path().join("keys");
    let with = |unlock: &Unlock, dice: u8| data_key(&keys, "acme.internal", unlock, dice == 7, CHEAP, &Fixed(dice));
    let by = Unlock::Credential(credential(&home, "passphrase", b"correct horse battery\n"));
    assert_eq!(*with(&by, 7).expect("made"), [7; 32]);
    assert!(!keys.join("keeper.key").exists(), "nothing in the home opens it");
    assert_eq!(*with(&by, 2).expect("opened"), [7; 32]);
    // It is a passphrase as one in a file is, with the line's end or without.
    put(home.path(), "passphrase", "correct horse battery", 0o600);
    assert_eq!(*with(&Unlock::File(home.path().join("passphrase")), 2).expect("opened"), [7; 32]);
    for (bytes, says) in [
        (&b"correct horse batterz"[..], "is the passphrase in the credential `passphrase` the right one?"),
        (b"short", "fewer than 12"),
        (b"\xff\xfe not a text of any kind", "is not UTF-8"),
    ] {
        let why = with(&Unlock::Credential(credential(&home, "passphrase", bytes)), 2).expect_err(says);
        assert!(why.contains(says) && !why.contains("horse"), "{why}");
    }
}

#[test]
fn a_key_that_is_kept_elsewhere_takes_the_place_of_the_key_file() {
    let home = home();
    let keys = home.path().join("keys");
    let with = |unlock: &Unlock, dice: u8| data_key(&keys, "acme.internal", unlock, dice == 7, CHEAP, &Fixed(dice));
    let by = |bytes: &[u8]| Unlock::CredentialKey(credential(&home, "key", bytes));
    with(&Unlock::KeyFile, 7).expect("made");
    for wrong in [&b"hello"[..], &[5; 31], "05".repeat(33).as_bytes()] {
        let why = with(&by(wrong), 2).expect_err("no key");
        assert!(why.contains("64 hexadecimal digits, or 32 bytes"), "{why}");
    }
    assert!(keys.join("keeper.key").exists());
    // Its bytes, or their digits.
    assert_eq!(*with(&by(&[5; 32]), 2).expect("sealed anew"), [7; 32]);
    assert!(!keys.join("keeper.key").exists(), "the key file opens nothing any more");
    assert_eq!(*with(&by(format!("{}\n", "05".repeat(32)).as_bytes()), 2).expect("opened"), [7; 32]);
    put(home.path(), "key", &"05".repeat(32), 0o600);
    assert_eq!(*with(&Unlock::KeyAt(home.path().join("key")), 2).expect("opened"), [7; 32]);
    let why = with(&by(&[6; 32]), 2).expect_err("another key");
    assert!(why.contains("is the key in the credential `key` the right one?"), "{why}");
    assert!(with(&Unlock::KeyFile, 2).expect_err("it is elsewhere").contains("keeper_key"));
    // The key file of the home, handed over from where it lies: taking it over would remove the only copy.
    put(&keys, "keeper.key", &"05".repeat(32), 0o600);
    for unlock in [by(&[5; 32]), Unlock::KeyAt(keys.join("keeper.key")), Unlock::File(keys.join("keeper.key"))] {
        let why = with(&unlock, 2).expect_err("the same key");
        assert!(why.contains("keys/keeper.key of this home holds already"), "{why}");
        assert!(keys.join("keeper.key").exists(), "and it is still there");
    }
    // One that died after it sealed anew, and before it took the key file away.
    put(&keys, "keeper.key", &"07".repeat(32), 0o600);
    assert_eq!(*with(&by(&[5; 32]), 2).expect("opened"), [7; 32]);
    assert!(!keys.join("keeper.key").exists());
    // Made with it from the beginning.
    fs::remove_file(keys.join("keeper.sealed")).expect("removed");
    with(&by(&[5; 32]), 7).expect("made");
    assert!(!keys.join("keeper.key").exists());
}
