//! What an agent and the node say to each other: a line of JSON each, over the agent's standard input and output.
//!
//! ```text
//! node   {"event":"begin","protocol":"steward-line/1","run":"run_…","phase":"PLAN","packet":{…},"handoff":null,"tools":[…]}
//! agent  {"id":1,"tool":"submit_plan","arguments":{"summary":"…","steps":[…]}}
//! node   {"id":1,"ok":true,"phase":"EXECUTE","result":{…}}
//! agent  {"id":2,"tool":"fs.write","arguments":{"path":"/reports/a.md","content":"…"}}
//! node   {"id":2,"ok":false,"phase":"EXECUTE","error":{"code":"OUT_OF_SCOPE","message":"…"}}
//! ```
//!
//! Ids are the agent's own, and come back with the answer; several calls can be under way. The tools are those of a run:
//! `submit_plan`, `report_problem`, `finish`, and the governed actions by their names.
//!
//! Deliberately absent: what a call does (call.rs), and any frame that is longer than a line.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use steward_app_actions::{Asked, Product};
use steward_app_node::Error;
use steward_gateway::check_arguments;
use steward_governor::{Handoff, Packet, Phase};
use steward_permit::ResourceKind;
use steward_seal::json::{self, Limits};

use super::{call::Answered, offered::Offered};

/// The name and version of the protocol.
pub const PROTOCOL: &str = "steward-line/1";

/// The deepest that a call's arguments nest: a plan's steps are three deep.
const MAX_DEPTH: usize = 16;

/// The most bytes of output that are given back in one answer; the rest is cut off, and said to be.
const MAX_GIVEN_BYTES: usize = 256 << 10;

/// What an action is asked on that names nothing.
pub(crate) const NOTHING: &str = "(nothing)";

/// The tools that are no actions.
pub(crate) const OWN_TOOLS: [&str; 3] = ["submit_plan", "report_problem", "finish"];

/// A call, as an agent makes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// The agent's number of it.
    pub(crate) id: u64,
    /// What.
    pub(crate) tool: String,
    /// With what.
    #[serde(default)]
    pub(crate) arguments: Value,
}

/// Reads a line.
///
/// # Errors
/// It is no call: what is wrong, for the agent's author.
pub(crate) fn read(line: &str) -> Result<Call, String> {
    let limits = Limits { bytes: steward_worker::MAX_LINE_BYTES, depth: MAX_DEPTH };
    json::read(line.as_bytes(), limits).map_err(|e| {
        let example = r#"{"id":1,"tool":"finish","arguments":{}}"#;
        format!("{e}; a call is a line such as {example}")
    })
}

/// The first line.
pub(crate) fn begin(run: &str, packet: &Packet, handoff: Option<&Handoff>, tools: &[String]) -> String {
    let packet: Value = serde_json::from_slice(&packet.canonical()).expect("it was just written");
    let handoff: Option<Value> = handoff.map(|h| serde_json::from_slice(&h.canonical()).expect("it was just written"));
    json!({
        "event": "begin", "protocol": PROTOCOL, "run": run, "phase": Phase::Plan.as_str(), "packet": packet,
        "handoff": handoff, "tools": tools,
    })
    .to_string()
}

/// An answer to the call of that number, or to what was no call.
pub(crate) fn said(id: Option<u64>, answered: &Answered) -> String {
    match (&answered.outcome, id) {
        (Ok(result), Some(id)) => done(id, answered.phase, result.clone()),
        (Ok(result), None) => done(0, answered.phase, result.clone()),
        (Err(error), id) => refused(id, answered.phase, error),
    }
}

/// An answer that says yes.
fn done(id: u64, phase: Phase, result: Value) -> String {
    json!({"id": id, "ok": true, "phase": phase.as_str(), "result": result}).to_string()
}

/// An answer that says no.
fn refused(id: Option<u64>, phase: Phase, error: &Error) -> String {
    let mut said = json!({"code": error.code, "message": error.message});
    if let Some(action) = &error.action {
        said["action"] = action.as_str().into();
    }
    json!({"id": id, "ok": false, "phase": phase.as_str(), "error": said}).to_string()
}

