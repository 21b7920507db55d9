//! Providers that fail: what is tried again, what never is, and when one is no longer asked.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use steward_model::{BreakerState, Caller, MAX_ATTEMPTS, Timeouts};

use crate::common::{Hand, KEY, Reply, Server, Then, Zero, caller, completion, patient, request, soon, stream, whole};

#[tokio::test]
async fn who_is_busy_is_asked_again() {
    let busy = Reply::json(429, &json!({"error": {"message": "slow down"}}));
    let server = Server::with([busy.clone().with("retry-after", "0"), busy, Reply::json(200, &completion("hi"))]).await;
    let (body, _) = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "hi");
    let keys: Vec<_> = server.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "it is the same request: {keys:?}");
}

#[tokio::test]
async fn who_wants_too_long_a_wait_is_not_waited_for() {
    for status in [429, 503] {
        let server = Server::with([Reply::json(status, &json!({})).with("retry-after", "21")]).await;
        let error = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap_err();
        assert_eq!((error.code(), error.may_fall_back(), error.is_unknown()), ("MODEL_RATE_LIMITED", true, false));
        assert_eq!(server.times(), 1);
    }
}

#[tokio::test]
async fn who_stays_down_is_asked_three_times() {
    for (status, code) in [(429, "MODEL_RATE_LIMITED"), (503, "MODEL_UNAVAILABLE"), (529, "MODEL_UNAVAILABLE")] {
        let server = Server::with([Reply::text(status, "text/html", &format!("<h1>\u{1b}[1m{KEY}</h1>"))]).await;
        let error = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap_err();
        assert_eq!((error.code(), error.may_fall_back(), error.is_unknown()), (code, true, false), "{status}");
        assert_eq!(server.times(), usize::try_from(MAX_ATTEMPTS).unwrap(), "{status}");
        assert!(!error.to_string().contains(KEY) && !error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[tokio::test]
async fn who_stands_between_and_gives_up_says_nothing_of_what_was_done() {
    for status in [408, 502, 504] {
        let busy = Reply::text(status, "text/html", &format!("<h1>\u{1b}[1m{KEY}</h1>"));
        let server = Server::with([busy.with("retry-after", "0"), Reply::json(200, &completion("hi"))]).await;
        for streams in [false, true] {
            let asked = request(json!({"stream": streams}));
            let error = if streams {
                let server = Server::with([Reply::json(status, &json!({}))]).await;
                stream(&caller(), &server.provider(), &asked).await.unwrap_err()
            } else {
                whole(&caller(), &server.provider(), &asked).await.unwrap_err()
            };
            let told = (error.code(), error.may_fall_back(), error.is_unknown(), error.may_have_cost());
            assert_eq!(told, ("MODEL_CUT_OFF", false, true, true), "{status}");
            assert!(!error.to_string().contains(KEY) && !error.to_string().contains('\u{1b}'), "{error}");
        }
        assert_eq!(server.times(), 1, "{status}: it is not asked again");
    }
}

#[tokio::test]
async fn what_more_time_does_not_mend_is_not_tried_again() {
    let body = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}});
    for (status, code, falls_back) in [
        (400, "MODEL_REJECTED", false),
        (401, "MODEL_REFUSED", true),
        (402, "MODEL_REFUSED", true),
        (403, "MODEL_REFUSED", true),
        (404, "MODEL_REJECTED", false),
        (409, "MODEL_REJECTED", false),
        (422, "MODEL_REJECTED", false),
        (500, "MODEL_UNAVAILABLE", true),
        (501, "MODEL_UNAVAILABLE", true),
    ] {
        let server = Server::with([Reply::json(status, &body)]).await;
        let error = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap_err();
        assert_eq!((error.code(), error.may_fall_back(), error.is_unknown()), (code, falls_back, false), "{status}");
        assert_eq!(server.times(), 1, "{status}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("0123456789"), "{shown}");
        if code == "MODEL_REJECTED" {
            assert!(shown.contains("Incorrect API key provided: [secret]"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = Server::with([Reply::json(200, &completion("hi"))]).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/chat/completions", trap.base);
        let server = Server::with([Reply::json(status, &json!({})).with("location", &to)]).await;
        let error = whole(&caller(), &server.provider(), &request(json!({}))).await.unwrap_err();
        assert_eq!((error.code(), server.times()), ("MODEL_UNAVAILABLE", 1), "{status}");
    }
    assert_eq!(trap.times(), 0);
}

#[tokio::test]
async fn who_cannot_be_reached_did_nothing() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/v1", listener.local_addr().unwrap())
    };
    let server = Server::with([Reply::json(200, &completion("hi"))]).await;
    let not_tls = server.base.replace("http://", "https://");
    for base_url in [gone, not_tls, "http://no-such-host.invalid/v1".to_owned()] {
        let mut provider = server.provider();
        provider.base_url.clone_from(&base_url);
        let error = whole(&caller(), &provider, &request(json!({}))).await.unwrap_err();
        assert_eq!(
            (error.code(), error.may_fall_back(), error.is_unknown()),
            ("MODEL_UNAVAILABLE", true, false),
            "{base_url}"
        );
    }
    for base_url in ["", "file:///etc/passwd", "http://", "ftp://example.org"] {
        let provider = steward_model::Provider { base_url: base_url.to_owned(), ..server.provider() };
        let error = whole(&caller(), &provider, &request(json!({}))).await.unwrap_err();
        assert_eq!((error.code(), error.is_unknown()), ("MODEL_UNAVAILABLE", false), "{base_url}");
    }
    assert_eq!(server.times(), 0);
}

#[tokio::test]
async fn who_is_silent_may_have_done_something() {
    let begun = Reply::text(200, "application/json", "{").then(Then::Wait);
    let event = Reply::stream(vec![": waiting\n\n".to_owned()], Then::Wait);
    let long = Timeouts::default();
    let (first, quiet, all) = (
        Timeouts { first_byte: soon(), ..long },
        Timeouts { quiet: soon(), ..long },
        Timeouts { whole: soon(), ..long },
    );
    for (reply, timeouts, streams) in [
        (Reply::Silence, first, false),
        (Reply::Silence, first, true),
        (Reply::stream(vec![String::new()], Then::Wait), first, true),
        (begun.clone(), quiet, false),
        (event.clone(), quiet, true),
        (Reply::Silence, all, true),
        (begun, all, false),
        (event, all, true),
        (
            Reply::stream(Vec::new(), Then::Repeat(": waiting\n\n".to_owned())),
            Timeouts { whole: Duration::ZERO, ..long },
            true,
        ),
    ] {
        let server = Server::with([reply]).await;
        let (caller, asked) = (patient(timeouts), request(json!({"stream": streams})));
        let error = if streams {
            match stream(&caller, &server.provider(), &asked).await {
                Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
                Err(error) => error,
            }
        } else {
            whole(&caller, &server.provider(), &asked).await.unwrap_err()
        };
        assert_eq!(
            (error.code(), error.is_unknown(), error.may_fall_back()),
            ("MODEL_TIMEOUT", true, false),
            "{error}"
        );
        assert!(server.times() <= 1, "it is not asked again");
    }
}

#[tokio::test]
async fn who_goes_without_a_word_may_have_done_something() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let times = tokio::spawn(async move {
        use tokio::io::AsyncReadExt as _;
        let mut times = 0;
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = [0; 512];
            // Some of the request has been read when the connection goes; an empty one says that it is over.
            match connection.read(&mut head).await {
                Ok(1) => break,
                _ => times += 1,
            }
        }
        times
    });
    let server = Server::with([Reply::Silence]).await;
    let provider = steward_model::Provider { base_url: base_url.clone(), ..server.provider() };
    let error = whole(&caller(), &provider, &request(json!({}))).await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown(), error.may_fall_back()), ("MODEL_CUT_OFF", true, false), "{error}");
    let address = base_url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let last = tokio::net::TcpStream::connect(address).await.unwrap();
    last.try_write(b"x").unwrap();
    assert_eq!(times.await.unwrap(), 1, "it is not asked again");
}

