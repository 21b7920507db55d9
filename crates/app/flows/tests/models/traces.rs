//! What agents did is sent as spans: each once it ended, in the trace of whoever asked, and nothing of what was said.

use serde_json::{Value, json};
use steward_app_flows::{reviews, runs::NewRun};
use steward_app_node::Caller;
use steward_app_secrets::Value as Holds;
use steward_app_traces::{MAX_ENTRIES, Receiver, Round, TracesView};
use steward_ledger::kind;
use steward_permit::{Role, Tier};
use steward_policy::Source;
use steward_seal::secret::Secret;
use steward_testkit::{Collector, Known, SpanSeen, TestNode};

use crate::{
    common::{ask, end, entries, everything, model, question, settled},
    provider::{Provider, Reply, said},
};

const HOUR_MS: i64 = 3_600_000;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ASKED: &str = "00f067aa0ba902b7";

fn to(collector: &Collector, headers: &[(&str, &str)]) -> Receiver {
    let headers = headers.iter().map(|(name, secret)| ((*name).to_owned(), secret.parse().expect("a label"))).collect();
    Receiver::new(&collector.url(), headers, false).expect("a receiver")
}

/// A node that sends spans there from here on, an operator, and an agent that thinks and writes.
async fn house(receiver: Receiver) -> (TestNode, Known) {
    let node = TestNode::builder().traces(receiver).start().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("thinker", Tier::T1).await;
    node.act(&olivia, "thinker", "fs.write", "/plans/before.md", b"x").await.expect("it may");
    assert_eq!(round(&node).await, Round::default(), "it begins here");
    (node, olivia)
}

/// Rounds until there is nothing to do, or it is put off.
async fn round(node: &TestNode) -> Round {
    let mut all = Round::default();
    loop {
        let one = node.runner().traces.round(node.context(), node.runner().keeper()).await.expect("a round");
        all = Round { sent: all.sent + one.sent, dropped: all.dropped + one.dropped, failed: one.failed, more: false };
        if !one.more {
            return all;
        }
    }
}

fn sent(sent: u64, dropped: u64) -> Round {
    Round { sent, dropped, ..Round::default() }
}

fn view(node: &TestNode) -> TracesView {
    node.runner().traces.view(node.context()).expect("it reads")
}

fn packet(agent: &str, scope: &[&str]) -> Value {
    json!({
        "agent_id": agent, "task_id": "think", "created_for": "olivia", "objective": "Think of the needle.", "deliverables": [],
        "constraints": {"scope": scope}, "success_criteria": [], "created_at": "2026-11-20T09:00:00.000Z",
    })
}

async fn write(node: &TestNode, olivia: &Known) {
    node.act(olivia, "thinker", "fs.write", "/plans/needle.md", b"needle").await.expect("it may");
}

fn named<'a>(spans: &'a [SpanSeen], name: &str) -> &'a SpanSeen {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no `{name}` in {:?}", names(spans)));
    assert!(found.next().is_none(), "`{name}` twice in {:?}", names(spans));
    first
}

