//! Backups: made beside a running node, checked without one, put back; and what becomes of a node that was put back from an old one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    DONE, MISUSED, REFUSED,
    common::{NAMESPACE, Place, Up},
    demo, fields, json, list, number, run, text,
};

/// What ends a process that is told to die (SIGKILL): no exit code.
const KILLED: Option<i32> = None;

fn passphrase(place: &Place) -> String {
    let file = place.path("passphrase");
    fs::write(&file, "correct horse battery staple\n").expect("a file");
    file.to_str().expect("text").to_owned()
}

fn at(place: &Place, name: &str) -> String {
    place.path(name).to_str().expect("text").to_owned()
}

/// A demo node with a backup of it, and a head that was seen when it was made.
fn backed_up() -> (Place, Up, String) {
    let (place, node) = demo();
    let backup = at(&place, "backup");
    run(&place, DONE, &["backup", "create", "--to", &backup, "--passphrase-file", &passphrase(&place)]);
    (place, node, backup)
}

/// A copy that somebody puts back with `cp`, and not with `backup restore`, is found out by what this machine remembers.
#[test]
fn a_home_that_was_put_back_by_hand_starts_read_only() {
    let (place, node) = demo();
    node.stop();
    let copied = |from: &Path, to: &Path| {
        let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(done.expect("cp runs").success());
    };
    let old = place.path("old");
    copied(&place.home(), &old);

    // The same home goes on: what is remembered is continued.
    let node = place.up(&[]);
    let old_head = json(&place, DONE, &["ledger", "head"]);
    run(&place, DONE, &["halt", "--reason", "smoke"]);
    run(&place, DONE, &["resume", "--reason", "gone"]);
    let status = json(&place, DONE, &["node", "status"]);
    assert!(status.get("rolled_back").is_none(), "{status:#}");
    node.stop();
    let newest = place.path("newest");
    copied(&place.home(), &newest);
    fs::remove_dir_all(place.home()).expect("it is lost");
    copied(&old, &place.home());

    let node = place.up(&[]);
    let refused = json(&place, REFUSED, &["halt", "--reason", "smoke"]);
    assert_eq!(text(&refused, "/code"), "ROLLED_BACK", "{refused:#}");
    assert!(place.log().contains("behind a head that is known"), "{}", place.log());
    node.stop();

    // The newest store comes to light, and is put back: nothing is behind any more.
    let store = |folder: &Path| folder.join("store.sqlite");
    fs::copy(store(&place.home()), place.path("older.sqlite")).expect("kept");
    fs::copy(store(&newest), store(&place.home())).expect("put back");
    assert!(place.home().join("ROLLED_BACK").exists());
    let node = place.up(&[]);
    assert!(!place.home().join("ROLLED_BACK").exists(), "{}", place.log());
    let status = json(&place, DONE, &["node", "status"]);
    assert!(status.get("rolled_back").is_none(), "{status:#}");
    let head = json(&place, DONE, &["ledger", "head"]);
    node.stop();
    fs::copy(place.path("older.sqlite"), store(&place.home())).expect("and lost again");
    let node = place.up(&[]);
    assert_eq!(text(&json(&place, REFUSED, &["halt", "--reason", "smoke"]), "/code"), "ROLLED_BACK");
    node.stop();

    // Another history that is as long, from where nothing is remembered, is not what was lost.
    let mark = place.home().join("ROLLED_BACK");
    let note = fs::read(&mark).expect("it is marked");
    fs::remove_file(&mark).expect("removed");
    let nowhere = place.path("nowhere");
    for _ in 0..number(&head, "/size") - number(&old_head, "/size") {
        let elsewhere = [("STEWARD_CONFIG_DIR", nowhere.to_str().expect("text"))];
        place.try_up(&[], &elsewhere).expect("it comes up").stop();
    }
    fs::write(&mark, note).expect("put back");
    let node = place.up(&[]);
    assert_eq!(text(&json(&place, REFUSED, &["halt", "--reason", "smoke"]), "/code"), "ROLLED_BACK");
    assert!(mark.exists(), "{}", place.log());
    node.stop();
    fs::copy(place.path("older.sqlite"), store(&place.home())).expect("lost for good");
    let accepted = json(&place, DONE, &["backup", "accept", "--reason", "there is no newer one"]);
    assert_eq!(number(&accepted, "/lost/size"), number(&head, "/size"), "{accepted:#}");
    let node = place.up(&[]);
    run(&place, DONE, &["halt", "--reason", "smoke"]);
    node.stop();
}

