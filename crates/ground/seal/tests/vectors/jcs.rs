//! The canonical form against RFC 8785.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use steward_seal::json::{self, JsonError, Limits, MAX_SAFE_INTEGER};

fn canonical_of(text: &str) -> String {
    let value: Value = json::read(text.as_bytes(), Limits::BODY).expect("strict JSON");
    String::from_utf8(json::canonical(&value).expect("it has a canonical form")).expect("canonical JSON is UTF-8")
}

/// RFC 8785, appendix B: the bits of a double and how it is written; and whether we take it.
///
/// What is not taken are whole numbers from 2^53 to below 1e21, which the RFC writes as integers that readers disagree about.
const NUMBERS: [(u64, &str, bool); 24] = [
    (0x0000_0000_0000_0000, "0", true),
    (0x8000_0000_0000_0000, "0", true),
    (0x0000_0000_0000_0001, "5e-324", true),
    (0x8000_0000_0000_0001, "-5e-324", true),
    (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308", true),
    (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308", true),
    (0x4340_0000_0000_0000, "9007199254740992", false),
    (0xc340_0000_0000_0000, "-9007199254740992", false),
    (0x4430_0000_0000_0000, "295147905179352830000", false),
    (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22", true),
    (0x44b5_2d02_c7e1_4af6, "1e+23", true),
    (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23", true),
    (0x444b_1ae4_d6e2_ef4e, "999999999999999700000", false),
    (0x444b_1ae4_d6e2_ef4f, "999999999999999900000", false),
    (0x444b_1ae4_d6e2_ef50, "1e+21", true),
    (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7", true),
    (0x3eb0_c6f7_a0b5_ed8d, "0.000001", true),
    (0x41b3_de43_5555_5553, "333333333.3333332", true),
    (0x41b3_de43_5555_5554, "333333333.33333325", true),
    (0x41b3_de43_5555_5555, "333333333.3333333", true),
    (0x41b3_de43_5555_5556, "333333333.3333334", true),
    (0x41b3_de43_5555_5557, "333333333.33333343", true),
    (0xbecb_f647_612f_3696, "-0.0000033333333333333333", true),
    (0x4314_3ff3_c1cb_0959, "1424953923781206.2", true),
];

#[test]
fn appendix_b_numbers() {
    for (bits, text, taken) in NUMBERS {
        let double = f64::from_bits(bits);
        assert_eq!(
            serde_json_canonicalizer::to_string(&double).expect("finite"),
            text,
            "the library writes the RFC's form"
        );
        if taken {
            assert_eq!(json::canonical(&double).expect("taken"), text.as_bytes(), "{bits:016x}");
            assert_eq!(canonical_of(text), text);
            let again: f64 = json::read(text.as_bytes(), Limits::BODY).expect("taken");
            assert_eq!(again.to_bits(), if text == "0" { 0 } else { bits }, "it is read to the last bit");
        } else {
            assert!(matches!(json::canonical(&double), Err(JsonError::NotCanonical(_))), "{text}");
            assert!(json::value(text.as_bytes(), Limits::BODY).is_err(), "{text}");
            assert!(json::value(format!("{text}.0").as_bytes(), Limits::BODY).is_err(), "{text}.0");
        }
    }
    for bits in [0x7fff_ffff_ffff_ffff_u64, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000] {
        assert!(matches!(json::canonical(&f64::from_bits(bits)), Err(JsonError::NotCanonical(_))));
    }
}

/// RFC 8785, section 3.2.2 and what it becomes in section 3.2.3, as bytes in section 3.2.4.
#[test]
fn the_example_of_the_text() {
    let written = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":""#,
        "\u{20ac}",
        r#"$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(canonical_of(written), expected);
}

/// RFC 8785, section 3.2.3: keys are sorted by UTF-16 code units, in which an astral character precedes U+FB33.
#[test]
fn keys_are_sorted_by_utf_16() {
    let written = r#"{
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let expected = concat!(
        r#"{"\r":"Carriage Return","1":"One","#,
        "\"\u{80}\":\"Control\",",
        "\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",",
        "\"\u{20ac}\":\"Euro Sign\",",
        "\"\u{1f600}\":\"Emoji: Grinning Face\",",
        "\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    );
    assert_eq!(canonical_of(written), expected);
}

/// Sorting knows no language: `é` comes after `z`, as no French dictionary has it.
#[test]
fn sorting_ignores_languages() {
    let written = r#"{"pêche": 1, "péché": 2, "peach": 3, "sin": 4, "peche": 5, "Péché": 6}"#;
    assert_eq!(canonical_of(written), r#"{"Péché":6,"peach":3,"peche":5,"péché":2,"pêche":1,"sin":4}"#);
}

#[test]
fn structures() {
    for (written, expected) in [
        ("[]", "[]"),
        ("{}", "{}"),
        (" [ ] ", "[]"),
        ("\t{ \"a\" :\r\n[ { } , [ ] , \"\" ] }\n", r#"{"a":[{},[],""]}"#),
        (r#"{"":0,"\u0000":1," ":2}"#, r#"{"":0,"\u0000":1," ":2}"#),
        (r#"{"b":{"z":1,"y":{"x":[3,2,1]}},"a":null}"#, r#"{"a":null,"b":{"y":{"x":[3,2,1]},"z":1}}"#),
        (r#"{"10":1,"9":2,"1":3}"#, r#"{"1":3,"10":1,"9":2}"#),
        (r#"{"aa":1,"a":2,"A":3}"#, r#"{"A":3,"a":2,"aa":1}"#),
        (r#"[56,{"d":true,"10":null,"1":[]}]"#, r#"[56,{"1":[],"10":null,"d":true}]"#),
        ("\"\\u007f\\u2028\\u2029<>&'\"", "\"\u{7f}\u{2028}\u{2029}<>&'\""),
        (r#""\b\t\n\f\r\u0008\u0009\u000a\u000c\u000d\u0001\u001f""#, r#""\b\t\n\f\r\b\t\n\f\r\u0001\u001f""#),
        ("\"e\u{301} \u{e9}\"", "\"e\u{301} \u{e9}\""), // no normalisation of Unicode
        ("-0", "0"),
        ("-0.0", "0"),
        ("-0e5", "0"),
        ("1.0", "1"),
        ("100E-2", "1"),
        ("1e15", "1000000000000000"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991", "-9007199254740991"),
        ("9007199254740991.0", "9007199254740991"),
        ("1e21", "1e+21"),
        ("-1e21", "-1e+21"),
        ("123456789012345678901234567890.0", "1.2345678901234568e+29"),
        ("1e-7", "1e-7"),
        ("0.00001e-320", "0"), // the nearest double
    ] {
        assert_eq!(canonical_of(written), expected, "{written}");
        assert_eq!(canonical_of(expected), expected, "{expected}");
    }
}

/// Values that a program made, which never were text.
#[test]
fn what_has_no_canonical_form_is_refused() {
    #[derive(Serialize)]
    enum Shape {
        New(f64),
        Tuple(u8, f32),
        Struct { side: f64 },
    }
    #[derive(Serialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    #[track_caller]
    fn refused(value: &impl Serialize) {
        assert!(matches!(json::canonical(value), Err(JsonError::NotCanonical(_))), "{:?}", json::canonical(value));
    }
    let nan = f64::NAN;
    refused(&nan);
    refused(&f32::INFINITY);
    refused(&[1.0, nan]);
    refused(&Some(nan));
    refused(&(1, "a", nan));
    refused(&BTreeMap::from([("a", [f64::NEG_INFINITY])]));
    refused(&Shape::New(nan));
    refused(&Shape::Tuple(1, f32::NAN));
    refused(&Shape::Struct { side: nan });
    refused(&(MAX_SAFE_INTEGER + 1));
    refused(&u64::MAX);
    refused(&i64::MIN);
    refused(&-(1_i64 << 53));
    refused(&u128::MAX);
    refused(&i128::MIN);
    refused(&9_007_199_254_740_992.0);
    refused(&1e16);
    refused(&-1e20);
    refused(&json!({"a": [{"b": u64::MAX}]}));
    refused(&BTreeMap::from([(u64::MAX, "a key is written as a double")]));
    refused(&BTreeMap::from([(vec![1], "a key is text")]));
    refused(&Flat { a: 1, rest: BTreeMap::from([("a".to_owned(), 2)]) });

    let good = Flat { a: 1, rest: BTreeMap::from([("b".to_owned(), 2)]) };
    assert_eq!(json::canonical(&good).expect("each key once"), br#"{"a":1,"b":2}"#);
    assert_eq!(json::canonical(&Shape::Tuple(1, 0.5)).expect("exact"), br#"{"Tuple":[1,0.5]}"#);
    assert_eq!(json::canonical(&(-(MAX_SAFE_INTEGER as i64))).expect("exact"), b"-9007199254740991");
    assert_eq!(json::canonical(&BTreeMap::from([(2, "b"), (10, "a")])).expect("exact"), br#"{"10":"a","2":"b"}"#);
    assert_eq!(json::canonical("text without a size").expect("text"), br#""text without a size""#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-(1_i64 << 54)..(1_i64 << 54)).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e22..1e22).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What has a canonical form is read again as the same value and has the same form; and what the reader takes has one.
    #[test]
    fn reader_and_canonical_form_agree(value in any_json()) {
        let text = serde_json::to_vec(&value).expect("any value can be written");
        match json::canonical(&value) {
            Ok(canonical) => {
                let again = json::value(&canonical, Limits::BODY).expect("the canonical form is strict JSON");
                prop_assert_eq!(json::canonical(&again).expect("it has a form"), canonical.clone());
                prop_assert!(canonical.len() <= text.len() + 16 * text.len());
                let read = json::value(&text, Limits::BODY).expect("what has a canonical form is read");
                prop_assert_eq!(json::canonical(&read).expect("it has a form"), canonical);
            }
            Err(_) => prop_assert!(json::value(&text, Limits::BODY).is_err()),
        }
    }

    #[test]
    fn every_double_is_read_to_the_last_bit(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        if let Ok(text) = json::canonical(&double) {
            let again: f64 = json::read(&text, Limits::BODY).expect("canonical");
            prop_assert_eq!(again.to_bits(), if double == 0.0 { 0 } else { bits });
        }
    }

    /// Keys sort as their UTF-16 does, whatever order the program wrote them in.
    #[test]
    fn keys_sort_by_utf_16(keys in prop::collection::hash_set("[a\u{e9}\u{d7ff}\u{e000}\u{fb33}\u{ffff}\u{10000}\u{1f600}]{0,4}", 0..12)) {
        let map: serde_json::Map<String, Value> = keys.iter().map(|k| (k.clone(), Value::from(1))).collect();
        let mut sorted: Vec<&String> = keys.iter().collect();
        sorted.sort_by_key(|k| k.encode_utf16().collect::<Vec<u16>>());
        let expected: Vec<String> =
            sorted.iter().map(|k| format!("{}:1", serde_json::to_string(k).expect("text"))).collect();
        prop_assert_eq!(json::canonical(&map).expect("text keys"), format!("{{{}}}", expected.join(",")).into_bytes());
    }
}
