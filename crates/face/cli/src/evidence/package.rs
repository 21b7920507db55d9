//! The evidence package held against the entries: its artifacts are what the run's settled writes left, and its decisions and
//! outputs are on record.

use std::collections::BTreeMap;

use serde_json::Value;
use steward_governor::EvidencePackage;
use steward_ledger::{Body, kind};
use steward_naming::ActionId;
use steward_seal::Digest;
use steward_wire::EvidenceFile;

use super::read::{Document, Entry, Wrong};

/// The action that leaves files.
const WRITE: &str = "fs.write";

/// How many artifacts there are, and what is proven; nothing if the run has no package.
pub(super) fn fits(
    file: &EvidenceFile,
    entries: &[Entry],
    documents: &[Document<'_>],
) -> Result<Option<(usize, String)>, Wrong> {
    let Some(document) = documents.iter().find(|document| document.kind == "package") else { return Ok(None) };
    let wrong = |message: String| Wrong::at(document.at(), message);
    let package: EvidencePackage = read(document)?;
    let named =
        |kind: &str| documents.iter().rev().find(|document| document.kind == kind).map(|document| document.digest);
    let is_of_this_run = package.run.as_str() == file.run.id
        && package.task.as_str() == file.run.task
        && package.agent.to_string() == file.run.agent
        && Some(package.packet) == named("packet")
        && package.plan == named("plan");
    if !is_of_this_run {
        return Err(wrong("its run, task, agent, packet or plan is not that of this file".to_owned()));
    }
    let written = written(entries);
    for artifact in &package.artifacts {
        let path = &artifact.path;
        let writes = written.get(path.as_str()).map(Vec::as_slice).unwrap_or_default();
        // Of writes that were under way together, either may have come last.
        let last = |write: &&Write| !writes.iter().any(|other| other.intended > write.settled);
        let lasts: Vec<&Write> = writes.iter().filter(last).collect();
        match lasts.first() {
            Some(_) if lasts.iter().any(|write| write.content == artifact.digest) => {}
            Some(Write { content: digest, .. }) => {
                return Err(wrong(format!(
                    "the artifact `{path}` has {}, and what was written last is {digest}",
                    artifact.digest
                )));
            }
            None => {
                return Err(wrong(format!(
                    "the artifact `{path}` was not written in this run, as far as its entries say"
                )));
            }
        }
    }
    if let Some(path) = written.keys().find(|path| !package.artifacts.iter().any(|artifact| artifact.path == **path)) {
        return Err(wrong(format!("the run wrote `{path}`, which is not among the artifacts")));
    }
    decided(&package, entries).map_err(wrong)?;
    gave(&package, entries).map_err(wrong)?;
    let count = package.artifacts.len();
    let says = format!(
        "the evidence package's {count} artifacts are what the run's settled writes left; its {} decisions and {} outputs are on record",
        package.decisions.len(),
        package.outputs.len()
    );
    Ok(Some((count, says)))
}

fn read<T: serde::de::DeserializeOwned>(document: &Document<'_>) -> Result<T, Wrong> {
    let value: Value = document.value()?;
    serde_json::from_value(value).map_err(|e| Wrong::at(document.at(), format!("it cannot be read: {e}")))
}

/// A write that settled well.
struct Write {
    content: Digest,
    /// Its first and its last entry.
    intended: u64,
    settled: u64,
}

/// The writes that settled well, by path.
fn written(entries: &[Entry]) -> BTreeMap<&str, Vec<Write>> {
    let mut intended: BTreeMap<&str, (&str, Digest, u64)> = BTreeMap::new();
    let mut written: BTreeMap<&str, Vec<Write>> = BTreeMap::new();
    for entry in entries {
        let Some(body) = &entry.body else { continue };
        match (entry.kind(), &body.decision) {
            (kind::ACTION_INTENDED, Some(decision)) if decision.action == WRITE => {
                if let Some(content) = decision.arguments {
                    intended.insert(&body.subject, (&decision.resource.id, content, entry.seq));
                }
            }
            (kind::ACTION_SETTLED, _) if succeeded(body) => {
                if let Some((path, content, intended)) = intended.get(body.subject.as_str()).copied() {
                    written.entry(path).or_default().push(Write { content, intended, settled: entry.seq });
                }
            }
            _ => {}
        }
    }
    written
}

fn succeeded(body: &Body) -> bool {
    body.outcome.as_ref().is_some_and(|outcome| outcome.success)
}

fn is_unknown(body: &Body) -> bool {
    body.outcome.as_ref().and_then(|outcome| outcome.error_type.as_deref()) == Some("OUTCOME_UNKNOWN")
}

/// Every decision that the package names is that of its entry.
fn decided(package: &EvidencePackage, entries: &[Entry]) -> Result<(), String> {
    for named in &package.decisions {
        let seq = &named.seq;
        let entry = entries.iter().find(|entry| entry.seq.to_string() == *seq);
        let entry = entry.ok_or_else(|| format!("it names a decision of entry {seq}, which is not here"))?;
        let Some(body) = &entry.body else { continue };
        let fits = body.decision.as_ref().is_some_and(|decision| {
            decision.action == named.action
                && decision.resource.id == named.resource
                && decision.outcome.as_str() == named.verdict
                && decision.policies.iter().map(|policy| &policy.id).eq(&named.policies)
        });
        if !fits {
            return Err(format!(
                "it says of entry {seq} `{} {}: {}`, which is not what was decided",
                named.action, named.resource, named.verdict
            ));
        }
    }
    Ok(())
}

/// Every output that the package names is of an action of the run, and ended so.
fn gave(package: &EvidencePackage, entries: &[Entry]) -> Result<(), String> {
    for output in &package.outputs {
        let action: &ActionId = &output.action;
        let about = |kind: &str| {
            let mut of = entries.iter().filter(|entry| entry.kind() == kind).filter_map(|entry| entry.body.as_ref());
            of.rfind(|body| body.subject == action.as_str())
        };
        let intended = about(kind::ACTION_INTENDED).or_else(|| about(kind::ACTION_DECIDED));
        if intended.is_none() {
            return Err(format!("it names an output of `{action}`, which is no action of this run"));
        }
        // What became of an effect of which nobody knew was said by a person, elsewhere.
        if let Some(settled) = about(kind::ACTION_SETTLED).filter(|body| !is_unknown(body))
            && succeeded(settled) != (output.status == "succeeded")
        {
            return Err(format!("it says that `{action}` {}, and its entry says otherwise", output.status));
        }
    }
    Ok(())
}
