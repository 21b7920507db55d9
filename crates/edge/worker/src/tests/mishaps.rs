//! The process dies, or the disk fails, at every named point. Each case runs in a process of its own: this test, started again
//! with the environment that arms the point.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use steward_seal::Digest;
use tempfile::TempDir;

use super::{Write, listing, scribe};
use crate::{EffectError, Folders, GrantPath};

/// Where the process that was started is to write.
const ROOT: &str = "STEWARD_TEST_ROOT";

/// More than one page, so that half of it is something.
static BYTES: [u8; 100_000] = [b'x'; 100_000];

/// A root in which `/a.md` is to be overwritten by [`BYTES`].
struct Scene {
    _dir: TempDir,
    root: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let root = dir.path().join("agents");
        write(&root, b"old").expect("written");
        Self { _dir: dir, root }
    }

    /// Starts `test` again, so that it finds [`root_of_the_started`].
    fn started(&self, command: &mut Command, test: &str) -> Output {
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROOT, &self.root)
            .output()
            .expect("started")
    }

    fn with_mishap(&self, plan: &str, test: &str) -> Output {
        let program = std::env::current_exe().expect("known");
        self.started(Command::new(program).env("STEWARD_MISHAP", plan), test)
    }

    /// What recovery sees: how many are staged, and what is published.
    fn found(&self) -> (usize, Option<Digest>) {
        let folders = Folders::open(&self.root).expect("opened");
        let path = GrantPath::parse("/a.md").expect("plain");
        let staged = folders.staged().expect("listed");
        (staged.len(), folders.published(&scribe(), &path).expect("readable").map(|p| p.digest))
    }
}

/// The whole effect, as a caller would do it.
fn write(root: &Path, bytes: &[u8]) -> Result<(), EffectError> {
    let folders = Folders::open(root)?;
    let write = Write::new("/a.md", bytes);
    let staged = folders.stage(&write.warrant(), &write.action, &scribe(), bytes)?;
    folders.publish(write.warrant(), &write.action, &scribe(), staged).map(|_| ())
}

fn root_of_the_started() -> Option<PathBuf> {
    std::env::var_os(ROOT).map(PathBuf::from)
}

fn says(output: &Output, code: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(&format!("[{code}]"))
}

#[test]
fn killed_anywhere_there_is_the_old_or_the_new() {
    if let Some(root) = root_of_the_started() {
        write(&root, &BYTES).expect("it dies before it fails");
        return;
    }
    let (old, new) = (Some(Digest::of(b"old")), Some(Digest::of(&BYTES)));
    for (point, left, published) in [
        ("effect.stage.before_write", 0, old),
        ("effect.stage.half_written", 1, old),
        ("effect.stage.after_sync", 1, old),
        ("effect.publish.before_rename", 1, old),
        ("effect.publish.after_rename", 0, new),
        ("effect.publish.after_sync", 0, new),
    ] {
        let scene = Scene::new();
        let output =
            scene.with_mishap(&format!("{point}:1"), "tests::mishaps::killed_anywhere_there_is_the_old_or_the_new");
        assert_eq!(output.status.signal(), Some(9), "{point}: {output:?}");
        assert_eq!(scene.found(), (left, published), "{point}");

        // The next start removes what is left, and the folder can be written again.
        let folders = Folders::open(&scene.root).expect("opened");
        for (agent, id) in folders.staged().expect("listed") {
            assert!(folders.is_staged(&agent, &id).expect("readable"));
            folders.discard(&agent, &id).expect("discarded");
        }
        write(&scene.root, b"after").expect("written");
        assert_eq!(scene.found(), (0, Some(Digest::of(b"after"))), "{point}");
    }
}

#[test]
fn a_disk_that_fails_leaves_the_old_and_says_so() {
    if let Some(root) = root_of_the_started() {
        let error = write(&root, &BYTES).expect_err("the disk fails");
        println!("[{}]", error.code());
        return;
    }
    let (old, new) = (Some(Digest::of(b"old")), Some(Digest::of(&BYTES)));
    for (plan, code, left, published) in [
        ("effect.stage.before_write:1:full", "NO_SPACE", 0, old),
        ("effect.stage.half_written:1:full", "NO_SPACE", 0, old),
        ("effect.stage.half_written:1:broken", "BROKEN", 0, old),
        ("effect.stage.after_sync:1:broken", "BROKEN", 0, old),
        // Staged bytes stay until the refusal is on record.
        ("effect.publish.before_rename:1:full", "NO_SPACE", 1, old),
        ("effect.publish.before_rename:1:broken", "BROKEN", 1, old),
        ("effect.publish.after_rename:1:broken", "OUTCOME_UNKNOWN", 0, new),
        ("effect.publish.after_sync:1:full", "OUTCOME_UNKNOWN", 0, new),
    ] {
        let scene = Scene::new();
        let output = scene.with_mishap(plan, "tests::mishaps::a_disk_that_fails_leaves_the_old_and_says_so");
        assert!(says(&output, code), "{plan}: {output:?}");
        assert_eq!(scene.found(), (left, published), "{plan}");
    }
}

/// The kernel itself refuses to write on, in the middle of a file: the limit on the size of files needs neither root nor a
/// disk of one's own.
#[test]
fn a_kernel_that_takes_no_more_bytes_leaves_the_old() {
    if let Some(root) = root_of_the_started() {
        let error = write(&root, &BYTES).expect_err("there is a limit");
        println!("[{}]", error.code());
        return;
    }
    let scene = Scene::new();
    let mut shell = Command::new("sh");
    // 8 blocks are 4 or 8 KiB, by the shell; less than half of the bytes. The signal is ignored, as a server would.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(std::env::current_exe().expect("known"));
    let output = scene.started(&mut shell, "tests::mishaps::a_kernel_that_takes_no_more_bytes_leaves_the_old");
    assert!(says(&output, "NO_SPACE"), "{output:?}");
    assert_eq!(scene.found(), (0, Some(Digest::of(b"old"))));
    let staging = scene.root.join("acme.internal/scribe/staging");
    assert!(listing(&staging).is_empty(), "what could not be finished takes no room");
    assert_eq!(fs::read(scene.root.join("acme.internal/scribe/files/a.md")).expect("there"), b"old");
}
