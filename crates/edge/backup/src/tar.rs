//! The bytes of a backup that is one file: a tar archive (POSIX.1-2001, "pax"), in the one way that we write it.
//!
//! ```text
//! home/store.sqlite, home/, home/…       what a folder has, and nothing else: files and folders
//! sealed.json or sealed.age, files.jsonl
//! manifest.json                          the last, since it names the digests of the rest, so that it can be written while it is read
//! two blocks of zeros, and nothing after them
//! ```
//!
//! Everybody's `tar` unpacks it into the folder that it would have been. What is read is written again and compared: an owner, a time, a link, a
//! device, a hole, a second spelling of a number or a name is no backup. So nothing can stand in it that is seen by one reader and not by another.
//!
//! Deliberately absent: compression (pipe it), and archives of other programs.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// The bytes of a block.
const BLOCK: usize = 512;

/// The longest name that stands in a block of its own right.
const MAX_NAME: usize = 100;

/// The largest size that stands in a block: eleven octal digits.
const MAX_SIZE: u64 = (1 << 33) - 1;

/// The most bytes of a longer name and size: a path of a home, and what is around it.
const MAX_LONGER: u64 = 8 << 10;

/// What stands for a name that is said before.
const LONGER: &str = "longer";

/// A file or a folder in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its path; without the `/` that a folder's ends with there.
    pub(crate) path: String,
    /// Of a file.
    pub(crate) bytes: Option<u64>,
}

/// Where a file's content stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) at: u64,
    pub(crate) bytes: u64,
}

/// Writes an archive.
pub(crate) struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to }
    }

    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.to.write_all(&head(&Item { path: path.to_owned(), bytes: None }))
    }

    /// A file with so many bytes of `from`, which has them.
    pub(crate) fn file(&mut self, path: &str, bytes: u64, from: &mut impl Read) -> io::Result<()> {
        self.to.write_all(&head(&Item { path: path.to_owned(), bytes: Some(bytes) }))?;
        let copied = io::copy(&mut from.take(bytes), &mut self.to)?;
        if copied != bytes {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("`{path}` became shorter meanwhile")));
        }
        self.to.write_all(&vec![0; padding(bytes)])
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// The bytes that fill up the last block.
fn padding(bytes: u64) -> usize {
    let over = (bytes % BLOCK as u64) as usize;
    (BLOCK - over) % BLOCK
}

/// All that stands before the content of an item.
fn head(item: &Item) -> Vec<u8> {
    let name = match item.bytes {
        Some(_) => item.path.clone(),
        None => format!("{}/", item.path),
    };
    let size = item.bytes.unwrap_or(0);
    let mut records = String::new();
    if name.len() > MAX_NAME || !name.is_ascii() {
        records += &record("path", &name);
    }
    if size > MAX_SIZE {
        records += &record("size", &size.to_string());
    }
    let kind = if item.bytes.is_some() { b'0' } else { b'5' };
    if records.is_empty() {
        return block(&name, size, kind).to_vec();
    }
    let mut head = block(LONGER, records.len() as u64, b'x').to_vec();
    head.extend_from_slice(records.as_bytes());
    head.resize(head.len() + padding(records.len() as u64), 0);
    let said = if name.len() > MAX_NAME || !name.is_ascii() { LONGER } else { &name };
    head.extend(block(said, if size > MAX_SIZE { 0 } else { size }, kind));
    head
}

/// A record of the extended header: its length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn block(name: &str, size: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, if kind == b'5' { b"0000700\0" } else { b"0000600\0" });
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Why bytes are no archive of ours.
pub(crate) type Wrong = String;

