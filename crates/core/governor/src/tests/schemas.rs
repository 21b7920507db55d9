//! The schemas that ship say what the types are. Held against them by a small reader of JSON Schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    golden::{full_evidence, full_handoff},
    sample::{PACKET, home},
};
use crate::{
    EVIDENCE_SCHEMA, HANDOFF_SCHEMA, PACKET_SCHEMA,
    ending::Reason,
    evidence::EvidencePackage,
    handoff::{Handoff, MAX_HANDED_ARTIFACTS, MAX_TRIED},
    packet::{MAX_ERROR_LIMIT, Packet, Then, When},
    packet_text::{MAX_ARGUMENTS, MAX_ITEMS, MAX_PATTERNS},
    pattern::MAX_PATTERN_BYTES,
    phase::Phase,
};

/// The words of JSON Schema that our schemas use; `pattern` and `format` are told but not tried.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let known = [
        "$schema",
        "$id",
        "$defs",
        "$ref",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "items",
        "default",
        "additionalProperties",
        "enum",
        "const",
        "oneOf",
        "anyOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "pattern",
        "format",
    ];
    let rules = schema.as_object().expect("a schema is an object");
    rules.iter().all(|(word, rule)| {
        assert!(known.contains(&word.as_str()), "`{word}` is not known here");
        let number = || rule.as_u64().expect("a whole number");
        let one = |schemas: &Value| schemas.as_array().unwrap().iter().filter(|s| accepts(root, s, value)).count();
        match word.as_str() {
            "$ref" => {
                let named = rule.as_str().and_then(|r| r.strip_prefix('#')).expect("a reference within the schema");
                accepts(root, root.pointer(named).unwrap_or_else(|| panic!("{named} is there")), value)
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_u64() || value.is_i64(),
                "null" => value.is_null(),
                other => panic!("{other}"),
            },
            "properties" => value
                .as_object()
                .is_none_or(|map| map.iter().all(|(key, inner)| rule.get(key).is_none_or(|s| accepts(root, s, inner)))),
            "required" => value
                .as_object()
                .is_none_or(|map| rule.as_array().unwrap().iter().all(|name| map.contains_key(name.as_str().unwrap()))),
            "additionalProperties" => {
                assert_eq!(rule, &json!(false));
                value.as_object().is_none_or(|map| map.keys().all(|key| rules["properties"].get(key).is_some()))
            }
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(root, rule, item))),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "oneOf" => one(rule) == 1,
            "anyOf" => one(rule) > 0,
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= number()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= number()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= number()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= number()),
            "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|n| n <= rule.as_i64().unwrap()),
            _ => true,
        }
    })
}

/// Every pointer to a value within a value, itself included.
fn pointers(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| pointers(inner, format!("{at}/{key}"), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| pointers(inner, format!("{at}/{i}"), out))
        }
        _ => {}
    }
    out.push(at);
}

