//! Logging in by a provider of OpenID Connect, and services that come with tokens.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json as object};
use steward_testkit::{Lie, Provider};
use tokio::runtime::Runtime;

use crate::{
    DONE, MISUSED, REFUSED,
    common::{Place, Up},
    json, list, run, text,
};

/// A provider, a node that trusts it, and its operator, who is linked with the provider's `4711`.
struct House {
    place: Place,
    node: Up,
    provider: Provider,
    _runtime: Runtime,
}

impl House {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        let provider = runtime.block_on(Provider::start(i64::try_from(now).expect("soon"), "4711"));
        let place = Place::new();
        let issuers = format!(
            "[{{url = \"{}\", client = \"steward\", audience = \"https://steward.example.org\", scopes = [\"read\"]}}]",
            provider.url()
        );
        let node = place.try_up(&[], &[("STEWARD_ISSUERS", &issuers)]).expect("it comes up");
        run(&place, DONE, &["login", "--label", "first"]);
        let link = ["people", "link", "operator", "--issuer", provider.url(), "--subject", "4711"];
        assert_eq!(text(&json(&place, DONE, &link), "/purpose"), "login");
        Self { place, node, provider, _runtime: runtime }
    }

    /// The executable at another desk, where nobody is logged in.
    fn elsewhere(&self) -> Command {
        let mut command = self.place.command();
        command.env("STEWARD_CONFIG_DIR", self.place.path("elsewhere"));
        command
    }

    /// Logs in with a browser that does as it is told; gives the exit code, and what was said.
    fn browse(&self) -> (Option<i32>, String, String) {
        let mut command = self.elsewhere();
        command.args(["login", "--oidc", "--label", "browser", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut address = String::new();
        while !address.starts_with("http") {
            address.clear();
            assert!(said.read_line(&mut address).expect("it says something") > 0, "it says where to go");
        }
        let (status, sent_to) = visit(address.trim());
        assert_eq!(status, 303, "the provider sends the browser back");
        // Something else on this machine knocks first.
        let other = sent_to.split_once("/callback").expect("to the loopback").0.to_owned() + "/favicon.ico";
        assert_eq!(visit(&other).0, 404);
        assert_eq!(visit(&sent_to).0, 200);
        let output = child.wait_with_output().expect("it ends");
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"), rest)
    }
}

/// What a browser does with an address: the status, and where it is sent to.
fn visit(address: &str) -> (u16, String) {
    let rest = address.strip_prefix("http://").expect("in clear, to loopback");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("somebody listens");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let sent_to = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
    (status, sent_to.to_owned())
}

#[test]
fn a_person_logs_in_by_a_browser_until_the_link_is_taken_away() {
    let house = House::new();
    let (code, out, rest) = house.browse();
    assert_eq!(code, Some(DONE), "{out}{rest}");
    let key: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((text(&key, "/holder"), text(&key, "/label")), ("operator@acme.internal", "browser"));
    let may = house.elsewhere().args(["people", "links", "--json"]).output().expect("it runs");
    assert!(may.status.success(), "{may:?}");
    let links: Value = serde_json::from_slice(&may.stdout).expect("JSON");
    assert_eq!(list(&links, "/links").len(), 1);
    // Who did that, and by whose word.
    let found = json(&house.place, DONE, &["ledger", "search", "--kind", "key.exchanged"]);
    assert!(found.to_string().contains(house.provider.url()), "{found}");

    let unlink = ["person", "unlink", "operator", "--issuer", house.provider.url(), "--subject", "4711"];
    run(&house.place, DONE, &unlink);
    let may_not = house.elsewhere().args(["people", "list", "--json"]).output().expect("it runs");
    assert_eq!(may_not.status.code(), Some(REFUSED));
    assert!(String::from_utf8_lossy(&may_not.stdout).contains("NOT_LINKED"), "{may_not:?}");
    let (code, out, _) = house.browse();
    assert_eq!(code, Some(REFUSED), "{out}");
    assert!(out.contains("NOT_LINKED"), "{out}");
    house.node.stop();
}

#[test]
fn what_comes_back_from_the_browser_must_be_the_answer() {
    let house = House::new();
    for (lie, why) in [
        (Lie::OtherState, "not the answer to this log-in"),
        (Lie::OtherInAnswer, "another provider's answer"),
        (Lie::OtherNonce, "another log-in than this one"),
    ] {
        house.provider.lies(Some(lie));
        let (code, out, rest) = house.browse();
        assert_eq!(code, Some(REFUSED), "{lie:?}: {out}{rest}");
        assert!(rest.contains(why), "{lie:?}: {out}{rest}");
    }
    house.provider.lies(None);
    let (code, out, rest) = house.browse();
    assert_eq!(code, Some(DONE), "{out}{rest}");
    let named = ["login", "--issuer", "https://evil.example"];
    assert!(run(&house.place, REFUSED, &named).err.contains("it trusts"), "only whom the node trusts");
    run(&house.place, MISUSED, &["login", "--oidc", "--key-stdin"]);
    house.node.stop();
}

#[test]
fn a_terminal_without_a_browser_shows_a_code() {
    let house = House::new();
    let said = house.elsewhere().args(["login", "--device", "--json"]).output().expect("it runs");
    assert!(said.status.success(), "{said:?}");
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(told.contains("WDJB-MJHT") && told.contains("/activate"), "{told}");
    house.node.stop();
}

#[test]
fn a_service_comes_with_a_token_of_its_issuer() {
    let house = House::new();
    run(&house.place, DONE, &["people", "add", "ci", "--role", "viewer"]);
    let link = ["people", "link", "ci", "--issuer", house.provider.url(), "--subject", "robot", "--service"];
    run(&house.place, DONE, &link);
    let token = house.provider.service_token("robot", object!({}));
    let asks = |token: &str, arguments: &[&str]| {
        let output =
            house.elsewhere().env("STEWARD_KEY", token).args(arguments).arg("--json").output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(asks(&token, &["people", "list"]).0, Some(DONE));
    let (code, said) = asks(&token, &["key", "create", "--label", "x", "--scope", "read"]);
    assert!(code == Some(REFUSED) && said.contains("FORBIDDEN"), "{said}");
    let (code, said) = asks(&format!("{token}x"), &["people", "list"]);
    assert!(code == Some(REFUSED) && said.contains("TOKEN_REFUSED"), "{said}");
    let id_token = house.provider.id_token("4711", object!({}));
    let (code, said) = asks(&id_token, &["people", "list"]);
    assert!(code == Some(REFUSED) && said.contains("TOKEN_REFUSED"), "{said}");
    // Neither stands in what the node logs.
    let log = house.place.log();
    assert!(!log.contains(&token) && !log.contains(&id_token));
    house.node.stop();
}
