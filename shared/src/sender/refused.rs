//! Blocks of addresses, and those that are not the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub(super) address: IpAddr,
    pub(super) prefix: u32,
}

impl FromStr for Network {
    type Err = String;

    /// Reads `203.0.113.0/24`, or an address alone.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a network: write it like 203.0.113.0/24");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix <= most { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }
}

impl Network {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Why we do not call `address`, or `None` when it is public.
///
/// IPv4 addresses in IPv6 clothes (`::ffff:10.0.0.1`) are judged as IPv4. The text names the
/// range and its kind: `10.0.0.0/8 is private use`.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    REFUSED.iter().find(|range| range.network.contains(address)).map(|range| range.reason)
}

/// A block of addresses that we do not call.
struct Range {
    network: Network,
    reason: &'static str,
}

const fn v4(octets: [u8; 4], prefix: u32, reason: &'static str) -> Range {
    let [a, b, c, d] = octets;
    let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    Range { network: Network { address, prefix }, reason }
}

const fn v6(leading: [u16; 4], prefix: u32, reason: &'static str) -> Range {
    v6_host(leading, 0, prefix, reason)
}

const fn v6_host(leading: [u16; 4], last: u16, prefix: u32, reason: &'static str) -> Range {
    let [a, b, c, d] = leading;
    let address = IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, last));
    Range { network: Network { address, prefix }, reason }
}

/// Everything that is not the public internet. The first match gives the reason, so narrow
/// ranges come before those that hold them.
///
/// Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries, the IPv4 and IPv6
/// multicast registries, and the IANA IPv6 address space, in which only 2000::/3 is in use for
/// global unicast; and one public address that every virtual machine of a cloud reaches its host
/// by. RFC 6890 is older than many of these rows. `::ffff:0:0/96` is missing
/// because such addresses are judged as IPv4.
#[rustfmt::skip]
const REFUSED: &[Range] = &[
    v4([0, 0, 0, 0], 8, "0.0.0.0/8 is \"this network\""),
    v4([10, 0, 0, 0], 8, "10.0.0.0/8 is private use"),
    v4([100, 64, 0, 0], 10, "100.64.0.0/10 is shared address space of carriers"),
    v4([127, 0, 0, 0], 8, "127.0.0.0/8 is loopback"),
    v4([168, 63, 129, 16], 32, "168.63.129.16/32 is Azure's own services"),
    v4([169, 254, 0, 0], 16, "169.254.0.0/16 is link local"),
    v4([172, 16, 0, 0], 12, "172.16.0.0/12 is private use"),
    v4([192, 0, 0, 0], 24, "192.0.0.0/24 is for IETF protocols"),
    v4([192, 0, 2, 0], 24, "192.0.2.0/24 is documentation"),
    v4([192, 31, 196, 0], 24, "192.31.196.0/24 is AS112 service"),
    v4([192, 52, 193, 0], 24, "192.52.193.0/24 is multicast tunnelling (AMT)"),
    v4([192, 88, 99, 0], 24, "192.88.99.0/24 is the former 6to4 relay"),
    v4([192, 168, 0, 0], 16, "192.168.0.0/16 is private use"),
    v4([192, 175, 48, 0], 24, "192.175.48.0/24 is AS112 service"),
    v4([198, 18, 0, 0], 15, "198.18.0.0/15 is benchmarking"),
    v4([198, 51, 100, 0], 24, "198.51.100.0/24 is documentation"),
    v4([203, 0, 113, 0], 24, "203.0.113.0/24 is documentation"),
    v4([224, 0, 0, 0], 4, "224.0.0.0/4 is multicast"),
    v4([255, 255, 255, 255], 32, "255.255.255.255/32 is broadcast"),
    v4([240, 0, 0, 0], 4, "240.0.0.0/4 is reserved"),

    v6([0, 0, 0, 0], 128, "::/128 is the unspecified address"),
    v6_host([0, 0, 0, 0], 1, 128, "::1/128 is loopback"),
    v6([0, 0, 0, 0], 96, "::/96 is the former IPv4-compatible range"),
    v6([0x64, 0xff9b, 0, 0], 96, "64:ff9b::/96 is IPv4 translation (NAT64)"),
    v6([0x64, 0xff9b, 1, 0], 48, "64:ff9b:1::/48 is local IPv4 translation (NAT64)"),
    v6([0x100, 0, 0, 0], 64, "100::/64 is discard only"),
    v6([0x100, 0, 0, 1], 64, "100:0:0:1::/64 is a dummy prefix"),
    v6([0x2001, 0, 0, 0], 32, "2001::/32 is Teredo tunnelling"),
    v6_host([0x2001, 1, 0, 0], 1, 128, "2001:1::1/128 is port control anycast"),
    v6_host([0x2001, 1, 0, 0], 2, 128, "2001:1::2/128 is TURN anycast"),
    v6_host([0x2001, 1, 0, 0], 3, 128, "2001:1::3/128 is service registration anycast"),
    v6([0x2001, 2, 0, 0], 48, "2001:2::/48 is benchmarking"),
    v6([0x2001, 3, 0, 0], 32, "2001:3::/32 is multicast tunnelling (AMT)"),
    v6([0x2001, 4, 0x112, 0], 48, "2001:4:112::/48 is AS112 service"),
    v6([0x2001, 0x10, 0, 0], 28, "2001:10::/28 is the former ORCHID range"),
    v6([0x2001, 0x20, 0, 0], 28, "2001:20::/28 is host identities (ORCHIDv2)"),
    v6([0x2001, 0x30, 0, 0], 28, "2001:30::/28 is drone identities (DRIP)"),
    v6([0x2001, 0, 0, 0], 23, "2001::/23 is for IETF protocols"),
    v6([0x2001, 0xdb8, 0, 0], 32, "2001:db8::/32 is documentation"),
    v6([0x2002, 0, 0, 0], 16, "2002::/16 is 6to4 tunnelling"),
    v6([0x2620, 0x4f, 0x8000, 0], 48, "2620:4f:8000::/48 is AS112 service"),
    v6([0x3fff, 0, 0, 0], 20, "3fff::/20 is documentation"),
    v6([0x5f00, 0, 0, 0], 16, "5f00::/16 is segment routing"),
    v6([0xfc00, 0, 0, 0], 7, "fc00::/7 is unique local (private use)"),
    v6([0xfe80, 0, 0, 0], 10, "fe80::/10 is link local"),
    v6([0xfec0, 0, 0, 0], 10, "fec0::/10 is the former site local range"),
    v6([0xff00, 0, 0, 0], 8, "ff00::/8 is multicast"),
    v6([0, 0, 0, 0], 3, "::/3 is not global unicast"),
    v6([0x4000, 0, 0, 0], 2, "4000::/2 is not global unicast"),
    v6([0x8000, 0, 0, 0], 1, "8000::/1 is not global unicast"),
];
