//! A node dies while its keystore is made, while a secret is rotated, or while the keystore is sealed anew: one value or the other opens, and
//! the one that was acknowledged does.

use std::os::unix::process::ExitStatusExt as _;

use steward_app_node::system::SystemDice;
use steward_app_secrets::{SecretRow, secrets};
use steward_keeper::{Credential, Keeper, KeeperError, Place as Kept, Unlock};
use steward_store::Archive;
use steward_wire::{PutSecret, RotateSecret, SecretText};

use crate::common::{NAMESPACE, Place};

/// SIGKILL.
const KILL: i32 = 9;

/// What the secret holds before and after.
const VALUES: [&str; 2] = ["sk-the-one-before-0123456", "sk-the-one-after-01234567"];

/// What the secret `wiki` holds in a home whose node is down.
fn held(place: &Place, unlock: &Unlock) -> Result<String, KeeperError> {
    let home = place.home();
    let archive = Archive::open(&home.join("store.sqlite")).expect("there is a store");
    let rows = archive.read(|reader| secrets(reader, &NAMESPACE.parse().expect("a namespace"))).expect("it reads");
    let at = Kept { secrets: home.join("secrets"), keys: home.join("keys"), namespace: NAMESPACE.to_owned() };
    let keeper = Keeper::open(at, unlock, false, &SystemDice);
    keeper.hold(|| Ok::<_, KeeperError>(rows.iter().map(SecretRow::kept).collect()))?;
    keeper.secret("wiki").map(|secret| secret.reveal().to_owned())
}

