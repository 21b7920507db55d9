//! Folders for scratch files of sandboxes that have no file system of their own (grade B).
//!
//! ```text
//! let scratch = Scratch::make("a1b2c3", "17-3")?;      // <temporary>/steward-a1b2c3-17-3, 0700
//! drop(scratch);                                       // removed
//! Scratch::sweep("a1b2c3", |name| is_mine(name))?;     // what a dead node left
//! ```
//!
//! Deliberately absent: a limit on all files together, which no kernel offers here without a file system of its own.

use std::{
    env,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// A folder that goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, which must not be there.
    pub(crate) fn make(instance: &str, name: &str) -> io::Result<Self> {
        let path = env::temp_dir().canonicalize()?.join(format!("{}{name}", prefix(instance)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes those of `instance` that are not mine.
    pub(crate) fn sweep(instance: &str, is_mine: impl Fn(&str) -> bool) -> io::Result<()> {
        let own = rustix::process::geteuid().as_raw();
        for entry in fs::read_dir(env::temp_dir())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = name.strip_prefix(&prefix(instance)) else { continue };
            // Anybody can make a folder of that name where temporary files are.
            let ours = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
            if ours && !is_mine(name) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is found by the next sweep.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn prefix(instance: &str) -> String {
    format!("steward-{instance}-")
}
