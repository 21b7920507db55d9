//! Servers of tools, models and budgets, as somebody types them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{DONE, MISUSED, REFUSED, UNREACHABLE, common::Place, demo, fields, json, list, run, text};

/// An MCP server of two tools, one of which hides something; it says what its secret is when it is asked for its tools.
const SERVER: &str = r#"
import json, os, sys
for line in sys.stdin:
    said = json.loads(line)
    if "id" not in said:
        continue
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}},
        "tools/list": {"tools": [
            {"name": "read", "description": "Reads a file.", "inputSchema": schema},
            {"name": "write", "description": "Writes\u200b a file.", "inputSchema": schema}]},
    }.get(said["method"])
    if os.environ.get("TOKEN") != "hush-hush-hush":
        sys.exit(1)
    answer = {"result": result} if result else {"error": {"code": -32601, "message": "what?"}}
    print(json.dumps({"jsonrpc": "2.0", "id": said["id"], **answer}), flush=True)
"#;

/// Puts a secret into the home, as an operator does.
fn secret(place: &Place, name: &str, text: &str) {
    let folder = place.home().join("secrets");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), text).expect("a file");
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).expect("its own");
}

#[test]
fn a_server_is_put_behind_the_node_looked_at_and_allowed() {
    let (place, node) = demo();
    let programs = place.home().join("programs");
    fs::create_dir_all(&programs).expect("a folder");
    fs::write(programs.join("server.py"), SERVER).expect("a file");
    let add = ["tool", "add", "files", "--secret", "TOKEN=token", "--json", "--", "python3", "/programs/server.py"];
    let refused = run(&place, MISUSED, &add);
    assert!(refused.out.contains("NO_SECRET") && refused.err.contains("secrets/token"), "{refused:?}");
    secret(&place, "token", "hush-hush-hush\n");
    let said = run(&place, DONE, &add);
    assert!(said.err.contains("tool allow files TOOL"), "{said:?}");
    let added: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(added["trouble"], serde_json::Value::Null, "{added:#}");
    assert_eq!((text(&added, "/secrets/TOKEN"), text(&added, "/transport")), ("token", "stdio"));
    assert_eq!(
        fields(&added["tools"][0]),
        ["description", "exposed", "findings", "input_schema", "name", "now", "pin", "pinned_at", "pinned_by"]
    );

    let page = run(&place, DONE, &["tool", "show", "files"]);
    for part in ["Reads a file.", "path: string", "HIDDEN_CHARACTERS", "TOKEN=token", "same"] {
        assert!(page.out.contains(part), "{part}: {page:?}");
    }
    assert!(!page.out.contains("hush") && !page.out.contains('\u{200b}'), "{page:?}");
    let suspicious = run(&place, REFUSED, &["tool", "allow", "files", "--all"]);
    assert!(suspicious.err.contains("TOOL_SUSPICIOUS") && suspicious.err.contains("write: "), "{suspicious:?}");
    let allowed = json(&place, DONE, &["tool", "allow", "files", "read"]);
    let tiers: Vec<_> = list(&allowed, "/tools").iter().map(|tool| tool["tier"].as_str()).collect();
    assert_eq!(tiers, [Some("T1"), None]);
    run(&place, DONE, &["tool", "allow", "files", "write", "--tier", "T2", "--despite-findings"]);
    let forbidden = json(&place, DONE, &["tool", "forbid", "files", "--all"]);
    assert!(list(&forbidden, "/tools").iter().all(|tool| tool.get("tier").is_none()), "{forbidden:#}");

    // One that dies at its start: a person is told how, and no secret.
    let dies =
        "import os, sys; print('no ' + os.environ['TOKEN'] + ', no module named wiki', file=sys.stderr); sys.exit(3)";
    let add = ["tool", "add", "dead", "--secret", "TOKEN=token", "--", "python3", "-c", dies];
    let said = run(&place, REFUSED, &[&["--json"], &add[..]].concat());
    let dead: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
    let trouble = text(&dead, "/trouble");
    assert!(trouble.contains("exit code 3") && trouble.contains(", no module named wiki"), "{trouble}");
    assert!(!trouble.contains("hush"), "{trouble}");
    run(&place, DONE, &["tool", "remove", "dead"]);
    run(&place, DONE, &["tool", "remove", "files"]);
    assert!(list(&json(&place, DONE, &["tool", "list"]), "/servers").is_empty());
    let lost = json(&place, REFUSED, &["tool", "add", "lost", "--url", "http://127.0.0.1:9/mcp"]);
    assert!(!text(&lost, "/trouble").is_empty());
    assert_eq!(text(&json(&place, UNREACHABLE, &["tool", "pin", "lost"]), "/code"), "TOOL_SERVER_UNAVAILABLE");
    assert_eq!(text(&json(&place, REFUSED, &["tool", "show", "files"]), "/code"), "NOT_FOUND");
    node.stop();
}

