//! What is tried against a node whose agents have tools: the points of OWASP's Top 10 for Agentic Applications (2026) that concern tools,
//! identity, memory and the use of resources. Each with the attack, its harmless twin, and what stands in the ledger.

#[path = "../gateway/common.rs"]
mod common;
mod identity;
mod load;
mod memory;
#[path = "../gateway/server.rs"]
mod server;
mod tools;
