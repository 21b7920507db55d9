//! `steward mcp`: the run's MCP server for agents' programs, over standard input and output; and its tools for shell scripts.
//!
//! ```text
//! steward mcp                                   # what a framework starts as its MCP server
//! steward mcp tools                             # in a script
//! steward mcp call fs_write '{"path": "/reports/a.md", "content": "hi"}'
//! steward mcp read steward://packet
//! ```
//!
//! In a sandbox the node is found by `STEWARD_MCP_URL`, which it set; elsewhere by the home or `--node`, with an agent's key.
//!
//! Deliberately absent: any word about messages. They are passed on.

use std::{
    io::{BufRead as _, Read as _, Write as _},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use steward_caller::{CallError, Mcp};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    failure::Failure,
    home::KEY_VARIABLE,
    session::{Session, key_of_environment},
    show::{Looks, Word, table},
};

/// Where a sandbox has its node.
const URL_VARIABLE: &str = "STEWARD_MCP_URL";

/// The most messages that are under way at once, as the node takes them.
const MAX_UNDER_WAY: usize = 32;

/// The longest message that is read, in bytes: what the node takes, and the end of the line.
const MAX_MESSAGE_BYTES: u64 = (2 << 20) + 2;

/// The run that an agent is in.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// The endpoint of the run [default: that of the sandbox, or the node's /mcp]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What to do; without one, messages are passed on between standard input and output
    #[command(subcommand)]
    verb: Option<McpVerb>,
}

