//! Why an effect did not happen.

use std::io;

use rustix::io::Errno;
use steward_naming::visible;

use crate::{
    grade::Grade,
    path::{GrantPath, MAX_FILE_BYTES, PathError},
};

/// Why an effect did not happen, or is not known to have happened.
///
/// Messages are for the caller: they name the agent's own path and nothing of the node. What the operating system said is in
/// the source, for the node's log. [`EffectError::code`] is stable; each code has a page in docs/errors.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The path is not one within an agent's folder, by its shape.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The path leaves the folder or goes through a link, as the kernel found when it resolved it.
    #[error("`{path}` {why}; write to a path of plain folders inside the agent's own folder")]
    PathRefused {
        /// The agent's path, made visible.
        path: String,
        /// What it does.
        why: &'static str,
    },
    /// What stands at the path is not a plain file of one name.
    #[error("`{path}` is {what}, and only a plain file is read or replaced; choose another path or remove it first")]
    TargetNotAFile {
        /// The agent's path, made visible.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// More than [`MAX_FILE_BYTES`].
    #[error("the file has more than {MAX_FILE_BYTES} bytes, the most that one may have; split it")]
    TooLarge,
    /// The disk or a quota is full.
    #[error("there is no room for the file; free some space on the node or raise its quota, then ask again")]
    NoSpace(#[source] io::Error),
    /// The warrant, the action, the bytes and the agent do not belong together.
    #[error("{0}; ask for a decision about exactly what is to be done")]
    WarrantMismatch(&'static str),
    /// The staged bytes are not those that were permitted.
    #[error("the staged bytes are gone or no longer those that were permitted; nothing was published: ask again")]
    StagedChanged,
    /// The file was put into place, but not surely to disk: after a crash it may be there or not.
    #[error(
        "the file is in place, but the node could not make sure that it stays; compare what is there before asking again"
    )]
    OutcomeUnknown(#[source] io::Error),
    /// The kernel cannot resolve a path beneath a folder.
    #[error(
        "this node cannot keep a path inside a folder: its kernel has no `openat2`, or a sandbox forbids it; run it on Linux 5.6 or newer"
    )]
    NoResolver(#[source] io::Error),
    /// There is no file at the path.
    #[error("there is no file `{0}` in the agent's folder; look at what is there, or write it first")]
    FileNotFound(String),
    /// An artifact is no longer what was recorded.
    #[error("`{0}` is no longer what was handed over; hand over again what is there now")]
    ArtifactChanged(String),
    /// What is to run is not something that a sandbox can be made of.
    #[error("{0}")]
    SpecRefused(String),
    /// The program is not there, seen from inside.
    #[error("there is no program `{0}` in the sandbox; install it on the node, or mount the folder that it is in")]
    NoSuchProgram(String),
    /// The node's sandboxes are weaker than asked for.
    #[error(
        "this node can only make sandboxes of grade {has}, and grade {minimum} is asked for; run it where user namespaces are allowed, or let policy name the exception",
        has = grade.as_str(),
        minimum = minimum.as_str()
    )]
    SandboxTooWeak {
        /// What the node can do.
        grade: Grade,
        /// What was asked for.
        minimum: Grade,
    },
    /// No sandbox can be made on this machine.
    #[error(
        "no process can be kept in on this machine ({0}); allow user namespaces (`sysctl user.max_user_namespaces`), or run a kernel with Landlock and seccomp"
    )]
    SandboxUnavailable(String),
    /// A sandbox could not be made this time.
    #[error("the sandbox could not be made ({0}); nothing was started: its operator finds the cause in the node's log")]
    SandboxFailed(String),
    /// Too much runs already.
    #[error("{0} agents and tools run already, the most that one node runs at a time; wait until one has ended")]
    WorkerFull(usize),
    /// The node's storage failed.
    #[error("the node could not {doing}; nothing was published: its operator finds the cause in the node's log")]
    Broken {
        /// What it was doing.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl EffectError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Path(_) | Self::PathRefused { .. } => "PATH_REFUSED",
            Self::TargetNotAFile { .. } => "TARGET_NOT_A_FILE",
            Self::TooLarge => "TOO_LARGE",
            Self::NoSpace(_) => "NO_SPACE",
            Self::WarrantMismatch(_) => "WARRANT_MISMATCH",
            Self::StagedChanged => "STAGED_CHANGED",
            Self::OutcomeUnknown(_) => "OUTCOME_UNKNOWN",
            Self::NoResolver(_) => "NO_RESOLVER",
            Self::FileNotFound(_) => "FILE_NOT_FOUND",
            Self::ArtifactChanged(_) => "ARTIFACT_CHANGED",
            Self::SpecRefused(_) => "SPEC_REFUSED",
            Self::NoSuchProgram(_) => "NO_SUCH_PROGRAM",
            Self::SandboxTooWeak { .. } => "SANDBOX_TOO_WEAK",
            Self::SandboxUnavailable(_) => "SANDBOX_UNAVAILABLE",
            Self::SandboxFailed(_) => "SANDBOX_FAILED",
            Self::WorkerFull(_) => "WORKER_FULL",
            Self::Broken { .. } => "BROKEN",
        }
    }

    /// Every code.
    pub const CODES: &[&str] = &[
        "PATH_REFUSED",
        "TARGET_NOT_A_FILE",
        "TOO_LARGE",
        "NO_SPACE",
        "WARRANT_MISMATCH",
        "STAGED_CHANGED",
        "OUTCOME_UNKNOWN",
        "NO_RESOLVER",
        "FILE_NOT_FOUND",
        "ARTIFACT_CHANGED",
        "SPEC_REFUSED",
        "NO_SUCH_PROGRAM",
        "SANDBOX_TOO_WEAK",
        "SANDBOX_UNAVAILABLE",
        "SANDBOX_FAILED",
        "WORKER_FULL",
        "BROKEN",
    ];
}