#[test]
fn a_model_is_added_under_a_budget() {
    let (place, node) = demo();
    let add =
        ["model", "add", "fast", "--url", "http://127.0.0.1:9/v1", "--input-price", "0.15", "--output-price", "0.6"];
    let added = json(&place, DONE, &add);
    assert_eq!((&added["input_price_micros"], &added["output_price_micros"]), (&150_000.into(), &600_000.into()));
    let again = run(&place, REFUSED, &["model", "add", "fast", "--url", "http://127.0.0.1:9/v2"]);
    assert!(again.err.contains("NAME_TAKEN") && again.err.contains("--replace"), "{again:?}");
    let keyless = ["model", "add", "fast", "--replace", "--url", "http://127.0.0.1:9/v1", "--secret", "provider"];
    let keyless = run(&place, MISUSED, &keyless);
    assert!(keyless.err.contains("NO_SECRET") && keyless.err.contains("secrets/provider"), "{keyless:?}");
    run(&place, DONE, &[&add[..], &["--replace"]].concat());
    let wrong = run(&place, MISUSED, &["model", "add", "slow", "--url", "ftp://a"]);
    assert_eq!(wrong.err.matches("ftp://a").count(), 1, "what is wrong is told once: {wrong:?}");
    assert!(run(&place, DONE, &["model", "list"]).out.contains("closed"));
    assert_eq!(text(&json(&place, REFUSED, &["model", "test", "none"]), "/code"), "NO_MODEL");
    let set = json(&place, DONE, &["budget", "set", "--agent", "scribe", "--per", "day", "--money", "2.50"]);
    assert_eq!((text(&set, "/per"), &set["limits"]["micros"]), ("day", &2_500_000.into()));
    assert!(run(&place, DONE, &["budget", "list"]).out.contains("0.00 of 2.50"));
    assert_eq!(fields(&json(&place, DONE, &["usage", "--per", "month"])), ["budgets", "by", "since"]);
    run(&place, DONE, &["budget", "set", "--agent", "scribe", "--per", "day", "--none"]);
    assert!(list(&json(&place, DONE, &["budget", "list"]), "/budgets").is_empty());
    run(&place, DONE, &["model", "remove", "fast"]);
    node.stop();
}

#[test]
fn an_agent_that_is_begun_can_be_registered() {
    let (place, node) = demo();
    let begun = json(&place, DONE, &["agent", "init", "reporter", "--starter", "shell", "--tier", "T2"]);
    assert_eq!(fields(&begun), ["agent", "files", "folder"]);
    let manifest = format!("{}/agent.toml", text(&begun, "/folder"));
    let agent = json(&place, DONE, &["agent", "add", &manifest]);
    assert_eq!((text(&agent, "/name"), text(&agent, "/tier")), ("reporter.acme.internal", "T2"));
    run(&place, REFUSED, &["agent", "init", "reporter"]);
    node.stop();
}
