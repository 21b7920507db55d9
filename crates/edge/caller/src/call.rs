//! One request and its answer, bounded.

use std::{error::Error as _, time::Duration};

use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response, Url,
    header::{AUTHORIZATION, HeaderValue},
    redirect::Policy,
};
use serde::{Serialize, de::DeserializeOwned};
use steward_wire::Problem;

use crate::{error::CallError, secret::Secret};

/// How long a connection may take: a node is near, usually on the same machine.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// The longest silence within an answer.
pub const READ_TIMEOUT_MS: u64 = 30_000;

/// The longest that a call may take, unless it is an export.
pub const TOTAL_TIMEOUT_MS: u64 = 60_000;

/// The most bytes of an answer that are read into memory: a thousand entries with large bodies.
pub const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// The most bytes of an answer that is no document which are read to say what it was.
const MAX_STRANGER_BYTES: usize = 64 << 10;

/// A caller of one node, with or without a key.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    base: Url,
    key: Option<Secret>,
}

impl Caller {
    /// A caller of the node at `base_url` (`http://127.0.0.1:7878`).
    ///
    /// # Errors
    /// [`CallError::Malformed`]: the address is not one of a node, or the key cannot stand in a header.
    pub fn new(base_url: &str, key: Option<Secret>) -> Result<Self, CallError> {
        Self::trusting(base_url, key, None)
    }

    /// The same. Of a node at an `https` address the certificate must be by one of `authorities` (PEM), or else by one that the system
    /// trusts.
    ///
    /// # Errors
    /// As [`Caller::new`]; or `authorities` are none.
    pub fn trusting(base_url: &str, key: Option<Secret>, authorities: Option<&[u8]>) -> Result<Self, CallError> {
        let wrong = || CallError::malformed(base_url, "the address of a node; one looks like `http://127.0.0.1:7878`");
        let base = Url::parse(base_url.trim()).map_err(|_| wrong())?;
        let is_secure = base.scheme() == "https";
        if !(is_secure || base.scheme() == "http") || !base.has_host() || base.path() != "/" || base.query().is_some() {
            return Err(wrong());
        }
        if let Some(key) = &key
            && bearer(key).is_none()
        {
            // Not shown: it was meant to be a secret.
            return Err(CallError::malformed("***", "a key; one is `stw_` and letters and digits"));
        }
        let builder = match authorities {
            Some(pem) => {
                let none = || CallError::malformed("the file", "a certificate of an authority, in PEM");
                let authorities = Certificate::from_pem_bundle(pem).map_err(|_| none())?;
                if authorities.is_empty() {
                    return Err(none());
                }
                Client::builder().tls_certs_only(authorities)
            }
            None if is_secure => Client::builder(),
            // It speaks plain HTTP: the system's roots are not read, and need not be there.
            None => Client::builder().tls_certs_only([]),
        };
        let client = builder
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .read_timeout(Duration::from_millis(READ_TIMEOUT_MS))
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| CallError::unreached(base_url, &e))?;
        Ok(Self { client, base, key })
    }

    /// Where the node is.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether there is a key to call with.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CallError> {
        self.read(self.request(Method::GET, path)?).await
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &(impl Serialize + Sync),
    ) -> Result<T, CallError> {
        self.read(self.request(Method::GET, path)?.query(query)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<T, CallError> {
        self.read(self.request(Method::POST, path)?.json(body)).await
    }

    pub(crate) async fn get_bytes(&self, path: &[&str]) -> Result<Vec<u8>, CallError> {
        let response = self.send(self.request(Method::GET, path)?.timeout(total())).await?;
        self.collect(response, MAX_RESPONSE_BYTES).await
    }

    pub(crate) async fn stream(&self, path: &[&str], query: &(impl Serialize + Sync)) -> Result<Export, CallError> {
        let response = self.send(self.request(Method::GET, path)?.query(query)).await?;
        Ok(Export { caller: self.clone(), response })
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, CallError> {
        let mut url = self.base.clone();
        {
            let mut segments = url.path_segments_mut().expect("an http address has a path");
            segments.clear();
            for segment in path {
                // The URL standard would take these away, and another route would answer.
                if segment.is_empty() || matches!(*segment, "." | "..") {
                    return Err(CallError::malformed(segment, "a name or an id"));
                }
                segments.push(segment);
            }
        }
        let request = self.client.request(method, url);
        Ok(match self.key.as_ref().and_then(bearer) {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        })
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let response = self.send(request.timeout(total())).await?;
        let bytes = self.collect(response, MAX_RESPONSE_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|e| CallError::Unreadable(e.to_string()))
    }

    /// Sends, and turns whatever is not a success into a refusal.
    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.collect(response, MAX_STRANGER_BYTES).await?;
        match serde_json::from_slice::<Problem>(&bytes) {
            // The status of the line is the one that was meant for machines; a body that says otherwise is not believed.
            Ok(problem) if problem.status == status.as_u16() => Err(CallError::Refused(Box::new(problem))),
            _ => Err(CallError::Unreadable(format!("HTTP status {} without a problem document", status.as_u16()))),
        }
    }

    async fn collect(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, CallError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if bytes.len() + chunk.len() > limit {
                return Err(CallError::Unreadable(format!("it has more than {limit} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CallError {
        CallError::unreached(self.address(), error)
    }
}

/// An answer that is read piece by piece, however long it is.
#[derive(Debug)]
pub struct Export {
    caller: Caller,
    response: Response,
}

impl Export {
    /// The next piece; nothing when it is complete.
    ///
    /// # Errors
    /// The answer broke off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        let chunk = self.response.chunk().await.map_err(|e| self.caller.unreachable(&e))?;
        Ok(chunk.map(|bytes| bytes.to_vec()))
    }
}

fn total() -> Duration {
    Duration::from_millis(TOTAL_TIMEOUT_MS)
}

fn bearer(key: &Secret) -> Option<HeaderValue> {
    if key.expose().is_empty() || !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a file holds certificates of authorities, in PEM, for [`Caller::trusting`] to trust.
pub fn are_authorities(pem: &[u8]) -> bool {
    Certificate::from_pem_bundle(pem).is_ok_and(|authorities| !authorities.is_empty())
}

/// The innermost cause, which is the one that says what happened.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}
