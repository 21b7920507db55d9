//! The node as the faces see it: its context, and what only the process knows.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use steward_app_flows::runs::Runner;
use steward_app_node::{Context, home::Home};
use steward_policy::Mistake;
use tokio::sync::Semaphore;

use crate::{MAX_EXPORTS, MAX_REQUESTS, MAX_REQUESTS_OF_AGENTS};

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
    /// Of agents: however busy they are, people come in.
    pub(crate) places_of_agents: Semaphore,
    pub(crate) exports: Arc<Semaphore>,
    unauthenticated: AtomicU64,
    mistakes: Mutex<Vec<Mistake>>,
}

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
            places_of_agents: Semaphore::new(MAX_REQUESTS_OF_AGENTS),
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            unauthenticated: AtomicU64::new(0),
            mistakes: Mutex::new(Vec::new()),
        }
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

    pub(crate) fn unauthenticated(&self) -> u64 {
        self.unauthenticated.load(Ordering::Relaxed)
    }
}
