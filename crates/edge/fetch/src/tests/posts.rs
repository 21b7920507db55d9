//! Letters: what is sent, to whom, and what keeps one from being sent.

use std::time::Duration;

use steward_permit::{Action, ResourceKind};

use super::{Server, Then, Trap, action, warrant};
use crate::{FetchError, Letter, Poster, Target, client::Terms};

const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn letter(address: &str) -> Letter {
    Letter {
        target: Target::parse(address).unwrap(),
        id: "rvw_1_opened".to_owned(),
        sent_at_s: 1_795_000_000,
        signature: "v1,x".to_owned(),
        body: br#"{"type":"review.opened"}"#.to_vec(),
    }
}

fn about(name: &str, letter: &Letter) -> Action {
    action(name, ResourceKind::Host, letter.target.place()).with_arguments(letter.digest())
}

async fn post(poster: &Poster, letter: Letter) -> Result<u16, FetchError> {
    let action = about("hook.deliver", &letter);
    poster.post(warrant(&action), &action, letter).await
}

#[tokio::test]
async fn a_letter_is_posted_with_what_it_is_verified_by() {
    let server = Server::answering(TAKEN, Then::Wait);
    assert_eq!(post(&Poster::new(false), letter(&server.at("/hooks/secret?a=b"))).await.unwrap(), 204);
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("POST /hooks/secret?a=b HTTP/1.1\r\n"), "{asked}");
    for header in [
        "content-type: application/json",
        "webhook-id: rvw_1_opened",
        "webhook-timestamp: 1795000000",
        "webhook-signature: v1,x",
        "content-length: 24",
    ] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{header}: {asked}");
    }
}

#[tokio::test]
async fn redirects_and_errors_are_answers() {
    for status in [301, 307, 308, 400, 410, 500] {
        let trap = Trap::new();
        let answer =
            format!("HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n", trap.port());
        let server = Server::answering(answer, Then::Wait);
        assert_eq!(post(&Poster::new(false), letter(&server.at("/"))).await.unwrap(), status);
        assert!(trap.is_untouched() && server.asked().len() == 1, "{status}");
    }
}

#[tokio::test]
async fn a_name_leads_inside_only_where_that_is_asked_for() {
    let trap = Trap::new();
    let error = post(&Poster::new(false), letter(&format!("http://localhost:{}/", trap.port()))).await.unwrap_err();
    assert!(matches!(error, FetchError::AddressRefused { .. }) && trap.is_untouched(), "{error:?}");
    assert!(error.in_short().contains("inside a network"), "{}", error.in_short());
    // The guard, and not something else, refused.
    let server = Server::answering(TAKEN, Then::Wait);
    let by_name = format!("http://localhost:{}/", server.address.port());
    assert_eq!(post(&Poster::new(true), letter(&by_name)).await.unwrap(), 204);
}

#[tokio::test]
async fn who_hangs_or_closes_is_given_up() {
    let soon = || Poster::on_terms(Terms { whole: Duration::from_millis(300), ..Terms::default() });
    let hangs = Server::answering("", Then::Wait);
    let error = post(&soon(), letter(&hangs.at("/"))).await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("OUTCOME_UNKNOWN", true), "{error:?}");
    assert!(error.in_short().contains("in time") && !error.in_short().contains("asking again"), "{}", error.in_short());
    let drips = Server::answering("HTTP/1.1 100 Continue\r\n\r\n", Then::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n"));
    assert_eq!(post(&soon(), letter(&drips.at("/"))).await.unwrap_err().code(), "OUTCOME_UNKNOWN");
    let closes = Server::answering("", Then::Close);
    assert_eq!(post(&Poster::new(false), letter(&closes.at("/"))).await.unwrap_err().code(), "OUTCOME_UNKNOWN");
}

#[tokio::test]
async fn without_a_warrant_for_exactly_this_nothing_is_sent() {
    let trap = Trap::new();
    let sent = letter(&format!("http://127.0.0.1:{}/a", trap.port()));
    let poster = Poster::new(false);
    let other = Letter { body: b"{}".to_vec(), ..sent.clone() };
    let elsewhere = letter(&format!("http://127.0.0.1:{}/b", trap.port()));
    let renamed = Letter { id: "rvw_2_opened".to_owned(), ..sent.clone() };
    for (action, permitted) in [
        // Permitted was another letter, another path, another id, or something else altogether.
        (about("hook.deliver", &sent), about("hook.deliver", &other)),
        (about("hook.deliver", &other), about("hook.deliver", &other)),
        (about("hook.deliver", &elsewhere), about("hook.deliver", &elsewhere)),
        (about("hook.deliver", &renamed), about("hook.deliver", &renamed)),
        (about("http.get", &sent), about("http.get", &sent)),
    ] {
        let error = poster.post(warrant(&permitted), &action, sent.clone()).await.unwrap_err();
        assert_eq!(error.code(), "WARRANT_MISMATCH", "{error:?}");
    }
    let command = action("hook.deliver", ResourceKind::Command, sent.target.place()).with_arguments(sent.digest());
    assert_eq!(poster.post(warrant(&command), &command, sent).await.unwrap_err().code(), "WARRANT_MISMATCH");
    assert!(trap.is_untouched());
}

#[test]
fn a_place_is_the_address_without_its_path() {
    for (address, place) in [
        ("example.org/", "example.org"),
        ("example.org:8443/a/b?c=/d", "example.org:8443"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
        ("http://[2001:db8::1]:1/", "http://[2001:db8::1]:1"),
    ] {
        assert_eq!(Target::parse(address).unwrap().place(), place);
    }
}
