//! An issuer of tokens on loopback: a provider of OpenID Connect that conforms, until it is told to lie.
//!
//! People are not asked for a password: whoever follows the address that a client gives them is the subject that the test named.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
    },
};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use steward_clock::Dice;
use steward_identity::IssuerSettings;
use steward_seal::{Digest, SigningKey};

/// The client that the provider knows.
pub(crate) const CLIENT: &str = "steward";

/// The audience of the tokens that it gives services.
pub(crate) const AUDIENCE: &str = "https://steward.example.org";

/// What a key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignsWith {
    /// Ed25519.
    EdDsa,
    /// ECDSA with P-256.
    Es256,
    /// RSA, PKCS #1 v1.5.
    Rs256,
    /// RSA, PSS.
    Ps256,
}

struct Always(u8);

impl Dice for Always {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// The keys of the next provider.
static FIRST: AtomicU8 = AtomicU8::new(0);

static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"));
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl SignsWith {
    /// As a token's header has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// The public key of this name. Of Ed25519 there are as many as there are seeds, of the others one.
    pub fn jwk(self, kid: &str, seed: u8) -> Value {
        match self {
            Self::EdDsa => {
                let key = SigningKey::generate(&Always(seed)).verifying_key();
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": b64(key.as_bytes())})
            }
            Self::Es256 => {
                let point = EC.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::Rs256 | Self::Ps256 => {
                // An RSAPublicKey (RFC 8017, A.1.1) of 2048 bits: its modulus begins after nine bytes, its exponent is 65537.
                let der = RSA.public_key().as_ref();
                json!({"kty": "RSA", "kid": kid, "alg": self.name(), "n": b64(&der[9..265]), "e": "AQAB"})
            }
        }
    }

    /// A token with these claims.
    pub fn sign(self, kid: &str, seed: u8, claims: &Value) -> String {
        let header = json!({"alg": self.name(), "kid": kid});
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; RSA.public_modulus_len()];
            RSA.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("it signs");
            signature
        };
        let signature = match self {
            Self::EdDsa => SigningKey::generate(&Always(seed)).sign(signed.as_bytes()).to_vec(),
            Self::Es256 => EC.sign(&SystemRandom::new(), signed.as_bytes()).expect("it signs").as_ref().to_vec(),
            Self::Rs256 => rsa(&RSA_PKCS1_SHA256),
            Self::Ps256 => rsa(&RSA_PSS_SHA256),
        };
        format!("{signed}.{}", b64(signature))
    }
}

/// What the provider does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It answers with an error.
    Down,
    /// Its discovery document names another issuer.
    OtherIssuer,
    /// Its discovery document says that its keys are somewhere in clear.
    KeysInClear,
    /// Its keys are without end.
    EndlessKeys,
    /// It sends whoever asks for its keys elsewhere.
    Redirects,
    /// Its keys are nothing that can be read.
    Garbage,
    /// Its log-in gives an ID token with another nonce.
    OtherNonce,
    /// It sends people back with another state.
    OtherState,
    /// It sends people back in the name of another issuer.
    OtherInAnswer,
}

#[derive(Debug, Default)]
struct Desk {
    /// The first of its keys: no two providers have the same.
    first: u8,
    /// Which one it is at.
    key: u8,
    with: Option<SignsWith>,
    lie: Option<Lie>,
    /// Whoever logs in.
    subject: String,
    now: i64,
    /// What each code was given for.
    codes: HashMap<String, HashMap<String, String>>,
    given: u32,
    /// How often a device is told to wait.
    waits: u32,
}

struct Shared {
    url: String,
    desk: Mutex<Desk>,
    keys_asked: AtomicU32,
}

/// An issuer of tokens.
pub struct Provider(Arc<Shared>);

