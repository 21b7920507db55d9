//! How a node is operated, through the door: figures, alerts, health, and how often who may ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use steward_api::{AlertRules, Certificate, Limits, Operations, Peer, RULES};
use steward_app_flows::{Tended, tend};
use steward_clock::Timestamp;
use steward_permit::Tier;
use steward_policy::Source;
use steward_state::Rate;
use steward_testkit::TestNode;

use crate::{Answer, HOST, House, runs::packet};

/// Somebody's address, of those that are for documents.
const SOMEBODY: &str = "203.0.113.9";

/// A family of metrics, as a parser that knows only the format's grammar reads it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads Prometheus' text format 0.0.4 strictly, and fails on whatever is not in its grammar: each family once, its help and type first, its
/// samples together, no sample twice, histograms that add up.
#[track_caller]
fn parse(text: &str) -> BTreeMap<String, Family> {
    let is_name = |name: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut current, mut has_help) = (String::new(), String::new());
    assert!(text.ends_with('\n'), "the last line ends too");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(name) && !help.is_empty(), "{line}");
            name.clone_into(&mut has_help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(["counter", "gauge", "histogram"].contains(&kind) && name == has_help, "{line}");
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
            name.clone_into(&mut current);
        } else {
            assert!(!line.starts_with('#') && !line.is_empty(), "{line:?}");
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line} has no type"));
            let suffix = name.strip_prefix(current.as_str()).unwrap_or_else(|| panic!("{line} stands under {current}"));
            match family.kind.as_str() {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                _ => assert_eq!(suffix, "", "{line}"),
            }
            assert!(labels.keys().all(|label| is_name(label) && !label.contains(':')), "{line}");
            assert!(!family.samples.iter().any(|(n, l, _)| *n == name && *l == labels), "{line} is there twice");
            family.samples.push((name, labels, value));
        }
    }
    for (name, family) in families.iter().filter(|(_, family)| family.kind == "histogram") {
        let buckets: Vec<f64> =
            family.samples.iter().filter(|(n, ..)| n.ends_with("_bucket")).map(|(.., value)| *value).collect();
        let count = family.samples.iter().find(|(n, ..)| n.ends_with("_count")).expect("a count").2;
        assert!(buckets.is_sorted() && buckets.last() == Some(&count), "{name}: {buckets:?} of {count}");
        let last = family.samples.iter().rfind(|(n, ..)| n.ends_with("_bucket")).expect("classes");
        assert_eq!(last.1["le"], "+Inf");
    }
    for (name, family) in families.iter().filter(|(_, family)| family.kind == "counter") {
        assert!(name.ends_with("_total"), "{name}");
        assert!(family.samples.iter().all(|(.., value)| *value >= 0.0));
    }
    families
}

/// A sample: its name, labels with their escapes undone, and value.
#[track_caller]
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let end = loop {
                match chars.next().unwrap_or_else(|| panic!("{line}")) {
                    (at, '"') => break at + 1,
                    (_, '\\') => match chars.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, c @ ('"' | '\\'))) => value.push(c),
                        _ => panic!("{line}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = &after[end..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}")))
}

