//! Loading, reloading and asking.

use steward_app_node::{Caller, Context, Error, InForce};
use steward_clock::Dice;
use steward_ledger::kind;
use steward_naming::{ActionId, Namespace};
use steward_permit::{Action, ActionName, Actor, Resource, ResourceKind};
use steward_policy::{Engine, Mistake, Question, Sources, Verdict};
use steward_store::{Guard, Row, Store, key};

/// What a reload came to.
#[derive(Debug)]
pub enum Loaded {
    /// The files are those in force.
    Unchanged,
    /// The files are in force now.
    InForce {
        /// How many policies there are.
        policies: usize,
    },
    /// The files have mistakes; what was in force still is.
    Mistakes(Vec<Mistake>),
}

/// What the node must be let do, or it could not go on: a policy that forbids it would lock everybody out.
const NODES_OWN: [(&str, ResourceKind); 4] = [
    ("policy.load", ResourceKind::Policy),
    ("effect.settle", ResourceKind::Node),
    ("denials.count", ResourceKind::Ledger),
    ("node.start", ResourceKind::Node),
];

/// Compiles `sources`, and makes sure that the node can go on under it.
fn compile(sources: &Sources, namespace: &Namespace, dice: &dyn Dice) -> Result<Engine, Vec<Mistake>> {
    let engine = Engine::compile(sources)?;
    let mut mistakes = Vec::new();
    for (name, kind) in NODES_OWN {
        let action = ActionName::parse(name).and_then(|n| Ok((n, Resource::new(kind, namespace.as_str())?)));
        let allowed = action.is_ok_and(|(name, resource)| {
            let question = Question {
                id: ActionId::new(steward_clock::Timestamp::MIN, dice),
                actor: Actor::Node { namespace: namespace.clone() },
                key: None,
                action: Action::new(namespace.clone(), name, resource),
                owner: None,
            };
            engine.weigh(&question).allowed
        });
        if !allowed {
            mistakes.push(Mistake {
                file: "node.cedar".to_owned(),
                line: 1,
                column: 1,
                message: format!("no policy lets the node itself do `{name}`, so that it could not go on"),
                help: Some("put back the node's own policies from the file that ships".to_owned()),
            });
        }
    }
    if mistakes.is_empty() { Ok(engine) } else { Err(mistakes) }
}

/// The policy for a node's first start: compiled, and not yet recorded.
///
/// # Errors
/// All its mistakes.
pub fn first(sources: Sources, namespace: &Namespace, dice: &dyn Dice) -> Result<InForce, Vec<Mistake>> {
    Ok(InForce { engine: compile(&sources, namespace, dice)?, sources, entry_seq: None })
}

/// The policy that was in force when the node stopped, from the store. None on the first start.
///
/// # Errors
/// The store cannot be read, or what it keeps is not a policy.
pub fn restore(store: &Store, namespace: &Namespace, dice: &dyn Dice) -> Result<Option<InForce>, Error> {
    store.read(|reader| {
        let Some((version, blob, entry_seq)) = crate::rows::policy(reader, namespace)? else { return Ok(None) };
        let bytes = reader.blob(&blob)?.ok_or_else(|| Error::broken("the policy in force is not in the store"))?;
        let sources = Sources::decode(&bytes).map_err(Error::broken)?;
        let engine = compile(&sources, namespace, dice)
            .map_err(|mistakes| Error::broken(format!("the stored policy does not compile: {mistakes:?}")))?;
        if engine.version() != version {
            return Err(Error::broken("the stored policy is not the one that its row names"));
        }
        Ok(Some(InForce { engine, sources, entry_seq: Some(entry_seq) }))
    })
}

/// Puts `sources` in force, if they are not already and have no mistakes: decided by the policy that was in force, recorded,
/// then swapped. From the commit on, changes that the old policy permitted are stale.
///
/// # Errors
/// The store cannot write.
pub async fn reload(context: &Context, sources: Sources) -> Result<Loaded, Error> {
    let current = context.policy();
    if current.entry_seq.is_some() && sources.version() == current.engine.version() {
        return Ok(Loaded::Unchanged);
    }
    let engine = match compile(&sources, &context.namespace, context.dice.as_ref()) {
        Ok(engine) => engine,
        Err(mistakes) => return Ok(Loaded::Mistakes(mistakes)),
    };
    let node = Caller::node(&context.namespace);
    let version = engine.version().to_string();
    let action = context.action("policy.load", ResourceKind::Policy, version.as_str())?;
    let granted = context.permit(&node, action, None).await?;
    let bytes = sources.encode();
    let blob = steward_seal::Digest::of(&bytes);
    let place = key([("namespace", context.namespace.as_str())]);
    let policies = engine.listed().len();
    let mut change = context
        .change(&node, granted, kind::POLICY_LOADED, version.as_str())
        .detail("policies", policies)
        .blob(bytes)
        .row(
            Row::put("policy")
                .text("namespace", context.namespace.as_str())
                .text("version", version.as_str())
                .text("blob", blob.to_string())
                .text("loaded_at", context.now().to_string()),
        );
    if current.entry_seq.is_none() {
        change = change.guard(Guard::absent("policy", place));
    }
    let done = context.commit(change).await?;
    context.put_in_force(InForce { engine, sources, entry_seq: Some(done.recorded.seq) });
    tracing::info!(version, policies, "a policy is in force");
    Ok(Loaded::InForce { policies })
}

/// Whether the caller may ask what would be decided.
///
/// # Errors
/// They may not.
pub async fn may_ask(context: &Context, caller: &Caller) -> Result<(), Error> {
    let about = context.action("policy.explain", ResourceKind::Policy, context.namespace.as_str())?;
    context.allow(caller, about, None).await
}

/// What would be decided. Nothing is permitted or recorded.
pub fn weigh(context: &Context, actor: Actor, action: Action, owner: Option<String>) -> Verdict {
    let question =
        Question { id: ActionId::new(context.now(), context.dice.as_ref()), actor, key: None, action, owner };
    context.policy().engine.weigh(&question)
}