/// The home is lost.
fn lose(place: &Place) -> PathBuf {
    let aside = place.path("lost");
    fs::rename(place.home(), &aside).expect("it can be moved");
    aside
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).expect("a folder") {
        let item = item.expect("it can be read");
        if item.file_type().expect("it has a type").is_dir() {
            found.extend(files(&item.path()));
        } else {
            found.push(item.path());
        }
    }
    found
}

/// The files below a folder that hold these bytes.
pub(crate) fn holding(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let needle = needle.as_bytes();
    let holds = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|w| w == needle));
    files(folder).into_iter().filter(holds).collect()
}

#[test]
fn a_backup_of_a_running_node_is_checked_and_put_back() {
    let (place, node) = demo();
    let (backup, pass) = (at(&place, "backup"), passphrase(&place));
    fs::create_dir_all(place.home().join("secrets")).expect("a folder");
    fs::write(place.home().join("secrets/provider"), "sk-very-secret").expect("a file");
    let made = json(&place, DONE, &["backup", "create", "--to", &backup, "--passphrase-file", &pass]);
    assert_eq!(
        fields(&made),
        [
            "backup",
            "bytes",
            "entries",
            "files",
            "left_out",
            "namespace",
            "origin",
            "sealed",
            "sealed_to",
            "signer",
            "taken_at"
        ]
    );
    assert_eq!(text(&made, "/namespace"), NAMESPACE);
    let sealed: Vec<&str> = list(&made, "/sealed").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        sealed,
        ["keys/document.pem", "keys/keeper.key", "keys/keeper.sealed", "keys/tree-head.pem", "secrets/provider"]
    );
    // The home has them in the clear, the backup has not.
    for secret in ["PRIVATE KEY", "sk-very-secret"] {
        assert!(!holding(&place.home(), secret).is_empty(), "the search finds `{secret}`");
        assert_eq!(holding(Path::new(&backup), secret), Vec::<PathBuf>::new());
    }

    // By the key that it names itself, which is said; by one that was kept; by another.
    let checked = json(&place, DONE, &["backup", "verify", &backup]);
    assert_eq!((text(&checked, "/signer_from"), &checked["holds"]), ("backup", &Value::Bool(true)));
    assert!(number(&checked, "/rows") >= 8 && number(&checked, "/behind") == 0, "{checked:#}");
    assert_eq!(number(&checked, "/entries"), number(&made, "/entries"));
    assert!(run(&place, DONE, &["backup", "verify", &backup]).out.contains("could have signed it anew"));
    let envelope: Value =
        serde_json::from_slice(&fs::read(place.path("backup/manifest.json")).expect("a file")).expect("JSON");
    let payload = STANDARD.decode(text(&envelope, "/payload")).expect("base 64");
    let manifest: Value = serde_json::from_slice(&payload).expect("JSON");
    fs::write(place.path("document.pub"), text(&manifest, "/document_key")).expect("a file");
    let checked = json(&place, DONE, &["backup", "verify", &backup, "--key", &at(&place, "document.pub")]);
    assert_eq!(text(&checked, "/signer_from"), "argument");
    fs::write(
        place.path("other.pub"),
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
    )
    .expect("a file");
    run(&place, REFUSED, &["backup", "verify", &backup, "--key", &at(&place, "other.pub")]);

    let agents = json(&place, DONE, &["agent", "list"]);
    let report = place.home().join("agents").join(NAMESPACE).join("scribe/files");
    let written = files(&report);
    assert!(!written.is_empty(), "the demo's agents write");
    node.stop();

    // It goes nowhere where something is, and nowhere without its keys.
    run(&place, MISUSED, &["backup", "restore", &backup, "--passphrase-file", &pass]);
    let lost = lose(&place);
    let said = run(&place, REFUSED, &["backup", "restore", &backup]);
    assert!(said.err.contains("--passphrase-file"), "{said:?}");
    fs::write(place.path("wrong"), "another passphrase").expect("a file");
    run(&place, REFUSED, &["backup", "restore", &backup, "--passphrase-file", &at(&place, "wrong")]);
    assert!(!place.home().exists(), "nothing is left of what was refused");
    let restored = json(&place, DONE, &["backup", "restore", &backup, "--passphrase-file", &pass]);
    assert_eq!(fields(&restored), ["backup", "home", "missing", "rolled_back"]);
    // Log lines are left out, and said to be.
    let missing: Vec<&str> = list(&restored, "/missing").iter().map(|missing| text(missing, "/path")).collect();
    assert_eq!((&restored["rolled_back"], missing), (&Value::Bool(false), vec!["logs"]), "{restored:#}");
    for path in ["secrets/provider", "keys/tree-head.pem", "steward.toml", "policies/roles.cedar"] {
        assert_eq!(fs::read(place.home().join(path)).ok(), fs::read(lost.join(path)).ok(), "{path}");
    }
    for path in written {
        assert!(path.exists(), "{}", path.display());
    }
    run(&place, DONE, &["ledger", "verify", "--state"]);
    let node = place.up(&[]);
    assert_eq!(json(&place, DONE, &["agent", "list"]), agents);
    run(&place, DONE, &["ledger", "head"]);
    node.stop();
}

