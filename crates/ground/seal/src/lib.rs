//! Canonical bytes, hashes, keys and signatures: the one way to trust a document.
//!
//! What crosses a trust boundary arrives as bytes and becomes a [`Sealed`] value at one door per kind of document. A
//! door takes the expected signer and the origin as parameters; no key is ever taken from the document that it
//! verifies (law 4). Doors here: [`dsse::open`] and [`note::open`].
//!
//! ```
//! use steward_seal::{Digest, json};
//! let a: serde_json::Value = json::read(br#"{"b":1,"a":[true]}"#, json::Limits::BODY).expect("strict JSON");
//! assert_eq!(json::canonical(&a).expect("fits RFC 8785"), br#"{"a":[true],"b":1}"#);
//! assert!(json::read::<serde_json::Value>(br#"{"a":1,"a":2}"#, json::Limits::BODY).is_err());
//! println!("{}", Digest::of(b"hello"));
//! ```
//!
//! Deliberately absent: RSA and certificates, until a peer needs them; encryption, which is `keeper`'s.

mod digest;
pub mod dsse;
pub mod json;
mod key;
pub mod note;
mod number;
mod sealed;
pub mod secret;
pub mod webhook;

pub use digest::{Digest, MalformedDigest, equal_in_constant_time, from_lower_hex, hmac_sha256};
pub use key::{Fingerprint, KeyError, SigningKey, VerifyingKey};
pub use sealed::Sealed;
