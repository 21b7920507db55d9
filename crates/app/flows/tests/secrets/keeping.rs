//! What people do with secrets, and how they lie in the store.

use steward_app_secrets::{self as secrets, Status, Value};
use steward_ledger::kind;
use steward_permit::Role;
use steward_seal::secret::Secret;
use steward_testkit::TestNode;

use crate::common::{KEY, entries, node, put, rotate};

/// What the store's files hold.
fn stored(node: &TestNode) -> Vec<u8> {
    let home = node.home().path();
    ["store.sqlite", "store.sqlite-wal"]
        .iter()
        .flat_map(|name| std::fs::read(home.join(name)).unwrap_or_default())
        .collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The sealed value of `wiki`.
fn sealed(node: &TestNode) -> Option<Vec<u8>> {
    let all = node.context().store.read(|reader| secrets::secrets(reader, node.namespace())).expect("it reads");
    all.into_iter().find(|secret| secret.name.as_str() == "wiki").expect("it is there").sealed
}

#[tokio::test]
async fn a_secret_is_put_rotated_and_revoked_by_administrators() {
    let (node, olivia) = node().await;
    let rita = node.person("rita", &[Role::Reviewer, Role::Viewer]).await;
    let (runner, admin) = (node.runner(), node.admin().await);
    let given = Value::Given(Secret::new("sk-another-0123456789"));
    for who in [&olivia, &rita] {
        let caller = node.again(who);
        let codes = [
            runner.put_secret(&caller, "more", &given).await.expect_err("refused").code,
            runner.rotate_secret(&caller, "wiki", &given).await.expect_err("refused").code,
            runner.revoke_secret(&caller, "wiki", "no").await.expect_err("refused").code,
            secrets::grant(node.context(), &caller, "wiki", "reader", true).await.expect_err("refused").code,
        ];
        assert_eq!(codes, ["NOT_PERMITTED"; 4]);
        let listed = secrets::list(node.context(), runner.keeper(), &caller).await.expect("they may look");
        assert_eq!(listed.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["wiki"]);
    }
    assert_eq!(runner.put_secret(&admin, "wiki", &given).await.expect_err("it is there").code, "NAME_TAKEN");
    assert_eq!(runner.rotate_secret(&admin, "none", &given).await.expect_err("there is none").code, "NOT_FOUND");
    assert_eq!(
        runner.rotate_secret(&admin, "wiki", &Value::Again).await.expect_err("given before").code,
        "INVALID_REQUEST"
    );
    for (name, text) in [("Bad Name", "x"), ("empty", " "), ("lines", "a\nb")] {
        let value = Value::Given(Secret::new(text));
        assert_eq!(
            runner.put_secret(&admin, name, &value).await.expect_err("refused").code,
            "INVALID_REQUEST",
            "{name}"
        );
    }
    let rotated = runner.rotate_secret(&admin, "wiki", &given).await.expect("rotated");
    assert_eq!((rotated.version, rotated.status), (2, Status::Active));
    assert_eq!(runner.keeper().secret("wiki").expect("it opens").reveal(), "sk-another-0123456789");
    let revoked = runner.revoke_secret(&admin, "wiki", "it leaked").await.expect("revoked");
    assert_eq!((revoked.status, revoked.sealed, revoked.reason.as_deref()), (Status::Revoked, None, Some("it leaked")));
    assert_eq!(runner.revoke_secret(&admin, "wiki", "again").await.expect_err("it is").code, "INVALID_REQUEST");
    assert_eq!(runner.rotate_secret(&admin, "wiki", &given).await.expect_err("put it").code, "INVALID_REQUEST");
    let back = runner.put_secret(&admin, "wiki", &given).await.expect("put anew");
    assert_eq!((back.version, back.reason), (3, None));
    for (kind, times) in [(kind::SECRET_PUT, 2), (kind::SECRET_ROTATED, 1), (kind::SECRET_REVOKED, 1)] {
        assert_eq!(entries(&node, kind).len(), times, "{kind}");
    }
}

#[tokio::test]
async fn a_generated_secret_has_another_value_with_each_rotation() {
    let (node, _olivia) = node().await;
    let (runner, admin) = (node.runner(), node.admin().await);
    assert_eq!(
        runner.put_secret(&admin, "hook", &Value::Generated(8)).await.expect_err("too few").code,
        "INVALID_REQUEST"
    );
    let put = runner.put_secret(&admin, "hook", &Value::Generated(32)).await.expect("put");
    let first = runner.keeper().secret("hook").expect("it opens");
    assert_eq!((put.generated, first.reveal().len()), (Some(32), 43));
    let rotated = runner.rotate_secret(&admin, "hook", &Value::Again).await.expect("rotated");
    let second = runner.keeper().secret("hook").expect("it opens");
    assert_eq!((rotated.version, second.reveal().len()), (2, 43));
    assert_ne!(first, second);
    let bytes = stored(&node);
    assert!(![&first, &second].iter().any(|secret| holds(&bytes, secret.reveal().as_bytes())));
}

#[tokio::test]
async fn what_was_replaced_or_revoked_is_erased() {
    let (mut node, _olivia) = node().await;
    let first = sealed(&node).expect("sealed");
    assert!(holds(&stored(&node), &first), "it lies there, sealed");
    rotate(&node, "wiki", "sk-another-0123456789").await;
    let second = sealed(&node).expect("sealed");
    // Stopped in order: what the log held is in the store, and the log is empty.
    node.restart().await;
    assert_eq!((holds(&stored(&node), &first), holds(&stored(&node), &second)), (false, true));
    node.runner().revoke_secret(&node.admin().await, "wiki", "it leaked").await.expect("revoked");
    node.restart().await;
    assert!(!holds(&stored(&node), &second));
    assert!(!holds(&stored(&node), KEY.as_bytes()));
}

#[tokio::test]
async fn a_value_that_was_moved_or_changed_behind_the_node_is_refused_and_found() {
    let (mut node, _olivia) = node().await;
    put(&node, "spare", "sk-of-somebody-else-01").await;
    node.stop().await;
    node.expect_damage();
    let sql = rusqlite::Connection::open(node.home().store()).expect("it opens");
    let moved = sql
        .execute("UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'spare') WHERE name = 'wiki'", []);
    assert_eq!(moved.expect("moved"), 1);
    drop(sql);
    node.revive().await.expect("it starts all the same");
    let keeper = node.runner().keeper();
    let error = keeper.secret("wiki").expect_err("it is of another name").to_string();
    assert!(error.contains("does not open") && error.contains("secret rotate wiki"), "{error}");
    assert_eq!((keeper.damaged(), keeper.secret("spare").is_ok()), (vec!["wiki".to_owned()], true));
    assert!(!node.audit(true).is_consistent(), "an audit finds it, too");
}

#[tokio::test]
async fn a_node_whose_keystore_does_not_open_says_so_and_starts() {
    let (mut node, _olivia) = node().await;
    assert_eq!(node.runner().keeper().unlocked(), Ok("the key file keys/keeper.key"));
    node.stop().await;
    let key = node.home().keys().join("keeper.key");
    let before = std::fs::read(&key).expect("it is there");
    std::fs::remove_file(&key).expect("removed");
    node.revive().await.expect("it starts all the same");
    assert!(node.runner().keeper().unlocked().is_err_and(|why| why.contains("keeper.key is not there")));
    let put = node.runner().put_secret(&node.admin().await, "more", &Value::Generated(32)).await;
    assert_eq!(put.expect_err("it is locked").code, "KEYSTORE_LOCKED");
    assert!(!key.exists(), "no other key is made in its place");
    node.stop().await;
    std::fs::write(&key, before).expect("put back");
    std::os::unix::fs::PermissionsExt::set_mode(&mut std::fs::metadata(&key).expect("there").permissions(), 0o600);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    node.revive().await.expect("it starts");
    assert_eq!(node.runner().keeper().secret("wiki").expect("it opens").reveal(), KEY);
}
