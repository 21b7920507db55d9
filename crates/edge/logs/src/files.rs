//! The files: opened when something is to be written, rotated when they are large or their day is over, archived compressed, and
//! removed when they are old.
//!
//! A file is renamed into the archive first and compressed then, so that a process that dies between leaves it whole; the next one
//! compresses what it finds.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use flate2::{Compression, write::GzEncoder};
use steward_clock::Timestamp;

use crate::{
    line::{Level, Line},
    settings::Settings,
    writer::MAX_OPEN_FILES,
};

/// What is about no agent.
pub(crate) const MAIN: &str = "main";

/// Errors again.
pub(crate) const ERRORS: &str = "errors";

/// The folder of agents' files.
pub(crate) const AGENTS: &str = "agents";

/// The folder of what was rotated.
pub(crate) const ARCHIVE: &str = "archive";

/// The longest name of an agent that has a file.
const MAX_NAME_BYTES: usize = 253;

/// The most files of one name that are rotated on one day; after that, the day's last one grows.
const MAX_OF_DAY: u32 = 999;

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// A file that is written.
struct Open {
    file: File,
    bytes: u64,
    /// `2026-11-20`.
    day: String,
    /// When it was written last: the one that was longest ago makes room.
    used: u64,
}

/// The files.
pub(crate) struct Files {
    folder: PathBuf,
    settings: Settings,
    open: BTreeMap<String, Open>,
    uses: u64,
    /// The day that was looked at last.
    day: String,
}

impl Files {
    pub(crate) fn new(folder: &Path, settings: Settings) -> Self {
        Self { folder: folder.to_owned(), settings, open: BTreeMap::new(), uses: 0, day: String::new() }
    }

    /// Writes a line where it belongs.
    pub(crate) fn write(&mut self, line: &Line, now: Timestamp) -> io::Result<()> {
        if day_of(now) != self.day {
            self.tidy(now);
        }
        let name = match line.agent().filter(|agent| is_name(agent)) {
            Some(agent) => format!("{AGENTS}/{agent}"),
            None => MAIN.to_owned(),
        };
        let text = line.encode();
        self.append(&name, &text, now)?;
        if line.level == Level::Error { self.append(ERRORS, &text, now) } else { Ok(()) }
    }

    fn append(&mut self, name: &str, text: &str, now: Timestamp) -> io::Result<()> {
        let more = text.len() as u64;
        let is_full = match self.open.get(name) {
            Some(open) => open.bytes > 0 && open.bytes + more > self.settings.max_file_bytes,
            None => {
                let open = self.open_file(name, now)?;
                let is_full = open.bytes > 0 && open.bytes + more > self.settings.max_file_bytes;
                self.make_room();
                self.open.insert(name.to_owned(), open);
                is_full
            }
        };
        if is_full {
            self.rotate(name);
            let open = self.open_file(name, now)?;
            self.open.insert(name.to_owned(), open);
        }
        self.uses += 1;
        let uses = self.uses;
        let Some(open) = self.open.get_mut(name) else { return Err(io::ErrorKind::NotFound.into()) };
        open.used = uses;
        // Each line by itself, so that what is counted as written is, and nobody reads half of one.
        let written = open.file.write_all(text.as_bytes());
        match written {
            Ok(()) => open.bytes += more,
            Err(_) => {
                // Half a line would spoil the next. The file is opened anew for that.
                let _ = open.file.set_len(open.bytes);
                self.open.remove(name);
            }
        }
        written
    }

    fn open_file(&self, name: &str, now: Timestamp) -> io::Result<Open> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Open { file, bytes, day: day_of(now), used: self.uses })
    }

    /// Closes the file that was written longest ago, if there are too many.
    fn make_room(&mut self) {
        while self.open.len() >= MAX_OPEN_FILES {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            self.open.remove(&oldest);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Puts a file into the archive. One that cannot be put there stays, and grows.
    fn rotate(&mut self, name: &str) {
        let day = self.open.remove(name).map(|open| open.day);
        let path = self.path(name);
        let day = day.or_else(|| written_on(&path)).unwrap_or_else(|| self.day.clone());
        let Some(to) = self.place(name, &day) else { return };
        let moved = to.parent().map_or(Ok(()), make_folder).and_then(|()| fs::rename(&path, &to));
        if moved.is_ok() {
            // Left as it is if it cannot be compressed; the next look tries again.
            let _ = compress(&to);
        }
        self.bound_archive(&day);
    }

    /// A free place in the archive.
    fn place(&self, name: &str, day: &str) -> Option<PathBuf> {
        let place = |n: u32| self.folder.join(ARCHIVE).join(format!("{name}-{day}-{n:03}.log"));
        let is_free = |path: &PathBuf| !path.exists() && !compressed(path).exists();
        (1..=MAX_OF_DAY).map(place).find(is_free)
    }

    /// Rotates what is of another day, compresses what a process that died left, and removes what is old.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        let today = day_of(now);
        let stale: Vec<String> = self.names().into_iter().filter(|name| self.is_of_another_day(name, &today)).collect();
        self.day.clone_from(&today);
        for name in stale {
            self.rotate(&name);
        }
        for (path, _) in self.archived() {
            if path.extension().is_some_and(|extension| extension == "log") {
                let _ = compress(&path);
            }
        }
        self.bound_archive(&today);
    }

    fn is_of_another_day(&self, name: &str, today: &str) -> bool {
        let day = match self.open.get(name) {
            Some(open) => Some(open.day.clone()),
            None => written_on(&self.path(name)),
        };
        day.is_some_and(|day| day != today)
    }

    /// The names of the files that are written.
    fn names(&self) -> Vec<String> {
        names(&self.folder)
    }

    /// What is in the archive, with its day, oldest first.
    fn archived(&self) -> Vec<(PathBuf, String)> {
        archived(&self.folder)
    }

    /// Removes what is too old, and the oldest while there is too much.
    fn bound_archive(&self, today: &str) {
        let Some(today) = midnight(today) else { return };
        let first_kept = Timestamp::from_unix_ms(today.unix_ms() - DAY_MS * i64::from(self.settings.keep_days));
        let first_kept = day_of(first_kept);
        let all = self.archived();
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut bytes: u64 = all.iter().map(|(path, _)| size(path)).sum();
        for (path, day) in all {
            if day < first_kept || bytes > self.settings.max_archive_bytes {
                let freed = size(&path);
                if fs::remove_file(&path).is_ok() {
                    bytes = bytes.saturating_sub(freed);
                }
            }
        }
    }
}

