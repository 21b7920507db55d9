//! Telling somebody over HTTP: one permitted POST to an address that the operator wrote into the configuration.
//!
//! ```text
//! let poster = Poster::new(false);
//! let letter = Letter { target, id, sent_at_s, signature, body };
//! // the action: on `letter.target.place()`, with `letter.digest()` as its arguments
//! poster.post(warrant, &action, letter).await?             // the status, whatever it is
//! let report = Report { target, headers, body };           // the same with headers that hold secrets
//! poster.report(warrant, &action, report).await?           // the status, and the beginning of what was answered
//! ```
//!
//! What holds for fetching holds here: one spelling, a name is resolved once and leads inside a network only if that was asked for, nothing is
//! followed, a thread of its own. There is no list of hosts, for no agent has a say in where it goes. The resource is the host alone: paths of
//! webhooks are often secrets.
//!
//! Deliberately absent: the answer's body to a letter, which is not read; and repeating, which is decided and recorded anew each time.

use std::time::Duration;

use reqwest::{
    Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING},
};
use steward_permit::{Action, ResourceKind, Warrant};
use steward_seal::{Digest, secret::Secret};

use crate::{
    alone::Places,
    client::{Clients, Terms},
    error::FetchError,
    fetcher::{no_answer, no_outcome},
    target::Target,
};

/// How long the whole may take. Whoever is told answers first and works then.
pub const POST_TIMEOUT_MS: u64 = 15_000;

/// The actions that carry a letter: the node tells, and a person tries whether it could.
const POSTS: [&str; 2] = ["hook.deliver", "hook.test"];

/// The actions that carry a report.
const REPORTS: [&str; 1] = ["trace.export"];

/// The most of an answer to a report that is read.
pub const MAX_REPORTED_BYTES: usize = 64 << 10;

/// How long an answer to a report is read, behind its status.
const REPORTED_WITHIN_MS: u64 = 2_000;

/// What is told, with what Standard Webhooks sends beside it.
#[derive(Debug, Clone)]
pub struct Letter {
    /// To whom.
    pub target: Target,
    /// `webhook-id`: the same, however often it is sent.
    pub id: String,
    /// `webhook-timestamp`: when it is sent, in seconds since 1970.
    pub sent_at_s: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// JSON.
    pub body: Vec<u8>,
}

impl Letter {
    /// What a permit is bound to: the whole address, the id and the body. When it is sent may differ.
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.target.as_str().as_bytes(), self.id.as_bytes(), &self.body].join(&b'\n'))
    }
}

/// What is reported, with headers of which each holds a secret.
#[derive(Debug, Clone)]
pub struct Report {
    /// To whom.
    pub target: Target,
    /// Names and values.
    pub headers: Vec<(String, Secret)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl Report {
    /// What a permit is bound to: the whole address, the names of the headers, and the body.
    pub fn digest(&self) -> Digest {
        let names = self.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",");
        Digest::of(&[self.target.as_str().as_bytes(), names.as_bytes(), &self.body].join(&b'\n'))
    }

