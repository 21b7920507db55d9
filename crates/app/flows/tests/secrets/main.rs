//! Stories of secrets: put, leased, rotated, granted and revoked; and that none of them is anywhere but where it is needed.

mod canary;
mod common;
mod endings;
mod keeping;
mod leases;
mod made;
mod made_tools;
mod maker;
#[path = "../models/provider.rs"]
#[expect(dead_code, reason = "other stories use the rest of it")]
mod provider;
#[path = "../gateway/server.rs"]
#[expect(dead_code, reason = "other stories use the rest of it")]
mod server;
