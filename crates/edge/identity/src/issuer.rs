//! Whose tokens are taken, for what, and what is remembered of their keys.

use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex},
};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;
use steward_naming::Namespace;
use steward_permit::{Action, ActionError, ActionName, Resource, ResourceKind, Scope};
use steward_seal::Digest;
use tokio::sync::Semaphore;

use crate::{
    ask::{ACTION, Turn},
    claims::{Proven, Purpose},
    keys::KeySet,
    token::{Token, TokenError},
};

/// How long keys are used before the issuer is asked again, in seconds: a key that it took back is good for so long at most while it can
/// be reached.
pub const KEYS_LIVE_S: u64 = 15 * 60;

/// How long keys are used while the issuer cannot be reached, in seconds.
pub const KEYS_KEPT_S: u64 = 24 * 3600;

/// The shortest time between two times that an issuer is asked, in seconds, whoever makes up names of keys.
pub const ASK_AGAIN_S: u64 = 60;

/// The most bytes of an issuer's name of somebody (OpenID Connect Core, 2).
pub const MAX_SUBJECT_BYTES: usize = 255;

/// The most issuers of a node.
const MAX_ISSUERS: usize = 16;

/// The most bytes of an issuer's address.
const MAX_URL_BYTES: usize = 512;

/// The most requests that wait for the first keys of an issuer.
const MAX_WAITING: usize = 16;

/// The longest that a key from a log-in may be good, in seconds: 30 days.
const MAX_LOGIN_LIFETIME_S: u64 = 30 * 24 * 3600;

/// The longest that a service's token may be good, in seconds: a day. What lasts longer is a key, which can be revoked by itself.
const MAX_TOKEN_LIFETIME_S: u64 = 24 * 3600;

/// With what a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037), verified strictly.
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Rs256, Self::Ps256];

    fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = ();

    /// As RFC 7518 writes them; `none`, HMAC and all others are no algorithms here.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(())
    }
}

/// An issuer as `[[issuers]]` of steward.toml has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerSettings {
    /// Its address, letter by letter as its tokens say it in `iss`.
    pub url: String,
    /// The client that people log in as: the audience of ID tokens. Empty: nobody logs in by it.
    pub client: String,
    /// The audience of services' tokens. Empty: services have none.
    pub audience: String,
    /// Where its keys are: an address, `file:PATH`, or empty for what its discovery document says.
    pub keys: String,
    /// A file with the authorities (PEM) that its certificate is by; empty: those of the system.
    pub ca: String,
    /// With what its tokens may be signed.
    pub algorithms: Vec<String>,
    /// What services may do with its tokens, at most.
    pub scopes: Vec<String>,
    /// How long services' tokens may be good, in seconds.
    pub max_lifetime_s: u64,
    /// How long the key is good that a log-in gives, in seconds.
    pub login_lifetime_s: u64,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            client: String::new(),
            audience: String::new(),
            keys: String::new(),
            ca: String::new(),
            algorithms: Algorithm::ALL.map(|one| one.to_string()).into(),
            scopes: vec![Scope::Read.to_string()],
            max_lifetime_s: 3600,
            login_lifetime_s: 12 * 3600,
        }
    }
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Where its discovery document says.
    Discovery,
    /// At an address.
    Address(Url),
    /// In a file.
    File(PathBuf),
}

/// Somebody whose tokens are taken.
#[derive(Debug)]
pub struct TokenIssuer {
    url: String,
    pub(crate) parsed: Url,
    client: Option<String>,
    audience: Option<String>,
    pub(crate) source: Source,
    pub(crate) ca: Option<PathBuf>,
    algorithms: Vec<Algorithm>,
    scopes: Vec<Scope>,
    max_lifetime_s: u64,
    login_lifetime_s: u64,
    pub(crate) remembered: Mutex<Remembered>,
    /// Whose turn it is to ask.
    asking: tokio::sync::Mutex<()>,
    waiting: Semaphore,
}

/// What is remembered of an issuer's keys.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) keys: Option<(Arc<KeySet>, Timestamp)>,
    pub(crate) tried_at: Option<Timestamp>,
}

/// What can be done about a token's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// What is remembered is good.
    Nothing,
    /// What is remembered is good, and old.
    News,
    /// It may be new, or made up.
    Unknown,
    /// Nothing is remembered that could be used.
    First,
    /// It was asked just now.
    Wait,
    /// It was asked just now, and has no such key.
    NoSuchKey,
}

