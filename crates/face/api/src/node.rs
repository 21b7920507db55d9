//! The node as the faces see it: its context, and what only the process knows.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use steward_app_flows::runs::Runner;
use steward_app_node::{Context, home::Home};
use steward_clock::Timestamp;
use steward_policy::Mistake;
use tokio::sync::Semaphore;

use crate::{
    MAX_EXPORTS, MAX_LOGINS, MAX_REQUESTS, MAX_REQUESTS_OF_AGENTS, MAX_REQUESTS_TAKING_AWAY, operations::Operations,
    served::Served,
};

/// What a node is made of, for the faces.
pub struct NodeParts {
    /// What every verb is given.
    pub context: Arc<Context>,
    /// Drives runs.
    pub runner: Arc<Runner>,
    /// Where its state is.
    pub home: Home,
    /// The program's version.
    pub version: &'static str,
    /// The authorities (host and port) under which it is asked; requests for others are refused, so that a page in a browser
    /// cannot reach it under a name of its own.
    pub authorities: Vec<String>,
    /// Whether `up --demo` made the home.
    pub demo: bool,
}

/// The node as the faces see it.
pub struct Node {
    pub(crate) context: Arc<Context>,
    pub(crate) runner: Arc<Runner>,
    pub(crate) home: Home,
    pub(crate) version: &'static str,
    pub(crate) authorities: Vec<String>,
    pub(crate) demo: bool,
    pub(crate) places: Semaphore,
    /// Of log-ins by tokens, which strangers can begin.
    pub(crate) places_of_logins: Semaphore,
    /// Of agents: however busy they are, people come in.
    pub(crate) places_of_agents: Semaphore,
    /// Of what takes leave away: however busy everybody is, a person can halt the node.
    pub(crate) places_of_taking_away: Semaphore,
    pub(crate) exports: Arc<Semaphore>,
    /// Held while figures are computed: whoever watches is not kept from it by exports, and does not ask in crowds.
    pub(crate) measuring: tokio::sync::Mutex<()>,
    /// How it is operated.
    pub(crate) operations: Operations,
    /// What was asked of it since it started.
    pub(crate) served: Served,
    unauthenticated: AtomicU64,
    limited: AtomicU64,
    mistakes: Mutex<Vec<Mistake>>,
    /// Which alerts fire, and since when this process knows.
    pub(crate) firing: Mutex<BTreeMap<String, Timestamp>>,
    /// When the background did its work last, in milliseconds since 1970; before the first time, none.
    tended_ms: AtomicI64,
    stopping: std::sync::atomic::AtomicBool,
}

/// That the background did nothing yet.
const NEVER: i64 = i64::MIN;

impl Node {
    /// The node.
    pub fn new(parts: NodeParts) -> Self {
        Self {
            context: parts.context,
            runner: parts.runner,
            home: parts.home,
            version: parts.version,
            authorities: parts.authorities,
            demo: parts.demo,
            places: Semaphore::new(MAX_REQUESTS),
            places_of_logins: Semaphore::new(MAX_LOGINS),
            places_of_agents: Semaphore::new(MAX_REQUESTS_OF_AGENTS),
            places_of_taking_away: Semaphore::new(MAX_REQUESTS_TAKING_AWAY),
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            measuring: tokio::sync::Mutex::default(),
            operations: Operations::default(),
            served: Served::default(),
            unauthenticated: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            mistakes: Mutex::new(Vec::new()),
            firing: Mutex::default(),
            tended_ms: AtomicI64::new(NEVER),
            stopping: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// The same, operated so.
    #[must_use]
    pub fn operated(self, operations: Operations) -> Self {
        Self { operations, ..self }
    }

    /// The background did its work: the store and the policy files could be read.
    pub fn tended(&self) {
        self.tended_ms.store(self.context.now().unix_ms(), Ordering::Relaxed);
    }

    /// When the background did its work last.
    pub(crate) fn last_tended(&self) -> Option<Timestamp> {
        Some(self.tended_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER).map(Timestamp::from_unix_ms)
    }

    /// From now on it is not ready: it stops.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The mistakes that keep the policy files from being loaded, as the background found them.
    pub fn set_mistakes(&self, mistakes: Vec<Mistake>) {
        *self.mistakes.lock().expect("no holder of this lock panics") = mistakes;
    }

    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        self.mistakes.lock().expect("no holder of this lock panics").clone()
    }

    pub(crate) fn count_unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn limited(&self) -> u64 {
        self.limited.load(Ordering::Relaxed)
    }

    pub(crate) fn unauthenticated(&self) -> u64 {
        self.unauthenticated.load(Ordering::Relaxed)
    }
}
