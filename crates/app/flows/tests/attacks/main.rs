//! What is tried against a node whose agents have tools: the points of OWASP's Top 10 for Agentic Applications (2026) that concern tools,
//! identity and the use of resources. Each with the attack, its harmless twin, and what stands in the ledger.
//!
//! Deliberately absent: memory (ASI06). What is handed over from run to run is in the stories of runs.

#[path = "../gateway/common.rs"]
mod common;
mod identity;
mod load;
#[path = "../gateway/server.rs"]
mod server;
mod tools;
