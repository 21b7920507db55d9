//! Signatures of webhooks, after the Standard Webhooks specification: symmetric, version 1.
//!
//! ```
//! use steward_seal::{secret::Secret, webhook::WebhookKey};
//! let key = WebhookKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).expect("24 bytes");
//! assert!(key.sign("msg_1", 1_614_265_330, b"{}").starts_with("v1,"));
//! ```
//!
//! What is signed is the id, the second of sending and the body, joined by dots, so that neither can be taken from another message.
//!
//! Deliberately absent: verifying (whoever is told does that), and `v1a`, the asymmetric kind, for which receivers have few libraries.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::{digest::hmac_sha256, secret::Secret};

/// What such a secret begins with.
const PREFIX: &str = "whsec_";

/// The fewest and the most bytes of a key, as the specification has them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secret is no key for webhooks. Says nothing of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no key of Standard Webhooks; one is `whsec_` and 24 to 64 bytes in base 64, such as `whsec_$(openssl rand -base64 32)` makes"
)]
pub struct NoWebhookKey;

/// What both sides of a webhook know.
pub struct WebhookKey(Zeroizing<Vec<u8>>);

impl WebhookKey {
    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// It is none, too short or too long.
    pub fn parse(secret: &Secret) -> Result<Self, NoWebhookKey> {
        let text = secret.reveal().strip_prefix(PREFIX).ok_or(NoWebhookKey)?;
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).map_err(|_| NoWebhookKey)?);
        if KEY_BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NoWebhookKey) }
    }

    /// The header `webhook-signature` for a message that is sent at that second.
    pub fn sign(&self, id: &str, at_unix_s: i64, body: &[u8]) -> String {
        let signed = [id.as_bytes(), at_unix_s.to_string().as_bytes(), body].join(&b'.');
        format!("v1,{}", BASE64_STANDARD.encode(hmac_sha256(&self.0, &signed)))
    }
}

impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
