//! How a node is operated: who may ask how often, whose word counts about where a request comes from, what alerts look for. What
//! steward.toml says of that, read.

use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::http::{HeaderMap, HeaderName};
use steward_clock::Timestamp;
use steward_logs::Logs;
use steward_state::Rate;

/// Where a proxy says for whom it asks.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most addresses that are read of that, from the nearest on.
const MAX_FORWARDS: usize = 16;

/// How a node is operated.
#[derive(Clone, Default)]
pub struct Operations {
    /// Whether `GET /metrics` answers without a key to who asks from the same machine.
    pub metrics_without_key: bool,
    /// How often who may ask.
    pub limits: Limits,
    /// The proxies whose word about where a request comes from is believed.
    pub proxies: Vec<Network>,
    /// What alerts look for.
    pub alerts: AlertRules,
    /// The log lines in files, if there are any.
    pub logs: Option<Logs>,
    /// The node's certificate, if it speaks TLS itself.
    pub certificate: Option<Arc<Certificate>>,
}

/// How often who may ask. What is not there is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Whoever comes with one key.
    pub key: Option<Rate>,
    /// Whoever comes from one address.
    pub address: Option<Rate>,
    /// Whoever comes from one address with no key that is good.
    pub stranger: Option<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key: Some(Rate { per_s: 1_000, burst: 2_000 }),
            address: Some(Rate { per_s: 2_000, burst: 4_000 }),
            stranger: Some(Rate { per_s: 5, burst: 50 }),
        }
    }
}

/// What takes leave away has places of its own, and this rate for each key: enough for people in a hurry.
pub(crate) const TAKING_AWAY: Rate = Rate { per_s: 5, burst: 30 };

/// What alerts look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertRules {
    /// Fewer free bytes than this on the home's disk.
    pub disk_free_bytes: u64,
    /// The most that the store may grow to, in bytes, if it is limited.
    pub max_store_bytes: Option<u64>,
    /// More recorded refusals than this in an hour.
    pub denials_per_hour: u32,
    /// A run that is longer than this in one phase, in minutes.
    pub run_stuck_minutes: u32,
    /// An effect that is longer than this on its way, in minutes.
    pub effect_stuck_minutes: u32,
    /// Fewer days than this until the certificate ends.
    pub certificate_days: u32,
    /// The background did nothing for longer than this, in seconds.
    pub background_silent_s: u32,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            disk_free_bytes: 1 << 30,
            max_store_bytes: None,
            denials_per_hour: 500,
            run_stuck_minutes: 120,
            effect_stuck_minutes: 15,
            certificate_days: 21,
            background_silent_s: 60,
        }
    }
}

/// A certificate that is in use: until when, and whether the one on the disk could be read.
#[derive(Debug, Default)]
pub struct Certificate {
    not_after_ms: AtomicI64,
    mistake: Mutex<Option<(String, Timestamp)>>,
}

impl Certificate {
    /// One that ends then.
    pub fn ending(not_after: Timestamp) -> Self {
        Self { not_after_ms: AtomicI64::new(not_after.unix_ms()), mistake: Mutex::default() }
    }

    /// Another is in use now.
    pub fn replaced(&self, not_after: Timestamp) {
        self.not_after_ms.store(not_after.unix_ms(), Ordering::Relaxed);
        *self.mistake.lock().expect("no holder of this lock panics") = None;
    }

    /// The one on the disk cannot be used; the one before still is.
    pub fn not_replaced(&self, why: String, now: Timestamp) {
        let mut mistake = self.mistake.lock().expect("no holder of this lock panics");
        let since = mistake.as_ref().map_or(now, |(_, since)| *since);
        *mistake = Some((why, since));
    }

    /// When it ends.
    pub fn not_after(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.not_after_ms.load(Ordering::Relaxed))
    }

    /// Why the one on the disk is not in use, and since when.
    pub fn mistake(&self) -> Option<(String, Timestamp)> {
        self.mistake.lock().expect("no holder of this lock panics").clone()
    }
}

/// Where a connection comes from: whoever serves puts it into each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Addresses that begin alike: `10.0.0.0/8`, `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a network; one looks like `10.0.0.1` or `10.0.0.0/8`")]
pub struct NoNetwork(String);

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let wrong = || NoNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether an address is one of these.
    pub fn has(&self, address: IpAddr) -> bool {
        let (own, other, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u128::from(own.to_bits()), u128::from(other.to_bits()), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let rest = width - u32::from(self.bits);
        own.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
    }
}

/// Who asks: the address of the connection, or what a proxy that is believed says. Read from the nearest on, the first that is no
/// proxy of ours is it: what stands before that, the caller may have made up.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.has(address));
    let mut nearest = peer.to_canonical();
    if !is_proxy(nearest) {
        return nearest;
    }
    let said: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let said = said.join(",");
    for text in said.rsplit(',').take(MAX_FORWARDS) {
        // What is no address is nobody's: the last that is one is held to it.
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !is_proxy(nearest) {
            break;
        }
    }
    nearest
}

/// What is counted together as one caller: an address, and of IPv6 the network that one household or machine is given.
pub(crate) fn counted_as(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
    }
}

/// Whether a request says that a proxy passed it on.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR) || headers.contains_key(axum::http::header::FORWARDED)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{Network, client};

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    #[test]
    fn networks_have_addresses() {
        for (network, address, has) in [
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "2001:db8::1", true),
            ("::1", "::1", true),
            ("::1", "::2", false),
        ] {
            assert_eq!(
                network.parse::<Network>().expect("a network").has(address.parse().unwrap()),
                has,
                "{network} {address}"
            );
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x", "10.0.0/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_proxies_of_ours_are_believed() {
        let ours = networks(&["10.0.0.1", "10.0.0.2"]);
        for (peer, said, from) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["nonsense"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            assert_eq!(
                client(peer.parse().unwrap(), &headers, &ours),
                from.parse::<std::net::IpAddr>().unwrap(),
                "{peer} {said:?}"
            );
        }
    }
}
