//! What is not allowed is not reached; and what is reached without the guard, so that it is known to be the guard.

use std::{process::Command, sync::Arc};

use steward_permit::ResourceKind;
use tokio::task::JoinSet;

use super::{Server, Then, Trap, action, allow, ask, get, warrant};
use crate::{FetchError, Fetcher, MAX_AT_ONCE, client::Terms};

const FOUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let trap = Trap::new();
        let location = format!("http://127.0.0.1:{}/secret", trap.port());
        let answer = format!("HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::answering(answer, Then::Wait);
        // Even to where it would be allowed to go itself.
        let fetcher = Fetcher::new(allow(&[&server.at(""), &format!("http://127.0.0.1:{}", trap.port())]));
        let fetched = ask(&fetcher, &server.at("/")).await.unwrap();
        assert_eq!((fetched.status, fetched.location), (status, Some(location)));
        assert!(trap.is_untouched(), "{status}");
        assert_eq!(server.asked().len(), 1);
    }
    let server = Server::answering(
        "HTTP/1.1 302 Go\r\nLocation: /next\r\nRefresh: 0; url=/x\r\nContent-Length: 0\r\n\r\n",
        Then::Wait,
    );
    assert_eq!(get(&server.at("/")).await.unwrap().location.as_deref(), Some("/next"));
    assert_eq!(server.asked().len(), 1, "nor to the same host");
}

