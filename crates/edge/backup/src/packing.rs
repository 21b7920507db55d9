//! Where a backup is written to: a folder, a file, or whoever reads our output.

use std::{
    fs::{self, File},
    io::{BufWriter, Read as _, Write},
    path::Path,
};

use crate::{
    error::BackupError,
    files::{Hashing, copy_file, open_in_home},
    manifest::Content,
    opening::HOME,
    staging::{self, make_folder},
    tar,
};

/// Files up to so many bytes are read whole before they are packed; of larger ones a copy is made, since what is written may still grow or shrink.
const IN_MEMORY: u64 = 1 << 20;

/// Where a backup is written to.
pub(crate) enum Out<'a> {
    /// This folder.
    Folder(&'a Path),
    /// An archive; larger files are copied beside it first, into this folder.
    Packed { archive: Box<tar::Writer<BufWriter<Box<dyn Write + 'a>>>>, beside: &'a Path },
}

impl<'a> Out<'a> {
    pub(crate) fn packed(to: impl Write + 'a, beside: &'a Path) -> Self {
        let to: Box<dyn Write + 'a> = Box::new(to);
        Self::Packed { archive: Box::new(tar::Writer::new(BufWriter::with_capacity(1 << 16, to))), beside }
    }

    /// A folder of the home.
    pub(crate) fn folder(&mut self, path: &str) -> Result<(), BackupError> {
        match self {
            Self::Folder(root) => make_folder(&root.join(HOME).join(path)),
            Self::Packed { archive, .. } => {
                archive.folder(&format!("{HOME}/{path}")).map_err(BackupError::io("write", Path::new(path)))
            }
        }
    }

    /// A file of the home, of which somebody may be writing the end.
    pub(crate) fn file(&mut self, from: &Path, path: &str) -> Result<Content, BackupError> {
        let (archive, beside) = match self {
            Self::Folder(root) => return copy_file(from, &root.join(HOME).join(path), None),
            Self::Packed { archive, beside } => (archive, beside),
        };
        let reading = BackupError::io("read", from);
        let source = open_in_home(from, false)?;
        let bytes = source.metadata().map_err(&reading)?.len();
        if bytes > IN_MEMORY {
            let copy = beside.join("piece");
            let content = copy_file(from, &copy, Some(0o600))?;
            pack(archive, &copy, path, content.bytes)?;
            fs::remove_file(&copy).map_err(BackupError::io("remove", &copy))?;
            return Ok(content);
        }
        let mut whole = Vec::new();
        source.take(bytes).read_to_end(&mut whole).map_err(&reading)?;
        let content = Content { digest: steward_seal::Digest::of(&whole), bytes: whole.len() as u64 };
        let name = format!("{HOME}/{path}");
        archive.file(&name, content.bytes, &mut &whole[..]).map_err(BackupError::io("write", Path::new(path)))?;
        Ok(content)
    }

    /// A file that lies in the staging folder already, and is nobody else's: the copy of the store.
    pub(crate) fn own(&mut self, from: &Path, path: &str) -> Result<Content, BackupError> {
        match self {
            Self::Folder(_) => crate::files::content(from),
            Self::Packed { archive, .. } => {
                let bytes = fs::metadata(from).map_err(BackupError::io("look at", from))?.len();
                pack(archive, from, path, bytes)
            }
        }
    }

    /// A file beside the home.
    pub(crate) fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
        match self {
            Self::Folder(root) => staging::write(&root.join(path), bytes),
            Self::Packed { archive, .. } => archive
                .file(path, bytes.len() as u64, &mut &bytes[..])
                .map_err(BackupError::io("write", Path::new(path))),
        }
    }

    /// Nothing more comes.
    pub(crate) fn finish(self) -> Result<(), BackupError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Packed { archive, .. } => {
                archive.finish().map_err(BackupError::io("write", Path::new("the backup"))).map(drop)
            }
        }
    }
}

fn pack<W: Write>(archive: &mut tar::Writer<W>, from: &Path, path: &str, bytes: u64) -> Result<Content, BackupError> {
    let mut source = Hashing::new(File::open(from).map_err(BackupError::io("read", from))?);
    archive.file(&format!("{HOME}/{path}"), bytes, &mut source).map_err(BackupError::io("write", Path::new(path)))?;
    Ok(source.content())
}
