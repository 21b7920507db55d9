//! What people do with servers of tools.

use std::collections::BTreeMap;

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Granted, Kind, Problem, code, rows::open_reviews_about, void};
use steward_gateway::{Change as Changed, Finding, PinnedTool, ToolDefinition, compare, inspect_all};
use steward_ledger::kind;
use steward_naming::{Label, visible};
use steward_permit::{DenialCode, ResourceKind, ReviewKind, Tier};
use steward_seal::{Digest, json as seal_json};
use steward_store::{Change, Guard};

use crate::rows::{self, ServerRow, ToolRow, Transport};

/// The most servers of a node: each may be a process.
pub const MAX_SERVERS: usize = 64;

/// The most arguments of a server's command, and the longest in bytes.
const MAX_ARGUMENTS: usize = 64;
const MAX_ARGUMENT_BYTES: usize = 1024;

/// The longest address in bytes.
const MAX_URL_BYTES: usize = 2048;

/// The most secrets of a server.
const MAX_SECRETS: usize = 16;

/// A server, as it was asked for.
#[derive(Debug, Clone, Default)]
pub struct NewServer {
    /// Its name: a label.
    pub name: String,
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
    /// Or an address.
    pub url: Option<String>,
    /// Variables or headers, and the names of the secrets that they hold.
    pub secrets: BTreeMap<String, String>,
}

impl NewServer {
    fn read(&self, context: &Context, caller: &Caller) -> Result<ServerRow, Error> {
        let mut problems = Vec::new();
        let mut problem = |at: &str, message: String| problems.push(Problem { at: at.to_owned(), message });
        let name = self.name.parse::<Label>();
        if let Err(error) = &name {
            problem("name", error.to_string());
        }
        let transport = match (&self.command, &self.url) {
            (Some(argv), None) => {
                let bad = |a: &String| a.len() > MAX_ARGUMENT_BYTES || a.chars().any(char::is_control);
                if argv.is_empty() || argv[0].is_empty() || argv.len() > MAX_ARGUMENTS || argv.iter().any(bad) {
                    let message = format!(
                        "is a program and its arguments, at most {MAX_ARGUMENTS} of at most {MAX_ARGUMENT_BYTES} bytes each"
                    );
                    problem("command", message);
                }
                Some(Transport::Stdio(argv.clone()))
            }
            (None, Some(url)) => {
                let known = url.starts_with("https://") || url.starts_with("http://");
                if !known || url.len() > MAX_URL_BYTES || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
                    problem("url", format!("`{}` is none; one looks like `https://example.org/mcp`", visible(url)));
                }
                if has_user(url) {
                    let message =
                        "holds a user or a password, which would stand in the ledger; use --secret Authorization=NAME";
                    problem("url", message.to_owned());
                }
                Some(Transport::Http(url.clone()))
            }
            _ => {
                problem("command", "give a command, or a url; one of the two".to_owned());
                None
            }
        };
        if self.secrets.len() > MAX_SECRETS {
            problem("secrets", format!("are at most {MAX_SECRETS}"));
        }
        for (holder, secret) in &self.secrets {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if holder.is_empty() || !holder.chars().all(plain) {
                problem("secrets", format!("`{}` is not the name of a variable or a header", visible(holder)));
            }
            if secret.parse::<Label>().is_err() {
                problem("secrets", format!("`{}` is not the name of a secret", visible(secret)));
            }
        }
        match (name, transport) {
            (Ok(name), Some(transport)) if problems.is_empty() => Ok(ServerRow {
                namespace: context.namespace.clone(),
                name,
                transport,
                secrets: self.secrets.clone(),
                added_by: caller.actor.full_name(),
                added_at: context.now(),
                entry_seq: 0,
            }),
            _ => Err(Error::problems(problems)),
        }
    }
}

