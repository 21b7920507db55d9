//! Every parser of outside bytes, with what must hold of it.
//!
//! A target takes bytes, asserts, and says whether the parser accepted them. The same targets run two ways:
//!
//! ```text
//! cargo run --release --manifest-path fuzz/Cargo.toml --bin smoke -- --count 20000 --seed 1
//! STEWARD_FUZZ=json cargo +nightly fuzz run --features libfuzzer named fuzz/corpus/json fuzz/seeds/json
//! ```
//!
//! The first changes the inputs of `fuzz/seeds/<target>/` at random and says its seed; it is part of the daily test. The
//! second is libFuzzer, guided by coverage. A new parser is a function in the module of its crate, a line in [`TARGETS`],
//! and a folder of seeds of which at least one is accepted.
//!
//! What is asserted: nothing panics; what is accepted is written again as the same bytes, or as bytes that mean the same;
//! and refusals can be shown, as they are printable.

#![forbid(unsafe_code)]

mod backup;
mod gateway;
mod governor;
mod ground;
mod identity;
mod ledger;
mod model;
mod policy;
mod worker;

/// What a target is: whether the parser accepted the bytes.
pub type Target = fn(&[u8]) -> bool;

/// All targets, by the names of their folders of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("action_name", ground::action_name),
    ("canonical", ground::canonical),
    ("digest", ground::digest),
    ("dsse", ground::dsse),
    ("id", ground::id),
    ("json", ground::json),
    ("name", ground::name),
    ("normalise", ground::normalise),
    ("note", ground::note),
    ("private_key_pem", ground::private_key_pem),
    ("public_key_pem", ground::public_key_pem),
    ("timestamp", ground::timestamp),
    ("vkey", ground::vkey),
    ("body", ledger::body),
    ("bundle", ledger::bundle),
    ("entries_path", ledger::entries_path),
    ("leaf", ledger::leaf),
    ("tile_path", ledger::tile_path),
    ("tlog_proof", ledger::tlog_proof),
    ("tree_head", ledger::tree_head),
    ("packet", governor::packet),
    ("packet_template", governor::packet_template),
    ("pattern", governor::pattern),
    ("plan", governor::plan),
    ("policy_sources", policy::policy_sources),
    ("policy_table", policy::policy_table),
    ("policy_file", policy::policy_file),
    ("backup_file", backup::backup_file),
    ("grant_path", worker::grant_path),
    ("tool_definition", gateway::tool_definition),
    ("tool_result", gateway::tool_result),
    ("token", identity::token),
    ("key_set", identity::key_set),
    ("chat_request", model::chat_request),
    ("embed_request", model::embed_request),
];

/// Targets of which one input costs as much as a hundred of the others: the smoke run gives them so many fewer.
pub const DEAR: &[&str] = &["policy_file", "policy_table"];

/// Asserts of a text form that has exactly one spelling: what is read is written as it was.
fn one_spelling<T, E: std::fmt::Display>(
    bytes: &[u8],
    read: impl Fn(&str) -> Result<T, E>,
    write: impl Fn(&T) -> String,
) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match read(text) {
        Ok(value) => {
            assert_eq!(write(&value), text, "one value, one spelling");
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

/// The same, of a refusal that may have several lines and quote what was written.
fn is_printable_on_lines(refused: &impl std::fmt::Display) {
    let message = refused.to_string();
    assert!(!message.contains('\u{1b}'), "the refusal {message:?} cannot be shown");
}

/// Asserts that a refusal can be shown to a person without a trick in it.
fn is_printable(refused: &impl std::fmt::Display) {
    let message = refused.to_string();
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!message.contains(hidden), "the refusal {message:?} cannot be shown");
}
