//! Reports: with headers that hold secrets, and answers that are read as far as they matter.

use steward_permit::{Action, ResourceKind};
use steward_seal::secret::Secret;

use super::{Server, Then, Trap, action, warrant};
use crate::{FetchError, MAX_REPORTED_BYTES, Poster, Report, Reported, Target, check_header};

fn report(address: &str, headers: &[(&str, &str)]) -> Report {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(value)));
    Report { target: Target::parse(address).unwrap(), headers: headers.collect(), body: b"{}".to_vec() }
}

fn about(report: &Report) -> Action {
    action("trace.export", ResourceKind::Host, report.target.place()).with_arguments(report.digest())
}

async fn send(report: Report) -> Result<Reported, FetchError> {
    let action = about(&report);
    Poster::new(false).report(warrant(&action), &action, report).await
}

#[tokio::test]
async fn a_report_is_sent_with_its_headers_and_its_answer_is_read() {
    let server = Server::answering("HTTP/1.1 429 X\r\nRetry-After: 17\r\nContent-Length: 5\r\n\r\nwait!", Then::Wait);
    let sent =
        send(report(&server.at("/v1/traces"), &[("Authorization", "Bearer x"), ("x-tenant", "acme")])).await.unwrap();
    assert_eq!(sent, Reported { status: 429, retry_after_s: Some(17), body: b"wait!".to_vec() });
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{asked}");
    for header in ["content-type: application/json", "authorization: Bearer x", "x-tenant: acme", "content-length: 2"] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{header}: {asked}");
    }
    // It breaks off behind its status.
    let dated = Server::answering("HTTP/1.1 503 X\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n", Then::Close);
    assert_eq!(send(report(&dated.at("/"), &[])).await.unwrap().retry_after_s, None);
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_its_limit() {
    let floods = Server::answering("HTTP/1.1 200 X\r\n\r\n", Then::Repeat(&[b'x'; 4096]));
    let sent = send(report(&floods.at("/"), &[])).await.unwrap();
    assert_eq!((sent.status, sent.body.len()), (200, MAX_REPORTED_BYTES));
}

#[tokio::test]
async fn an_answer_that_drips_behind_its_status_is_an_answer() {
    let drips = Server::answering("HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\nx", Then::Wait);
    let sent = send(report(&drips.at("/"), &[])).await.unwrap();
    assert_eq!((sent.status, sent.body), (200, b"x".to_vec()));
}

#[tokio::test]
async fn nothing_else_is_sent_than_what_was_permitted() {
    let trap = Trap::new();
    let address = format!("http://127.0.0.1:{}/", trap.port());
    let permitted = report(&address, &[("a", "1")]);
    let action = about(&permitted);
    let others = [
        report(&format!("{address}other"), &[("a", "1")]),
        report(&address, &[]),
        report(&address, &[("b", "1")]),
        Report { body: b"{ }".to_vec(), ..permitted.clone() },
    ];
    for other in others {
        let error = Poster::new(false).report(warrant(&action), &action, other).await.unwrap_err();
        assert_eq!(error.code(), "WARRANT_MISMATCH");
    }
    let told =
        super::action("hook.deliver", ResourceKind::Host, permitted.target.place()).with_arguments(permitted.digest());
    let error = Poster::new(false).report(warrant(&told), &told, permitted).await.unwrap_err();
    assert_eq!(error.code(), "WARRANT_MISMATCH");
    for secret in ["two\nlines", "\u{7f}"] {
        let error = send(report(&address, &[("a", secret)])).await.unwrap_err();
        assert!(error.code() == "URL_REFUSED" && !error.to_string().contains(secret), "{error}");
    }
    assert!(trap.is_untouched());
}

#[test]
fn headers_that_say_what_is_sent_how_are_the_nodes() {
    for good in ["authorization", "X-Scope-OrgID", "api-key"] {
        assert!(check_header(good).is_ok(), "{good}");
    }
    for bad in
        ["", "a b", "ä", "a:", "Host", "content-length", "Content-Type", "transfer-encoding", "Connection", "expect"]
    {
        assert!(check_header(bad).is_err(), "{bad}");
    }
}
