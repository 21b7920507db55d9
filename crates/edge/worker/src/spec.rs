//! What is to run, with which folders and limits.
//!
//! ```text
//! let spec = Spec {
//!     argv: vec!["python3".into(), "/programs/scribe.py".into()],
//!     env: vec![], mounts: vec![Mount { from: programs, at: "/programs".into(), executable: true, writable: false }],
//!     limits: Limits::AGENT, minimum: Grade::A, door: false,
//! };
//! let action = action.with_arguments(spec.digest());      // what policy decides is what runs
//! ```
//!
//! Deliberately absent: any way to ask for the network. Agents have no mounts that can be written (their files are written by the
//! node, one permitted action each); a tool server has a folder of its own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use steward_naming::visible;
use steward_seal::{Digest, json::canonical};

use crate::{error::EffectError, grade::Grade};

/// The most bytes of arguments and environment together, 512 KiB: well below what the kernel takes in one `execve`.
pub const MAX_SPEC_BYTES: usize = 512 * 1024;

/// The most bytes of one argument or variable: the kernel's own limit (`MAX_ARG_STRLEN`, 128 KiB, with the zero at its end).
pub const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// The most mounts, so that building a sandbox is bounded work.
pub const MAX_MOUNTS: usize = 32;

/// Where the sandbox has its own things, which a mount can neither replace nor hide.
const RESERVED: [&str; 14] =
    ["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin", "sys", "tmp"];

/// What a process may use up. Past any of them it is ended, or the call in it fails that would pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may run, in milliseconds. Then it is killed.
    pub wall_ms: u64,
    /// How much memory all of it may have, scratch files included, in bytes. Then the kernel kills something in it.
    pub memory_bytes: u64,
    /// How many processes and threads it may have at a time. Then `fork` fails in it.
    pub processes: u32,
    /// How much it may write to its standard output and error together, in bytes. Then it is killed.
    pub output_bytes: u64,
    /// How much it may keep in scratch files (`/tmp`), in bytes. Then writing fails in it.
    pub scratch_bytes: u64,
    /// How many files each of its processes may have open.
    pub open_files: u32,
}

impl Limits {
    /// Of an agent: a program of any language that talks for as long as its run lasts.
    pub const AGENT: Self = Self {
        wall_ms: 60 * 60 * 1000, // an hour: a run that needs more checkpoints and goes on in another
        memory_bytes: 1024 * 1024 * 1024, // an interpreter with its libraries; the model runs elsewhere
        processes: 128,          // threads count, and runtimes start one per core several times over
        output_bytes: 256 * 1024 * 1024, // a thousand lines of the greatest length
        scratch_bytes: 256 * 1024 * 1024, // a checkout or a cache; results go through the node
        open_files: 1024,        // what programs expect to have
    };

    /// Of a server of tools: a program that is asked now and then, for as long as the node runs. It is started again when it is needed.
    pub const SERVER: Self = Self { wall_ms: 24 * 60 * 60 * 1000, ..Self::AGENT };

    /// Of a tool: one command with an end.
    pub const TOOL: Self = Self {
        wall_ms: 10 * 60 * 1000,         // a plan of a large infrastructure takes minutes
        memory_bytes: 512 * 1024 * 1024, // compilers and planners of modest size
        processes: 64,                   // a pipeline of programs with a few threads each
        output_bytes: 1024 * 1024,       // it is held in memory, whole; four times what an agent is given back
        scratch_bytes: 128 * 1024 * 1024,
        open_files: 512,
    };
}

/// A file or folder of the node, to be seen inside, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is on the node. It must be there.
    pub from: PathBuf,
    /// Where it is seen inside: absolute and plain, such as the folder `work` at the top.
    pub at: String,
    /// Whether programs in it can be started. An interpreter reads them in any case.
    pub executable: bool,
    /// Whether it can be written: the folder of a tool server, and of nothing else.
    pub writable: bool,
}

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The program, by a path inside or a name that is looked up there, and its arguments.
    pub argv: Vec<String>,
    /// Variables beside those that every sandbox has; they replace those.
    pub env: Vec<(String, String)>,
    /// What it sees of the node beside programs and libraries.
    pub mounts: Vec<Mount>,
    /// What it may use up.
    pub limits: Limits,
    /// The grade below which it is not started.
    pub minimum: Grade,
    /// Whether the node is to be reached from inside, at [`DOOR_PORT`](crate::session::DOOR_PORT) of the sandbox's own loopback. Needs grade A.
    pub door: bool,
}

impl Spec {
    /// The digest of the canonical JSON of `argv`: the `arguments` of the action that permits it.
    pub fn digest(&self) -> Digest {
        Digest::of(&canonical(&self.argv).expect("a list of strings has a canonical form"))
    }

