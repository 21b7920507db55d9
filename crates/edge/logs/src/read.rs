//! Reading the files again, without the node: the newest lines, what follows, and counts.
//!
//! What cannot be read as a line is counted and passed over: a process that died may have left half of one.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde::Serialize;

use crate::{
    files::{AGENTS, ERRORS, MAIN, archived, name_in, names},
    line::{Level, Line, MAX_LINE_BYTES},
};

/// The most bytes that are read of one file, unpacked: more than a file may have before it is rotated, by any sensible setting.
pub const MAX_READ_BYTES: u64 = 1 << 30;

/// The most messages that are counted apart; the rest are counted together.
const MAX_MESSAGES: usize = 10_000;

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Of a part of the program (`store`), or of a file (`errors`, `agents/scribe.acme.internal`).
    pub component: Option<String>,
    /// At least of this level.
    pub level: Option<Level>,
    /// Not before this time, as times are written.
    pub since: Option<String>,
    /// What was archived too.
    pub archive: bool,
}

impl Which {
    fn wants(&self, line: &Line, name: &str) -> bool {
        let of_component = self.component.as_deref().is_none_or(|wanted| wanted == line.component || wanted == name);
        let of_level = self.level.is_none_or(|least| line.level >= least);
        let of_time = self.since.as_deref().is_none_or(|since| line.time.as_str() >= since);
        of_component && of_level && of_time
    }

    /// Whether lines of a file of this name are looked at. Errors stand in another file too, and count once.
    fn looks_at(&self, name: &str) -> bool {
        match self.component.as_deref() {
            Some(ERRORS) => name == ERRORS,
            Some(wanted) if wanted.starts_with(AGENTS) => name == wanted,
            _ => name == MAIN || name.starts_with(AGENTS),
        }
    }

    /// The files, those of the archive first, oldest first.
    fn files(&self, folder: &Path) -> Vec<(String, PathBuf)> {
        let mut files = Vec::new();
        if self.archive {
            files.extend(archived(folder).into_iter().filter_map(|(path, _)| Some((name_in(&path)?, path))));
        }
        files.extend(names(folder).into_iter().map(|name| {
            let path = folder.join(format!("{name}.log"));
            (name, path)
        }));
        files.retain(|(name, _)| self.looks_at(name));
        files
    }
}

/// Calls `each` with every line of a file; tells how many were none.
fn each_line(path: &Path, mut each: impl FnMut(Line)) -> io::Result<u64> {
    let file = match File::open(path) {
        Ok(file) => file,
        // It was rotated meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    let from: Box<dyn Read> = if is_compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = BufReader::new(from.take(MAX_READ_BYTES));
    let mut broken = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = MAX_LINE_BYTES as u64 * 2;
        if reader.by_ref().take(most).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(broken);
        }
        match serde_json::from_slice(&bytes) {
            Ok(line) => each(line),
            Err(_) => broken += 1,
        }
    }
}

/// The newest lines, at most `most`, in the order of their times.
///
/// # Errors
/// A file cannot be read.
pub fn tail(folder: &Path, which: &Which, most: usize) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (name, path) in which.files(folder) {
        each_line(&path, |line| {
            if which.wants(&line, &name) {
                lines.push(line);
            }
        })?;
        if lines.len() > 4 * most.max(1_000) {
            newest(&mut lines, most);
        }
    }
    newest(&mut lines, most);
    Ok(lines)
}

fn newest(lines: &mut Vec<Line>, most: usize) {
    // Of one time, as they stood.
    lines.sort_by(|a, b| a.time.cmp(&b.time));
    let surplus = lines.len().saturating_sub(most);
    lines.drain(..surplus);
}

