//! Figures for Prometheus (OPS-2), computed from the store and the process when they are asked for.
//!
//! The names begin with `steward_`; those of the process are the ones that every exporter has. Labels are few and bounded: a route is its
//! pattern, and never what was asked for.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{FromRequestParts as _, Request, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use steward_app_models::{CallStatus, Spent};
use steward_app_node::Error;
use steward_store::LATENCY_CLASSES_US;
use steward_wire::Problem;

use super::status::may_read;
use crate::{
    MAX_EXPORTS, MAX_REQUESTS, MAX_REQUESTS_OF_AGENTS,
    alerts::{self, RULES, disk_free, store_bytes},
    answer::Refused,
    door::Visit,
    exposition::{CONTENT_TYPE, Exposition, Kind},
    node::Node,
    operations::{Peer, is_forwarded},
    process::Process,
};

/// Microseconds in a second.
const US: f64 = 1_000_000.0;

/// Milliseconds in a second.
const MS: f64 = 1_000.0;

/// Every figure, in Prometheus' text format 0.0.4. Without a key only where `metrics_without_key` is set, and from the same machine.
#[utoipa::path(get, path = "/metrics", tag = "node", responses((status = 200, description = "Prometheus' text format 0.0.4", body = String), (status = 403, body = Problem)))]
pub(crate) async fn metrics(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Refused> {
    let (mut parts, _) = request.into_parts();
    let is_near = parts.extensions.get::<Peer>().is_some_and(|Peer(address)| address.to_canonical().is_loopback());
    let text = if node.operations.metrics_without_key && is_near && !is_forwarded(&parts.headers) {
        measured(Arc::clone(&node)).await.map_err(|error| Refused::new(error, None))?
    } else {
        let visit = Visit::from_request_parts(&mut parts, &node).await?;
        visit
            .read(move |context, caller| {
                let node = Arc::clone(&node);
                async move {
                    may_read(&context, &caller).await?;
                    measured(node).await
                }
            })
            .await?
    };
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn measured(node: Arc<Node>) -> Result<String, Error> {
    // One at a time is enough, and what is counted is counted on a thread for such.
    let _turn = node.measuring.lock().await;
    let measured = Arc::clone(&node);
    tokio::task::spawn_blocking(move || measure(&measured)).await.map_err(Error::broken)?
}

fn measure(node: &Node) -> Result<String, Error> {
    let mut text = Exposition::default();
    of_node(node, &mut text);
    of_store(node, &mut text)?;
    of_requests(node, &mut text);
    of_runtime(node, &mut text);
    of_alerts(node, &mut text)?;
    of_process(node, &mut text);
    Ok(text.finish())
}

fn of_node(node: &Node, text: &mut Exposition) {
    let context = &node.context;
    text.family("steward_info", Kind::Gauge, "What runs here; always 1.")
        .sample(&[("version", node.version), ("namespace", context.namespace.as_str())], 1);
    let started = context.started_at.unix_ms() as f64 / MS;
    text.one("steward_start_time_seconds", Kind::Gauge, "When this process opened the node, since 1970.", started);
    let halted = u8::from(context.halt().is_halted);
    text.one("steward_halted", Kind::Gauge, "Whether the node is halted.", halted);
    let mistakes = node.mistakes().len();
    text.one(
        "steward_policy_mistakes",
        Kind::Gauge,
        "Mistakes that keep the policy files from being loaded.",
        mistakes,
    );
    let policies = context.policy().engine.listed().len();
    text.one("steward_policies", Kind::Gauge, "Policies in force.", policies);
    if let Some(certificate) = &node.operations.certificate {
        let ends = certificate.not_after().unix_ms() as f64 / MS;
        text.one(
            "steward_certificate_not_after_seconds",
            Kind::Gauge,
            "When the node's certificate ends, since 1970.",
            ends,
        );
    }
}

fn of_store(node: &Node, text: &mut Exposition) -> Result<(), Error> {
    let context = &node.context;
    context.store.read(|reader| {
        text.one("steward_ledger_entries_total", Kind::Counter, "Entries in the ledger.", reader.size()?);
        let denials = steward_app_entries::rows::denials(reader)?;
        text.one("steward_denials_recorded_total", Kind::Counter, "Refusals with an entry of their own.", denials);
        let people = steward_app_people::rows::people(reader, &context.namespace)?;
        let active = people.iter().filter(|person| person.active).count();
        text.one("steward_people", Kind::Gauge, "People who are active.", active);
        let agents = steward_app_agents::rows::agents(reader)?.len();
        text.one("steward_agents", Kind::Gauge, "Agents.", agents);
        text.family("steward_runs", Kind::Gauge, "Runs by how they ended; `live` ones have not.");
        for (ending, count) in steward_app_runs::runs_by_ending(reader)? {
            text.sample(&[("status", if ending.is_empty() { "live" } else { &ending })], count);
        }
        text.family("steward_effects", Kind::Gauge, "Effects by where they stand; `unknown` ones wait for a person.");
        for (status, count) in steward_app_actions::rows::effects_by_status(reader)? {
            text.sample(&[("status", &status)], count);
        }
        of_models(&steward_app_models::rows::spent_by_model(reader, &context.namespace)?, text);
        Ok::<_, Error>(())
    })?;
    text.one("steward_store_bytes", Kind::Gauge, "Bytes of the database and its log.", store_bytes(context));
    let measures = context.store.measures();
    let classes: Vec<(f64, u64)> =
        LATENCY_CLASSES_US.iter().zip(measures.within).map(|(us, within)| (*us as f64 / US, within)).collect();
    let help = "How long callers waited until their change was durable, since the start.";
    text.family("steward_store_commit_seconds", Kind::Histogram, help).histogram(
        &classes,
        measures.commits,
        measures.waited_us as f64 / US,
    );
    let help = "Changes that were not made: stale, expired, or the store could not write.";
    text.one("steward_store_commits_failed_total", Kind::Counter, help, measures.failed);
    text.one("steward_store_waiting", Kind::Gauge, "Changes that wait for the store's writer.", measures.waiting);
    let broken = u8::from(context.store.broken().is_some());
    text.one("steward_store_closed", Kind::Gauge, "Whether the store takes no more changes.", broken);
    text.one("steward_disk_free_bytes", Kind::Gauge, "Bytes that are free where the home is.", disk_free(node)?);
    Ok(())
}

/// One figure of what was spent.
type Figure = fn(&Spent) -> u64;

/// Calls of models. What is reserved gives way to what was used, so that it is no counter.
fn of_models(spent: &[(String, String, Spent)], text: &mut Exposition) {
    let settled = CallStatus::Settled.as_str();
    let of_model = |status_is_settled: bool, figure: Figure| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (model, status, spent) in spent {
            let sum = sums.entry(model).or_default();
            if (status == settled) == status_is_settled {
                *sum = sum.saturating_add(figure(spent));
            }
        }
        sums
    };
    let calls: Figure = |spent| spent.calls;
    let tokens: Figure = |spent| spent.tokens;
    for (name, kind, help, is_settled, figure) in [
        ("steward_model_calls_total", Kind::Counter, "Calls of models that are over.", true, calls),
        ("steward_model_tokens_total", Kind::Counter, "Tokens that calls used that are over.", true, tokens),
        (
            "steward_model_calls_unsettled",
            Kind::Gauge,
            "Calls of models that are under way or broke off.",
            false,
            calls,
        ),
        ("steward_model_tokens_reserved", Kind::Gauge, "Tokens that those could use at most.", false, tokens),
    ] {
        text.family(name, kind, help);
        for (model, sum) in of_model(is_settled, figure) {
            text.sample(&[("model", model)], sum);
        }
    }
}

fn of_requests(node: &Node, text: &mut Exposition) {
    text.family("steward_requests_total", Kind::Counter, "Requests answered, by method, route and status.");
    for ((method, route, status), count) in node.served.all() {
        text.sample(&[("method", &method), ("route", &route), ("status", &status.to_string())], count);
    }
    let help = "Requests without a key that is good.";
    text.one("steward_requests_unauthenticated_total", Kind::Counter, help, node.unauthenticated());
    text.one("steward_requests_limited_total", Kind::Counter, "Requests that came too often.", node.limited());
    text.family("steward_requests_under_way", Kind::Gauge, "Requests that are worked on now.")
        .sample(&[("of", "people")], MAX_REQUESTS - node.places.available_permits())
        .sample(&[("of", "agents")], MAX_REQUESTS_OF_AGENTS - node.places_of_agents.available_permits())
        .sample(&[("of", "exports")], MAX_EXPORTS - node.exports.available_permits());
}

fn of_runtime(node: &Node, text: &mut Exposition) {
    let runner = &node.runner;
    text.one("steward_runs_driven", Kind::Gauge, "Runs that this process drives.", runner.driven());
    text.one("steward_processes", Kind::Gauge, "Processes of agents and tools.", runner.processes());
    text.one("steward_sandbox", Kind::Gauge, "Whether agents can be started.", u8::from(runner.can_start().is_ok()));
    text.family(
        "steward_model_breaker",
        Kind::Gauge,
        "Where the breakers of models stand that were asked: 1 at the state.",
    );
    for (model, state) in runner.breakers() {
        for word in ["closed", "half_open", "open"] {
            text.sample(&[("model", &model), ("state", word)], u8::from(state == word));
        }
    }
    if let Some(last) = node.last_tended() {
        let at = last.unix_ms() as f64 / MS;
        text.one("steward_background_seconds", Kind::Gauge, "When the background did its work last, since 1970.", at);
    }
    if let Some(logs) = &node.operations.logs {
        let counts = logs.counts();
        text.family("steward_log_lines_total", Kind::Counter, "Log lines written into files, by level.");
        for (level, count) in steward_logs::Level::ALL.into_iter().zip(counts.written) {
            text.sample(&[("level", level.as_str())], count);
        }
        let help = "Log lines that could not be written.";
        text.one("steward_log_lines_dropped_total", Kind::Counter, help, counts.dropped);
        text.one("steward_log_lines_waiting", Kind::Gauge, "Log lines that wait to be written.", counts.waiting);
    }
}

fn of_alerts(node: &Node, text: &mut Exposition) -> Result<(), Error> {
    let firing = alerts::look(node)?;
    text.family(
        "steward_alert_firing",
        Kind::Gauge,
        "How often each alert fires now; docs/operations has a page for each.",
    );
    for rule in RULES {
        let count = firing.iter().filter(|firing| firing.rule.name == rule.name).count();
        text.sample(&[("alert", rule.name), ("severity", rule.severity)], count);
    }
    Ok(())
}

fn of_process(node: &Node, text: &mut Exposition) {
    let process = Process::measured();
    if let Some(cpu) = process.cpu_s {
        text.one("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.", cpu);
    }
    if let Some(bytes) = process.resident_bytes {
        text.one("process_resident_memory_bytes", Kind::Gauge, "Memory that is in the machine's own.", bytes);
    }
    if let Some(threads) = process.threads {
        text.one("process_threads", Kind::Gauge, "Threads.", threads);
    }
    if let Some(fds) = process.open_fds {
        text.one("process_open_fds", Kind::Gauge, "Open files and sockets.", fds);
    }
    let started = node.context.started_at.unix_ms() as f64 / MS;
    text.one("process_start_time_seconds", Kind::Gauge, "When this process opened the node, since 1970.", started);
}

#[cfg(test)]
mod tests {
    use steward_app_models::Spent;

    use super::of_models;
    use crate::exposition::Exposition;

    #[test]
    fn what_is_reserved_is_no_counter() {
        let spent = |calls, tokens| Spent { calls, tokens, micros: 0 };
        let rows = [
            ("fast", "reserved", spent(1, 4_000)),
            ("fast", "settled", spent(3, 90)),
            ("fast", "unsettled", spent(2, 50)),
        ];
        let rows = rows.map(|(model, status, spent)| (model.to_owned(), status.to_owned(), spent));
        let mut text = Exposition::default();
        of_models(&rows, &mut text);
        let text = text.finish();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "steward_model_calls_total{model=\"fast\"} 3",
                "steward_model_tokens_total{model=\"fast\"} 90",
                "steward_model_calls_unsettled{model=\"fast\"} 3",
                "steward_model_tokens_reserved{model=\"fast\"} 4050",
            ]
        );
    }
}
