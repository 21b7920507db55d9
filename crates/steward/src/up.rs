//! Starting a node, serving, and stopping it cleanly.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use axum::{Router, extract::Request, serve::IncomingStream};
use steward_api::{Node, NodeParts, Operations, Peer};
use steward_app_flows::{Settings, Tended, Workers, runs::Runner, tend};
use steward_app_node::{
    Context,
    home::{Home, write_private},
    system::{SystemClock, SystemDice},
};
use steward_cli::{Globals, UpArgs};
use steward_clock::Clock as _;
use steward_logs::Logs;
use steward_naming::Label;
use steward_permit::Role;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    configuration::{Configuration, near},
    connections::Listener,
    demo, doors,
    invocation::command,
    notify::Notifier,
    tls::Tls,
    writable::refuse_what_everybody_may_write,
};

/// How often the background looks.
const TEND_EVERY_MS: u64 = 1_000;

/// How often it is looked for what hooks are to be told.
const TELL_EVERY_MS: u64 = 1_000;

/// How often it is looked for spans to send.
const SEND_EVERY_MS: u64 = 5_000;

/// How often it is looked for what generators are to end.
const END_EVERY_MS: u64 = 1_000;

/// Every how many rounds of that it is looked for alerts.
const ALERTS_EVERY: u64 = 15;

/// How long the store may take to answer before the service manager is not told that all is well.
const ANSWERS_WITHIN_S: u64 = 5;

/// How long the background may take to end when the node stops: one message that is being told, or one commit.
const CONCLUDE_WITHIN_S: u64 = 35;

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
    operations: Operations,
    logs: Logs,
    tls: Option<Arc<Tls>>,
}

/// Reads the configuration. Touches nothing.
///
/// # Errors
/// What the person who starts the node has to mend.
pub(crate) fn plan(globals: &Globals, arguments: &UpArgs) -> Result<Plan> {
    steward_worker::pass_on_nothing();
    let home = Home::new(globals.home()?);
    let is_new = !home.store().exists();
    refuse_what_everybody_may_write(&home)?;
    let configuration = configure(&home, arguments, is_new)?;
    let settings = settings(&home, &configuration)?;
    let (listen, operator) = (configuration.listen()?, configuration.operator()?);
    let tls = match configuration.certificate()? {
        Some((certificate, key)) => Some(Arc::new(Tls::read(certificate, key)?)),
        None => None,
    };
    if tls.is_some() && configuration.demo {
        bail!("the demo asks its node in clear; start it without `[tls]`");
    }
    let logs = Logs::new(configuration.log_files()?, Arc::new(SystemClock));
    let operations = Operations {
        logs: Some(logs.clone()),
        certificate: tls.as_ref().map(|tls| tls.told()),
        ..configuration.operations()?
    };
    start_logging(configuration.log()?, &logs);
    Ok(Plan { home, is_new, configuration, listen, operator, settings, operations, logs, tls })
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
        issuers: configuration.issuers.clone(),
        retention: configuration.retention()?,
        model_timeouts: steward_model::Timeouts::default(),
        keeper: configuration.keeper(std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into))?,
        hooks: configuration.hooks()?,
        traces: configuration.traces()?,
        generators: configuration.generators()?,
        worker: Workers::Sandboxed(std::env::current_exe().context("this program's own file")?),
    })
}

/// A home that does not continue the newest tree head that is remembered on this machine was put back from an older copy, however that was
/// done: it is opened read-only.
pub(crate) fn hold_against_memory(home: &Home) -> Result<()> {
    match steward_cli::lost_head(home.path()) {
        Ok(Some(note)) => Ok(steward_app_flows::mark_behind(home, &note)?),
        Ok(None) => Ok(()),
        Err(error) => {
            tracing::warn!(error, "the tree head that is remembered here was not compared");
            Ok(())
        }
    }
}

