//! The node: what it is and does, measured when asked.

use axum::Json;
use steward_app_node::{Caller, Context, Error};
use steward_naming::{Label, Name};
use steward_permit::{Actor, ResourceKind, Role};
use steward_policy::Mistake;
use steward_wire::{Check, Doctor, NodeStatus, Problem};

use crate::{
    alerts::{self, disk_free},
    answer::Refused,
    door::Visit,
    health,
    node::Node,
};

/// Characters of a digest that tell two versions apart where a person looks: the algorithm and eight digits.
const SHORT_DIGEST: usize = 15;

/// Below this the disk counts as nearly full, in bytes.
const LOW_DISK_BYTES: u64 = 1 << 30;

fn keystore(node: &Node) -> String {
    match node.runner.keeper().unlocked() {
        Ok(by) => format!("unlocked by {by}"),
        Err(why) => format!("locked: {why}"),
    }
}

/// Whether somebody may look at the node.
pub(super) async fn may_read(context: &Context, caller: &Caller) -> Result<(), Error> {
    let action = context.action("node.read", ResourceKind::Node, context.namespace.as_str())?;
    context.allow(caller, action, None).await
}

/// What the node is and does.
#[utoipa::path(get, path = "/v1/node/status", tag = "node", responses((status = 200, body = NodeStatus), (status = 403, body = Problem)))]
pub(crate) async fn status(visit: Visit) -> Result<Json<NodeStatus>, Refused> {
    let node = std::sync::Arc::clone(visit.node());
    let status = visit
        .read(move |context, caller| {
            let node = std::sync::Arc::clone(&node);
            async move {
                may_read(&context, &caller).await?;
                let (entries, people, agents, (open, unknown), runs_live) = context.store.read(|reader| {
                    let people = steward_app_people::rows::people(reader, &context.namespace)?;
                    Ok::<_, Error>((
                        reader.size()?,
                        people.iter().filter(|p| p.active).count() as u64,
                        steward_app_agents::rows::agents(reader)?.len() as u64,
                        steward_app_actions::rows::unsettled(reader)?,
                        steward_app_runs::live_runs(reader)?.len() as u64,
                    ))
                })?;
                let looking = std::sync::Arc::clone(&node);
                let look = move || alerts::look(&looking).map(|firing| health::parts(&looking, &firing));
                let health = tokio::task::spawn_blocking(look).await.map_err(Error::broken)??;
                Ok(NodeStatus {
                    health,
                    version: node.version.to_owned(),
                    namespace: context.namespace.to_string(),
                    origin: context.store.head_key().name().to_owned(),
                    started_at: context.started_at.to_string(),
                    now: context.now().to_string(),
                    entries,
                    policy_version: context.policy().engine.version().to_string(),
                    policy_mistakes: node.mistakes().iter().map(on_one_line).collect(),
                    people,
                    agents,
                    effects_open: open,
                    effects_unknown: unknown,
                    runs_live,
                    halted: Some(context.halt()).filter(|h| h.is_halted).map(|h| format!("by {}: {}", h.by, h.reason)),
                    rolled_back: context.store.behind().map(str::to_owned),
                    sandbox: node.runner.sandbox(),
                    keystore: keystore(&node),
                    unauthenticated: node.unauthenticated(),
                    disk_free_bytes: disk_free(&node)?,
                    demo: node.demo,
                })
            }
        })
        .await?;
    Ok(Json(status))
}