/// The figures, as the operator gets them.
async fn figures(house: &House) -> BTreeMap<String, Family> {
    let answer = house.get("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    parse(&String::from_utf8(answer.body).expect("text"))
}

/// A figure with just these labels.
#[track_caller]
fn figure(figures: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: BTreeMap<String, String> = labels.iter().map(|(l, v)| ((*l).to_owned(), (*v).to_owned())).collect();
    let family = figures.get(name).unwrap_or_else(|| panic!("there is no {name}"));
    let found = family.samples.iter().find(|(_, of, _)| *of == labels);
    found.unwrap_or_else(|| panic!("{name} has no {labels:?}: {:?}", family.samples)).2
}

#[tokio::test]
async fn figures_are_those_of_the_store_and_the_process() {
    let house = House::new().await;
    let before = figures(&house).await;
    house.node.act(&house.operator, "scribe", "fs.write", "/reports/a.md", b"x").await.expect("permitted");
    house.node.act(&house.viewer, "scribe", "fs.write", "/reports/a.md", b"x").await.expect_err("refused");
    assert_eq!(house.get("/v1/agents").await.status, 200);
    assert_eq!(house.ask(Method::GET, "/v1/agents", None, None).await.status, 401);
    assert_eq!(house.ask(Method::GET, "/nowhere/at/all", None, None).await.status, 404);
    let after = figures(&house).await;
    let grew = |name: &str, labels: &[(&str, &str)]| figure(&after, name, labels) - figure(&before, name, labels);
    let entries = house.node.context().store.read(|reader| reader.size()).expect("readable");
    assert_eq!(figure(&after, "steward_ledger_entries_total", &[]), entries as f64);
    assert_eq!(grew("steward_denials_recorded_total", &[]), 1.0);
    assert_eq!(figure(&after, "steward_effects", &[("status", "succeeded")]), 1.0);
    assert_eq!((figure(&after, "steward_agents", &[]), figure(&after, "steward_people", &[])), (1.0, 2.0));
    let agents = [("method", "GET"), ("route", "/v1/agents"), ("status", "200")];
    assert_eq!(figure(&after, "steward_requests_total", &agents), 1.0);
    let refused = [("method", "GET"), ("route", "/v1/agents"), ("status", "401")];
    assert_eq!(figure(&after, "steward_requests_total", &refused), 1.0);
    let elsewhere = [("method", "other"), ("route", "other"), ("status", "404")];
    assert_eq!(figure(&after, "steward_requests_total", &elsewhere), 1.0, "what was asked for is no label");
    assert_eq!(grew("steward_requests_unauthenticated_total", &[]), 1.0);
    assert!(grew("process_cpu_seconds_total", &[]) >= 0.0);
    assert!(figure(&after, "process_resident_memory_bytes", &[]) > 1e6);
    assert!(figure(&after, "steward_disk_free_bytes", &[]) > 0.0 && figure(&after, "steward_store_bytes", &[]) > 0.0);
    let commits = &after["steward_store_commit_seconds"].samples;
    assert!(commits.iter().any(|(name, _, value)| name.ends_with("_count") && *value > 3.0), "{commits:?}");
    assert_eq!(figure(&after, "steward_halted", &[]), 0.0);
    assert_eq!(after["steward_alert_firing"].samples.len(), RULES.len(), "each rule has its figure");
}

#[tokio::test]
async fn runs_and_breakers_are_counted() {
    let house = House::new().await;
    house.node.agent("elder", Tier::T1).await;
    let started = house.post("/v1/runs", &json!({"agent": "elder", "packet": packet("elder").to_string()})).await;
    let _elder = house.node.next_agent().await;
    assert_eq!(figure(&figures(&house).await, "steward_runs", &[("status", "live")]), 1.0);
    let run = started.json()["id"].as_str().expect("an id").to_owned();
    house.post(&format!("/v1/runs/{run}/stop"), &json!({"reason": "it was a trial"})).await;
    house.node.ended(&run.parse().expect("an id")).await;
    let after = figures(&house).await;
    assert_eq!(figure(&after, "steward_runs", &[("status", "stopped")]), 1.0);
    assert!(!after["steward_runs"].samples.iter().any(|(_, labels, _)| labels["status"] == "live"));
}

#[tokio::test]
async fn figures_need_a_key_unless_it_is_said_and_somebody_is_near() {
    let open = House::operated(Operations { metrics_without_key: true, ..Operations::default() }).await;
    let shut = House::new().await;
    for (house, from, expected) in
        [(&open, "127.0.0.1", 200), (&open, "::1", 200), (&open, SOMEBODY, 401), (&shut, "127.0.0.1", 401)]
    {
        assert_eq!(house.ask_from(from, Method::GET, "/metrics", None, None).await.status, expected, "{from}");
    }
    // Whoever a proxy asks for only seems to be near.
    for name in ["x-forwarded-for", "forwarded"] {
        let request = Request::get("/metrics").header(header::HOST, HOST).header(name, "for=1.2.3.4");
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(Peer("127.0.0.1".parse().expect("an address")));
        assert_eq!(open.send(request).await.status, 401, "{name}");
    }
    // Nor is anybody of whom it is not known where they are.
    assert_eq!(open.ask(Method::GET, "/metrics", None, None).await.status, 401);
}

/// The page of each alert.
fn pages() -> BTreeSet<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../docs/operations");
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the pages") {
        let path = entry.expect("a page").path();
        let text = fs::read_to_string(&path).expect("text");
        let name = path.file_stem().expect("a name").to_str().expect("text").to_owned();
        // Other pages may stand there too.
        if text.starts_with("# Alert: ") {
            assert_eq!(text.lines().next(), Some(format!("# Alert: {name}").as_str()));
            for part in ["**What it means.**", "**By what it is seen.**", "**What to do.**"] {
                assert!(text.contains(part), "{name} says {part}");
            }
            pages.insert(name);
        }
    }
    pages
}

