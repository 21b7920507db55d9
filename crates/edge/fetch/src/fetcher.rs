//! One request and its answer.
//!
//! Dropping the future of [`Fetcher::get`] leaves it open whether something was sent, as `OUTCOME_UNKNOWN` does.

use std::{error::Error as _, io, net::IpAddr, sync::OnceLock, time::Duration};

use reqwest::{
    Certificate, Client, Response,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION},
    redirect, retry, tls,
};
use steward_permit::{Action, ResourceKind, Warrant};

use crate::{
    address::is_public,
    allow::AllowList,
    alone::{NoOutcome, Places},
    error::FetchError,
    names::{Inside, Names},
    target::{Scheme, Target},
};

/// How long it may take to find, reach and (for TLS) greet a host.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// How long the whole may take, from the first look-up to the last byte: an agent waits for it, in one of its steps.
pub const WHOLE_TIMEOUT_MS: u64 = 30_000;

/// The most bytes of an answer that are kept. More than a megabyte no agent reads, and the node holds it in memory.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most header lines of an answer. More, and it is none.
pub const MAX_HEADERS: usize = 100;

/// The longest location and content type that are handed on: as long as the longest resource that could be asked for next.
pub const MAX_HEADER_TEXT_BYTES: usize = steward_permit::MAX_RESOURCE_BYTES;

/// The action that this crate carries out.
const GET: &str = "http.get";

/// Tells the other side, should the same request reach it twice after all, that it is the same.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Fetches from whom the node allows.
#[derive(Debug)]
pub struct Fetcher {
    allow: AllowList,
    terms: Terms,
    places: Places,
    /// One that cannot do TLS: it needs no roots, which a machine may not have.
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

/// What the other side answered, whatever it was: also an error or a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// Where a redirect points, as it was sent: relative or not, plain ASCII, up to [`MAX_HEADER_TEXT_BYTES`].
    pub location: Option<String>,
    /// What the body is said to be; bounded in the same way.
    pub content_type: Option<String>,
    /// The body as it was sent, up to [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
    /// Whether there was more of it.
    pub truncated: bool,
}

/// What tests set otherwise, to see that it matters.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) may: fn(IpAddr) -> bool,
    pub(crate) connect: Duration,
    pub(crate) whole: Duration,
    pub(crate) more_roots: Vec<Certificate>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            may: is_public,
            connect: Duration::from_millis(CONNECT_TIMEOUT_MS),
            whole: Duration::from_millis(WHOLE_TIMEOUT_MS),
            more_roots: Vec::new(),
        }
    }
}

impl Fetcher {
    /// One that fetches from whom `allow` lists, and from nobody else.
    pub fn new(allow: AllowList) -> Self {
        Self::on_terms(allow, Terms::default())
    }

