//! Starting a node, serving, and stopping it cleanly.

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use steward_api::{Node, NodeParts};
use steward_app_flows::{Settings, Tended, Workers, runs::Runner, tend};
use steward_app_node::{
    Context,
    home::{Home, write_private},
    system::{SystemClock, SystemDice},
};
use steward_cli::{Globals, UpArgs};
use steward_naming::Label;
use steward_permit::Role;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{configuration::Configuration, connections::Listener, demo, doors, invocation::command};

/// How often the background looks.
const TEND_EVERY_MS: u64 = 1_000;

/// How long requests that are under way may take to end when the node stops.
const STOP_WITHIN_S: u64 = 20;

/// The status of a process that was told twice to stop, as shells have it for one that Ctrl-C ended.
const STOPPED_AT_ONCE: i32 = 130;

/// The signal of a write beyond `ulimit -f`, which kills whoever does not take it. The write then fails as on a full disk.
const SIGXFSZ: i32 = 25;

/// What a node is started with, read and found to make sense.
pub(crate) struct Plan {
    home: Home,
    is_new: bool,
    configuration: Configuration,
    listen: SocketAddr,
    operator: Label,
    settings: Settings,
}

/// Reads the configuration. Touches nothing.
///
/// # Errors
/// What the person who starts the node has to mend.
pub(crate) fn plan(globals: &Globals, arguments: &UpArgs) -> Result<Plan> {
    let home = Home::new(globals.home()?);
    let is_new = !home.store().exists();
    let configuration = configure(&home, arguments, is_new)?;
    let settings = settings(&home, &configuration)?;
    let (listen, operator) = (configuration.listen()?, configuration.operator()?);
    start_logging(&configuration.log)?;
    Ok(Plan { home, is_new, configuration, listen, operator, settings })
}

/// What a configuration means for a home.
///
/// # Errors
/// Something in it does not make sense.
pub(crate) fn settings(home: &Home, configuration: &Configuration) -> Result<Settings> {
    Ok(Settings {
        home: home.clone(),
        namespace: configuration.namespace()?,
        max_store_bytes: (configuration.max_store_bytes > 0).then_some(configuration.max_store_bytes),
        http_allow: configuration.http_allow.clone(),
        model_timeouts: steward_model::Timeouts::default(),
        worker: Workers::Sandboxed(std::env::current_exe().context("this program's own file")?),
    })
}

