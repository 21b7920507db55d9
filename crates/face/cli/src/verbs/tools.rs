//! `steward tool`: servers of tools that stand behind the node.
//!
//! A server's tools are pinned when it is added: what they say of themselves is kept. A person looks at it (`tool show`) and allows them
//! from a tier on (`tool allow`); until then no agent may call them.
//!
//! Deliberately absent: calling a tool. Agents do, within their runs.

use clap::Subcommand;
use steward_wire::{AddTool, AllowTool, ToolServerRecord};

use crate::{
    failure::Failure,
    session::Session,
    verbs::tool_view::{list_view, server_view},
};

/// What the help of a command says that takes secrets.
const SECRETS: &str = "A secret is a file in HOME/secrets of the node, mode 0600, and is given by its name: \
                       `--secret GITHUB_TOKEN=github` gives what is in HOME/secrets/github. It never reaches an agent.";

/// What can be done about servers of tools.
#[derive(Debug, Subcommand)]
pub enum ToolVerb {
    /// Put an MCP server behind the node: a program that it starts in a sandbox, or an address
    #[command(group(clap::ArgGroup::new("way").required(true)), after_help = SECRETS)]
    Add {
        /// What it is called here: small letters, digits and hyphens
        name: String,
        /// Where it answers, over Streamable HTTP
        #[arg(long, value_name = "URL", group = "way")]
        url: Option<String>,
        /// A variable of its environment, or with --url a header, and the name of the secret that it holds
        #[arg(long = "secret", value_name = "VAR=SECRET", value_parser = holder)]
        secrets: Vec<(String, String)>,
        /// How it is started: a program of its sandbox and its arguments, after `--`
        #[arg(last = true, value_name = "COMMAND", group = "way")]
        command: Vec<String>,
    },
    /// List all servers
    List,
    /// Show one: what each of its tools says it does, whether it still says so, and what is suspicious
    Show {
        /// Its name
        name: String,
    },
    /// Let agents call a tool of it, or all, from a tier on
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Allow {
        /// The server's name
        name: String,
        /// The tool's name, as `tool show` has it
        #[arg(group = "which")]
        tool: Option<String>,
        /// All its tools
        #[arg(long, group = "which")]
        all: bool,
        /// The lowest tier that may
        #[arg(long, value_name = "TIER", default_value = "T1", value_parser = ["T0", "T1", "T2", "T3"])]
        tier: String,
        /// You read what is suspicious about it, and it is meant
        #[arg(long)]
        despite_findings: bool,
    },
    /// Take it back: no agent may call a tool of it, or any
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Forbid {
        /// The server's name
        name: String,
        /// The tool's name, as `tool show` has it
        #[arg(group = "which")]
        tool: Option<String>,
        /// All its tools
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Pin what its tools say of themselves now; what changed has to be allowed anew
    Pin {
        /// Its name
        name: String,
    },
    /// Take it away, with all that was allowed
    Remove {
        /// Its name
        name: String,
    },
}

/// Reads `VAR=SECRET`.
fn holder(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((holder, secret)) if !holder.is_empty() && !secret.is_empty() => {
            Ok((holder.to_owned(), secret.to_owned()))
        }
        _ => Err("write it as VAR=SECRET: the variable or header, and the name of a file in HOME/secrets".to_owned()),
    }
}