impl Provider {
    /// One whose clock stands at this second. Whoever logs in is `subject`.
    ///
    /// # Panics
    /// It cannot listen.
    pub async fn start(now: i64, subject: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let first = FIRST.fetch_add(20, Ordering::Relaxed);
        let desk = Desk { first, key: 1, subject: subject.to_owned(), now, ..Desk::default() };
        let shared = Arc::new(Shared { url, desk: Mutex::new(desk), keys_asked: AtomicU32::new(0) });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/device", post(device))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self(shared)
    }

    fn desk<T>(&self, change: impl FnOnce(&mut Desk) -> T) -> T {
        change(&mut self.0.desk.lock().expect("no holder of this lock panics"))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// It as a node configures it: for people, and for services that read and act.
    pub fn settings(&self) -> IssuerSettings {
        IssuerSettings {
            url: self.0.url.clone(),
            client: CLIENT.to_owned(),
            audience: AUDIENCE.to_owned(),
            scopes: vec!["read".to_owned(), "act".to_owned()],
            ..IssuerSettings::default()
        }
    }

    /// From now on it signs with another key, and forgets the one before.
    pub fn rotates(&self) {
        self.desk(|desk| desk.key += 1);
    }

    /// From now on it signs so.
    pub fn signs_with(&self, with: SignsWith) {
        self.desk(|desk| desk.with = Some(with));
    }

    /// From now on it lies so, or no more.
    pub fn lies(&self, lie: Option<Lie>) {
        self.desk(|desk| desk.lie = lie);
    }

    /// Its clock stands there now.
    pub fn stands_at(&self, now: i64) {
        self.desk(|desk| desk.now = now);
    }

    /// How often it was asked for its keys.
    pub fn keys_asked(&self) -> u32 {
        self.0.keys_asked.load(Ordering::Relaxed)
    }

    /// A token for services about `subject`, with more claims, or others.
    ///
    /// # Panics
    /// `more` is no object.
    pub fn service_token(&self, subject: &str, more: Value) -> String {
        let mut claims = json!({"iss": self.url(), "sub": subject, "aud": AUDIENCE});
        self.desk(|desk| desk.times(&mut claims));
        self.signed(claims, more)
    }

    /// An ID token about `subject`, with more claims, or others.
    ///
    /// # Panics
    /// `more` is no object.
    pub fn id_token(&self, subject: &str, more: Value) -> String {
        let mut claims = json!({"iss": self.url(), "sub": subject, "aud": CLIENT});
        self.desk(|desk| desk.times(&mut claims));
        self.signed(claims, more)
    }

    fn signed(&self, mut claims: Value, more: Value) -> String {
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.desk(|desk| desk.sign(&claims))
    }
}

impl Desk {
    fn kid(&self) -> String {
        format!("key-{}", self.key)
    }

    fn seed(&self) -> u8 {
        self.first.wrapping_add(self.key)
    }

    fn with(&self) -> SignsWith {
        self.with.unwrap_or(SignsWith::EdDsa)
    }

    fn sign(&self, claims: &Value) -> String {
        self.with().sign(&self.kid(), self.seed(), claims)
    }

