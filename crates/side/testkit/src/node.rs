//! A node on a temporary folder.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use steward_app_flows::{OpenError, Opened, Settings, Workers, open, runs::Runner};
use steward_app_node::{Context, home::Home};
use steward_clock::{Clock, Dice, Timestamp};
use steward_identity::IssuerSettings;
use steward_ledger::{Audit, Report, TreeHead, head};
use steward_naming::Namespace;
use steward_policy::Sources;
use steward_seal::{Sealed, SigningKey, note::NoteKey};
use steward_store::Archive;
use tempfile::TempDir;

use crate::{
    chance::{HandClock, SeededDice},
    scripted::Scripted,
};

/// The namespace of a node of whom nothing else is said.
pub const NAMESPACE: &str = "acme.internal";

/// When the clocks of test nodes start.
const START: &str = "2026-11-20T09:00:00.000Z";

/// What a test node is to be like.
pub struct Builder {
    namespace: String,
    max_store_bytes: Option<u64>,
    seed: u64,
    sources: Sources,
    http_allow: Vec<String>,
    issuers: Vec<IssuerSettings>,
    retention: steward_app_entries::Retention,
    model_timeouts: steward_model::Timeouts,
    hooks: Vec<steward_app_hooks::Hook>,
    traces: Option<steward_app_traces::Receiver>,
    generators: Vec<steward_app_secrets::Generator>,
}

impl Builder {
    /// It is the authority for `namespace`.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Its store may have so many bytes.
    #[must_use]
    pub fn max_store_bytes(mut self, bytes: u64) -> Self {
        self.max_store_bytes = Some(bytes);
        self
    }

    /// Its agents may fetch from there.
    #[must_use]
    pub fn keeps(mut self, rules: &[&str]) -> Self {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        self.retention = steward_app_entries::Retention::parse(&rules).expect("rules");
        self
    }

    /// Hosts that agents may fetch from.
    pub fn http_allow(mut self, entry: &str) -> Self {
        self.http_allow.push(entry.to_owned());
        self
    }

    /// It takes the tokens of this issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: IssuerSettings) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Models may take so long.
    #[must_use]
    pub fn model_timeouts(mut self, timeouts: steward_model::Timeouts) -> Self {
        self.model_timeouts = timeouts;
        self
    }

    /// It sends spans there.
    #[must_use]
    pub fn traces(mut self, receiver: steward_app_traces::Receiver) -> Self {
        self.traces = Some(receiver);
        self
    }