/// Counts of lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Analysis {
    /// All of them.
    pub lines: u64,
    /// What could not be read as a line.
    pub broken: u64,
    /// The time of the first.
    pub first: Option<String>,
    /// The time of the last.
    pub last: Option<String>,
    /// By level.
    pub levels: BTreeMap<String, u64>,
    /// By component.
    pub components: BTreeMap<String, u64>,
    /// By hour: `2026-11-20T09`.
    pub hours: BTreeMap<String, u64>,
    /// By message, the most frequent first: how often, of which level and component.
    pub messages: Vec<MessageCount>,
}

/// How often something was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageCount {
    /// How often.
    pub count: u64,
    /// Of which level.
    pub level: Level,
    /// By which component.
    pub component: String,
    /// What.
    pub message: String,
}

/// Counts by level, component, message and hour.
///
/// # Errors
/// A file cannot be read.
pub fn analyze(folder: &Path, which: &Which) -> io::Result<Analysis> {
    let mut analysis = Analysis::default();
    let mut messages: BTreeMap<(Level, String, String), u64> = BTreeMap::new();
    for (name, path) in which.files(folder) {
        let broken = each_line(&path, |line| {
            if !which.wants(&line, &name) {
                return;
            }
            analysis.lines += 1;
            let first = analysis.first.get_or_insert_with(|| line.time.clone());
            if line.time < *first {
                first.clone_from(&line.time);
            }
            let last = analysis.last.get_or_insert_with(|| line.time.clone());
            if line.time > *last {
                last.clone_from(&line.time);
            }
            *analysis.levels.entry(line.level.to_string()).or_default() += 1;
            *analysis.components.entry(line.component.clone()).or_default() += 1;
            *analysis.hours.entry(line.time.chars().take(13).collect()).or_default() += 1;
            let message = if messages.len() < MAX_MESSAGES { line.message } else { "…".to_owned() };
            *messages.entry((line.level, line.component, message)).or_default() += 1;
        })?;
        analysis.broken += broken;
    }
    analysis.messages = messages
        .into_iter()
        .map(|((level, component, message), count)| MessageCount { count, level, component, message })
        .collect();
    analysis.messages.sort_by(|a, b| b.count.cmp(&a.count).then(b.level.cmp(&a.level)).then(a.message.cmp(&b.message)));
    Ok(analysis)
}

/// What is written from now on.
pub struct Follow {
    folder: PathBuf,
    which: Which,
    /// How far each file was read, and which file it was.
    read: BTreeMap<String, (u64, u64)>,
}

impl Follow {
    /// From the end of what there is.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn begin(folder: &Path, which: Which) -> io::Result<Self> {
        let which = Which { archive: false, ..which };
        let mut read = BTreeMap::new();
        for (name, path) in which.files(folder) {
            if let Some(at) = place(&path)? {
                read.insert(name, at);
            }
        }
        Ok(Self { folder: folder.to_owned(), which, read })
    }

    /// The lines that came since the last time, in the order of their times. Half a line waits for its other half.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn news(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        for (name, path) in self.which.files(&self.folder) {
            let Some((inode, len)) = place(&path)? else { continue };
            let from = match self.read.get(&name) {
                Some((known, at)) if *known == inode && *at <= len => *at,
                // Another file stands there now.
                _ => 0,
            };
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take((len - from).min(MAX_READ_BYTES)).read_to_end(&mut bytes)?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for text in bytes[..whole].split(|byte| *byte == b'\n') {
                if let Ok(line) = serde_json::from_slice::<Line>(text)
                    && self.which.wants(&line, &name)
                {
                    lines.push(line);
                }
            }
            self.read.insert(name, (inode, from + whole as u64));
        }
        lines.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(lines)
    }
}

