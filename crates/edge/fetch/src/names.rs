//! Where a name leads: resolved once, for the connection that is made then, and never inside a network.
//!
//! This is the resolver of the HTTP client itself, so that what was checked is what is connected to, and a name that changes
//! its mind between a check and its use (DNS rebinding) has no moment for it. Literal addresses do not come here: they are
//! in the operator's list as they are.
//!
//! Deliberately absent: a cache, and a resolver of our own (the system's is what the operator configured).

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The most addresses of one name that are tried.
pub const MAX_ADDRESSES: usize = 16;

/// Resolves names as the system does.
pub(crate) struct Names {
    /// Whether a name may lead there.
    pub(crate) may: fn(IpAddr) -> bool,
}

/// A name has an address to which none may lead. Not shown to whoever asked: it would tell them about the network.
#[derive(Debug, thiserror::Error)]
#[error("the name has the address {0}, which is inside a network")]
pub(crate) struct Inside(pub(crate) IpAddr);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let may = self.may;
        Box::pin(async move {
            // The port is put in by the client.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            checked(found, may)
        })
    }
}

/// All of them, if each may be led to: a name that is half inside is somebody's trick.
fn checked(found: Vec<SocketAddr>, may: fn(IpAddr) -> bool) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(inside) = found.iter().find(|address| !may(address.ip())) {
        return Err(Inside(inside.ip()).into());
    }
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
    }
    Ok(Box::new(found.into_iter().take(MAX_ADDRESSES)))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{Inside, MAX_ADDRESSES, checked};
    use crate::address::is_public;

    fn found(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|ip| SocketAddr::new(ip.parse::<IpAddr>().unwrap(), 0)).collect()
    }

    #[test]
    fn one_address_inside_is_enough() {
        for inside in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:93.184.215.14", "fd00::1"] {
            for addresses in [&[inside][..], &["93.184.215.14", inside], &[inside, "2606:4700::1111"]] {
                let refused = checked(found(addresses), is_public).err().expect(inside);
                assert_eq!(refused.downcast_ref::<Inside>().unwrap().0, inside.parse::<IpAddr>().unwrap());
                // The guard, and not something else, refused.
                assert_eq!(checked(found(addresses), |_| true).ok().unwrap().count(), addresses.len());
            }
        }
        assert_eq!(checked(found(&["93.184.215.14", "2606:4700::1111"]), is_public).ok().unwrap().count(), 2);
    }

    #[test]
    fn none_is_none_and_many_are_some() {
        assert!(checked(Vec::new(), is_public).is_err());
        let many = vec!["93.184.215.14"; 1_000];
        assert_eq!(checked(found(&many), is_public).ok().unwrap().count(), MAX_ADDRESSES);
        let mut last = many;
        last.push("127.0.0.1");
        assert!(checked(found(&last), is_public).is_err(), "all are looked at, also those that would not be tried");
    }
}