#[test]
fn without_a_passphrase_the_keys_are_kept_elsewhere() {
    let (place, node) = demo();
    let backup = at(&place, "backup");
    let said = run(&place, DONE, &["backup", "create", "--to", &backup]);
    assert!(said.out.contains("no keys and no secrets are in it") && said.err.contains("NOT in it"), "{said:?}");
    assert!(list(&json(&place, DONE, &["backup", "verify", &backup]), "/left_out").len() >= 2);
    node.stop();
    let lost = lose(&place);
    let said = run(&place, REFUSED, &["backup", "restore", &backup]);
    assert!(said.err.contains("--keys"), "{said:?}");
    let other = Place::new();
    other.up(&[]).stop();
    let others = other.home().join("keys");
    let said = run(&place, REFUSED, &["backup", "restore", &backup, "--keys", others.to_str().expect("text")]);
    assert!(said.err.contains("another node"), "{said:?}");
    let keys = lost.join("keys");
    run(&place, DONE, &["backup", "restore", &backup, "--keys", keys.to_str().expect("text")]);
    place.up(&[]).stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
    // A short passphrase keeps nothing.
    fs::write(place.path("short"), "short").expect("a file");
    let again = at(&place, "again");
    run(&place, MISUSED, &["backup", "create", "--to", &again, "--passphrase-file", &at(&place, "short")]);
    assert!(!place.path("again").exists());
}

#[test]
fn whatever_is_changed_in_a_backup_is_found_and_not_restored() {
    let (place, node, backup) = backed_up();
    node.stop();
    lose(&place);
    let pass = passphrase(&place);
    let root = PathBuf::from(&backup);
    let agent_file = files(&root.join("home/agents")).into_iter().next().expect("the demo's agents write");
    for path in [
        agent_file,
        root.join("home/store.sqlite"),
        root.join("home/policies/roles.cedar"),
        root.join("sealed.json"),
        root.join("files.jsonl"),
        root.join("manifest.json"),
    ] {
        let before = fs::read(&path).expect("a file");
        let mut after = before.clone();
        let middle = after.len() / 2;
        after[middle] ^= 1;
        fs::write(&path, &after).expect("a file");
        run(&place, REFUSED, &["backup", "verify", &backup]);
        run(&place, REFUSED, &["backup", "restore", &backup, "--passphrase-file", &pass]);
        assert!(!place.home().exists(), "{} was changed, and nothing is restored", path.display());
        fs::remove_file(&path).expect("a file");
        run(&place, REFUSED, &["backup", "verify", &backup]);
        fs::write(&path, &before).expect("a file");
    }
    fs::write(root.join("home/programs/more"), "x").expect("a file");
    let said = json(&place, REFUSED, &["backup", "verify", &backup]);
    assert_eq!(text(&said, "/problems/0/path"), "programs/more");
    fs::remove_file(root.join("home/programs/more")).expect("a file");
    run(&place, DONE, &["backup", "restore", &backup, "--passphrase-file", &pass]);
}

