//! The HTTP clients of this crate: nothing is followed, decoded, repeated or kept open, and a name is resolved for the connection itself.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use reqwest::{Certificate, Client, redirect, retry, tls};

use crate::{
    address::is_public,
    error::FetchError,
    names::Names,
    target::{Scheme, Target},
};

/// How long it may take to find, reach and (for TLS) greet a host.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// How long the whole may take, from the first look-up to the last byte: an agent waits for it, in one of its steps.
pub const WHOLE_TIMEOUT_MS: u64 = 30_000;

/// The most header lines of an answer. More, and it is none.
pub const MAX_HEADERS: usize = 100;

/// On what terms others are asked. Tests set them otherwise, to see that they matter.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Whether a name may lead there.
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

/// Made when they are first needed.
#[derive(Debug)]
pub(crate) struct Clients {
    terms: Terms,
    /// One that cannot do TLS: it needs no roots, which a machine may not have.
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl Clients {
    pub(crate) fn on_terms(terms: Terms) -> Self {
        Self { terms, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The one that speaks as the address says.
    pub(crate) fn of(&self, target: &Target) -> Result<Client, FetchError> {
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
