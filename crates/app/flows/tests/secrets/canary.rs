//! A secret like no other is put, used by a server of tools and by a model, and told by both in every way; then everything that the node
//! wrote is searched for it.

use std::{fs, path::Path, sync::Once};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use steward_app_secrets::Value as Holds;
use steward_naming::RunId;
use steward_permit::{Role, Tier};
use steward_testkit::{Played, TestNode};

use crate::{
    common::{READ, ask, end, model, node, put, run, wiki},
    maker::Maker,
    provider::{self, Provider},
    server::{Reply, Server},
};

/// The secret: nothing else in the world has it.
const CANARY: &str = "sk-canary-7Qx~vK2wZp!9mT4rB8nL";

/// Where what was logged goes.
const LOG: &str = "node.log";

/// What stands for the canary: itself, its hexadecimal digits, and its base 64 wherever in what was encoded it begins.
fn written(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), hex::encode(secret), hex::encode_upper(secret)];
    for before in 0..3 {
        let whole = [&vec![b'x'; before][..], secret.as_bytes()].concat();
        let (from, to) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
        all.extend([&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD].map(|e| e.encode(&whole)[from..to].to_owned()));
    }
    all
}

/// The files beneath a folder that hold it in some spelling, and how many files were looked at.
fn search(folder: &Path, secret: &str) -> (Vec<String>, usize) {
    let (spellings, mut found, mut looked) = (written(secret), Vec::new(), 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).expect("a file");
            looked += 1;
            for spelling in &spellings {
                if bytes.windows(spelling.len()).any(|window| window == spelling.as_bytes()) {
                    let text = String::from_utf8_lossy(&bytes);
                    let line = text.lines().find(|line| line.contains(spelling)).unwrap_or_default();
                    let line: String = line.chars().take(600).collect();
                    found.push(format!("{} holds {spelling}: {line}", path.display()));
                }
            }
        }
    }
    (found, looked)
}

#[test]
fn the_search_finds_a_secret_that_is_not_sealed() {
    let folder = tempfile::tempdir().expect("made");
    let deep = folder.path().join("a/b");
    fs::create_dir_all(&deep).expect("made");
    assert_eq!(search(folder.path(), CANARY), (vec![], 0));
    for (n, text) in [
        CANARY.to_owned(),
        hex::encode(CANARY),
        hex::encode_upper(CANARY),
        BASE64_STANDARD_NO_PAD.encode(CANARY),
        BASE64_STANDARD_NO_PAD.encode(format!("user:{CANARY}")),
        BASE64_URL_SAFE_NO_PAD.encode(format!("as {CANARY}, and more")),
    ]
    .iter()
    .enumerate()
    {
        let file = deep.join("found");
        fs::write(&file, [&[0, 255][..], text.as_bytes(), &[0]].concat()).expect("written");
        assert!(!search(folder.path(), CANARY).0.is_empty(), "spelling {n}: {text}");
        fs::write(&file, &text[..text.len() / 2]).expect("written");
        assert_eq!(search(folder.path(), CANARY).0, [] as [String; 0], "half of it is not it");
    }
}

/// Everything that is logged goes into a file of the home.
fn log(node: &TestNode) {
    static ONCE: Once = Once::new();
    let path = node.home().path().join(LOG);
    ONCE.call_once(|| {
        let file = fs::File::create(path).expect("made");
        // All that an operator could have logged: the binary never lets the library of MCP speak, which says what servers say.
        let filter = tracing_subscriber::EnvFilter::new("trace,rmcp=off");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(std::sync::Mutex::new(file))
            .init();
    });
}

/// Has an agent do what it can to keep what it is told.
async fn keep(agent: &mut Played, n: usize, told: &str) {
    let wrote = agent.call("fs.write", json!({"path": format!("/reports/{n}.md"), "content": told})).await;
    assert_eq!(wrote["ok"], true, "{wrote}");
    agent.call("report_problem", json!({"kind": "TOLD", "message": format!("{n}: {told}")})).await;
}

