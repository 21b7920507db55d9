//! Servers that are processes: what they are started for, what ends them, and that nothing of them stays.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use steward_app_tools::NewServer;
use steward_ledger::kind;
use steward_permit::Tier;
use steward_testkit::{Played, TestNode};
use steward_worker::Worker as _;

use crate::{
    common::{KEY, READ, allow, end, entries, node, page, run, unknown, wrote},
    server::{read_page, soon},
};

/// How a process plays its part.
#[derive(Default)]
struct Part {
    /// It does not answer when it is asked for its tools.
    is_silent: AtomicBool,
    /// It says its key in what it says of its tools, after so many lists.
    tells_key_after: Option<usize>,
    lists: AtomicUsize,
    calls: AtomicUsize,
}

/// What a server of tools is, in the form of a process: calls are held, but for those of the page `quick`.
async fn play(mut process: Played, part: Arc<Part>) {
    while let Some(message) = process.hear().await {
        let result = match message["method"].as_str().unwrap_or_default() {
            "server/discover" => {
                let error = json!({"code": -32601, "message": "what?"});
                process.say(json!({"jsonrpc": "2.0", "id": message["id"], "error": error}).to_string()).await;
                continue;
            }
            "initialize" => json!({
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"},
            }),
            "tools/list" => {
                let lists = part.lists.fetch_add(1, Ordering::SeqCst) + 1;
                if part.is_silent.load(Ordering::SeqCst) {
                    continue;
                }
                let key = part.tells_key_after.filter(|after| lists > *after).map_or("", |_| KEY);
                let (name, description, schema) = read_page(&format!("Reads a page.{key}"));
                json!({"tools": [{"name": name, "description": description, "inputSchema": schema}]})
            }
            "tools/call" => {
                part.calls.fetch_add(1, Ordering::SeqCst);
                if message["params"]["arguments"]["id"] != "quick" {
                    continue;
                }
                json!({"content": [{"type": "text", "text": format!("a page for {KEY}")}]})
            }
            _ => continue,
        };
        process.say(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()).await;
    }
}

fn new() -> NewServer {
    NewServer {
        name: "wiki".to_owned(),
        command: Some(vec!["/programs/wiki".to_owned()]),
        secrets: BTreeMap::from([("TOKEN".to_owned(), "wiki".to_owned())]),
        ..NewServer::default()
    }
}

/// Adds the server `wiki`, a process that plays this part.
async fn wiki(node: &TestNode, part: &Arc<Part>) -> steward_app_flows::ServerView {
    let admin = node.admin().await;
    let new = new();
    let playing = async {
        let process = node.worker().next().await;
        tokio::spawn(play(process, Arc::clone(part)));
    };
    let (view, ()) = tokio::join!(node.runner().gateway.add(&admin, &new), playing);
    view.expect("added")
}

