//! Asking an issuer for its keys: the one effect of this crate.

use std::{fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use reqwest::{Certificate, Client, Url, redirect::Policy, tls};
use serde_json::Value;
use steward_clock::Timestamp;
use steward_permit::{Action, Warrant};
use steward_seal::json::{self, Limits};
use tokio::sync::MutexGuard;

use crate::{
    issuer::{Source, TokenIssuer, is_near, is_safe},
    keys::{KeySet, MAX_KEY_SET_BYTES},
};

/// What asking is called in policies and on record.
pub const ACTION: &str = "issuer.ask";

/// The longest that an issuer may take for each of its two answers, in seconds: somebody waits for it.
const ANSWERS_WITHIN_S: u64 = 5;

/// The deepest that a discovery document nests.
const MAX_DEPTH: usize = 8;

/// The most bytes of a file of authorities.
const MAX_AUTHORITIES_BYTES: u64 = 4 << 20;

/// The turn to ask an issuer. Nobody else asks it meanwhile.
#[derive(Debug)]
pub struct Turn<'a> {
    issuer: &'a TokenIssuer,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(issuer: &'a TokenIssuer, turn: MutexGuard<'a, ()>) -> Self {
        Self { issuer, _turn: turn }
    }

    /// Asks, and remembers what was answered. What is remembered from before goes on for a time if nothing comes of it.
    ///
    /// # Errors
    /// Why nothing came of it, for the log. [`Turn::kept`] is what there is all the same.
    pub async fn ask(&self, warrant: Warrant, action: &Action, now: Timestamp) -> Result<Arc<KeySet>, String> {
        let own = self.issuer.action(action.namespace()).map_err(|e| e.to_string())?;
        if *warrant.digest() != own.digest() {
            return Err("the warrant is for something else".to_owned());
        }
        self.issuer.remembered().tried_at = Some(now);
        let bytes = match &self.issuer.source {
            Source::File(path) => read(path, MAX_KEY_SET_BYTES as u64)?,
            Source::Address(url) => get(&self.client(url)?, url).await?,
            Source::Discovery => {
                let url = self.discovered().await?;
                get(&self.client(&url)?, &url).await?
            }
        };
        let keys = KeySet::read(&bytes).map_err(|e| format!("its keys: {e}"))?;
        if keys.is_empty() {
            return Err("it has no key that this node can use".to_owned());
        }
        let keys = Arc::new(keys);
        self.issuer.remembered().keys = Some((Arc::clone(&keys), now));
        Ok(keys)
    }

    /// What is still used although the issuer cannot be reached.
    pub fn kept(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        self.issuer.remembered().kept(now).cloned()
    }

    /// Where the issuer says that its keys are (OpenID Connect Discovery, 4).
    async fn discovered(&self) -> Result<Url, String> {
        let text = format!("{}/.well-known/openid-configuration", self.issuer.url().trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|e| e.to_string())?;
        let bytes = get(&self.client(&url)?, &url).await?;
        let limits = Limits { bytes: MAX_KEY_SET_BYTES, depth: MAX_DEPTH };
        let document: Value = json::value(&bytes, limits).map_err(|e| format!("its discovery document: {e}"))?;
        if document.get("issuer").and_then(Value::as_str) != Some(self.issuer.url()) {
            return Err("its discovery document is another issuer's".to_owned());
        }
        let keys =
            document.get("jwks_uri").and_then(Value::as_str).ok_or("its discovery document has no `jwks_uri`")?;
        let keys = Url::parse(keys).map_err(|_| "its `jwks_uri` is no address")?;
        // One that is elsewhere does not send us to this machine.
        if !is_safe(&keys) || (is_near(&keys) && !is_near(&self.issuer.parsed)) {
            return Err("its `jwks_uri` is not at an https:// address".to_owned());
        }
        Ok(keys)
    }

    fn client(&self, url: &Url) -> Result<Client, String> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(ANSWERS_WITHIN_S))
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")));
        let builder = if is_near(url) {
            builder.tls_certs_only([])
        } else {
            let builder = builder.https_only(true).tls_version_min(tls::Version::TLS_1_2);
            match &self.issuer.ca {
                Some(file) => {
                    let pem = read(file, MAX_AUTHORITIES_BYTES)?;
                    let authorities = Certificate::from_pem_bundle(&pem).map_err(|e| format!("`ca`: {e}"))?;
                    builder.tls_certs_only(authorities)
                }
                None => builder,
            }
        };
        builder.build().map_err(|e| e.to_string())
    }
}

async fn get(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let failed = |e: reqwest::Error| {
        let mut cause: &dyn std::error::Error = &e;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        format!("{url}: {cause}")
    };
    let mut response = client.get(url.clone()).header("accept", "application/json").send().await.map_err(failed)?;
    if response.status().as_u16() / 100 != 2 {
        return Err(format!("{url}: it answers with status {}", response.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MAX_KEY_SET_BYTES {
            return Err(format!("{url}: it has more than {MAX_KEY_SET_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let failed = |e: std::io::Error| format!("`{}`: {e}", path.display());
    fs::File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(format!("`{}` has more than {most} bytes", path.display()));
    }
    Ok(bytes)
}
