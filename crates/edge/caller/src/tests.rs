//! Against a node made of a table of answers.

use std::{
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use steward_wire::{
    AddModel, AddTool, AllowTool, CreateKey, Login, Reason, ResolveEffect, SearchQuery, SetBudget, StartRun,
};

use crate::{ActionQuery, CallError, Caller, EffectQuery, RunQuery, Secret, call::MAX_RESPONSE_BYTES};

/// A server that gives everyone the same answer and remembers what it was asked.
struct Fake {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Answer = (StatusCode, Vec<u8>);

impl Fake {
    async fn answering(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer: Answer = (StatusCode::from_u16(status).unwrap(), body.into());
        let router = Router::new().fallback(answer_all).with_state((asked.clone(), answer));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, server }
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.address, Some(Secret::new(" stw_secret\n"))).unwrap()
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().join("\n")
    }
}

async fn answer_all(
    State((asked, answer)): State<(Arc<Mutex<Vec<String>>>, Answer)>,
    request: Request,
) -> Response<Body> {
    let header = |name: &str| request.headers().get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
    let line = format!("{} {} {}", request.method(), request.uri(), header("authorization"));
    asked.lock().unwrap().push(line);
    Response::builder().status(answer.0).header("location", "/elsewhere").body(Body::from(answer.1)).unwrap()
}

#[tokio::test]
async fn a_request_carries_the_key_and_the_query() {
    let fake = Fake::answering(200, r#"{"entries":[],"unknown":1}"#).await;
    let query = SearchQuery { actor: Some("agent scribe & co".into()), limit: Some(3), ..SearchQuery::default() };
    assert!(fake.caller().entries(&query).await.unwrap().entries.is_empty());
    assert_eq!(fake.asked(), "GET /v1/ledger/entries?actor=agent+scribe+%26+co&limit=3 Bearer stw_secret");
}

#[tokio::test]
async fn names_stay_within_their_segment() {
    let fake = Fake::answering(404, "").await;
    let caller = fake.caller();
    for name in ["a/../../people", "a?b=c", "a%2Fb", "ä#"] {
        assert!(matches!(caller.agent(name).await, Err(CallError::Unreadable(_))), "{name}");
    }
    for name in ["", ".", ".."] {
        assert!(matches!(caller.agent(name).await, Err(CallError::Malformed { .. })), "{name}");
    }
    assert_eq!(
        fake.asked(),
        "GET /v1/agents/a%2F..%2F..%2Fpeople Bearer stw_secret\n\
         GET /v1/agents/a%3Fb=c Bearer stw_secret\n\
         GET /v1/agents/a%252Fb Bearer stw_secret\n\
         GET /v1/agents/%C3%A4%23 Bearer stw_secret"
    );
}

#[tokio::test]
async fn a_problem_is_a_refusal() {
    let problem =
        r#"{"type":"urn:steward:error:NOT_PERMITTED","title":"t","status":403,"code":"NOT_PERMITTED","detail":"d"}"#;
    let fake = Fake::answering(403, problem).await;
    let refused = fake.caller().people().await.unwrap_err();
    assert_eq!(refused.code(), Some("NOT_PERMITTED"));
    assert_eq!(refused.to_string(), "d (NOT_PERMITTED)");
    // The same words under another status are not a node's.
    let fake = Fake::answering(500, problem).await;
    assert!(matches!(fake.caller().people().await, Err(CallError::Unreadable(_))));
}

#[tokio::test]
async fn other_answers_are_unreadable() {
    for (status, body) in [(200, "<html>"), (200, "{}"), (302, "{}"), (502, "gateway")] {
        let fake = Fake::answering(status, body).await;
        let unreadable = fake.caller().ledger_vkey().await.unwrap_err();
        assert!(matches!(unreadable, CallError::Unreadable(_)), "{status} {body}: {unreadable}");
        assert_eq!(fake.asked().lines().count(), 1, "no redirect is followed");
    }
    let fake = Fake::answering(200, vec![b' '; MAX_RESPONSE_BYTES + 1]).await;
    let too_large = fake.caller().checkpoint().await.unwrap_err().to_string();
    assert!(too_large.contains("more than"), "{too_large}");
}

#[tokio::test]
async fn an_export_is_read_to_its_end() {
    let fake = Fake::answering(200, "a\n".repeat(500_000)).await;
    let query = steward_wire::ExportQuery { view: None, format: "jsonl".into() };
    let mut export = fake.caller().export(&query).await.unwrap();
    let (mut bytes, mut pieces) = (0, 0);
    while let Some(piece) = export.next().await.unwrap() {
        bytes += piece.len();
        pieces += 1;
    }
    assert_eq!(bytes, 1_000_000);
    assert!(pieces > 1);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let caller = Caller::new(&address, None).unwrap();
    let unreachable = caller.actions(&ActionQuery::default()).await.unwrap_err();
    assert!(matches!(unreachable, CallError::Unreachable { .. }), "{unreachable}");
    assert!(unreachable.to_string().contains("refused"), "{unreachable}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unreachable() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").unwrap();
    });
    let broken = Caller::new(&address, None).unwrap().people().await.unwrap_err();
    assert!(matches!(broken, CallError::Unreachable { .. }), "{broken}");
    server.join().unwrap();
}

