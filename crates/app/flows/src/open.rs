//! Starting and stopping a node.
//!
//! First start: keys, tables, policy files; then `ledger.created`, `policy.loaded`, `node.started` are recorded. Every start: what
//! a node that died left behind is settled before anybody is answered.

use std::{fmt, fs::File, path::PathBuf, sync::Arc, time::Duration};

use steward_app_actions::{Settled, settle_interrupted};
use steward_app_hooks::{Hook, Hooks};
use steward_app_node::{
    Caller, Context, Error, Parts,
    home::{Home, HomeError},
};
use steward_app_policies::{FilesError, Loaded};
use steward_app_secrets::{Generator, Generators};
use steward_clock::{Clock, Dice};
use steward_fetch::AllowList;
use steward_identity::{IssuerSettings, Issuers};
use steward_keeper::{Keeper, Place, Unlock};
use steward_ledger::kind;
use steward_naming::{Namespace, TraceId};
use steward_permit::ResourceKind;
use steward_policy::{Mistake, Sources};
use steward_store::{Migration, Options, Store, StoreError};
use steward_worker::{EffectError, Folders, Launcher, LauncherSettings, Worker};

use crate::{
    gateway::{Gateway, GatewayParts},
    rollback,
    runs::{Recovered, Runner, RunnerParts},
};

/// The key that signs tree heads.
pub const TREE_HEAD_KEY: &str = "tree-head";

/// The key that signs documents.
pub const DOCUMENT_KEY: &str = "document";

/// What sandboxes show of the system.
const SHOWN: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc"];

/// How long effects that are under way may take to end when the node stops: one commits twice and syncs a file.
const SETTLE_WITHIN_S: u64 = 10;

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where all of its state is.
    pub home: Home,
    /// The namespace that it is the authority for. One that was started keeps its own.
    pub namespace: Namespace,
    /// The most bytes of the store.
    pub max_store_bytes: Option<u64>,
    /// The hosts that agents may fetch from.
    pub http_allow: Vec<String>,
    /// Whose tokens are taken.
    pub issuers: Vec<IssuerSettings>,
    /// How long what entries of the ledger say is kept.
    pub retention: steward_app_entries::Retention,
    /// How long models may take.
    pub model_timeouts: steward_model::Timeouts,
    /// What opens the keystore.
    pub keeper: Unlock,
    /// Who is told what waits for people.
    pub hooks: Vec<Hook>,
    /// Who is sent what agents did, as spans.
    pub traces: Option<steward_app_traces::Receiver>,
    /// Who makes the values of secrets that have none of their own.
    pub generators: Vec<Generator>,
    /// Who starts processes.
    pub worker: Workers,
}

/// Who starts the processes of agents and tools.
#[derive(Clone)]
pub enum Workers {
    /// Sandboxes, which this program makes: it does so when it is started with `sandbox-init`.
    Sandboxed(PathBuf),
    /// Somebody else: tests script what agents do.
    Other(Arc<dyn Worker>),
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandboxed(program) => f.debug_tuple("Sandboxed").field(program).finish(),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

/// A node that is ready to answer.
pub struct Opened {
    /// What every verb is given.
    pub context: Arc<Context>,
    /// Drives runs.
    pub runner: Arc<Runner>,
    /// What was settled of what a node that died had left.
    pub settled: Settled,
    /// What became of the runs that it had left.
    pub recovered: Recovered,
    /// Mistakes in the policy files, which keep them from being loaded; what was in force still is.
    pub mistakes: Vec<Mistake>,
    /// Whether this was the first start.
    pub is_new: bool,
    /// Held while the node runs.
    pub lock: File,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The agents' folders cannot be used.
    #[error("the agents' folders cannot be used: {0}")]
    Folders(#[from] EffectError),
    /// The policy files cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The policy files have mistakes, and there is no earlier policy.
    #[error("the policy has {} mistakes:\n{}", .0.len(), list(.0))]
    Policy(Vec<Mistake>),
    /// The home belongs to another namespace.
    #[error(
        "this home is of the namespace `{found}`, not `{asked}`; leave `--namespace` out, or choose another `--home`"
    )]
    Namespace {
        /// The namespace that the home was made for.
        found: String,
        /// The namespace that was asked for.
        asked: String,
    },
    /// The list of hosts has mistakes.
    #[error("`http_allow`: {}", .0.join("; "))]
    Hosts(Vec<String>),
    /// An issuer cannot be meant.
    #[error("`issuers`: {}", .0.join("; "))]
    Issuers(Vec<String>),
    /// What a node does when it starts was refused or failed.
    #[error("{}", in_full(.0))]
    Start(#[from] Error),
}

/// Who starts a node reads what is otherwise only for the log.
fn in_full(error: &Error) -> String {
    error.context().map_or_else(|| error.to_string(), |context| format!("{error} ({context})"))
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|m| format!("  {m}")).collect::<Vec<_>>().join("\n")
}

