//! Registering and driving agents.

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Kind, Problem, code};
use steward_governor::Template;
use steward_ledger::kind;
use steward_naming::{Name, is_semantic_version};
use steward_permit::{Actor, ResourceKind, Tier};
use steward_policy::Gives;
use steward_seal::{Digest, json};
use steward_store::Guard;

use crate::rows::{self, AgentRow, Protocol, Status};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 500;

/// The most capabilities.
const MAX_CAPABILITIES: usize = 64;

/// The most arguments of an agent's command, the program among them.
const MAX_ARGUMENTS: usize = 64;

/// The longest argument in bytes.
const MAX_ARGUMENT_BYTES: usize = 1024;

/// What an agent says it is, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// A label of the node's namespace, or a full name in it.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// T0 to T4.
    pub tier: String,
    /// What it is for.
    pub description: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// How it is started: a program of its sandbox and its arguments.
    pub command: Option<Vec<String>>,
    /// The template of its packets, as JSON text.
    pub packet: Option<String>,
    /// How it talks to the node: `line` (if nothing is said) or `mcp`.
    pub protocol: Option<String>,
}

impl Manifest {
    /// Reads it; all that is wrong is said at once.
    fn read(&self, context: &Context) -> Result<(AgentRow, Vec<Vec<u8>>), Error> {
        let mut problems = Vec::new();
        let mut problem = |at: &str, message: String| problems.push(Problem { at: at.to_owned(), message });
        let name = Name::resolve(&self.name, &context.namespace);
        match &name {
            Err(e) => problem("name", e.to_string()),
            Ok(n) if *n.namespace() != context.namespace => problem(
                "name",
                format!("`{n}` is not in this node's namespace, `{}`; write the first label only", context.namespace),
            ),
            Ok(_) => {}
        }
        if !is_semantic_version(&self.version) {
            let version = steward_naming::visible(&self.version);
            problem("version", format!("`{version}` is not a semantic version; one looks like `1.0.0`"));
        }
        let tier: Result<Tier, _> = self.tier.parse();
        if let Err(e) = &tier {
            problem("tier", e.to_string());
        }
        if self.description.chars().count() > MAX_DESCRIPTION || self.description.chars().any(char::is_control) {
            problem("description", format!("has at most {MAX_DESCRIPTION} characters, on one line"));
        }
        let bad = |c: &String| c.is_empty() || c.len() > 64 || c.chars().any(char::is_control);
        if self.capabilities.len() > MAX_CAPABILITIES || self.capabilities.iter().any(bad) {
            problem("capabilities", format!("are at most {MAX_CAPABILITIES}, of 1 to 64 characters each"));
        }
        if let Some(argv) = &self.command {
            let bad = |a: &String| a.len() > MAX_ARGUMENT_BYTES || a.chars().any(char::is_control);
            if argv.is_empty() || argv[0].is_empty() || argv.len() > MAX_ARGUMENTS || argv.iter().any(bad) {
                problem(
                    "command",
                    format!(
                        "is a program and its arguments, at most {MAX_ARGUMENTS} of at most {MAX_ARGUMENT_BYTES} bytes each, such \
                         as [\"python3\", \"/programs/agent.py\"]"
                    ),
                );
            }
        }
        let protocol = match self.protocol.as_deref() {
            None | Some("line") => Protocol::Line,
            Some("mcp") => Protocol::Mcp,
            Some(other) => {
                let other = steward_naming::visible(other);
                problem("protocol", format!("`{other}` is none; it is `line` or `mcp`"));
                Protocol::Line
            }
        };
        let template = match self.packet.as_ref().map(|t| Template::read(t.as_bytes(), &context.namespace)) {
            Some(Err(mistakes)) => {
                problems.extend(mistakes.into_iter().map(|mistake| Problem {
                    at: format!("packet:{}:{}{}", mistake.line, mistake.column, mistake.at),
                    message: mistake.message,
                }));
                None
            }
            Some(Ok(template)) => Some(template.canonical()),
            None => None,
        };
        let (Ok(name), Ok(tier), true) = (name, tier, problems.is_empty()) else {
            return Err(Error::problems(problems));
        };
        let packet = template.as_ref().map(|bytes| Digest::of(bytes));
        let mut document = json!({
            "name": name.to_string(), "version": self.version, "tier": tier,
            "description": self.description, "capabilities": self.capabilities,
        });
        if let Some(command) = &self.command {
            document["command"] = json!(command);
        }
        if let Some(packet) = packet {
            document["packet"] = json!(packet);
        }
        if protocol == Protocol::Mcp {
            document["protocol"] = json!("mcp");
        }
        let bytes = json::canonical(&document).map_err(Error::invalid)?;
        let row = AgentRow {
            name,
            version: self.version.clone(),
            tier,
            description: self.description.clone(),
            capabilities: self.capabilities.clone(),
            manifest: Digest::of(&bytes),
            status: Status::Active,
            added_at: context.now(),
            command: self.command.clone(),
            packet,
            protocol,
            tier_since: None,
            tier_before: None,
            allowed: 0,
            refused: 0,
            entry_seq: 0,
        };
        Ok((row, [Some(bytes), template].into_iter().flatten().collect()))
    }
}