async fn leak(node: &TestNode, id: &RunId, agent: &mut Played) {
    let mut told = vec![serde_json::to_string(&agent.spec.argv).expect("JSON"), format!("{:?}", agent.spec.env)];
    for what in ["plain", "hidden", "hex", "base64", "basic", "fail", "refuse", "raw"] {
        told.push(agent.call(READ, json!({"id": what})).await.to_string());
    }
    for _ in 0..6 {
        told.push(match ask(node, id).await {
            Ok(answer) => answer.to_string(),
            Err(error) => format!("{error:?} {:?}", error.context()),
        });
    }
    for (n, told) in told.iter().enumerate() {
        for spelling in written(CANARY) {
            assert!(!told.contains(&spelling), "the agent was told {spelling}: {told}");
        }
        keep(agent, n, told).await;
    }
    assert!(told.iter().filter(|told| told.contains("[secret]")).count() >= 8, "it was told, and taken out: {told:#?}");
}

#[tokio::test]
async fn a_secret_stands_in_nothing_that_the_node_wrote() {
    let (mut node, olivia) = node().await;
    log(&node);
    node.runner().revoke_secret(&node.admin().await, "wiki", "to make room").await.expect("revoked");
    put(&node, "wiki", CANARY).await;
    let server = Server::start(|_, arguments, key| {
        assert_eq!(key, CANARY, "the server has it");
        match arguments["id"].as_str().unwrap_or_default() {
            "plain" => Reply::Text(format!("you came with {key}")),
            "hidden" => Reply::Text(format!("you came with \u{200b}{key}\u{200b}")),
            "hex" => Reply::Text(hex::encode(key)),
            "base64" => Reply::Text(BASE64_STANDARD_NO_PAD.encode(key)),
            "basic" => Reply::Text(format!("Basic {}", BASE64_URL_SAFE_NO_PAD.encode(format!("user:{key}")))),
            "fail" => Reply::Failed(format!("bad key {key}, {}", hex::encode(key))),
            "refuse" => Reply::Refused(format!("bad key {key}, {}", BASE64_STANDARD_NO_PAD.encode(key))),
            _ => Reply::Raw(format!("<html>{key}")),
        }
    });
    wiki(&node, &server).await;
    let provider = Provider::start(|n, _, headers| {
        let key = headers["authorization"].to_str().expect("text").trim_start_matches("Bearer ").to_owned();
        assert_eq!(key, CANARY, "the provider has it");
        let error = |text: String| json!({"error": {"message": text, "type": "invalid_request_error"}});
        match n {
            0 => provider::Reply::Json(200, provider::said(&format!("your key is {key}"), 10, 5)),
            1 => {
                provider::Reply::Json(200, provider::said(&BASE64_STANDARD_NO_PAD.encode(format!("it: {key}")), 10, 5))
            }
            2 => provider::Reply::Json(401, error(format!("no such key: {key}"))),
            3 => provider::Reply::Json(400, error(format!("no such key: {}", hex::encode(&key)))),
            4 => provider::Reply::Text(400, "text/plain", format!("no such key: {key}")),
            _ => provider::Reply::Json(200, json!({"choices": key})),
        }
    })
    .await;
    model(&node, &provider).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    leak(&node, &id, &mut agent).await;
    end(&node, &id, &agent).await;
    // What a person is shown, and what is exported.
    let admin = node.admin().await;
    let shown = format!(
        "{:?} {:?} {:?}",
        steward_app_secrets::list(node.context(), node.runner().keeper(), &admin).await.expect("listed"),
        steward_app_flows::runs::evidence(node.context(), &admin, &id)
            .await
            .map(|evidence| format!("{evidence:?}"))
            .ok(),
        node.runner().gateway.show(&admin, "wiki").await.map(|view| format!("{view:?}")).ok(),
    );
    fs::write(node.home().path().join("shown"), shown).expect("written");
    let bodies = node.context().store.read(|reader| reader.entries("ORDER BY seq", &[])).expect("it reads");
    let export: String = bodies.iter().map(|entry| format!("{:?}\n", entry.read_body())).collect();
    fs::write(node.home().path().join("export"), export).expect("written");
    let home = node.home().path().to_owned();
    let (found, looked) = search(&home, CANARY);
    assert_eq!(found, [] as [String; 0]);
    assert!(looked > 30, "store, log, policies, keys, files of agents: {looked}");
    assert!(fs::metadata(home.join(LOG)).expect("it logs").len() > 1_000);
    assert!(crate::common::entries(&node, steward_ledger::kind::RUN_ERROR).len() > 10, "it was reported, too");
    // Of garbage nobody knows what came of it: a person says so.
    crate::common::settle(&node).await;
    node.restart().await;
    assert_eq!(search(&home, CANARY).0, [] as [String; 0], "nor after a restart");
    // The same search in the same home, if it were a file.
    fs::write(node.home().secrets().join("as-a-file"), CANARY).expect("written");
    assert_eq!(search(&home, CANARY).0.len(), 1);
    fs::remove_file(node.home().secrets().join("as-a-file")).expect("removed");
}

