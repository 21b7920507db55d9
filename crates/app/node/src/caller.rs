//! Who calls a verb.

use steward_naming::{Namespace, TraceId};
use steward_permit::{Actor, KeyUse, RunUse};
use steward_store::{Guard, Key, Row};

/// Somebody whose key was checked, or the node itself.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The key that they came with.
    pub key: Option<KeyUse>,
    /// The run that an agent asks in, if it asks in one.
    pub run: Option<RunUse>,
    /// The request.
    pub trace: Option<TraceId>,
    /// Who else stands behind it, by full names: who started the run and the runs above it. None of them approves what it asks for.
    pub chain: Vec<String>,
    /// The trace of the caller's own that the request belongs to: a W3C `traceparent`, which stands in the entries beside ours.
    pub joins: Option<String>,
    /// The issuer who said that it is them, if they came with a token of one, or with a key that was given for such a token.
    pub through: Option<Box<Through>>,
    /// What must still hold when something is written for them: the key and its holder are as they were loaded.
    pub guards: Vec<Guard>,
    /// The key's row once it is used up, if it is good for one request only. It is written with the request's first change.
    pub spend: Option<Spend>,
}

/// By whose word somebody is who they are. It stands in the entries of what they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The issuer's address.
    pub issuer: String,
    /// The issuer's name of them.
    pub subject: String,
}

/// The row of a key that is good for one request, as it will be once it is used.
#[derive(Debug, Clone)]
pub struct Spend {
    /// The row.
    pub row: Row,
    /// Its key.
    pub key: Key,
}

impl Caller {
    /// The node itself.
    pub fn node(namespace: &Namespace) -> Self {
        Self {
            actor: Actor::Node { namespace: namespace.clone() },
            key: None,
            run: None,
            trace: None,
            chain: Vec::new(),
            joins: None,
            through: None,
            guards: Vec::new(),
            spend: None,
        }
    }

    /// After a change that used the key up: the key's row is now as entry `seq` left it.
    pub fn spent(&mut self, seq: u64) {
        if let Some(Spend { row, key }) = self.spend.take() {
            self.guards.retain(|guard| !guard.is_of(row.table(), &key));
            self.guards.push(Guard::unchanged(row.table(), key, seq));
        }
    }
}
