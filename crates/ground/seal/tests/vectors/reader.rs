//! What the strict reader refuses, and where it says that it is.

use serde_json::{Value, json};
use steward_seal::json::{self, JsonError, Limits};

#[track_caller]
fn refusal(text: impl AsRef<[u8]>) -> String {
    match json::value(text.as_ref(), Limits::BODY) {
        Ok(value) => panic!("it was read as {value}"),
        Err(refused) => refused.to_string(),
    }
}

#[test]
fn duplicate_keys() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u0061":1,"\u0061":2}"#,
        r#"{"/":1,"\/":2}"#,
        r#"{"\n":1,"\u000a":2}"#,
        r#"{"😀":1,"\ud83d\ude00":2}"#,
        r#"{"":1,"":2}"#,
        r#"[{"x":{"b":0,"a":{},"b":0}}]"#,
    ] {
        assert!(refusal(text).contains("is written twice"), "{text}");
    }
    // NFC and NFD are two keys: JSON compares code units.
    assert!(json::value("{\"\u{e9}\":1,\"e\u{301}\":2}".as_bytes(), Limits::BODY).is_ok());
    assert!(json::value(br#"[{"a":1},{"a":2,"b":{"a":3}}]"#, Limits::BODY).is_ok());
}

/// A refusal of a key shows no tricks.
#[test]
fn messages_are_printable() {
    let message = refusal("{\"\u{202e}\\u0000\":1,\"\u{202e}\\u0000\":1}");
    assert!(message.is_ascii() && !message.contains('\0'), "{message:?}");
}

#[test]
fn numbers() {
    for text in [
        "9007199254740992",
        "-9007199254740992",
        "9007199254740993",
        "9007199254740992.0",
        "9007199254740993.0",
        "-9007199254740993.0",
        "9007199254740991.5", // the nearest double is 2^53
        "1e16",
        "1E+16",
        "-1e16",
        "1e20",
        "99999999999999999999",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "1000000000000000000000", // 1e21, but written as an integer
        "123456789012345678901234567890",
        "-123456789012345678901234567890",
        "{\"a\":[1,\"2\",3,{\"b\":1000000000000000000000}]}",
        "[\"\\\"\",1000000000000000000000]",
        "[\"\\\\\",1000000000000000000000]",
    ] {
        assert!(refusal(text).contains("is beyond 2^53"), "{text}: {}", refusal(text));
    }
    for text in [
        "1e309",
        "-1e309",
        "1e999999",
        "NaN",
        "Infinity",
        "-Infinity",
        "+1",
        "01",
        "-01",
        ".5",
        "5.",
        "1e",
        "1e+",
        "0x10",
        "--1",
        "-",
        "1_000",
    ] {
        refusal(text);
    }
    for text in [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "9007199254740991",
        "-9007199254740991",
        "9007199254740991.0",
        "90071992547409910e-1",
        "1e15",
        "1e21",
        "1.0E+21",
        "1e300",
        "4503599627370496.5",
        "0.1",
        "5e-324",
        "1e-400",
        "\"123456789012345678901234567890\"",
        "{\"123456789012345678901234567890\":0}",
        "\"\\\"123456789012345678901234567890\"",
        "\"\\\\\\\"1000000000000000000000\"",
        "0.12345678901234567890123456789",
        "1234567890.12345678901234567890",
    ] {
        assert!(json::value(text.as_bytes(), Limits::BODY).is_ok(), "{text}: {}", refusal(text));
    }
}

#[test]
fn texts() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800\u0041""#,
        r#""\udc00\ud800""#,
        r#""\ud83d"#,
        r#"{"\ud800":1}"#,
        r#""\u00g0""#,
        r#""\u12""#,
        r#""\x41""#,
        r#""\'""#,
        "\"a\nb\"",
        "\"a\tb\"",
        "\"a\0b\"",
        "\"a",
        "'a'",
        "",
        " ",
        "\u{feff}{}",
        "{}\u{feff}",
        "{} {}",
        "{}x",
        "{},",
        "1 2",
        "null\0",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "nul",
        "True",
        "// c\n1",
        "/* c */1",
        "\u{a0}1",
        "\u{b}1",
        "]",
        "}",
        "[}",
    ] {
        refusal(text);
    }
    for bytes in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\"\xc0\x80\"", b"\xef\xbb\xbf1", b"\xff\xfe1\0"]
    {
        refusal(bytes);
    }
    assert_eq!(json::value(br#""\ud83d\ude00\u0000\/""#, Limits::BODY).ok(), Some(json!("😀\0/")));
}

#[test]
fn limits() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for text in [nested(32), objects(32), format!("[{},{}]", nested(31), nested(31))] {
        assert!(json::value(text.as_bytes(), Limits::BODY).is_ok());
    }
    for text in [nested(33), objects(33), nested(100_000), "[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        assert!(refusal(&text).contains("levels of nesting"), "{}", refusal(&text));
    }
    // A limit of depth beyond what the parser itself allows is cut there; the stack is safe either way.
    assert!(json::value("[".repeat(1_000_000).as_bytes(), Limits { bytes: 1 << 20, depth: usize::MAX }).is_err());

    let limits = Limits { bytes: 4, depth: 1 };
    assert!(json::value(b"1234", limits).is_ok());
    let refused = json::value(b"12345", limits).expect_err("too large");
    assert!(matches!(refused, JsonError::TooLarge { found: 5, limit: 4 }));
    assert!(json::value(b"1   ", limits).is_ok() && json::value(b"1    ", limits).is_err(), "white space counts");
    assert!(json::value(b"[]", limits).is_ok() && json::value(b"[[]]", limits).is_err());
    assert!(json::value(b"1", Limits { bytes: 1, depth: 0 }).is_ok());
}

#[test]
fn the_place_is_named() {
    for (text, line, column) in [
        ("{\"a\":1,\n \"a\":2}", 2, 4),
        ("[1,\n2,\n  x]", 3, 3),
        ("[1,\n2,\n  1000000000000000000000]", 3, 3),
        ("1000000000000000000000", 1, 1),
        ("{} x", 1, 4),
        ("", 1, 1),
    ] {
        match json::value(text.as_bytes(), Limits::BODY) {
            Err(JsonError::Malformed { line: l, column: c, .. }) => assert_eq!((l, c), (line, column), "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_refused_shape_is_printable_too() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        #[serde(rename = "größe")]
        _size: u8,
    }
    let refused = json::read::<Known>("{\"a\u{202e}\\u001b\":1}".as_bytes(), Limits::BODY).expect_err("unknown field");
    assert_eq!(refused.to_string(), r"unknown field `a\u{202e}\u{1b}`, expected `größe`");
    assert!(json::read::<Known>("{\"größe\":1}".as_bytes(), Limits::BODY).is_ok());
}

/// serde_json reads a text under some keys of its own as JSON, when a crate anywhere in the build asks for it. Duplicate
/// keys, long integers and depth would come in by that door.
#[test]
fn private_keys_of_the_library_are_refused() {
    for text in [
        r#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#,
        r#"{"a":[{"$serde_json::private::Number":"123456789012345678901234567890"}]}"#,
        r#"{"\u0024serde_json::private::RawValue":"1"}"#,
    ] {
        assert!(refusal(text).contains("has a meaning inside this node"), "{text}");
        assert!(json::read::<Value>(text.as_bytes(), Limits::BODY).is_err());
    }
}
