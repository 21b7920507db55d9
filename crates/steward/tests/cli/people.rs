//! People and their keys.

use crate::{DONE, MISUSED, REFUSED, common::Place, demo, ended, fields, json, list, run, text};

#[test]
fn a_login_key_becomes_a_key_of_ones_own_once() {
    let place = Place::new();
    let node = place.up(&[]);
    let said = run(&place, REFUSED, &["agent", "list"]);
    assert!(said.err.contains("not logged in") && said.err.contains("login`"), "{said:?}");
    let file = place.home().join("login.key");
    let way_in = std::fs::read(&file).expect("a new node leaves a login key");

    let key = json(&place, DONE, &["login", "--label", "desk"]);
    assert_eq!((text(&key, "/label"), text(&key, "/status")), ("desk", "active"));
    assert_eq!(text(&key, "/holder"), "operator@acme.internal");
    assert!(!file.exists(), "it is used up, and gone");
    assert!(key.get("secret").is_none(), "the secret is kept and not shown");

    let again = place.steward_with(&["login", "--key-stdin", "--json"], &way_in);
    ended(REFUSED, &again);
    assert!(again.out.contains("KEY_USED"), "{again:?}");
    let wrong = place.steward_with(&["login", "--key-stdin"], b"no key at all");
    ended(MISUSED, &wrong);
    run(&place, DONE, &["agent", "list"]);
    node.stop();
}

#[test]
fn people_come_and_go() {
    let (place, node) = demo();
    let added = json(&place, DONE, &["people", "add", "rita", "--role", "reviewer", "--role", "viewer"]);
    assert_eq!(fields(&added), ["login_key", "person"]);
    assert_eq!(fields(&added["person"]), ["added_at", "entry", "name", "namespace", "roles", "status"]);
    assert_eq!(fields(&added["login_key"]), ["key", "secret"]);
    assert_eq!(added["login_key"]["key"]["single_use"], true);
    let secret = text(&added, "/login_key/secret").to_owned();

    // Rita, at a desk of her own.
    let hers = |arguments: &[&str]| {
        let mut command = place.command();
        command.env("STEWARD_CONFIG_DIR", place.path("hers")).args(arguments);
        command
    };
    let file = place.path("rita.key");
    std::fs::write(&file, &secret).expect("a file");
    let login = hers(&["login", "--key-file"]).arg(&file).output().expect("it runs");
    assert!(login.status.success(), "{login:?}");
    let may = hers(&["people", "list"]).output().expect("it runs");
    assert!(may.status.success(), "{may:?}");
    let may_not = hers(&["agent", "add", "nobody.toml"]).output().expect("it runs");
    assert!(!may_not.status.success(), "{may_not:?}");

    let people = json(&place, DONE, &["people", "list"]);
    let names: Vec<&str> = list(&people, "/people").iter().map(|p| text(p, "/name")).collect();
    assert_eq!(names, ["operator", "reviewer", "rita"]);
    assert_eq!(text(&json(&place, DONE, &["people", "disable", "rita"]), "/status"), "disabled");
    let shut_out = hers(&["people", "list", "--json"]).output().expect("it runs");
    assert_eq!(shut_out.status.code(), Some(REFUSED));
    assert!(String::from_utf8_lossy(&shut_out.stdout).contains("HOLDER_DISABLED"), "{shut_out:?}");

    for (arguments, code, why) in [
        (["people", "add", "rita", "--role", "viewer"], REFUSED, "NAME_TAKEN"),
        (["people", "add", "Rıta", "--role", "viewer"], MISUSED, "INVALID_REQUEST"),
        (["people", "add", "paul", "--role", "king"], MISUSED, "king"),
    ] {
        let said = run(&place, code, &arguments);
        assert!(said.err.contains(why), "{said:?}");
    }
    let last = json(&place, REFUSED, &["people", "disable", "operator"]);
    assert_eq!(text(&last, "/code"), "LAST_ADMIN");
    assert_eq!(text(&json(&place, REFUSED, &["people", "disable", "nobody"]), "/code"), "NOT_FOUND");
    run(&place, MISUSED, &["people", "add", "paul"]);
    assert!(run(&place, DONE, &["people", "list"]).out.contains("disabled"));
    node.stop();
}