impl Remembered {
    /// What is still used at `now`.
    pub(crate) fn kept(&self, now: Timestamp) -> Option<&Arc<KeySet>> {
        let (keys, at) = self.keys.as_ref()?;
        (now.since_ms(*at) < KEYS_KEPT_S * 1000).then_some(keys)
    }

    fn need(&self, kid: Option<&str>, now: Timestamp) -> Need {
        let older = |at: Timestamp, seconds: u64| now.since_ms(at) >= seconds * 1000;
        let may_ask = self.tried_at.is_none_or(|at| older(at, ASK_AGAIN_S));
        match (self.kept(now), self.keys.as_ref()) {
            (Some(keys), Some((_, at))) if keys.has(kid) => {
                if older(*at, KEYS_LIVE_S) && may_ask {
                    Need::News
                } else {
                    Need::Nothing
                }
            }
            (Some(_), _) if may_ask => Need::Unknown,
            (Some(_), _) => Need::NoSuchKey,
            (None, _) if may_ask => Need::First,
            (None, _) => Need::Wait,
        }
    }
}

/// What is known of an issuer's keys.
#[derive(Debug)]
pub enum Known<'a> {
    /// These.
    Keys(Arc<KeySet>),
    /// The issuer is to be asked.
    Ask(Turn<'a>),
    /// It has no key of that name.
    NoSuchKey,
    /// It cannot be reached, and was not for a long time.
    Unreachable,
}

impl TokenIssuer {
    /// Its address, as its tokens say it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The client that people log in as.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The audience of services' tokens.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// With what its tokens may be signed.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// What services may do with its tokens, at most.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// How long services' tokens may be good, in seconds.
    pub fn max_lifetime_s(&self) -> u64 {
        self.max_lifetime_s
    }

    /// How long the key is good that a log-in gives, in seconds.
    pub fn login_lifetime_s(&self) -> u64 {
        self.login_lifetime_s
    }

    /// What asking it for its keys is, to a policy and on record.
    ///
    /// # Errors
    /// Its host cannot be written as a resource.
    pub fn action(&self, namespace: &Namespace) -> Result<Action, ActionError> {
        let host = Resource::new(ResourceKind::Host, self.parsed.host_str().unwrap_or_default())?;
        let action = Action::new(namespace.clone(), ActionName::parse(ACTION)?, host);
        Ok(action.with_arguments(Digest::of(self.url.as_bytes())))
    }

    /// What is known of its keys, for a token that names this one. Only one request asks at a time; whoever can go on without does.
    pub async fn keys(&self, kid: Option<&str>, now: Timestamp) -> Known<'_> {
        let need = self.need(kid, now);
        let turn = match need {
            Need::News | Need::Unknown => self.asking.try_lock().ok(),
            Need::First => match self.waiting.try_acquire() {
                Ok(_place) => Some(self.asking.lock().await),
                Err(_) => return Known::Unreachable,
            },
            Need::Nothing | Need::Wait | Need::NoSuchKey => None,
        };
        // Whoever had the turn before may have brought what is needed.
        match (self.need(kid, now), turn) {
            (Need::News | Need::Unknown | Need::First, Some(turn)) => Known::Ask(Turn::new(self, turn)),
            (Need::Nothing | Need::News, _) => match self.remembered().kept(now) {
                Some(keys) => Known::Keys(Arc::clone(keys)),
                None => Known::Unreachable,
            },
            (Need::Unknown | Need::NoSuchKey, _) => Known::NoSuchKey,
            (Need::First | Need::Wait, _) => Known::Unreachable,
        }
    }

    fn need(&self, kid: Option<&str>, now: Timestamp) -> Need {
        self.remembered().need(kid, now)
    }

    pub(crate) fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("no holder of this lock panics")
    }

    /// Checks everything: what the token says, and that one of these keys signed it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn prove(
        &self,
        token: &Token,
        keys: &KeySet,
        purpose: Purpose<'_>,
        now: Timestamp,
    ) -> Result<Proven, TokenError> {
        let expires_at = self.expect(token, purpose, now)?;
        keys.verify(token)?;
        Ok(Proven {
            issuer: self.url.clone(),
            subject: token.claims.sub.clone().ok_or(TokenError::Missing("sub"))?,
            expires_at,
            token: token.digest(),
            is_login: matches!(purpose, Purpose::Login(_)),
        })
    }
}

/// Everybody whose tokens are taken; usually nobody, or one.
#[derive(Debug, Default)]
pub struct Issuers(Vec<TokenIssuer>);