    fn headers(&self) -> Result<HeaderMap, FetchError> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        for (name, secret) in &self.headers {
            let refused = |why| FetchError::url(self.target.place(), why);
            let name = check_header(name).map_err(|_| refused("has a header that cannot be sent; look at its name"))?;
            let value = HeaderValue::from_str(secret.reveal());
            let mut value =
                value.map_err(|_| refused("has a header whose secret cannot be sent; it is one line of text"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// Whether a header of this name may be configured: none that says what is sent how.
///
/// # Errors
/// What is wrong with it, for whoever wrote it.
pub fn check_header(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "has no name that HTTP knows as one")?;
    let is_ours = [CONTENT_TYPE, CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(&name)
        || ["connection", "upgrade", "te", "trailer", "expect", "content-encoding"].contains(&name.as_str());
    if is_ours { Err("says what is sent how, which the node says") } else { Ok(name) }
}

/// What was answered to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The status, whatever it is.
    pub status: u16,
    /// After how many seconds it may be tried again, if that was said.
    pub retry_after_s: Option<u64>,
    /// The beginning of the answer.
    pub body: Vec<u8>,
}

/// Posts letters and reports.
#[derive(Debug)]
pub struct Poster {
    clients: Clients,
    places: Places,
}

impl Poster {
    /// One that follows a name inside a network only if `inside`.
    pub fn new(inside: bool) -> Self {
        let may = if inside { |_| true } else { Terms::default().may };
        Self::on_terms(Terms { may, whole: Duration::from_millis(POST_TIMEOUT_MS), ..Terms::default() })
    }

    pub(crate) fn on_terms(terms: Terms) -> Self {
        Self { clients: Clients::on_terms(terms), places: Places::new() }
    }

    /// Posts a letter once. Gives the status of the answer.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly this; otherwise as [`crate::Fetcher::get`].
    pub async fn post(&self, warrant: Warrant, action: &Action, letter: Letter) -> Result<u16, FetchError> {
        is_for(&warrant, action, &POSTS, &letter.target, letter.digest())?;
        let Letter { target, id, sent_at_s, signature, body } = letter;
        let text = |text: String| HeaderValue::from_str(&text);
        let headers = [
            ("webhook-id", text(id)),
            ("webhook-timestamp", Ok(sent_at_s.into())),
            ("webhook-signature", text(signature)),
        ];
        let mut all = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        for (name, value) in headers {
            let value = value.map_err(|_| FetchError::url(target.place(), "cannot be told this; its id is no text"))?;
            all.insert(HeaderName::from_static(name), value);
        }
        self.send(target, all, body, |response| async move { Ok(response.status().as_u16()) }).await
    }

    /// Posts a report once. Gives what was answered.
    ///
    /// # Errors
    /// The same.
    pub async fn report(&self, warrant: Warrant, action: &Action, report: Report) -> Result<Reported, FetchError> {
        is_for(&warrant, action, &REPORTS, &report.target, report.digest())?;
        let headers = report.headers()?;
        let Report { target, body, .. } = report;
        self.send(target, headers, body, |response| async move { Ok(reported(response).await) }).await
    }

    async fn send<T: Send + 'static, F: Future<Output = Result<T, FetchError>> + Send + 'static>(
        &self,
        target: Target,
        headers: HeaderMap,
        body: Vec<u8>,
        read: impl FnOnce(Response) -> F + Send + 'static,
    ) -> Result<T, FetchError> {
        let request = self.clients.of(&target)?.post(target.url().clone()).headers(headers).body(body);
        let asked = target.clone();
        let work = async move {
            let response = request.send().await.map_err(|error| no_answer(&asked, error))?;
            read(response).await
        };
        match self.places.alone(self.clients.terms().whole, work).await {
            Ok(outcome) => outcome,
            Err(why) => Err(no_outcome(&target, why)),
        }
    }
}

/// That a warrant is for sending exactly this.
fn is_for(
    warrant: &Warrant,
    action: &Action,
    names: &[&str],
    target: &Target,
    digest: Digest,
) -> Result<(), FetchError> {
    if *warrant.digest() != action.digest() {
        return Err(FetchError::WarrantMismatch("the warrant is for another action"));
    }
    let resource = action.resource();
    let is_ours = names.contains(&action.name().as_str()) && resource.kind() == ResourceKind::Host;
    if !is_ours || resource.id() != target.place() || action.arguments() != Some(&digest) {
        return Err(FetchError::WarrantMismatch("the action is not to send this"));
    }
    Ok(())
}

async fn reported(mut response: Response) -> Reported {
    let status = response.status().as_u16();
    // In seconds: who names a date is asked again when it is our turn.
    let retry_after_s = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    // The status says whether it was taken: an answer that breaks off behind it, or drips, is read as far as it came.
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_REPORTED_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_REPORTED_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(REPORTED_WITHIN_MS), reading).await;
    Reported { status, retry_after_s, body }
}
