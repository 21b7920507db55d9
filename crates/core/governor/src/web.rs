//! Hosts and paths of the web, as patterns see them: `example.org/reports/a`.
//!
//! A path is brought into one spelling first (RFC 3986, 6.2.2), so that `/%61dmin` cannot slip past what is said of
//! `/admin`. What a client and we could read in two ways is no address at all.
//!
//! What begins with `http://` is plain HTTP, which a pattern allows only by beginning so itself; everything else is HTTPS.
//!
//! Deliberately absent: other schemes, users, and default ports. A port that is meant is written.

use std::fmt;

/// What plain HTTP begins with.
const PLAIN: &str = "http://";

/// The host part of a pattern.
#[derive(Clone)]
pub(crate) struct Host {
    is_plain_http: bool,
    name: HostName,
    port: Port,
}

#[derive(Clone)]
enum HostName {
    Any,
    /// `*.example.org`, kept as `.example.org`.
    Below(String),
    Is(String),
}

#[derive(Clone, PartialEq)]
enum Port {
    Unwritten,
    Any,
    Is(String),
}

/// What an action on the web is done to.
pub(crate) struct Address<'a> {
    is_plain_http: bool,
    host: &'a str,
    port: Option<&'a str>,
    path: String,
}

impl<'a> Address<'a> {
    /// Reads `host[:port][/path][?query]`; none if it could be read in two ways. The query is left out.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (is_plain_http, text) = scheme(text);
        let end = text.find(['?', '#']).unwrap_or(text.len());
        let (authority, path) = text[..end].split_once('/').unwrap_or((&text[..end], ""));
        let (host, port) = split_port(authority)?;
        let well = is_host(host) && port.is_none_or(is_port);
        let path = one_spelling(path)?;
        (well && is_plain(&path)).then_some(Self { is_plain_http, host, port, path })
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        segments(&self.path)
    }
}

impl Host {
    /// Splits the resource of a pattern into a host and a path in its one spelling.
    pub(crate) fn parse(text: &str) -> Result<(Self, String), &'static str> {
        if text.contains(['?', '#']) {
            return Err("a query cannot be limited, only a host and a path; write it without `?` and `#`");
        }
        let (is_plain_http, text) = scheme(text);
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        let wrong = "the first part is no host; write `example.org`, `*.example.org` or `*`, in lower case, with a port if one is meant";
        let (name, port) = split_port(authority).ok_or(wrong)?;
        let name = match name {
            "*" => HostName::Any,
            _ => match name.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') && is_host(&rest[1..]) => HostName::Below(rest.to_owned()),
                None if is_host(name) => HostName::Is(name.to_owned()),
                _ => return Err(wrong),
            },
        };
        let port = match port {
            None => Port::Unwritten,
            Some("*") => Port::Any,
            Some(port) if is_port(port) => Port::Is(port.to_owned()),
            Some(_) => return Err(wrong),
        };
        if path.to_ascii_lowercase().contains("%2a") {
            return Err("an encoded `*` cannot be told from a plain one; write it without");
        }
        let path =
            one_spelling(path).ok_or("the path has a `%` without two digits, or a backslash; write it without")?;
        if !is_plain(&path) {
            return Err("there are empty, `.` or `..` parts between slashes; write the path without");
        }
        Ok((Self { is_plain_http, name, port }, path))
    }

    pub(crate) fn matches(&self, address: &Address<'_>) -> bool {
        let name = match &self.name {
            HostName::Any => true,
            // No host begins with a dot, so that something stands before it.
            HostName::Below(rest) => address.host.ends_with(rest.as_str()),
            HostName::Is(name) => name == address.host,
        };
        name && self.is_plain_http == address.is_plain_http
            && match &self.port {
                Port::Unwritten => address.port.is_none(),
                Port::Any => true,
                Port::Is(port) => address.port == Some(port.as_str()),
            }
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        let name = match (&self.name, &other.name) {
            (HostName::Any, _) => true,
            (HostName::Below(ours), HostName::Below(theirs)) => theirs.ends_with(ours.as_str()),
            (HostName::Below(ours), HostName::Is(theirs)) => theirs.ends_with(ours.as_str()),
            (HostName::Is(ours), HostName::Is(theirs)) => ours == theirs,
            _ => false,
        };
        name && self.is_plain_http == other.is_plain_http && (self.port == Port::Any || self.port == other.port)
    }
}

/// Whether it is plain HTTP, and what comes after the scheme.
fn scheme(text: &str) -> (bool, &str) {
    text.strip_prefix(PLAIN).map_or((false, text), |rest| (true, rest))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_plain_http {
            f.write_str(PLAIN)?;
        }
        match &self.name {
            HostName::Any => f.write_str("*")?,
            HostName::Below(rest) => write!(f, "*{rest}")?,
            HostName::Is(name) => f.write_str(name)?,
        }
        match &self.port {
            Port::Unwritten => Ok(()),
            Port::Any => f.write_str(":*"),
            Port::Is(port) => write!(f, ":{port}"),
        }
    }
}

/// The segments of a path without its first slash. The root has none.
pub(crate) fn segments(path: &str) -> Vec<&str> {
    if path.is_empty() { Vec::new() } else { path.split('/').collect() }
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    // An address of IPv6 stands in brackets, because of its colons.
    let after = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    match authority[after..].find(':') {
        Some(colon) => Some((&authority[..after + colon], Some(&authority[after + colon + 1..]))),
        None => Some((authority, None)),
    }
}

fn is_host(name: &str) -> bool {
    if let Some(v6) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<core::net::Ipv6Addr>().is_ok_and(|read| read.to_string() == v6);
    }
    name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    })
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|read| read.to_string() == port)
}

/// Decodes what need not be encoded, encodes what must be, in capitals; none for half an encoding and for backslashes, which
/// some clients take for slashes.
fn one_spelling(path: &str) -> Option<String> {
    let is_free = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'/' => {
                out.push('/');
                continue;
            }
            b'\\' => return None,
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).expect("two digits are a byte")
            }
            plain => plain,
        };
        if is_free(byte) { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    Some(out)
}

/// Whether no part of a path in its one spelling is `.`, `..`, or (but after the last slash) empty. Some servers take an encoded slash for a slash.
fn is_plain(path: &str) -> bool {
    let dotted = path.split('/').flat_map(|part| part.split("%2F")).flat_map(|part| part.split("%5C"));
    let parts = segments(path);
    dotted.into_iter().all(|part| part != "." && part != "..")
        && parts.iter().enumerate().all(|(i, part)| !part.is_empty() || i + 1 == parts.len())
}