#[test]
fn a_node_that_was_put_back_from_an_old_copy_writes_nothing_until_that_is_taken_knowingly() {
    let (place, node) = demo();
    let key = json(&place, DONE, &["key", "create", "--label", "script", "--scope", "all"]);
    let backup = at(&place, "backup");
    run(&place, DONE, &["backup", "create", "--to", &backup, "--passphrase-file", &passphrase(&place)]);
    // What happens after it is seen here.
    run(&place, DONE, &["key", "create", "--label", "later", "--scope", "read"]);
    let head = json(&place, DONE, &["ledger", "head"]);
    node.stop();
    lose(&place);
    let checked = json(&place, DONE, &["backup", "verify", &backup]);
    assert!(number(&checked, "/behind") >= 1, "an old copy holds, and is behind: {checked:#}");
    assert_eq!(text(&checked, "/anchors/0/standing"), "ahead");
    let restored = json(&place, DONE, &["backup", "restore", &backup, "--passphrase-file", &passphrase(&place)]);
    assert_eq!(restored["rolled_back"], true);
    let entries = number(&restored, "/backup/entries");
    let size = || {
        let said = place.steward(&["ledger", "verify", "--json"]);
        number(&serde_json::from_str(&said.out).expect("JSON"), "/size")
    };

    // It starts, reads, and changes nothing.
    let node = place.up(&[]);
    assert!(node.said().contains("ROLLED BACK"), "{}", node.said());
    assert!(!list(&json(&place, DONE, &["agent", "list"]), "/agents").is_empty());
    // At a desk that saw the longer ledger nobody takes its head; at another one it says by itself what it is.
    let said = run(&place, REFUSED, &["node", "status"]);
    assert!(said.err.contains("ROLLED BACK"), "{said:?}");
    let at_desk = |desk: &str, command: &str| -> Value {
        let mut steward = place.command();
        steward.env("STEWARD_CONFIG_DIR", place.path(desk)).env("STEWARD_KEY", text(&key, "/secret"));
        let output = steward.args(command.split(' ')).arg("--json").output().expect("it runs");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    };
    let status = at_desk("second", "node status");
    assert!(text(&status, "/rolled_back").contains(&number(&head, "/size").to_string()), "{status:#}");
    let doctor = at_desk("second", "doctor");
    assert!(list(&doctor, "/checks").iter().any(|c| text(c, "/found").contains("ROLLED BACK")), "{doctor:#}");
    for change in [
        &["key", "create", "--label", "x", "--scope", "read"][..],
        &["halt"],
        &["agent", "revoke", "scribe", "--reason", "x"],
        &["people", "add", "rita", "--role", "viewer"],
        &["run", "start", "designer", "--task", "t", "x"],
        &["redact", "3", "--reason", "x"],
    ] {
        assert_eq!(text(&json(&place, REFUSED, change), "/code"), "ROLLED_BACK", "{change:?}");
    }
    let said = run(&place, 1, &["backup", "accept", "--reason", "the disk died"]);
    assert!(said.err.contains("another node runs"), "{said:?}");
    node.stop();
    place.up(&[]).stop();
    assert_eq!(size(), entries, "starting, asking and stopping wrote nothing");

    // Knowingly: on record, under a new origin, which names the head that was lost.
    run(&place, MISUSED, &["backup", "accept"]);
    run(&place, 1, &["backup", "accept", "--reason", " "]);
    let accepted = json(&place, DONE, &["backup", "accept", "--reason", "the disk died"]);
    assert_eq!((number(&accepted, "/entry"), number(&accepted, "/kept")), (entries, entries));
    assert_eq!(accepted["lost"]["size"], head["size"]);
    let said = run(&place, 1, &["backup", "accept", "--reason", "again"]);
    assert!(said.err.contains("nothing to accept"), "{said:?}");
    let node = place.up(&[]);
    assert!(!node.said().contains("ROLLED BACK"), "{}", node.said());
    let status = at_desk("third", "node status");
    assert_eq!(text(&status, "/origin"), text(&accepted, "/new_origin"));
    assert!(status.get("rolled_back").is_none());
    // Whoever knew the old ledger is told that this is another one, until they say that they know.
    let said = run(&place, REFUSED, &["ledger", "head"]);
    assert!(said.err.contains("cannot be trusted"), "{said:?}");
    let way_in = json(&place, DONE, &["key", "create", "--label", "desk", "--scope", "login", "--single-use"]);
    let way_in = text(&way_in, "/secret").to_owned();
    let said = place.steward_with(&["login", "--forget", "--key-stdin"], way_in.as_bytes());
    assert_eq!(said.code, Some(DONE), "{said:?}");
    let entry = json(&place, DONE, &["ledger", "show", &entries.to_string()]);
    assert_eq!(text(&entry, "/kind"), "node.rollback_accepted");
    assert_eq!(text(&entry, "/body/detail/lost/note"), text(&head, "/note"));
    assert_eq!(text(&entry, "/body/detail/reason"), "the disk died");
    let verified = json(&place, DONE, &["ledger", "verify", "--state"]);
    assert_eq!(text(&verified, "/origin"), text(&accepted, "/new_origin"));
    node.stop();
}