#[tokio::test]
async fn a_name_does_not_lead_inside_but_the_address_itself_does() {
    let server = Server::answering(FOUND, Then::Wait);
    let port = server.address.port();
    let by_name = format!("http://localhost:{port}/");
    let list = allow(&[&format!("http://localhost:{port}"), &format!("http://127.0.0.1:{port}")]);

    let trap = Trap::new();
    let trapped = Fetcher::new(allow(&[&format!("http://localhost:{}/**", trap.port())]));
    let error = ask(&trapped, &format!("http://localhost:{}/", trap.port())).await.unwrap_err();
    assert!(matches!(error, FetchError::AddressRefused { .. }), "{error:?}");
    assert_eq!((error.code(), error.is_unknown()), ("ADDRESS_REFUSED", false));
    assert!(!error.to_string().contains("127.") && !error.to_string().contains("::1"), "it tells nothing: {error}");
    assert!(trap.is_untouched());

    assert_eq!(ask(&Fetcher::new(list.clone()), &server.at("/")).await.unwrap().status, 200, "the literal");

    // Without the guard the same name is reached: it was the guard.
    let open = Fetcher::on_terms(list, Terms { may: |_| true, ..Terms::default() });
    assert_eq!(ask(&open, &by_name).await.unwrap().status, 200);
    // The name alone was allowed before, too: the list is another guard.
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn what_the_list_does_not_cover_is_not_reached() {
    let trap = Trap::new();
    let port = trap.port();
    let resource = format!("http://127.0.0.1:{port}/docs/a");
    for entries in [
        vec![],
        vec!["example.org".to_owned()],
        vec![format!("127.0.0.1:{port}")],
        vec![format!("https://127.0.0.1:{port}")],
        vec!["http://127.0.0.1".to_owned()],
        vec![format!("http://127.0.0.1:{}", port ^ 1)],
        vec![format!("http://127.0.0.2:{port}")],
        vec![format!("http://localhost:{port}")],
        vec![format!("http://[::ffff:7f00:1]:{port}")],
        vec![format!("http://127.0.0.1:{port}/")],
        vec![format!("http://127.0.0.1:{port}/docs")],
        vec![format!("http://127.0.0.1:{port}/docs/")],
        vec![format!("http://127.0.0.1:{port}/docs/b")],
        vec![format!("http://127.0.0.1:{port}/*")],
        vec![format!("http://127.0.0.1:{port}/doc*")],
        vec![format!("http://127.0.0.1:{port}/docs/*/a")],
        vec![format!("http://127.0.0.1:{port}/Docs/a")],
    ] {
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let error = ask(&Fetcher::new(allow(&entries)), &resource).await.unwrap_err();
        assert_eq!(error.code(), "HOST_NOT_ALLOWED", "{entries:?}: {error:?}");
    }
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn one_more_than_there_are_places_is_not_asked() {
    let server = Server::answering("", Then::Wait);
    let resource = server.at("/");
    let fetcher = Arc::new(Fetcher::new(allow(&[&server.at("")])));
    let mut silent = JoinSet::new();
    for _ in 0..MAX_AT_ONCE {
        let (fetcher, resource) = (Arc::clone(&fetcher), resource.clone());
        silent.spawn(async move { ask(&fetcher, &resource).await });
    }
    // On this one thread they all begin before the next does.
    let more = tokio::spawn(async move { ask(&fetcher, &resource).await });
    let error = more.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("BUSY", false), "{error:?}");
    assert!(error.to_string().contains("as much at once as it may"), "{error}");
    assert_eq!(silent.len(), MAX_AT_ONCE);
    assert!(silent.try_join_next().is_none(), "the others wait on");
}

#[tokio::test]
async fn a_warrant_is_for_one_action_of_one_kind() {
    let trap = Trap::new();
    let base = format!("http://127.0.0.1:{}", trap.port());
    let (a, b) = (format!("{base}/a"), format!("{base}/b"));
    let fetcher = Fetcher::new(allow(&[&base]));
    let asked = action("http.get", ResourceKind::Host, &a);
    for (permitted, asked) in [
        (action("http.get", ResourceKind::Host, &b), asked.clone()),
        (action("http.post", ResourceKind::Host, &a), asked.clone()),
        (asked.clone().with_arguments(steward_seal::Digest::of(b"")), asked),
        (action("http.post", ResourceKind::Host, &a), action("http.post", ResourceKind::Host, &a)),
        (action("http.get", ResourceKind::File, &a), action("http.get", ResourceKind::File, &a)),
        (action("fs.write", ResourceKind::File, "/a"), action("fs.write", ResourceKind::File, "/a")),
    ] {
        let error = fetcher.get(warrant(&permitted), &asked).await.unwrap_err();
        assert_eq!(error.code(), "WARRANT_MISMATCH", "{permitted} for {asked}");
        assert!(!error.is_unknown());
    }
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn another_spelling_of_what_is_allowed_is_not_sent() {
    let trap = Trap::new();
    let port = trap.port();
    let fetcher = Fetcher::new(allow(&[&format!("http://127.0.0.1:{port}")]));
    for host in ["0177.0.0.1", "2130706433", "0x7f.1", "127.1", "127.0.0.1.", "user@127.0.0.1", "127.0.0.1:0"] {
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
        let error = ask(&fetcher, &format!("http://{host}/")).await.unwrap_err();
        assert_eq!(error.code(), "URL_REFUSED", "{host}: {error}");
    }
    assert!(trap.is_untouched());
}

/// In a process of its own, whose environment names proxies.
#[test]
fn the_environment_names_no_proxy() {
    const SERVER: &str = "STEWARD_TEST_SERVER";
    if let Ok(resource) = std::env::var(SERVER) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        println!("[{}]", runtime.block_on(get(&resource)).unwrap().status);
        return;
    }
    let (server, trap) = (Server::answering(FOUND, Then::Wait), Trap::new());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tests::guards::the_environment_names_no_proxy", "--nocapture", "--test-threads=1"])
        .env(SERVER, server.at("/"));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, format!("http://127.0.0.1:{}", trap.port()));
    }
    let output = command.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("[200]"), "{output:?}");
    assert!(trap.is_untouched());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn every_code_is_listed() {
    for error in [
        FetchError::url("x", "y"),
        FetchError::HostNotAllowed { text: "x".into() },
        FetchError::AddressRefused { host: "x".into(), address: [127, 0, 0, 1].into() },
        FetchError::Failed { host: "x".into(), why: "y", source: "z".into() },
        FetchError::OutcomeUnknown { host: "x".into(), why: "y", source: "z".into() },
        FetchError::WarrantMismatch("x"),
    ] {
        assert!(FetchError::CODES.contains(&error.code()), "{error}");
        assert_eq!(error.is_unknown(), error.code() == "OUTCOME_UNKNOWN");
    }
}