#[test]
fn every_rule_has_a_page_and_every_page_a_rule() {
    let rules: BTreeSet<String> = RULES.iter().map(|rule| rule.name.to_owned()).collect();
    assert_eq!(rules.len(), RULES.len(), "no name twice");
    assert_eq!(rules, pages());
}

/// What fires, by name.
pub(crate) async fn firing(house: &House) -> BTreeMap<String, Value> {
    let answer = house.get("/v1/alerts").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let alerts = answer.json();
    assert_eq!(alerts["rules"], RULES.len());
    let list = alerts["alerts"].as_array().expect("a list").clone();
    list.into_iter().map(|alert| (alert["name"].as_str().expect("a name").to_owned(), alert)).collect()
}

fn ago(house: &House, ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(house.node.now().unix_ms() - ms)
}

#[tokio::test]
async fn alerts_fire_by_evidence_and_are_over_without_it() {
    const DAY_MS: i64 = 86_400_000;
    let certificate = std::sync::Arc::new(Certificate::default());
    let alerts = AlertRules { disk_free_bytes: 0, denials_per_hour: 2, ..AlertRules::default() };
    let house =
        House::operated(Operations { alerts, certificate: Some(certificate.clone()), ..Operations::default() }).await;
    let house = &house;
    certificate.replaced(house.node.now().plus_ms(90 * DAY_MS as u64));
    assert_eq!(firing(house).await, BTreeMap::new(), "nothing is wrong");

    // A halt, with its own time, and who said so.
    house.post("/v1/node/halt", &json!({"reason": "smoke"})).await;
    let halted_at = house.node.now().to_string();
    house.node.clock().advance_ms(60_000);
    let halted = firing(house).await.remove("halted").expect("it fires");
    assert_eq!((halted["since"].as_str(), halted["severity"].as_str()), (Some(halted_at.as_str()), Some("warning")));
    assert!(halted["evidence"].as_str().expect("text").contains("smoke"), "{halted}");
    assert_eq!(halted["page"], "docs/operations/halted.md");
    house.post("/v1/node/resume", &json!({"reason": "gone"})).await;
    assert!(!firing(house).await.contains_key("halted"));

    // Refusals, of which there are more than a few within an hour.
    for _ in 0..3 {
        let asked = house.node.act(&house.viewer, "scribe", "fs.write", "/reports/a.md", b"x").await;
        asked.expect_err("refused");
        house.node.clock().advance_ms(61_000);
    }
    assert!(firing(house).await.contains_key("many-denials"));
    house.node.clock().advance_ms(3_600_000);
    assert!(!firing(house).await.contains_key("many-denials"), "an hour later");

    // The certificate.
    certificate.replaced(house.node.now().plus_ms(10 * DAY_MS as u64));
    let ending = firing(house).await.remove("certificate-ending").expect("it fires");
    assert_eq!(ending["since"], ago(house, 11 * DAY_MS).to_string(), "since it is 21 days to its end");
    certificate.not_replaced("no key".to_owned(), house.node.now());
    assert_eq!(firing(house).await["certificate-unreadable"]["evidence"], "no key");
    certificate.replaced(house.node.now().plus_ms(90 * DAY_MS as u64));
    assert_eq!(firing(house).await, BTreeMap::new());

    // The background, and by it whether the node is ready.
    house.served.tended();
    assert_eq!(house.ask(Method::GET, "/readyz", None, None).await.status, 200);
    house.node.clock().advance_ms(61_000);
    assert!(firing(house).await.contains_key("background-silent"));
    assert_eq!(house.ask(Method::GET, "/readyz", None, None).await.status, 503);
    house.served.tended();
    assert_eq!(house.ask(Method::GET, "/readyz", None, None).await.status, 200);
    house.served.stops();
    assert_eq!(house.ask(Method::GET, "/readyz", None, None).await.code(), "BUSY");
    assert_eq!(house.ask(Method::GET, "/healthz", None, None).await.status, 200, "it still answers");
}