/// Every table of the house, in order.
pub fn migrations() -> Vec<Migration> {
    [
        steward_app_node::MIGRATIONS,
        steward_app_people::rows::MIGRATIONS,
        steward_app_agents::rows::MIGRATIONS,
        steward_app_actions::rows::MIGRATIONS,
        steward_app_runs::MIGRATIONS,
        steward_app_tools::MIGRATIONS,
        steward_app_models::MIGRATIONS,
        steward_app_secrets::MIGRATIONS,
        steward_app_hooks::MIGRATIONS,
        steward_app_traces::MIGRATIONS,
        steward_app_entries::rows::MIGRATIONS,
    ]
    .concat()
}

/// A home that is taken, with its store open and its policy compiled. Nothing is recorded yet.
pub(crate) struct Begun {
    pub(crate) context: Arc<Context>,
    files: Result<Sources, FilesError>,
    is_new: bool,
    pub(crate) lock: File,
}

/// Takes a node's home, and makes what is missing.
pub(crate) fn begin(settings: &Settings, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Result<Begun, OpenError> {
    let Settings { home, namespace, .. } = settings;
    let issuers = Issuers::parse(&settings.issuers).map_err(OpenError::Issuers)?;
    home.prepare()?;
    let lock = home.lock()?;
    steward_app_policies::install(&home.policies())?;
    let tree_head_key = home.signing_key(TREE_HEAD_KEY, dice.as_ref())?;
    let document_key = home.signing_key(DOCUMENT_KEY, dice.as_ref())?;
    let store = Store::open(
        &home.store(),
        Options {
            clock: Arc::clone(&clock),
            dice: Arc::clone(&dice),
            tree_head_key,
            new_origin: new_origin(namespace, clock.as_ref(), dice.as_ref()),
            migrations: migrations(),
            max_bytes: settings.max_store_bytes,
            behind: rollback::why(home)?,
        },
    )?;
    let found = store.head_key().name().split('/').next().unwrap_or_default().to_owned();
    if found != namespace.as_str() {
        return Err(OpenError::Namespace { found, asked: namespace.to_string() });
    }
    let folders = Folders::open(&home.agents())?;
    let files = steward_app_policies::read(&home.policies());
    let stored = steward_app_policies::restore(&store, files.as_ref().ok(), namespace, dice.as_ref())?;
    let is_new = store.read(|reader| reader.size())? == 0;
    let policy = match stored {
        Some(policy) => policy,
        None => {
            let sources = steward_app_policies::read(&home.policies())?;
            steward_app_policies::first(sources, namespace, dice.as_ref()).map_err(OpenError::Policy)?
        }
    };
    let halt = store.read(|reader| steward_app_node::read_halt(reader, namespace))?;
    let context = Arc::new(Context::new(Parts {
        halt,
        store,
        clock,
        dice,
        namespace: namespace.clone(),
        folders,
        policy,
        document_key,
        issuers,
    }));
    Ok(Begun { context, files, is_new, lock })
}

/// An origin that no other ledger has.
pub(crate) fn new_origin(namespace: &Namespace, clock: &dyn Clock, dice: &dyn Dice) -> String {
    let unique = TraceId::new(clock.now(), dice).as_str().trim_start_matches("trc_").to_lowercase();
    format!("{namespace}/ledger/{unique}")
}

/// Opens a node's home, makes what is missing, and settles what was left behind. A home that is behind a head that somebody keeps is
/// opened to be read: nothing is recorded, settled or started.
///
/// # Errors
/// [`OpenError`].
pub async fn open(settings: &Settings, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Result<Opened, OpenError> {
    let allow = AllowList::parse(&settings.http_allow).map_err(OpenError::Hosts)?;
    let Begun { context, files, is_new, lock } = begin(settings, clock, dice)?;
    if let Some(why) = context.store.behind() {
        tracing::error!(why, "this node is behind a head that is known, and writes nothing");
        let runner = runner(settings, &context, allow, (None, why.to_owned()))?;
        let (settled, recovered) = (Settled::default(), Recovered::default());
        return Ok(Opened { context, runner, settled, recovered, mistakes: Vec::new(), is_new, lock });
    }
    // Not the same as being new: a first start may have died between its first two records.
    if context.store.read(|reader| reader.size())? == 0 {
        record(&context, "ledger.create", ResourceKind::Ledger, kind::LEDGER_CREATED).await?;
    }
    let settled = settle_interrupted(&context).await?;
    let mut mistakes = Vec::new();
    match files {
        Err(error) => tracing::error!(%error, "the policy files cannot be read; what was in force still is"),
        Ok(sources) => {
            if let Loaded::Mistakes(found) = steward_app_policies::reload(&context, sources).await? {
                mistakes = found;
            }
        }
    }
    record(&context, "node.start", ResourceKind::Node, kind::NODE_STARTED).await?;
    let runner = runner(settings, &context, allow, worker(settings, &context))?;
    let recovered = runner.recover().await?;
    // Each ended with its run; nothing is left, unless that went wrong.
    steward_app_secrets::end_left_over(&context).await?;
    Ok(Opened { context, runner, settled, recovered, mistakes, is_new, lock })
}

/// What drives runs, with whoever starts processes, or why nobody does.
fn runner(
    settings: &Settings,
    context: &Arc<Context>,
    allow: AllowList,
    (worker, no_worker): (Option<Arc<dyn Worker>>, String),
) -> Result<Arc<Runner>, OpenError> {
    let home = &settings.home;
    let (programs, scratch) = (home.programs(), home.runs());
    let keeper = keeper(settings, context)?;
    let generators = Arc::new(Generators::new(settings.generators.iter().cloned()));
    let gateway = Gateway::new(GatewayParts {
        context: Arc::clone(context),
        worker: worker.clone(),
        programs: programs.clone(),
        data: home.tools(),
        keeper: keeper.clone(),
        generators: Arc::clone(&generators),
    });
    let models =
        steward_model::Caller::new(Arc::clone(&context.clock), Arc::clone(&context.dice), settings.model_timeouts);
    let parts = RunnerParts {
        context: Arc::clone(context),
        worker,
        no_worker,
        gateway,
        retention: settings.retention.clone(),
        models,
        keeper,
        allow,
        hooks: Hooks::new(settings.hooks.iter().cloned()),
        traces: steward_app_traces::Traces::new(settings.traces.clone()),
        generators,
        programs,
        scratch,
    };
    Ok(Arc::new(Runner::new(parts)))
}

/// The node's secrets. One whose keystore is locked starts all the same: whatever needs a secret of it is refused.
fn keeper(settings: &Settings, context: &Context) -> Result<Keeper, OpenError> {
    let home = &settings.home;
    let place = Place { secrets: home.secrets(), keys: home.keys(), namespace: settings.namespace.to_string() };
    let is_new = context.store.read(steward_app_secrets::is_new)?;
    let keeper = Keeper::open(place, &settings.keeper, is_new, context.dice.as_ref());
    if let Err(why) = keeper.unlocked() {
        tracing::error!(why, "the keystore is locked; what needs a secret of it is refused");
    }
    steward_app_secrets::hold(context, &keeper)?;
    for secret in keeper.damaged() {
        tracing::error!(secret, "what is kept of a secret does not open");
    }
    Ok(keeper)
}

/// Who starts processes; or why nobody does: a node without sandboxes still governs what is asked of it.
fn worker(settings: &Settings, context: &Context) -> (Option<Arc<dyn Worker>>, String) {
    let program = match &settings.worker {
        Workers::Other(worker) => return (Some(Arc::clone(worker)), String::new()),
        Workers::Sandboxed(program) => program.clone(),
    };
    // Every sandbox shows the system's programs: a home among them would be shown with them, keys and all.
    let home = settings.home.path().canonicalize().unwrap_or_else(|_| settings.home.path().to_owned());
    if let Some(shown) = SHOWN.iter().find(|shown| home.starts_with(shown)) {
        let why = format!("the home lies in `{shown}`, which every sandbox shows; move it elsewhere to start agents");
        return (None, why);
    }
    // Of this ledger alone: two homes on one machine do not end each other's processes.
    let origin = context.store.head_key().name().rsplit('/').next().unwrap_or_default().to_owned();
    match Launcher::start(LauncherSettings { helper: program, instance: origin }) {
        Ok(launcher) => (Some(Arc::new(launcher)), String::new()),
        Err(error) => {
            tracing::warn!(%error, "agents cannot be started on this system");
            (None, error.to_string())
        }
    }
}

/// Waits for the effects that are under way (whoever asked for one may have hung up), records that the node stops, and closes its
/// store.
///
/// # Errors
/// It cannot be recorded; the store is closed all the same.
pub async fn close(context: &Context, runner: &Runner) -> Result<(), Error> {
    runner.close().await;
    runner.gateway.close().await;
    runner.end_all_made().await;
    if tokio::time::timeout(Duration::from_secs(SETTLE_WITHIN_S), context.under_way.none()).await.is_err() {
        tracing::warn!("effects are still under way; the next start settles them");
    }
    if context.store.behind().is_some() {
        context.store.close();
        return Ok(());
    }
    let counted = context.record_counted_denials(true).await;
    let stopped = record(context, "node.stop", ResourceKind::Node, kind::NODE_STOPPED).await;
    context.store.close();
    counted.and(stopped)
}

/// Something that the node does by itself, and records.
async fn record(
    context: &Context,
    action: &'static str,
    resource: ResourceKind,
    kind: &'static str,
) -> Result<(), Error> {
    let node = Caller::node(&context.namespace);
    let action = context.action(action, resource, context.namespace.as_str())?;
    let granted = context.permit(&node, action, None).await?;
    let change = context
        .change(&node, granted, kind, context.namespace.as_str())
        .urgent()
        .detail("program", concat!("steward ", env!("CARGO_PKG_VERSION")));
    context.commit(change).await?;
    Ok(())
}
