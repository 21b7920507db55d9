//! Loading, reloading and asking.

use steward_app_node::{Caller, Context, Error, InForce};
use steward_clock::Dice;
use steward_ledger::kind;
use steward_naming::{ActionId, Namespace};
use steward_permit::{Action, ActionName, Actor, Resource, ResourceKind};
use steward_policy::{Engine, Gives, Mistake, Question, Sources, Verdict};
use steward_seal::Digest;
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
const NODES_OWN: [(&str, ResourceKind); 7] = [
    ("policy.load", ResourceKind::Policy),
    ("effect.settle", ResourceKind::Node),
    ("denials.count", ResourceKind::Ledger),
    ("run.step", ResourceKind::Agent),
    ("agent.start", ResourceKind::Agent),
    ("node.start", ResourceKind::Node),
    ("node.stop", ResourceKind::Node),
];

/// Compiles `sources`, and makes sure that the node can go on under it: asked as it will be asked, about things that have the
/// names that such things have.
pub(crate) fn compile(sources: &Sources, namespace: &Namespace, dice: &dyn Dice) -> Result<Engine, Vec<Mistake>> {
    let engine = Engine::compile(sources)?;
    let now = steward_clock::Timestamp::from_unix_ms(0);
    let mut mistakes = Vec::new();
    for (name, kind) in NODES_OWN {
        let other = ActionId::new(now, dice).to_string();
        let ids = match kind {
            ResourceKind::Policy => vec![engine.version().to_string(), Digest::of(other.as_bytes()).to_string()],
            _ if name == "effect.settle" => vec![other, ActionId::new(now.plus_ms(1), dice).to_string()],
            ResourceKind::Agent => vec![format!("sample.{namespace}")],
            _ => vec![namespace.to_string()],
        };
        let allowed = |id: &String| {
            let action = ActionName::parse(name).and_then(|n| Ok((n, Resource::new(kind, id.as_str())?)));
            action.is_ok_and(|(name, resource)| {
                let question = Question {
                    id: ActionId::new(now, dice),
                    actor: Actor::Node { namespace: namespace.clone() },
                    key: None,
                    run: None,
                    action: Action::new(namespace.clone(), name, resource),
                    owner: None,
                    needs: None,
                    approved: false,
                    review: None,
                    gives: Gives::default(),
                };
                engine.weigh(&question).allowed
            })
        };
        if !ids.iter().all(allowed) {
            mistakes.push(Mistake {
                file: "node.cedar".to_owned(),
                line: 1,
                column: 1,
                message: format!(
                    "the node itself may not do `{name}` under these policies, so that it could not go on"
                ),
                help: Some(
                    "put back the node's own policies from the file that ships, and let nothing forbid them".to_owned(),
                ),
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
    let engine = compile(&sources, namespace, dice)?;
    Ok(InForce { version_on_record: engine.version(), engine, sources, entry_seq: None })
}

/// The policy that was in force when the node stopped, from the store. None on the first start.
///
/// A stored policy under which this program cannot go on (it was made for another version's words, say) is passed over for that of
/// the home's files, which is then recorded like any other.
///
/// # Errors
/// The store cannot be read, what it keeps is not a policy, or neither policy will do.
pub fn restore(
    store: &Store,
    files: Option<&Sources>,
    namespace: &Namespace,
    dice: &dyn Dice,
) -> Result<Option<InForce>, Error> {
    store.read(|reader| {
        let Some((version, blob, entry_seq)) = crate::rows::policy(reader, namespace)? else { return Ok(None) };
        let bytes = reader.blob(&blob)?.ok_or_else(|| Error::broken("the policy in force is not in the store"))?;
        let stored = Sources::decode(&bytes).map_err(Error::broken)?;
        if stored.version() != version {
            return Err(Error::broken("the stored policy is not the one that its row names"));
        }
        let (engine, sources) = match compile(&stored, namespace, dice) {
            Ok(engine) => (engine, stored),
            Err(mistakes) => {
                let first = mistakes.first().map(ToString::to_string);
                tracing::error!(first, "the policy that was in force will not do any more; the files decide");
                let list = |found: Vec<Mistake>| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let files = files.ok_or_else(|| {
                    Error::broken(format!(
                        "the stored policy will not do, and the files cannot be read: {}",
                        list(mistakes)
                    ))
                })?;
                let engine = compile(files, namespace, dice).map_err(|found| {
                    Error::broken(format!("neither the stored policy nor that of the files will do: {}", list(found)))
                })?;
                (engine, files.clone())
            }
        };
        Ok(Some(InForce { engine, sources, entry_seq: Some(entry_seq), version_on_record: version }))
    })
}

/// Puts `sources` in force, if they are not already and have no mistakes: decided by the policy that was in force, recorded,
/// then swapped. From the commit on, changes that the old policy permitted are stale.
///
/// # Errors
/// The store cannot write.
pub async fn reload(context: &Context, sources: Sources) -> Result<Loaded, Error> {
    let current = context.policy();
    if current.entry_seq.is_some() && sources.version() == current.version_on_record {
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
    let blob = Digest::of(&bytes);
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
    let version_on_record = engine.version();
    context.put_in_force(InForce { engine, sources, entry_seq: Some(done.recorded.seq), version_on_record });
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
    let question = Question {
        id: ActionId::new(context.now(), context.dice.as_ref()),
        actor,
        key: None,
        run: None,
        action,
        owner,
        needs: None,
        approved: false,
        review: None,
        gives: Gives::default(),
    };
    context.policy().engine.weigh(&question)
}