#[tokio::test]
async fn a_store_that_is_full_is_seen_by_whoever_looks() {
    let bytes = 1 << 20;
    let rules = AlertRules { disk_free_bytes: 0, max_store_bytes: Some(bytes), ..AlertRules::default() };
    let operations = || Operations { alerts: rules, ..Operations::default() };
    let mut house = House::with(TestNode::builder().max_store_bytes(bytes).start().await, operations()).await;
    let probes = async |house: &House| {
        let mut said = Vec::new();
        for path in ["/healthz", "/readyz"] {
            let answer = house.ask(Method::GET, path, None, None).await;
            said.push(if answer.status == 200 { "well".to_owned() } else { answer.code() });
        }
        let doctor = house.get("/v1/node/doctor").await.json();
        said.push(doctor["checks"][0]["status"].as_str().expect("a status").to_owned());
        said
    };
    assert_eq!(probes(&house).await, ["well", "well", "ok"]);
    let mut written = 0;
    let refused = loop {
        let path = format!("/reports/{written}.md");
        match house.node.act(&house.operator, "scribe", "fs.write", &path, b"x").await {
            Ok(_) => written += 1,
            Err(error) => break error.code,
        }
    };
    assert_eq!(refused, "STORE_FULL");
    assert_eq!(probes(&house).await, ["STORE_FULL", "STORE_FULL", "failed"], "after {written}");
    house.node.limit_store(None);
    house.reborn(Operations::default()).await;
    assert_eq!(probes(&house).await, ["well", "well", "ok"], "there is room, and no word of it any more");
}