#[test]
fn whoever_holds_a_restored_home_makes_a_way_in() {
    let (place, node, backup) = backed_up();
    let people = json(&place, DONE, &["people", "list"]);
    let admins = list(&people, "/people").iter().filter(|person| person["roles"].to_string().contains("admin"));
    let admin = text(admins.map(|person| &person["name"]).next().expect("somebody"), "").to_owned();
    run(&place, DONE, &["people", "add", "vera", "--role", "viewer"]);
    let later = json(&place, DONE, &["ledger", "head"]);
    let rescue = ["key", "rescue", admin.as_str(), "--reason", "another machine"];
    let said = run(&place, REFUSED, &rescue);
    assert!(said.err.contains("another node runs"), "{said:?}");
    node.stop();
    run(&place, REFUSED, &["key", "rescue", "vera", "--reason", "she would like to"]);
    lose(&place);

    // The desk that saw more is told that something was lost first.
    run(&place, DONE, &["backup", "restore", &backup, "--passphrase-file", &passphrase(&place)]);
    let said = run(&place, REFUSED, &rescue);
    assert!(said.err.contains("ROLLED BACK") && said.err.contains("backup accept"), "{said:?}");
    assert!(!place.home().join("login.key").exists());
    std::fs::remove_dir_all(place.home()).expect("gone");

    // Another machine: nothing is remembered there, and nobody has a key.
    let elsewhere = |arguments: &[&str]| {
        let mut steward = place.command();
        steward.env("STEWARD_CONFIG_DIR", place.path("elsewhere")).args(arguments);
        let output = steward.output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(elsewhere(&rescue).0, Some(REFUSED), "there is no home yet");
    assert!(!place.home().exists(), "and none is made");
    let restored = elsewhere(&["backup", "restore", &backup, "--passphrase-file", &passphrase(&place)]);
    assert_eq!(restored.0, Some(DONE), "{restored:?}");
    let node = place.up_at(&place.path("elsewhere"));
    let (code, _, err) = elsewhere(&["login"]);
    assert!(code == Some(REFUSED) && err.contains("steward key rescue"), "{err}");
    node.stop();
    for (name, why, said) in
        [("nobody", "x", "no administrator"), (admin.as_str(), " ", "`reason` says why"), ("No One", "x", "NAME")]
    {
        let refused = elsewhere(&["key", "rescue", name, "--reason", why]);
        assert!(refused.0 == Some(REFUSED) && refused.2.contains(said), "{name}: {refused:?}");
    }
    let (code, out, err) = elsewhere(&rescue);
    assert_eq!(code, Some(DONE), "{err}");
    assert!(out.contains(" up\n") && out.contains(" login\n") && !out.contains("stw_"), "{out}");
    let (code, made, err) = elsewhere(&[&rescue[..], &["--json"]].concat());
    assert_eq!(code, Some(DONE), "again, if that one is lost: {err}");
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(text(&made, "/person"), admin);

    let node = place.up_at(&place.path("elsewhere"));
    let (code, out, err) = elsewhere(&["login"]);
    assert!(code == Some(DONE) && out.contains(&admin), "{out}{err}");
    let (_, entry, _) = elsewhere(&["ledger", "show", &number(&made, "/entry").to_string(), "--json"]);
    let entry: serde_json::Value = serde_json::from_str(&entry).expect("JSON");
    assert_eq!((text(&entry, "/kind"), text(&entry, "/body/detail/rescue")), ("key.created", "another machine"));
    let (code, out, err) = elsewhere(&["people", "add", "paul", "--role", "viewer"]);
    assert_eq!(code, Some(DONE), "who is in rules: {out}{err}");
    let (code, out, err) = elsewhere(&["ledger", "verify", "--state"]);
    assert_eq!(code, Some(DONE), "{out}{err}");
    assert!(number(&later, "/size") > 0);
    node.stop();
}

#[test]
fn whoever_dies_while_accepting_has_accepted_or_not() {
    let (place, node, backup) = backed_up();
    run(&place, DONE, &["key", "create", "--label", "later", "--scope", "read"]);
    run(&place, DONE, &["ledger", "head"]);
    node.stop();
    lose(&place);
    run(&place, DONE, &["backup", "restore", &backup, "--passphrase-file", &passphrase(&place)]);
    let accept = |mishap: &str| {
        let mut command = place.command();
        command.env("STEWARD_MISHAP", mishap).args(["backup", "accept", "--reason", "the disk died"]);
        command.output().expect("it runs").status.code()
    };
    assert_eq!(accept("commit.before_commit:1"), KILLED);
    let node = place.up(&[]);
    assert!(node.said().contains("ROLLED BACK"), "nothing is on record: {}", node.said());
    node.stop();
    assert_eq!(accept("accept.recorded:1"), KILLED);
    assert!(place.home().join("ROLLED_BACK").exists(), "the mark is still there");
    let said = run(&place, 1, &["backup", "accept", "--reason", "again"]);
    assert!(said.err.contains("nothing to accept"), "it is on record, once: {said:?}");
    let node = place.up(&[]);
    assert!(!node.said().contains("ROLLED BACK"), "{}", node.said());
    json(&place, DONE, &["key", "create", "--label", "x", "--scope", "read"]);
    node.stop();
}

#[test]
fn a_copy_of_another_history_is_marked_too() {
    let (place, node, backup) = backed_up();
    node.stop();
    let lost = lose(&place);
    let pass = passphrase(&place);
    // Two homes go on from one copy; one of them is seen here.
    run(&place, DONE, &["backup", "restore", &backup, "--passphrase-file", &pass]);
    let node = place.up(&[]);
    run(&place, DONE, &["key", "create", "--label", "here", "--scope", "read"]);
    let head = run(&place, DONE, &["ledger", "head"]).out;
    fs::write(place.path("kept"), head).expect("a file");
    node.stop();
    fs::remove_dir_all(place.home()).expect("it is lost");
    fs::rename(&lost, place.home()).expect("it can be moved");
    // The other one is longer, so that its size does not give it away; and goes on where nothing is remembered of it.
    let elsewhere = at(&place, "elsewhere");
    for _ in 0..3 {
        let node = place.try_up(&[], &[("STEWARD_CONFIG_DIR", &elsewhere)]);
        node.unwrap_or_else(|dead| panic!("the node came up: {dead:?}")).stop();
    }
    let third = at(&place, "third");
    run(&place, DONE, &["backup", "create", "--to", &third, "--passphrase-file", &pass]);
    lose(&place);
    let kept = at(&place, "kept");
    let checked = json(&place, REFUSED, &["backup", "verify", &third, "--against", &kept]);
    let standings: Vec<&str> = list(&checked, "/anchors").iter().map(|anchor| text(anchor, "/standing")).collect();
    assert_eq!(standings, ["another", "another"], "the one remembered here, and the file: {checked:#}");
    let restored = json(&place, DONE, &["backup", "restore", &third, "--passphrase-file", &pass, "--anchor", &kept]);
    assert_eq!(restored["rolled_back"], true);
    assert!(place.home().join("ROLLED_BACK").exists());
}

#[test]
fn whoever_dies_while_restoring_leaves_no_home_or_a_whole_one() {
    let (place, node, backup) = backed_up();
    node.stop();
    lose(&place);
    let pass = passphrase(&place);
    let restore = |mishap: Option<&str>| {
        let mut command = place.command();
        if let Some(mishap) = mishap {
            command.env("STEWARD_MISHAP", mishap);
        }
        let output = command.args(["backup", "restore", &backup, "--passphrase-file", &pass]).output();
        output.expect("it runs").status.code()
    };
    for mishap in ["restore.copied:1", "restore.copied:9", "backup.before_rename:1"] {
        assert_eq!(restore(Some(mishap)), KILLED, "{mishap}");
        assert!(!place.home().exists(), "{mishap}: no home");
    }
    assert_eq!(restore(Some("backup.after_rename:1")), KILLED);
    run(&place, DONE, &["ledger", "verify", "--state"]);
    place.up(&[]).stop();
    // A disk that is full leaves nothing either, and what a process that was killed left is cleared away by the next.
    fs::remove_dir_all(place.home()).expect("it is lost again");
    assert_eq!(restore(Some("restore.copied:4")), KILLED);
    assert_eq!(restore(Some("restore.copied:5:full")), Some(REFUSED));
    assert!(!place.home().exists());
    assert_eq!(restore(None), Some(DONE));
    let left: Vec<_> = fs::read_dir(place.path("")).expect("a folder").filter_map(Result::ok).collect();
    assert!(left.iter().all(|item| !item.file_name().to_string_lossy().ends_with(".half")), "{left:?}");
    run(&place, DONE, &["ledger", "verify", "--state"]);
}

#[test]
fn a_backup_that_is_made_while_others_write_is_of_one_moment() {
    let (place, node) = demo();
    let content = place.path("content");
    fs::write(&content, "words\n").expect("a file");
    let content = content.to_str().expect("text");
    let stop = AtomicBool::new(false);
    let mut sizes = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (place, stop) = (&place, &stop);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let path = format!("/reports/{writer}-{n}.md");
                    assert_eq!(
                        place.steward(&["act", "scribe", "fs.write", &path, "--from", content]).code,
                        Some(DONE)
                    );
                }
            });
        }
        for n in 0..4 {
            let backup = at(&place, &format!("backup-{n}"));
            let made = place.steward(&["--json", "backup", "create", "--to", &backup]);
            let checked = place.steward(&["--json", "backup", "verify", &backup]);
            let said = (made.code, checked.code);
            if said != (Some(DONE), Some(DONE)) {
                stop.store(true, Ordering::Relaxed);
                panic!("{made:?} {checked:?}");
            }
            let checked: Value = serde_json::from_str(&checked.out).expect("JSON");
            sizes.push(number(&checked, "/entries"));
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(
        sizes.windows(2).all(|pair| pair[0] <= pair[1]) && sizes[0] < sizes[3],
        "others wrote meanwhile: {sizes:?}"
    );
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
}

