//! The command line, as somebody types it: the real executable, on a home of its own, against a node that is up.
//!
//! Every command with its exit code and the shape of its `--json`; what becomes of wrong use, of refusals, of a node that is down.
//! One node serves each story; what a story needs it does itself.

mod acting;
mod backups;
#[path = "../common/mod.rs"]
mod common;
mod evidence;
mod hooks;
mod identity;
mod ledger;
mod operating;
mod packets;
mod people;
mod policies;
mod redacting;
mod reviews;
mod runs;
mod secrets;
mod shown;
mod starters;
mod tampering;
mod tools;
mod traces;
mod typed;
mod unprivileged;

use common::{Place, Said, Up};
use serde_json::Value;

/// Done, or true.
const DONE: i32 = 0;
/// Refused, or not true.
const REFUSED: i32 = 1;
/// Wrong use.
const MISUSED: i32 = 2;
/// The node cannot be reached.
const UNREACHABLE: i32 = 3;

/// A demo node that is up, with somebody logged in to it.
fn demo() -> (Place, Up) {
    let place = Place::new();
    let node = place.up(&["--demo"]);
    ended(DONE, &place.steward(&["login", "--label", "test"]));
    (place, node)
}

/// A command ended as it was to.
#[track_caller]
fn ended(code: i32, said: &Said) {
    assert_eq!(said.code, Some(code), "{said:#?}");
}

/// Runs a command that is to end with `code`.
#[track_caller]
fn run(place: &Place, code: i32, arguments: &[&str]) -> Said {
    let said = place.steward(arguments);
    ended(code, &said);
    said
}

/// Runs a command that is to end with `code`, and reads its JSON.
#[track_caller]
fn json(place: &Place, code: i32, arguments: &[&str]) -> Value {
    let said = run(place, code, &[arguments, &["--json"]].concat());
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:#?}"))
}

/// The names of an object's fields, in alphabetical order.
#[track_caller]
fn fields(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("{value} is an object"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The text at a place in a document (RFC 6901).
#[track_caller]
fn text<'a>(value: &'a Value, at: &str) -> &'a str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{value:#} has a text at {at}"))
}

/// The number at a place in a document.
#[track_caller]
fn number(value: &Value, at: &str) -> u64 {
    value.pointer(at).and_then(Value::as_u64).unwrap_or_else(|| panic!("{value:#} has a number at {at}"))
}

/// The list at a place in a document.
#[track_caller]
fn list<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).unwrap_or_else(|| panic!("{value:#} has a list at {at}"))
}
