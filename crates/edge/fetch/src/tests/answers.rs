//! Whatever the other side answers, there is a defined end.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{Server, Then, action, allow, ask, fetcher, get, get_soon, warrant};
use crate::{Fetcher, MAX_BODY_BYTES, MAX_HEADER_TEXT_BYTES, MAX_HEADERS, client::Terms};

#[tokio::test]
async fn an_answer_is_handed_on_as_it_was_sent() {
    let server = Server::answering(
        "HTTP/1.1 404 Nope\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        Then::Wait,
    );
    let fetched = get(&server.at("/a?b=c")).await.unwrap();
    assert_eq!((fetched.status, fetched.body.as_slice(), fetched.truncated), (404, &b"hello"[..], false));
    assert_eq!((fetched.content_type.as_deref(), fetched.location), (Some("text/plain"), None));
}

#[tokio::test]
async fn what_is_sent_is_the_address_and_the_key_and_nothing_of_anybody() {
    let server = Server::answering("HTTP/1.1 204 No\r\n\r\n", Then::Close);
    let resource = server.at("/a/%C3%A4?b=c&d=%2F");
    let action = action("http.get", steward_permit::ResourceKind::Host, &resource);
    let warrant = warrant(&action);
    let key = warrant.action().to_string();
    assert_eq!(fetcher(&resource, Terms::default()).get(warrant, &action).await.unwrap().status, 204);
    let [asked] = server.asked().try_into().unwrap();
    let mut lines: Vec<String> = asked.trim_end().lines().map(str::to_ascii_lowercase).collect();
    assert_eq!(lines.remove(0), "get /a/%c3%a4?b=c&d=%2f http/1.1");
    lines.sort();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        "accept-encoding: identity".to_owned(),
        "accept: */*".to_owned(),
        format!("host: {}", server.address),
        format!("idempotency-key: {}", key.to_ascii_lowercase()),
        format!("user-agent: steward/{version}"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_long_body_is_cut_and_says_so() {
    for (extra, truncated) in [(0, false), (1, true), (1_000_000, true)] {
        let length = MAX_BODY_BYTES + extra;
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'x');
        let server = Server::answering(answer, Then::Wait);
        let fetched = get(&server.at("/")).await.unwrap();
        assert_eq!((fetched.body.len(), fetched.truncated), (MAX_BODY_BYTES, truncated), "{extra}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    // As a chunk and as plain bytes: no matter.
    let piece: &'static str = format!("400\r\n{}\r\n", "x".repeat(0x400)).leak();
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let server = Server::answering(head, Then::Repeat(piece.as_bytes()));
        let fetched = get(&server.at("/")).await.unwrap();
        assert_eq!((fetched.body.len(), fetched.truncated), (MAX_BODY_BYTES, true), "{head}");
    }
}

/// Answers of which it is known how they end, and how the asking ends.
#[tokio::test]
async fn what_is_no_whole_answer_leaves_it_open() {
    let many_lines = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
    let long_line = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    let mut all = tokio::task::JoinSet::new();
    for (name, answer, then) in [
        ("nothing, and closed", "", Then::Close),
        ("nothing, and silence", "", Then::Wait),
        ("half a status", "HTTP/1.", Then::Close),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-", Then::Close),
        ("half a head, and silence", "HTTP/1.1 200 OK\r\nContent-", Then::Wait),
        ("half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Then::Close),
        ("half a body, and silence", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Then::Wait),
        ("half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", Then::Close),
        ("no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Then::Close),
        ("a chunk of no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Then::Wait),
        (
            "a chunk of all lengths",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            Then::Wait,
        ),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", Then::Wait),
        ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", Then::Wait),
        ("garbage", "\x00\x01\x02 garbage \r\n\r\n", Then::Close),
        ("another protocol", "SSH-2.0-OpenSSH_9.9\r\n", Then::Wait),
        ("another version", "HTTP/3.1 200 OK\r\n\r\n", Then::Wait),
        ("a status of letters", "HTTP/1.1 abc OK\r\n\r\n", Then::Wait),
        ("a broken line", "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", Then::Wait),
        ("too many lines", many_lines.as_str(), Then::Wait),
        ("too long a line", long_line.as_str(), Then::Wait),
        ("a head without end", "HTTP/1.1 200 OK\r\n", Then::Repeat(b"a: b\r\n")),
        ("a line without end", "HTTP/1.1 200 OK\r\na: ", Then::Repeat(b"bbbbbbbbbbbbbbbb")),
    ] {
        let server = Server::answering(answer, then);
        all.spawn(async move { (name, get_soon(&server.at("/?token=hidden")).await, server) });
    }
    for (name, outcome, server) in all.join_all().await {
        let error = outcome.expect_err(name);
        assert_eq!(error.code(), "OUTCOME_UNKNOWN", "{name}: {error:?}");
        assert!(error.is_unknown(), "{name}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{name}: {error:?}");
        assert_eq!(server.asked().len(), 1, "{name}: asked once, and not again");
    }
}

/// The HTTP library reads these without rest, a whole buffer of them at a time: the caller's clock must run elsewhere.
#[tokio::test]
async fn interim_answers_without_end_leave_it_open() {
    let server = Server::answering("", Then::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n"));
    let begun = Instant::now();
    let error = get_soon(&server.at("/")).await.unwrap_err();
    assert_eq!(error.code(), "OUTCOME_UNKNOWN", "{error:?}");
    assert!(error.to_string().contains("in time"), "{error}");
    // Unhurried: without a thread of its own it took ten.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// The clock of a request is one for all of it: bytes that trickle do not buy time.
#[tokio::test]
async fn a_body_that_trickles_ends_in_time() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let resource = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut head: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            stream.writable().await.unwrap();
            match stream.try_write(if head.is_empty() { b"x" } else { head }) {
                Ok(written) => head = head.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    });
    let error = get_soon(&resource).await.unwrap_err();
    assert_eq!(error.code(), "OUTCOME_UNKNOWN", "{error:?}");
    assert!(error.to_string().contains("in time"), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn strange_but_whole_answers_are_answers() {
    for (answer, then, status, body) in [
        ("HTTP/1.0 200 OK\r\n\r\nhello", Then::Close, 200, "hello"),
        ("HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", Then::Wait, 299, ""),
        ("HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nab and more", Then::Wait, 999, "ab"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", Then::Wait, 200, "ab"),
        ("HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nmore", Then::Wait, 101, ""),
        ("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", Then::Wait, 401, ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", Then::Wait, 200, "ab"),
    ] {
        let server = Server::answering(answer, then);
        let fetched = get(&server.at("/")).await.expect(answer);
        assert_eq!((fetched.status, fetched.body.as_slice()), (status, body.as_bytes()), "{answer}");
        assert_eq!(server.asked().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn headers_that_are_handed_on_are_plain_and_bounded() {
    let (most, more) = ("l".repeat(MAX_HEADER_TEXT_BYTES), "l".repeat(MAX_HEADER_TEXT_BYTES + 1));
    for (location, handed_on) in [(most.as_str(), true), (&more, false), ("/\u{e4}", false), ("", true)] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let fetched = get(&Server::answering(answer, Then::Wait).at("/")).await.unwrap();
        assert_eq!(fetched.location.as_deref(), handed_on.then_some(location));
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure_and_not_a_question() {
    let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let error = get(&format!("http://{address}/")).await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("FETCH_FAILED", false), "{error:?}");
    assert!(error.to_string().contains("refused the connection"), "{error}");

    // RFC 6761: this name has no address, anywhere.
    let fetcher = Fetcher::new(allow(&["http://nobody.invalid"]));
    let error = ask(&fetcher, "http://nobody.invalid/").await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("FETCH_FAILED", false), "{error:?}");
}

/// It takes the connection and does not greet: with TLS, that is before anything is asked.
#[tokio::test]
async fn a_host_that_does_not_greet_was_not_asked() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let terms = Terms { connect: Duration::from_millis(200), ..Terms::default() };
    let fetcher = Fetcher::on_terms(allow(&[&host]), terms);
    let error = ask(&fetcher, &format!("{host}/")).await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("FETCH_FAILED", false), "{error:?}");
    assert!(error.to_string().contains("in time"), "{error}");
}
