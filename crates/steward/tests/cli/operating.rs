//! A node that is operated: log files, alerts, figures, limits, a certificate of its own, and what it tells the service manager.

use std::{
    fs,
    io::{BufRead as _, Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    sync::Arc,
};

use rustix::process::Signal;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use serde_json::Value;

use crate::{
    DONE, MISUSED, REFUSED, UNREACHABLE,
    common::{Place, Up},
    demo, json, list, number, run, text,
};

/// However full this machine's disk is.
const ROOMY: (&str, &str) = ("STEWARD_ALERTS_DISK_FREE_BYTES", "0");

/// A node with something in its environment, and nobody logged in.
fn up(place: &Place, environment: &[(&str, &str)]) -> Up {
    place.try_up(&[], environment).unwrap_or_else(|dead| panic!("the node came up: {dead:?}"))
}

/// Asks in plain HTTP, as any program would, and gives the whole answer.
fn plainly(node: &Up, request: &str) -> String {
    let address = node.url().strip_prefix("http://").expect("in clear");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "{request}\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn what_is_logged_is_read_without_the_node() {
    let (place, node) = demo();
    let key = run(&place, DONE, &["key", "create", "--label", "x", "--scope", "read", "--json"]).out;
    let secret: Value = serde_json::from_str(&key).expect("JSON");
    run(&place, REFUSED, &["act", "nobody", "fs.write", "/a", "--from", "/dev/null"]);
    node.stop();
    let lines = run(&place, DONE, &["logs", "tail", "--json", "--lines", "1000"]).out;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert!(lines.iter().any(|line| text(line, "/message") == "a policy is in force"), "{lines:#?}");
    assert!(lines.iter().any(|line| line["fields"]["agent.name"].is_string()), "agents have files of their own");
    assert!(lines.is_sorted_by_key(|line| text(line, "/time").to_owned()));
    let analysis = json(&place, DONE, &["logs", "analyze"]);
    assert_eq!(number(&analysis, "/lines"), lines.len() as u64);
    let levels: u64 = analysis["levels"].as_object().expect("levels").values().filter_map(Value::as_u64).sum();
    assert_eq!(levels, lines.len() as u64);
    assert!(!list(&analysis, "/messages").is_empty());
    run(&place, DONE, &["logs", "analyze"]);
    let of_policies = json_lines(&place, &["logs", "tail", "--component", "policies"]);
    assert!(of_policies.iter().all(|line| line["component"] == "policies") && !of_policies.is_empty());
    run(&place, MISUSED, &["logs", "tail", "--since", "yesterday"]);

    let logs = place.home().join("logs");
    assert_eq!(fs::metadata(&logs).expect("a folder").permissions().mode() & 0o777, 0o700);
    let secret = text(&secret, "/secret");
    each_file(&logs, &mut |path| {
        assert_eq!(fs::metadata(path).expect("a file").permissions().mode() & 0o777, 0o600, "{}", path.display());
        assert!(!String::from_utf8_lossy(&fs::read(path).expect("readable")).contains(secret), "{}", path.display());
    });
    run(&Place::new(), REFUSED, &["logs", "tail"]);
}

fn json_lines(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let said = run(place, DONE, &[arguments, &["--json"]].concat()).out;
    said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn each_file(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { each_file(&path, each) } else { each(&path) }
    }
}

#[test]
fn alerts_are_for_people_and_for_scripts() {
    let place = Place::new();
    let node = up(&place, &[ROOMY]);
    run(&place, DONE, &["login", "--label", "test"]);
    let firing = |code| json(&place, code, &["alerts"]);
    // Of a machine that makes no sandbox.
    let usual: Vec<Value> = list(&place.steward_json(&["alerts"]), "/alerts").to_vec();
    assert!(usual.iter().all(|alert| alert["name"] == "no-sandbox"), "{usual:#?}");
    run(&place, DONE, &["halt", "--reason", "smoke"]);
    let alerts = firing(REFUSED);
    let halted = list(&alerts, "/alerts").iter().find(|alert| alert["name"] == "halted").expect("it fires").clone();
    assert!(text(&halted, "/evidence").contains("smoke") && halted["since"].is_string(), "{halted}");
    let said = run(&place, REFUSED, &["alerts"]).out;
    assert!(said.contains("halted") && said.contains("steward resume") && said.contains("docs/operations/halted.md"));
    let status = json(&place, DONE, &["node", "status"]);
    let runs = list(&status, "/health").iter().find(|part| part["name"] == "runs").expect("a part");
    assert_eq!(runs["status"], "warning");
    assert!(run(&place, DONE, &["node", "status"]).out.contains("parts are well"));
    run(&place, DONE, &["resume", "--reason", "gone"]);
    // That it fired, and is over, stands in the log too, once the background looked.
    let metrics = plainly(&node, "GET /metrics HTTP/1.1");
    assert!(metrics.starts_with("HTTP/1.1 401"), "{metrics}");
    assert!(plainly(&node, "GET /readyz HTTP/1.1").ends_with("ready\n"));
    node.stop();
    run(&place, UNREACHABLE, &["alerts"]);
}

impl Place {
    /// What a command prints as JSON, however it ends.
    fn steward_json(&self, arguments: &[&str]) -> Value {
        let said = self.steward(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
    }
}

/// That the address of a connection reaches the door: nothing would be limited by it otherwise.
#[test]
fn strangers_are_limited_by_their_address() {
    let place = Place::new();
    let limits = [("STEWARD_LIMITS_STRANGER_PER_S", "1"), ("STEWARD_LIMITS_STRANGER_BURST", "3")];
    let node = up(&place, &[&limits[..], &[("STEWARD_METRICS_WITHOUT_KEY", "true")]].concat());
    let ask = || plainly(&node, "GET /v1/agents HTTP/1.1\r\nAuthorization: Bearer stw_guess");
    assert!(ask().starts_with("HTTP/1.1 401"));
    // More than can be given back meanwhile, however slow this machine is.
    let last = (0..1_000).map(|_| ask()).find(|answer| answer.starts_with("HTTP/1.1 429")).expect("it is too often");
    assert!(last.to_lowercase().contains("retry-after: ") && last.contains("RATE_LIMITED"), "{last}");
    let of_agent = || plainly(&node, "POST /mcp HTTP/1.1\r\nAuthorization: Bearer stw_guess\r\nContent-Length: 0");
    (0..1_000).map(|_| of_agent()).find(|answer| answer.starts_with("HTTP/1.1 429")).expect("by any way in");
    run(&place, DONE, &["login", "--label", "test"]);
    run(&place, DONE, &["halt", "--reason", "smoke"]);
    let metrics = plainly(&node, "GET /metrics HTTP/1.1");
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("\nsteward_halted 1\n"), "{metrics}");
    assert!(
        metrics.contains("steward_requests_total{method=\"GET\",route=\"/v1/agents\",status=\"429\"}"),
        "{metrics}"
    );
    node.stop();
}

/// Agents come by ways of their own, and with one key no more often than anybody.
#[test]
fn agents_are_limited_by_their_key_whichever_way_they_come() {
    let place = Place::new();
    let limits = [("STEWARD_LIMITS_KEY_PER_S", "1"), ("STEWARD_LIMITS_KEY_BURST", "5")];
    let node = up(&place, &limits);
    run(&place, DONE, &["login", "--label", "test"]);
    let manifest = place.home().join("scribe.json");
    fs::write(&manifest, r#"{"name": "scribe", "version": "1.0.0", "tier": "T1"}"#).expect("a file");
    run(&place, DONE, &["agent", "add", manifest.to_str().expect("text")]);
    let key = json(&place, DONE, &["key", "create", "--agent", "scribe", "--label", "x", "--scope", "act"]);
    let ask = |what: &str| {
        let secret = text(&key, "/secret");
        plainly(&node, &format!("{what} HTTP/1.1\r\nAuthorization: Bearer {secret}\r\nContent-Length: 0"))
    };
    assert!(ask("GET /openai/v1/models").starts_with("HTTP/1.1 200"));
    for way in ["GET /openai/v1/models", "POST /mcp", "GET /v1/agents"] {
        // More than can be given back meanwhile, however slow this machine is.
        let last = (0..1_000).map(|_| ask(way)).find(|answer| answer.starts_with("HTTP/1.1 429"));
        let last = last.unwrap_or_else(|| panic!("{way} is asked too often"));
        assert!(last.to_lowercase().contains("retry-after: ") && last.contains("RATE_LIMITED"), "{last}");
    }
    // The same key by another way, and another key by the same one.
    assert!((0..1_000).any(|_| ask("POST /mcp").starts_with("HTTP/1.1 429")));
    let other = json(&place, DONE, &["key", "create", "--agent", "scribe", "--label", "y", "--scope", "act"]);
    let other = text(&other, "/secret");
    let answer = plainly(&node, &format!("GET /openai/v1/models HTTP/1.1\r\nAuthorization: Bearer {other}"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    node.stop();
}

#[test]
fn beyond_loopback_it_takes_tls() {
    let place = Place::new();
    let said = run(&place, MISUSED, &["up", "--listen", "0.0.0.0:0"]);
    assert!(said.err.contains("[tls]") && said.err.contains("behind_proxy"), "{said:?}");
    assert!(!place.home().exists(), "nothing was made");
    // Behind a proxy that does it, the names that the proxy is asked by are the node's.
    let environment = [("STEWARD_BEHIND_PROXY", "true"), ("STEWARD_NAMES", "steward.example.org")];
    let node = up(&place, &environment);
    let address = node.url().strip_prefix("http://").expect("in clear").to_owned();
    for (host, expected) in [("steward.example.org", "200"), ("elsewhere.example.org", "421")] {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{host}: {answer}");
    }
    node.stop();
}

/// A certificate for this machine that ends in a year, its key beside it.
fn certify(place: &Place, name: &str, year: i32) -> String {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).expect("names");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("it can be signed").pem();
    let key_file = place.path("node.key");
    // The key first: the node looks when either changes, and again when both are there.
    fs::write(&key_file, key.serialize_pem()).expect("written");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
    fs::write(place.path("node.pem"), &certificate).expect("written");
    fs::write(place.path(name), &certificate).expect("written");
    certificate
}

/// Shakes hands, trusting one certificate; asks for `/healthz`, and gives the answer.
fn securely(
    address: &str,
    trusted: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut socket = TcpStream::connect(address).map_err(|e| e.to_string())?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .map_err(|e| e.to_string())?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // A server that ends the connection without a word of farewell has answered all the same.
        Err(error) if answer.is_empty() => Err(error.to_string()),
        _ => Ok(answer),
    }
}

#[test]
fn with_a_certificate_of_its_own_it_speaks_tls_1_3_and_takes_a_new_one() {
    let place = Place::new();
    let first = certify(&place, "first.pem", 2_100);
    let (pem, key) = (place.path("node.pem"), place.path("node.key"));
    let (pem, key) = (pem.to_str().expect("text").to_owned(), key.to_str().expect("text").to_owned());
    let environment = [ROOMY, ("STEWARD_TLS_CERTIFICATE", pem.as_str()), ("STEWARD_TLS_KEY", key.as_str())];

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it can be opened");
    let dead = place.try_up(&[], &environment).err().expect("a key that others can read is refused");
    assert!(dead.log.contains("chmod 600"), "{dead:?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it can be closed");

    let node = up(&place, &environment);
    let address = node.url().strip_prefix("https://").expect("with TLS").to_owned();
    let answer = securely(&address, &first, &TLS13).expect("it is trusted");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security: max-age="), "{answer}");
    assert!(securely(&address, &first, &TLS12).is_err(), "an older TLS is none");
    let mut clear = TcpStream::connect(&address).expect("it listens");
    write!(clear, "GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "in clear nothing is answered: {answer:?}");

    // The command line trusts whom it is told to trust, and nobody else.
    let ca = place.path("first.pem");
    let ca = ca.to_str().expect("text");
    let said = run(&place, UNREACHABLE, &["login", "--label", "test"]);
    assert!(said.err.contains("is not trusted") && said.err.contains("--ca FILE"), "{said:?}");
    assert!(!said.err.contains("cannot be reached") && !said.err.contains("steward up"), "{said:?}");
    fs::write(place.path("junk.pem"), "junk").expect("written");
    let said = run(&place, MISUSED, &["login", "--ca", "junk.pem"]);
    assert!(said.err.contains("`junk.pem` is not a certificate"), "{said:?}");
    run(&place, DONE, &["login", "--label", "test", "--ca", ca]);
    let status = json(&place, DONE, &["node", "status", "--ca", ca]);
    let part = list(&status, "/health").iter().find(|part| part["name"] == "certificate").expect("a part");
    assert!(text(part, "/found").contains("2100-01-01"), "{part}");

    // Another takes its place, and is found by itself; one that cannot be used changes nothing, and is said.
    let second = certify(&place, "second.pem", 2_000);
    node.signal(Signal::HUP);
    let until = |holds: &dyn Fn() -> bool| {
        let began = std::time::Instant::now();
        while !holds() {
            assert!(began.elapsed().as_secs() < 60, "{}", place.log());
            std::thread::yield_now();
        }
    };
    until(&|| securely(&address, &second, &TLS13).is_err_and(|error| error.to_lowercase().contains("expired")));
    assert!(securely(&address, &first, &TLS13).is_err(), "the one before is not in use any more");
    fs::write(&pem, "nothing").expect("written");
    until(&|| place.log().contains("there is no certificate in"));
    assert!(securely(&address, &second, &TLS13).is_err_and(|error| error.to_lowercase().contains("expired")));
    let third = certify(&place, "third.pem", 2_100);
    until(&|| securely(&address, &third, &TLS13).is_ok());
    let third = place.path("third.pem");
    let third = third.to_str().expect("text");
    run(&place, DONE, &["node", "status", "--ca", third]);
    node.stop();
}

#[test]
fn the_service_manager_is_told() {
    let place = Place::new();
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let heard = || {
        let mut bytes = [0; 256];
        let n = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().expect("text")), ("WATCHDOG_USEC", "400000")];
    let node = up(&place, &environment);
    assert!(heard().lines().any(|line| line == "READY=1"));
    for _ in 0..2 {
        assert_eq!(heard(), "WATCHDOG=1", "it does its work");
    }
    // Who does not come round says nothing: that is how it is found out.
    node.signal(Signal::STOP);
    socket.set_read_timeout(Some(std::time::Duration::from_millis(1_500))).expect("a time-out");
    let mut bytes = [0; 256];
    // What was said before it was stopped may still be there; one that goes on is never silent for so long.
    assert!((0..20).any(|_| socket.recv(&mut bytes).is_err()), "{bytes:?}");
    socket.set_read_timeout(None).expect("no time-out");
    node.signal(Signal::CONT);
    assert_eq!(heard(), "WATCHDOG=1");
    node.signal(Signal::TERM);
    while heard() != "STOPPING=1" {}
    assert!(node.wait().success());
}

/// Reads what a command that goes on says, until it said this so often; then ends it as a person does.
fn until_said(place: &Place, arguments: &[&str], what: &str, times: usize, meanwhile: impl FnOnce()) {
    let mut command = place.command();
    command.args(arguments).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the executable runs");
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let first = lines.next().expect("it says something").expect("text");
    meanwhile();
    let said = usize::from(first.contains(what));
    let rest = lines.map_while(Result::ok).filter(|line| line.contains(what)).take(times - said).count();
    assert_eq!(said + rest, times);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).expect("it is there");
    assert!(child.wait().expect("it ends").success(), "whoever ends it has seen enough");
}

#[test]
fn a_status_is_watched_and_a_log_is_followed() {
    let (place, node) = demo();
    until_said(&place, &["node", "status", "--watch"], "parts are well", 2, || {});
    let acts = |path: &str| run(&place, DONE, &["act", "scribe", "fs.write", path, "--from", "/dev/null"]);
    acts("/reports/before.md");
    // The newest that is there, and one that comes.
    let follows = ["logs", "tail", "--component", "actions", "--lines", "1", "--follow"];
    until_said(&place, &follows, "an action was settled", 2, || _ = acts("/reports/after.md"));
    node.stop();
}