/// The names of the files that are written, agents' too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for (place, before) in [(folder.to_owned(), String::new()), (folder.join(AGENTS), format!("{AGENTS}/"))] {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if let Some(name) = name.strip_suffix(".log")
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                names.push(format!("{before}{name}"));
            }
        }
    }
    names.sort();
    names
}

/// What is in the archive, with its day, oldest first.
pub(crate) fn archived(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for place in [folder.join(ARCHIVE), folder.join(ARCHIVE).join(AGENTS)] {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Some((day, n)) = day_in(&path) {
                found.push((day, n, path));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(day, _, path)| (path, day)).collect()
}

/// The day and number in an archived file's name: `main-2026-11-20-001.log.gz`.
fn day_in(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".log.gz").or_else(|| name.strip_suffix(".log"))?;
    let (rest, n) = stem.rsplit_once('-')?;
    let day = rest.get(rest.len().checked_sub(10)?..)?;
    let is_day = midnight(day).is_some() && rest[..rest.len() - 10].ends_with('-');
    is_day.then(|| (day.to_owned(), n.to_owned()))
}

/// The name that an archived file was written under: `main`, `agents/scribe.acme.internal`.
pub(crate) fn name_in(path: &Path) -> Option<String> {
    let (day, n) = day_in(path)?;
    let name = path.file_name()?.to_str()?;
    let end = name.find(&format!("-{day}-{n}.log"))?;
    let of_agent = path.parent().and_then(Path::file_name).is_some_and(|folder| folder == AGENTS);
    Some(if of_agent { format!("{AGENTS}/{}", &name[..end]) } else { name[..end].to_owned() })
}

/// The day of a moment, in UTC.
pub(crate) fn day_of(now: Timestamp) -> String {
    now.to_string().chars().take(10).collect()
}

/// The beginning of a day.
fn midnight(day: &str) -> Option<Timestamp> {
    format!("{day}T00:00:00.000Z").parse().ok()
}

/// The day on which a file was written last.
fn written_on(path: &Path) -> Option<String> {
    let modified = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(day_of(Timestamp::from_unix_ms(i64::try_from(modified.as_millis()).ok()?)))
}

/// Whether this can be the name of an agent's file, and of no other.
pub(crate) fn is_name(agent: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !agent.is_empty()
        && agent.len() <= MAX_NAME_BYTES
        && agent.bytes().all(is_part)
        && agent.bytes().next().is_some_and(|byte| byte != b'.')
}

/// For its owner alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn compressed(path: &Path) -> PathBuf {
    path.with_extension("log.gz")
}

/// Puts a compressed file in the place of a plain one.
fn compress(path: &Path) -> io::Result<()> {
    let part = path.with_extension("log.part");
    let write = || {
        let to = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        let mut encoder = GzEncoder::new(BufWriter::new(to), Compression::fast());
        io::copy(&mut File::open(path)?, &mut encoder)?;
        encoder.finish()?.flush()?;
        fs::rename(&part, compressed(path))?;
        fs::remove_file(path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{day_in, is_name, name_in};

    #[test]
    fn archived_names_say_their_day() {
        let day = |name: &str| day_in(Path::new(name)).map(|(day, n)| format!("{day} {n}"));
        assert_eq!(day("a/main-2026-11-20-001.log.gz").as_deref(), Some("2026-11-20 001"));
        assert_eq!(day("web-2.acme.internal-2026-11-20-012.log").as_deref(), Some("2026-11-20 012"));
        for other in ["main.log", "main-2026-11-20-001.log.part", "main-2026-13-20-001.log.gz", "2026-11-20-001.log"] {
            assert_eq!(day(other), None, "{other}");
        }
        assert_eq!(name_in(Path::new("archive/main-2026-11-20-001.log.gz")).as_deref(), Some("main"));
        assert_eq!(
            name_in(Path::new("archive/agents/web-2.acme.internal-2026-11-20-012.log")).as_deref(),
            Some("agents/web-2.acme.internal")
        );
    }

    #[test]
    fn names_of_agents_lead_nowhere_else() {
        assert!(is_name("scribe.acme.internal") && is_name("xn--bcher-kva.acme.internal"));
        for other in ["", "..", ".hidden", "a/b", "A", "a b", "a\0", "a_b"] {
            assert!(!is_name(other), "{other:?}");
        }
    }
}