    pub(crate) fn on_terms(allow: AllowList, terms: Terms) -> Self {
        Self { allow, terms, places: Places::new(), plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// The list that it keeps to.
    pub fn allow_list(&self) -> &AllowList {
        &self.allow
    }

    /// Asks once, and reads the answer.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly `action`, and that is `http.get` on a host; `URL_REFUSED`,
    /// `HOST_NOT_ALLOWED`, `ADDRESS_REFUSED`, `FETCH_FAILED`: nothing was sent. `OUTCOME_UNKNOWN`: something may have been.
    pub async fn get(&self, warrant: Warrant, action: &Action) -> Result<Fetched, FetchError> {
        if *warrant.digest() != action.digest() {
            return Err(FetchError::WarrantMismatch("the warrant is for another action"));
        }
        if action.name().as_str() != GET || action.resource().kind() != ResourceKind::Host {
            return Err(FetchError::WarrantMismatch("the action is not `http.get` on a host"));
        }
        let target = Target::parse(action.resource().id())?;
        if !self.allow.allows(&target) {
            return Err(FetchError::HostNotAllowed { text: steward_naming::visible(target.as_str()) });
        }
        let client = self.client(&target)?;
        let request = client
            .get(target.url().clone())
            .header(IDEMPOTENCY_KEY, warrant.action().as_str())
            .header(ACCEPT_ENCODING, "identity");
        let asked = target.clone();
        let work = async move {
            let response = request.send().await.map_err(|error| no_answer(&asked, error))?;
            read(&asked, response).await
        };
        match self.places.alone(self.terms.whole, work).await {
            Ok(outcome) => outcome,
            Err(why) => Err(no_outcome(&target, why)),
        }
    }

    fn client(&self, target: &Target) -> Result<Client, FetchError> {
        let cell = match target.scheme() {
            Scheme::Http => &self.plain,
            Scheme::Https => &self.secure,
        };
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        // If two build one at once, one of them is used once. What fails is tried again the next time.
        let client = self.build(target.scheme()).map_err(|source| FetchError::Failed {
            host: target.host().to_owned(),
            why: "cannot be asked over TLS, for this node has no root certificates; its operator installs those of the system",
            source: source.into(),
        })?;
        Ok(cell.get_or_init(|| client).clone())
    }

    fn build(&self, scheme: Scheme) -> reqwest::Result<Client> {
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
            // Nothing is kept open: each request resolves its name, and none goes out on a connection that may be gone.
            .pool_max_idle_per_host(0)
            .dns_resolver(Names { may: self.terms.may })
            .connect_timeout(self.terms.connect)
            .timeout(self.terms.whole)
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")));
        match scheme {
            Scheme::Http => builder.tls_certs_only([]).build(),
            Scheme::Https => builder
                .https_only(true)
                .tls_version_min(tls::Version::TLS_1_2)
                .tls_certs_merge(self.terms.more_roots.iter().cloned())
                .build(),
        }
    }
}

async fn read(target: &Target, mut response: Response) -> Result<Fetched, FetchError> {
    let text = |name: HeaderName| {
        let value = response.headers().get(name)?.to_str().ok()?;
        (value.len() <= MAX_HEADER_TEXT_BYTES).then(|| value.to_owned())
    };
    let (location, content_type) = (text(LOCATION), text(CONTENT_TYPE));
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut truncated = false;
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(target, error))? {
        let room = MAX_BODY_BYTES - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            truncated = true;
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched { status, location, content_type, body, truncated })
}

/// What it means that the work has no outcome.
fn no_outcome(target: &Target, why: NoOutcome) -> FetchError {
    let host = target.host().to_owned();
    match why {
        NoOutcome::Busy | NoOutcome::NotBegun => FetchError::Busy(host),
        NoOutcome::TooLong => {
            FetchError::OutcomeUnknown { host, why: TOO_LATE, source: io::Error::from(io::ErrorKind::TimedOut).into() }
        }
        NoOutcome::Lost => {
            FetchError::OutcomeUnknown { host, why: "was asked, and the asking broke", source: "it panicked".into() }
        }
    }
}

const TOO_LATE: &str = "did not answer in time";

/// What it means that there is no whole answer.
fn no_answer(target: &Target, error: reqwest::Error) -> FetchError {
    let host = target.host().to_owned();
    if let Some(Inside(address)) = below(&error) {
        return FetchError::AddressRefused { host, address: *address };
    }
    let kind = below::<io::Error>(&error).map(innermost);
    let is_timeout = error.is_timeout() || kind == Some(io::ErrorKind::TimedOut);
    if error.is_builder() {
        return FetchError::url(target.as_str(), "cannot be sent as it is; ask for something simpler");
    }
    if error.is_connect() {
        let why = match kind {
            _ if is_timeout => "could not be reached in time",
            Some(io::ErrorKind::ConnectionRefused) => "refused the connection",
            Some(io::ErrorKind::InvalidData) => "did not prove over TLS who it is",
            _ => "could not be found or reached",
        };
        // The address, with its query, is the caller's business and not the log's.
        return FetchError::Failed { host, why, source: error.without_url().into() };
    }
    let why = if is_timeout { TOO_LATE } else { "did not give a whole answer" };
    FetchError::OutcomeUnknown { host, why, source: error.without_url().into() }
}

/// What it is at last: an error of input and output that wraps another is not among that one's sources.
fn innermost(error: &io::Error) -> io::ErrorKind {
    let mut error = error;
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        error = inner;
    }
    error.kind()
}

/// The first of its kind among what lies below.
fn below<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}
