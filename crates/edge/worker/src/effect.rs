//! Writing a file in two steps, either of which can be the last before a crash.

use std::{io::Write as _, os::fd::OwnedFd};

use rustix::{
    fd::AsFd as _,
    fs::{AtFlags, fsync, renameat, unlinkat},
    io::Errno,
};
use steward_clock::mishap;
use steward_naming::{ActionId, Name, visible};
use steward_permit::{Action, ResourceKind, Warrant};
use steward_seal::Digest;

use crate::{
    beneath,
    error::{EffectError, failed, refused},
    folders::{Folders, Published, plain, read_bounded},
    path::{GrantPath, MAX_FILE_BYTES},
};

/// The action that this crate carries out.
const WRITE: &str = "fs.write";

/// Bytes that lie beside an agent's folder, on disk, and can be published once. Dropping it leaves them there:
/// [`Folders::discard`] removes them.
#[derive(Debug)]
#[must_use = "what is staged is either published or discarded"]
pub struct Staged {
    agent: Name,
    id: ActionId,
    /// The digest of the action, which is bound to path and content.
    action: Digest,
}

impl Folders {
    /// Writes `bytes` where the agent does not see them, and to disk. The first half of a write, after the record of the
    /// intention.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly `action`, and that for writing exactly `bytes` in `agent`'s namespace;
    /// `PATH_REFUSED` if the path can be seen to be bad already; `TOO_LARGE`, `NO_SPACE`, `BROKEN` (also if something is staged
    /// under this action already). After an error nothing of this call is left behind.
    pub fn stage(&self, warrant: &Warrant, action: &Action, agent: &Name, bytes: &[u8]) -> Result<Staged, EffectError> {
        check(warrant, action, agent)?;
        if action.arguments() != Some(&Digest::of(bytes)) {
            return Err(EffectError::WarrantMismatch("the bytes are not those that were permitted"));
        }
        if bytes.len() > MAX_FILE_BYTES {
            return Err(EffectError::TooLarge);
        }
        GrantPath::parse(action.resource().id())?;

        let failed = failed("stage the file");
        let id = warrant.action();
        let staging = self.staging(agent).map_err(|e| failed(e.into()))?;
        mishap::at("effect.stage.before_write").map_err(&failed)?;
        let mut file = beneath::new_file(staging.as_fd(), id.as_str()).map_err(|e| failed(e.into()))?;
        let written = (|| {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            file.write_all(first)?;
            mishap::at("effect.stage.half_written")?;
            file.write_all(second)?;
            file.sync_all()?;
            fsync(&staging)?;
            mishap::at("effect.stage.after_sync")
        })();
        if let Err(error) = written {
            // A full disk should not stay full of what could not be finished. If this fails too, it is listed as left over.
            let _ = unlinkat(&staging, id.as_str(), AtFlags::empty());
            return Err(failed(error));
        }
        Ok(Staged { agent: agent.clone(), id: id.clone(), action: action.digest() })
    }

    /// Puts what was staged into place, whole, and to disk. The second half, after the record that it is being published.
    ///
    /// Missing folders on the way are made, and stay if the rest is refused. A plain file at the path is replaced; anything
    /// else is refused. It is never written through, so that whatever comes to stand there in the same moment is replaced by
    /// name and not followed.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant`, `action`, `agent` and `staged` are of one and the same effect; `STAGED_CHANGED`,
    /// `PATH_REFUSED`, `TARGET_NOT_A_FILE`, `NO_SPACE`, `BROKEN`: nothing was published, and the staged bytes are still there,
    /// so that a crash before the refusal is on record is not mistaken for a loss. Settle first, then [`Folders::discard`].
    /// `OUTCOME_UNKNOWN`: the file is in place, but perhaps not on disk.
    pub fn publish(
        &self,
        warrant: Warrant,
        action: &Action,
        agent: &Name,
        staged: Staged,
    ) -> Result<Published, EffectError> {
        check(&warrant, action, agent)?;
        if staged.id != *warrant.action() || staged.action != *warrant.digest() || staged.agent != *agent {
            return Err(EffectError::WarrantMismatch("what is staged is not of this action"));
        }
        let path = GrantPath::parse(action.resource().id())?;
        let (parent, name) = path.parent_and_name();

        const DOING: &str = "publish the file";
        let failed = failed(DOING);
        let refused = refused(&path, DOING);
        let files = self.files(agent).map_err(|e| failed(e.into()))?;
        let folder = match parent {
            Some(parent) => beneath::make_folders(&files, parent).map_err(&refused)?,
            None => files,
        };
        if let Some(stat) = beneath::look(&folder, name).map_err(&refused)? {
            plain(&path, &stat)?;
        }
        let staging = self.staging(agent).map_err(|e| failed(e.into()))?;
        let published = verify(&staging, &staged.id, action.arguments())?;

        mishap::at("effect.publish.before_rename").map_err(&failed)?;
        renameat(&staging, staged.id.as_str(), &folder, name).map_err(|errno| match errno {
            Errno::ISDIR => EffectError::TargetNotAFile { path: visible(path.as_str()), what: "a folder" },
            other => refused(other),
        })?;
        // From here on it has happened: the only doubt is whether a loss of power would undo it.
        let synced = (|| {
            mishap::at("effect.publish.after_rename")?;
            // The new name first: one that is in both places is still there, one that is in neither is lost.
            fsync(&folder)?;
            fsync(&staging)?;
            mishap::at("effect.publish.after_sync")
        })();
        synced.map_err(EffectError::OutcomeUnknown)?;
        Ok(published)
    }
}

/// Whether the warrant is for this action, and the action one that this crate carries out, in this agent's folder.
fn check(warrant: &Warrant, action: &Action, agent: &Name) -> Result<(), EffectError> {
    let why = if *warrant.digest() != action.digest() {
        "the warrant is for another action"
    } else if action.name().as_str() != WRITE || action.resource().kind() != ResourceKind::File {
        "the warrant is not for writing a file"
    } else if action.namespace() != agent.namespace() {
        "the warrant is for another namespace than the agent's"
    } else if warrant.actor() != agent.to_string() {
        "the warrant is for another agent"
    } else {
        return Ok(());
    };
    Err(EffectError::WarrantMismatch(why))
}

/// Reads back what is staged: a plain file with exactly the permitted bytes.
fn verify(staging: &OwnedFd, id: &ActionId, permitted: Option<&Digest>) -> Result<Published, EffectError> {
    let failed = failed("read the staged bytes");
    let (file, stat) = match beneath::file(staging, id.as_str()) {
        Err(Errno::NOENT | Errno::LOOP | Errno::XDEV | Errno::NXIO) => return Err(EffectError::StagedChanged),
        other => other.map_err(|e| failed(e.into()))?,
    };
    if beneath::not_a_plain_file(&stat).is_some() {
        return Err(EffectError::StagedChanged);
    }
    let bytes = read_bounded(file).map_err(failed)?.ok_or(EffectError::StagedChanged)?;
    let digest = Digest::of(&bytes);
    if permitted != Some(&digest) {
        return Err(EffectError::StagedChanged);
    }
    Ok(Published { digest, bytes: bytes.len() as u64 })
}
