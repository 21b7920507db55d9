//! Nothing leads out of an agent's folder.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with},
    io::Errno,
};

use super::{Place, Write, listing};
use crate::{EffectError, GrantPath, beneath};

#[test]
fn paths_that_are_not_plain_are_refused_before_anything_is_written() {
    let place = Place::new();
    place.write("/b.md", b"here").expect("written");
    for path in [
        "../a",
        "/../a",
        "/b/../../../../../outside/a",
        "/..",
        "/.",
        "/",
        "//a",
        "//outside/a",
        "/a//b",
        "/a/",
        "a",
        "~/a",
        "/./a",
        "file:///a",
    ] {
        let error = place.stage(&Write::new(path, b"one"), b"one").expect_err(path);
        assert_eq!(error.code(), "PATH_REFUSED", "{path}");
    }
    assert!(listing(&place.staging()).is_empty());
    assert_eq!(listing(&place.files()), ["b.md"]);
    assert!(listing(&place.outside()).is_empty());
}

#[test]
fn what_only_looks_like_an_escape_stays_inside() {
    let place = Place::new();
    for path in ["/%2e%2e/a", "/..\\..\\a", "/.../a", "/proc/self/cwd/a", "/\u{ff0e}\u{ff0e}/a", "/etc/passwd", "/-rf"]
    {
        place.write(path, b"mine").expect(path);
        assert!(place.files().join(&path[1..]).is_file(), "{path}");
    }
}

#[test]
fn a_path_through_a_link_is_refused() {
    let place = Place::new();
    let files = place.files();
    fs::create_dir(files.join("real")).expect("made");
    symlink(place.outside(), files.join("out")).expect("made");
    symlink("../../../../outside", files.join("out_relative")).expect("made");
    symlink("real", files.join("inside")).expect("made");
    symlink("/proc/self/cwd", files.join("magic")).expect("made");
    symlink("nowhere", files.join("dangling")).expect("made");
    symlink("loop", files.join("loop")).expect("made");
    symlink(place.outside(), files.join("real/out")).expect("made");
    for folder in ["out", "out_relative", "inside", "magic", "dangling", "loop", "real/out"] {
        for path in [format!("/{folder}/a"), format!("/{folder}/new/a")] {
            assert_eq!(place.refusal(&path), "PATH_REFUSED", "{path}");
            let parsed = GrantPath::parse(&path).expect("plain");
            let read = place.folders.published(&place.agent, &parsed).expect_err(&path);
            assert_eq!(read.code(), "PATH_REFUSED", "{path}");
        }
    }
    assert!(listing(&place.outside()).is_empty());
    assert_eq!(listing(&files.join("real")), ["out"]);
}

#[test]
fn without_the_guard_the_same_path_escapes() {
    let place = Place::new();
    let files = place.files();
    symlink(place.outside(), files.join("out")).expect("made");
    let path = GrantPath::parse("/out/escaped").expect("its shape is plain");

    // What anyone would write: join, make folders, rename. And with a check of the text first, it is no better.
    let joined = files.join(path.beneath());
    assert!(joined.starts_with(&files), "the text is beneath");
    fs::create_dir_all(joined.parent().expect("has one")).expect("made");
    fs::write(place.top.join("staged"), b"one").expect("written");
    fs::rename(place.top.join("staged"), &joined).expect("renamed");
    assert_eq!(listing(&place.outside()), ["escaped"], "a naive join escapes");

    fs::remove_file(place.outside().join("escaped")).expect("removed");
    assert_eq!(place.refusal(path.as_str()), "PATH_REFUSED");
    assert!(listing(&place.outside()).is_empty(), "the guard holds");
}

#[test]
fn the_kernel_refuses_whatever_leads_out() {
    let place = Place::new();
    let top = fs::File::open("/").expect("opened");
    let files = fs::File::open(place.files()).expect("opened");
    symlink("/proc/self/cwd", place.files().join("magic")).expect("made");
    // Each of the four rules alone, below the check of the path's shape, which would refuse some of these first.
    for (top, path, errno) in [
        (&files, "..", Errno::XDEV),
        (&files, "/etc", Errno::XDEV),
        (&files, "magic", Errno::LOOP),
        (&top, "proc", Errno::XDEV),
    ] {
        assert_eq!(beneath::folder(top, path).expect_err(path), errno, "{path}");
        assert_eq!(beneath::make_folders(top, path).expect_err(path), errno, "{path}");
    }
}

#[test]
fn a_path_through_a_file_is_refused() {
    let place = Place::new();
    place.write("/a", b"one").expect("written");
    assert_eq!(place.refusal("/a/b"), "PATH_REFUSED");
    assert_eq!(place.refusal("/a/b/c"), "PATH_REFUSED");
    assert_eq!(place.published("/a"), Some(steward_seal::Digest::of(b"one")));
}

