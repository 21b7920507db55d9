//! A node dies when somebody was told, and before that is on record: they are told again, as of the same.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::ExitStatusExt as _,
    sync::mpsc::{Receiver, channel},
};

use steward_wire::{AddAgent, PutSecret, SearchQuery, SecretText};

use crate::{common::Place, life::KILL, load::write};

/// Somebody who says 204 to everything, and gives the id of each message.
fn receiver() -> (String, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (tells, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if !matches!(stream.read(&mut byte), Ok(1)) {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let Some(id) = head.lines().find_map(|line| line.strip_prefix("webhook-id: ")) else { continue };
            let _ = tells.send(id.to_owned());
            let _ = stream.write_all(b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (url, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_when_the_node_died_is_told_again_of_the_same() {
    let (place, (url, told)) = (Place::new(), receiver());
    let node = place.up(&[]);
    let (operator, key) = node.login().await;
    let agent = AddAgent {
        name: "architect".to_owned(),
        version: "1.0.0".to_owned(),
        tier: "T4".to_owned(),
        ..AddAgent::default()
    };
    operator.add_agent(&agent).await.expect("added");
    let value = Some(SecretText("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()));
    let secret = PutSecret { name: "chat-hook".to_owned(), value, generate: None, made_by: None };
    operator.put_secret(&secret).await.expect("put");
    node.stop();
    let file = place.home().join("steward.toml");
    let text = fs::read_to_string(&file).expect("its configuration");
    let hook = format!("\n[[hooks]]\nname = \"chat\"\nurl = \"{url}\"\nsecret = \"chat-hook\"\n");
    fs::write(&file, text + &hook).expect("written");

    let mishap = [("STEWARD_MISHAP", "hook.told.before_settled:1")];
    let node = place.try_up(&[], &mishap).expect("it comes up");
    let operator = node.caller(Some(&key.secret));
    // What happened before a hook began is no news to it.
    let began = SearchQuery { kind: Some("hook.queued".to_owned()), ..SearchQuery::default() };
    while operator.entries(&began).await.expect("they can be searched").entries.is_empty() {}
    let waits = operator.act("architect", &write("/plans/a.md", b"x")).await.expect_err("it waits");
    let review = format!("{waits:?}");
    let first = told.recv().expect("somebody is told");
    assert!(first.ends_with("_opened") && review.contains(first.trim_end_matches("_opened")), "{first}: {review}");
    assert_eq!(node.wait().signal(), Some(KILL), "{}", place.log());

    let node = place.up(&[]);
    let operator = node.caller(Some(&key.secret));
    assert_eq!(told.recv().expect("they are told again"), first, "under the same id");
    loop {
        let hook = operator.hooks().await.expect("it answers").hooks.remove(0);
        if hook.waiting == 0 {
            assert_eq!((hook.told, hook.gave_up, hook.why), (1, 0, None));
            break;
        }
    }
    node.stop();
    assert!(told.try_recv().is_err(), "and no third time");
    let verified = place.steward(&["ledger", "verify", "--state"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
