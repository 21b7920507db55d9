//! A server of MCP over HTTP (Streamable HTTP), and what it means when that fails.
//!
//! ```text
//! let address = Address::parse(url)?;
//! let transport = transport(&address, headers(&headers)?)?;     // then it is rmcp's
//! ```
//!
//! Nothing is followed and nobody is asked on the way. Plain HTTP is spoken where the address says `http://`: whoever wrote that
//! knows what stands between. TLS is as in `fetch`: rustls with aws-lc-rs, 1.2 or newer, with the system's roots.
//!
//! Deliberately absent: an address that is guessed from a name, and user and password in it, which would be in every log.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use reqwest::{
    Client, Url,
    header::{HeaderName, HeaderValue},
    redirect, retry, tls,
};
use rmcp::transport::{
    StreamableHttpClientTransport,
    common::client_side_sse::NeverRetry,
    streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
};
use steward_naming::visible;
use steward_seal::secret::{Secret, Secrets};

use crate::{
    error::{Failure, Kind},
    lines::MAX_LINE_BYTES,
};

/// How long it may take to find, reach and (for TLS) greet a server.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// The most header lines of an answer, as in `fetch`. More, and it is none.
const MAX_HEADERS: usize = 100;

/// The most of an error's page that is read; three hundred characters of it are shown.
const MAX_ERROR_PAGE_BYTES: usize = 4 * 1024;

/// The most requests to one server at once: what all agents of a node may have under way, and lists and cancellations beside. A call
/// takes one for as long as the tool works; when there is none left, everybody else waits.
const MAX_REQUESTS: usize = 1024;

/// What the protocol itself writes, and nobody else.
const RESERVED: [&str; 5] = ["accept", "content-type", "host", "mcp-session-id", "last-event-id"];

/// Where a server is.
#[derive(Debug)]
pub(crate) struct Address(Url);

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            let text = visible(text);
            Failure::unsent(Kind::Unavailable, format!("has the address `{text}`, which {what}"))
        };
        let url = Url::parse(text).map_err(|_| wrong("is no URL: write one such as `https://example.org/mcp`"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("is none of HTTP: write one such as `https://example.org/mcp`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // Not shown: it holds a password.
            let why = "has an address with a user in it: write that into a header";
            return Err(Failure::unsent(Kind::Unavailable, why));
        }
        if url.fragment().is_some() {
            return Err(wrong("holds a `#`: leave it and what follows out"));
        }
        Ok(Self(url))
    }
}

/// The headers for each request, and the secrets in them: each whole, and what follows its first word (`Bearer …`).
pub(crate) fn headers(given: Vec<(String, Secret)>) -> Result<(HashMap<HeaderName, HeaderValue>, Secrets), Failure> {
    let mut headers = HashMap::new();
    let mut secrets = Vec::new();
    for (name, secret) in given {
        let wrong = |what: &str| {
            let name = visible(&name);
            Failure::unsent(Kind::Unavailable, format!("is to be sent the header `{name}`, which {what}"))
        };
        let parsed = HeaderName::try_from(&name).map_err(|_| wrong("is no name of a header"))?;
        if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
            return Err(wrong("the protocol writes itself: leave it out"));
        }
        let mut value =
            HeaderValue::from_str(secret.reveal()).map_err(|_| wrong("has a value that no header can have"))?;
        value.set_sensitive(true);
        if headers.insert(parsed, value).is_some() {
            return Err(wrong("is given twice"));
        }
        secrets.push(secret);
    }
    Ok((headers, secrets_of(secrets)))
}

/// What a server that was given these may not say: each whole, and what follows its first word (`Bearer …`).
pub fn secrets_of(given: impl IntoIterator<Item = Secret>) -> Secrets {
    let parts = |secret: Secret| {
        let token = secret.reveal().split_once(' ').map(|(_, token)| Secret::new(token));
        token.into_iter().chain([secret])
    };
    Secrets::of(given.into_iter().flat_map(parts))
}

