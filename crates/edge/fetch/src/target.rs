//! What is to be fetched, in its one spelling: `example.org/docs/a`, or `http://127.0.0.1:8080/x`.
//!
//! ```
//! use steward_fetch::Target;
//! assert_eq!(Target::parse("example.org:8443/v1?page=2").expect("plain").port(), 8443);
//! assert!(Target::parse("https://example.org/").is_err(), "`https://` goes without saying");
//! assert!(Target::parse("0x7f.1/").is_err());
//! ```
//!
//! Nothing is normalised: two texts are two things to a policy, so one thing must not have two texts. What the URL standard
//! would write otherwise, what RFC 3986 (6.2.2) says is equivalent to something shorter, and what servers are known to read
//! in two ways is refused.
//!
//! Deliberately absent: whether it is allowed (`allow`), and where it leads (`names`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use steward_permit::MAX_RESOURCE_BYTES;

use crate::error::FetchError;

/// The longest name of a host in bytes (RFC 1035).
const MAX_NAME_BYTES: usize = 253;

/// The longest label of one.
const MAX_LABEL_BYTES: usize = 63;

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

/// Who is asked: a name that has to be resolved, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    text: String,
    scheme: Scheme,
    host: Host,
    port: u16,
    url: Url,
}

impl Target {
    /// Reads the resource of an action: a host, a port unless it is the usual one, a path and perhaps a query, for `https`;
    /// with `http://` before it, for that.
    ///
    /// # Errors
    /// `URL_REFUSED`, with what to write instead.
    pub fn parse(resource: &str) -> Result<Self, FetchError> {
        let refused = |why| FetchError::url(resource, why);
        if resource.len() > MAX_RESOURCE_BYTES {
            return Err(refused("is longer than 4096 bytes; ask for something shorter"));
        }
        if !resource.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refused(
                "has a space, a control character or one beyond ASCII; encode it (`%20`), and a host's name as `xn--…`",
            ));
        }
        if resource.contains('#') {
            return Err(refused("has a fragment, which is never sent; write the address without `#`"));
        }
        if resource.starts_with(Scheme::Https.prefix()) {
            return Err(refused("begins with `https://`, which goes without saying; write the address without"));
        }
        let (scheme, rest) = match resource.strip_prefix(Scheme::Http.prefix()) {
            Some(rest) => (Scheme::Http, rest),
            None => (Scheme::Https, resource),
        };
        let Some((authority, beyond)) = rest.split_once('/') else {
            return Err(refused("has no path; end the host with a slash, such as `example.org/`"));
        };
        let (host, port) = authority_of(authority, scheme).map_err(refused)?;
        let (path, query) = match beyond.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (beyond, None),
        };
        check_path(path).map_err(refused)?;
        query.map_or(Ok(()), check_query).map_err(refused)?;

        // What the other side of this reads, and what goes over the wire, is what is written here, or nothing is.
        let url = Url::parse(&format!("{}{rest}", scheme.prefix())).map_err(|_| refused(NOT_NORMAL))?;
        let same = url.as_str().strip_prefix(scheme.prefix()) == Some(rest);
        let same = same && url.port_or_known_default() == Some(port) && host.is(&url);
        if !same {
            return Err(refused(NOT_NORMAL));
        }
        Ok(Self { text: resource.to_owned(), scheme, host, port, url })
    }

    /// The text that it was read from, which is the only one for it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host as it is written: a name, an address of IPv4, or one of IPv6 in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().expect("an address of http has a host")
    }

    /// Who is asked, without what for: `example.org`, `http://127.0.0.1:8080`.
    pub fn place(&self) -> &str {
        let beyond = self.text.strip_prefix(Scheme::Http.prefix()).unwrap_or(&self.text);
        let path = beyond.find('/').map_or(0, |slash| beyond.len() - slash);
        &self.text[..self.text.len() - path]
    }

    /// The port, also where it is the usual one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, with its first slash.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn who(&self) -> &Host {
        &self.host
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

impl Host {
    /// Whether the URL standard reads the same host.
    fn is(&self, url: &Url) -> bool {
        match self {
            Self::Name(name) => url.domain() == Some(name),
            Self::Address(IpAddr::V4(v4)) => url.host_str() == Some(&v4.to_string()),
            Self::Address(IpAddr::V6(v6)) => {
                let inner = url.host_str().and_then(|host| host.strip_prefix('[')?.strip_suffix(']'));
                inner.and_then(|text| text.parse().ok()) == Some(*v6)
            }
        }
    }
}