impl Issuers {
    /// What a configuration means.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(settings: &[IssuerSettings]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        if settings.len() > MAX_ISSUERS {
            problems.push(format!("there are more than {MAX_ISSUERS}"));
        }
        let mut all: Vec<TokenIssuer> = Vec::new();
        for one in settings {
            match issuer(one) {
                Ok(issuer) if all.iter().any(|other| other.url == issuer.url) => {
                    problems.push(format!("`{}` stands there twice", issuer.url));
                }
                Ok(issuer) => all.push(issuer),
                Err(why) => problems.push(format!("`{}`: {why}", steward_naming::visible(&one.url))),
            }
        }
        if problems.is_empty() { Ok(Self(all)) } else { Err(problems) }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &TokenIssuer> {
        self.0.iter()
    }

    /// The one with this address, letter by letter.
    pub fn named(&self, url: &str) -> Option<&TokenIssuer> {
        self.0.iter().find(|one| one.url == url)
    }

    /// The one that a token says it is of.
    ///
    /// # Errors
    /// It is of nobody's.
    pub fn of(&self, token: &Token) -> Result<&TokenIssuer, TokenError> {
        token.claims.iss.as_deref().and_then(|iss| self.named(iss)).ok_or(TokenError::UnknownIssuer)
    }
}

/// Whether what goes there cannot be read on the way: by TLS, or within this machine.
pub(crate) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || is_near(url)
}

/// Whether it is on this machine, in clear.
pub(crate) fn is_near(url: &Url) -> bool {
    let near = match url.host() {
        Some(host) => match host.to_string().trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => url.host_str() == Some("localhost"),
        },
        None => false,
    };
    url.scheme() == "http" && near
}

fn address(text: &str, what: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("{what} is no address"))?;
    if !is_safe(&url) {
        return Err(format!("{what} is to begin with https://; http:// is for this machine alone"));
    }
    if text.len() > MAX_URL_BYTES || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some()
    {
        return Err(format!("{what} is too long, or has a user or a fragment"));
    }
    Ok(url)
}

fn issuer(settings: &IssuerSettings) -> Result<TokenIssuer, String> {
    let parsed = address(&settings.url, "`url`")?;
    if parsed.query().is_some() {
        return Err("`url` has a `?`".to_owned());
    }
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (client, audience) = (given(&settings.client), given(&settings.audience));
    if client.is_none() && audience.is_none() {
        return Err("it has neither a `client`, for people, nor an `audience`, for services".to_owned());
    }
    if client == audience {
        return Err(
            "`client` and `audience` are the same, so that a log-in would pass for a service's token".to_owned()
        );
    }
    let source = match settings.keys.as_str() {
        "" => Source::Discovery,
        keys => match keys.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Source::File(path.into()),
            _ => Source::Address(address(keys, "`keys`")?),
        },
    };
    let algorithms = settings
        .algorithms
        .iter()
        .map(|text| text.parse().map_err(|()| format!("`{text}` is no algorithm; EdDSA, ES256, RS256 and PS256 are")));
    let algorithms = algorithms.collect::<Result<Vec<Algorithm>, _>>()?;
    if algorithms.is_empty() {
        return Err("`algorithms` is empty".to_owned());
    }
    let scopes = settings.scopes.iter().map(|text| text.parse::<Scope>().map_err(|e| e.to_string()));
    let scopes = scopes.collect::<Result<Vec<_>, _>>()?;
    if let Some(scope) = scopes.iter().find(|scope| matches!(scope, Scope::All | Scope::Keys | Scope::Login)) {
        // A token that makes keys would outlive itself.
        return Err(format!("tokens have no scope `{scope}`; read, act, agents, people and policy can be given"));
    }
    if audience.is_some() && scopes.is_empty() {
        return Err("`scopes` is empty, so that services could do nothing".to_owned());
    }
    if !(1..=MAX_TOKEN_LIFETIME_S).contains(&settings.max_lifetime_s) {
        return Err(format!("`max_lifetime_s` is 1 to {MAX_TOKEN_LIFETIME_S}"));
    }
    if !(60..=MAX_LOGIN_LIFETIME_S).contains(&settings.login_lifetime_s) {
        return Err(format!("`login_lifetime_s` is 60 to {MAX_LOGIN_LIFETIME_S}"));
    }
    Ok(TokenIssuer {
        url: settings.url.clone(),
        parsed,
        client,
        audience,
        source,
        ca: given(&settings.ca).map(PathBuf::from),
        algorithms,
        scopes,
        max_lifetime_s: settings.max_lifetime_s,
        login_lifetime_s: settings.login_lifetime_s,
        remembered: Mutex::default(),
        asking: tokio::sync::Mutex::default(),
        waiting: Semaphore::new(MAX_WAITING),
    })
}