#[tokio::test]
async fn a_run_that_stands_still_and_a_policy_that_cannot_be_evaluated_are_seen() {
    let house = House::operated(Operations {
        alerts: AlertRules { disk_free_bytes: 0, run_stuck_minutes: 10, ..AlertRules::default() },
        ..Operations::default()
    })
    .await;
    let started = house.post("/v1/runs", &json!({"agent": "scribe", "packet": packet("scribe").to_string()})).await;
    let run = started.json()["id"].as_str().expect("an id").to_owned();
    let _agent = house.node.next_agent().await;
    let since = house.get(&format!("/v1/runs/{run}")).await.json()["phase_at"].clone();
    house.node.clock().advance_ms(11 * 60_000);
    let stuck = firing(&house).await.remove("run-stuck").expect("it fires");
    assert_eq!(stuck["about"], run.as_str());
    assert!(since.is_null() || stuck["since"] == since, "{stuck} {since}");
    // The status says it in the part that it is about.
    let status = house.get("/v1/node/status").await.json();
    let part = |name: &str| {
        let health = status["health"].as_array().expect("parts").iter();
        health.clone().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert_eq!((part("runs")["status"].as_str(), part("store")["status"].as_str()), (Some("warning"), Some("ok")));
    assert!(part("runs")["mend"].as_str().is_some_and(|mend| mend.contains("run stop")));
    house.post(&format!("/v1/runs/{run}/stop"), &json!({"reason": "it stands still"})).await;
    house.node.ended(&run.parse().expect("an id")).await;
    assert!(!firing(&house).await.contains_key("run-stuck"));

    house.node.edit_policies(|sources| {
        let text = "@id(\"sums\")\n@description(\"Adds more than fits.\")\n\
            permit (principal, action == Action::\"fs.write\", resource) when { 9223372036854775807 + 1 > 0 };\n";
        sources.policies.push(Source { name: "own.cedar".to_owned(), text: text.to_owned() });
    });
    let mut tended = Tended::default();
    tend(house.node.runner(), &house.node.home().policies(), &mut tended).await.expect("a round");
    assert!(!firing(&house).await.contains_key("policy-errors"));
    house.node.act(&house.operator, "scribe", "fs.write", "/reports/a.md", b"x").await.expect_err("refused");
    let errors = firing(&house).await.remove("policy-errors").expect("it fires");
    assert_eq!(errors["since"], house.node.now().to_string());
    house.node.clock().advance_ms(3_600_001);
    assert!(!firing(&house).await.contains_key("policy-errors"), "an hour later");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let limits = Limits {
        key: Some(Rate { per_s: 1, burst: 3 }),
        address: Some(Rate { per_s: 2, burst: 8 }),
        stranger: Some(Rate { per_s: 1, burst: 2 }),
    };
    let house = House::operated(Operations { limits, ..Operations::default() }).await;
    let ask = async |from: &str, key: Option<&str>| house.ask_from(from, Method::GET, "/v1/agents", key, None).await;
    let key = Some(house.operator.token.as_str());
    let other = Some(house.viewer.token.as_str());

    // With one key: from wherever it comes.
    for from in [SOMEBODY, "198.51.100.1", "198.51.100.2"] {
        assert_eq!(ask(from, key).await.status, 200);
    }
    let refused = ask(SOMEBODY, key).await;
    limited(&refused, "1");
    assert_eq!(ask(SOMEBODY, other).await.status, 200, "another key is another's");
    house.node.clock().advance_ms(1_000);
    assert_eq!(ask(SOMEBODY, key).await.status, 200, "a second later there is one more");

    // With no key that is good: harder, and a good key is not kept out by that.
    let guess = Some("stw_nobody");
    for _ in 0..2 {
        assert_eq!(ask("192.0.2.1", guess).await.status, 401);
    }
    limited(&ask("192.0.2.1", guess).await, "1");
    limited(&ask("192.0.2.1", None).await, "1");
    assert_eq!(ask("192.0.2.1", other).await.status, 200);
    assert_eq!(ask("192.0.2.2", guess).await.status, 401, "another address is another's");

    // From one address, whoever it is, and whatever they ask: IPv6 by the network that one household is given.
    for n in 0..8 {
        let from = format!("2001:db8::{n:x}");
        assert_eq!(house.ask_from(&from, Method::GET, "/v1/ledger/vkey", None, None).await.status, 200);
    }
    limited(&house.ask_from("2001:db8::ffff", Method::GET, "/v1/ledger/vkey", None, None).await, "1");
    assert_eq!(house.ask_from("2001:db8:0:1::", Method::GET, "/v1/ledger/vkey", None, None).await.status, 200);
    assert_eq!(
        house.ask_from("2001:db8::ffff", Method::GET, "/healthz", None, None).await.status,
        200,
        "health is cheap"
    );
    house.node.clock().advance_ms(5_000);
    let counted = figures(&house).await;
    assert_eq!(figure(&counted, "steward_requests_limited_total", &[]), 4.0);
}

#[track_caller]
fn limited(answer: &Answer, retry_after: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "RATE_LIMITED"), "{answer:?}");
    assert_eq!(answer.headers[header::RETRY_AFTER], retry_after);
}