/// Reads all of an archive but the files' content, which is passed over, and tells each item to `take`, with where its content stands.
///
/// # Errors
/// It is not as [`Writer`] writes it, `take` refuses, or it cannot be read.
pub(crate) fn read<R: Read + Seek>(
    from: &mut R,
    mut take: impl FnMut(Item, Part) -> Result<(), Wrong>,
) -> io::Result<Result<(), Wrong>> {
    let end = from.seek(SeekFrom::End(0))?;
    from.rewind()?;
    let mut at = 0_u64;
    loop {
        let mut read = Vec::new();
        let mut more = |read: &mut Vec<u8>, bytes: u64| -> io::Result<bool> {
            let n = from.by_ref().take(bytes).read_to_end(read)?;
            at += n as u64;
            Ok(n as u64 == bytes)
        };
        if !more(&mut read, BLOCK as u64)? {
            return Ok(Err("it is cut off".to_owned()));
        }
        if read.iter().all(|byte| *byte == 0) {
            if !more(&mut read, BLOCK as u64)? || read[BLOCK..].iter().any(|byte| *byte != 0) {
                return Ok(Err("it is cut off at its end".to_owned()));
            }
            return Ok(if at == end { Ok(()) } else { Err(format!("{} bytes follow its end", end - at)) });
        }
        let mut records = String::new();
        if read[156] == b'x' {
            let Some(length) = octal(&read[124..136]).filter(|length| *length <= MAX_LONGER) else {
                return Ok(Err("a long name in it is too long".to_owned()));
            };
            let before = read.len();
            if !more(&mut read, length + padding(length) as u64)? {
                return Ok(Err("it is cut off".to_owned()));
            }
            let text = &read[before..before + usize::try_from(length).unwrap_or_default()];
            match std::str::from_utf8(text) {
                Ok(text) => records = text.to_owned(),
                Err(_) => return Ok(Err("a name in it is not UTF-8".to_owned())),
            }
            if !more(&mut read, BLOCK as u64)? {
                return Ok(Err("it is cut off".to_owned()));
            }
        }
        let item = match item(&records, &read[read.len() - BLOCK..]) {
            Some(item) if head(&item) == read => item,
            _ => {
                return Ok(Err(
                    "it has something other than files and folders as `backup create` writes them; was it packed anew?"
                        .to_owned(),
                ));
            }
        };
        let part = Part { at, bytes: item.bytes.unwrap_or(0) };
        let padded = part.bytes.checked_add(padding(part.bytes) as u64).and_then(|bytes| at.checked_add(bytes));
        let Some(next) = padded.filter(|next| *next <= end) else {
            return Ok(Err(format!("it is cut off in `{}`", steward_naming::visible(&item.path))));
        };
        // What fills up the block is nothing.
        from.seek(SeekFrom::Start(at + part.bytes))?;
        let mut fill = Vec::new();
        from.by_ref().take(padding(part.bytes) as u64).read_to_end(&mut fill)?;
        if fill.iter().any(|byte| *byte != 0) {
            return Ok(Err(format!("something hides behind `{}`", steward_naming::visible(&item.path))));
        }
        at = next;
        if let Err(wrong) = take(item, part) {
            return Ok(Err(wrong));
        }
    }
}

/// What a block and the records before it mean, if anything.
fn item(records: &str, block: &[u8]) -> Option<Item> {
    let (mut name, mut size) = (None, None);
    let mut rest = records;
    while !rest.is_empty() {
        let length: usize = rest.split_once(' ')?.0.parse().ok()?;
        let (record, after) = rest.split_at_checked(length)?;
        let (key, value) = record.strip_suffix('\n')?.split_once(' ')?.1.split_once('=')?;
        match key {
            "path" => name = Some(value.to_owned()),
            "size" => size = Some(value.parse().ok()?),
            _ => return None,
        }
        rest = after;
    }
    let name = match name {
        Some(name) => name,
        None => {
            let bytes = &block[..MAX_NAME];
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(MAX_NAME);
            std::str::from_utf8(&bytes[..end]).ok()?.to_owned()
        }
    };
    let size = size.or_else(|| octal(&block[124..136]))?;
    match block[156] {
        b'0' => Some(Item { path: name, bytes: Some(size) }),
        b'5' if size == 0 => Some(Item { path: name.strip_suffix('/')?.to_owned(), bytes: None }),
        _ => None,
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field.strip_suffix(b"\0")?).ok()?;
    if text.starts_with('+') { None } else { u64::from_str_radix(text, 8).ok() }
}