/// Starts the node, and serves until it is told to stop.
pub(crate) async fn up(plan: Plan) -> Result<()> {
    let Plan { home, is_new, configuration, listen, operator, settings } = plan;
    home.prepare()?;
    if is_new && !home.configuration().exists() {
        write_private(&home.configuration(), configuration.written().as_bytes())?;
    }
    // Before anything is recorded: a start that cannot listen is none.
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; `--listen 127.0.0.1:0` picks a free port"))?;
    let address = listener.local_addr()?;
    let opened = steward_app_flows::open(&settings, Arc::new(SystemClock), Arc::new(SystemDice)).await?;
    // Of a node that died: the lock says that it is gone.
    let _ = fs::remove_file(home.address());
    let context = opened.context;
    let roles = vec![Role::Operator, Role::Admin];
    let way_in = match context.store.behind() {
        // Nothing is recorded, so that nobody is enrolled either.
        Some(_) => None,
        None => steward_app_people::bootstrap(&context, operator, roles).await?,
    };
    if let Some(way_in) = way_in {
        write_private(&home.login_key(), format!("{}\n", way_in.secret.reveal()).as_bytes())?;
    }
    // From here on a signal is kept until there is something to stop; before, it ends the process, which harms nothing.
    let mut signals = Signals::take()?;
    let node = Arc::new(Node::new(NodeParts {
        context: Arc::clone(&context),
        runner: Arc::clone(&opened.runner),
        home: home.clone(),
        version: env!("CARGO_PKG_VERSION"),
        authorities: vec![address.to_string(), format!("localhost:{}", address.port())],
        demo: configuration.demo,
    }));
    node.set_mistakes(opened.mistakes.clone());
    for mistake in &opened.mistakes {
        eprintln!("policy: {mistake}");
    }
    opened.runner.serve_doors(Box::new(doors::serve));
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, Arc::clone(&node), Arc::clone(&opened.runner), stopping.clone()));
    let tending = tokio::spawn(tend_until(Arc::clone(&opened.runner), Arc::clone(&node), home.clone(), stopping));
    let url = format!("http://{address}");
    write_private(&home.address(), format!("{url}\n").as_bytes())?;
    let greeted = greet(&configuration, &home, &url, &context).await;

    let ended = match greeted {
        Ok(()) => {
            signals.wait().await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    // Whoever says so again does not want to wait: the next start settles what is left.
    tokio::spawn(async move {
        signals.wait().await;
        eprintln!("stopped at once; the next start settles what was under way");
        std::process::exit(STOPPED_AT_ONCE);
    });
    // Whoever finds no address finds no node: from here on nobody new comes.
    let _ = fs::remove_file(home.address());
    stop.send_replace(true);
    if tokio::time::timeout(Duration::from_secs(STOP_WITHIN_S), serving).await.is_err() {
        tracing::warn!("requests were cut off because they did not end in time");
    }
    let _ = tending.await;
    let closed = steward_app_flows::close(&context, &opened.runner).await;
    drop(opened.lock);
    ended?;
    closed.context("stopping could not be recorded")
}

fn configure(home: &Home, arguments: &UpArgs, is_new: bool) -> Result<Configuration> {
    let mut configuration = Configuration::read(&home.configuration(), |name| std::env::var(name).ok())?;
    if let Some(listen) = arguments.listen {
        configuration.listen = listen.to_string();
    }
    if let Some(namespace) = &arguments.namespace {
        configuration.namespace.clone_from(namespace);
    }
    if let Some(operator) = &arguments.operator {
        configuration.operator.clone_from(operator);
    }
    if arguments.demo && !is_new && !configuration.demo {
        let place = home.path().display();
        bail!("`{place}` is the home of a node that is no demo; choose another: `steward --home DIR up --demo`");
    }
    configuration.demo |= arguments.demo;
    Ok(configuration)
}

fn start_logging(filter: &str) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .with_context(|| format!("`log`: `{filter}` is not a filter; write error, warn, info, debug or trace"))?;
    // The library tells of each request; what matters of it stands in the record.
    let filter = filter.add_directive("rmcp=warn".parse().expect("a directive"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

async fn serve(
    listener: TcpListener,
    node: Arc<Node>,
    runner: Arc<Runner>,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let stop = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let agents = doors::with_key(&runner);
    axum::serve(Listener::new(listener), steward_api::router_with(node, agents)).with_graceful_shutdown(stop).await
}

async fn tend_until(runner: Arc<Runner>, node: Arc<Node>, home: Home, mut stopping: watch::Receiver<bool>) {
    let mut tended = Tended::default();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(Duration::from_millis(TEND_EVERY_MS)) => {}
        }
        if let Err(error) = tend(&runner, &home.policies(), &mut tended).await {
            tracing::error!(%error, context = error.context(), "the background could not do its work");
        }
        node.set_mistakes(tended.mistakes.clone());
    }
}

/// The signals that the node takes.
struct Signals {
    terminated: Signal,
    interrupted: Signal,
    too_large: Signal,
}

impl Signals {
    fn take() -> Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
            too_large: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Until somebody says stop.
    async fn wait(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminated.recv() => return,
                _ = self.interrupted.recv() => return,
                _ = self.too_large.recv() => tracing::error!("a file reached the limit of `ulimit -f`"),
            }
        }
    }
}

/// Says where to look and what to try.
async fn greet(configuration: &Configuration, home: &Home, url: &str, context: &Context) -> Result<()> {
    let mut out = String::new();
    if let Some(why) = context.store.behind() {
        out.push_str(&format!("\nROLLED BACK, and read-only: {why}\n"));
    } else if configuration.demo {
        out.push_str(&demo::run(home, url, context).await.context("the demo")?);
    }
    let steward = command(home.path());
    out.push_str(&format!("\nSteward listens on {url}. Its home is {}.\n", home.path().display()));
    if home.login_key().exists() {
        out.push_str(&format!("Log in from another terminal:  {steward} login\n"));
    }
    out.push_str("Stop it with Ctrl-C.\n");
    let mut stdout = std::io::stdout().lock();
    // Nobody need listen: a node whose output is closed runs on.
    let _ = stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush());
    Ok(())
}