/// Registers an agent.
///
/// # Errors
/// It is not allowed, the name is in use, or the manifest is wrong (all of it is said at once).
pub async fn add(context: &Context, caller: &Caller, manifest: &Manifest) -> Result<AgentRow, Error> {
    let (agent, documents) = manifest.read(context)?;
    let action = context.action("agent.add", ResourceKind::Agent, agent.name.to_string())?;
    let gives = Gives { scopes: None, tier: Some(agent.tier) };
    let granted = context.permit_giving(caller, action, None, gives).await?;
    if context.store.read(|r| rows::agent(r, &agent.name))?.is_some() {
        let message = format!("there is an agent `{}` already; names are not given twice", agent.name);
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    let mut change = context
        .change(caller, granted, kind::AGENT_ADDED, agent.name.to_string())
        .guard(Guard::absent("agent", AgentRow::key(&agent.name)))
        .row(agent.row())
        .detail("tier", agent.tier.as_str())
        .detail("version", agent.version.as_str())
        .detail("manifest", agent.manifest.to_string());
    for document in documents {
        change = change.blob(document);
    }
    let done = context.commit(change).await?;
    Ok(AgentRow { entry_seq: done.recorded.seq, ..agent })
}

/// Every agent, with what the ledger says that it was allowed and refused.
///
/// # Errors
/// It is not allowed.
pub async fn agents(context: &Context, caller: &Caller) -> Result<Vec<AgentRow>, Error> {
    context.allow(caller, context.action("agent.read", ResourceKind::Agent, "*")?, None).await?;
    let scanned = context.store.scan(|reader| {
        let mut agents = rows::agents(reader)?;
        agents.iter_mut().try_for_each(|agent| rows::count(reader, agent))?;
        Ok(agents)
    });
    scanned.await
}

/// One agent, by its short or full name.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn find(context: &Context, caller: &Caller, name: &str) -> Result<AgentRow, Error> {
    let name = Name::resolve(name, &context.namespace)?;
    let action = context.action("agent.read", ResourceKind::Agent, name.to_string())?;
    context.allow(caller, action, Some(name.to_string())).await?;
    context.store.read(|reader| {
        let agent = rows::agent(reader, &name)?;
        let mut agent = agent.ok_or_else(|| Error::not_found(format!("agent `{name}`")))?;
        rows::count(reader, &mut agent)?;
        Ok(agent)
    })
}

/// The agent of that name as an actor, with what must still hold when something is written for it.
///
/// # Errors
/// It was revoked, or the store cannot be read.
pub fn actor(context: &Context, name: &Name) -> Result<Option<(Actor, Guard)>, Error> {
    context.store.read(|r| rows::agent(r, name))?.map(|agent| as_actor(&agent)).transpose()
}

/// An agent as an actor.
///
/// # Errors
/// It was revoked.
pub fn as_actor(agent: &AgentRow) -> Result<(Actor, Guard), Error> {
    let name = agent.name.clone();
    if agent.status == Status::Revoked {
        let message = format!(
            "`{name}` was revoked, and may do nothing until a person reinstates it; `steward agent show {}` says why",
            name.label()
        );
        return Err(Error::new(Kind::Refused, code::AGENT_REVOKED, message));
    }
    Ok((Actor::Agent { name, version: agent.version.clone(), tier: agent.tier, via: None }, agent.guard()))
}

/// The caller as the agent `name`: an agent is itself, with its own key; a person drives it, if policy lets them.
///
/// # Errors
/// It is not allowed, or there is no such agent.
pub async fn drive(context: &Context, caller: Caller, name: &str) -> Result<Caller, Error> {
    let name = Name::resolve(name, &context.namespace)?;
    let via = match &caller.actor {
        Actor::Agent { name: own, .. } if *own == name => return Ok(caller),
        Actor::Person { name, .. } => Some(name.clone()),
        _ => None,
    };
    let action = context.action("agent.act", ResourceKind::Agent, name.to_string())?;
    context.allow(&caller, action, Some(name.to_string())).await?;
    let found = actor(context, &name)?;
    let (actor, guard) =
        found.ok_or_else(|| Error::not_found(format!("agent `{name}`; `steward agent list` shows them")))?;
    let Actor::Agent { name, version, tier, .. } = actor else {
        return Err(Error::broken("an agent's actor is an agent"));
    };
    let mut guards = caller.guards;
    guards.push(guard);
    Ok(Caller { actor: Actor::Agent { name, version, tier, via }, guards, ..caller })
}
