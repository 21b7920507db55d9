//! Slicing gives what full evaluation gives, on the corpus that Cedar is tested with: thousands of generated policy sets with
//! schemas, entities and requests, and hand-written examples. The answers are Cedar's own, too.
//!
//! The corpus is not kept here. `tools/fetch-cedar-corpus DIR` brings it; the test reads the folder that
//! `STEWARD_CEDAR_CORPUS` names and fails without it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cedar_policy::{Context, Entities, EntityId, EntityUid, PolicySet, Request, Schema};
use serde_json::Value;
use steward_policy::slice::SlicedSet;

/// What the corpus holds at least; fewer means that something was not read.
const LEAST_CASES: usize = 5000;

fn folder() -> PathBuf {
    let Some(folder) = std::env::var_os("STEWARD_CEDAR_CORPUS") else {
        panic!(
            "Cedar's corpus is needed; fetch it with\n  tools/fetch-cedar-corpus target/cedar-corpus\nand say where it is:\n  \
             STEWARD_CEDAR_CORPUS=$PWD/target/cedar-corpus cargo test -p steward-policy --test corpus"
        );
    };
    PathBuf::from(folder)
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn cases(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            cases(&path, found);
        } else if name.ends_with(".json") && !name.ends_with(".entities.json") && !name.ends_with(".cedar.json") {
            found.push(path);
        }
    }
}

fn uid(value: &Value) -> EntityUid {
    let kind = value["type"].as_str().expect("a type").parse().expect("a type name");
    EntityUid::from_type_name_and_id(kind, EntityId::new(value["id"].as_str().expect("an id")))
}

fn ids(value: &Value) -> BTreeSet<String> {
    value.as_array().expect("a list").iter().map(|v| v.as_str().expect("an id").to_owned()).collect()
}

#[derive(Default, Debug)]
struct Count {
    cases: usize,
    requests: usize,
    cut: usize,
    with_errors: usize,
    unreadable: usize,
}

fn run(root: &Path, case: &Value, count: &mut Count) {
    let file = |field: &str| root.join(case[field].as_str().expect("a path"));
    let text = |field: &str| fs::read_to_string(file(field)).expect("the corpus is whole");
    // A few cases are about what cannot be read; they have no answer to compare.
    let (Ok(policies), Ok((schema, _))) =
        (text("policies").parse::<PolicySet>(), Schema::from_cedarschema_str(&text("schema")))
    else {
        count.unreadable += 1;
        return;
    };
    let Ok(entities) = Entities::from_json_value(json(&file("entities")), Some(&schema)) else {
        count.unreadable += 1;
        return;
    };
    let Some(set) = SlicedSet::new(policies.policies().cloned()) else {
        count.unreadable += 1;
        return;
    };
    count.cases += 1;
    for asked in case["requests"].as_array().expect("requests") {
        let (principal, action, resource) = (uid(&asked["principal"]), uid(&asked["action"]), uid(&asked["resource"]));
        let Ok(context) = Context::from_json_value(asked["context"].clone(), Some((&schema, &action))) else {
            count.unreadable += 1;
            continue;
        };
        let request = Request::new(principal, action, resource, context, None).expect("unchecked");
        let (few, all) = (set.is_authorized(&request, &entities), set.is_authorized_by_all(&request, &entities));
        let about = format!("{} {}", case["policies"], asked["description"]);
        assert_eq!((few.allowed, &few.reasons, &few.errors), (all.allowed, &all.reasons, &all.errors), "{about}");
        let named = |numbers: &mut dyn Iterator<Item = usize>| -> BTreeSet<String> {
            numbers.map(|n| set.policies()[n].id().to_string()).collect()
        };
        assert_eq!(few.allowed, asked["decision"] == "allow", "{about}");
        assert_eq!(named(&mut few.reasons.iter().copied()), ids(&asked["reason"]), "{about}");
        assert_eq!(named(&mut few.errors.keys().copied()), ids(&asked["errors"]), "{about}");
        count.requests += 1;
        count.cut += usize::from(few.considered < all.considered);
        count.with_errors += usize::from(!few.errors.is_empty());
    }
}

#[test]
fn slices_answer_as_cedars_corpus_says() {
    let root = folder();
    let mut files = Vec::new();
    for part in ["corpus-tests", "tests"] {
        cases(&root.join(part), &mut files);
    }
    let mut count = Count::default();
    for file in files {
        let case = json(&file);
        if case.get("requests").is_some() && case["policies"].as_str().is_some_and(|p| p.ends_with(".cedar")) {
            run(&root, &case, &mut count);
        }
    }
    println!("{count:?}");
    assert!(count.cases >= LEAST_CASES && count.unreadable * 100 < count.requests, "{count:?}");
    assert!(count.cut > 100 && count.with_errors > 100, "{count:?}");
}
