//! People and their keys.
//!
//! People are enrolled, given roles, and disabled. People and agents hold keys: random secrets of which the node keeps the
//! hash. [`authenticate()`] is the door at which a bearer token becomes a caller; everything it loaded is guarded until the caller's
//! change is written, so that a revocation in between wins.
//!
//! People can be linked with somebody of an issuer (OpenID Connect, JWT). [`identify()`] is the door at which an issuer's token becomes
//! [`Proven`](steward_identity::Proven), [`caller_of()`] the one at which that becomes a caller: nobody comes in who is not linked.
//!
//! Deliberately absent: passwords, sessions; roles' meaning, which is policy; roles and groups of an issuer, which are its own.

mod authenticate;
mod holder;
mod identify;
mod keys;
mod links;
mod people;
pub mod rows;
mod secret;

pub use authenticate::{LoadAgent, authenticate};
pub use holder::Holder;
pub use identify::{caller_of, exchange_token, identify};
pub use keys::{
    Created, DEFAULT_LIFETIME_S, LOGIN_LIFETIME_S, MAX_LIFETIME_S, NewKey, create_key, exchange, key, keys, revoke_key,
};
pub use links::{LinkRow, NewLink, link, links, unlink};
pub use people::{actor, add, bootstrap, disable, people, rescue};
pub use rows::{KeyRow, PersonRow};
pub use secret::Secret;
