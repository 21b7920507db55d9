//! The name under which an agent sees a tool of another server.
//!
//! ```
//! use steward_gateway::exposed_name;
//! assert_eq!(exposed_name("wiki", "read_page"), "wiki__read_page");
//! ```
//!
//! Deliberately absent: the way back. Whoever exposes a tool keeps a table, with the exposed name as its key.

use steward_seal::Digest;

/// The longest exposed name: what the APIs of models take.
pub const MAX_EXPOSED_CHARS: usize = 64;

/// How many digits of the digest tell names apart that would be one.
const SUFFIX_DIGITS: usize = 8;

/// The name under which an agent sees `tool` of `server`: `server__tool`, of `[A-Za-z0-9_-]`, at most 64 characters.
///
/// Two different pairs have different names. Where characters had to be replaced or cut, or the two parts could be split in
/// another place, `_` and 8 hexadecimal digits of the digest of the pair end the name; so do they where it looks as if they did
/// already. Among the names with digits two could be made to agree with some work (2^32), so the caller's table has the name as
/// its key and refuses the second.
pub fn exposed_name(server: &str, tool: &str) -> String {
    let plain = format!("{server}__{tool}");
    let is_plain = plain.chars().all(is_allowed)
        && plain.len() <= MAX_EXPOSED_CHARS
        && !server.is_empty()
        && !server.contains("__")
        && !server.ends_with('_')
        && !looks_suffixed(&plain);
    if is_plain {
        return plain;
    }
    // The length goes first, so that no two pairs are one text.
    let digest = Digest::of(format!("{}:{server}/{tool}", server.len()).as_bytes());
    let digits = &hex::encode(digest.as_bytes())[..SUFFIX_DIGITS];
    let kept: String = plain
        .chars()
        .take(MAX_EXPOSED_CHARS - SUFFIX_DIGITS - 1)
        .map(|c| if is_allowed(c) { c } else { '_' })
        .collect();
    format!("{kept}_{digits}")
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn looks_suffixed(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, end)| {
        end.len() == SUFFIX_DIGITS && end.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_EXPOSED_CHARS, exposed_name, is_allowed, looks_suffixed};

    #[test]
    fn names_that_would_be_one_are_told_apart() {
        let pairs = [
            ("a", "b.c"),
            ("a", "b_c"),
            ("a", "b-c"),
            ("a__b", "c"),
            ("a", "b__c"),
            ("a_", "b"),
            ("a", "_b"),
            ("a.", "b"),
            ("a", "__b"),
            ("", "a__b"),
            ("", "a"),
        ];
        for (n, (server, tool)) in pairs.iter().enumerate() {
            for (other_server, other_tool) in &pairs[n + 1..] {
                assert_ne!(exposed_name(server, tool), exposed_name(other_server, other_tool));
            }
        }
    }

    #[test]
    fn nobody_can_take_the_name_of_a_cut_one() {
        let long = exposed_name("wiki", &"x".repeat(64));
        assert!(looks_suffixed(&long));
        let (server, tool) = long.split_once("__").unwrap();
        assert_ne!(exposed_name(server, tool), long);
        assert_ne!(exposed_name("wiki", &"x".repeat(63)), exposed_name("wiki", &"x".repeat(62)));
    }

    proptest! {
        #[test]
        fn every_name_is_short_and_plain_and_its_own(
            one in ("[a_.é]{0,4}", "[b_.-]{0,4}|[b_]{60,64}|b_[0-9a-f]{8}"),
            two in ("[a_.é]{0,4}", "[b_.-]{0,4}|[b_]{60,64}|b_[0-9a-f]{8}"),
        ) {
            let name = exposed_name(&one.0, &one.1);
            prop_assert!(name.len() <= MAX_EXPOSED_CHARS && name.chars().all(is_allowed));
            prop_assert_eq!(name == exposed_name(&two.0, &two.1), one == two);
        }
    }
}