fn value(text: &str) -> Option<SecretText> {
    Some(SecretText(text.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_dies_leaves_one_value_or_the_other() {
    let place = Place::new();
    let node = place.up(&[]);
    let (_, key) = node.login().await;
    let put = PutSecret { name: "wiki".to_owned(), value: value(VALUES[0]), generate: None, made_by: None };
    node.caller(Some(&key.secret)).put_secret(&put).await.expect("put");
    node.stop();
    let (mut before, mut kept, mut lost) = (0, 0, 0);
    for point in ["commit.before_commit", "commit.after_commit", "secret.rotated"] {
        for nth in 1.. {
            let mishap = format!("{point}:{nth}");
            let next = VALUES[1 - before];
            // A start commits too.
            let Ok(node) = place.try_up(&[], &[("STEWARD_MISHAP", &mishap)]) else { continue };
            let rotate = RotateSecret { value: value(next), generate: None };
            let rotated = node.caller(Some(&key.secret)).rotate_secret("wiki", &rotate).await;
            let is_acknowledged = rotated.is_ok();
            if is_acknowledged {
                node.kill();
            } else {
                assert_eq!(node.wait().signal(), Some(KILL), "{mishap}: {}", place.log());
            }
            let now = held(&place, &Unlock::KeyFile).unwrap_or_else(|error| panic!("{mishap}: {error}"));
            assert!(VALUES.contains(&now.as_str()), "{mishap}");
            assert!(!is_acknowledged || now == next, "{mishap}: it was acknowledged");
            match (is_acknowledged, now == next) {
                (false, true) => kept += 1,
                (false, false) => lost += 1,
                (true, _) => {}
            }
            before = usize::from(now == VALUES[1]);
            if is_acknowledged || point == "secret.rotated" {
                break;
            }
        }
    }
    assert!(kept >= 2 && lost >= 1, "it died before the commit {lost} times, and after it {kept} times");
    let node = place.up(&[]);
    let status = node.caller(Some(&key.secret)).node_status().await.expect("a status");
    assert!(status.keystore.starts_with("unlocked"), "{}", status.keystore);
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystore_opens_whenever_the_node_died_that_made_it_or_sealed_it_anew() {
    let place = Place::new();
    let dead = place.try_up(&[], &[("STEWARD_MISHAP", "keeper.key_made:1")]).err().expect("it dies");
    assert_eq!(dead.status.signal(), Some(KILL), "{}", dead.log);
    let node = place.up(&[]);
    let (operator, key) = node.login().await;
    let put = PutSecret { name: "wiki".to_owned(), value: value(VALUES[0]), generate: None, made_by: None };
    operator.put_secret(&put).await.expect("put");
    node.stop();
    assert_eq!(held(&place, &Unlock::KeyFile).expect("it opens"), VALUES[0]);

    // Sealed anew by a key that the service manager hands over, and not by one in the home; then nothing in the home opens it.
    let credentials = place.path("credentials");
    std::fs::create_dir(&credentials).expect("made");
    std::fs::write(credentials.join("key"), [7; 32]).expect("written");
    std::fs::set_permissions(credentials.join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o400))
        .expect("set");
    let folder = credentials.display().to_string();
    let with = [
        ("CREDENTIALS_DIRECTORY", folder.as_str()),
        ("STEWARD_KEEPER_KEY", "credential:key"),
        ("STEWARD_MISHAP", "keeper.sealed_anew:1"),
    ];
    let dead = place.try_up(&[], &with).err().expect("it dies");
    assert_eq!(dead.status.signal(), Some(KILL), "{}", dead.log);
    let key_file = place.home().join("keys/keeper.key");
    assert!(key_file.exists(), "it died before it took the key file away");
    let node = place.try_up(&[], &with[..2]).expect("it starts");
    assert!(!key_file.exists());
    let status = node.caller(Some(&key.secret)).node_status().await.expect("a status");
    assert_eq!(status.keystore, "unlocked by the key in the credential `key`");
    node.stop();
    let handed = Credential { folder: Some(credentials), name: "key".to_owned() };
    assert_eq!(held(&place, &Unlock::CredentialKey(handed)).expect("it opens"), VALUES[0]);
    assert!(matches!(held(&place, &Unlock::KeyFile), Err(KeeperError::Locked(_))));
    // Without it the node is up, and says what is wrong.
    let node = place.try_up(&[], &with[1..2]).expect("it starts");
    let doctor = node.caller(Some(&key.secret)).doctor().await.expect("it looks");
    let check = doctor.checks.iter().find(|check| check.name.contains("keystore")).expect("it looked");
    assert!(check.status == "failed" && check.found.contains("LoadCredential=key:PATH"), "{check:?}");
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_takes_over_whenever_the_node_died_that_sealed_the_keystore_anew() {
    let place = Place::new();
    let node = place.up(&[]);
    let (operator, key) = node.login().await;
    let put = PutSecret { name: "wiki".to_owned(), value: value(VALUES[0]), generate: None, made_by: None };
    operator.put_secret(&put).await.expect("put");
    node.stop();
    let file = place.path("passphrase");
    std::fs::write(&file, "correct horse battery staple\n").expect("written");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    let where_it_is = format!("file:{}", file.display());
    let with = [("STEWARD_KEEPER_PASSPHRASE", where_it_is.as_str()), ("STEWARD_MISHAP", "keeper.sealed_anew:1")];
    let dead = place.try_up(&[], &with).err().expect("it dies");
    assert_eq!(dead.status.signal(), Some(KILL), "{}", dead.log);
    let key_file = place.home().join("keys/keeper.key");
    assert!(key_file.exists(), "it died before it took the key file away");
    let node = place.try_up(&[], &with[..1]).expect("it starts");
    assert!(!key_file.exists());
    let status = node.caller(Some(&key.secret)).node_status().await.expect("a status");
    assert!(status.keystore.starts_with("unlocked by the passphrase in"), "{}", status.keystore);
    node.stop();
    assert_eq!(held(&place, &Unlock::File(file)).expect("it opens"), VALUES[0]);
    assert!(matches!(held(&place, &Unlock::KeyFile), Err(KeeperError::Locked(_))));
    // Without the passphrase the node is up, and says what is wrong.
    let node = place.up(&[]);
    let caller = node.caller(Some(&key.secret));
    let doctor = caller.doctor().await.expect("it looks");
    let check = doctor.checks.iter().find(|check| check.name.contains("keystore")).expect("it looked");
    assert!(check.status == "failed" && check.found.contains("keeper_passphrase"), "{check:?}");
    node.stop();
}