fn state(caller: &Caller, clock: &Hand) -> BreakerState {
    let [(name, state)] = &caller.breakers(steward_clock::Clock::now(clock))[..] else { panic!("one model was asked") };
    assert_eq!(name, "fast");
    *state
}

#[tokio::test]
async fn who_keeps_failing_is_not_asked_for_a_while() {
    let server = Server::with([Reply::json(501, &json!({}))]).await;
    let clock = Arc::new(Hand::default());
    let caller = Caller::new(clock.clone(), Arc::new(Zero), Timeouts::default());
    let asked = request(json!({}));
    for failures in 1..5 {
        whole(&caller, &server.provider(), &asked).await.unwrap_err();
        assert_eq!(state(&caller, &clock), BreakerState::Closed { failures });
    }
    whole(&caller, &server.provider(), &asked).await.unwrap_err();
    assert!(matches!(state(&caller, &clock), BreakerState::Open { for_ms: 30_000, .. }));
    let error = whole(&caller, &server.provider(), &asked).await.unwrap_err();
    assert_eq!((error.code(), error.may_fall_back(), error.is_unknown()), ("BREAKER_OPEN", true, false));
    assert_eq!(server.times(), 5);
    // Another model of the same server has a breaker of its own.
    let other = steward_model::Provider { name: "other".to_owned(), ..server.provider() };
    assert_eq!(whole(&caller, &other, &asked).await.unwrap_err().code(), "MODEL_UNAVAILABLE");

    clock.forward_s(30);
    let error = whole(&caller, &server.provider(), &asked).await.unwrap_err();
    assert_eq!((error.code(), server.times()), ("MODEL_UNAVAILABLE", 7));
    assert!(matches!(
        caller.breakers(steward_clock::Clock::now(&*clock))[0].1,
        BreakerState::Open { for_ms: 60_000, .. }
    ));
}