/// Whether bytes are an archive of ours, for fuzzing: what is accepted is written again as the same bytes.
///
/// # Panics
/// If it is not.
#[doc(hidden)]
pub fn is_archive(bytes: &[u8]) -> Result<(), String> {
    let mut items = Vec::new();
    let take = |item: Item, part: Part| {
        items.push((item, part));
        Ok(())
    };
    read(&mut io::Cursor::new(bytes), take).map_err(|error| error.to_string())??;
    let mut writer = Writer::new(Vec::new());
    for (item, part) in items {
        let at = usize::try_from(part.at).expect("it is in memory");
        match item.bytes {
            Some(n) => writer.file(&item.path, n, &mut &bytes[at..]),
            None => writer.folder(&item.path),
        }
        .expect("memory is written");
    }
    assert_eq!(writer.finish().expect("memory is written"), bytes, "one archive, one spelling");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use steward_seal::Digest;

    use super::{BLOCK, Item, Part, Writer, head, is_archive, item, read};

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        writer.file("home/store.sqlite", 7, &mut &b"a store"[..]).unwrap();
        writer.folder("home").unwrap();
        writer.folder(&format!("home/{}", "d".repeat(120))).unwrap();
        writer.file("home/Süßes", 0, &mut &b""[..]).unwrap();
        writer.file(&format!("home/{}", "n".repeat(95)), 512, &mut &[b'x'; 512][..]).unwrap();
        writer.file("manifest.json", 2, &mut &b"{}"[..]).unwrap();
        writer.finish().unwrap()
    }

    fn items(bytes: &[u8]) -> Result<Vec<(Item, Part)>, String> {
        let mut items = Vec::new();
        let take = |item, part| {
            items.push((item, part));
            Ok(())
        };
        read(&mut Cursor::new(bytes), take).unwrap()?;
        Ok(items)
    }

    /// Frozen: backups of every age are read with this.
    #[test]
    fn golden() {
        let bytes = written();
        expect_test::expect!["7680 bytes, sha256:1464e030efd5a16f65e27114c7b9f2b441bcfe7e6794336f0384a4dcd544ac9e"]
            .assert_eq(&format!("{} bytes, {}", bytes.len(), Digest::of(&bytes)));
        let found = items(&bytes).unwrap();
        let said: Vec<String> =
            found.iter().map(|(item, part)| format!("{} {:?} {}", item.path.len(), item.bytes, part.at)).collect();
        expect_test::expect![[r#"
            17 Some(7) 512
            4 None 1536
            125 None 3072
            12 Some(0) 4608
            100 Some(512) 5120
            13 Some(2) 6144"#]]
        .assert_eq(&said.join("\n"));
        is_archive(&bytes).unwrap();
    }

    #[test]
    fn what_does_not_fit_into_a_block_is_said_before_it() {
        for (path, bytes) in
            [("a".repeat(100), (1 << 33) - 1), ("a".repeat(101), 1 << 33), ("ü".to_owned(), u64::MAX), ("b".into(), 0)]
        {
            let one = Item { path, bytes: Some(bytes) };
            let head = head(&one);
            let records = head.len() - BLOCK;
            let text = head[..records].get(BLOCK..).unwrap_or_default();
            let text = std::str::from_utf8(text).unwrap().trim_end_matches('\0');
            assert_eq!(item(text, &head[records..]), Some(one));
        }
    }

    #[test]
    fn each_bit_of_a_head_counts_and_so_does_each_length() {
        let bytes = written();
        let found = items(&bytes).unwrap();
        let is_content =
            |at: usize| found.iter().any(|(_, part)| (part.at..part.at + part.bytes).contains(&(at as u64)));
        for at in (0..bytes.len()).filter(|at| !is_content(*at)) {
            for bit in [0, 3, 7] {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let other = items(&changed).is_ok_and(|other| other == found);
                assert!(!other, "byte {at}, bit {bit}: it counts");
            }
        }
        for length in (0..bytes.len()).step_by(64) {
            assert!(items(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(items(&[&bytes[..], &[0]].concat()).unwrap_err().contains("1 bytes follow"));
        assert!(items(&[&bytes[..], &[0; BLOCK]].concat()).is_err(), "even if they are nothing");
        assert!(items(&[&bytes[..], &bytes[..]].concat()).is_err(), "a second archive behind it");
    }

    #[test]
    fn links_devices_and_foreign_spellings_are_refused() {
        let mut link = Vec::from(super::block("home/link", 0, b'2'));
        link[157..163].copy_from_slice(b"/etc/x");
        let with_sum = |mut block: Vec<u8>| {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            block.resize(block.len() + 2 * BLOCK, 0);
            block
        };
        assert!(items(&with_sum(Vec::from(super::block("a", 0, b'0')))).is_ok(), "the test makes good ones");
        assert!(items(&with_sum(link)).is_err());
        for kind in *b"1346SLKgxV7" {
            assert!(items(&with_sum(Vec::from(super::block("a", 0, kind)))).is_err(), "{}", char::from(kind));
        }
        // An owner, a time, a mode, a number in base 256, a size in another spelling.
        for (at, bytes) in
            [(108, &b"0000001\0"[..]), (136, b"00000000001\0"), (100, b"0000644\0"), (124, &[0x80, 0, 0]), (124, b"0 ")]
        {
            let mut block = Vec::from(super::block("a", 0, b'0'));
            block[at..at + bytes.len()].copy_from_slice(bytes);
            assert!(items(&with_sum(block)).is_err(), "{at}");
        }
        // A file that says it is larger than all there is.
        let mut block = Vec::from(super::block("a", super::MAX_SIZE, b'0'));
        block.resize(3 * BLOCK, 0);
        assert!(items(&block).unwrap_err().contains("cut off in `a`"));
    }
}