/// A call as an action that is asked for.
///
/// # Errors
/// Its arguments are not those of the tool.
pub(crate) fn asked(call: &Call) -> Result<Asked, Error> {
    let resource = |name: &str| text(&call.arguments, name).map(str::to_owned);
    let known = |names: &[&str]| only(&call.arguments, names, &call.tool);
    let confidence_bp = match call.arguments.get("confidence_bp") {
        None => None,
        Some(value) => {
            let number = value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n <= 10_000);
            Some(number.ok_or_else(|| Error::invalid("`confidence_bp` is a number from 0 to 10000"))?)
        }
    };
    let asked = Asked { action: call.tool.clone(), confidence_bp, ..Asked::default() };
    match call.tool.as_str() {
        "fs.read" => {
            known(&["path", "confidence_bp"])?;
            Ok(Asked { resource: resource("path")?, ..asked })
        }
        "fs.write" => {
            known(&["path", "content", "content_base64", "confidence_bp"])?;
            let content = match call.arguments.get("content_base64") {
                Some(Value::String(encoded)) => STANDARD
                    .decode(encoded)
                    .map_err(|e| Error::invalid(format!("`content_base64` is not base 64: {e}")))?,
                Some(_) => return Err(Error::invalid("`content_base64` is text in base 64")),
                None => text(&call.arguments, "content")?.as_bytes().to_vec(),
            };
            Ok(Asked { resource: resource("path")?, content: Some(content), ..asked })
        }
        "exec" => {
            known(&["argv", "confidence_bp"])?;
            let argv = call.arguments.get("argv").and_then(Value::as_array);
            let argv: Option<Vec<String>> =
                argv.and_then(|list| list.iter().map(|a| a.as_str().map(str::to_owned)).collect());
            let argv = argv.filter(|argv| !argv.is_empty()).ok_or_else(|| {
                Error::invalid("`argv` is a list of text, the program first: [\"ls\", \"-l\", \"/files\"]")
            })?;
            Ok(Asked { resource: argv[0].clone(), argv: Some(argv), ..asked })
        }
        "shell" => {
            known(&["script", "confidence_bp"])?;
            let script = text(&call.arguments, "script")?.as_bytes().to_vec();
            Ok(Asked { resource: "sh".to_owned(), content: Some(script), ..asked })
        }
        "http.get" => {
            known(&["url", "confidence_bp"])?;
            Ok(Asked { resource: resource("url")?, ..asked })
        }
        // Whatever else is asked for is decided too: it may be an action that is enforced elsewhere, or none at all.
        _ => {
            let resource = call.arguments.get("resource").and_then(Value::as_str).unwrap_or(NOTHING);
            Ok(Asked { resource: resource.to_owned(), ..asked })
        }
    }
}

/// A call of a tool of another server, as an action that is asked for.
///
/// # Errors
/// Its arguments are not those of the tool, as it was pinned.
pub(crate) fn asked_of_server(call: &Call, server: &str, tool: &str, offered: &[Offered]) -> Result<Asked, Error> {
    let known = offered.iter().find(|known| known.tool == call.tool);
    let arguments = if call.arguments.is_null() { json!({}) } else { call.arguments.clone() };
    if let Some(known) = known {
        check_arguments(&known.input_schema, &arguments).map_err(Error::invalid)?;
    }
    let content = json::canonical(&arguments).map_err(Error::invalid)?;
    Ok(Asked {
        action: "tool.call".to_owned(),
        kind: Some(ResourceKind::Tool),
        resource: format!("{server}/{tool}"),
        content: Some(content),
        ..Asked::default()
    })
}

/// A text among the arguments.
///
/// # Errors
/// It is not there, or no text.
pub(crate) fn text<'a>(arguments: &'a Value, name: &str) -> Result<&'a str, Error> {
    let value = arguments.get(name).and_then(Value::as_str);
    value.ok_or_else(|| Error::invalid(format!("`{name}` is missing among the arguments, or is no text")))
}

/// Refuses arguments that the tool does not have.
///
/// # Errors
/// One is not known, or they are no object.
pub(crate) fn only(arguments: &Value, names: &[&str], tool: &str) -> Result<(), Error> {
    let Some(object) = arguments.as_object() else {
        return Err(Error::invalid(format!("the arguments of `{tool}` are an object: {}", names.join(", "))));
    };
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key = steward_naming::visible(key);
            Err(Error::invalid(format!("`{tool}` has no argument `{key}`; it has {}", names.join(", "))))
        }
    }
}