/// Waits until so many processes are there.
async fn alive(node: &TestNode, processes: usize) {
    soon("an end", async {
        while node.worker().alive() != processes {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_call_is_not_lost_because_another_is_asked_for() {
    let (node, olivia) = node().await;
    node.agent("other", Tier::T1).await;
    let part = Arc::new(Part::default());
    wiki(&node, &part).await;
    allow(&node, "read_page", Some(Tier::T1)).await;
    let (id, mut agent) = run(&node, &olivia, "reader", &["tool.call:**"]).await;
    let (second, mut other) = run(&node, &olivia, "other", &["tool.call:**"]).await;
    agent.ask(READ, page("slow")).await;
    soon("a call", async {
        while part.calls.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    crate::common::wait(&node);
    part.is_silent.store(true, Ordering::SeqCst);
    assert_eq!(other.refused(READ, page("quick")).await, "TOOL_SERVER_UNAVAILABLE");
    assert_eq!(node.run(&second).state.spent, Default::default(), "it is not charged to the agent");
    assert_eq!(node.worker().alive(), 3, "two agents, and the server, which works");
    assert_eq!(entries(&node, kind::TOOL_SERVER_STARTED).len(), 1);
    // When it answers again, all is well.
    part.is_silent.store(false, Ordering::SeqCst);
    let said = other.call(READ, page("quick")).await.to_string();
    assert!(said.contains("a page for [secret]") && !said.contains(KEY), "{said}");
    end(&node, &second, &other).await;
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    node.ended(&id).await;
    assert_eq!(unknown(&node).await.len(), 1, "nobody knows what came of it");
}

#[tokio::test]
async fn a_tool_that_tells_a_secret_is_neither_pinned_nor_shown_nor_called() {
    let (node, olivia) = node().await;
    let part = Arc::new(Part { tells_key_after: Some(0), ..Part::default() });
    let view = wiki(&node, &part).await;
    assert_eq!((view.tools.len(), view.new.len(), view.problems.len()), (0, 0, 1), "{view:?}");
    assert!(view.problems[0].starts_with("tool `read_page`: ") && !format!("{view:?}").contains(KEY), "{view:?}");
    node.runner().gateway.remove(&node.admin().await, "wiki").await.expect("removed");
    alive(&node, 0).await;
    // One that begins with it later.
    let part = Arc::new(Part { tells_key_after: Some(1), ..Part::default() });
    assert_eq!(wiki(&node, &part).await.tools.len(), 1);
    allow(&node, "read_page", Some(Tier::T1)).await;
    let (id, mut agent) = run(&node, &olivia, "reader", &["tool.call:**"]).await;
    crate::common::wait(&node);
    assert_eq!(agent.refused(READ, page("quick")).await, "TOOL_CHANGED");
    assert_eq!(part.calls.load(Ordering::SeqCst), 0);
    end(&node, &id, &agent).await;
    assert!(!wrote(&node, KEY), "the key stands in what the node wrote");
}

#[tokio::test]
async fn what_a_process_says_before_it_ends_is_told_without_its_secrets() {
    let (node, _olivia) = node().await;
    let admin = node.admin().await;
    let new = new();
    let playing = async {
        let mut process = node.worker().next().await;
        let asked: Value = process.hear().await.expect("it is asked");
        // As a program does that dislikes its key: to both greetings.
        let error = json!({"code": -32000, "message": format!("no such key: {KEY}")});
        process.say(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}).to_string()).await;
        while let Some(asked) = process.hear().await {
            process.say(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}).to_string()).await;
        }
    };
    let (view, ()) = tokio::join!(node.runner().gateway.add(&admin, &new), playing);
    let trouble = view.expect("added").trouble.expect("it cannot be asked");
    assert!(trouble.contains("no such key: [secret]"), "{trouble}");
    alive(&node, 0).await;
}

#[tokio::test]
async fn nobody_who_gives_up_leaves_a_process() {
    let (node, _olivia) = node().await;
    let admin = node.admin().await;
    let new = new();
    // In the middle of greeting.
    let adding = node.runner().gateway.add(&admin, &new);
    let mut process = tokio::select! {
        _ = adding => panic!("nobody greets it"),
        process = node.worker().next() => process,
    };
    alive(&node, 0).await;
    assert!(process.is_over());
    while process.hear().await.is_some() {}
    // In the middle of the first list.
    let part = Arc::new(Part { is_silent: AtomicBool::new(true), ..Part::default() });
    let listed = async {
        tokio::spawn(play(node.worker().next().await, Arc::clone(&part)));
        while part.lists.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = node.runner().gateway.show(&admin, "wiki") => panic!("it does not list"),
        () = soon("a question", listed) => {}
    }
    alive(&node, 0).await;
}

#[tokio::test]
async fn a_node_that_stops_does_not_wait_for_a_server_that_says_nothing() {
    let (mut node, _olivia) = node().await;
    let admin = node.admin().await;
    let runner = Arc::clone(node.runner());
    let adding = tokio::spawn(async move { runner.gateway.add(&admin, &new()).await });
    let process = node.worker().next().await;
    let began = std::time::Instant::now();
    node.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(process.is_over());
    drop(process);
    // It ends, too, one way or the other: its store is closed.
    let _ = soon("an end", adding).await;
}

#[tokio::test]
async fn a_halt_ends_servers_and_none_is_started_until_it_is_lifted() {
    let (node, olivia) = node().await;
    let admin = node.admin().await;
    let part = Arc::new(Part::default());
    wiki(&node, &part).await;
    allow(&node, "read_page", Some(Tier::T1)).await;
    assert_eq!(node.worker().alive(), 1);
    let runner = node.runner();
    runner.halt(&node.again(&olivia), "look").await.expect("halted");
    alive(&node, 0).await;
    let view = runner.gateway.show(&admin, "wiki").await.expect("it is shown");
    assert!(view.trouble.as_deref().is_some_and(|why| why.contains("halted")), "{view:?}");
    assert_eq!(runner.gateway.pin(&admin, "wiki").await.expect_err("refused").code, "HALTED");
    assert_eq!(runner.gateway.list(&admin).await.expect("listed").len(), 1);
    allow(&node, "read_page", None).await;
    assert_eq!((node.worker().alive(), entries(&node, kind::TOOL_SERVER_STARTED).len()), (0, 1));
    runner.resume(&admin, "looked").await.expect("resumed");
    let playing = async {
        let played = node.worker().next().await;
        tokio::spawn(play(played, Arc::clone(&part)));
    };
    let (view, _) = tokio::join!(runner.gateway.show(&admin, "wiki"), playing);
    assert_eq!(view.expect("shown").trouble, None);
}

#[tokio::test]
async fn no_process_is_started_for_a_tool_that_nobody_allowed() {
    let (node, olivia) = node().await;
    let part = Arc::new(Part::default());
    wiki(&node, &part).await;
    node.runner().halt(&node.again(&olivia), "so that it ends").await.expect("halted");
    node.runner().resume(&node.admin().await, "it ended").await.expect("resumed");
    alive(&node, 0).await;
    let (id, mut agent) = run(&node, &olivia, "reader", &["tool.call:**"]).await;
    assert_eq!(agent.refused("tool.call", json!({"resource": "wiki/read_page"})).await, "NOT_PERMITTED");
    assert_eq!(entries(&node, kind::TOOL_SERVER_STARTED).len(), 1);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn taking_a_server_away_waits_for_nobody_who_connects_to_it() {
    let (node, _olivia) = node().await;
    let admin = node.admin().await;
    let new = new();
    let part = Arc::new(Part { is_silent: AtomicBool::new(true), ..Part::default() });
    let mut adding = Box::pin(node.runner().gateway.add(&admin, &new));
    let listed = async {
        tokio::spawn(play(node.worker().next().await, Arc::clone(&part)));
        while part.lists.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = &mut adding => panic!("it does not list"),
        () = soon("a question", listed) => {}
    }
    tokio::select! {
        biased;
        removed = node.runner().gateway.remove(&admin, "wiki") => { removed.expect("removed"); }
        _ = &mut adding => panic!("whoever connects was waited for"),
    }
    // Its process is gone with it, and who connected is told.
    let view = soon("an end", adding).await;
    assert!(view.as_ref().map_or(true, |view| view.trouble.is_some() && view.tools.is_empty()), "{view:?}");
    alive(&node, 0).await;
    assert_eq!(node.runner().gateway.list(&admin).await.expect("listed").len(), 0);
}
