//! Every rule of alerts fires by its evidence, and is over without it. A rule without a fault here fails.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use steward_api::{AlertRules, Certificate, Operations, RULES};
use steward_app_flows::runs::Asking;
use steward_app_flows::{Tended, Workers, tend};
use steward_app_hooks::{Event, Hook, Round, To};
use steward_app_node::Caller;
use steward_app_secrets::{FAILURES_BEFORE_ALERT, Generator};
use steward_app_traces::{Receiver, Round as Sent};
use steward_ledger::kind;
use steward_logs::{Logs, Settings};
use steward_naming::ActionId;
use steward_permit::{ResourceKind, Role, Tier};
use steward_policy::Source;
use steward_seal::Digest;
use steward_store::Row;
use steward_testkit::{Collector, TestNode};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{House, operations::firing, runs::packet};

const MINUTE_MS: i64 = 60_000;

const HOUR_MS: i64 = 60 * MINUTE_MS;

const DAY_MS: u64 = 24 * 60 * 60_000;

/// What is wrong on purpose, and what it takes to mend it.
#[derive(Default)]
struct Fault {
    certificate: Option<Arc<Certificate>>,
    collector: Option<Collector>,
    logs: Option<Logs>,
    provider: Option<Arc<AtomicBool>>,
    run: Option<String>,
    effect: Option<ActionId>,
}

/// Operated so that nothing fires that is not made to.
fn calm() -> Operations {
    let alerts = AlertRules { disk_free_bytes: 0, denials_per_hour: 2, ..AlertRules::default() };
    Operations { alerts, ..Operations::default() }
}

/// Calm, but for the rules of alerts.
fn with(edit: impl FnOnce(&mut AlertRules)) -> Operations {
    let mut operations = calm();
    edit(&mut operations.alerts);
    operations
}

/// The background does a round, as it does every second.
async fn background(house: &House) {
    let mut tended = Tended::default();
    tend(house.node.runner(), &house.node.home().policies(), &mut tended).await.expect("a round");
    house.served.set_mistakes(tended.mistakes);
    house.served.tended();
}

/// A policy of the house's own, or none any more.
fn own_policy(house: &House, text: Option<&str>) {
    house.node.edit_policies(|sources| {
        sources.policies.retain(|source| source.name != "own.cedar");
        let own = text.map(|text| Source { name: "own.cedar".to_owned(), text: text.to_owned() });
        sources.policies.extend(own);
    });
    if text.is_none() {
        let _ = std::fs::remove_file(house.node.home().policies().join("own.cedar"));
    }
}

/// An effect on record with this status, on which nobody works.
async fn effect(house: &House, status: &str) -> ActionId {
    let (node, context) = (&house.node, house.node.context());
    let id = ActionId::new(node.now(), node.dice());
    let caller = Caller::node(node.namespace());
    let action = context.action("effect.settle", ResourceKind::Node, id.as_str()).expect("an action");
    let granted = context.permit(&caller, action, None).await.expect("the node may");
    let row = Row::put("effect")
        .text("namespace", node.namespace().as_str())
        .text("id", id.as_str())
        .text("agent", "scribe.acme.internal")
        .text("action", "fs.write")
        .text("resource", "/reports/a.md")
        .text("arguments", Digest::of(b"text").to_string())
        .text("status", status)
        .text("intended_at", node.now().to_string());
    let change = context.change(&caller, granted, kind::ACTION_INTENDED, id.as_str()).row(row);
    context.commit(change).await.expect("it commits");
    id
}

