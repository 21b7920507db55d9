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