/// A mistake, with its help beside it.
fn on_one_line(mistake: &Mistake) -> String {
    mistake.to_string().replace("\n  help: ", "; ")
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn check(name: &str, outcome: Result<String, (bool, String, String)>) -> Check {
    let name = name.to_owned();
    match outcome {
        Ok(found) => Check { name, status: "ok".to_owned(), found, mend: None },
        Err((failed, found, mend)) => {
            let status = if failed { "failed" } else { "warning" }.to_owned();
            Check { name, status, found, mend: Some(mend) }
        }
    }
}

/// Everything that could be wrong, looked at now.
#[utoipa::path(get, path = "/v1/node/doctor", tag = "node", responses((status = 200, body = Doctor), (status = 403, body = Problem)))]
pub(crate) async fn doctor(visit: Visit) -> Result<Json<Doctor>, Refused> {
    let node = std::sync::Arc::clone(visit.node());
    let doctor = visit
        .read(move |context, caller| {
            let node = std::sync::Arc::clone(&node);
            async move {
                may_read(&context, &caller).await?;
                tokio::task::spawn_blocking(move || look(&node, &context)).await.map_err(Error::broken)?
            }
        })
        .await?;
    Ok(Json(doctor))
}

/// Whether the policy in force would let an operator start an agent.
fn operators_start(context: &Context) -> Result<bool, Error> {
    let namespace = context.namespace.clone();
    let name: Label = "operator".parse()?;
    let operator = Caller {
        actor: Actor::Person { namespace: namespace.clone(), name: name.clone(), roles: vec![Role::Operator] },
        ..Caller::node(&namespace)
    };
    let agent = Name::new(name, namespace).to_string();
    let action = context.action("run.start", ResourceKind::Agent, agent.as_str())?;
    Ok(context.would_allow(&operator, action, Some(agent)))
}

fn look(node: &Node, context: &Context) -> Result<Doctor, Error> {
    let store = check(
        "the store takes changes",
        match (context.store.broken(), context.store.behind(), alerts::filled(node)) {
            (None, None, None) => Ok("it does".to_owned()),
            (None, None, Some(full)) => {
                Err((true, full, "make room on the disk, or raise `max_store_bytes` and restart the node".to_owned()))
            }
            (None, Some(why), _) => {
                let mend =
                    "restore a newer copy; or stop the node, `steward backup accept --reason WHY`, and start it again";
                Err((true, format!("ROLLED BACK: {why}"), mend.to_owned()))
            }
            (Some(reason), ..) => {
                Err((true, reason, "look at the disk and the node's log, then restart the node".to_owned()))
            }
        },
    );
    let key = context.store.head_key().clone();
    let audit = steward_ledger::Audit::new(key.clone(), key.name());
    let report = context.store.read(|reader| reader.audit(audit, true))?;
    let found = format!("{} entries and the rows that they wrote were read again", report.entries);
    let ledger = check(
        "ledger and rows fit together",
        match report.findings().first() {
            None => Ok(format!(
                "{found}; nothing outside was asked: `steward ledger verify --state` compares kept heads too"
            )),
            Some(first) => {
                let findings = counted(report.findings().len(), "finding");
                let found = format!("{found}: {findings}, the first at {}: {}", first.place, first.message);
                Err((
                    true,
                    found,
                    "run `steward ledger verify --state`, keep a copy of the home, and find out who changed it"
                        .to_owned(),
                ))
            }
        },
    );
    let mistakes = node.mistakes();
    let policy = check(
        "the policy files are in force",
        match mistakes.first() {
            None => {
                let engine = &context.policy().engine;
                let short: String = engine.version().to_string().chars().take(SHORT_DIGEST).collect();
                Ok(format!("{} policies, version {short}…", engine.listed().len()))
            }
            Some(first) => {
                let mend = "run `steward policy check`; the policy that was in force before still is".to_owned();
                Err((true, format!("{}, the first: {}", counted(mistakes.len(), "mistake"), on_one_line(first)), mend))
            }
        },
    );
    let (open, unknown) = context.store.read(steward_app_actions::rows::unsettled)?;
    let effects = check(
        "every effect is settled",
        match (open, unknown) {
            (0, 0) => Ok("none is on its way, none is unknown".to_owned()),
            (open, 0) => Ok(format!("{open} on their way now")),
            (_, unknown) => {
                let mend = "list them with `steward effect list --unknown`, find out what became of each, and say so with \
                            `steward effect resolve`";
                Err((false, format!("of {unknown} effects nobody knows whether they happened"), mend.to_owned()))
            }
        },
    );
    let sandboxes = check(
        "agents can be started",
        match node.runner.can_start() {
            Ok(how) => Ok(format!("in sandboxes of {how}")),
            Err(why) => {
                let mend = "see `Sandboxes` in docs/operator.md: user namespaces for grade A, or Landlock for grade B";
                Err((false, why, mend.to_owned()))
            }
        },
    );
    let runs = check(
        "the policy lets operators start runs",
        if operators_start(context)? {
            Ok("it does".to_owned())
        } else {
            let mend = "a home of an earlier version keeps its policy: copy `runs.cedar` and the tiers' plan policies from the \
                        repository's folder `policies`, if that is what you want";
            Err((false, "no operator may start a run".to_owned(), mend.to_owned()))
        },
    );
    let keeper = node.runner.keeper();
    let mend = |what: &str| format!("{what}: see `Secrets` in docs/operator.md");
    let secrets = check(
        "the keystore is unlocked",
        match (keeper.unlocked(), keeper.damaged().as_slice()) {
            (Ok(by), []) => Ok(format!("by {by}")),
            (Ok(_), damaged) => {
                Err((true, format!("these secrets do not open: {}", damaged.join(", ")), mend("rotate them")))
            }
            (Err(why), _) => Err((true, why.to_owned(), mend("put it right and start the node anew"))),
        },
    );
    let free = disk_free(node)?;
    let disk = check(
        "there is room on the disk",
        if free >= LOW_DISK_BYTES {
            Ok(format!("{} MiB are free", free >> 20))
        } else {
            Err((false, format!("only {} MiB are free", free >> 20), "make room before the store is full".to_owned()))
        },
    );
    Ok(Doctor { checks: vec![store, ledger, policy, runs, sandboxes, effects, secrets, disk] })
}