    /// Each is another: two within a second are not the same.
    fn times(&mut self, claims: &mut Value) {
        self.given += 1;
        claims["iat"] = self.now.into();
        claims["exp"] = (self.now + 600).into();
        claims["jti"] = format!("{}", self.given).into();
    }
}

impl Shared {
    fn lie(&self) -> Option<Lie> {
        self.desk.lock().expect("no holder of this lock panics").lie
    }
}

type Desks = State<Arc<Shared>>;

async fn discovery(State(shared): Desks) -> Response {
    let url = &shared.url;
    if shared.lie() == Some(Lie::Down) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let issuer = if shared.lie() == Some(Lie::OtherIssuer) { "https://evil.example" } else { url };
    let keys = if shared.lie() == Some(Lie::KeysInClear) { "http://192.0.2.1" } else { url };
    Json(json!({
        "issuer": issuer, "jwks_uri": format!("{keys}/keys"), "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "device_authorization_endpoint": format!("{url}/device"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"], "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}

async fn keys(State(shared): Desks) -> Response {
    shared.keys_asked.fetch_add(1, Ordering::Relaxed);
    let desk = shared.desk.lock().expect("no holder of this lock panics");
    match desk.lie {
        Some(Lie::Down) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Lie::Redirects) => Redirect::temporary("/authorize").into_response(),
        Some(Lie::EndlessKeys) => " ".repeat(1 << 20).into_response(),
        Some(Lie::Garbage) => "{\"keys\": [{\"kty\": \"oct\"}]}".into_response(),
        _ => Json(json!({"keys": [desk.with().jwk(&desk.kid(), desk.seed())]})).into_response(),
    }
}

async fn authorize(State(shared): Desks, Query(asked): Query<HashMap<String, String>>) -> Response {
    let mut desk = shared.desk.lock().expect("no holder of this lock panics");
    let is = |name: &str, value: &str| asked.get(name).is_some_and(|said| said == value);
    let back = asked.get("redirect_uri").cloned().unwrap_or_default();
    let is_ours = is("client_id", CLIENT) && back.starts_with("http://127.0.0.1:");
    if !is_ours || !is("response_type", "code") || !is("code_challenge_method", "S256") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    desk.given += 1;
    let code = format!("code-{}", desk.given);
    desk.codes.insert(code.clone(), asked.clone());
    let state = match desk.lie {
        Some(Lie::OtherState) => "another",
        _ => asked.get("state").map_or("", String::as_str),
    };
    let iss = if desk.lie == Some(Lie::OtherInAnswer) { "https://evil.example" } else { &shared.url };
    Redirect::to(&format!("{back}?code={code}&state={state}&iss={iss}")).into_response()
}

/// What a form says.
fn form(body: &str) -> HashMap<String, String> {
    let uri = format!("/?{body}").parse().expect("a form has the letters of an address");
    Query::try_from_uri(&uri).map(|Query(said)| said).expect("a form")
}

async fn device(State(shared): Desks, body: String) -> Response {
    let asked = form(&body);
    let mut desk = shared.desk.lock().expect("no holder of this lock panics");
    desk.given += 1;
    let code = format!("device-{}", desk.given);
    desk.codes.insert(code.clone(), asked);
    desk.waits = 1;
    Json(json!({
        "device_code": code, "user_code": "WDJB-MJHT", "verification_uri": format!("{}/activate", shared.url),
        "expires_in": 60, "interval": 1,
    }))
    .into_response()
}

async fn token(State(shared): Desks, body: String) -> Response {
    let asked = form(&body);
    let refuse = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let mut desk = shared.desk.lock().expect("no holder of this lock panics");
    let said = |name: &str| asked.get(name).map_or("", String::as_str);
    let begun = match said("grant_type") {
        "authorization_code" => {
            // Good once, for whoever began it (RFC 7636, 4.6).
            let Some(begun) = desk.codes.remove(said("code")) else { return refuse("invalid_grant") };
            let challenge = b64(Digest::of(said("code_verifier").as_bytes()).as_bytes());
            if begun.get("code_challenge") != Some(&challenge) || begun.get("redirect_uri") != asked.get("redirect_uri")
            {
                return refuse("invalid_grant");
            }
            begun
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if desk.waits > 0 {
                desk.waits -= 1;
                return refuse("authorization_pending");
            }
            let Some(begun) = desk.codes.remove(said("device_code")) else { return refuse("invalid_grant") };
            begun
        }
        _ => return refuse("unsupported_grant_type"),
    };
    if said("client_id") != CLIENT {
        return refuse("invalid_client");
    }
    let mut claims = json!({"iss": shared.url, "sub": desk.subject, "aud": CLIENT});
    desk.times(&mut claims);
    if let Some(nonce) = begun.get("nonce") {
        claims["nonce"] = if desk.lie == Some(Lie::OtherNonce) { "another".into() } else { nonce.as_str().into() };
    }
    let id_token = desk.sign(&claims);
    Json(json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 600, "id_token": id_token}))
        .into_response()
}
