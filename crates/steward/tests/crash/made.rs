//! A node dies while the value of a secret is made for a lease, or ended: the next one leaves nothing living.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::process::ExitStatusExt as _,
    path::Path,
};

use serde_json::json;
use steward_caller::Caller;
use steward_wire::{AddAgent, AddModel, CreateKey, PutSecret, Reason, StartRun};

use crate::{
    common::{Place, Up},
    life::KILL,
};

/// A generator that keeps a file of each value that lives.
const PROGRAM: &str = r#"
set -eu
input=$(cat)
field() { printf '%s' "$input" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
file="$1/$(field lease)"
case $(field do) in
  make) echo lives > "$file"; printf '{"value":"sk-made-for-one-lease-01"}' ;;
  end) rm -f "$file" ;;
esac
"#;

/// How many values live.
fn living(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}

/// Asks a model as the agent, in its run. Whatever comes of it: nobody is there, and the node may die.
fn ask(node: &Up, key: &str) -> String {
    let address = node.url().strip_prefix("http://").expect("in clear");
    let body = r#"{"model": "made", "messages": [{"role": "user", "content": "hi"}]}"#;
    let head = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).expect("it listens");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

async fn begin(operator: &Caller) -> String {
    let packet = json!({
        "agent_id": "reader", "task_id": "look", "created_for": "olivia", "objective": "Look it up.", "deliverables": [],
        "constraints": {"scope": ["model.call:*"]}, "success_criteria": [], "created_at": "2026-11-20T09:00:00.000Z",
    });
    let start = StartRun { agent: "reader".to_owned(), packet: Some(packet.to_string()), ..StartRun::default() };
    let id = operator.start_run(&start).await.expect("it begins").id;
    loop {
        let run = operator.run(&id, None).await.expect("it is there").run;
        if run.phase == "PLAN" {
            return id;
        }
        assert!(run.ended_at.is_none(), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_ended_wherever_the_node_died() {
    let place = Place::new();
    let (folder, program) = (place.path("living"), place.path("make-role"));
    fs::create_dir(&folder).expect("made");
    fs::write(&program, PROGRAM).expect("written");
    fs::create_dir_all(place.home()).expect("made");
    let command = format!("[\"/bin/sh\", {:?}, {:?}]", program.to_str().expect("text"), folder.to_str().expect("text"));
    let configuration = format!("[[generators]]\nname = \"roles\"\ncommand = {command}\n");
    fs::write(place.home().join("steward.toml"), configuration).expect("written");
    let node = place.up(&[]);
    let (operator, key) = node.login().await;
    let agent = AddAgent {
        name: "reader".to_owned(),
        version: "1.0.0".to_owned(),
        tier: "T1".to_owned(),
        protocol: Some("mcp".to_owned()),
        ..AddAgent::default()
    };
    operator.add_agent(&agent).await.expect("added");
    let own = CreateKey {
        agent: Some("reader".to_owned()),
        label: "reader".to_owned(),
        scopes: vec!["act".to_owned()],
        ..CreateKey::default()
    };
    let own = operator.create_key(&own).await.expect("made").secret;
    let put = PutSecret { name: "db".to_owned(), made_by: Some("roles".to_owned()), ..PutSecret::default() };
    assert_eq!(operator.put_secret(&put).await.expect("put").made_by.as_deref(), Some("roles"));
    let model = AddModel {
        name: "made".to_owned(),
        url: "http://127.0.0.1:9/v1".to_owned(),
        secret: Some("db".to_owned()),
        ..AddModel::default()
    };
    operator.add_model(&model).await.expect("added");
    node.stop();
    for (point, lives) in [("secret.making", 0), ("secret.made", 1), ("secret.ending", 1), ("secret.ended", 0)] {
        let mishap = format!("{point}:1");
        let node = place.try_up(&[], &[("STEWARD_MISHAP", &mishap)]).expect("it comes up");
        let operator = node.caller(Some(&key.secret));
        let run = begin(&operator).await;
        let said = ask(&node, &own);
        if point.starts_with("secret.end") {
            assert_eq!(living(&folder), 1, "{point}: it was made: {}", place.log());
            // It may die before it answers.
            let _ = operator.stop_run(&run, &Reason { reason: "enough".to_owned() }).await;
        }
        assert!(said.is_empty() != point.starts_with("secret.end"), "{point}: {said}");
        assert_eq!(node.wait().signal(), Some(KILL), "{point}: {}", place.log());
        assert_eq!(living(&folder), lives, "{point}");

        let node = place.up(&[]);
        while living(&folder) > 0 {
            std::thread::yield_now();
        }
        node.stop();
        let verified = place.steward(&["ledger", "verify", "--state"]);
        assert_eq!(verified.code, Some(0), "{point}: {verified:?}");
    }
}
