//! People and their keys.
//!
//! People are enrolled, given roles, and disabled. People and agents hold keys: random secrets of which the node keeps the
//! hash. [`authenticate()`] is the door at which a bearer token becomes a caller; everything it loaded is guarded until the caller's
//! change is written, so that a revocation in between wins.
//!
//! Deliberately absent: passwords, sessions, OIDC (SEC-7, later); roles' meaning, which is policy.

mod authenticate;
mod holder;
mod keys;
mod people;
pub mod rows;
mod secret;

pub use authenticate::{LoadAgent, authenticate};
pub use holder::Holder;
pub use keys::{Created, DEFAULT_LIFETIME_S, MAX_LIFETIME_S, NewKey, create_key, exchange, key, keys, revoke_key};
pub use people::{BOOTSTRAP_LIFETIME_S, actor, add, bootstrap, disable, people};
pub use rows::{KeyRow, PersonRow};
pub use secret::Secret;
