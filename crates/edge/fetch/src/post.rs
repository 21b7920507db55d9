//! Telling somebody over HTTP: one permitted POST to an address that the operator wrote into the configuration.
//!
//! ```text
//! let poster = Poster::new(false);
//! let letter = Letter { target, id, sent_at_s, signature, body };
//! // the action: on `letter.target.place()`, with `letter.digest()` as its arguments
//! poster.post(warrant, &action, letter).await?             // the status, whatever it is
//! ```
//!
//! What holds for fetching holds here: one spelling, a name is resolved once and leads inside a network only if that was asked for, nothing is
//! followed, a thread of its own. There is no list of hosts, for no agent has a say in where it goes. The resource is the host alone: paths of
//! webhooks are often secrets.
//!
//! Deliberately absent: the answer's body, which is not read; and repeating, which is decided and recorded anew each time.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName};
use steward_permit::{Action, ResourceKind, Warrant};
use steward_seal::Digest;

use crate::{
    alone::Places,
    client::{Clients, Terms},
    error::FetchError,
    fetcher::{no_answer, no_outcome},
    target::Target,
};

/// How long the whole may take. Whoever is told answers first and works then.
pub const POST_TIMEOUT_MS: u64 = 15_000;

/// The actions that this module carries out: the node tells, and a person tries whether it could.
const POSTS: [&str; 2] = ["hook.deliver", "hook.test"];

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

/// Posts letters.
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

    /// Posts it once. Gives the status of the answer.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly this; otherwise as [`crate::Fetcher::get`].
    pub async fn post(&self, warrant: Warrant, action: &Action, letter: Letter) -> Result<u16, FetchError> {
        if *warrant.digest() != action.digest() {
            return Err(FetchError::WarrantMismatch("the warrant is for another action"));
        }
        let resource = action.resource();
        let is_ours = POSTS.contains(&action.name().as_str()) && resource.kind() == ResourceKind::Host;
        if !is_ours || resource.id() != letter.target.place() || action.arguments() != Some(&letter.digest()) {
            return Err(FetchError::WarrantMismatch("the action is not to send this letter"));
        }
        let Letter { target, id, sent_at_s, signature, body } = letter;
        let request = self
            .clients
            .of(&target)?
            .post(target.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HeaderName::from_static("webhook-id"), id)
            .header(HeaderName::from_static("webhook-timestamp"), sent_at_s)
            .header(HeaderName::from_static("webhook-signature"), signature)
            .body(body);
        let asked = target.clone();
        let work = async move {
            let response = request.send().await.map_err(|error| no_answer(&asked, error))?;
            Ok(response.status().as_u16())
        };
        match self.places.alone(self.clients.terms().whole, work).await {
            Ok(outcome) => outcome,
            Err(why) => Err(no_outcome(&target, why)),
        }
    }
}
