//! Registering and driving agents.

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Kind, Problem, code};
use steward_ledger::kind;
use steward_naming::{Name, is_semantic_version};
use steward_permit::{Actor, ResourceKind, Tier};
use steward_policy::Gives;
use steward_seal::{Digest, json};
use steward_store::Guard;

use crate::rows::{self, AgentRow};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 500;

/// The most capabilities.
const MAX_CAPABILITIES: usize = 64;

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
}

impl Manifest {
    /// Reads it; all that is wrong is said at once.
    fn read(&self, context: &Context) -> Result<(AgentRow, Vec<u8>), Error> {
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
        let (Ok(name), Ok(tier), true) = (name, tier, problems.is_empty()) else {
            return Err(Error::problems(problems));
        };
        let document = json!({
            "name": name.to_string(), "version": self.version, "tier": tier,
            "description": self.description, "capabilities": self.capabilities,
        });
        let bytes = json::canonical(&document).map_err(Error::invalid)?;
        let row = AgentRow {
            name,
            version: self.version.clone(),
            tier,
            description: self.description.clone(),
            capabilities: self.capabilities.clone(),
            manifest: Digest::of(&bytes),
            status: "active".to_owned(),
            added_at: context.now(),
            allowed: 0,
            refused: 0,
            entry_seq: 0,
        };
        Ok((row, bytes))
    }
}

/// Registers an agent.
///
/// # Errors
/// It is not allowed, the name is in use, or the manifest is wrong (all of it is said at once).
pub async fn add(context: &Context, caller: &Caller, manifest: &Manifest) -> Result<AgentRow, Error> {
    let (agent, bytes) = manifest.read(context)?;
    let action = context.action("agent.add", ResourceKind::Agent, agent.name.to_string())?;
    let gives = Gives { scopes: None, tier: Some(agent.tier) };
    let granted = context.permit_giving(caller, action, None, gives).await?;
    if context.store.read(|r| rows::agent(r, &agent.name))?.is_some() {
        let message = format!("there is an agent `{}` already; names are not given twice", agent.name);
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    let change = context
        .change(caller, granted, kind::AGENT_ADDED, agent.name.to_string())
        .guard(Guard::absent("agent", AgentRow::key(&agent.name)))
        .row(agent.row())
        .blob(bytes);
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
/// The store cannot be read.
pub fn actor(context: &Context, name: &Name) -> Result<Option<(Actor, Guard)>, Error> {
    let agent = context.store.read(|r| rows::agent(r, name))?;
    Ok(agent.map(|agent| {
        let guard = agent.guard();
        (Actor::Agent { name: agent.name, version: agent.version, tier: agent.tier, via: None }, guard)
    }))
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
