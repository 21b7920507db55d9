//! Nonsense at every door, from somebody who may do everything: it is refused in the words of the API, nothing breaks, and no answer tells
//! how the node is made. What is thrown is drawn from a seed, which is printed; `STEWARD_SEED` throws the same again.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Map, Value, json};
use steward_clock::Dice as _;
use steward_permit::Role;
use steward_testkit::SeededDice;

use crate::{
    Answer, HOST, House,
    authorization::{furnish, rows},
    runs::revoked_run,
};

/// How often each route is asked.
const TIMES: u64 = 20;

/// What no refusal says: where a program's insides show.
const INSIDES: [&str; 14] = [
    "panicked", ".rs:", "steward_", "core::", "std::", "alloc::", "serde", "rusqlite", "SQLite", "SELECT ", "INSERT ",
    "UPDATE ", "tokio", "Error {",
];

/// Texts that something might stumble over.
const TEXTS: [&str; 30] = [
    "",
    " ",
    "\0",
    "\n",
    "a\u{200b}b",
    "\u{202e}evil",
    "\u{ff21}\u{ff22}",
    "\u{1f600}",
    "..",
    "../../etc/passwd",
    "/",
    "//",
    "/reports/../../x",
    "'; DROP TABLE agent; --",
    "%00",
    "%2e%2e%2f",
    "*",
    "[",
    "\\",
    "true",
    "-1",
    "0",
    "18446744073709551616",
    "1e400",
    "T9",
    "agent:scribe",
    "acme.internal",
    "sha256:00",
    "9999-12-31T23:59:60.000Z",
    "run_01KAHW5V8NQ4Z0M7C2R9T3XBYE",
];

/// Where nonsense comes from.
struct Nonsense(SeededDice);

impl Nonsense {
    fn below(&self, n: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_be_bytes(bytes) % n as u64).expect("it is small")
    }

    fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn text(&self) -> String {
        match self.below(TEXTS.len() + 2) {
            0 => "x".repeat(300 * (1 + self.below(300))),
            1 => format!("{}{}", TEXTS[self.below(TEXTS.len())], TEXTS[self.below(TEXTS.len())]),
            n => TEXTS[n - 2].to_owned(),
        }
    }

    fn value(&self, depth: usize) -> Value {
        match self.below(if depth == 0 { 10 } else { 12 }) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 => json!(u64::MAX),
            3 => json!(i64::MIN),
            4 => json!(1_u64 << 53),
            5 => json!(0.5),
            6 => json!(-1),
            7..10 => json!(self.text()),
            10 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object((0..self.below(4)).map(|_| (self.text(), self.value(depth - 1))).collect::<Map<_, _>>()),
        }
    }

    /// Something like what is well formed.
    fn like(&self, well_formed: &Value) -> Value {
        let mut value = well_formed.clone();
        let Some(fields) = value.as_object_mut().filter(|_| !self.one_in(8)) else { return self.value(3) };
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in &names {
            match self.below(6) {
                0 => _ = fields.remove(name),
                1..4 => _ = fields.insert(name.clone(), self.value(3)),
                _ => {}
            }
        }
        if self.one_in(6) {
            fields.insert(self.text(), self.value(2));
        }
        value
    }

    /// The bytes of a body, which may be none of JSON's.
    fn body(&self, well_formed: &Value) -> Vec<u8> {
        let mut bytes = self.like(well_formed).to_string().into_bytes();
        match self.below(16) {
            0 => bytes.truncate(self.below(bytes.len() + 1)),
            1 => bytes = b"\xef\xbb\xbf{}".to_vec(),
            2 => bytes = br#"{"reason": "a", "reason": "b"}"#.to_vec(),
            3 => bytes = br#"{"reason": "\ud800", "name": 1e999}"#.to_vec(),
            4 => bytes = [b"[".repeat(200), b"]".repeat(200)].concat(),
            5 => {
                let at = self.below(bytes.len().max(1));
                bytes.insert(at.min(bytes.len()), 0xff);
            }
            _ => {}
        }
        bytes
    }

    /// A path of a route, of which parts may be something else, and what stands behind the `?`.
    fn path(&self, route: &str, well_formed: &str) -> String {
        let (path, query) = well_formed.split_once('?').unwrap_or((well_formed, ""));
        let parts = route.split('/').zip(path.split('/')).map(|(place, part)| {
            let is_kept = !place.starts_with('{') || self.one_in(2);
            if is_kept { part.to_owned() } else { escaped(&self.text()) }
        });
        let mut path: String = parts.collect::<Vec<_>>().join("/");
        if route.ends_with("{path}") {
            path = well_formed.replace("/0/", &format!("/{}/", escaped(&self.text())));
        }
        let asked = query.split('&').filter(|asked| !asked.is_empty()).map(|asked| {
            let (name, said) = asked.split_once('=').unwrap_or((asked, ""));
            format!("{name}={}", if self.one_in(3) { said.to_owned() } else { escaped(&self.text()) })
        });
        let mut asked: Vec<String> = asked.collect();
        if self.one_in(4) {
            asked.push(format!("{}={}", ["limit", "before", "run", "a[]"][self.below(4)], escaped(&self.text())));
        }
        if asked.is_empty() { path } else { format!("{path}?{}", asked.join("&")) }
    }
}