/// What a tool gave, as it is told to the agent.
pub(crate) fn product(product: &Product) -> Value {
    match product {
        Product::Read(bytes) => given("content", bytes),
        Product::Ran(output) => {
            let mut said = json!({"code": output.exit.code, "signal": output.exit.signal});
            merge(&mut said, given("stdout", &output.stdout));
            merge(&mut said, given("stderr", &output.stderr));
            if output.truncated {
                said["truncated"] = true.into();
            }
            said
        }
        Product::Called(result) => json!({"tool_result": result}),
        Product::Fetched(fetched) => {
            let mut said = json!({
                "http_status": fetched.status, "location": fetched.location, "content_type": fetched.content_type,
            });
            merge(&mut said, given("body", &fetched.body));
            if fetched.truncated {
                said["truncated"] = true.into();
            }
            said
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Bytes as text if they are text, else in base 64 under `<name>_base64`; cut off at a length that an answer can have.
fn given(name: &str, bytes: &[u8]) -> Value {
    let cut = &bytes[..bytes.len().min(MAX_GIVEN_BYTES)];
    let mut said = match std::str::from_utf8(cut) {
        Ok(text) => json!({ name: text }),
        // A character may have been cut in two.
        Err(error) if bytes.len() > cut.len() && error.error_len().is_none() => {
            json!({ name: String::from_utf8_lossy(&cut[..error.valid_up_to()]) })
        }
        Err(_) => json!({ format!("{name}_base64"): STANDARD.encode(cut) }),
    };
    if bytes.len() > cut.len() {
        said[format!("{name}_bytes")] = bytes.len().into();
        said["truncated"] = true.into();
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Call, asked, given, read};

    fn call(tool: &str, arguments: serde_json::Value) -> Call {
        Call { id: 1, tool: tool.to_owned(), arguments }
    }

    #[test]
    fn a_line_is_a_call_or_says_why_not() {
        let good = read(r#"{"id":7,"tool":"finish"}"#).expect("a call");
        assert_eq!((good.id, good.tool.as_str()), (7, "finish"));
        for bad in [
            "",
            "hello",
            "[]",
            r#"{"id":-1,"tool":"x"}"#,
            r#"{"id":1}"#,
            r#"{"id":1,"id":2,"tool":"x"}"#,
            r#"{"id":1,"tool":"x","more":1}"#,
        ] {
            let why = read(bad).expect_err("no call");
            assert!(why.contains("a call is a line such as"), "{bad}: {why}");
        }
    }

    #[test]
    fn arguments_are_those_of_the_tool() {
        let wrote = asked(&call("fs.write", json!({"path": "/a", "content_base64": "aGk="}))).expect("a write");
        assert_eq!((wrote.resource.as_str(), wrote.content.as_deref()), ("/a", Some(&b"hi"[..])));
        let ran = asked(&call("exec", json!({"argv": ["ls", "-l"]}))).expect("a program");
        assert_eq!(ran.resource, "ls");
        for (tool, bad) in [
            ("fs.write", json!({"path": "/a"})),
            ("fs.write", json!({"path": "/a", "content": "x", "mode": 1})),
            ("fs.write", json!({"path": "/a", "content_base64": "?"})),
            ("fs.read", json!({})),
            ("fs.read", json!([])),
            ("exec", json!({"argv": []})),
            ("exec", json!({"argv": "ls"})),
            ("exec", json!({"argv": ["ls", 1]})),
            ("shell", json!({"script": 1})),
            ("http.get", json!({"url": "x", "confidence_bp": 10_001})),
        ] {
            assert!(asked(&call(tool, bad.clone())).is_err(), "{tool} {bad}");
        }
    }

    #[test]
    fn what_is_given_back_is_bounded_and_whole_characters() {
        assert_eq!(given("content", b"hi"), json!({"content": "hi"}));
        assert_eq!(given("content", &[0xff]), json!({"content_base64": "/w=="}));
        let long = "ä".repeat(200_000);
        let said = given("stdout", format!("x{long}").as_bytes());
        assert_eq!(said["truncated"], true);
        assert!(said["stdout"].as_str().expect("text").ends_with('ä'));
    }
}
