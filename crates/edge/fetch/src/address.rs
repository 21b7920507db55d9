//! Which addresses are somebody else's: reachable by anyone on the Internet, and by nothing but that.
//!
//! From IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890, as of 2025). Of IPv6 only what is
//! handed out (2000::/3) is looked at further; all else is refused: loopback, unspecified, mapped and translated IPv4,
//! unique-local, link-local, multicast and whatever comes to be defined.
//!
//! Deliberately absent: looking inside addresses that carry another one (6to4, Teredo, NAT64): they are refused whole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that a name must not lead to, each with the length of its prefix.
const INSIDE_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // behind a carrier's translation
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // what a large cloud serves its machines their secrets from
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, and the other clouds' metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // relays to 6to4, deprecated
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, and broadcast
];

/// The only part of IPv6 that is handed out.
const UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks of that part which a name must not lead to.
const INSIDE_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarks, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: carries an address of IPv4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether a name may lead there.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !INSIDE_V4.iter().any(|(net, len)| (v4.to_bits() ^ net.to_bits()) >> (32 - len) == 0),
        IpAddr::V6(v6) => {
            let within = |(net, len): &(Ipv6Addr, u32)| (v6.to_bits() ^ net.to_bits()) >> (128 - len) == 0;
            within(&UNICAST_V6) && !INSIDE_V6.iter().any(within)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::is_public;

    fn all(public: bool, addresses: &[&str]) {
        for address in addresses {
            let parsed: IpAddr = address.parse().expect(address);
            assert_eq!(is_public(parsed), public, "{address}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn the_first_and_last_of_each_network_are_inside() {
        all(
            false,
            &[
                "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255",
                "100.100.100.200", "127.0.0.0", "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0",
                "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192",
                "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.255", "192.168.0.0",
                "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0",
                "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255", "::", "::1",
                "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:93.184.215.14", "64:ff9b::7f00:1",
                "64:ff9b::5db8:d70e", "64:ff9b:1::1", "100::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::",
                "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:7f00:1::1",
                "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::",
                "5f00::1", "fc00::1", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1", "febf::1",
                "fec0::1", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ],
        );
    }

    #[test]
    #[rustfmt::skip]
    fn their_neighbours_are_not() {
        all(
            true,
            &[
                "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
                "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
                "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255",
                "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255",
                "203.0.114.0", "223.255.255.255", "93.184.215.14", "2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700::1111", "2a00:1450::1",
                "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::",
            ],
        );
    }
}
