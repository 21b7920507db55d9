//! What a token must say to be believed, with the time as a parameter.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use steward_clock::Timestamp;
use steward_seal::{Digest, equal_in_constant_time};

use crate::{
    issuer::{MAX_SUBJECT_BYTES, TokenIssuer},
    token::{Token, TokenError},
};

/// How far an issuer's clock and ours may be apart, in seconds.
pub const LEEWAY_S: u64 = 60;

/// How long an ID token can be exchanged after it was issued, in seconds, whatever it says: a person who logs in does so at once.
pub const MAX_ID_TOKEN_AGE_S: u64 = 600;

/// What a token is shown for. A token for one is none for the other: their audiences differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// An ID token, to be exchanged for a key. With what its nonce was made from, if it has one.
    Login(Option<&'a str>),
    /// A service's token, with each request.
    Service,
}

/// Who a token is about, as its issuer says. Made by [`TokenIssuer::prove`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) token: Digest,
    pub(crate) is_login: bool,
}

impl Proven {
    /// The issuer's address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom it is about: the issuer's name of them.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When it ends, clocks that differ included.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The digest of what was signed.
    pub fn token(&self) -> &Digest {
        &self.token
    }

    /// Whether it is an ID token, and not a service's.
    pub fn is_login(&self) -> bool {
        self.is_login
    }
}

/// What the nonce of a log-in is made from `proof` as: whoever has the ID token and not that cannot exchange it.
fn nonce_of(proof: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(proof.as_bytes()).as_bytes())
}

impl TokenIssuer {
    /// Everything that needs no key: who issued it, for whom, for what, and whether its time is now.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn expect(&self, token: &Token, purpose: Purpose<'_>, now: Timestamp) -> Result<Timestamp, TokenError> {
        let claims = &token.claims;
        if claims.iss.as_deref() != Some(self.url()) {
            return Err(TokenError::UnknownIssuer);
        }
        if !self.algorithms().contains(&token.algorithm) {
            return Err(TokenError::Algorithm(token.algorithm.to_string()));
        }
        self.expect_kind(token, purpose)?;
        let subject = claims.sub.as_deref().ok_or(TokenError::Missing("sub"))?;
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
            return Err(TokenError::Malformed("`sub` has 1 to 255 bytes and no control characters".to_owned()));
        }
        self.expect_time(token, purpose, now)
    }

    fn expect_kind(&self, token: &Token, purpose: Purpose<'_>) -> Result<(), TokenError> {
        let claims = &token.claims;
        let is_for = |audience: Option<&str>| audience.is_some_and(|own| claims.aud.iter().any(|aud| aud == own));
        let typ = token.typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ).to_ascii_lowercase());
        let allowed: &[&str] = match purpose {
            Purpose::Login(_) => &["jwt"],
            Purpose::Service => &["jwt", "at+jwt"],
        };
        if let Some(typ) = typ
            && !allowed.contains(&typ.as_str())
        {
            return Err(TokenError::Type(steward_naming::visible(&typ)));
        }
        match purpose {
            Purpose::Login(proof) => {
                // Issued to another client, for that one and us: it is the other's log-in (OpenID Connect Core, 3.1.3.7).
                let is_ours = claims.azp.as_deref().map_or(claims.aud.len() == 1, |azp| Some(azp) == self.client());
                if !is_for(self.client()) || !is_ours {
                    return Err(TokenError::Audience);
                }
                match (&claims.nonce, proof) {
                    (None, _) => Ok(()),
                    (Some(nonce), Some(proof))
                        if equal_in_constant_time(nonce_of(proof).as_bytes(), nonce.as_bytes()) =>
                    {
                        Ok(())
                    }
                    (Some(_), _) => Err(TokenError::Nonce),
                }
            }
            // A token for both could be a person's log-in.
            Purpose::Service if is_for(self.audience()) && !is_for(self.client()) => Ok(()),
            Purpose::Service => Err(TokenError::Audience),
        }
    }

    fn expect_time(&self, token: &Token, purpose: Purpose<'_>, now: Timestamp) -> Result<Timestamp, TokenError> {
        let claims = &token.claims;
        let now_s = u64::try_from(now.unix_ms() / 1000).unwrap_or_default();
        let exp = claims.exp.ok_or(TokenError::Missing("exp"))?;
        let mut until = exp.saturating_add(LEEWAY_S);
        if claims.nbf.is_some_and(|nbf| nbf > now_s + LEEWAY_S) || claims.iat.is_some_and(|iat| iat > now_s + LEEWAY_S)
        {
            return Err(TokenError::Early);
        }
        if now_s >= until {
            return Err(TokenError::Ended);
        }
        match purpose {
            Purpose::Login(_) => {
                let iat = claims.iat.ok_or(TokenError::Missing("iat"))?;
                until = until.min(iat + MAX_ID_TOKEN_AGE_S + LEEWAY_S);
                if now_s >= until {
                    return Err(TokenError::Old);
                }
            }
            Purpose::Service => {
                // Without a beginning it began at the latest now.
                let began = claims.iat.or(claims.nbf).unwrap_or(now_s).min(now_s);
                if exp.saturating_sub(began) > self.max_lifetime_s() {
                    return Err(TokenError::TooLong);
                }
            }
        }
        Ok(Timestamp::from_unix_ms(i64::try_from(until.saturating_mul(1000)).unwrap_or(i64::MAX)))
    }
}