fn names(spans: &[SpanSeen]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn what_a_run_did_is_told_in_the_trace_of_whoever_started_it() {
    let collector = Collector::new();
    let (node, olivia) = house(to(&collector, &[])).await;
    node.agent("second", Tier::T1).await;
    let provider = Provider::start(|_, _, _| Reply::Json(200, said("the needle", 10, 5))).await;
    model(&node, "fast", &provider, |new| new.secret = None).await;
    let caller = Caller { joins: Some(format!("00-{TRACE}-{ASKED}-01")), ..node.again(&olivia) };
    let scope = ["model.call:fast", "fs.write:/reports/**"];
    let new = NewRun {
        agent: "thinker".to_owned(),
        packet: Some(packet("thinker", &scope).to_string()),
        ..NewRun::default()
    };
    let run = node.runner().start(&caller, new).await.expect("it begins");
    let mut agent = node.next_agent().await;
    agent.begin().await;
    agent
        .call(
            "submit_plan",
            json!({"summary": "Think.", "steps": [{"step": "think", "action": "fs.write:/reports/needle.md"}]}),
        )
        .await;
    ask(&node, run.id(), question("fast")).await.expect("an answer");
    agent.call("fs.write", json!({"path": "/reports/needle.md", "content": "needle"})).await;
    assert_eq!(agent.refused("fs.write", json!({"path": "/src/needle.rs", "content": "x"})).await, "OUT_OF_SCOPE");
    let mut narrow = packet("second", &["fs.write:/reports/**"]);
    narrow["error_budget"] = json!({"max_total_errors": 2, "max_same_error_repeats": 1, "max_procedure_violations": 1});
    let below = NewRun {
        agent: "second".to_owned(),
        packet: Some(narrow.to_string()),
        parent: Some(run.id().clone()),
        ..NewRun::default()
    };
    let below = node.runner().start(&node.again(&olivia), below).await.expect("it begins");
    let mut child = node.next_agent().await;
    child.begin().await;
    end(&node, below.id(), &child).await;
    settled(&node).await;
    assert_eq!(round(&node).await.sent, 4, "what ended, and nothing else");
    agent.call("finish", json!({})).await;
    end(&node, run.id(), &agent).await;
    assert_eq!(round(&node).await, sent(1, 0));
    assert_eq!(round(&node).await, Round::default(), "once");

    let requests = collector.requests();
    assert!(requests.iter().all(|request| request.head.starts_with("POST /v1/traces HTTP/1.1\r\n")));
    for hidden in ["needle", "\"hi\"", "Think", "/reports"] {
        let all =
            serde_json::to_string(&requests.iter().map(|request| &request.body).collect::<Vec<_>>()).expect("JSON");
        assert!(!all.contains(hidden), "{hidden}: {all}");
    }
    let resource = &requests[0].body["resourceSpans"][0]["resource"]["attributes"];
    assert!(resource.to_string().contains("acme.internal") && resource.to_string().contains("service.version"));

    let spans: Vec<SpanSeen> = requests.iter().flat_map(|request| Collector::seen(&request.body)).collect();
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    let whole = named(&spans, "invoke_agent thinker");
    assert_eq!((whole.parent.as_str(), whole.says("gen_ai.operation.name").as_deref()), (ASKED, Some("invoke_agent")));
    assert_eq!(whole.says("steward.run.id").as_deref(), Some(run.id().as_str()));
    assert_eq!((whole.says("steward.ending").as_deref(), whole.whole.get("status")), (Some("completed"), None));
    let events = whole.whole["events"].as_array().expect("events");
    let phases: Vec<_> = events
        .iter()
        .filter(|event| event["name"] == "phase")
        .map(|event| &event["attributes"][1]["value"]["stringValue"])
        .collect();
    assert_eq!(phases, ["PREFLIGHT", "PLAN", "EXECUTE", "VERIFY", "PACKAGE", "REPORT"]);
    let chat = named(&spans, "chat upstream-model");
    assert_eq!((&chat.parent, chat.whole["kind"].as_u64()), (&whole.id, Some(3)));
    let tokens =
        ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"].map(|name| chat.says(name).expect("counted"));
    assert_eq!(tokens, ["10", "5"]);
    let called =
        ["gen_ai.request.model", "steward.model", "gen_ai.provider.name"].map(|name| chat.says(name).expect("said"));
    assert_eq!(called, ["upstream-model", "fast", "openai"]);
    let (wrote, refused): (Vec<_>, Vec<_>) = spans
        .iter()
        .filter(|span| span.name == "execute_tool fs.write")
        .partition(|span| span.whole.get("status").is_none());
    assert_eq!((wrote.len(), refused.len()), (1, 1));
    assert_eq!(wrote[0].says("steward.policies").as_deref(), Some("T1/write-reports"));
    assert_eq!(
        (refused[0].says("error.type").as_deref(), refused[0].says("steward.decision").as_deref()),
        (Some("OUT_OF_SCOPE"), Some("deny"))
    );
    assert!(wrote.iter().chain(&refused).all(|span| span.parent == whole.id));
    let under = named(&spans, "invoke_agent second");
    assert_eq!((&under.parent, under.says("steward.run.parent").as_deref()), (&whole.id, Some(run.id().as_str())));
    assert!(under.whole["status"]["code"] == 2 && under.says("error.type").is_some(), "{under:?}");
    // From a span one finds its entry, and the other way round.
    let entry: u64 = wrote[0].says("steward.entry").expect("an entry").parse().expect("a number");
    let found = node.context().store.read(|reader| reader.entry(entry)).expect("it reads").expect("there is one");
    assert_eq!((found.kind.as_str(), Some(found.subject)), (kind::ACTION_SETTLED, wrote[0].says("steward.action.id")));
}

#[tokio::test]
async fn what_nobody_joins_has_a_trace_of_its_own_and_waiting_for_a_person_is_a_span() {
    let collector = Collector::new();
    let (node, olivia) = house(to(&collector, &[])).await;
    write(&node, &olivia).await;
    round(&node).await;
    let alone = collector.spans().remove(0);
    let trace = alone.says("steward.trace").expect("the node's own").parse::<steward_naming::TraceId>().expect("an id");
    assert_eq!((alone.trace.clone(), alone.parent.as_str()), (format!("{:032x}", trace.to_bits()), ""));
    let action = alone.says("steward.action.id").expect("an id").parse::<steward_naming::ActionId>().expect("an id");
    assert_eq!(alone.id, format!("{:016x}", action.to_bits() & u128::from(u64::MAX)));

    // An architect's write waits for a person, and that is a span.
    node.agent("architect", Tier::T4).await;
    let rita = node.person("rita", &[Role::Reviewer]).await;
    let error = node.act(&olivia, "architect", "fs.write", "/plans/needle.md", b"x").await.expect_err("it waits");
    let review = error.review.as_deref().cloned().expect("a review");
    node.clock().advance_ms(HOUR_MS);
    reviews::approve(node.runner(), &node.again(&rita), &review, "needle").await.expect("a reviewer");
    round(&node).await;
    let spans = collector.spans();
    assert_eq!(names(&spans), ["review action"]);
    let waited = named(&spans, "review action");
    assert_eq!(waited.says("steward.review.outcome").as_deref(), Some("approved"));
    let at = |name: &str| waited.whole[name].as_str().and_then(|at| at.parse::<i128>().ok()).expect("a time");
    assert_eq!(at("endTimeUnixNano") - at("startTimeUnixNano"), i128::from(HOUR_MS) * 1_000_000);
    // That it is used is no second end of it.
    node.act(&olivia, "architect", "fs.write", "/plans/needle.md", b"x").await.expect("it was approved");
    round(&node).await;
    assert_eq!(names(&collector.spans()), ["execute_tool fs.write"]);
    // Nobody waits any more.
    node.act(&olivia, "architect", "fs.write", "/plans/b.md", b"x").await.expect_err("it waits");
    node.runner().revoke(&node.again(&olivia), "architect", "enough").await.expect("revoked");
    round(&node).await;
    let voided = collector.spans().remove(0);
    assert_eq!(
        (voided.name.as_str(), voided.says("steward.review.outcome").as_deref()),
        ("review action", Some("voided"))
    );

    // What was refused was named by whoever asked.
    node.act(&olivia, "thinker", "needle-0123", "x", b"x").await.expect_err("no such action");
    round(&node).await;
    let refused = collector.spans().remove(0);
    assert_eq!((refused.name.as_str(), refused.whole.to_string().contains("needle")), ("execute_tool unknown", false));
    node.act(&olivia, "thinker", "tool.call", "needle/say", b"x").await.expect_err("there is no such tool");
    round(&node).await;
    let refused = collector.spans().remove(0);
    assert_eq!(
        (refused.name.as_str(), refused.whole.to_string().contains("needle")),
        ("execute_tool tool.call", false)
    );
}

#[tokio::test]
async fn a_receiver_that_is_away_is_sent_the_same_later() {
    let collector = Collector::new();
    let (node, olivia) = house(to(&collector, &[])).await;
    let size = |node: &TestNode| node.context().store.read(|reader| reader.size()).expect("it reads");
    write(&node, &olivia).await;
    let script = [(503, "retry-after: 7\n\n"), (0, ""), (401, ""), (404, "")];
    collector.answers(script);
    let mut first = None;
    for (n, wait_s) in [7, 10, 30, 60].into_iter().enumerate() {
        assert!(round(&node).await.failed, "{n}");
        let spans = collector.spans();
        assert_eq!(first.get_or_insert_with(|| spans.clone()), &spans, "the same spans each time");
        let seen = view(&node).row.expect("a row");
        assert_eq!(
            (seen.attempts, seen.sent, seen.next_at),
            (n as u64 + 1, 0, Some(node.now().plus_ms(wait_s * 1_000)))
        );
        assert!(seen.failing_since.is_some() && seen.why.is_some());
        let before = size(&node);
        node.clock().advance_ms(i64::try_from(wait_s).expect("not that long") * 1_000 - 1);
        assert_eq!(round(&node).await, Round::default(), "not before its time");
        assert_eq!(size(&node), before, "and nothing is recorded for waiting");
        node.clock().advance_ms(1);
    }
    write(&node, &olivia).await;
    assert_eq!(round(&node).await, sent(2, 0));
    let row = view(&node).row.expect("a row");
    assert_eq!((row.attempts, row.failing_since, row.next_at, row.why), (0, None, None, None));
    let before = size(&node);
    assert_eq!(round(&node).await, Round::default());
    assert_eq!((size(&node), view(&node).behind), (before, 0), "what is sent is no news");
    let settled = entries(&node, kind::TRACES_SETTLED);
    assert_eq!(settled.iter().filter(|body| body.outcome.as_ref().is_some_and(|o| !o.success)).count(), 4);
}

#[tokio::test]
async fn what_a_receiver_does_not_take_is_dropped_and_counted() {
    let collector = Collector::new();
    let (node, olivia) = house(to(&collector, &[])).await;
    write(&node, &olivia).await;
    write(&node, &olivia).await;
    collector.answers([(200, r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"one is odd"}}"#)]);
    assert_eq!(round(&node).await, sent(1, 1));
    let row = view(&node).row.expect("a row");
    assert!(row.why.is_some_and(|why| why.contains("one is odd")) && row.dropped_at.is_some());
    // Wrong, or too many: in ever smaller parts, and what is wrong by itself is dropped.
    for _ in 0..4 {
        write(&node, &olivia).await;
    }
    collector.answers([(413, ""), (200, ""), (400, ""), (422, "")]);
    for (failed, so_far, width) in [(true, 1, 2), (true, 3, 1), (false, 4, 2)] {
        node.clock().advance_ms(5_000);
        let one = round(&node).await;
        let row = view(&node).row.expect("a row");
        assert_eq!((one.failed, row.sent, row.width), (failed, so_far, width), "{row:?}");
    }
    assert_eq!(view(&node).row.expect("a row").dropped, 2);
    write(&node, &olivia).await;
    assert_eq!(round(&node).await, sent(1, 0), "it goes on behind it");
    collector.requests();

    // What waited for longer than a day.
    write(&node, &olivia).await;
    node.clock().advance_ms(24 * HOUR_MS + 1);
    write(&node, &olivia).await;
    assert_eq!(round(&node).await, sent(1, 1));
    write(&node, &olivia).await;
    node.clock().advance_ms(24 * HOUR_MS + 1);
    assert_eq!(round(&node).await, sent(0, 1));
    assert_eq!(collector.spans().len(), 1);
    assert_eq!(view(&node).row.expect("a row").dropped, 4);

    // A receiver that breaks on one for ever keeps nothing else from being sent for ever.
    write(&node, &olivia).await;
    collector.answers([(500, ""); 13]);
    for _ in 0..12 {
        assert!(round(&node).await.failed);
        node.clock().advance_ms(300_000);
    }
    assert_eq!(round(&node).await, sent(0, 1));
}

#[tokio::test]
async fn headers_hold_secrets_that_stand_nowhere_else() {
    let collector = Collector::new();
    let receiver = to(&collector, &[("Authorization", "otlp-token")]);
    let (node, olivia) = house(receiver).await;
    write(&node, &olivia).await;
    assert!(round(&node).await.failed, "there is no such secret");
    assert!(view(&node).row.and_then(|row| row.why).is_some_and(|why| why.contains("otlp-token")));
    assert_eq!(collector.requests().len(), 0);
    let token = "Bearer 0123456789-of-the-collector";
    let value = Holds::Given(Secret::new(token));
    node.runner().put_secret(&node.admin().await, "otlp-token", &value).await.expect("put");
    node.clock().advance_ms(5_000);
    assert_eq!(round(&node).await.sent, 1);
    let head = collector.requests().remove(0).head;
    assert!(head.contains(&format!("authorization: {token}\r\n")), "{head}");
    let sending = entries(&node, kind::TRACES_SENDING);
    assert_eq!(sending[0].detail["secrets"], json!({"otlp-token": "1"}));
    // Whoever is sent it may say it.
    write(&node, &olivia).await;
    let part = &token["Bearer ".len()..];
    let says = format!(r#"{{"partialSuccess":{{"rejectedSpans":"1","errorMessage":"bad token {part} given"}}}}"#);
    collector.answers([(200, says.as_str())]);
    assert_eq!(round(&node).await, sent(0, 1));
    assert!(
        view(&node).row.and_then(|row| row.why).is_some_and(|why| why.contains("bad token") && !why.contains(part))
    );
    let all = everything(&node);
    assert!(!all.windows(part.len()).any(|window| window == part.as_bytes()));
    for (address, headers, why) in [
        ("ftp://x/", vec![], "begins with"),
        ("collector:4317", vec![], "begins with"),
        ("http://127.0.0.1:4318/?a=b", vec![], "query"),
        ("http://127.0.0.1:4318", vec![("content-type", "a")], "what is sent how"),
        ("http://127.0.0.1:4318", vec![("a b", "a")], "no name"),
        ("http://127.0.0.1:4318", vec![("a", "a"), ("A", "b")], "twice"),
    ] {
        let headers =
            headers.iter().map(|(name, secret)| ((*name).to_owned(), secret.parse().expect("a label"))).collect();
        let error = Receiver::new(address, headers, false).expect_err("it is none");
        assert!(error.contains(why), "{address}: {error}");
    }
}

#[tokio::test]
async fn a_policy_that_forbids_it_keeps_everything_here() {
    let collector = Collector::new();
    let node = TestNode::builder().traces(to(&collector, &[])).with(|sources| {
        let text = "@id(\"no-spans\")\n@description(\"Nothing leaves.\")\nforbid (principal, action == Action::\"trace.export\", resource);\n";
        sources.policies.push(Source { name: "own.cedar".to_owned(), text: text.to_owned() });
    });
    let node = node.start().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("thinker", Tier::T1).await;
    round(&node).await;
    write(&node, &olivia).await;
    assert!(round(&node).await.failed);
    assert!(view(&node).row.is_some_and(|row| row.failing_since.is_some() && row.sent == 0));
    assert_eq!(collector.requests().len(), 0);
}

#[tokio::test]
async fn what_is_only_decided_is_named_by_whoever_asks() {
    let collector = Collector::new();
    let node = TestNode::builder().traces(to(&collector, &[])).with(|sources| {
        let text = "@id(\"any-tool\")\n@description(\"Enforced elsewhere.\")\npermit (principal is Agent, action == Action::\"tool.call\", resource);\n";
        sources.policies.push(Source { name: "own.cedar".to_owned(), text: text.to_owned() });
    });
    let node = node.start().await;
    node.agent("thinker", Tier::T1).await;
    let own = node.agent_key("thinker").await;
    round(&node).await;
    let asked = steward_app_actions::Asked {
        action: "tool.call".to_owned(),
        resource: "needle/say".to_owned(),
        ..steward_app_actions::Asked::default()
    };
    let decided = steward_app_actions::decide(node.context(), &node.again(&own), asked).await.expect("decided");
    assert!(decided.denied.is_none(), "{decided:?}");
    round(&node).await;
    let seen = collector.spans().remove(0);
    assert_eq!((seen.name.as_str(), seen.whole.to_string().contains("needle")), ("execute_tool tool.call", false));
}

#[tokio::test]
async fn much_is_sent_in_parts_and_over_a_restart() {
    let collector = Collector::new();
    let (mut node, olivia) = house(to(&collector, &[])).await;
    for _ in 0..MAX_ENTRIES + 1 {
        write(&node, &olivia).await;
    }
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!(round(&node).await.sent, MAX_ENTRIES + 1);
    let parts: Vec<usize> = collector.requests().iter().map(|request| Collector::seen(&request.body).len()).collect();
    assert_eq!(parts, [MAX_ENTRIES as usize, 1]);
    // Nobody is sent anything any more, and later somebody is again: what happened meanwhile is sent, if it is not too old.
    node.trace_to(None);
    node.restart().await;
    assert_eq!(view(&node).to, None);
    write(&node, &olivia).await;
    node.trace_to(Some(to(&collector, &[])));
    node.restart().await;
    assert_eq!(round(&node).await, sent(1, 0));
    // Another receiver begins anew, and owes nothing to the one before.
    write(&node, &olivia).await;
    collector.answers([(503, "retry-after: 3000\n\n")]);
    assert!(round(&node).await.failed);
    let other = Collector::new();
    node.trace_to(Some(to(&other, &[])));
    node.restart().await;
    assert_eq!((round(&node).await, view(&node).row.map(|row| row.attempts)), (Round::default(), Some(0)));
    write(&node, &olivia).await;
    assert_eq!(round(&node).await, sent(1, 0));
    assert_eq!(other.spans().len(), 1);
    // Who restarts a node does not want to wait for what failed before.
    write(&node, &olivia).await;
    other.answers([(503, "retry-after: 3000\n\n")]);
    assert!(round(&node).await.failed);
    assert_eq!(round(&node).await, Round::default(), "it is put off");
    node.restart().await;
    assert_eq!(round(&node).await, sent(1, 0));
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_keeps_nothing_from_being_sent() {
    let collector = Collector::new();
    let (mut node, olivia) = house(to(&collector, &[])).await;
    node.expect_damage();
    for _ in 0..3 {
        write(&node, &olivia).await;
    }
    let store = node.home().store();
    node.kill();
    let sql = rusqlite::Connection::open(&store).expect("it opens");
    let settled = "SELECT max(seq) FROM ledger_entry WHERE kind = 'action.settled'";
    let changed = sql.execute(&format!("UPDATE ledger_entry SET body = '{{\"x\":1}}' WHERE seq = ({settled})"), []);
    assert_eq!(changed.expect("changed"), 1);
    drop(sql);
    node.revive().await.expect("it starts");
    assert_eq!(round(&node).await, sent(2, 0));
    write(&node, &olivia).await;
    assert_eq!(round(&node).await, sent(1, 0));
}