#[test]
fn only_a_plain_file_is_replaced() {
    let place = Place::new();
    let files = place.files();
    fs::write(place.outside().join("theirs"), b"theirs").expect("made");
    fs::create_dir(files.join("folder")).expect("made");
    symlink(place.outside().join("theirs"), files.join("link_out")).expect("made");
    symlink("folder", files.join("link_inside")).expect("made");
    symlink(place.outside().join("new"), files.join("link_dangling")).expect("made");
    symlink("/dev/null", files.join("link_to_device")).expect("made");
    fs::hard_link(place.outside().join("theirs"), files.join("second_name")).expect("made");
    mknodat(CWD, files.join("fifo"), FileType::Fifo, Mode::RWXU, 0).expect("made");
    // A character device 0:0 is the one that anybody may make.
    mknodat(CWD, files.join("device"), FileType::CharacterDevice, Mode::RWXU, 0).expect("made");
    let _socket = UnixListener::bind(files.join("socket")).expect("made");

    for (name, what) in [
        ("folder", "a folder"),
        ("link_out", "a link"),
        ("link_inside", "a link"),
        ("link_dangling", "a link"),
        ("link_to_device", "a link"),
        ("second_name", "a hard link"),
        ("fifo", "a fifo"),
        ("device", "a device"),
        ("socket", "a socket"),
    ] {
        let path = format!("/{name}");
        let before = kind(&files.join(name));
        let error = place.write(&path, b"mine").expect_err(name);
        assert_eq!(error.code(), "TARGET_NOT_A_FILE", "{name}");
        assert!(error.to_string().contains(what), "{name}: {error}");
        assert_eq!(kind(&files.join(name)), before, "{name} is as it was");
        // Recovery, too, neither follows nor opens it.
        let parsed = GrantPath::parse(&path).expect("plain");
        let read = place.folders.published(&place.agent, &parsed).expect_err(name);
        assert_eq!(read.code(), "TARGET_NOT_A_FILE", "{name}");
    }
    assert_eq!(fs::read(place.outside().join("theirs")).expect("there"), b"theirs");
    assert_eq!(listing(&place.outside()), ["theirs"]);
}

#[test]
fn an_agents_folder_that_was_replaced_by_a_link_is_not_followed() {
    let place = Place::new();
    let files = place.files();
    fs::remove_dir(&files).expect("removed");
    symlink(place.outside(), &files).expect("made");
    assert_eq!(place.refusal("/a"), "BROKEN");
    assert_eq!(place.refusal("/a/b"), "BROKEN");
    assert!(listing(&place.outside()).is_empty());
}

#[test]
fn messages_name_no_place_of_the_node() {
    let place = Place::new();
    let files = place.files();
    symlink(place.outside(), files.join("out")).expect("made");
    fs::create_dir(files.join("folder")).expect("made");
    let write = Write::new("/a", b"one");
    let _first = place.stage(&write, b"one").expect("staged");
    let errors: Vec<EffectError> = vec![
        place.write("/out/a", b"").expect_err("a link"),
        place.write("/folder", b"").expect_err("a folder"),
        place.write("/..", b"").expect_err("dots"),
        place.stage(&write, b"one").expect_err("staged already"),
    ];
    for error in errors {
        let message = error.to_string();
        for secret in [place.top.to_str().expect("text"), "agents/", "staging/", "os error"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

/// The race that a check before the use loses: one thread exchanges a folder and a link to the outside, another writes.
#[test]
fn a_folder_that_turns_into_a_link_is_never_followed() {
    const WRITES: usize = 500;
    const MOST: usize = 20_000;
    let place = Place::new();
    let files = place.files();
    fs::create_dir(files.join("folder")).expect("made");
    symlink(place.outside(), files.join("link")).expect("made");
    let done = AtomicBool::new(false);
    let (mut written, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (folder, link) = (files.join("folder"), files.join("link"));
                renameat_with(CWD, folder, CWD, link, RenameFlags::EXCHANGE).expect("exchanged");
            }
        });
        // At least so many, and until both outcomes were seen: else nothing was raced.
        let _finish = Finish(&done);
        for n in 0..MOST {
            if n >= WRITES && written > 0 && refused > 0 {
                break;
            }
            let path = if n % 2 == 0 { format!("/folder/{}", n % 7) } else { format!("/folder/new{n}/a") };
            match place.write(&path, b"mine") {
                Ok(_) => written += 1,
                Err(error) if error.code() == "PATH_REFUSED" => refused += 1,
                Err(error) => panic!("{error}: {error:?}"),
            }
        }
    });
    assert!(written > 0 && refused > 0, "{written} written, {refused} refused");
    assert!(listing(&place.outside()).is_empty(), "{:?}", listing(&place.outside()));
}

/// Ends the other thread even if this one panics.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What stands there: its type and its number, which a replacement would change.
fn kind(path: &Path) -> (fs::FileType, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path).expect("there");
    (metadata.file_type(), metadata.ino())
}
