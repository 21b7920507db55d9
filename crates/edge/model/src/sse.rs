//! Cuts a stream of server-sent events into events, with no more memory than one event may have (WHATWG HTML, 9.2).
//!
//! ```text
//! let mut events = Sse::default();
//! for event in events.push(bytes)? { /* event.data */ }
//! ```
//!
//! An event that the stream ends within is none, as the standard says.
//!
//! Deliberately absent: reading, `id` and `retry`: nothing is asked for again.

use std::mem;

/// The largest event in bytes, lines that are begun included: a call of a tool with a whole file in it has room.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its data, lines joined by line breaks.
    pub(crate) data: String,
}

/// Why the stream is not read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEvents {
    /// An event is larger than [`MAX_EVENT_BYTES`].
    TooLarge,
    /// It is not UTF-8.
    NotText,
}

/// What was not a whole event yet.
#[derive(Debug, Default)]
pub(crate) struct Sse {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return, which ended a line: a line feed after it belongs to it.
    returned: bool,
    /// Something came already, so that there is no byte order mark any more.
    begun: bool,
}

impl Sse {
    /// The events that `bytes` end. After an error there are none.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, NoEvents> {
        let mut found = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if mem::take(&mut self.returned) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(at) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
                self.grow(rest)?;
                break;
            };
            self.grow(&rest[..at])?;
            self.returned = rest[at] == b'\r';
            rest = &rest[at + 1..];
            found.extend(self.end_line()?);
        }
        Ok(found)
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), NoEvents> {
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held + bytes.len() > MAX_EVENT_BYTES {
            return Err(NoEvents::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, NoEvents> {
        let line = String::from_utf8(mem::take(&mut self.line)).map_err(|_| NoEvents::NotText)?;
        let line =
            if mem::replace(&mut self.begun, true) { &line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        if line.is_empty() {
            return Ok(self.data.take().map(|data| Event { data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Event, MAX_EVENT_BYTES, NoEvents, Sse};

    /// All at once, and simple.
    fn naive(bytes: &[u8]) -> Option<Vec<String>> {
        let text = std::str::from_utf8(bytes).ok()?.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (whole, _begun) = text.rsplit_once("\n\n").map_or(("", ""), |(whole, rest)| (whole, rest));
        let data = |event: &str| {
            let lines = event.lines().filter_map(|line| match line.split_once(':') {
                Some(("data", value)) => Some(value.strip_prefix(' ').unwrap_or(value)),
                None if line == "data" => Some(""),
                _ => None,
            });
            let lines: Vec<&str> = lines.collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        Some(whole.split("\n\n").filter_map(data).collect())
    }

    fn cut(chunks: &[Vec<u8>]) -> Option<Vec<String>> {
        let mut sse = Sse::default();
        let mut found = Vec::new();
        for chunk in chunks {
            match sse.push(chunk) {
                Ok(events) => found.extend(events.into_iter().map(|event| event.data)),
                Err(NoEvents::NotText) => return None,
                Err(NoEvents::TooLarge) => panic!("nothing here is large"),
            }
        }
        Some(found)
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_it_arrives(
            pieces in prop::collection::vec(
                prop::sample::select(&["data:", "data: ", "data", "a", ": x", "event: e", "ä", "🦀", "\n", "\n", "\n", "\r", "\r\n", " ", ":"][..]),
                0..40,
            ),
            marked in any::<bool>(),
            sizes in prop::collection::vec(1_usize..7, 200),
        ) {
            let text = format!("{}{}\n", if marked { "\u{feff}" } else { "" }, pieces.concat());
            let (mut rest, mut chunks) = (text.as_bytes(), Vec::new());
            for size in sizes.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, more) = rest.split_at(size.min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = more;
            }
            assert_eq!(cut(&chunks), naive(text.as_bytes()), "{text:?}");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sse::default().push(&bytes);
        }
    }

    #[test]
    fn an_event_without_end_takes_no_memory() {
        for piece in ["data: x\n", "x", "data: xxxxxxxxx", "data:\n"] {
            let mut sse = Sse::default();
            let bytes = piece.repeat(4096);
            let refused = (0..10_000).find_map(|_| sse.push(bytes.as_bytes()).err());
            assert_eq!(refused, Some(NoEvents::TooLarge), "{piece:?}");
            assert!(sse.line.len() + sse.data.map_or(0, |data| data.len()) <= MAX_EVENT_BYTES + 1);
        }
    }

    #[test]
    fn comments_are_no_events() {
        let mut sse = Sse::default();
        assert_eq!(
            sse.push(b": waiting\n\nevent: ping\n\ndata: a\ndata: b\n\n"),
            Ok(vec![Event { data: "a\nb".to_owned() }])
        );
        assert_eq!(sse.push(b"data: \xff\n"), Err(NoEvents::NotText));
    }
}
