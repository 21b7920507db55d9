//! Servers of tools whose secret is made for each lease: a connection for each, which is over when that is.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use steward_app_secrets::{self as secrets, MadeRow, RoundEnded, UNCERTAIN_FOR_S, Value as Holds};
use steward_app_tools::NewServer;
use steward_ledger::kind;
use steward_permit::{Role, Tier};
use steward_testkit::{Known, Played, TestNode};
use steward_worker::Worker as _;

use crate::{
    common::{MINUTE, READ, end, ends, entries, leases, put, read, run, wiki},
    maker::Maker,
    server::{Server, read_page, soon},
};

/// A node with an operator, two agents, and the secret `wiki` that the generator makes.
async fn house(maker: &Maker) -> (TestNode, Known) {
    let node = TestNode::builder().generator(maker.generator()).start().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("reader", Tier::T1).await;
    node.agent("other", Tier::T1).await;
    put(&node, "maker", "the-makers-own-key").await;
    let by = Holds::MadeBy("roles".parse().expect("a label"));
    node.runner().put_secret(&node.admin().await, "wiki", &by).await.expect("put");
    (node, olivia)
}

async fn round(node: &TestNode) -> RoundEnded {
    node.runner().end_made("roles").await.expect("a round")
}

fn made(node: &TestNode) -> Vec<MadeRow> {
    node.context().store.read(|reader| secrets::not_ended(reader, node.namespace())).expect("it reads")
}

#[tokio::test]
async fn each_run_and_the_node_has_a_connection_and_a_value_of_its_own() {
    let maker = Maker::new();
    let (mut node, olivia) = house(&maker).await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let own = maker.living();
    assert_eq!((server.keys(), own.len()), (own.clone(), 1), "the node asked for its tools, with one of its own");
    assert_eq!((made(&node)[0].run.as_ref(), made(&node)[0].agent.as_ref()), (None, None));
    let told = maker.told().remove(0);
    assert_eq!((&told["run"], &told["agent"], &told["seconds"]), (&Value::Null, &Value::Null, &json!(3600)));

    let (one, mut reader) = run(&node, &olivia, "reader").await;
    let (two, mut other) = run(&node, &olivia, "other").await;
    read(&mut reader).await;
    read(&mut other).await;
    read(&mut reader).await;
    let living = maker.living();
    assert_eq!((living.len(), server.calls().len()), (3, 3));
    let mut keys = server.keys();
    keys.sort();
    let mut expected = living.clone();
    expected.sort();
    assert_eq!(keys, expected, "three values, each on a connection");
    let started = entries(&node, kind::TOOL_SERVER_STARTED);
    let lease = leases(&node, &one).pop().expect("one");
    assert_eq!(started.len(), 3);
    assert_eq!(started[1].detail["leases"], json!([lease.id.as_str()]));
    assert_eq!(round(&node).await, RoundEnded::default(), "nothing is over");

    end(&node, &one, &reader).await;
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!(maker.living().len(), 2);
    read(&mut other).await;
    // A person revokes the other's.
    let lease = leases(&node, &two).pop().expect("one");
    secrets::revoke_lease(node.context(), &node.admin().await, &lease.id, "enough").await.expect("revoked");
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!(maker.living(), own, "the node's own");
    assert_eq!(other.refused(READ, json!({"id": "a"})).await, "LEASE_REVOKED");
    end(&node, &two, &other).await;
    // The node's own ends with its connection.
    node.runner().gateway.remove(&node.admin().await, "wiki").await.expect("removed");
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!((maker.living(), made(&node)), (Vec::new(), Vec::new()));

    // And when the node dies, with that.
    wiki(&node, &server).await;
    assert_eq!(maker.living().len(), 1);
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!((maker.living(), made(&node)), (Vec::new(), Vec::new()));
    let admin = node.admin().await;
    assert_eq!(node.runner().gateway.show(&admin, "wiki").await.expect("shown").trouble, None);
    assert_eq!(maker.living().len(), 1);
    node.stop().await;
    assert_eq!(maker.living(), [] as [String; 0], "a node that stops ends it");
}