#[test]
fn an_upgrade_is_looked_at_before_it_is_done() {
    let place = Place::new();
    run(&place, MISUSED, &["upgrade", "check"]);
    let (place, node) = demo();
    let ready = json(&place, DONE, &["upgrade", "check"]);
    assert!(list(&ready, "/checks").iter().all(|check| text(check, "/status") == "ok"), "{ready:#}");
    assert!(run(&place, DONE, &["upgrade", "check"]).out.contains("no step is to be taken"));
    node.stop();
    let before = fs::read(place.home().join("store.sqlite")).expect("a file");

    let configuration = place.home().join("steward.toml");
    let good = fs::read_to_string(&configuration).expect("text");
    fs::write(&configuration, format!("{good}\nports = 3\n")).expect("a file");
    let said = run(&place, REFUSED, &["upgrade", "check"]);
    let line = format!("line {}", good.lines().count() + 2);
    assert!(said.out.contains(&line) && said.out.contains("NOT start"), "{line}: {said:?}");
    fs::write(&configuration, good).expect("a file");

    let policy = place.home().join("policies/broken.cedar");
    fs::write(&policy, "permit (principal, action, resource) when { ;\n").expect("a file");
    assert!(run(&place, REFUSED, &["upgrade", "check"]).out.contains("broken.cedar:1:"));
    fs::remove_file(policy).expect("a file");

    let store = rusqlite::Connection::open(place.home().join("store.sqlite")).expect("a database");
    store.execute("INSERT INTO migration VALUES ('later-0001', 'x', 'y')", []).expect("it runs");
    let said = run(&place, REFUSED, &["upgrade", "check"]).out;
    assert!(said.contains("newer version") && said.contains("later-0001"), "{said}");
    store.execute("DELETE FROM migration WHERE name = 'later-0001'", []).expect("it runs");
    drop(store);
    run(&place, DONE, &["upgrade", "check"]);
    let after = fs::read(place.home().join("store.sqlite")).expect("a file");
    assert_eq!(before.len(), after.len(), "the store itself stays as it is");
    assert!(fs::read_dir(place.home().join("run")).expect("a folder").count() <= 2, "nothing is left of the trial");
}

