//! The caller: a warrant, a request and a provider go in, and an answer comes out.
//!
//! ```text
//! let caller = Caller::new(clock, dice, Timeouts::default());
//! let answer = caller.chat(warrant, &action, &provider, &request, &secrets).await?;
//! for (model, breaker) in caller.breakers(now) { /* … */ }
//! ```
//!
//! Dropping a future or a stream leaves it open what was done, as `MODEL_CUT_OFF` does.
//!
//! Deliberately absent: a list of addresses that may be called. Providers come from the operator, each by its address.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use reqwest::{
    Client,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect, retry, tls,
};
use serde_json::{Map, Value, json};
use steward_clock::{Clock, Dice, Timestamp};
use steward_permit::{Action, Warrant};
use steward_seal::{Digest, secret::Secrets};
use tokio::time::Instant;

use crate::{
    answer::{self, Answer, WholeAnswer},
    anthropic,
    breaker::BreakerState,
    embed::EmbedRequest,
    error::ModelError,
    exchange::Exchange,
    openai,
    provider::{Provider, Timeouts, WireKind},
    request::{ChatRequest, invalid},
    stream::{ChatStream, Terms},
    turn::Breakers,
};

/// The actions that this crate carries out: an agent's, and a person's who wants to know whether a model answers.
const CALLS: [&str; 2] = ["model.call", "model.test"];

/// The most header lines of an answer. More, and it is none.
const MAX_HEADERS: usize = 100;

/// Tells the other side, should the same request reach it twice after all, that it is the same.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Calls models. One for each node.
pub struct Caller {
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    timeouts: Timeouts,
    breakers: Breakers,
    /// One that cannot do TLS: it needs no roots, which a machine may not have.
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("timeouts", &self.timeouts).field("breakers", &self.breakers).finish()
    }
}

impl Caller {
    /// A caller whose breakers are closed.
    pub fn new(clock: Arc<dyn Clock>, dice: Arc<dyn Dice>, timeouts: Timeouts) -> Self {
        let breakers = Breakers::default();
        Self { clock, dice, timeouts, breakers, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// Where the breakers of all models stand that were asked so far, by name.
    pub fn breakers(&self, now: Timestamp) -> Vec<(String, BreakerState)> {
        self.breakers.states(now)
    }

    /// Asks a model. `secrets`, and the provider's key, do not come back in what it says.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly `action`, and that is `model.call` with the digest of `request`;
    /// any other [`ModelError`].
    pub async fn chat(
        &self,
        warrant: Warrant,
        action: &Action,
        provider: &Provider,
        request: &ChatRequest,
        secrets: &Secrets,
    ) -> Result<Answer, ModelError> {
        check(&warrant, action, &request.digest())?;
        let (path, body) = match provider.wire {
            WireKind::OpenAi => ("chat/completions", openai::body(request, &provider.upstream)),
            WireKind::Anthropic => ("messages", anthropic::body(request, &provider.upstream)?),
        };
        let secrets = provider.secrets(secrets);
        let exchange = self.exchange(&warrant, provider, path, &body, request.wants_stream(), &secrets)?;
        let mut turn = self.breakers.turn(&provider.name, &self.clock)?;
        let created = self.clock.now().unix_ms() / 1_000;
        let outcome = async {
            let response = exchange.send(&*self.dice).await?;
            if request.wants_stream() {
                return Ok(Err(response));
            }
            let bytes = exchange.read_whole(response).await?;
            answer::chat(&bytes, provider, request, &secrets, created).map(Ok)
        }
        .await;
        match outcome {
            Ok(Ok(WholeAnswer { body, usage })) => {
                turn.ended(None);
                Ok(Answer::Whole { body, usage })
            }
            Ok(Err(response)) => {
                let (deadline, timeouts) = (exchange.deadline, self.timeouts);
                let terms = Terms { deadline, timeouts, created };
                ChatStream::new(response, provider, request, secrets.clone(), terms, turn)
                    .map(|stream| Answer::Stream(Box::new(stream)))
            }
            Err(error) => {
                turn.ended(Some(&error));
                Err(error)
            }
        }
    }

    /// Asks for vectors.
    ///
    /// # Errors
    /// As [`Caller::chat`]; `INVALID_REQUEST` of a provider that has none.
    pub async fn embed(
        &self,
        warrant: Warrant,
        action: &Action,
        provider: &Provider,
        request: &EmbedRequest,
        secrets: &Secrets,
    ) -> Result<WholeAnswer, ModelError> {
        check(&warrant, action, &request.digest())?;
        if provider.wire == WireKind::Anthropic {
            return Err(invalid("is for embeddings, which Anthropic does not have; ask a model of another provider"));
        }
        let mut body = request.body().clone();
        body.insert("model".to_owned(), json!(provider.upstream));
        let secrets = provider.secrets(secrets);
        let exchange = self.exchange(&warrant, provider, "embeddings", &body, false, &secrets)?;
        let mut turn = self.breakers.turn(&provider.name, &self.clock)?;
        let outcome = async {
            let response = exchange.send(&*self.dice).await?;
            let bytes = exchange.read_whole(response).await?;
            answer::embed(&bytes, provider, request, &secrets)
        }
        .await;
        turn.ended(outcome.as_ref().err());
        outcome
    }

    fn exchange<'a>(
        &self,
        warrant: &Warrant,
        provider: &'a Provider,
        path: &str,
        body: &Map<String, Value>,
        stream: bool,
        secrets: &'a Secrets,
    ) -> Result<Exchange<'a>, ModelError> {
        Ok(Exchange {
            client: self.client(provider)?,
            url: provider.at(path),
            headers: headers(warrant, provider, stream)?,
            body: serde_json::to_vec(body).map_err(|_| invalid("cannot be written as JSON; write it otherwise"))?,
            model: &provider.name,
            secrets,
            timeouts: self.timeouts,
            deadline: Instant::now() + self.timeouts.whole,
        })
    }