#[tokio::test]
async fn what_lapsed_or_was_rotated_is_made_anew_on_another_connection() {
    let maker = Maker::new();
    let (node, olivia) = house(&maker).await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    node.clock().advance_ms(1);
    node.runner().rotate_secret(&node.admin().await, "wiki", &Holds::Again).await.expect("rotated");
    assert_eq!(round(&node).await.ended, 2, "the run's, and the node's");
    assert_eq!(maker.living(), [] as [String; 0]);
    read(&mut agent).await;
    for _ in 0..4 {
        node.clock().advance_ms(8 * MINUTE);
        node.runner().look_after().await.expect("looked after");
        let wrote = agent.call("fs.write", json!({"path": "/reports/a.md", "content": "alive"})).await;
        assert_eq!(wrote["ok"], true, "{wrote}");
    }
    round(&node).await;
    assert_eq!(maker.living(), [] as [String; 0], "it lapsed");
    read(&mut agent).await;
    assert_eq!(ends(&node, &id), [Some("replaced"), Some("lapsed"), None]);
    end(&node, &id, &agent).await;
    round(&node).await;
    assert_eq!((maker.living(), made(&node)), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_server_whose_secret_nobody_makes_is_added_and_called_when_it_is_made() {
    let maker = Maker::new();
    let (node, olivia) = house(&maker).await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    maker.first("if [ $does = make ]; then exit 5; fi");
    let failed = agent.call(READ, json!({"id": "a"})).await;
    assert_eq!((&failed["ok"], &failed["error"]["code"]), (&json!(false), &json!("SECRET_NOT_MADE")), "{failed}");
    assert_eq!(node.run(&id).state.spent, Default::default(), "it is not the agent's doing");
    let new = NewServer {
        name: "second".to_owned(),
        url: Some(server.url.clone()),
        secrets: [("authorization".to_owned(), "wiki".to_owned())].into(),
        ..NewServer::default()
    };
    node.clock().advance_ms(10_000);
    let view = node.runner().gateway.add(&node.admin().await, &new).await.expect("added all the same");
    assert!(view.trouble.as_ref().is_some_and(|why| why.contains("ended with 5")), "{:?}", view.trouble);
    maker.mend();
    node.clock().advance_ms(10_000);
    read(&mut agent).await;
    end(&node, &id, &agent).await;
    node.clock().advance_ms(i64::try_from(UNCERTAIN_FOR_S * 1_000).expect("not that long"));
    round(&node).await;
    assert_eq!(maker.living().len(), 1, "the node's own");
}

/// What a server of tools is, in the form of a process.
async fn play(mut process: Played, tokens: Arc<Mutex<Vec<String>>>) {
    let token = process.spec.env.iter().find(|(name, _)| name == "TOKEN").expect("it was given one").1.clone();
    tokens.lock().expect("no holder of this lock panics").push(token);
    while let Some(message) = process.hear().await {
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"},
            }),
            "tools/list" => {
                let (name, description, schema) = read_page("Reads a page.");
                json!({"tools": [{"name": name, "description": description, "inputSchema": schema}]})
            }
            "tools/call" => json!({"content": [{"type": "text", "text": "a page"}]}),
            "server/discover" => {
                let error = json!({"code": -32601, "message": "what?"});
                process.say(json!({"jsonrpc": "2.0", "id": message["id"], "error": error}).to_string()).await;
                continue;
            }
            _ => continue,
        };
        process.say(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()).await;
    }
}

#[tokio::test]
async fn the_process_that_was_given_one_is_gone_before_that_is_ended() {
    let maker = Maker::new();
    let (node, olivia) = house(&maker).await;
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let new = NewServer {
        name: "wiki".to_owned(),
        command: Some(vec!["/programs/wiki".to_owned()]),
        secrets: [("TOKEN".to_owned(), "wiki".to_owned())].into(),
        ..NewServer::default()
    };
    let admin = node.admin().await;
    let plays = async || {
        let process = node.worker().next().await;
        tokio::spawn(play(process, Arc::clone(&tokens)));
    };
    let (view, ()) = tokio::join!(node.runner().gateway.add(&admin, &new), plays());
    assert_eq!(view.expect("added").trouble, None);
    node.runner().gateway.allow(&admin, "wiki", Some("read_page"), Some(Tier::T1), false).await.expect("allowed");
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    let ((), ()) = tokio::join!(read(&mut agent), plays());
    read(&mut agent).await;
    let mut given = tokens.lock().expect("no holder of this lock panics").clone();
    let mut living = maker.living();
    given.sort();
    living.sort();
    assert_eq!((given.len(), &given), (2, &living));
    assert_eq!(node.worker().alive(), 3, "the agent, the node's, and the run's");
    let lease = leases(&node, &id).pop().expect("one");
    secrets::revoke_lease(node.context(), &admin, &lease.id, "enough").await.expect("revoked");
    assert_eq!(round(&node).await.ended, 1);
    soon("an end", async {
        while node.worker().alive() != 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    end(&node, &id, &agent).await;
    node.runner().gateway.remove(&admin, "wiki").await.expect("removed");
    round(&node).await;
    assert_eq!((maker.living(), made(&node)), (Vec::new(), Vec::new()));
}
