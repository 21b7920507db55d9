//! What can be typed without a node, what is said about one, and what is wrong use.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use crate::{DONE, MISUSED, REFUSED, UNREACHABLE, common::Place, demo, ended, fields, json, list, number, run, text};

#[test]
fn a_node_says_what_it_is_and_does() {
    let (place, node) = demo();
    assert!(node.said().contains("Demo:") && node.said().contains("[FORBIDDEN]"), "{}", node.said());
    let status = json(&place, DONE, &["node", "status"]);
    assert_eq!(
        fields(&status),
        [
            "agents",
            "demo",
            "disk_free_bytes",
            "effects_open",
            "effects_unknown",
            "entries",
            "health",
            "keystore",
            "namespace",
            "now",
            "origin",
            "people",
            "policy_mistakes",
            "policy_version",
            "runs_live",
            "sandbox",
            "started_at",
            "unauthenticated",
            "version",
        ]
    );
    assert_eq!((number(&status, "/agents"), number(&status, "/people")), (6, 2));
    assert_eq!((text(&status, "/namespace"), text(&status, "/version")), ("acme.internal", env!("CARGO_PKG_VERSION")));
    let doctor = json(&place, DONE, &["doctor"]);
    let checks: Vec<_> = list(&doctor, "/checks").iter().map(|c| (text(c, "/name"), text(c, "/status"))).collect();
    assert!(checks.len() >= 8 && checks.iter().all(|(_, status)| *status == "ok"), "{checks:?}");
    assert!(run(&place, DONE, &["doctor"]).out.contains("ledger and rows fit together"));
    assert!(run(&place, DONE, &["node", "status"]).out.contains("acme.internal (demo)"));

    // By its address, it is another node to those who remember keys by home; a key in the environment is for whoever asks.
    let key = json(&place, DONE, &["key", "create", "--label", "x", "--scope", "read"]);
    let mut by_address = place.command();
    by_address.args(["--node", node.url(), "node", "status"]).env("STEWARD_KEY", text(&key, "/secret"));
    assert!(by_address.output().expect("it runs").status.success());
    node.stop();

    for arguments in [&["node", "status"][..], &["agent", "list"], &["ledger", "head"], &["doctor"]] {
        run(&place, UNREACHABLE, arguments);
    }
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("it has one"));
    drop(listener);
    run(&place, UNREACHABLE, &["--node", &address, "ledger", "head"]);
}

#[test]
fn a_home_has_one_node_and_keeps_what_it_is() {
    let place = Place::new();
    let node = place.up(&[]);
    let second = place.steward(&["up", "--listen", "127.0.0.1:0"]);
    ended(REFUSED, &second);
    assert!(second.err.contains("another node runs in"), "{second:?}");
    let address = fs::read_to_string(place.home().join("run/address")).expect("where it listens");
    assert_eq!(address.trim(), node.url());
    node.stop();
    assert!(!place.home().join("run/address").exists(), "whoever finds no address finds no node");
    let no_demo = place.steward(&["up", "--demo", "--listen", "127.0.0.1:0"]);
    ended(MISUSED, &no_demo);
    let outside = place.steward(&["up", "--listen", "192.0.2.1:0"]);
    ended(MISUSED, &outside);
    assert!(outside.err.contains("can be reached from outside"), "{outside:?}");
}

#[test]
fn what_everybody_may_write_is_not_what_a_node_does() {
    let place = Place::new();
    // With a umask that leaves everything open, what the node makes is closed all the same.
    place.up_with_umask("000").stop();
    place.up_with_umask("000").stop();
    let policies = place.home().join("policies");
    for (path, closed) in [
        (place.home(), 0o700),
        (place.home().join("steward.toml"), 0o600),
        (policies.clone(), 0o700),
        (policies.join("tiers"), 0o700),
        (policies.join("runs.cedar"), 0o644),
    ] {
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is there");
        chmod(closed | 0o002);
        let said = run(&place, MISUSED, &["up", "--listen", "127.0.0.1:0"]);
        let mends = format!("`{}` (mode {:o}): run `chmod o-w {0}`", path.display(), closed | 0o002);
        assert!(said.err.contains(&mends), "{said:?}");
        run(&place, REFUSED, &["upgrade", "check"]);
        chmod(closed);
    }
    run(&place, DONE, &["upgrade", "check"]);
    place.up(&[]).stop();
}

#[test]
fn help_completions_and_manuals_need_no_node() {
    let place = Place::new();
    assert!(run(&place, DONE, &["--help"]).out.contains("STEWARD_KEY"));
    assert!(run(&place, DONE, &["--version"]).out.contains(env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&place, DONE, &["completions", shell]).out.contains("steward"));
    }
    assert!(run(&place, DONE, &["man"]).out.contains(".TH steward 1"));
    run(&place, DONE, &["man", "pages"]);
    for page in ["steward.1", "steward-ledger-verify.1", "steward-up.1"] {
        assert!(place.path("pages").join(page).exists(), "{page}");
    }
    assert!(!place.home().exists(), "nothing made a home");
}

#[test]
fn wrong_use_says_what_is_right() {
    let place = Place::new();
    for arguments in [
        &[][..],
        &["frob"],
        &["up", "--listen", "somewhere"],
        &["people", "add", "rita"],
        &["key", "create", "--scope", "read"],
        &["act", "scribe"],
        &["action", "list", "--decision", "maybe"],
        &["ledger", "export"],
        &["completions", "basic"],
    ] {
        let said = run(&place, MISUSED, arguments);
        assert!(!said.err.is_empty() && said.out.is_empty(), "{said:?}");
    }
    run(&place, REFUSED, &["ledger", "verify"]);
    let said = run(&place, UNREACHABLE, &["agent", "list"]);
    assert!(said.err.contains("there is no node in"), "{said:?}");
}
