//! A file for each noun; each handler parses, calls one verb, and writes the answer.

pub(crate) mod actions;
pub(crate) mod agents;
pub(crate) mod alerts;
pub(crate) mod effects;
pub(crate) mod entries;
pub(crate) mod halt;
pub(crate) mod hooks;
pub(crate) mod identities;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod open;
pub(crate) mod people;
pub(crate) mod policies;
pub(crate) mod policy_diff;
pub(crate) mod replay;
pub(crate) mod reviews;
pub(crate) mod runs;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod tools;
pub(crate) mod traces;