/// In the form of a URI, cut to what a URI may have; sometimes that is no UTF-8 any more.
fn escaped(text: &str) -> String {
    text.bytes()
        .take(2_000)
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// That an answer is one of the API's, and tells nothing of the inside.
#[track_caller]
fn assert_decent(house: &House, asked: &str, answer: &Answer) {
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    // What lets in there is in the body, whoever asks.
    if !asked.contains("/v1/login/token") {
        assert_ne!(answer.status, 401, "{asked}: it is still somebody: {said}");
    }
    if answer.status.is_success() {
        return;
    }
    let code = answer.code();
    // Others may be down: that is said with a status of 503.
    assert!(answer.status.as_u16() < 500 || answer.status == 503, "{asked}: {said}");
    assert!(!["INTERNAL", "BROKEN", "STORE_CLOSED"].contains(&code.as_str()), "{asked}: {said}");
    for inside in INSIDES {
        assert!(!said.contains(inside), "{asked} tells of the inside ({inside}): {said}");
    }
    let home = house.node.home().path().display().to_string();
    assert!(!said.contains(&home), "{asked} tells where the home is: {said}");
}

#[tokio::test]
async fn nonsense_at_every_door_is_refused_and_breaks_nothing() {
    let seed = std::env::var("STEWARD_SEED")
        .ok()
        .map_or_else(|| u64::from(std::process::id()), |s| s.parse().expect("a seed"));
    eprintln!("nonsense: STEWARD_SEED={seed}");
    let nonsense = Nonsense(SeededDice::new(seed));
    let house = House::new().await;
    let roles = [Role::Admin, Role::Operator, Role::Reviewer, Role::Viewer];
    let zoe = house.node.person("zoe", &roles).await;
    let written = house.node.act(&house.operator, "scribe", "fs.write", "/reports/first.md", b"x").await;
    let action = written.expect("it is permitted");
    let run = revoked_run(&house).await;
    let review = furnish(&house).await;
    let mut by_status = std::collections::BTreeMap::<u16, u32>::new();
    for row in rows() {
        let path = row.path.replace("{action}", action.as_str()).replace("{key}", house.viewer.key.as_str());
        let path = path.replace("{run}", &run).replace("{review}", &review);
        for _ in 0..TIMES {
            let path = nonsense.path(row.route, &path);
            let body = row.body.as_ref().map(|body| nonsense.body(body));
            let asked = format!(
                "STEWARD_SEED={seed}: {} {path} {}",
                row.method,
                String::from_utf8_lossy(body.as_deref().unwrap_or_default()).chars().take(600).collect::<String>()
            );
            let request = Request::builder()
                .method(row.method.clone())
                .uri(&path)
                .header(header::HOST, HOST)
                .header(header::AUTHORIZATION, format!("Bearer {}", zoe.token))
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.map_or_else(Body::empty, Body::from));
            let answer = house.send(request.unwrap_or_else(|error| panic!("{asked}: {error}"))).await;
            *by_status.entry(answer.status.as_u16()).or_default() += 1;
            assert_decent(&house, &asked, &answer);
            // Nobody asks too often: it is not what is tried here.
            house.node.clock().advance_ms(1_000);
        }
    }
    eprintln!("nonsense: answered with {by_status:?}");
    assert!(by_status[&400] > 300 && by_status[&404] > 50 && by_status[&200] > 100, "{by_status:?}");
    // What was started by it is stopped; then everything is in order, which the node asserts when it is dropped.
    let why = json!({"reason": "enough"});
    house.ask(Method::POST, "/v1/node/halt", Some(&zoe.token), Some(&why)).await;
    let live = house.ask(Method::GET, "/v1/runs?live=true&limit=500", Some(&zoe.token), None).await.json();
    for run in live["runs"].as_array().expect("runs") {
        house.node.ended(&run["id"].as_str().expect("an id").parse().expect("an id")).await;
    }
}