#[test]
fn a_key_in_the_environment_goes_before_the_remembered_one() {
    let (place, node) = demo();
    let made = json(&place, DONE, &["key", "create", "--label", "ci", "--scope", "read", "--expires", "2h"]);
    assert_eq!(fields(&made), ["key", "secret"]);
    let (id, secret) = (text(&made, "/key/id").to_owned(), text(&made, "/secret").to_owned());
    let with = |key: &str, arguments: &[&str]| {
        let output = place.command().env("STEWARD_KEY", key).args(arguments).arg("--json").output().expect("it runs");
        let out = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), out, String::from_utf8(output.stderr).expect("text"))
    };
    let (code, out, _) = with(&secret, &["agent", "list"]);
    assert_eq!(code, Some(DONE), "{out}");
    // Also at a desk that remembers nothing: whoever has a key is logged in.
    let mut elsewhere = place.command();
    elsewhere.env("STEWARD_KEY", &secret).env("STEWARD_CONFIG_DIR", place.path("elsewhere")).arg("doctor");
    let output = elsewhere.output().expect("it runs");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("with the key in STEWARD_KEY"), "{output:?}");
    let (code, out, err) = with(&secret, &["people", "add", "paul", "--role", "viewer"]);
    assert_eq!(code, Some(REFUSED), "the key may only read: {out}{err}");

    let revoked = json(&place, DONE, &["key", "revoke", &id]);
    assert_eq!((text(&revoked, "/id"), text(&revoked, "/status")), (id.as_str(), "revoked"));
    let (code, out, err) = with(&secret, &["agent", "list"]);
    assert_eq!(code, Some(REFUSED));
    assert!(out.contains("KEY_REVOKED") && err.contains("STEWARD_KEY"), "{out}{err}");
    assert_eq!(with("", &["agent", "list"]).0, Some(DONE), "an empty one is none");
    assert_eq!(with("no key\n at all", &["agent", "list"]).0, Some(MISUSED));
    let (code, out, _) = with("stw_unknown", &["agent", "list"]);
    assert_eq!(code, Some(REFUSED));
    assert!(out.contains("UNAUTHENTICATED"), "{out}");

    let keys = json(&place, DONE, &["key", "list"]);
    let listed = list(&keys, "/keys").iter().find(|key| text(key, "/id") == id).expect("it is listed");
    assert_eq!(text(listed, "/status"), "revoked");
    assert!(!keys.to_string().contains("stw_"), "no list has a secret");
    assert_eq!(
        text(&json(&place, REFUSED, &["key", "revoke", "key_01ARZ3NDEKTSV4RRFFQ69G5FAV"]), "/code"),
        "NOT_FOUND"
    );
    run(&place, MISUSED, &["key", "revoke", "no-id"]);
    run(&place, MISUSED, &["key", "create", "--label", "x", "--scope", "everything"]);
    node.stop();
}

#[test]
fn a_key_that_is_good_once_is_not_for_reading() {
    let (place, node) = demo();
    let made =
        json(&place, DONE, &["key", "create", "--agent", "scribe", "--label", "one", "--scope", "act", "--single-use"]);
    let secret = text(&made, "/secret").to_owned();
    let once = |arguments: &[&str]| {
        place.command().env("STEWARD_KEY", &secret).args(arguments).arg("--json").output().expect("it runs")
    };
    let read = once(&["agent", "show", "scribe"]);
    assert!(String::from_utf8_lossy(&read.stdout).contains("KEY_SINGLE_USE"), "{read:?}");
    let content = place.path("content");
    std::fs::write(&content, "once").expect("a file");
    let act = ["act", "scribe", "fs.write", "/reports/once.md", "--from", content.to_str().expect("text")];
    let first = once(&act);
    assert!(first.status.success(), "an agent's own key: {first:?}");
    let second = once(&act);
    assert_eq!(second.status.code(), Some(REFUSED));
    assert!(String::from_utf8_lossy(&second.stdout).contains("KEY_USED"), "{second:?}");
    node.stop();
}
