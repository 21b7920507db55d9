//! One request and its answer.
//!
//! Dropping the future of [`Fetcher::get`] leaves it open whether something was sent, as `OUTCOME_UNKNOWN` does.

use std::{error::Error as _, io};

use reqwest::{
    Response,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION},
};
use steward_permit::{Action, ResourceKind, Warrant};

use crate::{
    allow::AllowList,
    alone::{NoOutcome, Places},
    client::{Clients, Terms},
    error::FetchError,
    names::Inside,
    target::Target,
};

/// The most bytes of an answer that are kept. More than a megabyte no agent reads, and the node holds it in memory.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

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
    clients: Clients,
    places: Places,
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

impl Fetcher {
    /// One that fetches from whom `allow` lists, and from nobody else.
    pub fn new(allow: AllowList) -> Self {
        Self::on_terms(allow, Terms::default())
    }

    pub(crate) fn on_terms(allow: AllowList, terms: Terms) -> Self {
        Self { allow, clients: Clients::on_terms(terms), places: Places::new() }
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
        let client = self.clients.of(&target)?;
        let request = client
            .get(target.url().clone())
            .header(IDEMPOTENCY_KEY, warrant.action().as_str())
            .header(ACCEPT_ENCODING, "identity");
        let asked = target.clone();
        let work = async move {
            let response = request.send().await.map_err(|error| no_answer(&asked, error))?;
            read(&asked, response).await
        };
        match self.places.alone(self.clients.terms().whole, work).await {
            Ok(outcome) => outcome,
            Err(why) => Err(no_outcome(&target, why)),
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
pub(crate) fn no_outcome(target: &Target, why: NoOutcome) -> FetchError {
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
pub(crate) fn no_answer(target: &Target, error: reqwest::Error) -> FetchError {
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