    /// It tells this hook.
    #[must_use]
    pub fn hook(mut self, hook: steward_app_hooks::Hook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// It has this generator.
    #[must_use]
    pub fn generator(mut self, generator: steward_app_secrets::Generator) -> Self {
        self.generators.push(generator);
        self
    }

    /// Where its chance comes from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Its policy is the one that ships, with these edits: files are written before it starts.
    #[must_use]
    pub fn with(mut self, edit: impl FnOnce(&mut Sources)) -> Self {
        edit(&mut self.sources);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(self) -> TestNode {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = Home::new(folder.path().join("home"));
        home.prepare().expect("a home can be made");
        write_policies(&home.policies(), &self.sources);
        let worker = Arc::new(Scripted::default());
        let settings = Settings {
            http_allow: self.http_allow,
            issuers: self.issuers,
            retention: self.retention,
            model_timeouts: self.model_timeouts,
            keeper: Default::default(),
            hooks: self.hooks,
            traces: self.traces,
            generators: self.generators,
            worker: Workers::Other(Arc::clone(&worker) as Arc<dyn steward_worker::Worker>),
            home,
            namespace: self.namespace.parse().expect("a namespace"),
            max_store_bytes: self.max_store_bytes,
        };
        let clock = Arc::new(HandClock::at(START.parse().expect("a time")));
        let dice = Arc::new(SeededDice::new(self.seed));
        let opened = start(&settings, &clock, &dice).await.expect("the node starts");
        let head_key = opened.context.store.head_key().clone();
        TestNode {
            opened: Some(opened),
            worker,
            settings,
            clock,
            dice,
            head_key,
            admin: Mutex::new(None),
            is_damaged: false,
            _folder: folder,
        }
    }
}

async fn start(settings: &Settings, clock: &Arc<HandClock>, dice: &Arc<SeededDice>) -> Result<Opened, OpenError> {
    let (clock, dice) = (Arc::clone(clock), Arc::clone(dice));
    open(settings, clock as Arc<dyn Clock>, dice as Arc<dyn Dice>).await
}

fn write_policies(folder: &Path, sources: &Sources) {
    for source in sources.policies.iter().chain([&sources.schema]) {
        let path = folder.join(&source.name);
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("folders can be made");
        fs::write(path, &source.text).expect("files can be written");
    }
}

/// A node on a temporary folder. Dropping it asserts that ledger and state verify and that nothing is left over, unless the
/// thread panics already or [`TestNode::expect_damage`] was called.
pub struct TestNode {
    /// None only while it is being restarted, or after [`TestNode::kill`].
    opened: Option<Opened>,
    worker: Arc<Scripted>,
    pub(crate) settings: Settings,
    clock: Arc<HandClock>,
    dice: Arc<SeededDice>,
    /// The key and origin as they were when it started first: an audit does not ask the store for them.
    head_key: NoteKey,
    /// A key of an administrator, once there is one.
    pub(crate) admin: Mutex<Option<String>>,
    is_damaged: bool,
    /// Removed last.
    _folder: TempDir,
}

impl TestNode {
    /// A node with the policy that ships.
    ///
    /// # Panics
    /// It does not start.
    pub async fn new() -> Self {
        Self::builder().start().await
    }

    /// A node that is to be something special.
    pub fn builder() -> Builder {
        Builder {
            namespace: NAMESPACE.to_owned(),
            max_store_bytes: None,
            seed: 1,
            sources: Sources::shipped(),
            http_allow: Vec::new(),
            issuers: Vec::new(),
            retention: Default::default(),
            model_timeouts: steward_model::Timeouts::default(),
            hooks: Vec::new(),
            traces: None,
            generators: Vec::new(),
        }
    }

    /// What the node was opened with, and what it settled then.
    ///
    /// # Panics
    /// The node was killed and not started again.
    pub fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("the node runs")
    }

    /// Drives its runs.
    ///
    /// # Panics
    /// The node was killed and not started again.
    pub fn runner(&self) -> &Arc<Runner> {
        &self.opened().runner
    }

    /// Its worker, whose agents are played by the test.
    pub fn worker(&self) -> &Scripted {
        &self.worker
    }

    /// What its verbs are given.
    pub fn context(&self) -> &Context {
        &self.opened().context
    }

    /// Its clock.
    pub fn clock(&self) -> &HandClock {
        &self.clock
    }

    /// Its chance.
    pub fn dice(&self) -> &SeededDice {
        &self.dice
    }

    /// Its home.
    pub fn home(&self) -> &Home {
        &self.settings.home
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.settings.namespace
    }

    /// The time at its clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The key that verifies its tree heads, with its origin, as it was on the first start.
    pub fn head_key(&self) -> &NoteKey {
        &self.head_key
    }

    /// The key that signs its tree heads: for tests of what a thief of it could do.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn signing_key(&self) -> SigningKey {
        self.home().signing_key(steward_app_flows::TREE_HEAD_KEY, self.dice.as_ref()).expect("its key")
    }

    /// Changes the policy's files, as an operator does with an editor.
    ///
    /// # Panics
    /// They cannot be written.
    pub fn edit_policies(&self, edit: impl FnOnce(&mut Sources)) {
        let mut sources = self.context().policy().sources.clone();
        edit(&mut sources);
        write_policies(&self.home().policies(), &sources);
    }

    /// Stops it in order and starts it again.
    ///
    /// # Panics
    /// It does not stop or start.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.revive().await.expect("the node starts again");
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// It does not stop, or does not run.
    pub async fn stop(&mut self) {
        let opened = self.opened.take().expect("the node runs");
        steward_app_flows::close(&opened.context, &opened.runner).await.expect("the node stops");
    }

