//! The description of the API says what there is: it equals docs/openapi.json, and the router has the same routes.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::LazyLock};

use axum::http::{Method, header};
use serde_json::Value;

use crate::{Answer, House};

/// The description.
static DESCRIBED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&steward_api::openapi()).expect("JSON"));

/// Whether a path is of a route: `{name}` stands for anything, and at the end of a tile's for what has parts of its own.
fn is_of(path: &str, route: &str) -> bool {
    let (mut parts, mut places) = (path.split('/'), route.split('/'));
    loop {
        match (parts.next(), places.next()) {
            (None, None) => return true,
            (Some(part), Some("{path}")) => return !part.is_empty(),
            (Some(part), Some(place)) if place == part || (place.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Where and why a value is not of a schema, as far as the description's schemas go: references, types, properties, items, choices.
fn misfit(schema: &Value, value: &Value) -> Option<(String, String)> {
    let wrong = |why: &str| Some((String::new(), format!("{why}: {value}")));
    if let Some(named) = schema["$ref"].as_str() {
        return misfit(DESCRIBED.pointer(&named[1..]).unwrap_or_else(|| panic!("{named} is not there")), value);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(all) = schema[choice].as_array() {
            return if all.iter().any(|one| misfit(one, value).is_none()) {
                None
            } else {
                wrong("none of the choices")
            };
        }
    }
    let is = |kind: &Value| match kind.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    let is_typed = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    };
    if !is_typed {
        return wrong(&format!("not {}", schema["type"]));
    }
    if schema["minimum"].as_i64().is_some_and(|least| value.as_i64().is_some_and(|number| number < least)) {
        return wrong("too little");
    }
    let within = |at: &str, found: Option<(String, String)>| found.map(|(inner, why)| (format!("/{at}{inner}"), why));
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        return list.iter().enumerate().find_map(|(n, item)| within(&n.to_string(), misfit(items, item)));
    }
    let (properties, fields) = (schema["properties"].as_object()?, value.as_object()?);
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
        return wrong(&format!("`{missing}` is missing"));
    }
    fields.iter().find_map(|(name, field)| match properties.get(name) {
        Some(schema) => within(name, misfit(schema, field)),
        // What is not described is told to nobody who reads the description.
        None => Some((format!("/{name}"), "it is not described".to_owned())),
    })
}

/// That an answer of a route is one that the description has, of a kind that it has for it. Every answer that a test gets comes by here.
#[track_caller]
pub(crate) fn assert_described(method: &Method, path: &str, answer: &Answer) {
    let routes = DESCRIBED["paths"].as_object().expect("paths");
    let mut of: Vec<_> = routes.iter().filter(|(route, _)| is_of(path, route)).collect();
    // Where one is named and another has a gap there, the name counts.
    of.sort_by_key(|(route, _)| route.matches('{').count());
    let operation = of.first().map(|(_, methods)| &methods[method.as_str().to_lowercase()]);
    let Some(operation) = operation.filter(|operation| operation.is_object()) else { return };
    let status = answer.status.as_str();
    let said = &operation["responses"][status];
    assert!(said.is_object(), "{method} {path} does not say that it answers {status}: {answer:?}");
    let said = match said["$ref"].as_str() {
        Some(shared) => DESCRIBED.pointer(&shared[1..]).unwrap_or_else(|| panic!("{shared}")),
        None => said,
    };
    let kind = answer.headers[header::CONTENT_TYPE].to_str().expect("text").split(';').next().unwrap_or_default();
    assert!(said["content"][kind].is_object(), "{method} {path} does not say that {status} is {kind}: {said}");
    if let (Some(schema), true) = (said["content"][kind].get("schema"), kind.ends_with("json")) {
        let body = answer.json();
        let wrong = misfit(schema, &body).map(|(at, why)| format!("{at}: {why}")).unwrap_or_default();
        assert!(wrong.is_empty(), "{method} {path} answers {status} otherwise than described, at {wrong}: {body}");
    }
    for (name, _) in said["headers"].as_object().into_iter().flatten() {
        assert!(answer.headers.contains_key(name.as_str()), "{method} {path} says that {status} has {name}");
    }
}

/// Set to write docs/openapi.json anew instead of comparing it.
const UPDATE: &str = "UPDATE_OPENAPI";

/// Methods and routes of the description.
pub(crate) fn described() -> BTreeSet<(String, String)> {
    let paths = DESCRIBED["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

/// Methods and routes of the router, read from its source: axum does not tell.
fn routed() -> BTreeSet<(String, String)> {
    let source = include_str!("../../src/lib.rs");
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix(".route(\""));
    lines
        .flat_map(|line| {
            let (path, handlers) = line.split_once("\", ").expect("a path and its handlers");
            let path = path.replace("{*", "{");
            ["get", "post", "put", "delete", "patch"]
                .into_iter()
                .filter(|method| handlers.contains(&format!("{method}(")))
                .map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[test]
fn what_is_not_as_described_is_found() {
    let key = DESCRIBED.pointer("/components/schemas/KeyRecord").expect("a schema");
    let good = serde_json::json!({"id": "k", "holder": "h", "holder_kind": "person", "label": "l", "scopes": ["all"],
        "single_use": false, "status": "active", "created_at": "t", "expires_at": "t", "entry": 1});
    assert_eq!(misfit(key, &good), None);
    for (at, value) in [
        ("id", serde_json::json!(1)),
        ("scopes", serde_json::json!([7])),
        ("entry", serde_json::json!(-1)),
        ("secret", good.clone()),
    ] {
        let mut wrong = good.clone();
        wrong[at] = value;
        let (place, why) = misfit(key, &wrong).expect("it is found");
        assert!(place.starts_with(&format!("/{at}")), "{place}: {why}");
    }
    let mut less = good;
    less.as_object_mut().expect("fields").remove("status");
    assert!(misfit(key, &less).is_some_and(|(_, why)| why.contains("`status` is missing")));
}

#[test]
fn every_route_is_described_and_the_reverse() {
    assert_eq!(routed(), described());
    assert!(routed().len() >= 30);
}

#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../docs/openapi.json");
    let served = steward_api::openapi();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, &served).expect("it can be written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == served, "docs/openapi.json is old; write it anew with {UPDATE}=1 cargo test -p steward-api");
}

#[test]
fn every_operation_says_what_it_answers() {
    assert_eq!(DESCRIBED["openapi"], "3.1.0");
    for (path, methods) in DESCRIBED["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(!summary.is_empty(), "{method} {path} has no sentence");
            let answers = operation["responses"].as_object().expect("responses");
            assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
            // What needs a key says nothing; what needs none says so.
            let is_open = operation["security"] == serde_json::json!([{}]);
            assert!(is_open || answers.contains_key("403") || path == "/v1/login", "{method} {path} can be refused");
        }
    }
}

#[tokio::test]
async fn it_is_served_as_it_is() {
    let house = House::new().await;
    let answer = house.get("/v1/openapi.json").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(String::from_utf8(answer.body).expect("text"), steward_api::openapi());
}
