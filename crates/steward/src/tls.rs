//! A certificate of one's own: TLS 1.3 on the node's own listener (SEC-3, SEC-7).
//!
//! The files are read when the node starts, and again when they change or on SIGHUP. What cannot be used is said (log, alert
//! `certificate-unreadable`) and changes nothing: the certificate before stays in use. Connections that are there keep theirs.
//!
//! Deliberately absent: older versions of TLS, certificates of clients (nodes among each other have a port of their own, later), and
//! asking anybody for a certificate: whoever does that writes the files.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::TLS13,
};
use steward_api::Certificate;
use steward_clock::Timestamp;
use tokio_rustls::TlsAcceptor;

/// The most bytes of either file: a chain of some dozen certificates.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a file was when it was read: another time or size, and it is read again.
type Seen = (Option<SystemTime>, u64, u64);

/// The certificate in use, and where it comes from.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    in_use: Mutex<(TlsAcceptor, [Seen; 2])>,
    told: Arc<Certificate>,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// What has to be mended.
    pub(crate) fn read(certificate: PathBuf, key: PathBuf) -> Result<Self> {
        let seen = [seen(&certificate), seen(&key)];
        let (config, not_after) = load(&certificate, &key)?;
        let in_use = Mutex::new((TlsAcceptor::from(config), seen));
        Ok(Self { certificate, key, in_use, told: Arc::new(Certificate::ending(not_after)) })
    }

    /// What is told of it.
    pub(crate) fn told(&self) -> Arc<Certificate> {
        Arc::clone(&self.told)
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.in_use.lock().expect("no holder of this lock panics").0.clone()
    }

    /// Reads the files again if they are others than before, or if somebody says so.
    pub(crate) fn look(&self, is_told: bool, now: Timestamp) {
        let seen = [seen(&self.certificate), seen(&self.key)];
        let mut in_use = self.in_use.lock().expect("no holder of this lock panics");
        if seen == in_use.1 && !is_told {
            return;
        }
        // Whatever comes of it, it is looked at once: who writes the two files one after the other is between them now.
        in_use.1 = seen;
        match load(&self.certificate, &self.key) {
            Ok((config, not_after)) => {
                in_use.0 = TlsAcceptor::from(config);
                self.told.replaced(not_after);
                tracing::info!(not_after = %not_after, "another certificate is in use");
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the certificate cannot be used; the one before still is"
                );
                self.told.not_replaced(format!("{error:#}"), now);
            }
        }
    }
}

fn seen(path: &Path) -> Seen {
    fs::metadata(path).map_or((None, 0, 0), |metadata| (metadata.modified().ok(), metadata.len(), metadata.ino()))
}

fn load(certificate: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Timestamp)> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&small(certificate)?)
        .collect::<Result<_, _>>()
        .with_context(|| format!("`tls.certificate`: `{}` is not PEM", certificate.display()))?;
    let Some(leaf) = chain.first() else {
        bail!("`tls.certificate`: there is no certificate in `{}`", certificate.display());
    };
    let not_after = not_after(leaf).with_context(|| {
        format!("`tls.certificate`: the first in `{}` is no X.509 certificate", certificate.display())
    })?;
    let mode = fs::metadata(key).with_context(|| format!("`tls.key`: `{}`", key.display()))?.mode();
    if mode & 0o077 != 0 {
        bail!("`tls.key`: `{0}` can be read by others; run `chmod 600 {0}`", key.display());
    }
    let private = PrivateKeyDer::from_pem_slice(&small(key)?)
        .with_context(|| format!("`tls.key`: there is no private key in `{}`", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .context("TLS 1.3")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .context("`[tls]`: certificate and key do not go together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), not_after))
}

fn small(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let file = fs::File::open(path).with_context(|| format!("`[tls]`: `{}`", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("`[tls]`: `{}`", path.display()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        bail!("`[tls]`: `{}` has more than {MAX_FILE_BYTES} bytes", path.display());
    }
    Ok(bytes)
}

/// When a certificate ends: the second time of its validity (RFC 5280, 4.1.2.5), found by walking its DER.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, signed, _) = element(certificate)?;
    let (tag, mut rest, _) = element(signed)?;
    if tag != SEQUENCE {
        return None;
    }
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (tag, validity, _) = element(rest)?;
    if tag != SEQUENCE {
        return None;
    }
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    moment(tag, std::str::from_utf8(time).ok()?)
}

/// The tag and content of the first element, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, behind) = rest.split_at_checked(count)?;
        len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(len)?;
    Some((tag, content, behind))
}

/// `261120090000Z` (UTCTime) or `20261120090000Z` (GeneralizedTime).
fn moment(tag: u8, text: &str) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    if !text.is_ascii() {
        return None;
    }
    let text = match tag {
        // Two digits are of this century until 49.
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let part = |from: usize| digits.get(from..from + 2);
    let written =
        format!("{}-{}-{}T{}:{}:{}.000Z", digits.get(..4)?, part(4)?, part(6)?, part(8)?, part(10)?, part(12)?);
    // Some never end, and say so by a year that no clock of ours knows.
    written.parse().ok().or_else(|| (digits.starts_with("9999")).then_some(Timestamp::from_unix_ms(i64::MAX / 2)))
}

#[cfg(test)]
mod tests {
    use super::{element, moment};

    #[test]
    fn times_of_certificates() {
        let time = |tag, text| moment(tag, text).map(|at| at.to_string());
        assert_eq!(time(0x17, "261120090001Z").as_deref(), Some("2026-11-20T09:00:01.000Z"));
        assert_eq!(time(0x17, "991231235959Z").as_deref(), Some("1999-12-31T23:59:59.000Z"));
        assert_eq!(time(0x18, "20510101000000Z").as_deref(), Some("2051-01-01T00:00:00.000Z"));
        for (tag, wrong) in
            [(0x17, "2611200900Z"), (0x17, "261120090001"), (0x18, "20261301000000Z"), (0x04, "261120090001Z")]
        {
            assert_eq!(time(tag, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn elements_do_not_reach_beyond_what_is_there() {
        assert_eq!(element(&[0x30, 2, 1, 2, 3]), Some((0x30, &[1, 2][..], &[3][..])));
        assert_eq!(element(&[0x30, 0x81, 1, 9]), Some((0x30, &[9][..], &[][..])));
        for wrong in [&[][..], &[0x30], &[0x30, 2, 1], &[0x30, 0x80], &[0x30, 0x85, 0, 0, 0, 0, 1, 1], &[0x30, 0x82, 1]]
        {
            assert_eq!(element(wrong), None, "{wrong:?}");
        }
    }
}