/// Carries it out. `--json` prints `ToolServerRecord`, and `ToolServerList` of a list.
pub(crate) async fn carry_out(session: &mut Session, verb: ToolVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        ToolVerb::Add { name, url, secrets, command } => {
            let command = (!command.is_empty()).then_some(command);
            let added =
                caller.add_tool(&AddTool { name, command, url, secrets: secrets.into_iter().collect() }).await?;
            session.show.answer(&added, server_view)?;
            tell_next(session, &added);
            // It is added, and of no use yet: a script is to notice.
            if added.trouble.is_some() { Err(Failure::not_true()) } else { Ok(()) }
        }
        ToolVerb::List => session.show.answer(&caller.tools().await?, list_view),
        ToolVerb::Show { name } => {
            let server = caller.tool(&name).await?;
            session.show.answer(&server, server_view)?;
            tell_next(session, &server);
            Ok(())
        }
        ToolVerb::Allow { name, tool, all: _, tier, despite_findings } => {
            let allow = AllowTool { tool, tier: Some(tier), despite_findings };
            session.show.answer(&caller.allow_tool(&name, &allow).await?, server_view)
        }
        ToolVerb::Forbid { name, tool, all: _ } => {
            let forbid = AllowTool { tool, tier: None, despite_findings: false };
            session.show.answer(&caller.allow_tool(&name, &forbid).await?, server_view)
        }
        ToolVerb::Pin { name } => {
            let pinned = caller.pin_tool(&name).await?;
            session.show.answer(&pinned, server_view)?;
            tell_next(session, &pinned);
            Ok(())
        }
        ToolVerb::Remove { name } => session.show.answer(&caller.remove_tool(&name).await?, server_view),
    }
}

fn tell_next(session: &mut Session, server: &ToolServerRecord) {
    if let Some((says, verb)) = next(server) {
        let command = session.command(&verb);
        session.show.aside(&format!("{says}: `{command}`"));
    }
}

/// What to do next about a server, if there is something, and the command for it.
fn next(server: &ToolServerRecord) -> Option<(&'static str, String)> {
    let name = &server.name;
    let has_changed = server.tools.iter().any(|tool| matches!(tool.now.as_str(), "changed" | "gone"));
    if server.trouble.is_some() {
        return Some(("It could not be asked for its tools. When it can be", format!("tool pin {name}")));
    }
    if has_changed || !server.new.is_empty() {
        let says = "It does not say what was pinned. If you looked at it and that is as it should be";
        return Some((says, format!("tool pin {name}")));
    }
    let open: Vec<_> = server.tools.iter().filter(|tool| tool.tier.is_none()).collect();
    match open.as_slice() {
        [] => None,
        open if open.iter().any(|tool| !tool.findings.is_empty()) => {
            let says = "Something is suspicious. Allow what you read and trust, tool by tool";
            Some((says, format!("tool allow {name} TOOL --tier T1 --despite-findings")))
        }
        [_, ..] => {
            let says = "No agent may call what is not allowed. When you have read what it says it does";
            Some((says, format!("tool allow {name} --all --tier T1")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{holder, next};
    use crate::verbs::tool_view::tests::server;

    #[test]
    fn secrets_have_a_holder_and_a_name() {
        assert_eq!(holder("GITHUB_TOKEN=github"), Ok(("GITHUB_TOKEN".to_owned(), "github".to_owned())));
        for text in ["", "GITHUB_TOKEN", "=github", "GITHUB_TOKEN="] {
            assert!(holder(text).unwrap_err().contains("HOME/secrets"), "{text}");
        }
    }

    #[test]
    fn what_comes_next_is_what_stands_in_the_way() {
        let commands = |server| next(&server).map(|(_, command)| command);
        let mut server = server();
        assert_eq!(commands(server.clone()).unwrap(), "tool pin files", "one is gone");
        server.tools.retain(|tool| tool.now == "same");
        server.new.clear();
        assert_eq!(commands(server.clone()).unwrap(), "tool allow files TOOL --tier T1 --despite-findings");
        server.tools.iter_mut().for_each(|tool| tool.findings.clear());
        assert_eq!(commands(server.clone()).unwrap(), "tool allow files --all --tier T1");
        server.tools.iter_mut().for_each(|tool| tool.tier = Some("T1".into()));
        assert_eq!(commands(server.clone()), None);
        server.trouble = Some("nobody answers".into());
        assert_eq!(commands(server).unwrap(), "tool pin files");
    }
}