/// Starts the node, and serves until it is told to stop.
pub(crate) async fn up(plan: Plan) -> Result<()> {
    let Plan { home, is_new, configuration, listen, operator, settings, operations, logs, tls } = plan;
    home.prepare()?;
    logs.open(&home.logs()).context("no thread for the log")?;
    if is_new && !home.configuration().exists() {
        write_private(&home.configuration(), configuration.written().as_bytes())?;
    }
    // Before anything is recorded: a start that cannot listen is none.
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; `--listen 127.0.0.1:0` picks a free port"))?;
    let address = listener.local_addr()?;
    hold_against_memory(&home)?;
    let opened = steward_app_flows::open(&settings, Arc::new(SystemClock), Arc::new(SystemDice)).await?;
    let keeper = opened.runner.keeper().clone();
    logs.hide(Box::new(move |text| keeper.all().ok().map(|secrets| secrets.scrub(text).into_owned())));
    // Of a node that died: the lock says that it is gone.
    let _ = fs::remove_file(home.address());
    let context = opened.context;
    let roles = vec![Role::Operator, Role::Reviewer, Role::Admin];
    // What happens from here on is sent. Nothing that the node is for depends on it.
    if let Err(error) = opened.runner.traces.begin(&context).await {
        tracing::error!(%error, context = error.context(), "sending spans could not begin; it is tried again");
    }
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
    let parts = NodeParts {
        context: Arc::clone(&context),
        runner: Arc::clone(&opened.runner),
        home: home.clone(),
        version: env!("CARGO_PKG_VERSION"),
        authorities: configuration.authorities(address),
        demo: configuration.demo,
    };
    let node = Arc::new(Node::new(parts).operated(operations));
    node.set_mistakes(opened.mistakes.clone());
    for mistake in &opened.mistakes {
        eprintln!("policy: {mistake}");
    }
    opened.runner.serve_doors(Box::new(doors::serve));
    let (stop, stopping) = watch::channel(false);
    let listener = Listener::new(listener, tls.clone());
    let notifier = Notifier::of(|name| std::env::var(name).ok(), std::process::id());
    let serving = tokio::spawn(serve(listener, Arc::clone(&node), Arc::clone(&opened.runner), stopping.clone()));
    let url = address_of(&configuration, address);
    write_private(&home.address(), format!("{url}\n").as_bytes())?;
    notifier.tell("READY=1\nSTATUS=ready");
    let tended = TendedNode {
        runner: Arc::clone(&opened.runner),
        node: Arc::clone(&node),
        home: home.clone(),
        tls: tls.clone(),
    };
    let telling = opened
        .runner
        .hooks
        .names()
        .into_iter()
        .map(|name| tokio::spawn(tell_until(Arc::clone(&opened.runner), name, stopping.clone())));
    let generators = opened.runner.generators.names().into_iter();
    let ending = generators.map(|name| tokio::spawn(end_until(Arc::clone(&opened.runner), name, stopping.clone())));
    let mut telling: Vec<_> = telling.chain(ending).collect();
    if opened.runner.traces.are_sent() {
        telling.push(tokio::spawn(send_until(Arc::clone(&opened.runner), stopping.clone())));
    }
    let tending = tokio::spawn(tend_until(tended, notifier, stopping));
    let greeted = greet(&configuration, &home, &url, &context).await;

    let ended = match greeted {
        Ok(()) => {
            signals.wait(tls.as_deref()).await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    node.stops();
    Notifier::of(|name| std::env::var(name).ok(), std::process::id()).tell("STOPPING=1");
    // Whoever says so again does not want to wait: the next start settles what is left.
    tokio::spawn(async move {
        signals.wait(None).await;
        eprintln!("stopped at once; the next start settles what was under way");
        std::process::exit(STOPPED_AT_ONCE);
    });
    // Whoever finds no address finds no node: from here on nobody new comes.
    let _ = fs::remove_file(home.address());
    stop.send_replace(true);
    if tokio::time::timeout(Duration::from_secs(STOP_WITHIN_S), serving).await.is_err() {
        tracing::warn!("requests were cut off because they did not end in time");
    }
    // What is being told, or erased, ends by its own time limit, so that it is on record what came of it; but nobody waits for all that waits.
    let ends = async {
        let _ = tending.await;
        for told in telling {
            let _ = told.await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(CONCLUDE_WITHIN_S), ends).await.is_err() {
        tracing::warn!("the background did not end in time; the next start settles what was under way");
    }
    let closed = steward_app_flows::close(&context, &opened.runner).await;
    drop(opened.lock);
    logs.close();
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

/// For people on standard error, as they asked for it; into files as `[logs]` has it.
fn start_logging(filter: EnvFilter, logs: &Logs) {
    // The library tells what servers say as they say it, and one may say its secret; what matters of it is told by the node.
    let filter = filter.add_directive("rmcp=off".parse().expect("a directive"));
    let people = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(Told(logs.clone()))
        .with_filter(filter);
    tracing_subscriber::registry().with(people).with(logs.layer()).init();
}

/// Standard error, where nothing is told that the node holds secret: a line at a time.
#[derive(Clone)]
struct Told(Logs);

/// A line that is being written.
struct ToldLine {
    logs: Logs,
    text: Vec<u8>,
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Told {
    type Writer = ToldLine;

    fn make_writer(&'a self) -> ToldLine {
        ToldLine { logs: self.0.clone(), text: Vec::new() }
    }
}

impl std::io::Write for ToldLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for ToldLine {
    fn drop(&mut self) {
        let text = self.logs.without_secrets(&String::from_utf8_lossy(&self.text));
        let text = text.unwrap_or_else(|| "a line is not shown: it cannot be told what is secret in it\n".to_owned());
        // Nobody need listen.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Where the node is found: by its first name, if it speaks TLS and has one, since its certificate is for that.
fn address_of(configuration: &Configuration, address: SocketAddr) -> String {
    let near = near(address);
    if !configuration.has_certificate() {
        return format!("http://{near}");
    }
    match configuration.names.first() {
        Some(name) if name.contains(':') => format!("https://{name}"),
        Some(name) => format!("https://{name}:{}", address.port()),
        None => format!("https://{near}"),
    }
}

/// Every route, for one connection: each request says where it comes from.
#[derive(Clone)]
struct FromPeer {
    routes: Router,
    peer: Peer,
}

impl tower::Service<Request> for FromPeer {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = <Router as tower::Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        tower::Service::<Request>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.routes.call(request)
    }
}

async fn serve(
    listener: Listener,
    node: Arc<Node>,
    runner: Arc<Runner>,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let stop = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let routes = steward_api::router_with(node, doors::with_key(&runner));
    let connected =
        tower::service_fn(move |stream: IncomingStream<'_, Listener>| -> Ready<Result<FromPeer, Infallible>> {
            ready(Ok(FromPeer { routes: routes.clone(), peer: Peer(stream.remote_addr().ip()) }))
        });
    axum::serve(listener, connected).with_graceful_shutdown(stop).await
}

/// What the background works on.
struct TendedNode {
    runner: Arc<Runner>,
    node: Arc<Node>,
    home: Home,
    tls: Option<Arc<Tls>>,
}

async fn tend_until(tends: TendedNode, mut notifier: Notifier, mut stopping: watch::Receiver<bool>) {
    let TendedNode { runner, node, home, tls } = tends;
    let mut tended = Tended::default();
    let mut round = 0_u64;
    let every = Duration::from_millis(TEND_EVERY_MS);
    let every = notifier.every().map_or(every, |due| every.min(due));
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(every) => {}
        }
        match tend(&runner, &home.policies(), &mut tended).await {
            Ok(()) => node.tended(),
            Err(error) => {
                tracing::error!(%error, context = error.context(), "the background could not do its work");
            }
        }
        node.set_mistakes(tended.mistakes.clone());
        if let Some(tls) = &tls {
            tls.look(false, SystemClock.now());
        }
        if round.is_multiple_of(ALERTS_EVERY)
            && let Err(error) = node.look_for_alerts().await
        {
            tracing::error!(%error, context = error.context(), "it could not be looked for alerts");
        }
        round += 1;
        if notifier.is_due() {
            let answers =
                tokio::time::timeout(Duration::from_secs(ANSWERS_WITHIN_S), runner.context.store.answers()).await;
            if matches!(answers, Ok(Ok(()))) && runner.context.store.broken().is_none() {
                notifier.is_well();
            }
        }
    }
}

/// Tells one hook what waits for people: each has a task of its own, so that none waits for another.
async fn tell_until(runner: Arc<Runner>, hook: Label, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(Duration::from_millis(TELL_EVERY_MS)) => {}
        }
        if let Err(error) = runner.hooks.round(&runner.context, runner.keeper(), hook.as_str()).await {
            tracing::error!(hook.name = hook.as_str(), %error, context = error.context(), "a hook could not be looked after");
        }
    }
}

/// Sends what agents did, as spans.
async fn send_until(runner: Arc<Runner>, mut stopping: watch::Receiver<bool>) {
    let mut more = false;
    loop {
        let wait = if more { Duration::ZERO } else { Duration::from_millis(SEND_EVERY_MS) };
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        more = match runner.traces.round(&runner.context, runner.keeper()).await {
            Ok(round) => round.more,
            Err(error) => {
                tracing::error!(%error, context = error.context(), "spans could not be sent");
                false
            }
        };
    }
}

/// Ends what one generator made and what is over.
async fn end_until(runner: Arc<Runner>, generator: Label, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(Duration::from_millis(END_EVERY_MS)) => {}
        }
        if let Err(error) = runner.end_made(generator.as_str()).await {
            tracing::error!(generator = generator.as_str(), %error, context = error.context(), "what a generator made could not be looked after");
        }
    }
}

/// The signals that the node takes.
struct Signals {
    terminated: Signal,
    interrupted: Signal,
    too_large: Signal,
    hung_up: Signal,
}

impl Signals {
    fn take() -> Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
            too_large: signal(SignalKind::from_raw(SIGXFSZ))?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }

    /// Until somebody says stop. A certificate is read anew when somebody says so.
    async fn wait(&mut self, tls: Option<&Tls>) {
        loop {
            tokio::select! {
                _ = self.terminated.recv() => return,
                _ = self.interrupted.recv() => return,
                _ = self.hung_up.recv() => match tls {
                    Some(tls) => tls.look(true, SystemClock.now()),
                    // A terminal that is closed takes its node with it; to a service there is nothing to read anew.
                    None if std::io::stderr().is_terminal() => return,
                    None => tracing::info!("there is no certificate to read anew"),
                },
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