/// As `age-keygen` writes it: 32 ones.
const IDENTITY: &str = "# public key: age15nsf9y4k28p83wth93tf7hafhvfajp45d2mge80ems45gz0c5gys3me64l\n\
                        AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN\n";
const RECIPIENT: &str = "age15nsf9y4k28p83wth93tf7hafhvfajp45d2mge80ems45gz0c5gys3me64l";

#[test]
fn a_backup_is_one_file_that_is_checked_and_put_back_or_sent_on() {
    let (place, node) = demo();
    let (file, pass) = (at(&place, "backup.stwb"), passphrase(&place));
    let made = json(&place, DONE, &["backup", "create", "--to", &file, "--passphrase-file", &pass]);
    assert_eq!(text(&made, "/backup"), file);
    run(&place, MISUSED, &["backup", "create", "--to", &file]);
    let checked = json(&place, DONE, &["backup", "verify", &file]);
    assert_eq!((&checked["holds"], number(&checked, "/files")), (&Value::Bool(true), number(&made, "/files")));
    assert_eq!(checked["sealed"], made["sealed"]);
    // To somebody who reads it: the answer is beside it, and not in it.
    let mut command = place.command();
    let sent = command.args(["--json", "backup", "create", "--to", "-"]).output().expect("it runs");
    assert_eq!(sent.status.code(), Some(DONE), "{}", String::from_utf8_lossy(&sent.stderr));
    let said = String::from_utf8(sent.stderr).expect("text");
    assert!(said.contains("\"backup\": \"-\"") && said.contains("NOT in it"), "{said}");
    fs::write(place.path("sent.stwb"), &sent.stdout).expect("a file");
    assert_eq!(json(&place, DONE, &["backup", "verify", &at(&place, "sent.stwb")])["holds"], true);
    // Who did not get all of it is told.
    fs::write(place.path("half.stwb"), &sent.stdout[..sent.stdout.len() - 1024]).expect("a file");
    let said = run(&place, REFUSED, &["backup", "verify", &at(&place, "half.stwb")]);
    assert!(said.err.contains("cut off"), "{said:?}");
    node.stop();
    lose(&place);
    // A byte in the store that was copied: found, and nothing is restored.
    let good = fs::read(&file).expect("a file");
    let mut bad = good.clone();
    bad[2_000] ^= 1;
    fs::write(place.path("bad.stwb"), &bad).expect("a file");
    run(&place, REFUSED, &["backup", "verify", &at(&place, "bad.stwb")]);
    run(&place, REFUSED, &["backup", "restore", &at(&place, "bad.stwb"), "--passphrase-file", &pass]);
    assert!(!place.home().exists());
    run(&place, DONE, &["backup", "restore", &file, "--passphrase-file", &pass]);
    run(&place, DONE, &["ledger", "verify", "--state"]);
    place.up(&[]).stop();
}

