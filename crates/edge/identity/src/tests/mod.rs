//! Tokens as issuers, clients and liars write them.

mod issuers;
mod keys;
mod tokens;
mod vectors;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use steward_clock::{Dice, Timestamp};
use steward_seal::SigningKey;

use crate::{IssuerSettings, Issuers, KeySet, Proven, Purpose, Token, TokenError, TokenIssuer};

const URL: &str = "https://id.example.org";

/// 2026-11-20T09:00:00Z.
const NOW: u64 = 1_795_165_200;

struct Always(u8);

impl Dice for Always {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1000 * NOW as i64)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signer(n: u8) -> SigningKey {
    SigningKey::generate(&Always(n))
}

fn jwk(kid: &str, key: &SigningKey) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": b64(key.verifying_key().as_bytes())})
}

fn keys(all: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": all }).to_string().as_bytes()).expect("a set")
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        url: URL.to_owned(),
        client: "steward".to_owned(),
        audience: "https://node.example.org".to_owned(),
        ..IssuerSettings::default()
    }
}

fn issuers() -> Issuers {
    Issuers::parse(&[settings()]).expect("it can be meant")
}

fn issuer(all: &Issuers) -> &TokenIssuer {
    all.named(URL).expect("it is there")
}

/// A token with this header and these claims, as they are written.
fn raw(header: &str, claims: &str, key: &SigningKey) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", b64(signature))
}

fn minted(header: &Value, claims: &Value) -> String {
    raw(&header.to_string(), &claims.to_string(), &signer(1))
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "one"})
}

fn service() -> Value {
    json!({"iss": URL, "sub": "ci", "aud": "https://node.example.org", "iat": NOW - 10, "exp": NOW + 600})
}

fn id_token() -> Value {
    json!({"iss": URL, "sub": "248289761001", "aud": "steward", "iat": NOW - 10, "exp": NOW + 3600})
}

/// The same with other members; null takes one away.
fn with(base: &Value, other: Value) -> Value {
    let mut all = base.as_object().expect("an object").clone();
    for (name, value) in other.as_object().expect("an object") {
        if value.is_null() { drop(all.remove(name)) } else { drop(all.insert(name.clone(), value.clone())) }
    }
    Value::Object(all)
}

/// Everything that becomes of a token, with the issuer's one key.
fn prove(text: &str, purpose: Purpose<'_>) -> Result<Proven, TokenError> {
    let all = issuers();
    let token = Token::read(text)?;
    all.of(&token)?.prove(&token, &keys(&[jwk("one", &signer(1))]), purpose, now())
}