/// Whether an address holds a user.
fn has_user(url: &str) -> bool {
    let authority =
        url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

async fn granted(context: &Context, caller: &Caller, verb: &'static str, server: &Label) -> Result<Granted, Error> {
    let action = context.action(verb, ResourceKind::Tool, server.as_str())?;
    context.permit(caller, action, None).await
}

/// Adds a server. Nothing of it is pinned, or allowed, yet.
///
/// # Errors
/// It is not allowed, the name is in use, there are too many, or what is asked for is wrong (all of it is said at once).
pub async fn add(context: &Context, caller: &Caller, new: &NewServer) -> Result<ServerRow, Error> {
    let server = new.read(context, caller)?;
    let granted = granted(context, caller, "tool.add", &server.name).await?;
    let known = context.store.read(|reader| rows::servers(reader, &context.namespace))?;
    if known.iter().any(|known| known.name == server.name) {
        let message =
            format!("there is a server `{0}` already; `steward tool remove {0}` would take it away", server.name);
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    if known.len() >= MAX_SERVERS {
        return Err(Error::invalid(format!("a node has at most {MAX_SERVERS} servers of tools; remove one first")));
    }
    let (way, target) = match &server.transport {
        Transport::Stdio(argv) => ("command", json!(argv)),
        Transport::Http(url) => ("url", json!(url)),
    };
    let change = context
        .change(caller, granted, kind::TOOL_SERVER_ADDED, server.name.as_str())
        .guard(Guard::absent("tool_server", ServerRow::key(&server.namespace, &server.name)))
        .row(server.row())
        .detail(way, target)
        .detail("secrets", json!(server.secrets));
    let done = context.commit(change).await?;
    Ok(ServerRow { entry_seq: done.recorded.seq, ..server })
}

/// A server, by its name.
///
/// # Errors
/// There is none.
fn known(context: &Context, name: &str) -> Result<ServerRow, Error> {
    let label: Label = name.parse()?;
    let found = context.store.read(|reader| rows::server(reader, &context.namespace, &label))?;
    found.ok_or_else(|| Error::not_found(format!("server of tools `{label}`; `steward tool list` shows them")))
}

/// A server that somebody wants to do something with. Who may not learns nothing of which there are.
///
/// # Errors
/// There is none, or it is not allowed.
pub async fn find(context: &Context, caller: &Caller, verb: &'static str, name: &str) -> Result<ServerRow, Error> {
    match known(context, name) {
        Ok(server) => Ok(server),
        Err(why) => Err(context.absent(caller, verb, ResourceKind::Tool, name, why).await),
    }
}

/// Every server with its pinned tools.
///
/// # Errors
/// It is not allowed, or the store cannot be read.
pub async fn servers(context: &Context, caller: &Caller) -> Result<Vec<(ServerRow, Vec<ToolRow>)>, Error> {
    context.allow(caller, context.action("tool.read", ResourceKind::Tool, "*")?, None).await?;
    context.store.read(|reader| {
        let servers = rows::servers(reader, &context.namespace)?;
        let tools = |server: ServerRow| {
            let tools = rows::tools_of(reader, &context.namespace, &server.name)?;
            Ok((server, tools))
        };
        servers.into_iter().map(tools).collect()
    })
}

/// Pins what a server says of its tools now. What is new, or another than before, is not allowed yet; what is gone is forgotten.
///
/// # Errors
/// It is not allowed, there is no such server, or something else changed it.
pub async fn pin(
    context: &Context,
    caller: &Caller,
    server: &str,
    found: &[ToolDefinition],
) -> Result<Vec<ToolRow>, Error> {
    let server = find(context, caller, "tool.pin", server).await?;
    let granted = granted(context, caller, "tool.pin", &server.name).await?;
    let before = context.store.read(|reader| rows::tools_of(reader, &context.namespace, &server.name))?;
    let pinned: Vec<PinnedTool> =
        before.iter().map(|row| PinnedTool { name: row.name.clone(), digest: row.pin }).collect();
    let changes = compare(&pinned, found);
    let mut change = context.change(caller, granted, kind::TOOL_PINNED, server.name.as_str()).guard(server.guard());
    let (mut added, mut changed, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for one in &changes {
        match one {
            Changed::Added { name, .. } => added.push(name.clone()),
            Changed::Changed { name, .. } => changed.push(name.clone()),
            Changed::Removed { name } => {
                removed.push(name.clone());
                if let Some(row) = before.iter().find(|row| row.name == *name) {
                    change = change.guard(row.guard()).row(row.gone());
                }
            }
        }
    }
    for definition in found {
        let name = definition.name();
        let old = before.iter().find(|row| row.name == name);
        if old.is_some_and(|old| old.pin == definition.digest()) {
            continue;
        }
        let bytes = seal_json::canonical(&definition.to_value()).map_err(Error::invalid)?;
        let row = ToolRow {
            namespace: context.namespace.clone(),
            server: server.name.clone(),
            name: name.to_owned(),
            pin: definition.digest(),
            definition: Digest::of(&bytes),
            pinned_by: caller.actor.full_name(),
            pinned_at: context.now(),
            tier: None,
            allowed_by: None,
            entry_seq: 0,
        };
        let guard = match old {
            Some(old) => old.guard(),
            None => Guard::absent("tool", ToolRow::key(&row.namespace, &row.server, name)),
        };
        change = change.guard(guard).row(row.row()).blob(bytes);
    }
    change = change.detail("added", json!(added)).detail("changed", json!(changed)).detail("removed", json!(removed));
    context.commit(voided(context, change, &server.name, "an administrator pinned the tools")?).await?;
    context.tell_reviewed();
    context.store.read(|reader| Ok(rows::tools_of(reader, &context.namespace, &server.name)?))
}

/// Allows tools of a server from a tier on, or takes that back. Without a tool it is all of them.
///
/// # Errors
/// It is not allowed, there is no such tool, or something about it is suspicious and nobody said that they saw it.
pub async fn allow(
    context: &Context,
    caller: &Caller,
    server: &str,
    tool: Option<&str>,
    tier: Option<Tier>,
    despite_findings: bool,
) -> Result<Vec<ToolRow>, Error> {
    if tier == Some(Tier::T4) {
        return Err(Error::invalid("T4 has what T0 has; allow it for T0"));
    }
    let server = find(context, caller, "tool.allow", server).await?;
    let granted = granted(context, caller, "tool.allow", &server.name).await?;
    let all = context.store.read(|reader| rows::tools_of(reader, &context.namespace, &server.name))?;
    let chosen: Vec<&ToolRow> = all.iter().filter(|row| tool.is_none_or(|tool| row.name == tool)).collect();
    if chosen.is_empty() {
        let what = tool.map_or_else(|| "any tool".to_owned(), |tool| format!("tool `{}`", visible(tool)));
        let message = format!("{what} of `{0}`; `steward tool show {0}` names what is pinned", server.name);
        return Err(Error::not_found(message));
    }
    let findings = findings(context, &server.name, &[])?;
    let suspicious: Vec<Problem> = findings
        .iter()
        .filter(|(name, _)| chosen.iter().any(|row| row.name == *name))
        .map(|(name, finding)| Problem { at: name.clone(), message: finding.message.clone() })
        .collect();
    if tier.is_some() && !suspicious.is_empty() && !despite_findings {
        let message = format!(
            "something about {} is suspicious: read it with `steward tool show {}`, and say --despite-findings if it is meant",
            if chosen.len() == 1 { format!("`{}`", chosen[0].name) } else { "these tools".to_owned() },
            server.name
        );
        // What was found is on record with it: a list of the suspicious, each with what it is.
        let found = suspicious.iter().map(|p| format!("{}: {}", p.at, p.message)).collect::<Vec<_>>().join("; ");
        let action = context.action("tool.allow", ResourceKind::Tool, server.name.as_str())?;
        let why = format!("{message} ({found})");
        let mut error = context.refuse_for(caller, action, DenialCode::ToolSuspicious, why).await?.saying(message);
        error.problems = suspicious;
        return Err(error);
    }
    let by = tier.map(|_| caller.actor.full_name());
    let mut change = context
        .change(caller, granted, kind::TOOL_ALLOWED, server.name.as_str())
        .guard(server.guard())
        .detail("tools", json!(chosen.iter().map(|row| &row.name).collect::<Vec<_>>()))
        .detail("tier", json!(tier.map(|tier| tier.to_string())))
        .detail("despite_findings", json!(suspicious.iter().map(|p| &p.message).collect::<Vec<_>>()));
    for row in &chosen {
        let row = ToolRow { tier, allowed_by: by.clone(), ..(*row).clone() };
        change = change.guard(row.guard()).row(row.row());
    }
    context.commit(change).await?;
    context.store.read(|reader| Ok(rows::tools_of(reader, &context.namespace, &server.name)?))
}

/// Takes a server away, with all that was pinned and allowed of it.
///
/// # Errors
/// It is not allowed, or there is no such server.
pub async fn remove(context: &Context, caller: &Caller, server: &str) -> Result<ServerRow, Error> {
    let server = find(context, caller, "tool.remove", server).await?;
    let granted = granted(context, caller, "tool.remove", &server.name).await?;
    let tools = context.store.read(|reader| rows::tools_of(reader, &context.namespace, &server.name))?;
    let mut change = context
        .change(caller, granted, kind::TOOL_SERVER_REMOVED, server.name.as_str())
        .guard(server.guard())
        .row(server.gone());
    for tool in &tools {
        change = change.guard(tool.guard()).row(tool.gone());
    }
    context.commit(voided(context, change, &server.name, "the server was removed")?).await?;
    context.tell_reviewed();
    Ok(server)
}

/// What waits for a person about a server's tools ends with a change.
fn voided(context: &Context, mut change: Change, server: &Label, why: &str) -> Result<Change, Error> {
    let open = context.store.read(|reader| open_reviews_about(reader, ReviewKind::Tool, server.as_str()))?;
    for (row, guard) in open.iter().filter_map(|row| void(row, why, context.now())) {
        change = change.guard(guard).row(row);
    }
    Ok(change)
}

/// Pins tools as their server describes them now, which a person approved: each with the row as it was. One in which nothing is
/// suspicious stays allowed from the tier that it was allowed from; another must be allowed anew. Gives those that must.
///
/// # Errors
/// Something else changed one of them, or it cannot be recorded.
pub async fn repin(
    context: &Context,
    granted: Granted,
    server: &ServerRow,
    tools: &[(ToolRow, ToolDefinition)],
    by: &str,
) -> Result<Vec<String>, Error> {
    let node = Caller::node(&context.namespace);
    let instead: Vec<ToolDefinition> = tools.iter().map(|(_, now)| now.clone()).collect();
    let suspicious = findings(context, &server.name, &instead)?;
    let names: Vec<&str> = tools.iter().map(|(row, _)| row.name.as_str()).collect();
    let mut change = context.change(&node, granted, kind::TOOL_PINNED, server.name.as_str()).guard(server.guard());
    let mut again = Vec::new();
    for (row, now) in tools {
        let bytes = seal_json::canonical(&now.to_value()).map_err(Error::invalid)?;
        let is_plain = suspicious.iter().all(|(name, _)| *name != row.name);
        if !is_plain {
            again.push(row.name.clone());
        }
        let after = ToolRow {
            pin: now.digest(),
            definition: Digest::of(&bytes),
            pinned_by: by.to_owned(),
            pinned_at: context.now(),
            tier: row.tier.filter(|_| is_plain),
            allowed_by: row.allowed_by.clone().filter(|_| is_plain),
            ..row.clone()
        };
        change = change.guard(row.guard()).row(after.row()).blob(bytes);
    }
    let none: [&str; 0] = [];
    change = change
        .detail("added", json!(none))
        .detail("changed", json!(names))
        .detail("removed", json!(none))
        .detail("to_allow_anew", json!(again));
    context.commit(change).await?;
    Ok(again)
}

/// What is suspicious in the tools of a server as they were pinned, or as they are in `instead`: beside those of other servers, too.
///
/// # Errors
/// The store cannot be read.
pub fn findings(
    context: &Context,
    server: &Label,
    instead: &[ToolDefinition],
) -> Result<Vec<(String, Finding)>, Error> {
    let now = |reader: &steward_store::Reader<'_>, row: &ToolRow| {
        let other = instead.iter().find(|tool| tool.name() == row.name);
        other.map_or_else(|| definition(reader, row), |other| Ok(other.clone()))
    };
    context.store.read(|reader| {
        let all = rows::tools(reader, &context.namespace)?;
        let others: Vec<(&str, &str)> = all
            .iter()
            .filter(|row| row.server != *server)
            .map(|row| (row.server.as_str(), row.name.as_str()))
            .collect();
        let own: Result<Vec<ToolDefinition>, Error> =
            all.iter().filter(|row| row.server == *server).map(|row| now(reader, row)).collect();
        Ok(inspect_all(&own?, &others))
    })
}

/// The definition of a tool as it was pinned.
///
/// # Errors
/// The store cannot be read, or does not hold it.
pub fn definition(reader: &steward_store::Reader<'_>, row: &ToolRow) -> Result<ToolDefinition, Error> {
    let bytes = reader.blob(&row.definition)?.ok_or_else(|| Error::broken("a definition is kept"))?;
    let value = serde_json::from_slice(&bytes).map_err(Error::broken)?;
    ToolDefinition::read(&value).map_err(Error::broken)
}
