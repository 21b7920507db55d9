//! What a permitted write does, and what recovery sees of it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use steward_naming::Name;
use steward_permit::ResourceKind;
use steward_seal::Digest;

use super::{Place, Write, listing, scribe};
use crate::{Folders, GrantPath, MAX_FILE_BYTES, MAX_LISTED, Published};

#[test]
fn a_file_is_written_and_replaced() {
    let place = Place::new();
    let published = place.write("/a.md", b"one").expect("written");
    assert_eq!(published, Published { digest: Digest::of(b"one"), bytes: 3 });
    assert_eq!(fs::read(place.files().join("a.md")).expect("there"), b"one");
    assert_eq!(place.published("/a.md"), Some(Digest::of(b"one")));

    place.write("/a.md", b"").expect("replaced");
    assert_eq!(fs::read(place.files().join("a.md")).expect("there"), b"");
    assert_eq!(listing(&place.files()), ["a.md"]);
    assert!(listing(&place.staging()).is_empty());
}

#[test]
fn folders_on_the_way_are_made() {
    let place = Place::new();
    place.write("/a/b/c/d.md", b"one").expect("written");
    place.write("/a/b/e/f.md", b"two").expect("written");
    assert_eq!(place.published("/a/b/c/d.md"), Some(Digest::of(b"one")));
    assert_eq!(place.published("/a/b/e/f.md"), Some(Digest::of(b"two")));
    let deepest = format!("{}/f", "/x".repeat(crate::MAX_DEPTH - 1));
    place.write(&deepest, b"deep").expect("written");
    assert_eq!(place.published(&deepest), Some(Digest::of(b"deep")));
}

#[test]
fn only_the_owner_can_read_anything() {
    let place = Place::new();
    place.write("/reports/a.md", b"one").expect("written");
    let mode = |path: &str| fs::metadata(place.top.join(path)).expect("there").permissions().mode() & 0o7777;
    for folder in ["", "/acme.internal", "/acme.internal/scribe", "/acme.internal/scribe/staging"] {
        assert_eq!(mode(&format!("agents{folder}")), 0o700, "{folder}");
    }
    assert_eq!(mode("agents/acme.internal/scribe/files/reports"), 0o700);
    assert_eq!(mode("agents/acme.internal/scribe/files/reports/a.md"), 0o600);

    // A root that was opened up (by a restored backup, say) is closed again.
    fs::set_permissions(place.top.join("agents"), Permissions::from_mode(0o755)).expect("set");
    Folders::open(&place.top.join("agents")).expect("opened");
    assert_eq!(mode("agents"), 0o700);
}

#[test]
fn the_root_is_a_folder_of_its_own() {
    let place = Place::new();
    std::os::unix::fs::symlink(place.outside(), place.top.join("link")).expect("made");
    fs::write(place.top.join("file"), b"").expect("made");
    for root in ["link", "file", "missing/agents"] {
        assert_eq!(Folders::open(&place.top.join(root)).expect_err(root).code(), "BROKEN");
    }
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let place = Place::new();
    place.write("/a.md", b"old").expect("written");
    let write = Write::new("/a.md", b"new");
    let staged = place.stage(&write, b"new").expect("staged");
    assert_eq!(place.published("/a.md"), Some(Digest::of(b"old")));
    assert!(place.folders.is_staged(&place.agent, &write.id).expect("readable"));
    place.publish(&write, staged).expect("published");
    assert_eq!(place.published("/a.md"), Some(Digest::of(b"new")));
    assert!(!place.folders.is_staged(&place.agent, &write.id).expect("readable"));
}