const NOT_NORMAL: &str = "is not written as it would be sent; write it as a browser shows it, without `https://`";

/// Reads a host and its port.
pub(crate) fn authority_of(text: &str, scheme: Scheme) -> Result<(Host, u16), &'static str> {
    if text.contains('@') {
        return Err("has a user before the host; write it without, since no credentials are sent");
    }
    let (host, port) = split_port(text)?;
    let port = match port {
        None => scheme.port(),
        Some(digits) => match digits.parse::<u16>() {
            Ok(0) => return Err("has the port 0, which nobody listens on; write the one that is meant"),
            Ok(port) if port == scheme.port() => {
                return Err("has the usual port, which goes without saying; leave it out");
            }
            Ok(port) if port.to_string() == digits => port,
            _ => return Err("has something after a colon that is no port; write digits, such as `:8443`"),
        },
    };
    Ok((host_of(host)?, port))
}

/// Splits off a port, minding that the addresses of IPv6 have colons of their own.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let after = match text.find(']') {
        Some(bracket) if text.starts_with('[') => bracket + 1,
        _ => 0,
    };
    let (host, rest) = text.split_at(text[after..].find(':').map_or(text.len(), |colon| after + colon));
    Ok((host, rest.strip_prefix(':')))
}

fn host_of(text: &str) -> Result<Host, &'static str> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let v6: Ipv6Addr = inner.parse().map_err(|_| "has no address of IPv6 between its brackets; write one")?;
        return Ok(Host::Address(v6.into()));
    }
    // The standard library reads four decimal numbers without leading zeroes and nothing else.
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(v4.into()));
    }
    if is_name(text) { Ok(Host::Name(text.to_owned())) } else { Err(NO_NAME) }
}

const NO_NAME: &str = "has no plain host; write a name in small letters without a dot at its end, or a full address such as \
                       `192.0.2.1` or `[2001:db8::1]`";

/// Whether it is a name that nobody can take for an address: the last label begins with a letter.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let outer = |b: Option<u8>| b.is_some_and(|b| b != b'-');
        label.len() <= MAX_LABEL_BYTES
            && label.bytes().all(inner)
            && outer(label.bytes().next())
            && outer(label.bytes().last())
    };
    let last = text.rsplit('.').next();
    text.len() <= MAX_NAME_BYTES
        && text.split('.').all(label)
        && last.is_some_and(|last| last.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Checks a path without its first slash.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    let plain = |b: u8| is_unreserved(b) || b"!$&'()*+,;=:@/".contains(&b);
    check_encoding(path, plain, |byte| !matches!(byte, b'/' | b'\\' | b'%'))?;
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err("has an empty part between slashes; write single ones");
        }
        // Some servers take what follows a semicolon away, and look at the dots after that.
        let before = segment.split(';').next().and_then(|text| text.split("%3B").next());
        if matches!(before, Some("." | "..")) {
            return Err("has `.` or `..` as a part; write the path that is meant, without them");
        }
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), &'static str> {
    let plain = |b: u8| is_unreserved(b) || b"!$&()*+,;=:@/?".contains(&b);
    check_encoding(query, plain, |_| true)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether everything is either plain or encoded in the one way, and what is encoded had to be and may be.
fn check_encoding(text: &str, plain: impl Fn(u8) -> bool, encoded: impl Fn(u8) -> bool) -> Result<(), &'static str> {
    let digit = |b: Option<u8>| b.and_then(|b| b"0123456789ABCDEF".iter().position(|d| *d == b));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !plain(byte) {
                return Err("has a character that must be encoded where it stands, as `%` and two digits");
            }
            continue;
        }
        let byte = match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => u8::try_from(high << 4 | low).expect("two digits are a byte"),
            _ => return Err("has a `%` without two digits or capital letters after it, such as `%C3`"),
        };
        if byte.is_ascii_control() {
            return Err("has an encoded control character; write it without");
        }
        if is_unreserved(byte) {
            return Err("has something encoded that need not be, such as a letter or a dot; write it plainly");
        }
        if !encoded(byte) {
            return Err("has an encoded `/`, `\\` or `%`, which servers read in two ways; it cannot be asked for");
        }
    }
    Ok(())
}
