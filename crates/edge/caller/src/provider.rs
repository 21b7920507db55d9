//! Logging in at a provider of OpenID Connect, as a program on the person's own machine does: by a browser that comes back to loopback
//! (RFC 8252, RFC 7636), or by a device code (RFC 8628). What comes of it is an ID token, which the node checks and exchanges.
//!
//! Deliberately absent: a client's secret (a program that everybody has keeps none), opening a browser, and believing the ID token: only
//! that it answers this log-in is looked at here.

use std::{collections::HashMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Certificate, Client, Response, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use steward_seal::{Digest, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{error::CallError, secret::Secret};

/// The longest that a provider may take for an answer, in seconds.
const ANSWERS_WITHIN_S: u64 = 15;

/// The most bytes of its answers.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// How long a person may take in the browser, in seconds.
const COMES_BACK_WITHIN_S: u64 = 300;

/// How long a connection to the loopback may take to say what it wants, in seconds.
const SAYS_WITHIN_S: u64 = 5;

/// The most bytes of what it says.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How often a device asks if the provider says nothing, in seconds (RFC 8628, 3.5); and by how much it slows down when it is told to.
const DEVICE_INTERVAL_S: u64 = 5;

/// The longest that a device code is waited for, in seconds, whatever the provider says.
const MAX_DEVICE_S: u64 = 1800;

/// What a browser is shown that came back.
const DONE: &str = "You are logged in as far as this page knows. Go back to the terminal.";

/// A provider, as it describes itself.
#[derive(Debug)]
pub struct Provider {
    client: Client,
    issuer: String,
    client_id: String,
    described: Described,
}

#[derive(Debug, Deserialize)]
struct Described {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Three texts of chance, each of 43 letters and digits or more: nobody else knows them.
#[derive(Debug, Clone)]
pub struct Chance {
    /// Proves to the provider that whoever exchanges the code began the log-in (RFC 7636).
    pub verifier: Secret,
    /// Comes back from the browser, so that nobody brings another's answer.
    pub state: Secret,
    /// What the ID token's nonce is made from: whoever has the token and not this cannot exchange it at the node.
    pub proof: Secret,
}

/// What a device is to show to a person.
#[derive(Deserialize)]
pub struct DeviceCode {
    device_code: String,
    /// What they type.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

/// An ID token, and what the node is to be shown with it.
#[derive(Debug)]
pub struct SignedIn {
    /// The token.
    pub id_token: Secret,
    /// What its nonce was made from, if it has one.
    pub proof: Option<Secret>,
}

fn declined(why: impl Into<String>) -> CallError {
    CallError::Declined(why.into())
}

fn s256(text: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(text.expose().as_bytes()).as_bytes())
}

/// Where a secret may be sent: by TLS, or within this machine.
fn safe(text: &str, what: &str) -> Result<Url, CallError> {
    let url = Url::parse(text).map_err(|_| declined(format!("the provider's {what} is no address")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() == "https" || (url.scheme() == "http" && is_near) {
        return Ok(url);
    }
    Err(declined(format!("the provider's {what} is not at an https:// address")))
}

impl Provider {
    /// Asks a provider to describe itself.
    ///
    /// # Errors
    /// It cannot be reached, or describes another.
    pub async fn discover(issuer: &str, client_id: &str, authorities: Option<&[u8]>) -> Result<Self, CallError> {
        let url =
            safe(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')), "discovery document")?;
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .timeout(Duration::from_secs(ANSWERS_WITHIN_S))
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            builder = builder.no_proxy().tls_certs_only([]);
        } else if let Some(pem) = authorities {
            let none = || CallError::malformed("the file", "a certificate of an authority, in PEM");
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(|_| none())?);
        }
        let unreachable = |e: reqwest::Error| unreachable(issuer, &e);
        let client = builder.build().map_err(unreachable)?;
        let response = client.get(url).send().await.map_err(unreachable)?;
        let (status, bytes) = answer(issuer, response).await?;
        if status != 200 {
            return Err(declined(format!("the provider {issuer} answers with status {status}; is it one?")));
        }
        let described: Described = json::read(&bytes, json::Limits::BODY)
            .map_err(|e| declined(format!("the provider's discovery document cannot be read: {e}")))?;
        if described.issuer != issuer {
            return Err(declined("the provider's discovery document is another issuer's"));
        }
        safe(&described.authorization_endpoint, "authorization_endpoint")?;
        safe(&described.token_endpoint, "token_endpoint")?;
        Ok(Self { client, issuer: issuer.to_owned(), client_id: client_id.to_owned(), described })
    }

    /// What a person is to open in a browser.
    ///
    /// # Errors
    /// The provider's addresses are none.
    pub fn address(&self, redirect: &str, chance: &Chance) -> Result<String, CallError> {
        let mut url = safe(&self.described.authorization_endpoint, "authorization_endpoint")?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", "openid")
            .append_pair("state", chance.state.expose())
            .append_pair("nonce", &s256(&chance.proof))
            .append_pair("code_challenge", &s256(&chance.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Waits for the browser, and exchanges what it brings.
    ///
    /// # Errors
    /// It does not come, or what it brings is not the answer to this log-in.
    pub async fn finish(&self, back: &Back, chance: &Chance) -> Result<SignedIn, CallError> {
        let waiting = tokio::time::timeout(Duration::from_secs(COMES_BACK_WITHIN_S), back.comes());
        let said = waiting.await.map_err(|_| declined("nobody came back from the browser in five minutes"))??;
        let part = |name: &str| said.get(name).map(String::as_str);
        if part("state") != Some(chance.state.expose()) {
            return Err(declined("what came back from the browser is not the answer to this log-in; begin again"));
        }
        // RFC 9207: a code of one provider is not taken to another.
        let is_named = part("iss").is_some() || self.described.authorization_response_iss_parameter_supported;
        if is_named && part("iss") != Some(self.issuer.as_str()) {
            return Err(declined("what came back from the browser is another provider's answer; begin again"));
        }
        if let Some(error) = part("error") {
            let why = part("error_description").unwrap_or_default();
            return Err(declined(format!("the provider refused: {error} {why}")));
        }
        let code = part("code").ok_or_else(|| declined("the provider sent no code"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("redirect_uri", &back.address),
            ("code_verifier", chance.verifier.expose()),
        ];
        match self.ask_for_token(&form).await? {
            Ok(token) => signed_in(token, chance, true),
            Err(error) => Err(declined(format!("the provider gives no token: {error}"))),
        }
    }

    /// Begins a log-in for a terminal without a browser.
    ///
    /// # Errors
    /// The provider has no such way, or refuses.
    pub async fn device(&self, chance: &Chance) -> Result<DeviceCode, CallError> {
        let none = || declined("this provider has no log-in for devices; leave out --device");
        let url = self.described.device_authorization_endpoint.as_deref().ok_or_else(none)?;
        let url = safe(url, "device_authorization_endpoint")?;
        let form = [("client_id", self.client_id.as_str()), ("scope", "openid"), ("nonce", &s256(&chance.proof))];
        let (status, bytes) = self.post(url, &form).await?;
        if status != 200 {
            return Err(declined(format!("the provider refuses: {}", error_in(&bytes))));
        }
        json::read(&bytes, json::Limits::BODY).map_err(|e| declined(format!("the provider's answer: {e}")))
    }

    /// Waits until the person has typed the code.
    ///
    /// # Errors
    /// They did not, or said no.
    pub async fn typed(&self, code: &DeviceCode, chance: &Chance) -> Result<SignedIn, CallError> {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", &self.client_id),
            ("device_code", &code.device_code),
        ];
        let mut every = code.interval.unwrap_or(DEVICE_INTERVAL_S).clamp(1, MAX_DEVICE_S);
        let asks = async {
            loop {
                tokio::time::sleep(Duration::from_secs(every)).await;
                match self.ask_for_token(&form).await? {
                    Ok(token) => return signed_in(token, chance, false),
                    Err(error) if error == "authorization_pending" => {}
                    Err(error) if error == "slow_down" => every += DEVICE_INTERVAL_S,
                    Err(error) => return Err(declined(format!("the provider gives no token: {error}"))),
                }
            }
        };
        let lasts = Duration::from_secs(code.expires_in.min(MAX_DEVICE_S));
        tokio::time::timeout(lasts, asks).await.map_err(|_| declined("nobody typed the code in time; begin again"))?
    }

    /// The ID token, or the provider's word for why there is none.
    async fn ask_for_token(&self, form: &[(&str, &str)]) -> Result<Result<Secret, String>, CallError> {
        let (status, bytes) = self.post(safe(&self.described.token_endpoint, "token_endpoint")?, form).await?;
        if status != 200 {
            return Ok(Err(error_in(&bytes)));
        }
        let answer: Value =
            json::value(&bytes, json::Limits::BODY).map_err(|e| declined(format!("the provider's answer: {e}")))?;
        let token = answer.get("id_token").and_then(Value::as_str);
        token.map(|token| Ok(Secret::new(token))).ok_or_else(|| declined("the provider's answer has no `id_token`"))
    }

    async fn post(&self, url: Url, form: &[(&str, &str)]) -> Result<(u16, Vec<u8>), CallError> {
        let mut body = Url::parse("http://form/").expect("an address");
        body.query_pairs_mut().extend_pairs(form);
        let request = self
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body.query().unwrap_or_default().to_owned());
        answer(&self.issuer, request.send().await.map_err(|e| unreachable(&self.issuer, &e))?).await
    }
}

/// Whether the token answers this log-in. Whether it is true the node finds out.
fn signed_in(id_token: Secret, chance: &Chance, must: bool) -> Result<SignedIn, CallError> {
    let payload = id_token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|bytes| json::value(&bytes, json::Limits::BODY).ok());
    let claims = claims.ok_or_else(|| declined("the provider's ID token cannot be read"))?;
    match claims.get("nonce").map(Value::as_str) {
        Some(Some(nonce)) if nonce == s256(&chance.proof) => {
            Ok(SignedIn { id_token, proof: Some(chance.proof.clone()) })
        }
        // A device code's log-in has no nonce by itself.
        None if !must => Ok(SignedIn { id_token, proof: None }),
        _ => Err(declined("the provider's ID token is for another log-in than this one; begin again")),
    }
}

fn error_in(bytes: &[u8]) -> String {
    let answer: Option<Value> = serde_json::from_slice(bytes).ok();
    let error = answer.as_ref().and_then(|answer| answer["error"].as_str()).unwrap_or("it does not say why");
    error.chars().take(80).flat_map(char::escape_default).collect()
}

fn unreachable(issuer: &str, error: &reqwest::Error) -> CallError {
    match CallError::unreached(&format!("the provider {issuer}"), error) {
        CallError::Unreachable { address, reason } => declined(format!("{address} cannot be reached: {reason}")),
        untrusted => untrusted,
    }
}

async fn answer(issuer: &str, mut response: Response) -> Result<(u16, Vec<u8>), CallError> {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(issuer, &e))? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(declined(format!("the provider's answer has more than {MAX_ANSWER_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((status, bytes))
}

/// Where the browser comes back to: a port of loopback, for this log-in alone.
#[derive(Debug)]
pub struct Back {
    listener: TcpListener,
    /// The address that the provider is told.
    pub address: String,
}

impl Back {
    /// A port that is free.
    ///
    /// # Errors
    /// There is none.
    pub async fn listen() -> Result<Self, CallError> {
        let failed = |e: std::io::Error| declined(format!("nothing can listen on 127.0.0.1 here: {e}; try --device"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        // The address and not a name, which could lead elsewhere (RFC 8252, 8.3).
        let address = format!("http://{}/callback", listener.local_addr().map_err(failed)?);
        Ok(Self { listener, address })
    }

    /// What the browser says when it comes. What else comes is sent away.
    async fn comes(&self) -> Result<HashMap<String, String>, CallError> {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let hearing = tokio::time::timeout(Duration::from_secs(SAYS_WITHIN_S), hear(&stream));
            let Ok(Some(head)) = hearing.await else { continue };
            let target = head.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            match Url::parse(&self.address).and_then(|own| own.join(target)) {
                Ok(url) if url.path() == "/callback" && url.query().is_some() => {
                    let mut said = HashMap::new();
                    for (name, value) in url.query_pairs() {
                        // Said twice is not said.
                        if said.insert(name.into_owned(), value.into_owned()).is_some() {
                            return Err(declined("what came back from the browser says something twice; begin again"));
                        }
                    }
                    tell(&stream, "200 OK", DONE).await;
                    return Ok(said);
                }
                _ => tell(&stream, "404 Not Found", "Nothing is here.").await,
            }
        }
    }
}

/// The head of a request, if it is one.
async fn hear(stream: &TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        stream.readable().await.ok()?;
        match stream.try_read(&mut piece) {
            Ok(0) => return None,
            Ok(n) if head.len() + n <= MAX_HEAD_BYTES => head.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

async fn tell(stream: &TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    let mut rest = answer.as_bytes();
    while !rest.is_empty() && stream.writable().await.is_ok() {
        match stream.try_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
