//! Typed caller of the node's API: one method per route of `/v1`.
//!
//! ```no_run
//! # async fn example() -> Result<(), steward_caller::CallError> {
//! use steward_caller::{Caller, Secret};
//! let caller = Caller::new("http://127.0.0.1:7878", Some(Secret::new("stw_…")))?;
//! println!("{} entries", caller.ledger_head().await?.size);
//! # Ok(()) }
//! ```
//!
//! What comes back is bounded in bytes and in time, and is a shape of `wire` or a [`CallError`]. Nothing goes through a
//! proxy: a node listens on loopback.
//!
//! Deliberately absent: retries (whoever calls knows whether asking twice does harm), trust in what a node says (a tree
//! head or a proof is opened by whoever has the verifier key), and TLS until nodes have it.

mod call;
mod error;
mod mcp;
mod provider;
mod routes;
mod secret;
#[cfg(test)]
mod tests;

pub use call::{
    CONNECT_TIMEOUT_MS, Caller, Export, MAX_RESPONSE_BYTES, READ_TIMEOUT_MS, TOTAL_TIMEOUT_MS, are_authorities,
};
pub use error::CallError;
pub use mcp::Mcp;
pub use provider::{Back, Chance, DeviceCode, Provider, SignedIn};
pub use routes::{ActionQuery, EffectQuery, LeaseQuery, ReviewQuery, RunQuery};
pub use secret::Secret;