    /// Ends it without a word: nothing is settled, counted or recorded.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        self.opened.take().expect("the node runs").context.store.close();
    }

    /// Starts it after [`TestNode::stop`] or [`TestNode::kill`].
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn revive(&mut self) -> Result<(), OpenError> {
        self.opened = Some(start(&self.settings, &self.clock, &self.dice).await?);
        Ok(())
    }

    /// Who is sent spans from the next start on.
    pub fn trace_to(&mut self, receiver: Option<steward_app_traces::Receiver>) {
        self.settings.traces = receiver;
    }

    /// Who is told from the next start on.
    pub fn tell(&mut self, hooks: Vec<steward_app_hooks::Hook>) {
        self.settings.hooks = hooks;
    }

    /// Who makes the values of secrets from the next start on.
    pub fn generate(&mut self, generators: Vec<steward_app_secrets::Generator>) {
        self.settings.generators = generators;
    }

    /// The most bytes of the store from the next start on.
    pub fn limit_store(&mut self, max_bytes: Option<u64>) {
        self.settings.max_store_bytes = max_bytes;
    }

    /// Who starts processes from the next start on: the scripted worker, if nothing is said.
    pub fn workers(&mut self, workers: Option<Workers>) {
        let scripted = || Workers::Other(Arc::clone(&self.worker) as Arc<dyn steward_worker::Worker>);
        self.settings.worker = workers.unwrap_or_else(scripted);
    }

    /// The newest tree head as it is kept.
    ///
    /// # Panics
    /// There is none.
    pub fn kept_note(&self) -> String {
        let archive = Archive::open(&self.home().store()).expect("there is a store");
        archive.head_note().expect("there is a head")
    }

    /// Puts another tree head in the place of the newest, behind the node's back.
    ///
    /// # Panics
    /// The store cannot be opened.
    pub fn put_note(&self, note: &str) {
        let connection = rusqlite::Connection::open(self.home().store()).expect("there is a store");
        connection.execute("UPDATE ledger_head SET note = ?1", [note]).expect("it can be written");
    }

    /// Audits the ledger, and with `state` rows and blobs too: beside the node, as a stranger with its verifier key does.
    ///
    /// # Panics
    /// The store cannot be read at all.
    pub fn audit(&self, state: bool) -> Report {
        self.audit_against(state, &[])
    }

    /// The same, against heads that were kept.
    ///
    /// # Panics
    /// The store cannot be read at all.
    pub fn audit_against(&self, state: bool, kept: &[Sealed<TreeHead>]) -> Report {
        let mut audit = Audit::new(self.head_key.clone(), self.head_key.name());
        kept.iter().for_each(|head| audit.anchor(head));
        let archive = Archive::open(&self.home().store()).expect("there is a store");
        archive.audit(audit, state).expect("the store can be read")
    }

    /// The newest tree head, as somebody else would keep it.
    ///
    /// # Panics
    /// There is none, or its key did not sign it.
    pub fn kept_head(&self) -> Sealed<TreeHead> {
        let archive = Archive::open(&self.home().store()).expect("there is a store");
        let note = archive.head_note().expect("there is a head");
        head::open(note.as_bytes(), &self.head_key, self.head_key.name()).expect("the node signed it")
    }

    /// Keeps the store from writing until what this returns is dropped: verbs that are begun meanwhile all load what is there now.
    /// It waits for at most ten seconds, so drop it soon.
    ///
    /// # Panics
    /// The store cannot be opened.
    pub fn hold_writer(&self) -> HeldWriter {
        let connection = rusqlite::Connection::open(self.home().store()).expect("there is a store");
        connection.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes now");
        HeldWriter(connection)
    }

    /// The test damages the store or leaves something behind on purpose: nothing is asserted when it is dropped.
    pub fn expect_damage(&mut self) {
        self.is_damaged = true;
    }

    /// What is asserted on drop.
    ///
    /// # Panics
    /// The ledger or the state does not verify, or something is left over.
    pub fn assert_in_order(&self) {
        let report = self.audit(true);
        assert!(report.is_consistent(), "the store does not verify: {:#?}", report.findings());
        assert_eq!(self.kept_head().get().size, report.size, "the tree head covers every entry");
        let Some(opened) = &self.opened else { return };
        let context = &opened.context;
        assert_eq!(context.store.broken(), None, "the writer still writes");
        let unsettled = context.store.read(steward_app_actions::rows::unsettled).expect("effects can be read");
        assert_eq!(unsettled, (0, 0), "effects are on their way, and of some nobody knows what became of them");
        let left = context.store.read(steward_app_runs::left_over).expect("runs can be read");
        assert!(left.is_empty(), "runs that ended left something: {left:?}");
        let leased = context.store.read(steward_app_secrets::left_over).expect("leases can be read");
        assert!(leased.is_empty(), "runs that ended have leases of secrets: {leased:?}");
        crate::again::assert_had_again(context);
        let staged = context.folders.staged().expect("the agents' folders can be read");
        assert!(staged.is_empty(), "something is still staged: {staged:?}");
    }
}

/// Holds the lock that the store's writer needs.
pub struct HeldWriter(rusqlite::Connection);

impl Drop for HeldWriter {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").expect("the lock is held");
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if !self.is_damaged && !std::thread::panicking() {
            self.assert_in_order();
        }
    }
}
