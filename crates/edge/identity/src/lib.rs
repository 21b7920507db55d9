//! Tokens of other issuers (OpenID Connect Core 1.0, RFC 7519): read, held against the issuer's keys, and checked.
//!
//! ```text
//! let token = Token::read(text)?;                          // bytes, strictly; nothing is believed yet
//! let issuer = issuers.of(&token)?;                        // configured, or nobody
//! issuer.expect(&token, Purpose::Login, now)?;             // who, for whom, until when: costs nothing, and is first
//! let keys = match issuer.keys(token.kid(), now) {         // remembered, or to be asked for
//!     Known::Keys(keys) => keys,
//!     Known::Ask(turn) => turn.ask(warrant, &action).await?,
//!     Known::Nobody(why) => return Err(why),
//! };
//! let proven = issuer.prove(token, &keys, Purpose::Login, now)?;
//! ```
//!
//! The one door through which a token comes in: [`Proven`] is made by [`TokenIssuer::prove`] alone, which checks everything again. Reading,
//! choosing a key, verifying and checking are pure; [`Turn::ask`] is the one place that opens a socket, and takes a warrant.
//!
//! Deliberately absent: HMAC and `none`; keys that a token brings with it (`jwk`, `jku`, `x5c` are not looked at); encrypted tokens; a
//! library of tokens, for none refuses JSON that two readers could read differently; who somebody is here, which is a fact of the node.

mod ask;
mod claims;
mod issuer;
mod keys;
mod token;

#[cfg(test)]
mod tests;

pub use ask::{ACTION, Turn};
pub use claims::{LEEWAY_S, MAX_ID_TOKEN_AGE_S, Proven, Purpose};
pub use issuer::{
    ASK_AGAIN_S, Algorithm, IssuerSettings, Issuers, KEYS_KEPT_S, KEYS_LIVE_S, Known, MAX_SUBJECT_BYTES, Source,
    TokenIssuer,
};
pub use keys::{KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS};
pub use token::{MAX_TOKEN_BYTES, Token, TokenError, looks_like_token};
