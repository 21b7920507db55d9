//! The doors of the API, on the real router and a real embedded node: who may come in where, what is turned away and how.

mod alerts;
mod authorization;
mod description;
mod nonsense;
mod operations;
mod refusals;
mod requests;
mod reviews;
mod runs;
mod tools;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::Value;
use steward_api::{Node, NodeParts, Operations, Peer, router};
use steward_app_hooks::{Event, Hook, To};
use steward_identity::IssuerSettings;
use steward_permit::{Role, Tier};
use steward_testkit::{Known, TestNode};
use tower::ServiceExt as _;

/// The name under which the node is asked.
const HOST: &str = "127.0.0.1:7878";

/// An issuer that nobody asks.
const ISSUER: &str = "https://id.example.org";

/// The most bytes of an answer that a test reads.
const MAX_ANSWER: usize = 16 << 20;

/// A node, its router, and people and agents with keys.
struct House {
    /// Dropped first: it asserts that nothing is left over.
    node: TestNode,
    /// What the router serves.
    served: Arc<Node>,
    router: Router,
    operator: Known,
    viewer: Known,
    agent: Known,
    /// A key that was revoked.
    revoked: Known,
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of a refusal, which is a problem document and says nothing of the inside.
    #[track_caller]
    fn code(&self) -> String {
        let problem = self.json();
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{problem}");
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        let code = problem["code"].as_str().expect("a code").to_owned();
        assert_eq!(problem["type"], format!("urn:steward:error:{code}"));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        code
    }
}

/// A node as it is served.
fn serve(node: &TestNode, operations: Operations) -> (Arc<Node>, Router) {
    let parts = NodeParts {
        context: Arc::clone(&node.opened().context),
        runner: Arc::clone(node.runner()),
        home: node.home().clone(),
        version: "0.0.0",
        authorities: vec![HOST.to_owned(), "localhost:7878".to_owned()],
        demo: false,
    };
    let served = Arc::new(Node::new(parts).operated(operations));
    let router = router(Arc::clone(&served));
    (served, router)
}

impl House {
    async fn new() -> Self {
        Self::operated(Operations::default()).await
    }

    /// A house whose node is operated so.
    async fn operated(operations: Operations) -> Self {
        let issuer =
            IssuerSettings { url: ISSUER.to_owned(), client: "steward".to_owned(), ..IssuerSettings::default() };
        let to = To::Command(vec!["/bin/true".to_owned()]);
        let hook = Hook { name: "chat".parse().expect("a label"), to, events: Event::ALL.to_vec() };
        Self::with(TestNode::builder().issuer(issuer).hook(hook).start().await, operations).await
    }

    /// A house of this node.
    async fn with(node: TestNode, operations: Operations) -> Self {
        let operator = node.person("olivia", &[Role::Admin, Role::Operator]).await;
        let viewer = node.person("vera", &[Role::Viewer]).await;
        node.agent("scribe", Tier::T1).await;
        let agent = node.agent_key("scribe").await;
        let revoked = node.key(&operator, &[steward_permit::Scope::All], false).await;
        node.revoke(&revoked).await.expect("it can be revoked");
        let (served, router) = serve(&node, operations);
        Self { node, served, router, operator, viewer, agent, revoked }
    }

    /// The node dies and is started again, operated so.
    async fn reborn(&mut self, operations: Operations) {
        self.node.kill();
        self.node.revive().await.expect("it starts");
        (self.served, self.router) = serve(&self.node, operations);
    }

    /// Asks from an address, as somebody who has this key, or none.
    async fn ask_from(
        &self,
        from: &str,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.header(header::CONTENT_TYPE, "application/json").body(body).expect("a request");
        request.extensions_mut().insert(Peer(from.parse().expect("an address")));
        self.send(request).await
    }

    /// Sends exactly this. Whatever is answered is what the description says.
    async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.expect("a router does not fail");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, MAX_ANSWER).await.expect("an answer").to_vec();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        description::assert_described(&method, &path, &answer);
        answer
    }

    /// Asks as somebody who has this key, or none.
    async fn ask(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).expect("a request")).await
    }

    /// Reads as the operator.
    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Some(&self.operator.token), None).await
    }

    /// Changes something as the operator.
    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(&self.operator.token), Some(body)).await
    }

    /// Sends these bytes as the operator's JSON.
    async fn post_bytes(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path)
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.operator.token))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.into()).expect("a request")).await
    }
}