#[tokio::test]
async fn nobody_is_kept_from_halting_by_what_others_ask_for() {
    let limits = Limits {
        key: Some(Rate { per_s: 1, burst: 1 }),
        address: Some(Rate { per_s: 1, burst: 1 }),
        stranger: Some(Rate { per_s: 1, burst: 1 }),
    };
    let house = House::operated(Operations { limits, ..Operations::default() }).await;
    let key = Some(house.operator.token.as_str());
    for _ in 0..3 {
        house.ask_from(SOMEBODY, Method::GET, "/v1/agents", key, None).await;
        house.ask_from(SOMEBODY, Method::POST, "/v1/node/halt", Some("stw_guess"), None).await;
    }
    limited(&house.ask_from(SOMEBODY, Method::GET, "/v1/agents", key, None).await, "1");
    let why = json!({"reason": "smoke"});
    let halted = house.ask_from(SOMEBODY, Method::POST, "/v1/node/halt", key, Some(&why)).await;
    assert_eq!(halted.status, 200, "{halted:?}");
    let revoked = house.ask_from(SOMEBODY, Method::POST, "/v1/agents/scribe/revoke", key, Some(&why)).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    // It is no way around: there is a limit of its own.
    let mut last = 0;
    for _ in 0..40 {
        last = house.ask_from(SOMEBODY, Method::POST, "/v1/node/halt", key, Some(&why)).await.status.as_u16();
    }
    assert_eq!(last, 429);
    // Nor is resuming, which takes nothing away.
    limited(&house.ask_from(SOMEBODY, Method::POST, "/v1/node/resume", key, Some(&why)).await, "1");
}

#[tokio::test]
async fn behind_a_proxy_the_caller_is_who_it_says() {
    let limits = Limits { address: Some(Rate { per_s: 1, burst: 1 }), ..Limits::default() };
    let proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    let house = House::operated(Operations { limits, proxies, ..Operations::default() }).await;
    let ask = async |peer: &str, said: &str| {
        let request =
            Request::get("/v1/ledger/vkey").header(header::HOST, HOST).header("x-forwarded-for", said.to_owned());
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(Peer(peer.parse().expect("an address")));
        house.send(request).await.status.as_u16()
    };
    assert_eq!(ask("10.0.0.1", "198.51.100.1").await, 200);
    assert_eq!(ask("10.0.0.1", "198.51.100.2").await, 200, "another caller of the same proxy");
    assert_eq!(ask("10.0.0.2", "6.6.6.6, 198.51.100.1").await, 429, "what the caller put before it counts for nothing");
    // Who is no proxy of ours is who it is, whatever it says.
    assert_eq!(ask(SOMEBODY, "198.51.100.3").await, 200);
    assert_eq!(ask(SOMEBODY, "198.51.100.4").await, 429);
}

#[tokio::test]
async fn with_a_certificate_browsers_are_told_to_come_by_tls_only() {
    let secure = Operations { certificate: Some(std::sync::Arc::default()), ..Operations::default() };
    let told = House::operated(secure).await.ask(Method::GET, "/healthz", None, None).await;
    assert_eq!(told.headers[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    let clear = House::new().await.ask(Method::GET, "/healthz", None, None).await;
    assert!(clear.headers.get(header::STRICT_TRANSPORT_SECURITY).is_none(), "in clear nobody would believe it");
}

#[tokio::test]
async fn a_trace_of_the_callers_own_stands_beside_ours() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let house = House::new().await;
    let ask = async |key: &str, traces: &[&str]| {
        let body = json!({"action": "fs.write", "resource": "/reports/a.md", "content": "eA=="}).to_string();
        let mut request = Request::post("/v1/agents/scribe/actions")
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json");
        for trace in traces {
            request = request.header("traceparent", *trace);
        }
        let store = &house.node.context().store;
        let seq = store.read(|reader| reader.size()).expect("readable");
        house.send(request.body(Body::from(body)).expect("a request")).await;
        let first = store.read(|reader| reader.entries("WHERE seq = ?1", &[&seq])).expect("readable").pop();
        let body = first.expect("it is on record").body.expect("a body");
        serde_json::from_slice::<Value>(&body).expect("JSON")["detail"]["traceparent"].clone()
    };
    assert_eq!(ask(&house.operator.token, &[TRACE]).await, TRACE, "what was done");
    assert_eq!(ask(&house.viewer.token, &[TRACE]).await, TRACE, "what was refused");
    let none = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    for wrong in
        [&[][..], &["nonsense"], &[none], &[TRACE, TRACE], &["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]]
    {
        assert_eq!(ask(&house.operator.token, wrong).await, Value::Null, "{wrong:?}");
    }
}
