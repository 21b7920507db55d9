//! How each part of the node is, seen now (GOV-15): by the alerts that fire for it, and else by what it says of itself.

use std::time::Duration;

use steward_app_node::{Error, Kind, code};
use steward_app_traces::TracesView;
use steward_wire::Check;

use crate::{
    alerts::{self, Firing},
    node::Node,
};

/// How long the store may take to answer, in seconds, before it counts as not doing so.
const ANSWERS_WITHIN_S: u64 = 5;

/// The parts, in the order in which they are told.
const PARTS: [&str; 13] = [
    "store",
    "disk",
    "ledger",
    "policy",
    "runs",
    "effects",
    "sandboxes",
    "models",
    "secrets",
    "hooks",
    "traces",
    "background",
    "logs",
];

/// Whether the node does its work.
///
/// # Errors
/// It does not, and why.
pub(crate) async fn ready(node: &Node) -> Result<(), Error> {
    let not = |message: String| Err(Error::new(Kind::Unavailable, code::STORE_CLOSED, message));
    if node.is_stopping() {
        return Err(Error::new(Kind::Unavailable, code::BUSY, "the node stops"));
    }
    takes_changes(node)?;
    let answered = tokio::time::timeout(Duration::from_secs(ANSWERS_WITHIN_S), node.context.store.answers()).await;
    match answered {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return not(error.to_string()),
        Err(_) => return not(format!("the store did not answer within {ANSWERS_WITHIN_S} s")),
    }
    let silent_ms = u64::from(node.operations.alerts.background_silent_s) * 1_000;
    match node.last_tended() {
        Some(last) if node.context.now().since_ms(last) > silent_ms => {
            let message = format!("the background did its work at {last} and not since");
            Err(Error::new(Kind::Unavailable, code::BUSY, message))
        }
        _ => Ok(()),
    }
}

/// Whether the store takes changes.
///
/// # Errors
/// It does not: it is closed, or full.
pub(crate) fn takes_changes(node: &Node) -> Result<(), Error> {
    match node.context.store.broken() {
        Some(reason) => Err(steward_store::CommitError::Closed(reason).into()),
        None => alerts::has_room(node),
    }
}

/// Every part, as the alerts have it.
pub(crate) fn parts(node: &Node, firing: &[Firing]) -> Vec<Check> {
    let own = node.operations.certificate.is_some().then_some("certificate");
    PARTS.into_iter().chain(own).map(|part| look(node, part, firing)).collect()
}

fn look(node: &Node, part: &str, firing: &[Firing]) -> Check {
    let of_part: Vec<&Firing> = firing.iter().filter(|firing| firing.rule.part == part).collect();
    let name = part.to_owned();
    let Some(worst) = of_part.iter().find(|firing| firing.rule.severity == "failed").or(of_part.first()) else {
        return Check { name, status: "ok".to_owned(), found: says(node, part), mend: None };
    };
    let found = of_part.iter().map(|firing| firing.evidence.as_str()).collect::<Vec<_>>().join("; ");
    Check { name, status: worst.rule.severity.to_owned(), found, mend: Some(worst.rule.mend.to_owned()) }
}

/// What a part that nothing is wrong with says of itself.
fn says(node: &Node, part: &str) -> String {
    let context = &node.context;
    match part {
        "store" => {
            let measures = context.store.measures();
            let mean_us = measures.waited_us.checked_div(measures.commits).unwrap_or_default();
            format!(
                "{} changes were made durable, in {mean_us} µs on the average; {} wait",
                measures.commits, measures.waiting
            )
        }
        "disk" => alerts::disk_free(node).map_or_else(|e| e.to_string(), |free| format!("{} MiB are free", free >> 20)),
        "ledger" => "its signed tree head covers every entry".to_owned(),
        "policy" => format!("{} policies are in force", context.policy().engine.listed().len()),
        "runs" => format!("{} are driven, {} processes", node.runner.driven(), node.runner.processes()),
        "effects" => "none is stuck, none is unknown".to_owned(),
        "sandboxes" => node.runner.sandbox(),
        "models" => format!("{} were asked since the start", node.runner.breakers().len()),
        "secrets" => {
            let generators = node.runner.generators.names().len();
            let keystore = match node.runner.keeper().unlocked() {
                Ok(by) => format!("the keystore is unlocked by {by}"),
                Err(why) => why.to_owned(),
            };
            format!("{keystore}; {generators} generators are set up, what they made ends with its leases")
        }
        "hooks" => format!("{} are set up, none fails", node.runner.hooks.names().len()),
        "traces" => match node.runner.traces.view(context) {
            Err(error) => error.to_string(),
            Ok(TracesView { to: None, .. }) => "they are sent to nobody".to_owned(),
            Ok(TracesView { row, .. }) => format!("{} spans were sent", row.map_or(0, |row| row.sent)),
        },
        "background" => match node.last_tended() {
            Some(last) => format!("it did its work at {last}"),
            None => "it did not begin yet".to_owned(),
        },
        "logs" => match &node.operations.logs {
            Some(logs) => {
                let counts = logs.counts();
                format!("{} lines were written, {} were not", counts.written.iter().sum::<u64>(), counts.dropped)
            }
            None => "none are written into files".to_owned(),
        },
        "certificate" => match &node.operations.certificate {
            Some(certificate) => format!("it ends at {}", certificate.not_after()),
            None => "there is none".to_owned(),
        },
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::PARTS;
    use crate::alerts::RULES;

    #[test]
    fn every_rule_is_about_a_part() {
        for rule in RULES {
            assert!(PARTS.contains(&rule.part) || rule.part == "certificate", "{}", rule.name);
            assert!(["warning", "failed"].contains(&rule.severity), "{}", rule.name);
        }
    }
}