#[test]
fn the_largest_file_is_written_and_one_byte_more_is_not() {
    let place = Place::new();
    let mut bytes = vec![b'x'; MAX_FILE_BYTES];
    assert_eq!(place.write("/a", &bytes).expect("written").bytes, MAX_FILE_BYTES as u64);
    bytes.push(b'x');
    assert_eq!(place.write("/b", &bytes).expect_err("too large").code(), "TOO_LARGE");
    assert_eq!(listing(&place.files()), ["a"]);
    assert!(listing(&place.staging()).is_empty());

    fs::write(place.files().join("b"), &bytes).expect("made");
    let path = GrantPath::parse("/b").expect("plain");
    assert_eq!(place.folders.published(&place.agent, &path).expect_err("too large").code(), "TOO_LARGE");
}

#[test]
fn a_warrant_is_for_one_exact_write() {
    let place = Place::new();
    let write = Write::new("/a.md", b"one");
    let other = Write::new("/b.md", b"one");
    let agent = &place.agent;
    let stranger: Name = "scribe.other.internal".parse().expect("valid");
    let stage = |warrant: &Write, action: &Write, agent: &Name, bytes: &[u8]| {
        place.folders.stage(&warrant.warrant(), &action.action, agent, bytes).map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(stage(&other, &write, agent, b"one"), Err("WARRANT_MISMATCH"));
    assert_eq!(stage(&write, &write, agent, b"two"), Err("WARRANT_MISMATCH"));
    assert_eq!(stage(&write, &write, &stranger, b"one"), Err("WARRANT_MISMATCH"));
    let digest = Some(Digest::of(b"one"));
    for unfit in [
        Write::of("fs.read", ResourceKind::File, "/a.md", digest),
        Write::of("fs.write", ResourceKind::Command, "/a.md", digest),
        Write::of("fs.write", ResourceKind::File, "/a.md", None),
    ] {
        assert_eq!(stage(&unfit, &unfit, agent, b"one"), Err("WARRANT_MISMATCH"));
    }
    assert!(place.folders.staged().expect("listed").is_empty());

    let publish = |warrant: &Write, action: &Write, agent: &Name| {
        let staged = place.stage(&write, b"one").expect("staged");
        let outcome = place.folders.publish(warrant.warrant(), &action.action, agent, staged).map_err(|e| e.code());
        place.folders.discard(&place.agent, &write.id).expect("discarded");
        outcome
    };
    let sibling: Name = "intern.acme.internal".parse().expect("valid");
    let again = Write::new("/a.md", b"one");
    assert_eq!(publish(&other, &write, agent), Err("WARRANT_MISMATCH"));
    assert_eq!(publish(&other, &other, agent), Err("WARRANT_MISMATCH"));
    assert_eq!(publish(&write, &write, &sibling), Err("WARRANT_MISMATCH"));
    assert_eq!(publish(&again, &again, agent), Err("WARRANT_MISMATCH"), "the same write, decided a second time");
    let elsewhere = Write { id: write.id.clone(), action: other.action };
    assert_eq!(publish(&elsewhere, &elsewhere, agent), Err("WARRANT_MISMATCH"), "the same bytes to another path");
    assert!(listing(&place.files()).is_empty());
    publish(&write, &write, agent).expect("the one that it is for");
}

/// What happens to a staged file behind our back.
type Tamper = fn(&Path);

#[test]
fn staged_bytes_that_changed_are_not_published() {
    let place = Place::new();
    let ways: [(&str, Tamper); 6] = [
        ("changed", |at| fs::write(at, b"two").expect("written")),
        ("longer", |at| fs::write(at, b"one more").expect("written")),
        ("gone", |at| fs::remove_file(at).expect("removed")),
        ("a folder", |at| fs::remove_file(at).and_then(|()| fs::create_dir(at)).expect("made")),
        ("a link to the same bytes", |at| {
            let elsewhere = at.with_extension("moved");
            fs::rename(at, &elsewhere).expect("moved");
            std::os::unix::fs::symlink(elsewhere, at).expect("made");
        }),
        ("a second name of the same bytes", |at| fs::hard_link(at, at.with_extension("second")).expect("made")),
    ];
    for (what, tamper) in ways {
        let write = Write::new("/a.md", b"one");
        let staged = place.stage(&write, b"one").expect("staged");
        tamper(&place.staging().join(write.id.as_str()));
        assert_eq!(place.publish(&write, staged).expect_err(what).code(), "STAGED_CHANGED", "{what}");
        assert!(listing(&place.files()).is_empty(), "{what}");
    }
}

#[test]
fn an_action_is_staged_once() {
    let place = Place::new();
    let write = Write::new("/a.md", b"one");
    let first = place.stage(&write, b"one").expect("staged");
    assert_eq!(place.stage(&write, b"one").expect_err("staged already").code(), "BROKEN");
    // The refusal of the second does no harm to the first.
    place.publish(&write, first).expect("published");

    // Nor is anything written through a link in its place.
    let write = Write::new("/a.md", b"one");
    std::os::unix::fs::symlink(place.outside().join("a"), place.staging().join(write.id.as_str())).expect("made");
    assert_eq!(place.stage(&write, b"one").expect_err("taken").code(), "BROKEN");
    assert!(listing(&place.outside()).is_empty());
}

#[test]
fn what_is_left_over_is_listed_and_discarded() {
    let place = Place::new();
    assert!(place.folders.staged().expect("nothing yet").is_empty());
    let (first, second) = (Write::new("/a.md", b"one"), Write::new("/b.md", b"two"));
    let _ = place.stage(&second, b"two").expect("staged");
    let _ = place.stage(&first, b"one").expect("staged");
    // What this crate did not put there is not its own.
    fs::write(place.staging().join("notes.txt"), b"").expect("made");
    fs::write(place.top.join("agents/README"), b"").expect("made");
    fs::create_dir_all(place.top.join("agents/acme.internal/Scribe/staging")).expect("made");
    fs::write(place.top.join("agents/acme.internal/Scribe/staging").join(first.id.as_str()), b"").expect("made");
    std::os::unix::fs::symlink("scribe", place.top.join("agents/acme.internal/alias")).expect("made");

    let listed = place.folders.staged().expect("listed");
    assert_eq!(listed, [(scribe(), first.id.clone()), (scribe(), second.id.clone())]);
    // A node that starts anew sees the same.
    assert_eq!(Folders::open(&place.top.join("agents")).expect("opened").staged().expect("listed"), listed);

    for _ in 0..2 {
        place.folders.discard(&place.agent, &first.id).expect("discarded");
    }
    assert_eq!(place.folders.staged().expect("listed"), [(scribe(), second.id)]);
    assert!(!place.folders.is_staged(&place.agent, &first.id).expect("readable"));
}

#[test]
fn the_list_of_leftovers_is_bounded() {
    let place = Place::new();
    place.write("/a.md", b"one").expect("written");
    for _ in 0..=MAX_LISTED {
        fs::write(place.staging().join(Write::new("/a.md", b"").id.as_str()), b"").expect("made");
    }
    let listed = place.folders.staged().expect("listed");
    assert_eq!(listed.len(), MAX_LISTED);
    for (agent, id) in &listed {
        fs::remove_file(place.staging().join(id.as_str())).expect("removed");
        assert_eq!(*agent, place.agent);
    }
    assert_eq!(place.folders.staged().expect("listed").len(), 1, "the rest comes when asked again");
}

#[test]
fn an_agent_that_never_wrote_has_nothing() {
    let place = Place::new();
    let write = Write::new("/a.md", b"one");
    assert!(!place.folders.is_staged(&place.agent, &write.id).expect("readable"));
    place.folders.discard(&place.agent, &write.id).expect("nothing to do");
    assert_eq!(place.published("/a.md"), None);
    assert!(listing(&place.top.join("agents")).is_empty(), "asking makes nothing");
    place.write("/a/b.md", b"one").expect("written");
    assert_eq!(place.published("/a/c.md"), None);
    assert_eq!(place.published("/c/b.md"), None);
}
