//! Cuts what an agent writes into lines, with no more memory than one line may have.
//!
//! ```text
//! let mut lines = Lines::default();
//! for line in lines.push(bytes) { /* … */ }
//! if let Some(last) = lines.end() { /* without a line break at its end */ }
//! ```
//!
//! Deliberately absent: reading. It knows bytes and their order.

use std::mem;

use crate::session::{Line, MAX_LINE_BYTES};

/// What was not a whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// The line was too long, and has been told: what follows of it is dropped.
    dropping: bool,
}

impl Lines {
    /// The lines that `bytes` end.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut found = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if !self.dropping && self.begun.len() + text.len() > MAX_LINE_BYTES {
                self.begun = Vec::new();
                self.dropping = true;
                found.push(Line::TooLong);
            }
            if !self.dropping {
                self.begun.extend_from_slice(text);
            }
            if ends && !mem::take(&mut self.dropping) {
                found.push(line(mem::take(&mut self.begun)));
            }
        }
        found
    }

    /// What was begun and never ended.
    pub(crate) fn end(&mut self) -> Option<Line> {
        let begun = mem::take(&mut self.begun);
        (!begun.is_empty()).then(|| line(begun))
    }
}

fn line(bytes: Vec<u8>) -> Line {
    String::from_utf8(bytes).map_or(Line::NotText, Line::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Line, Lines, MAX_LINE_BYTES};

    /// All at once, and simple.
    fn naive(bytes: &[u8]) -> Vec<Line> {
        let mut pieces: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        if pieces.last().is_some_and(|last| last.is_empty()) {
            pieces.pop();
        }
        pieces
            .into_iter()
            .map(|piece| match str::from_utf8(piece) {
                _ if piece.len() > MAX_LINE_BYTES => Line::TooLong,
                Ok(text) => Line::Text(text.to_owned()),
                Err(_) => Line::NotText,
            })
            .collect()
    }

    fn cut(chunks: &[Vec<u8>]) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut found: Vec<Line> = chunks.iter().flat_map(|chunk| lines.push(chunk)).collect();
        found.extend(lines.end());
        found
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_it_arrives(
            chunks in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab\n\n\xff\xc3\xa4"[..]), 0..20), 0..10),
            long in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut chunks = chunks;
            // A piece around the limit, somewhere.
            chunks.insert(at.index(chunks.len() + 1), vec![b'x'; MAX_LINE_BYTES - 2 + long.index(5)]);
            assert_eq!(cut(&chunks), naive(&chunks.concat()));
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(&vec![b'x'; MAX_LINE_BYTES + 1]), [Line::TooLong]);
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; 4096]).is_empty());
        }
        assert_eq!(lines.begun.capacity(), 0);
        assert_eq!(lines.push(b"\nnext\n"), [Line::Text("next".to_owned())]);
    }
}
