//! Reading and copying an agent's files, while somebody moves them about.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use steward_naming::Name;
use steward_permit::ResourceKind;
use steward_seal::Digest;

use super::{Place, Write, listing};
use crate::{EffectError, MAX_FILE_BYTES};

fn read(place: &Place, path: &str) -> Result<Vec<u8>, EffectError> {
    let read = Write::of("fs.read", ResourceKind::File, path, None);
    place.folders.read(&read.warrant(), &read.action, &place.agent)
}

#[test]
fn a_file_is_read_as_it_was_published() {
    let place = Place::new();
    for bytes in [&b""[..], b"content", &vec![7; MAX_FILE_BYTES]] {
        place.write("/reports/a.md", bytes).expect("published");
        assert!(read(&place, "/reports/a.md").expect("read") == bytes);
    }
}

#[test]
fn what_is_no_file_of_the_agent_s_is_not_read() {
    let place = Place::new();
    let files = place.files();
    fs::write(place.outside().join("secret"), "secret").expect("written");
    symlink(place.outside().join("secret"), files.join("link")).expect("linked");
    symlink(place.outside(), files.join("folder-link")).expect("linked");
    fs::hard_link(place.outside().join("secret"), files.join("second-name")).expect("linked");
    fs::create_dir(files.join("folder")).expect("made");
    rustix::fs::mknodat(rustix::fs::CWD, files.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("made");
    fs::File::create(files.join("large")).expect("made").set_len(MAX_FILE_BYTES as u64 + 1).expect("grown");
    for (path, code) in [
        ("/link", "TARGET_NOT_A_FILE"),
        ("/folder-link/secret", "PATH_REFUSED"),
        ("/second-name", "TARGET_NOT_A_FILE"),
        ("/folder", "TARGET_NOT_A_FILE"),
        ("/fifo", "TARGET_NOT_A_FILE"),
        ("/large", "TOO_LARGE"),
        ("/gone", "FILE_NOT_FOUND"),
        ("/gone/too", "FILE_NOT_FOUND"),
        ("/../../scribe/files/link", "PATH_REFUSED"),
        ("link", "PATH_REFUSED"),
    ] {
        assert_eq!(read(&place, path).expect_err(path).code(), code, "{path}");
    }
}

#[test]
fn only_what_was_permitted_is_read() {
    let place = Place::new();
    place.write("/a", b"content").expect("published");
    let permitted = Write::of("fs.read", ResourceKind::File, "/a", None);
    let others = [
        Write::of("fs.read", ResourceKind::File, "/b", None),
        Write::of("fs.write", ResourceKind::File, "/a", None),
        Write::of("fs.read", ResourceKind::Host, "/a", None),
    ];
    for other in &others {
        for (warrant, action) in [(permitted.warrant(), &other.action), (other.warrant(), &other.action)] {
            if *warrant.digest() == action.digest() && other.action.resource().id() == "/b" {
                continue; // permitted, of another file
            }
            let error = place.folders.read(&warrant, action, &place.agent).expect_err("refused");
            assert_eq!(error.code(), "WARRANT_MISMATCH");
        }
    }
    for other in ["copyist.acme.internal", "scribe.other.internal"] {
        let other: Name = other.parse().expect("valid");
        let error = place.folders.read(&permitted.warrant(), &permitted.action, &other).expect_err("refused");
        assert_eq!(error.code(), "WARRANT_MISMATCH");
    }
}

#[test]
fn a_race_of_links_and_names_leads_nowhere() {
    let place = Place::new();
    let (files, outside) = (place.files(), place.outside());
    fs::create_dir(files.join("real")).expect("made");
    fs::write(files.join("real/file"), "inside").expect("written");
    fs::write(outside.join("file"), "outside").expect("written");
    symlink(&outside, files.join("false")).expect("linked");
    symlink(outside.join("file"), files.join("link")).expect("linked");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // `/way/file` is by turns a file, a way out and nothing; `/name` is by turns a file and a link out.
        scope.spawn(|| {
            let (way, name) = (files.join("way"), files.join("name"));
            while !stop.load(Ordering::Relaxed) {
                for (what, to) in [("real", &way), ("false", &way), ("link", &name)] {
                    let from = files.join(what);
                    let _ = fs::rename(&from, to);
                    let _ = fs::rename(to, &from);
                }
                let _ = fs::write(&name, "inside");
                let _ = fs::remove_file(&name);
            }
        });
        let mut seen = (0, 0);
        for _ in 0..20_000 {
            for path in ["/way/file", "/name"] {
                match read(&place, path) {
                    // A file that is just being written is short.
                    Ok(bytes) => {
                        assert!(b"inside".starts_with(&bytes), "{}", String::from_utf8_lossy(&bytes));
                        seen.0 += 1;
                    }
                    Err(error) => {
                        assert!(
                            ["PATH_REFUSED", "FILE_NOT_FOUND", "TARGET_NOT_A_FILE", "BROKEN"].contains(&error.code()),
                            "{error}"
                        );
                        seen.1 += usize::from(error.code() == "PATH_REFUSED");
                    }
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        // Otherwise nothing was raced.
        assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
    });
}

#[test]
fn a_handoff_is_what_was_recorded_or_nothing() {
    let place = Place::new();
    place.write("/a.md", b"a").expect("published");
    place.write("/deep/er/b.md", b"b").expect("published");
    let to = place.top.join("handoff");
    let of = |path: &str, bytes: &[u8]| (path.to_owned(), Digest::of(bytes));
    let both = [of("/a.md", b"a"), of("/deep/er/b.md", b"b")];
    place.folders.copy_for(&place.agent, &both, &to).expect("copied");
    assert_eq!(fs::read(to.join("deep/er/b.md")).expect("there"), b"b");
    for (path, mode) in [("", 0o700), ("deep/er", 0o700), ("a.md", 0o600), ("deep/er/b.md", 0o600)] {
        let meta = fs::metadata(to.join(path)).expect("there");
        assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
    }
    // They are files of their own: what the agent writes later is not the successor's.
    place.write("/a.md", b"later").expect("published");
    assert_eq!(fs::read(to.join("a.md")).expect("there"), b"a");
    assert_eq!(fs::metadata(to.join("a.md")).expect("there").nlink(), 1);

    fs::create_dir(place.files().join("folder")).expect("made");
    symlink("/etc/passwd", place.files().join("link")).expect("linked");
    for (artifacts, code) in [
        (vec![of("/deep/er/b.md", b"b"), of("/a.md", b"a")], "ARTIFACT_CHANGED"),
        (vec![of("/gone", b"")], "ARTIFACT_CHANGED"),
        (vec![of("/folder", b"")], "TARGET_NOT_A_FILE"),
        (vec![of("/link", b"")], "TARGET_NOT_A_FILE"),
        (vec![of("/../x", b"")], "PATH_REFUSED"),
        (vec![of("/a.md", b"later"), of("/a.md", b"later")], "BROKEN"),
    ] {
        let to = place.top.join("other");
        let error = place.folders.copy_for(&place.agent, &artifacts, &to).expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert!(!to.exists(), "half a handoff is left: {:?}", listing(&to));
    }
    let taken = place.folders.copy_for(&place.agent, &both, &to).expect_err("it is there already");
    assert_eq!(taken.code(), "BROKEN");
    assert_eq!(listing(&to), ["a.md", "deep"], "what was there is untouched");
    place.folders.copy_for(&place.agent, &[], &place.top.join("empty")).expect("an empty one is one");
}

#[test]
fn an_agent_s_folder_has_a_path() {
    let place = Place::new();
    let path = place.folders.path_of(&place.agent);
    assert!(path.is_absolute() && path.is_dir());
    place.write("/a", b"content").expect("published");
    assert_eq!(fs::read(path.join("a")).expect("there"), b"content");
    assert_eq!(Path::new(&path).canonicalize().expect("there"), path);
}
