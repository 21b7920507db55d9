//! Parsers of `policy`.

use steward_policy::{Engine, Mistake, Source, Sources, Table};

use crate::is_printable_on_lines;

/// Kept sources are read in the one form that they are written in.
pub(crate) fn policy_sources(bytes: &[u8]) -> bool {
    match Sources::decode(bytes) {
        Ok(sources) => {
            assert_eq!(sources.encode(), bytes, "one policy, one spelling");
            true
        }
        Err(_) => false,
    }
}

/// A table of expected decisions is read, or all its mistakes are shown where they are.
pub(crate) fn policy_table(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Table::parse(text) {
        Ok(_) => true,
        Err(mistakes) => {
            are_shown(&mistakes, text);
            false
        }
    }
}

/// A policy file is compiled against the schema that ships, or all its mistakes are shown where they are.
pub(crate) fn policy_file(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let file = Source { name: "own.cedar".to_owned(), text: text.to_owned() };
    let sources = Sources { schema: Sources::shipped().schema, policies: vec![file] };
    match Engine::compile(&sources) {
        Ok(engine) => {
            assert_eq!(engine.version(), sources.version());
            true
        }
        Err(mistakes) => {
            are_shown(&mistakes, text);
            false
        }
    }
}

fn are_shown(mistakes: &[Mistake], text: &str) {
    assert!(!mistakes.is_empty(), "a refusal has a reason");
    // A text that ends in a line break has a last, empty line.
    let lines = text.split('\n').count();
    for mistake in mistakes {
        assert!(mistake.line >= 1 && mistake.column >= 1 && mistake.line <= lines, "{mistake} of {lines} lines");
        is_printable_on_lines(mistake);
    }
}
