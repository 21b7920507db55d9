//! A signed token in its compact form (RFC 7515), read strictly. Nothing in it is believed here.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use steward_seal::{
    Digest,
    json::{self, Limits},
};

use crate::issuer::Algorithm;

/// The most bytes of a token: groups and roles of large directories fit, and a header of HTTP does.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The most bytes of a header, before base 64: an algorithm, a key's name, a chain of certificates that is not looked at.
const MAX_HEADER_BYTES: usize = 8 << 10;

/// The deepest that header and claims nest.
const MAX_DEPTH: usize = 8;

/// The most bytes of a name in a header or of an identifier in the claims.
const MAX_TEXT_BYTES: usize = 1024;

/// The most audiences of one token.
const MAX_AUDIENCES: usize = 16;

/// The last second that a date may name: the end of the year 9999.
const MAX_DATE: u64 = 253_402_300_799;

/// Why a token is not believed. What it says is of the token and of what is configured, and of nothing that the node keeps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token at all.
    #[error("it is not a signed token in its compact form: {0}")]
    Malformed(String),
    /// The algorithm is one that is never taken, or not taken from this issuer.
    #[error("it is signed with `{0}`, which this node does not take from its issuer")]
    Algorithm(String),
    /// It demands what this node does not know.
    #[error("its header has `{0}`, which this node does not understand")]
    Extension(&'static str),
    /// It is another kind of token.
    #[error("it is of the type `{0}`, which is not the kind that is asked for here")]
    Type(String),
    /// Nobody configured its issuer.
    #[error("its issuer is not one of this node's")]
    UnknownIssuer,
    /// It is for somebody else.
    #[error("it is for another audience than this node")]
    Audience,
    /// Something is missing that it has to say.
    #[error("it does not say `{0}`")]
    Missing(&'static str),
    /// Its time is over.
    #[error("it has ended; get a new one")]
    Ended,
    /// Its time is not here.
    #[error("it is not good yet; is a clock wrong?")]
    Early,
    /// It is good for longer than this node takes.
    #[error("it is good for longer than this node takes from its issuer; have it issued for less")]
    TooLong,
    /// It was issued too long ago to be exchanged.
    #[error("it was issued more than ten minutes ago; log in again")]
    Old,
    /// It was issued for another log-in than the one that shows it.
    #[error("it belongs to another log-in; log in again")]
    Nonce,
    /// The issuer has no such key.
    #[error("its issuer has no key for it; if the issuer changed its keys just now, try again in a minute")]
    Key,
    /// The signature is not by that key.
    #[error("its signature does not verify")]
    Signature,
}

/// A token as it was written. Whoever has it comes in by it: not shown by Debug.
#[derive(Clone)]
pub struct Token {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) claims: Claims,
    /// Header and payload as they were sent: what is signed.
    pub(crate) signed: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("iss", &self.claims.iss).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// What a token says that is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) iss: Option<String>,
    pub(crate) sub: Option<String>,
    pub(crate) aud: Vec<String>,
    pub(crate) azp: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) exp: Option<u64>,
    pub(crate) nbf: Option<u64>,
    pub(crate) iat: Option<u64>,
}

/// Whether a bearer token is one of an issuer rather than a key of the node: three parts with dots between.
pub fn looks_like_token(text: &str) -> bool {
    !text.starts_with("stw_") && text.bytes().filter(|b| *b == b'.').count() == 2
}

impl Token {
    /// Reads a token.
    ///
    /// # Errors
    /// It is none, its JSON is not strict, or its algorithm is never taken.
    pub fn read(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(malformed(format!("it has more than {MAX_TOKEN_BYTES} bytes")));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(|| malformed("it has no three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| malformed("it has no three parts"))?;
        if payload.contains('.') {
            return Err(malformed("it has more than three parts"));
        }
        let decode = |part: &str| {
            // One spelling only: no padding, and no bits left over, so that one token has one form.
            URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("a part is not base64url without padding"))
        };
        let header = object(&decode(header)?, MAX_HEADER_BYTES, "header")?;
        let claims = object(&decode(payload)?, MAX_TOKEN_BYTES, "payload")?;
        let signature = decode(signature)?;
        let said = text_of(&header, "alg")?.ok_or(TokenError::Missing("alg"))?;
        let algorithm = said.parse().map_err(|()| TokenError::Algorithm(steward_naming::visible(&said)))?;
        // What is critical must be understood (RFC 7515, 4.1.11), and we understand nothing more.
        for extension in ["crit", "b64", "zip", "cty"] {
            if header.contains_key(extension) {
                return Err(TokenError::Extension(extension));
            }
        }
        Ok(Self {
            algorithm,
            kid: text_of(&header, "kid")?,
            typ: text_of(&header, "typ")?,
            claims: Claims {
                iss: text_of(&claims, "iss")?,
                sub: text_of(&claims, "sub")?,
                aud: audiences(&claims)?,
                azp: text_of(&claims, "azp")?,
                nonce: text_of(&claims, "nonce")?,
                exp: date(&claims, "exp")?,
                nbf: date(&claims, "nbf")?,
                iat: date(&claims, "iat")?,
            },
            signed: signed.as_bytes().to_vec(),
            signature,
        })
    }

    /// Whose key it says it is signed with.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The digest of what is signed. Not of the signature: some have two forms that both verify, and a token is spent in both.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.signed)
    }
}

fn malformed(why: impl Into<String>) -> TokenError {
    TokenError::Malformed(why.into())
}

fn object(bytes: &[u8], most: usize, what: &str) -> Result<Map<String, Value>, TokenError> {
    match json::value(bytes, Limits { bytes: most, depth: MAX_DEPTH }) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed(format!("its {what} is not a JSON object"))),
        Err(error) => Err(malformed(format!("its {what}: {error}"))),
    }
}

fn text_of(object: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenError> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_TEXT_BYTES => Ok(Some(text.clone())),
        Some(Value::String(_)) => Err(malformed(format!("`{name}` is too long"))),
        Some(_) => Err(malformed(format!("`{name}` is not a text"))),
    }
}

fn audiences(claims: &Map<String, Value>) -> Result<Vec<String>, TokenError> {
    match claims.get("aud") {
        Some(Value::Array(all)) if all.len() <= MAX_AUDIENCES => all
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or_else(|| malformed("`aud` has something that is no text")))
            .collect(),
        Some(Value::Array(_)) => Err(malformed(format!("`aud` has more than {MAX_AUDIENCES} audiences"))),
        _ => Ok(text_of(claims, "aud")?.into_iter().collect()),
    }
}

/// Seconds since 1970 (RFC 7519, 2): a number that may have a fraction, which is cut.
fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|n| (0.0..=MAX_DATE as f64).contains(n))?;
        Some(number as u64)
    });
    match whole {
        Some(seconds) if seconds <= MAX_DATE => Ok(Some(seconds)),
        _ => Err(malformed(format!("`{name}` is not a date in seconds"))),
    }
}