    /// Whether a sandbox can be made of it.
    ///
    /// # Errors
    /// `SPEC_REFUSED` with what is wrong and what to write instead.
    pub(crate) fn check(&self) -> Result<(), EffectError> {
        let no = |why: String| Err(EffectError::SpecRefused(why));
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return no("there is no program; write its name as the first argument".to_owned());
        }
        let texts = || self.argv.iter().chain(self.env.iter().flat_map(|(name, value)| [name, value]));
        if texts().any(|text| text.contains('\0')) {
            return no(
                "an argument or variable holds a zero byte, which no program can be given; take it out".to_owned()
            );
        }
        if texts().any(|text| text.len() > MAX_ARGUMENT_BYTES) {
            return no(format!("an argument or variable has more than {MAX_ARGUMENT_BYTES} bytes; put it into a file"));
        }
        if texts().map(String::len).sum::<usize>() > MAX_SPEC_BYTES {
            return no(format!("arguments and variables have more than {MAX_SPEC_BYTES} bytes; put some into a file"));
        }
        for (name, _) in &self.env {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !plain || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
                return no(format!("`{}` is not the name of a variable; use letters, digits and `_`", visible(name)));
            }
        }
        if self.mounts.len() > MAX_MOUNTS {
            return no(format!("there are more than {MAX_MOUNTS} mounts; put some below a common folder"));
        }
        if self.limits.processes == 0 || self.limits.memory_bytes == 0 || self.limits.open_files < 8 {
            return no("with these limits nothing can start; allow a process, some memory and 8 open files".to_owned());
        }
        let mut seen = BTreeSet::new();
        for mount in &self.mounts {
            check_place(&mount.at).map_err(EffectError::SpecRefused)?;
            let within = |a: &str, b: &str| Path::new(a).starts_with(b);
            if let Some(other) =
                seen.iter().find(|other: &&&String| within(other, &mount.at) || within(&mount.at, other))
            {
                return no(format!("`{}` and `{other}` lie in one another; mount them beside each other", mount.at));
            }
            seen.insert(&mount.at);
        }
        Ok(())
    }
}

/// Whether something can be mounted there.
fn check_place(at: &str) -> Result<(), String> {
    let shown = visible(at);
    let Some(beneath) = at.strip_prefix('/') else {
        return Err(format!("`{shown}` does not begin with `/`; write where the mount is seen inside"));
    };
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= 64
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if !beneath.split('/').all(plain) || beneath.split('/').count() > 4 {
        return Err(format!(
            "`{shown}` is no place for a mount; use up to four plain parts of ASCII letters and digits"
        ));
    }
    let top = beneath.split('/').next().unwrap_or_default();
    if RESERVED.contains(&top) || top == "usr" {
        return Err(format!("`{shown}` is where the sandbox has its own things; mount it at a folder of your own"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Limits, MAX_MOUNTS, Mount, Spec};
    use crate::grade::Grade;

    fn spec(argv: &[&str]) -> Spec {
        let argv = argv.iter().map(|a| (*a).to_owned()).collect();
        Spec { argv, env: vec![], mounts: vec![], limits: Limits::TOOL, minimum: Grade::A, door: false }
    }

    #[test]
    fn what_is_permitted_is_every_argument() {
        // Golden: decisions and records are bound to it.
        assert_eq!(
            spec(&["/bin/sh", "-c", "echo \"ä\"\n"]).digest().to_string(),
            steward_seal::Digest::of(r#"["/bin/sh","-c","echo \"ä\"\n"]"#.as_bytes()).to_string()
        );
        assert_ne!(spec(&["a", "b c"]).digest(), spec(&["a", "b", "c"]).digest());
        assert_ne!(spec(&["a"]).digest(), spec(&["a", ""]).digest());
    }

    #[test]
    fn places_are_plain_and_not_the_sandbox_s_own() {
        let with = |at: &str| {
            let mount = Mount { from: "/usr".into(), at: at.to_owned(), executable: false, writable: false };
            Spec { mounts: vec![mount], ..spec(&["true"]) }.check()
        };
        for good in ["/files", "/programs", "/handoff/from.a-b_1"] {
            with(good).expect(good);
        }
        for bad in [
            "",
            "/",
            "work",
            "/../etc",
            "/a/../b",
            "/a//b",
            "/a/",
            "/usr/bin",
            "/usr",
            "/etc/x",
            "/proc/self",
            "/tmp",
            "/dev",
            "/run/steward",
            "/lib",
            "/bin",
            "/a b",
            "/ä",
            "/a\nb",
            "/a/b/c/d/e",
            "/./a",
            "/sys",
        ] {
            assert_eq!(with(bad).expect_err(bad).code(), "SPEC_REFUSED");
        }
    }

    #[test]
    fn the_largest_and_the_emptiest_are_refused() {
        let mount = |at: String| Mount { from: "/usr".into(), at, executable: false, writable: false };
        let mounts = |names: &[&str]| names.iter().map(|n| mount((*n).to_owned())).collect::<Vec<_>>();
        let bad = [
            spec(&[]),
            spec(&[""]),
            spec(&["a\0b"]),
            spec(&["true", &"x".repeat(128 * 1024)]),
            spec(&[
                "true",
                &"x".repeat(100_000),
                &"x".repeat(100_000),
                &"x".repeat(100_000),
                &"x".repeat(100_000),
                &"x".repeat(100_000),
                &"x".repeat(100_000),
            ]),
            Spec { env: vec![("A=B".into(), String::new())], ..spec(&["true"]) },
            Spec { env: vec![(String::new(), String::new())], ..spec(&["true"]) },
            Spec { env: vec![("1A".into(), String::new())], ..spec(&["true"]) },
            Spec { mounts: (0..=MAX_MOUNTS).map(|n| mount(format!("/m{n}"))).collect(), ..spec(&["true"]) },
            Spec { mounts: mounts(&["/a", "/a"]), ..spec(&["true"]) },
            Spec { mounts: mounts(&["/a", "/a/b"]), ..spec(&["true"]) },
            Spec { mounts: mounts(&["/a/b", "/a"]), ..spec(&["true"]) },
            Spec { limits: Limits { processes: 0, ..Limits::TOOL }, ..spec(&["true"]) },
        ];
        for spec in bad {
            assert_eq!(spec.check().expect_err("refused").code(), "SPEC_REFUSED");
        }
        Spec {
            mounts: mounts(&["/a", "/ab", "/b/c", "/b/d"]),
            env: vec![("A_1".into(), "=".into())],
            ..spec(&["true"])
        }
        .check()
        .expect("fine");
    }
}