/// What the operating system said while the node was `doing` something of its own: a full disk, no `openat2`, or broken.
pub(crate) fn failed(doing: &'static str) -> impl Fn(io::Error) -> EffectError {
    move |source| match source.raw_os_error().map(Errno::from_raw_os_error) {
        // EFBIG is a limit on the size of files (`ulimit -f`): the file here is known to be small.
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => EffectError::NoSpace(source),
        Some(Errno::NOSYS) => EffectError::NoResolver(source),
        _ => EffectError::Broken { doing, source },
    }
}

/// What the kernel said about an agent's path.
pub(crate) fn refused(path: &GrantPath, doing: &'static str) -> impl Fn(Errno) -> EffectError {
    move |errno| {
        let why = match errno {
            Errno::LOOP => "goes through a link",
            Errno::XDEV => "leaves the folder or crosses into another file system",
            Errno::NOTDIR => "goes through something that is not a folder",
            Errno::NAMETOOLONG => "has a part that is too long for the node's file system",
            other => return failed(doing)(other.into()),
        };
        EffectError::PathRefused { path: visible(path.as_str()), why }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{EffectError, failed, refused};
    use crate::{grade::Grade, path::GrantPath};

    #[test]
    fn what_the_system_says_has_one_meaning() {
        let path = GrantPath::parse("/a").expect("plain");
        for (errno, code) in [
            (Errno::LOOP, "PATH_REFUSED"),
            (Errno::XDEV, "PATH_REFUSED"),
            (Errno::NOTDIR, "PATH_REFUSED"),
            (Errno::NOSPC, "NO_SPACE"),
            (Errno::DQUOT, "NO_SPACE"),
            (Errno::FBIG, "NO_SPACE"),
            (Errno::NOSYS, "NO_RESOLVER"),
            (Errno::IO, "BROKEN"),
            (Errno::ACCESS, "BROKEN"),
        ] {
            let error = refused(&path, "look")(errno);
            assert_eq!(error.code(), code, "{errno:?}");
            assert!(EffectError::CODES.contains(&error.code()));
        }
        // A link where the node itself put a folder is no matter of the agent's path.
        assert_eq!(failed("look")(Errno::LOOP.into()).code(), "BROKEN");
    }

    #[test]
    fn what_cannot_run_says_what_to_do() {
        let text = || "a".to_owned();
        for (error, code, says) in [
            (EffectError::FileNotFound(text()), "FILE_NOT_FOUND", "write it first"),
            (EffectError::ArtifactChanged(text()), "ARTIFACT_CHANGED", "hand over again"),
            (EffectError::NoSuchProgram(text()), "NO_SUCH_PROGRAM", "install it"),
            (
                EffectError::SandboxTooWeak { grade: Grade::B, minimum: Grade::A },
                "SANDBOX_TOO_WEAK",
                "grade B, and grade A",
            ),
            (EffectError::SandboxUnavailable(text()), "SANDBOX_UNAVAILABLE", "allow user namespaces"),
            (EffectError::SandboxFailed(text()), "SANDBOX_FAILED", "nothing was started"),
            (EffectError::WorkerFull(256), "WORKER_FULL", "wait until one has ended"),
            (EffectError::SpecRefused(text()), "SPEC_REFUSED", "a"),
        ] {
            assert_eq!(error.code(), code);
            assert!(EffectError::CODES.contains(&code), "{code}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn the_message_keeps_what_the_system_said_to_the_source() {
        let error = failed("write the file")(Errno::IO.into());
        assert!(!error.to_string().contains("os error"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