    fn client(&self, provider: &Provider) -> Result<Client, ModelError> {
        let is_plain = provider.base_url.starts_with("http://");
        let cell = if is_plain { &self.plain } else { &self.secure };
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        // If two build one at once, one of them is used once. What fails is tried again the next time.
        let client = self.build(is_plain).map_err(|_| ModelError::Unavailable {
            model: provider.name.clone(),
            why: "cannot be asked over TLS, for this node has no root certificates; its operator installs those of the system"
                .to_owned(),
        })?;
        Ok(cell.get_or_init(|| client).clone())
    }

    fn build(&self, is_plain: bool) -> reqwest::Result<Client> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .pool_max_idle_per_host(0)
            .connect_timeout(self.timeouts.connect)
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")));
        if is_plain {
            builder.tls_certs_only([]).build()
        } else {
            builder.https_only(true).tls_version_min(tls::Version::TLS_1_2).build()
        }
    }
}

fn check(warrant: &Warrant, action: &Action, arguments: &Digest) -> Result<(), ModelError> {
    if *warrant.digest() != action.digest() {
        return Err(ModelError::WarrantMismatch("the warrant is for another action"));
    }
    if !CALLS.contains(&action.name().as_str()) {
        return Err(ModelError::WarrantMismatch("the action is neither `model.call` nor `model.test`"));
    }
    if action.arguments() != Some(arguments) {
        return Err(ModelError::WarrantMismatch("the action is for another request"));
    }
    Ok(())
}

fn headers(warrant: &Warrant, provider: &Provider, stream: bool) -> Result<HeaderMap, ModelError> {
    let mut headers = HeaderMap::new();
    let fixed = HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, fixed("application/json"));
    headers.insert(ACCEPT, fixed(if stream { "text/event-stream" } else { "application/json" }));
    headers.insert(ACCEPT_ENCODING, fixed("identity"));
    let unusable = |what: &str| ModelError::Unavailable {
        model: provider.name.clone(),
        why: format!("cannot be asked, for {what} has characters that no header may have; its operator corrects it"),
    };
    let id = HeaderValue::from_str(warrant.action().as_str()).map_err(|_| unusable("the effect's id"))?;
    headers.insert(IDEMPOTENCY_KEY, id);
    if provider.wire == WireKind::Anthropic {
        headers.insert(anthropic::VERSION.0, fixed(anthropic::VERSION.1));
    }
    if let Some(key) = &provider.key {
        let (name, text) = match provider.wire {
            WireKind::OpenAi => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
            WireKind::Anthropic => (anthropic::KEY, key.reveal().to_owned()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| unusable("its key"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