/// The connection, of which nothing is made yet.
pub(crate) fn transport(
    address: &Address,
    headers: HashMap<HeaderName, HeaderValue>,
) -> Result<StreamableHttpClientTransport<Client>, Failure> {
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
        // None goes out on a connection that may be gone: whether a call was made would not be known.
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
        .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")));
    let client = match address.0.scheme() {
        // One that cannot do TLS: it needs no roots, which a machine may not have.
        "http" => builder.tls_certs_only([]).build(),
        _ => builder.https_only(true).tls_version_min(tls::Version::TLS_1_2).build(),
    };
    let client = client.map_err(|_| {
        let why =
            "cannot be asked over TLS, for this node has no root certificates: its operator installs the system's";
        Failure::unsent(Kind::Unavailable, why)
    })?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(address.0.as_str())
        .custom_headers(headers)
        .max_concurrent_requests(MAX_REQUESTS)
        .max_sse_event_size(MAX_LINE_BYTES)
        .max_json_response_size(MAX_LINE_BYTES)
        .max_error_response_size(MAX_ERROR_PAGE_BYTES)
        // It would make the call again.
        .reinit_on_expired_session(false);
    config.retry_config = Arc::new(NeverRetry::default());
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// What it means that sending failed. Anything but HTTP is a process that reads no more.
pub(crate) fn failure(error: &(dyn Error + 'static)) -> Failure {
    let Some(error) = below::<StreamableHttpError<reqwest::Error>>(error) else {
        return Failure::unsent(Kind::Unavailable, "reads no more");
    };
    match error {
        StreamableHttpError::Client(error) if error.is_builder() || error.is_connect() => {
            Failure::unsent(Kind::Unavailable, "could not be reached")
        }
        StreamableHttpError::HttpStatus(status) => {
            Failure::new(Kind::Unavailable, format!("answered with HTTP {}", status.status))
        }
        StreamableHttpError::SessionExpired => Failure::unsent(Kind::Unavailable, "has forgotten the session"),
        StreamableHttpError::AuthRequired(_) => {
            Failure::unsent(Kind::Protocol, "answered with HTTP 401: its operator adds a header that it accepts")
        }
        StreamableHttpError::InsufficientScope(_) => {
            Failure::unsent(Kind::Protocol, "answered with HTTP 403: its operator adds a header that it accepts")
        }
        // Four hundred and so on: it did not do it.
        StreamableHttpError::UnexpectedServerResponse(said) if said.starts_with("HTTP 4") => {
            Failure::unsent(Kind::Protocol, format!("answered with {said}"))
        }
        StreamableHttpError::UnexpectedServerResponse(said) if said.starts_with("HTTP ") => {
            Failure::new(Kind::Protocol, format!("answered with {said}"))
        }
        StreamableHttpError::ResponseBodyTooLarge { .. } => Failure::new(Kind::Garbage, "sent more than 4 MiB"),
        StreamableHttpError::UnexpectedServerResponse(_)
        | StreamableHttpError::UnexpectedContentType(_)
        | StreamableHttpError::Deserialize(_)
        | StreamableHttpError::Sse(_)
        | StreamableHttpError::MissingSessionIdInResponse => Failure::new(Kind::Garbage, "sent what is not MCP"),
        _ => Failure::new(Kind::Unavailable, "gave no whole answer"),
    }
}

/// The error itself, or the first of its kind among what lies below.
fn below<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use steward_seal::secret::Secret;

    use super::{Address, headers};

    #[test]
    fn addresses_are_of_http_and_hold_no_secrets() {
        for text in ["https://example.org/mcp", "http://127.0.0.1:8000/mcp?a=1", "http://example.org"] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
        for (text, message) in [
            ("", "is no URL"),
            ("example.org/mcp", "is no URL"),
            ("file:///etc/passwd", "is none of HTTP"),
            ("ws://example.org", "is none of HTTP"),
            ("https://example.org/#a", "holds a `#`"),
            ("https://me:sesame@example.org/", "with a user in it"),
        ] {
            let why = Address::parse(text).unwrap_err().why;
            assert!(why.contains(message) && !why.contains("sesame"), "{text}: {why}");
        }
    }

    #[test]
    fn headers_are_taken_as_they_are_or_refused() {
        let given = |pairs: &[(&str, &str)]| {
            headers(pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(value))).collect())
        };
        let (headers, secrets) = given(&[("Authorization", "Bearer sk-1234567890"), ("x-a", "b")]).unwrap();
        assert_eq!(headers.len(), 2);
        assert!(!format!("{headers:?}").contains("sk-"));
        assert_eq!(secrets.scrub("sk-1234567890"), "[secret]");
        for (pairs, message) in [
            (&[("a b", "c")][..], "is no name"),
            (&[("Host", "c")], "the protocol writes itself"),
            (&[("Mcp-Method", "c")], "the protocol writes itself"),
            (&[("a", "b\nc")], "no header can have"),
            (&[("a", "b"), ("A", "c")], "is given twice"),
        ] {
            assert!(given(pairs).unwrap_err().why.contains(message), "{pairs:?}");
        }
    }
}
