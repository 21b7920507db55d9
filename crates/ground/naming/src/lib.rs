//! Names, namespaces and typed ids: parsed once, valid ever after.
//!
//! What people and agents write is normalised (NFKC, case folding) *before* any policy sees it, and what could be
//! mistaken for something else is refused: zero-width and control characters, spaces, mixed scripts, letters of
//! another script that look Latin. So `DROP` is `drop`, and `ԁrop` is an error (wire.md, Policy; REG-1).
//!
//! ```
//! use steward_naming::{Name, Namespace};
//! let home: Namespace = "acme.internal".parse().expect("valid");
//! let scribe = Name::resolve("Scribe", &home).expect("valid");
//! assert_eq!(scribe.to_string(), "scribe.acme.internal");
//! assert!(Name::resolve("scr\u{200b}ibe", &home).is_err());
//! ```
//!
//! Deliberately absent: paths (they are resolved at the effect, beneath the grant, never normalised), and the
//! sources' reversed spelling of names until a registry has to read it.

mod id;
mod name;
mod text;
mod version;

pub use id::{ActionId, CredentialId, HandoffId, IdError, KeyId, LeaseId, ReviewId, RevocationId, RunId, TraceId};
pub use name::{Label, Name, Namespace};
pub use text::{NameError, normalise, visible, visible_to};
pub use version::is_semantic_version;