/// The same of values that are made: told by their generator where it should not, by a provider and by a server of tools.
#[tokio::test]
async fn what_was_made_stands_in_nothing_that_the_node_wrote() {
    let maker = Maker::new();
    let mut node = TestNode::builder().generator(maker.generator()).start().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("reader", Tier::T1).await;
    log(&node);
    put(&node, "maker", "the-makers-own-key").await;
    let by = Holds::MadeBy("roles".parse().expect("a label"));
    node.runner().put_secret(&node.admin().await, "wiki", &by).await.expect("put");
    let server = Server::start(|_, arguments, key| match arguments["id"].as_str().unwrap_or_default() {
        "plain" => Reply::Text(format!("you came with {key}")),
        "base64" => Reply::Text(BASE64_STANDARD_NO_PAD.encode(key)),
        "fail" => Reply::Failed(format!("bad key {key}, {}", hex::encode(key))),
        _ => Reply::Refused(format!("bad key {key}")),
    });
    wiki(&node, &server).await;
    let provider = Provider::start(|n, _, headers| {
        let key = headers["authorization"].to_str().expect("text").trim_start_matches("Bearer ").to_owned();
        match n {
            0 => provider::Reply::Json(200, provider::said(&format!("your key is {key}"), 10, 5)),
            _ => provider::Reply::Json(401, json!({"error": {"message": format!("no such key: {key}"), "type": "x"}})),
        }
    })
    .await;
    model(&node, &provider).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    let mut told = Vec::new();
    // First it is not made, in every way in which a program can say too much.
    for says in [
        "echo \"$value\"; exit 1",
        "printf '{\"value\":\"%s\",\"error\":\"%s is taken\"}' $value $value; exit 1",
        "printf '{\"value\":\"%s\"}' $value; echo \"$value\" >&2; exit 1",
        "echo \"CREATE ROLE x PASSWORD '$value'\" >&2; exit 1",
    ] {
        maker.first(&format!("if [ $does = make ]; then make; {says}; fi"));
        told.push(
            ask(&node, &id)
                .await
                .map_or_else(|error| format!("{error:?} {:?}", error.context()), |said| said.to_string()),
        );
        assert!(told.last().is_some_and(|told| told.contains("SECRET_NOT_MADE")), "{told:?}");
        node.clock().advance_ms(10_000);
        node.runner().end_made("roles").await.expect("a round");
    }
    maker.mend();
    for what in ["plain", "base64", "fail", "refuse"] {
        told.push(agent.call(READ, json!({"id": what})).await.to_string());
    }
    for _ in 0..2 {
        told.push(
            ask(&node, &id)
                .await
                .map_or_else(|error| format!("{error:?} {:?}", error.context()), |said| said.to_string()),
        );
    }
    for (n, told) in told.iter().enumerate() {
        keep(&mut agent, n, told).await;
    }
    assert!(told.iter().filter(|told| told.contains("[secret]")).count() >= 5, "it was told, and taken out: {told:#?}");
    // It cannot be ended, and its generator says why.
    maker.first("if [ $does = end ]; then echo \"cannot drop $(cat $folder/living/$lease)\" >&2; exit 1; fi");
    end(&node, &id, &agent).await;
    assert_eq!(node.runner().end_made("roles").await.expect("a round").failed, 1);
    maker.mend();
    crate::common::settle(&node).await;
    node.restart().await;
    let bodies = node.context().store.read(|reader| reader.entries("ORDER BY seq", &[])).expect("it reads");
    let export: String = bodies.iter().map(|entry| format!("{:?}\n", entry.read_body())).collect();
    assert!(export.contains("[secret] is taken"), "what its generator said is on record without it");
    fs::write(node.home().path().join("export"), export).expect("written");
    let ever = maker.ever();
    assert_eq!(ever.len(), 6, "four times in vain, for the node, and for the run");
    for value in ever {
        let (found, looked) = search(node.home().path(), &value);
        assert_eq!(found, [] as [String; 0]);
        assert!(looked > 20, "{looked}");
    }
}
