//! Secrets and leases, as somebody types them; and that what was put stands in no file and on no screen.

use std::{fs, path::Path};

use crate::{DONE, MISUSED, REFUSED, common::Place, demo, ended, fields, json, list, run, text};

/// What is put: nothing else has it.
const VALUE: &str = "hush-Qx7vK2wZp9mT4rB8nL";

/// An MCP server that says what its secret is wherever it can.
const SERVER: &str = r#"
import json, os, sys
token = os.environ["TOKEN"]
print("my token is", token, file=sys.stderr, flush=True)
for line in sys.stdin:
    said = json.loads(line)
    if "id" not in said:
        continue
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": token}},
        "tools/list": {"tools": [
            {"name": "read", "description": "Reads a file.", "inputSchema": schema},
            {"name": "tell", "description": "Tells " + token, "inputSchema": schema}]},
    }.get(said["method"])
    answer = {"result": result} if result else {"error": {"code": -32601, "message": "what? " + token.encode().hex()}}
    print(json.dumps({"jsonrpc": "2.0", "id": said["id"], **answer}), flush=True)
"#;

/// The files beneath a folder that hold a text.
fn holding(folder: &Path, part: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path, part));
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(part.len()).any(|w| w == part.as_bytes())) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn put(place: &Place, name: &str, value: &str) -> crate::common::Said {
    place.steward_with(&["secret", "put", name], format!("{value}\n").as_bytes())
}

#[test]
fn a_secret_is_put_used_granted_rotated_and_revoked() {
    let (place, node) = demo();
    let mut said = Vec::new();
    said.push(put(&place, "token", VALUE));
    ended(DONE, &said[0]);
    said.push(run(&place, DONE, &["secret", "list"]));
    let listed = json(&place, DONE, &["secret", "list"]);
    assert_eq!(
        fields(&list(&listed, "/secrets")[0]),
        [
            "changed_at",
            "changed_by",
            "created_at",
            "entry",
            "grants",
            "kind",
            "leased_to",
            "leases",
            "name",
            "status",
            "version"
        ]
    );
    let again = place.steward_with(&["secret", "put", "token", "--json"], b"another");
    ended(REFUSED, &again);
    assert!(again.out.contains("NAME_TAKEN") && again.err.contains("secret rotate token"), "{again:?}");
    ended(MISUSED, &put(&place, "empty", ""));

    let programs = place.home().join("programs");
    fs::create_dir_all(&programs).expect("a folder");
    fs::write(programs.join("server.py"), SERVER).expect("a file");
    let add = ["tool", "add", "files", "--secret", "TOKEN=token", "--", "python3", "/programs/server.py"];
    said.push(run(&place, DONE, &add));
    said.push(run(&place, DONE, &["tool", "show", "files", "--json"]));
    said.push(run(&place, DONE, &["ledger", "search", "--kind", "tool.server_started", "--json"]));

    let file = place.path("value");
    fs::write(&file, "another-one-0123456789\n").expect("a file");
    let rotated = json(&place, DONE, &["secret", "rotate", "token", "--from-file", &file.display().to_string()]);
    assert_eq!((rotated["version"].as_u64(), text(&rotated, "/status")), (Some(2), "active"));
    fs::remove_file(&file).expect("removed");
    assert_eq!(text(&json(&place, MISUSED, &["secret", "rotate", "token"]), "/code"), "INVALID_REQUEST");
    let generated = json(&place, DONE, &["secret", "put", "hook", "--generate", "32"]);
    assert_eq!(generated["generated"].as_u64(), Some(32));
    assert_eq!(json(&place, DONE, &["secret", "rotate", "hook"])["version"].as_u64(), Some(2));
    let granted = json(&place, DONE, &["secret", "grant", "hook", "--to", "scribe"]);
    assert_eq!((text(&granted, "/leased_to"), text(&granted, "/grants/0")), ("granted", "scribe.acme.internal"));
    assert!(
        list(&json(&place, DONE, &["secret", "grant", "hook", "--to", "scribe", "--withdraw"]), "/grants").is_empty()
    );
    assert_eq!(text(&json(&place, DONE, &["secret", "grant", "hook", "--to", "*"]), "/leased_to"), "any");
    let revoked = json(&place, DONE, &["secret", "revoke", "token", "--reason", "it leaked"]);
    assert_eq!((text(&revoked, "/status"), text(&revoked, "/reason")), ("revoked", "it leaked"));
    let refused =
        json(&place, REFUSED, &["tool", "add", "more", "--secret", "TOKEN=token", "--url", "http://127.0.0.1:9/mcp"]);
    assert_eq!(text(&refused, "/code"), "SECRET_REVOKED");
    assert!(list(&json(&place, DONE, &["lease", "list", "--all"]), "/leases").is_empty());
    let none = json(&place, REFUSED, &["lease", "revoke", "lse_01KAHW5V8NQ4Z0M7C2R9T3XBYD"]);
    assert_eq!(text(&none, "/code"), "NOT_FOUND");
    let status = run(&place, DONE, &["node", "status"]);
    assert!(status.out.contains("unlocked by the key file"), "{status:?}");
    said.push(status);
    said.push(run(&place, DONE, &["doctor"]));
    node.stop();
    assert!(said.iter().all(|said| !said.out.contains(VALUE) && !said.err.contains(VALUE)), "{said:#?}");
    // The home, what callers remember, and the log of the node.
    let (folder, digits) = (place.path("."), VALUE.bytes().map(|b| format!("{b:02x}")).collect::<String>());
    assert_eq!(holding(&folder, VALUE), [] as [String; 0]);
    assert_eq!(holding(&folder, &digits), [] as [String; 0]);
    // What the server says around it stands in the log, too: the search finds it there.
    let found = holding(&folder, "my token is");
    assert!(found.iter().any(|file| file.ends_with("programs/server.py")), "as the search finds: {found:?}");
    assert!(found.iter().any(|file| file.ends_with("logs/main.log")), "{found:?}");
}
