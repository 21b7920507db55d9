//! DSSE envelopes (github.com/secure-systems-lab/dsse, v1.0.2): signed documents, one or several signers.
//!
//! The signature covers the payload's bytes and its type, never JSON that somebody serialised again.
//!
//! As the protocol asks, either base 64 is read, the standard one and the URL-safe one, each with its padding and
//! nothing else; the standard one is written. A `keyid` decides nothing.

use base64::{
    DecodeError, Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde::{Deserialize, Serialize};
use steward_naming::visible;

use crate::{
    json,
    key::{KeyError, SigningKey, VerifyingKey},
    sealed::Sealed,
};

/// The most signatures that are looked at in one envelope.
pub const MAX_SIGNATURES: usize = 16;

/// An envelope as it is written in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The payload in base 64.
    payload: String,
    /// What kind of document the payload is.
    #[serde(rename = "payloadType")]
    payload_type: String,
    /// The signatures over [`pre_authentication_encoding`].
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    /// A hint, which decides nothing: the verifier knows its keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
    sig: String,
}

/// Why an envelope was refused.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// Not an envelope.
    #[error("this is not a DSSE envelope: {0}")]
    Malformed(String),
    /// A document of another kind.
    #[error("the envelope holds a `{found}`, and a `{expected}` is needed")]
    OtherType {
        /// What the envelope says it holds, with hidden characters escaped.
        found: String,
        /// What the door is for.
        expected: String,
    },
    /// No signature verifies with the expected key.
    #[error(transparent)]
    Signature(#[from] KeyError),
}

/// What is signed: `DSSEv1 <len type> <type> <len payload> <payload>`.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Signs `payload` with each of `keys`.
pub fn sign(payload_type: &str, payload: &[u8], keys: &[&SigningKey]) -> Envelope {
    let signed = pre_authentication_encoding(payload_type, payload);
    Envelope {
        payload: STANDARD.encode(payload),
        payload_type: payload_type.to_owned(),
        signatures: keys
            .iter()
            .map(|key| EnvelopeSignature {
                keyid: key.verifying_key().fingerprint().to_string(),
                sig: STANDARD.encode(key.sign(&signed)),
            })
            .collect(),
    }
}

/// The door for envelopes: the payload, if `signer` signed it and it is of the expected type.
///
/// # Errors
/// [`DsseError`].
pub fn open(bytes: &[u8], expected_type: &str, signer: &VerifyingKey) -> Result<Sealed<Vec<u8>>, DsseError> {
    let envelope: Envelope = json::read(bytes, json::Limits { bytes: 4 << 20, depth: 8 })
        .map_err(|e| DsseError::Malformed(e.to_string()))?;
    if envelope.payload_type != expected_type {
        return Err(DsseError::OtherType {
            found: visible(&envelope.payload_type),
            expected: expected_type.to_owned(),
        });
    }
    if envelope.signatures.is_empty() || envelope.signatures.len() > MAX_SIGNATURES {
        return Err(DsseError::Malformed(format!("it needs 1 to {MAX_SIGNATURES} signatures")));
    }
    let payload = decode(&envelope.payload).map_err(|_| DsseError::Malformed("`payload` is not base 64".to_owned()))?;
    // All are decoded before any is tried, so that the order of the signatures decides nothing.
    let signatures = envelope.signatures.iter().map(|s| decode(&s.sig)).collect::<Result<Vec<_>, _>>();
    let signatures = signatures.map_err(|_| DsseError::Malformed("a `sig` is not base 64".to_owned()))?;
    let signed = pre_authentication_encoding(expected_type, &payload);
    if signatures.iter().any(|signature| signer.verify(&signed, signature).is_ok()) {
        return Ok(Sealed::new(payload, signer.fingerprint()));
    }
    Err(KeyError::Signature(signer.fingerprint()).into())
}

fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    if text.contains(['-', '_']) { URL_SAFE.decode(text) } else { STANDARD.decode(text) }
}
