//! One request and its answer's head: sent again only if the provider did nothing.
//!
//! ```text
//! let response = exchange.send().await?;      // a status of 2xx
//! let bytes = exchange.read_whole(response).await?;
//! ```
//!
//! Deliberately absent: connections that are kept open. A request on one that is just being closed would leave it open whether
//! it was read; a new one for each costs a tenth of a second of an answer that takes many.

use std::{future::Future, time::Duration};

use reqwest::{
    Client, Response,
    header::{HeaderMap, RETRY_AFTER},
};
use steward_clock::Dice;
use steward_seal::secret::Secrets;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    answer::MAX_ANSWER_BYTES,
    error::{ModelError, message_of},
    provider::Timeouts,
};

/// How often a request is sent at most: what three do not mend is down.
pub const MAX_ATTEMPTS: u32 = 3;

/// The wait before the second attempt at most, in milliseconds; doubled for each after.
pub const BACKOFF_BASE_MS: u64 = 250;

/// The wait before any attempt at most, in milliseconds: an agent waits meanwhile.
pub const BACKOFF_CAP_MS: u64 = 8_000;

/// The longest wait that a provider may ask for, in seconds: for more, the agent is told instead.
pub const MAX_RETRY_AFTER_S: u64 = 20;

/// The most bytes of an error's body that are read: what is shown of it are [`crate::MAX_MESSAGE_CHARS`].
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A request, and what it is sent with.
pub(crate) struct Exchange<'a> {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The name of the model, for errors.
    pub(crate) model: &'a str,
    pub(crate) secrets: &'a Secrets,
    pub(crate) timeouts: Timeouts,
    /// When all of it must be over.
    pub(crate) deadline: Instant,
}

/// Why an attempt gave no answer.
enum Failed {
    /// It did nothing: it may be sent again, after that many seconds if the provider says.
    Again(ModelError, Option<u64>),
    Final(ModelError),
}

impl Exchange<'_> {
    /// Sends it, at most [`MAX_ATTEMPTS`] times.
    pub(crate) async fn send(&self, dice: &dyn Dice) -> Result<Response, ModelError> {
        let mut attempt = 1;
        loop {
            let (error, after) = match self.once().await {
                Ok(response) => return Ok(response),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Again(error, after)) => (error, after),
            };
            let wait = after.map_or_else(|| backoff(attempt, dice), Duration::from_secs);
            if attempt == MAX_ATTEMPTS || Instant::now() + wait >= self.deadline {
                return Err(error);
            }
            sleep(wait).await;
            attempt += 1;
        }
    }

    async fn once(&self) -> Result<Response, Failed> {
        let request = self.client.post(&self.url).headers(self.headers.clone()).body(self.body.clone());
        let response = match self.within(self.timeouts.first_byte, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.unsent(&error)),
            Err(why) => return Err(Failed::Final(why)),
        };
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let model = || self.model.to_owned();
        let after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        Err(match status {
            300..400 => Failed::Final(self.unavailable("answers with a redirect, which is not followed".to_owned())),
            401..=403 => Failed::Final(ModelError::Refused { model: model() }),
            // They say that it was turned away before anything was done.
            429 | 503 | 529 => match after {
                Some(seconds) if seconds > MAX_RETRY_AFTER_S => {
                    Failed::Final(ModelError::RateLimited { model: model() })
                }
                _ if status == 429 => Failed::Again(ModelError::RateLimited { model: model() }, after),
                _ => Failed::Again(self.failing(status, response).await, after),
            },
            // Whoever stands between did not wait for the end: the model may have answered all the same.
            408 | 502 | 504 => {
                let why = format!("gave no answer (status {status}): {}", self.message(response).await);
                Failed::Final(ModelError::CutOff { model: model(), why })
            }
            400..500 => {
                let message = self.message(response).await;
                Failed::Final(ModelError::Rejected { model: model(), status, message })
            }
            _ => Failed::Final(self.failing(status, response).await),
        })
    }

    fn unsent(&self, error: &reqwest::Error) -> Failed {
        if error.is_builder() {
            return Failed::Final(self.unavailable("has an address that cannot be asked".to_owned()));
        }
        if error.is_connect() {
            return Failed::Again(self.unavailable("could not be found, reached or trusted".to_owned()), None);
        }
        let why = "went away before it answered".to_owned();
        Failed::Final(ModelError::CutOff { model: self.model.to_owned(), why })
    }

    fn unavailable(&self, why: String) -> ModelError {
        ModelError::Unavailable { model: self.model.to_owned(), why }
    }

    async fn failing(&self, status: u16, response: Response) -> ModelError {
        let message = self.message(response).await;
        self.unavailable(format!("answers with status {status}: {message}"))
    }

    /// What an error's body says; nothing, if it cannot be read.
    async fn message(&self, mut response: Response) -> String {
        let mut body = Vec::new();
        while let Ok(Ok(Some(chunk))) = self.within(self.timeouts.quiet, response.chunk()).await {
            let room = MAX_ERROR_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        message_of(&body, self.secrets)
    }

    /// Reads a whole answer.
    pub(crate) async fn read_whole(&self, mut response: Response) -> Result<Vec<u8>, ModelError> {
        let (mut body, mut patience) = (Vec::new(), self.timeouts.first_byte);
        loop {
            match self.within(patience, response.chunk()).await? {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => {
                    return Err(ModelError::TooMuch { model: self.model.to_owned(), what: "an answer of over 8 MiB" });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(_) => return Err(cut_off(self.model)),
            }
            patience = self.timeouts.quiet;
        }
    }

    async fn within<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Result<T, ModelError> {
        within(self.model, patience, self.deadline, work).await
    }
}

/// Waits for something so long, and not beyond the end of all.
pub(crate) async fn within<T>(
    model: &str,
    patience: Duration,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, ModelError> {
    let until = Instant::now() + patience;
    let (until, why) = if until < deadline {
        (until, "was silent for too long")
    } else {
        (deadline, "did not come to an end in time")
    };
    timeout_at(until, work).await.map_err(|_| ModelError::TimedOut { model: model.to_owned(), why })
}

/// That an answer broke off.
pub(crate) fn cut_off(model: &str) -> ModelError {
    ModelError::CutOff { model: model.to_owned(), why: "broke off in the middle of its answer".to_owned() }
}

/// Somewhere between nothing and twice as long as before ("full jitter"), so that those who failed together do not come back
/// together.
fn backoff(attempt: u32, dice: &dyn Dice) -> Duration {
    let most = BACKOFF_BASE_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(BACKOFF_CAP_MS);
    let mut bytes = [0; 8];
    dice.fill(&mut bytes);
    Duration::from_millis(u64::from_be_bytes(bytes) % (most + 1))
}

#[cfg(test)]
mod tests {
    use steward_clock::Dice;

    use super::backoff;

    struct Fixed(u64);

    impl Dice for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0.to_be_bytes());
        }
    }

    #[test]
    fn each_wait_may_be_twice_as_long_up_to_a_cap() {
        for (attempt, most) in [(1, 250), (2, 500), (3, 1_000), (6, 8_000), (60, 8_000)] {
            assert_eq!(backoff(attempt, &Fixed(most)).as_millis(), u128::from(most));
            assert_eq!(backoff(attempt, &Fixed(most + 1)).as_millis(), 0);
        }
    }
}