#[test]
fn whoever_dies_while_writing_a_file_has_written_it_or_nothing() {
    let (place, node) = demo();
    node.stop();
    let create = |mishap: &str| {
        let mut command = place.command();
        command.env("STEWARD_MISHAP", mishap).args(["backup", "create", "--to", &at(&place, "backup.stwb")]);
        command.output().expect("it runs").status.code()
    };
    assert_eq!(create("backup.before_rename:1"), KILLED);
    assert!(!place.path("backup.stwb").exists());
    assert_eq!(create("backup.after_rename:1"), KILLED);
    run(&place, DONE, &["backup", "verify", &at(&place, "backup.stwb")]);
    // What it left beside is cleared away by the next that wants the place.
    fs::remove_file(place.path("backup.stwb")).expect("it is there");
    run(&place, DONE, &["backup", "create", "--to", &at(&place, "backup.stwb")]);
    assert!(!place.path(".backup.stwb.half").exists());
}

#[test]
fn keys_are_sealed_to_somebody_whose_other_half_was_never_here() {
    let (place, node) = demo();
    let backup = at(&place, "backup.stwb");
    fs::create_dir_all(place.home().join("secrets")).expect("a folder");
    fs::write(place.home().join("secrets/provider"), "sk-very-secret").expect("a file");
    let made = json(&place, DONE, &["backup", "create", "--to", &backup, "--escrow-to", RECIPIENT]);
    assert_eq!(made["sealed_to"], serde_json::json!([RECIPIENT]));
    assert!(list(&made, "/sealed").iter().any(|path| path == "secrets/provider"));
    let bytes = fs::read(&backup).expect("a file");
    for secret in ["PRIVATE KEY", "sk-very-secret"] {
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret}");
    }
    for wrong in ["age1nobody", "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN"] {
        let said = run(&place, MISUSED, &["backup", "create", "--to", &at(&place, "x"), "--escrow-to", wrong]);
        assert!(!said.err.contains("QYQSZQ"), "the secret half is not repeated: {said:?}");
    }
    run(
        &place,
        MISUSED,
        &[
            "backup",
            "create",
            "--to",
            &at(&place, "x"),
            "--escrow-to",
            RECIPIENT,
            "--passphrase-file",
            &passphrase(&place),
        ],
    );
    node.stop();
    lose(&place);
    assert_eq!(json(&place, DONE, &["backup", "verify", &backup])["holds"], true, "without the other half");
    let said = run(&place, REFUSED, &["backup", "restore", &backup]);
    assert!(said.err.contains("--identity"), "{said:?}");
    let said = run(&place, REFUSED, &["backup", "restore", &backup, "--passphrase-file", &passphrase(&place)]);
    assert!(said.err.contains("--identity"), "{said:?}");
    fs::write(place.path("other"), "AGE-SECRET-KEY-1QGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ0N3JDM\n")
        .expect("a file");
    run(&place, REFUSED, &["backup", "restore", &backup, "--identity", &at(&place, "other")]);
    assert!(!place.home().exists());
    fs::write(place.path("identity"), IDENTITY).expect("a file");
    run(&place, DONE, &["backup", "restore", &backup, "--identity", &at(&place, "identity")]);
    assert_eq!(fs::read_to_string(place.home().join("secrets/provider")).expect("a file"), "sk-very-secret");
    place.up(&[]).stop();
}
