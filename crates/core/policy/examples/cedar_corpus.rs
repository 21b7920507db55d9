//! Slicing gives what full evaluation gives, on the corpus that Cedar is tested with: thousands of generated policy sets with
//! schemas, entities and requests, and hand-written examples. The answers are Cedar's own, too.
//!
//! ```text
//! tools/fetch-cedar-corpus FOLDER SOURCE
//! cargo run --release -p steward-policy --example cedar_corpus -- FOLDER
//! ```
//!
//! It is run by hand, because the corpus is too large to keep here: whenever `slice` changes, and with each new Cedar. It ends
//! with exit code 1 on the first difference, and if it read less than the corpus holds; with 2 if it was used wrongly.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use cedar_policy::{Context, Entities, EntityId, EntityUid, PolicySet, Request, Schema};
use serde_json::Value;
use steward_policy::slice::SlicedSet;

/// What the corpus holds at least; fewer means that something was not read.
const LEAST_CASES: usize = 5000;

/// The fewest requests that must have been answered from a part of the policies, and that must have met an error: fewer would
/// show nothing about slicing.
const LEAST_TELLING: usize = 100;

/// Why it cannot be said that slicing gives what Cedar gives.
type Failure = String;

fn json(path: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn cases(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unread = |e| format!("{}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            cases(&path, found)?;
        } else if name.ends_with(".json") && !name.ends_with(".entities.json") && !name.ends_with(".cedar.json") {
            found.push(path);
        }
    }
    Ok(())
}

fn text(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn list(value: &Value) -> Result<&[Value], Failure> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{value} is no list"))
}

fn uid(value: &Value) -> Result<EntityUid, Failure> {
    let kind = text(&value["type"])?.parse().map_err(|e| format!("{value}: {e}"))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(text(&value["id"])?)))
}

fn ids(value: &Value) -> Result<BTreeSet<String>, Failure> {
    list(value)?.iter().map(|id| text(id).map(str::to_owned)).collect()
}

#[derive(Default)]
struct Count {
    cases: usize,
    requests: usize,
    cut: usize,
    with_errors: usize,
    unreadable: usize,
}

/// One file of the corpus: policies, a schema, entities, and requests with what Cedar answers.
fn run(root: &Path, case: &Value, count: &mut Count) -> Result<(), Failure> {
    let read = |field: &str| {
        let path = root.join(text(&case[field])?);
        fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    // A few cases are about what cannot be read; they have no answer to compare.
    let (Ok(policies), Ok((schema, _))) =
        (read("policies")?.parse::<PolicySet>(), Schema::from_cedarschema_str(&read("schema")?))
    else {
        count.unreadable += 1;
        return Ok(());
    };
    let entities = json(&root.join(text(&case["entities"])?))?;
    let (Ok(entities), Some(set)) =
        (Entities::from_json_value(entities, Some(&schema)), SlicedSet::new(policies.policies().cloned()))
    else {
        count.unreadable += 1;
        return Ok(());
    };
    count.cases += 1;
    for asked in list(&case["requests"])? {
        let action = uid(&asked["action"])?;
        let Ok(context) = Context::from_json_value(asked["context"].clone(), Some((&schema, &action))) else {
            count.unreadable += 1;
            continue;
        };
        let request = Request::new(uid(&asked["principal"])?, action, uid(&asked["resource"])?, context, None)
            .map_err(|e| e.to_string())?;
        let (few, all) = (set.is_authorized(&request, &entities), set.is_authorized_by_all(&request, &entities));
        let named = |numbers: &mut dyn Iterator<Item = usize>| -> BTreeSet<String> {
            numbers.map(|n| set.policies()[n].id().to_string()).collect()
        };
        let answer = (few.allowed, named(&mut few.reasons.iter().copied()), named(&mut few.errors.keys().copied()));
        let expected = (asked["decision"] == "allow", ids(&asked["reason"])?, ids(&asked["errors"])?);
        let about = format!("{} {}", case["policies"], asked["description"]);
        if (few.allowed, &few.reasons, &few.errors) != (all.allowed, &all.reasons, &all.errors) {
            return Err(format!("{about}: the slice does not answer as all policies do"));
        }
        if answer != expected {
            return Err(format!("{about}: {answer:?}, and Cedar answers {expected:?}"));
        }
        count.requests += 1;
        count.cut += usize::from(few.considered < all.considered);
        count.with_errors += usize::from(!few.errors.is_empty());
    }
    Ok(())
}

fn compare(root: &Path) -> Result<Count, Failure> {
    let mut files = Vec::new();
    for part in ["corpus-tests", "tests"] {
        cases(&root.join(part), &mut files)?;
    }
    let mut count = Count::default();
    for file in files {
        let case = json(&file)?;
        if case.get("requests").is_some() && case["policies"].as_str().is_some_and(|p| p.ends_with(".cedar")) {
            run(root, &case, &mut count)?;
        }
    }
    Ok(count)
}

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [root] = arguments.as_slice() else {
        eprintln!("usage: cedar_corpus FOLDER, as tools/fetch-cedar-corpus made it");
        return ExitCode::from(2);
    };
    let count = match compare(root) {
        Ok(count) => count,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let Count { cases, requests, cut, with_errors, unreadable } = count;
    println!(
        "{cases} cases, {requests} requests, all answered as Cedar does; {cut} from a part of the policies, {with_errors} with \
         errors; {unreadable} could not be read"
    );
    let is_whole = cases >= LEAST_CASES && unreadable * 100 < requests;
    if is_whole && cut > LEAST_TELLING && with_errors > LEAST_TELLING {
        return ExitCode::SUCCESS;
    }
    eprintln!("that is less than the corpus holds: fetch it again");
    ExitCode::FAILURE
}