/// A provider that is down until it is told otherwise, and its address.
async fn provider() -> (String, Arc<AtomicBool>) {
    let is_up = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&is_up);
    let router = Router::new().fallback(move || {
        let answer: Response = if now.load(Ordering::SeqCst) {
            let message = json!({"role": "assistant", "content": "hello"});
            Json(json!({"id": "1", "object": "chat.completion", "created": 1, "model": "fast",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}))
            .into_response()
        } else {
            // At once: nobody waits between attempts.
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")]).into_response()
        };
        std::future::ready(answer)
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/v1"), is_up)
}

/// Log lines that cannot be written: where the folder would be there is a file.
fn logs(house: &House) -> Logs {
    let logs = Logs::new(Settings::default(), Arc::clone(&house.node.context().clock));
    let taken = house.node.home().path().join("taken");
    std::fs::write(&taken, "").expect("a file");
    logs.open(&taken.join("logs")).expect("a thread");
    logs
}

/// Asks the model something small, until the node asks it no more.
async fn ask_until_it_is_left_alone(house: &House) {
    for _ in 0..10 {
        let asked = house.post("/v1/models/fast/test", &json!({})).await;
        if asked.code() == "BREAKER_OPEN" {
            return;
        }
    }
    panic!("the breaker does not open");
}

/// From now on this program is told what waits for people.
async fn tell(house: &mut House, program: &str) {
    let to = To::Command(vec![program.to_owned()]);
    house.node.tell(vec![Hook { name: "page".parse().expect("a label"), to, events: Event::ALL.to_vec() }]);
    house.reborn(calm()).await;
    tells(house).await;
}

async fn tells(house: &House) -> Round {
    let runner = house.node.runner();
    runner.hooks.round(house.node.context(), runner.keeper(), "page").await.expect("a round")
}

async fn sends(house: &House) -> Sent {
    let runner = house.node.runner();
    runner.traces.round(house.node.context(), runner.keeper()).await.expect("a round")
}

/// From now on this program makes the values of secrets, and ends them.
async fn generate(house: &mut House, program: &str) {
    let (name, command) = ("roles".parse().expect("a label"), vec![program.to_owned()]);
    house.node.generate(vec![Generator { name, command, secrets: Default::default(), timeout_s: 10 }]);
    house.reborn(calm()).await;
}

/// A run asks for what nobody makes; nobody ends it either, however often it is told.
async fn make_in_vain(house: &mut House) {
    generate(house, "/nowhere/make-role").await;
    let put = house.post("/v1/secrets", &json!({"name": "db", "made_by": "roles"})).await;
    assert_eq!((put.status.as_u16(), put.json()["made_by"].as_str()), (201, Some("roles")), "{put:?}");
    let added =
        house.post("/v1/models", &json!({"name": "made", "url": "http://127.0.0.1:9/v1", "secret": "db"})).await;
    assert_eq!(added.status, 201, "{added:?}");
    let mut packet = packet("scribe");
    packet["constraints"]["scope"] = json!(["fs.write:/reports/**", "model.call:*"]);
    let run = house.node.start_run(&house.operator, "scribe", &packet).await.expect("it begins");
    let mut agent = house.node.next_agent().await;
    agent.begin().await;
    let question = json!({"model": "made", "messages": [{"role": "user", "content": "hi"}]});
    let asked = house.node.runner().chat(Asking::Run(run.id().clone(), None), question).await;
    assert_eq!(asked.expect_err("nobody makes it").code, "SECRET_NOT_MADE");
    agent.exit(0);
    house.node.ended(run.id()).await;
    for _ in 0..FAILURES_BEFORE_ALERT {
        assert!(!firing(house).await.contains_key("secret-not-ended"), "it is told again by itself");
        assert_eq!(house.node.runner().end_made("roles").await.expect("a round").failed, 1);
        house.node.clock().advance_ms(MINUTE_MS);
    }
}

/// Makes what a rule is for.
async fn break_it(rule: &str, house: &mut House) -> Fault {
    let mut fault = Fault::default();
    let why = json!({"reason": "a trial"});
    match rule {
        "store-closed" => house.node.context().store.close(),
        "store-full" => {
            let bytes = std::fs::metadata(house.node.home().store()).expect("a store").len();
            house.reborn(with(|rules| rules.max_store_bytes = Some(bytes))).await;
        }
        "disk-low" => house.reborn(with(|rules| rules.disk_free_bytes = u64::MAX)).await,
        "head-behind" => {
            let before = house.node.kept_note();
            house.post("/v1/people", &json!({"name": "paul", "roles": ["viewer"]})).await;
            house.node.put_note(&before);
        }
        "policy-mistakes" => {
            own_policy(house, Some("permit (principal, action, resource) when { ;\n"));
            background(house).await;
        }
        "policy-errors" => {
            let sums = "@id(\"sums\")\n@description(\"Adds more than fits.\")\n\
                permit (principal, action == Action::\"fs.write\", resource) when { 9223372036854775807 + 1 > 0 };\n";
            own_policy(house, Some(sums));
            background(house).await;
            house.node.act(&house.operator, "scribe", "fs.write", "/a.md", b"x").await.expect_err("refused");
        }
        "many-denials" => {
            for _ in 0..3 {
                house.node.act(&house.viewer, "scribe", "fs.write", "/a.md", b"x").await.expect_err("refused");
                house.node.clock().advance_ms(MINUTE_MS + 1);
            }
        }
        "halted" => assert_eq!(house.post("/v1/node/halt", &why).await.status, 200),
        "run-stuck" => {
            let asked = json!({"agent": "scribe", "packet": packet("scribe").to_string()});
            let started = house.post("/v1/runs", &asked).await.json();
            fault.run = started["id"].as_str().map(str::to_owned);
            let _agent = house.node.next_agent().await;
            house.node.clock().advance_ms(121 * MINUTE_MS);
        }
        "effect-stuck" => {
            fault.effect = Some(effect(house, "intended").await);
            house.node.clock().advance_ms(16 * MINUTE_MS);
        }
        "effects-unknown" => {
            fault.effect = Some(effect(house, "publishing").await);
            house.reborn(calm()).await;
        }
        "no-sandbox" => {
            house.node.workers(Some(Workers::Sandboxed(PathBuf::from("/nowhere/steward"))));
            house.reborn(calm()).await;
        }
        "keystore-locked" => {
            let key = house.node.home().keys().join("keeper.key");
            std::fs::rename(&key, key.with_extension("away")).expect("it is there");
            house.reborn(calm()).await;
        }
        "breaker-open" => {
            let (url, is_up) = provider().await;
            let added = house.post("/v1/models", &json!({"name": "fast", "url": url})).await;
            assert_eq!(added.status, 201, "{added:?}");
            ask_until_it_is_left_alone(house).await;
            fault.provider = Some(is_up);
        }
        "background-silent" => {
            background(house).await;
            house.node.clock().advance_ms(MINUTE_MS + 1);
        }
        "log-lines-dropped" => {
            let logs = logs(house);
            house.reborn(Operations { logs: Some(logs.clone()), ..calm() }).await;
            let subscriber = tracing_subscriber::registry().with(logs.layer());
            tracing::subscriber::with_default(subscriber, || tracing::info!("nobody reads this"));
            logs.close();
            assert_eq!(logs.counts().dropped, 1);
            fault.logs = Some(logs);
        }
        "hook-failing" => {
            tell(house, "/nowhere/page").await;
            house.node.agent("architect", Tier::T4).await;
            let waits = house.node.act(&house.operator, "architect", "fs.write", "/plans/a.md", b"x").await;
            assert_eq!(waits.expect_err("it waits").code, "NEEDS_REVIEW");
            assert_eq!(tells(house).await.failed, 1);
        }
        "traces-failing" => {
            let collector = Collector::new();
            let receiver = Receiver::new(&collector.url(), Vec::new(), false).expect("a receiver");
            house.node.trace_to(Some(receiver));
            house.reborn(calm()).await;
            let begins = Sent { more: true, ..Sent::default() };
            assert!([begins, Sent::default()].contains(&sends(house).await), "it begins here");
            house.node.act(&house.operator, "scribe", "fs.write", "/plans/a.md", b"x").await.expect("it may");
            collector.answers([(503, "")]);
            assert!(sends(house).await.failed);
            fault.collector = Some(collector);
        }
        "secret-not-ended" => make_in_vain(house).await,
        "certificate-ending" | "certificate-unreadable" => {
            let certificate = Arc::new(Certificate::ending(house.node.now().plus_ms(90 * DAY_MS)));
            house.reborn(Operations { certificate: Some(Arc::clone(&certificate)), ..calm() }).await;
            if rule == "certificate-ending" {
                house.node.clock().advance_ms(80 * DAY_MS as i64);
            } else {
                certificate.not_replaced("the key is of another certificate".to_owned(), house.node.now());
            }
            fault.certificate = Some(certificate);
        }
        other => panic!("nothing here makes `{other}` fire"),
    }
    fault
}

/// Does what the rule's page says.
async fn mend_it(rule: &str, house: &mut House, fault: &Fault) {
    let why = json!({"reason": "a trial"});
    match rule {
        "store-closed" | "store-full" | "disk-low" => house.reborn(calm()).await,
        // The next thing that is recorded is signed, with all before it.
        "head-behind" => {
            house.post("/v1/people", &json!({"name": "petra", "roles": ["viewer"]})).await;
        }
        "policy-mistakes" => {
            own_policy(house, None);
            background(house).await;
        }
        "policy-errors" => {
            own_policy(house, None);
            background(house).await;
            house.node.clock().advance_ms(HOUR_MS + 1);
            background(house).await;
        }
        "many-denials" => house.node.clock().advance_ms(HOUR_MS + 1),
        "halted" => assert_eq!(house.post("/v1/node/resume", &why).await.status, 200),
        "run-stuck" => {
            let run = fault.run.as_deref().expect("a run");
            assert_eq!(house.post(&format!("/v1/runs/{run}/stop"), &why).await.status, 200);
            house.node.ended(&run.parse().expect("an id")).await;
        }
        // A restart settles what nobody works on.
        "effect-stuck" => house.reborn(calm()).await,
        "effects-unknown" => {
            let rita = house.node.person("rita", &[Role::Reviewer]).await;
            let id = fault.effect.as_ref().expect("an effect");
            let body = json!({"happened": false, "reason": "it is not there"});
            let path = format!("/v1/effects/{id}/resolve");
            let resolved = house.ask(Method::POST, &path, Some(&rita.token), Some(&body)).await;
            assert_eq!(resolved.status, 200, "{resolved:?}");
        }
        "no-sandbox" => {
            house.node.workers(None);
            house.reborn(calm()).await;
        }
        "keystore-locked" => {
            let key = house.node.home().keys().join("keeper.key");
            std::fs::rename(key.with_extension("away"), &key).expect("it is there");
            house.reborn(calm()).await;
        }
        "breaker-open" => {
            fault.provider.as_ref().expect("a provider").store(true, Ordering::SeqCst);
            house.node.clock().advance_ms(HOUR_MS);
            let asked = house.post("/v1/models/fast/test", &json!({})).await;
            assert_eq!(asked.status, 200, "{asked:?}");
        }
        "background-silent" => background(house).await,
        "log-lines-dropped" => house.node.clock().advance_ms(HOUR_MS + 1),
        "hook-failing" => {
            tell(house, "/bin/true").await;
            house.node.clock().advance_ms(MINUTE_MS);
            assert_eq!(tells(house).await.told, 1);
        }
        "traces-failing" => {
            house.node.clock().advance_ms(MINUTE_MS);
            assert_eq!(sends(house).await.sent, 1);
            assert_eq!(fault.collector.as_ref().expect("somebody").spans().len(), 2, "it was tried twice");
        }
        "secret-not-ended" => {
            generate(house, "/bin/true").await;
            assert_eq!(house.node.runner().end_made("roles").await.expect("a round").ended, 1);
        }
        "certificate-ending" | "certificate-unreadable" => {
            let certificate = fault.certificate.as_ref().expect("a certificate");
            certificate.replaced(house.node.now().plus_ms(90 * DAY_MS));
        }
        other => panic!("nothing here mends `{other}`"),
    }
}

#[tokio::test]
async fn every_rule_fires_by_its_evidence_and_is_over_when_it_is_mended() {
    for rule in RULES {
        let mut house = House::with(TestNode::new().await, calm()).await;
        assert_eq!(firing(&house).await.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "before {}", rule.name);
        let fault = break_it(rule.name, &mut house).await;
        let found = firing(&house).await;
        let alert = found.get(rule.name).unwrap_or_else(|| panic!("{} does not fire: {found:?}", rule.name));
        let text = |field: &str| alert[field].as_str().unwrap_or_default();
        assert_eq!((text("severity"), text("part"), text("mend")), (rule.severity, rule.part, rule.mend));
        assert!(!text("evidence").is_empty() && !text("since").is_empty(), "{alert}");
        assert_eq!(found.keys().collect::<Vec<_>>(), [rule.name], "{} and nothing else", rule.name);
        if let Some(about) = &fault.run {
            assert_eq!(alert["about"], Value::from(about.as_str()));
        }
        mend_it(rule.name, &mut house, &fault).await;
        let left = firing(&house).await;
        assert!(!left.contains_key(rule.name), "{} is not over: {left:?}", rule.name);
    }
}
