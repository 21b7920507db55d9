//! What is taken away in between is gone: the commit that comes later loses.

use steward_app_actions::Status;
use steward_app_node::{Caller, Error, Kind};
use steward_ledger::kind;
use steward_permit::Scope;
use steward_testkit::{Known, TestNode};

use crate::{begin, code, desk, effect, entries, until_recorded};

async fn disable(node: &TestNode, name: &str) {
    let admin = node.admin().await;
    steward_app_people::disable(node.context(), &admin, &name.parse().expect("a label")).await.expect("disabled");
}

#[tokio::test]
async fn a_key_that_is_revoked_between_load_and_commit_is_worth_nothing() {
    let (node, otto) = desk().await;
    let loaded = node.again(&otto);
    node.revoke(&otto).await.expect("revoked");
    let late = node.act_as(loaded.clone(), "scribe", "fs.write", "/reports/a.md", b"x").await;
    assert_eq!(late.expect_err("it is stale").kind, Kind::Stale);
    assert_eq!((entries(&node, kind::ACTION_INTENDED), node.file("scribe", "/reports/a.md")), (Vec::new(), None));
    // Whoever tries again is asked for the key again.
    assert_eq!(code(node.authenticate(&otto.token)), "KEY_REVOKED");

    // It is the guards that do it: a caller without them would have gone through.
    let unguarded = Caller { guards: Vec::new(), ..loaded };
    node.act_as(unguarded, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("nothing stops it");
}

#[tokio::test]
async fn a_person_who_is_disabled_between_load_and_commit_too() {
    let (node, otto) = desk().await;
    let loaded = node.again(&otto);
    disable(&node, "otto").await;
    let late = node.act_as(loaded, "scribe", "fs.write", "/reports/a.md", b"x").await;
    assert_eq!(late.expect_err("it is stale").kind, Kind::Stale);
    assert_eq!(entries(&node, kind::ACTION_INTENDED), []);
    assert_eq!(code(node.authenticate(&otto.token)), "HOLDER_DISABLED");
}

/// Between the two commits of a write somebody takes something away. Nothing is published, and it is on record why.
async fn in_between(node: &TestNode, otto: &Known, taken_away: impl AsyncFnOnce(), then: &str) {
    let act = node.act(otto, "scribe", "fs.write", "/reports/a.md", b"x");
    let mut act = std::pin::pin!(act);
    until_recorded(node, kind::ACTION_INTENDED, act.as_mut()).await;
    taken_away().await;
    let error: Error = act.await.expect_err("it did not happen");
    let id = error.action.clone().expect("it names the action");
    let effect = effect(node, &id);
    assert_eq!(effect.status, Status::Failed);
    assert_eq!(effect.error.expect("it says why").0, "STALE");
    assert_eq!(node.file("scribe", "/reports/a.md"), None, "nothing was published");
    assert_eq!(entries(node, kind::ACTION_PUBLISHING), []);
    let settled = entries(node, kind::ACTION_SETTLED);
    assert_eq!((settled.len(), settled[0].subject.as_str()), (1, id.as_str()));
    assert_eq!(code(node.authenticate(&otto.token)), then);
}

#[tokio::test]
async fn a_key_that_is_revoked_between_the_two_commits_of_a_write() {
    let (node, otto) = desk().await;
    in_between(&node, &otto, async || drop(node.revoke(&otto).await.expect("revoked")), "KEY_REVOKED").await;
}

#[tokio::test]
async fn a_person_who_is_disabled_between_the_two_commits_of_a_write() {
    let (node, otto) = desk().await;
    in_between(&node, &otto, async || disable(&node, "otto").await, "HOLDER_DISABLED").await;
}

#[tokio::test]
async fn of_32_who_exchange_one_login_key_one_wins() {
    let (node, _) = desk().await;
    let login = node.login_key("otto").await;
    let before = entries(&node, kind::KEY_EXCHANGED).len();
    let mut exchanges: Vec<_> = (0..32)
        .map(|n| {
            let caller = node.authenticate(&login);
            let context = node.context();
            Box::pin(async move { steward_app_people::exchange(context, &caller?, format!("try {n}")).await })
        })
        .collect();
    // Each has loaded the key before the first is written.
    let held = node.hold_writer();
    exchanges.iter_mut().for_each(|exchange| begin(exchange.as_mut()));
    drop(held);
    let (mut won, mut lost) = (0, 0);
    for exchange in exchanges {
        match exchange.await {
            Ok(created) => {
                won += 1;
                node.authenticate(&created.secret.reveal()).expect("the new key is good");
            }
            Err(error) => {
                lost += 1;
                assert_eq!(error.kind, Kind::Stale);
                // What the door does with a stale verb: it asks for the key again.
                assert_eq!(code(node.authenticate(&login)), "KEY_USED");
            }
        }
    }
    assert_eq!((won, lost), (1, 31));
    assert_eq!(entries(&node, kind::KEY_EXCHANGED).len(), before + 1);
}

#[tokio::test]
async fn a_single_use_key_does_one_thing() {
    let (node, otto) = desk().await;
    let once = node.key(&otto, &[Scope::Act], true).await;
    let loaded = node.again(&once);
    node.act(&once, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("the first is done, all of it");
    assert_eq!(node.file("scribe", "/reports/a.md").as_deref(), Some(b"x".as_slice()));
    assert_eq!(code(node.authenticate(&once.token)), "KEY_USED");
    let late = node.act_as(loaded, "scribe", "fs.write", "/reports/b.md", b"x").await;
    assert_eq!(late.expect_err("it is stale").kind, Kind::Stale);
    assert_eq!(node.file("scribe", "/reports/b.md"), None);
}

#[tokio::test]
async fn a_key_ends_when_it_ends() {
    let (node, otto) = desk().await;
    node.clock().advance_ms(90 * 24 * 3_600_000 - 1);
    node.again(&otto);
    node.clock().advance_ms(1);
    assert_eq!(code(node.authenticate(&otto.token)), "KEY_EXPIRED");
    for token in ["", "stw_", &otto.token[..otto.token.len() - 1], &otto.token.replace("stw_", "stw-")] {
        assert_eq!(code(node.authenticate(token)), "UNAUTHENTICATED");
    }
}