/// The sample, the sample without each of its fields in turn, with one more field, and with something else in each place: schema and
/// reader say the same of all of them.
fn agree(schema: &str, sample: &Value, reads: impl Fn(&Value) -> bool) {
    let schema: Value = serde_json::from_str(schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let same = |value: &Value, told: &str| {
        assert_eq!(accepts(&schema, &schema, value), reads(value), "{told}: {value}");
    };
    assert!(accepts(&schema, &schema, sample) && reads(sample), "the sample itself");
    let mut all = Vec::new();
    pointers(sample, String::new(), &mut all);
    for pointer in &all {
        if let Some(map) = sample.pointer(pointer).and_then(Value::as_object) {
            for key in map.keys() {
                let mut changed = sample.clone();
                changed.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(key);
                same(&changed, &format!("without {pointer}/{key}"));
            }
            let mut changed = sample.clone();
            changed.pointer_mut(pointer).unwrap()["more"] = json!(1);
            same(&changed, &format!("more in {pointer}"));
        }
        for other in [json!(null), json!([]), json!({}), json!(-1), json!(false), json!("")] {
            // A text may be empty in what we write, and a list may in what we read; that is for the table of packets.
            let place = sample.pointer(pointer).unwrap();
            if place.is_string() && other.is_string() || place.is_array() && other.is_array() {
                continue;
            }
            let mut changed = sample.clone();
            *changed.pointer_mut(pointer).unwrap() = other.clone();
            same(&changed, &format!("{other} at {pointer}"));
        }
    }
}

#[test]
fn the_packet_schema_is_the_reader() {
    let sample = serde_json::from_str(PACKET).unwrap();
    agree(PACKET_SCHEMA, &sample, |value| Packet::read(value.to_string().as_bytes(), &home()).is_ok());
}

#[test]
fn the_handoff_schema_is_the_type() {
    let sample = serde_json::to_value(full_handoff()).unwrap();
    let mut full = sample;
    full["revoked"] = json!(true);
    agree(HANDOFF_SCHEMA, &full, |value| {
        // `revoked` is always true, and an error that is there is a text; the type is wider there, and only writes.
        let said = value["revoked"] == json!(true)
            && value["what_was_tried"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|tried| tried.get("error") != Some(&json!(null)));
        said && serde_json::from_value::<Handoff>(value.clone()).is_ok()
    });
}

#[test]
fn the_evidence_schema_is_the_type() {
    let sample = serde_json::to_value(full_evidence()).unwrap();
    let nullable = |value: &Value| {
        // An option that is left out is read as none; we always write it.
        value.get("plan").is_some()
            && value["outputs"].as_array().into_iter().flatten().all(|output| output.get("digest").is_some())
    };
    agree(EVIDENCE_SCHEMA, &sample, |value| {
        nullable(value) && serde_json::from_value::<EvidencePackage>(value.clone()).is_ok()
    });
}

#[test]
fn the_schemas_have_all_words_and_limits() {
    let packet: Value = serde_json::from_str(PACKET_SCHEMA).unwrap();
    let handoff: Value = serde_json::from_str(HANDOFF_SCHEMA).unwrap();
    let words = |schema: &Value, pointer: &str| -> BTreeSet<String> {
        let found = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).as_array().unwrap();
        found.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let all = |words: &[&str]| -> BTreeSet<String> { words.iter().map(|w| (*w).to_owned()).collect() };
    let rule = "/$defs/escalation_rule/properties";
    let whens: Vec<&str> = When::ALL.iter().map(|w| w.as_str()).collect();
    assert_eq!(words(&packet, &format!("{rule}/when/enum")), all(&whens));
    let thens: Vec<&str> = Then::ALL.iter().map(|w| w.as_str()).collect();
    assert_eq!(words(&packet, &format!("{rule}/then/enum")), all(&thens));
    let phases: Vec<&str> = Phase::ALL.iter().map(|w| w.as_str()).collect();
    assert_eq!(words(&handoff, "/properties/last_known_state/properties/phase/enum"), all(&phases));
    let reasons: Vec<&str> = Reason::ALL.iter().map(|w| w.as_str()).collect();
    assert_eq!(words(&handoff, "/properties/revocation_reason/properties/type/enum"), all(&reasons));
    for (schema, pointer, limit) in [
        (&packet, "/$defs/constraints/properties/scope/maxItems", MAX_PATTERNS),
        (&packet, "/$defs/constraints/properties/forbidden/maxItems", MAX_PATTERNS),
        (&packet, "/$defs/constraints/properties/required_steps/maxItems", MAX_ITEMS),
        (&packet, "/properties/deliverables/maxItems", MAX_ITEMS),
        (&packet, "/properties/success_criteria/maxItems", MAX_ITEMS),
        (&packet, "/properties/escalation_rules/maxItems", When::ALL.len()),
        (&packet, "/$defs/criterion/oneOf/1/properties/argv/maxItems", MAX_ARGUMENTS),
        (&packet, "/$defs/pattern/maxLength", MAX_PATTERN_BYTES),
        (&packet, "/$defs/error_budget/properties/max_total_errors/maximum", MAX_ERROR_LIMIT as usize),
        (&packet, "/$defs/error_budget/properties/max_total_errors/default", 8),
        (&packet, "/$defs/error_budget/properties/max_same_error_repeats/default", 2),
        (&packet, "/$defs/error_budget/properties/max_procedure_violations/default", 1),
        (&handoff, "/properties/what_was_tried/maxItems", MAX_TRIED),
        (&handoff, "/properties/artifacts/maxItems", MAX_HANDED_ARTIFACTS),
    ] {
        assert_eq!(schema.pointer(pointer), Some(&json!(limit)), "{pointer}");
    }
}