/// What a script does with it.
#[derive(Debug, Subcommand)]
pub(crate) enum McpVerb {
    /// The tools of the run
    Tools,
    /// Call a tool; exit code 1 if it is refused or fails
    Call {
        /// Its name, as `tools` shows it
        tool: String,
        /// Its arguments as a JSON object; `-` reads them from standard input
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// Read what the agent may know of its run: steward://packet, steward://handoff, steward://evidence
    Read {
        /// Which
        uri: String,
    },
}

/// Carries it out. `--json` prints what the node answered: a list of tools, the result of a call, the contents of a resource.
pub(crate) async fn carry_out(session: &mut Session, arguments: McpArgs) -> Result<(), Failure> {
    let node = endpoint(session, arguments.url)?;
    match arguments.verb {
        None => pass_on(node).await,
        Some(McpVerb::Tools) => {
            let tools = node.request("tools/list", json!({})).await?;
            session.show.answer(&tools, tools_view)
        }
        Some(McpVerb::Call { tool, arguments }) => {
            let arguments = read_arguments(arguments)?;
            let result = node.request("tools/call", json!({"name": tool, "arguments": arguments})).await?;
            session.show.answer(&result, |result, _| contents_view(&result["content"]))?;
            if result["isError"] == true { Err(Failure::not_true()) } else { Ok(()) }
        }
        Some(McpVerb::Read { uri }) => {
            let read = node.request("resources/read", json!({"uri": uri})).await?;
            session.show.answer(&read, |read, _| contents_view(&read["contents"]))
        }
    }
}

fn endpoint(session: &Session, said: Option<String>) -> Result<Mcp, Failure> {
    let inside = std::env::var(URL_VARIABLE).ok();
    let key = key_of_environment;
    match (said, inside) {
        (Some(url), _) => Ok(Mcp::new(&url, key()?)?),
        (None, Some(url)) => Ok(Mcp::new(&url, None)?),
        (None, None) => {
            let key = key()?.ok_or_else(|| {
                Failure::misused("an agent's key is needed here").hint(format!(
                    "make one with `{}`, and give it in {KEY_VARIABLE}; in a sandbox none is needed",
                    session.command("key create --agent NAME --label mcp --scope act")
                ))
            })?;
            Ok(Mcp::new(&format!("{}/mcp", session.whereabouts()?.address), Some(key))?)
        }
    }
}

fn read_arguments(said: String) -> Result<Value, Failure> {
    let text = if said == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_MESSAGE_BYTES).read_to_string(&mut text);
        read.map_err(|e| Failure::misused(format!("standard input cannot be read: {e}")))?;
        text
    } else {
        said
    };
    let value: Value =
        serde_json::from_str(&text).map_err(|e| Failure::misused(format!("the arguments are no JSON: {e}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Failure::misused("the arguments are no JSON object").hint(r#"write them as {"path": "/reports/a.md"}"#))
    }
}

/// Passes messages on until there are no more: each line is one.
async fn pass_on(node: Mcp) -> Result<(), Failure> {
    let node = Arc::new(node);
    let (lines, mut read) = tokio::sync::mpsc::channel::<String>(1);
    // Standard input blocks; its thread ends with the process.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            match (&mut input).take(MAX_MESSAGE_BYTES).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) if lines.blocking_send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    let places = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    let mut under_way = JoinSet::new();
    while let Some(line) = read.recv().await {
        let place = Arc::clone(&places).acquire_owned().await.map_err(Failure::refused)?;
        let begins = is_initialize(&line);
        let node = Arc::clone(&node);
        let passing = async move {
            let _place = place;
            let answers = match node.pass_on(&line).await {
                Ok(answers) => answers.into_iter().map(|answer| for_id(&line, answer)).collect(),
                Err(error) => told(&line, &error).into_iter().collect::<Vec<_>>(),
            };
            say(&answers)
        };
        // What follows it depends on what it agrees on.
        if begins {
            passing.await?;
        } else {
            under_way.spawn(passing);
        }
        while let Some(done) = under_way.try_join_next() {
            done.map_err(Failure::refused)??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done.map_err(Failure::refused)??;
    }
    Ok(())
}

fn is_initialize(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|message| message["method"] == "initialize")
}

/// An error that was said of no request is one of this.
fn for_id(line: &str, mut answer: Value) -> Value {
    if answer.get("error").is_some() && answer.get("id").is_none_or(Value::is_null) {
        let asked: Value = serde_json::from_str(line).unwrap_or_default();
        answer["id"] = asked["id"].clone();
    }
    answer
}

/// That a message could not be passed on, for whoever waits for its answer.
fn told(line: &str, error: &CallError) -> Option<Value> {
    let id = serde_json::from_str::<Value>(line).ok().map(|message| message["id"].clone());
    let (id, code) = match id {
        Some(Value::Null) => return None,
        Some(id) => (id, -32603),
        None => (Value::Null, -32700),
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": error.to_string()}}))
}

fn say(answers: &[Value]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    let written = answers.iter().try_for_each(|answer| writeln!(output, "{answer}")).and_then(|()| output.flush());
    written.map_err(|_| Failure::unheard())
}

fn tools_view(tools: &Value, looks: Looks) -> String {
    let rows = tools["tools"].as_array().into_iter().flatten().map(|tool| {
        let text = |name: &str| Word::from(tool[name].as_str().unwrap_or_default());
        [text("name"), text("description")]
    });
    table(looks, ["tool", "what it does"], rows.collect::<Vec<_>>())
}

fn contents_view(contents: &Value) -> String {
    let texts = contents.as_array().into_iter().flatten().filter_map(|content| content["text"].as_str());
    texts.map(|text| format!("{}\n", crate::show::shown_lines(text).trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steward_caller::CallError;

    use super::{contents_view, for_id, is_initialize, read_arguments, told};

    #[test]
    fn whoever_waits_is_told() {
        let error = CallError::Unreadable("x".to_owned());
        assert_eq!(told(r#"{"id":7,"method":"ping"}"#, &error).expect("told")["id"], 7);
        assert_eq!(told(r#"{"method":"notifications/x"}"#, &error), None);
        assert_eq!(told("{", &error).expect("told")["error"]["code"], -32700);
        let refused = json!({"id": null, "error": {"code": -32000}});
        assert_eq!(for_id(r#"{"id":"a"}"#, refused)["id"], "a");
        assert!(is_initialize(r#"{"method":"initialize"}"#) && !is_initialize("{"));
    }

    #[test]
    fn arguments_are_an_object() {
        assert_eq!(read_arguments("{\"a\":1}".to_owned()).expect("fine"), json!({"a": 1}));
        assert!(read_arguments("[]".to_owned()).is_err() && read_arguments("a".to_owned()).is_err());
    }

    #[test]
    fn contents_cannot_steer_a_terminal() {
        let shown = contents_view(&json!([{"type": "text", "text": "a\u{1b}[31mb"}, {"type": "image"}]));
        assert!(shown.starts_with('a') && !shown.contains('\u{1b}'), "{shown}");
    }
}