#[test]
fn addresses_and_keys_that_cannot_be_are_refused_and_keys_never_shown() {
    for address in ["", "127.0.0.1:7878", "https://127.0.0.1:1/x", "file:///etc/passwd", "http://127.0.0.1:1/x?y"] {
        assert!(matches!(Caller::new(address, None), Err(CallError::Malformed { .. })), "{address}");
    }
    assert!(Caller::new("https://127.0.0.1:1", None).is_ok());
    let none = Caller::trusting("https://127.0.0.1:1", None, Some(b"no certificate"));
    assert!(matches!(none, Err(CallError::Malformed { .. })), "{none:?}");
    let refused = Caller::new("http://127.0.0.1:1", Some(Secret::new("stw_a\r\nx: y"))).unwrap_err();
    assert!(!format!("{refused:?} {refused}").contains("stw_a"));
    let caller = Caller::new("http://127.0.0.1:1", Some(Secret::new("stw_hidden"))).unwrap();
    assert!(!format!("{caller:?}").contains("hidden"));
    assert!(format!("{caller:?}").contains("***"));
}

#[tokio::test]
async fn posts_send_only_what_was_said() {
    let fake = Fake::answering(200, "{}").await;
    let caller = fake.caller();
    assert!(caller.login(&Login { label: "l".into() }).await.is_err());
    assert!(caller.create_key(&CreateKey::default()).await.is_err());
    assert_eq!(fake.asked(), "POST /v1/login Bearer stw_secret\nPOST /v1/keys Bearer stw_secret");
}

#[tokio::test]
async fn the_routes_of_runs_are_asked_as_they_are_written() {
    let fake = Fake::answering(200, "[]").await;
    let caller = fake.caller();
    let reason = Reason { reason: "r".into() };
    let query = RunQuery { agent: Some("scribe".into()), live: Some(true), ..RunQuery::default() };
    assert!(caller.start_run(&StartRun::default()).await.is_err());
    assert!(caller.runs(&query).await.is_err());
    assert!(caller.run("run_1", None).await.is_err());
    assert!(caller.run("run_1", Some(7)).await.is_err());
    assert!(caller.stop_run("run_1", &reason).await.is_err());
    assert!(caller.evidence("run_1").await.is_err());
    assert!(caller.revoke_agent("scribe", &reason).await.is_err());
    assert!(caller.reinstate_agent("scribe", &reason).await.is_err());
    assert!(caller.handoff("design").await.is_err());
    assert!(caller.effects(&EffectQuery { status: Some("unknown".into()), run: None }).await.is_err());
    assert!(caller.resolve_effect("act_1", &ResolveEffect { happened: true, reason: "r".into() }).await.is_err());
    assert!(caller.state("agent:*:state").await.is_err());
    assert!(caller.halt(&reason).await.is_err());
    assert!(caller.resume(&reason).await.is_err());
    let asked = fake.asked().replace(" Bearer stw_secret", "");
    assert_eq!(
        asked.lines().collect::<Vec<_>>(),
        [
            "POST /v1/runs",
            "GET /v1/runs?agent=scribe&live=true",
            "GET /v1/runs/run_1",
            "GET /v1/runs/run_1?after=7",
            "POST /v1/runs/run_1/stop",
            "GET /v1/runs/run_1/evidence",
            "POST /v1/agents/scribe/revoke",
            "POST /v1/agents/scribe/reinstate",
            "GET /v1/tasks/design/handoff",
            "GET /v1/effects?status=unknown",
            "POST /v1/effects/act_1/resolve",
            "GET /v1/state?match=agent%3A*%3Astate",
            "POST /v1/node/halt",
            "POST /v1/node/resume",
        ]
    );
}

#[tokio::test]
async fn the_routes_of_tools_and_models_are_asked_as_they_are_written() {
    let fake = Fake::answering(200, "[]").await;
    let caller = fake.caller();
    assert!(caller.tools().await.is_err());
    assert!(caller.add_tool(&AddTool::default()).await.is_err());
    assert!(caller.tool("files").await.is_err());
    assert!(caller.pin_tool("files").await.is_err());
    assert!(caller.allow_tool("files", &AllowTool::default()).await.is_err());
    assert!(caller.remove_tool("files").await.is_err());
    assert!(caller.models().await.is_err());
    assert!(caller.add_model(&AddModel::default()).await.is_err());
    assert!(caller.test_model("fast").await.is_err());
    assert!(caller.remove_model("fast").await.is_err());
    assert!(caller.budgets().await.is_err());
    assert!(caller.set_budget(&SetBudget::default()).await.is_err());
    assert!(caller.usage("month").await.is_err());
    let asked = fake.asked().replace(" Bearer stw_secret", "");
    assert_eq!(
        asked.lines().collect::<Vec<_>>(),
        [
            "GET /v1/tools",
            "POST /v1/tools",
            "GET /v1/tools/files",
            "POST /v1/tools/files/pin",
            "POST /v1/tools/files/allow",
            "POST /v1/tools/files/remove",
            "GET /v1/models",
            "POST /v1/models",
            "POST /v1/models/fast/test",
            "POST /v1/models/fast/remove",
            "GET /v1/budgets",
            "POST /v1/budgets",
            "GET /v1/usage?per=month",
        ]
    );
}
