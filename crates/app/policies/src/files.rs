//! The policy's files in the home.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use steward_policy::{MAX_SOURCES_BYTES, Source, Sources};

/// The most files of a policy.
const MAX_FILES: usize = 1000;

/// How deep folders may lie within each other.
const MAX_DEPTH: usize = 4;

/// Why the files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The file system says no.
    #[error("`{path}`: {source}")]
    Io {
        /// What could not be read or written.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Too many, too deep, too large.
    #[error("`{path}`: a policy has at most 1000 files, 4 folders deep, 4 MiB in all")]
    TooMuch {
        /// Where it was noticed.
        path: String,
    },
}

/// Files that came with runs, with tools and models, and with reviews: a home of an earlier version has none, so that nobody can have taken them out there. Without them
/// nobody could start a run, halt the node or revoke an agent. Whoever wants less of them empties them.
const NEW: [&str; 4] = ["plans.cedar", "reviews.cedar", "runs.cedar", "tools.cedar"];

/// Writes the policy that ships into `folder`, if there is none yet: whole or not at all.
///
/// # Errors
/// The file system says no.
pub fn install(folder: &Path) -> Result<bool, FilesError> {
    if folder.exists() {
        // What the words are changes with the program; what is decided with them is the operator's.
        let (schema, path) = (Sources::shipped().schema, folder.join(Sources::SCHEMA_FILE));
        if fs::read_to_string(&path).ok().as_deref() != Some(schema.text.as_str()) {
            write(&path, &schema.text).map_err(|e| at(&path, e))?;
        }
        for source in Sources::shipped().policies.iter().filter(|source| NEW.contains(&source.name.as_str())) {
            let path = folder.join(&source.name);
            if !path.exists() {
                write(&path, &source.text).map_err(|e| at(&path, e))?;
            }
        }
        return Ok(false);
    }
    // Whoever dies half-way leaves something that is not looked at, and is made anew.
    let beside = folder.with_extension("new");
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(|e| at(&beside, e))?;
    }
    let sources = Sources::shipped();
    for source in sources.policies.iter().chain([&sources.schema]) {
        let path = beside.join(&source.name);
        let parent = path.parent().unwrap_or(&beside);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|e| at(parent, e))?;
        write(&path, &source.text).map_err(|e| at(&path, e))?;
    }
    fs::rename(&beside, folder).map_err(|e| at(folder, e))?;
    Ok(true)
}

/// Writes a file that its owner alone may write, whatever the umask: a node does not start on policies that everybody may.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads every `.cedar` file beneath `folder`. The schema is the program's own.
///
/// # Errors
/// A file cannot be read, or there is too much.
pub fn read(folder: &Path) -> Result<Sources, FilesError> {
    let mut policies = Vec::new();
    let mut bytes = 0;
    gather(folder, folder, 0, &mut policies, &mut bytes)?;
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    // The words are the program's: the node builds exactly these entities. The file in the home is there to be read.
    Ok(Sources { schema: Sources::shipped().schema, policies })
}

fn gather(
    root: &Path,
    folder: &Path,
    depth: usize,
    policies: &mut Vec<Source>,
    bytes: &mut usize,
) -> Result<(), FilesError> {
    let too_much = |path: &Path| FilesError::TooMuch { path: path.display().to_string() };
    if depth > MAX_DEPTH {
        return Err(too_much(folder));
    }
    let entries = fs::read_dir(folder).map_err(|e| at(folder, e))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>().map_err(|e| at(folder, e))?;
    paths.sort();
    for path in paths {
        let kind = fs::symlink_metadata(&path).map_err(|e| at(&path, e))?.file_type();
        if kind.is_dir() {
            gather(root, &path, depth + 1, policies, bytes)?;
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "cedar") {
            let text = fs::read_to_string(&path).map_err(|e| at(&path, e))?;
            *bytes += text.len();
            if policies.len() == MAX_FILES || *bytes > MAX_SOURCES_BYTES {
                return Err(too_much(&path));
            }
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            policies.push(Source { name, text });
        }
    }
    Ok(())
}

fn at(path: &Path, source: io::Error) -> FilesError {
    FilesError::Io { path: path.display().to_string(), source }
}