/// Which file stands there, and how long it is.
fn place(path: &Path) -> io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.ino(), metadata.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::Path};

    use serde_json::Map;

    use super::{Follow, Which, analyze, tail};
    use crate::line::{Level, Line};

    fn put(folder: &Path, name: &str, said: &[(&str, Level, &str, &str)]) {
        let path = folder.join(format!("{name}.log"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        for (time, level, component, message) in said {
            let line = Line {
                time: format!("2026-11-20T{time}.000Z"),
                level: *level,
                component: (*component).to_owned(),
                message: (*message).to_owned(),
                fields: Map::new(),
            };
            file.write_all(line.encode().as_bytes()).unwrap();
        }
    }

    fn some() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        put(
            folder.path(),
            "main",
            &[
                ("09:00:00", Level::Info, "node", "started"),
                ("09:30:00", Level::Warn, "store", "slow"),
                ("10:00:00", Level::Error, "store", "broken"),
                ("10:00:01", Level::Warn, "store", "slow"),
            ],
        );
        put(folder.path(), "errors", &[("10:00:00", Level::Error, "store", "broken")]);
        put(folder.path(), "agents/scribe.acme.internal", &[("09:15:00", Level::Info, "flows", "an agent wrote")]);
        fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("main.log"))
            .unwrap()
            .write_all(b"{\"time\":\"20")
            .unwrap();
        folder
    }

    #[test]
    fn the_newest_lines_in_order() {
        let folder = some();
        let said = |which: Which, most| {
            let lines = tail(folder.path(), &which, most).unwrap();
            lines.into_iter().map(|line| line.message).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(said(Which::default(), 10), "started, an agent wrote, slow, broken, slow");
        assert_eq!(said(Which::default(), 2), "broken, slow");
        let of = |component: &str| Which { component: Some(component.to_owned()), ..Which::default() };
        assert_eq!(said(of("store"), 10), "slow, broken, slow");
        assert_eq!(said(of("errors"), 10), "broken");
        assert_eq!(said(of("agents/scribe.acme.internal"), 10), "an agent wrote");
        assert_eq!(said(Which { level: Some(Level::Warn), ..Which::default() }, 10), "slow, broken, slow");
        assert_eq!(said(Which { since: Some("2026-11-20T10".to_owned()), ..Which::default() }, 10), "broken, slow");
    }

    #[test]
    fn counts_by_level_component_message_and_hour() {
        let folder = some();
        let analysis = analyze(folder.path(), &Which::default()).unwrap();
        assert_eq!((analysis.lines, analysis.broken), (5, 1));
        assert_eq!(analysis.first.as_deref(), Some("2026-11-20T09:00:00.000Z"));
        assert_eq!(analysis.last.as_deref(), Some("2026-11-20T10:00:01.000Z"));
        assert_eq!(
            analysis.levels.into_iter().collect::<Vec<_>>(),
            [("error".to_owned(), 1), ("info".to_owned(), 2), ("warn".to_owned(), 2)]
        );
        assert_eq!(analysis.components["store"], 3);
        assert_eq!(analysis.hours["2026-11-20T09"], 3);
        assert_eq!((analysis.messages[0].count, analysis.messages[0].message.as_str()), (2, "slow"));
    }

    #[test]
    fn following_sees_what_comes_also_after_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "main", &[("09:00:00", Level::Info, "node", "old")]);
        let mut follow = Follow::begin(folder.path(), Which::default()).unwrap();
        let mut next = || follow.news().unwrap().into_iter().map(|line| line.message).collect::<Vec<_>>().join(", ");
        assert_eq!(next(), "");
        put(folder.path(), "main", &[("09:00:01", Level::Info, "node", "new")]);
        put(folder.path(), "agents/scribe.acme.internal", &[("09:00:02", Level::Info, "flows", "newer")]);
        let main = folder.path().join("main.log");
        fs::OpenOptions::new().append(true).open(&main).unwrap().write_all(b"{\"half\":").unwrap();
        assert_eq!(next(), "new, newer");
        assert_eq!(next(), "");
        fs::rename(&main, folder.path().join("moved")).unwrap();
        put(folder.path(), "main", &[("09:00:03", Level::Info, "node", "another file")]);
        assert_eq!(next(), "another file");
    }
}
