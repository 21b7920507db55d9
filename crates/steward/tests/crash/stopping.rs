//! Callers that hang up, and a node that is told to stop: what began is finished.

use std::{io::Write as _, net::TcpStream, sync::Arc};

use rustix::process::Signal;
use steward_app_actions::{Status, rows};
use steward_caller::ActionQuery;
use steward_naming::{ActionId, Namespace};
use steward_seal::Digest;
use steward_store::{Archive, StoreError};

use crate::{
    chance::Chance,
    check,
    common::{NAMESPACE, Up},
    life::Life,
    load::{WRITERS, write},
};

/// Large enough that staging it takes longer than seeing that it was intended.
const BYTES: usize = 4 << 20;

/// Answers before the node is told to stop.
const ANSWERS: u64 = 60;

/// Asks for a write, waits until its intention is on record, and hangs up.
async fn hangs_up(life: &Life, node: &Up, n: usize) -> String {
    let path = format!("/hung/{n}");
    let content = format!("{n}\n").repeat(BYTES / 2).into_bytes();
    life.facts.asks(WRITERS[0], &path, Digest::of(&content).to_string());
    let body = serde_json::to_vec(&write(&path, &content)).expect("a request can be written");
    let authority = node.url().trim_start_matches("http://");
    let head = format!(
        "POST /v1/agents/{}/actions HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        WRITERS[0],
        life.writers[0],
        body.len()
    );
    let operator = life.ways(node).operator;
    let newest = ActionQuery { limit: Some(1), ..ActionQuery::default() };
    let mut line = TcpStream::connect(authority).expect("it listens");
    line.write_all(&[head.as_bytes(), &body].concat()).expect("it is sent");
    loop {
        let actions = operator.actions(&newest).await.expect("actions").actions;
        if actions.iter().any(|action| action.resource == path) {
            break;
        }
    }
    path
}

/// What became of every action, as a stranger reads it.
fn effects(life: &Life) -> Vec<rows::EffectRow> {
    let archive = Archive::open(&life.place.home().join("store.sqlite")).expect("there is a store");
    let namespace: Namespace = NAMESPACE.parse().expect("a namespace");
    let found = archive.read(|reader| {
        let intended = reader.entries("WHERE kind = 'action.intended'", &[])?;
        let ids = intended.iter().map(|entry| entry.subject.parse::<ActionId>().expect("an id"));
        let row = |id| Ok(rows::effect(reader, &namespace, &id)?.expect("whatever was intended has a row"));
        ids.map(row).collect::<Result<Vec<_>, StoreError>>()
    });
    found.expect("the store can be read")
}

fn last_entry(life: &Life) -> String {
    let archive = Archive::open(&life.place.home().join("store.sqlite")).expect("there is a store");
    let last = archive.read(|reader| {
        let last = reader.size()?.checked_sub(1).expect("it has entries");
        Ok::<_, StoreError>(reader.entry(last)?.expect("it is there").kind)
    });
    last.expect("the store can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_began_who_hung_up_is_finished_even_if_the_node_is_told_to_stop() {
    let life = Life::begin(Chance::new(5)).await;
    let node = life.place.up(&[]);
    let mut paths = Vec::new();
    for n in 0..5 {
        paths.push(hangs_up(&life, &node, n).await);
    }
    // At once: the last one is on its way.
    node.stop();
    life.facts.is_over();
    assert_eq!(last_entry(&life), "node.stopped");
    check::on_disk(&life, "hung up");
    for path in paths {
        let effects = effects(&life);
        let row = effects.iter().find(|row| row.resource == path).unwrap_or_else(|| panic!("{path} was intended"));
        assert_eq!(row.status, Status::Succeeded, "{path}: {:?}", row.error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_finishes_what_it_took_on() {
    let mut life = Life::begin(Chance::new(6)).await;
    let node = Arc::new(life.place.up(&[]));
    let address = life.place.home().join("run/address");
    assert_eq!(std::fs::read_to_string(&address).expect("it is up").trim(), node.url());
    let lost = life.load(&node, 0, Some((Signal::TERM, ANSWERS)), "told to stop").await;
    assert!(lost, "it stopped while they asked");
    let node = Arc::into_inner(node).expect("nobody else has it any more");
    let status = life.is_gone(node, "told to stop").await;
    assert!(status.success(), "{status}\n{}", life.place.log());
    assert!(!address.exists(), "whoever looks for the node finds none");
    assert_eq!(last_entry(&life), "node.stopped");
    life.facts.is_over();
    check::on_disk(&life, "told to stop");
    let answered: Vec<String> = life.facts.with(|known| {
        known.writes.iter().filter(|write| write.answer.is_some()).map(|write| write.digest.clone()).collect()
    });
    for row in effects(&life) {
        assert!(answered.contains(&row.arguments.to_string()), "{} was taken on and not answered", row.id);
    }
}