#[tokio::test]
async fn a_trial_that_nobody_waits_for_leaves_room_for_another() {
    let pieces = vec![format!("data: {}\n\n", crate::common::piece(json!({"content": "hi"}), None))];
    let mut replies = vec![Reply::json(501, &json!({})); 5];
    replies.extend([
        Reply::stream(pieces, Then::Wait),
        Reply::json(400, &json!({})),
        Reply::json(200, &completion("hi")),
    ]);
    let server = Server::with(replies).await;
    let clock = Arc::new(Hand::default());
    let caller = Caller::new(clock.clone(), Arc::new(Zero), Timeouts::default());
    let (asked, streamed) = (request(json!({})), request(json!({"stream": true})));
    for _ in 0..5 {
        whole(&caller, &server.provider(), &asked).await.unwrap_err();
    }
    clock.forward_s(30);
    let mut trial = stream(&caller, &server.provider(), &streamed).await.unwrap();
    trial.next().await.unwrap().unwrap();
    assert_eq!(state(&caller, &clock), BreakerState::HalfOpen { tried: true, for_ms: 30_000 });
    assert_eq!(whole(&caller, &server.provider(), &asked).await.unwrap_err().code(), "BREAKER_OPEN");
    drop(trial);
    assert_eq!(state(&caller, &clock), BreakerState::HalfOpen { tried: false, for_ms: 30_000 });
    // What is the request's own fault says nothing of the provider.
    assert_eq!(whole(&caller, &server.provider(), &asked).await.unwrap_err().code(), "MODEL_REJECTED");
    assert_eq!(state(&caller, &clock), BreakerState::HalfOpen { tried: false, for_ms: 30_000 });
    whole(&caller, &server.provider(), &asked).await.unwrap();
    assert_eq!(state(&caller, &clock), BreakerState::Closed { failures: 0 });
}

#[tokio::test]
async fn a_bad_request_opens_nothing() {
    let server = Server::with([Reply::json(400, &json!({}))]).await;
    let clock = Arc::new(Hand::default());
    let caller = Caller::new(clock.clone(), Arc::new(Zero), Timeouts::default());
    for _ in 0..10 {
        assert_eq!(whole(&caller, &server.provider(), &request(json!({}))).await.unwrap_err().code(), "MODEL_REJECTED");
    }
    assert_eq!(state(&caller, &clock), BreakerState::Closed { failures: 0 });
}
