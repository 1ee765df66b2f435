//! Networks, and values by the closest network around an address. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
};

/// `10.0.0.0/8`, `2001:db8::/32`, or an address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    family: Family,
    /// The address without what the mask leaves out, in the upper bits.
    bits: u128,
    /// Bits that count.
    length: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    V4,
    V6,
}

/// A network that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedNetwork {
    /// The network.
    pub network: Network,
    /// Whether its address has bits behind the mask.
    pub low_bits: LowBits,
}

/// Bits of a written address that its mask leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LowBits {
    /// All 0.
    Clear,
    /// Some are set, which means nothing.
    Meaningless,
}

impl Network {
    /// Every IPv4 address.
    pub const ALL_V4: Self = Self { family: Family::V4, bits: 0, length: 0 };
    /// Every IPv6 address.
    pub const ALL_V6: Self = Self { family: Family::V6, bits: 0, length: 0 };

    /// Reads `address[/bits]`.
    pub fn parse(text: &str) -> Option<ParsedNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let (family, bits) = split(address.parse().ok()?);
        let most = family.most_bits();
        let length = match length {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        let network = Self { family, bits: bits & mask(length), length };
        let low_bits = if network.bits == bits { LowBits::Clear } else { LowBits::Meaningless };
        (length <= most).then_some(ParsedNetwork { network, low_bits })
    }

    /// Says whether an address is in the network. One of IPv4 in the clothes of IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (family, bits) = split(unmapped(address));
        family == self.family && bits & mask(self.length) == self.bits
    }
}

impl Family {
    fn most_bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// Puts an address into the upper bits.
fn split(address: IpAddr) -> (Family, u128) {
    match address {
        IpAddr::V4(address) => (Family::V4, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (Family::V6, address.to_bits()),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

/// Returns the address that is meant by one like `::ffff:192.0.2.1`.
pub fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Values by network.
#[derive(Debug, Clone)]
pub struct NetworkTable<V> {
    v4: Lengths<V>,
    v6: Lengths<V>,
}

/// Values by the upper bits, the longest masks first: few lengths are in use, and each costs one look.
type Lengths<V> = BTreeMap<Reverse<u8>, HashMap<u128, V>>;

impl<V> Default for NetworkTable<V> {
    fn default() -> Self {
        Self { v4: Lengths::new(), v6: Lengths::new() }
    }
}

impl<V> NetworkTable<V> {
    /// Gives a network its value, and returns the one it had.
    pub fn insert(&mut self, network: Network, value: V) -> Option<V> {
        self.lengths(network.family).entry(Reverse(network.length)).or_default().insert(network.bits, value)
    }

    /// Takes a network out, and returns its value.
    pub fn remove(&mut self, network: Network) -> Option<V> {
        self.lengths(network.family).get_mut(&Reverse(network.length))?.remove(&network.bits)
    }

    /// Finds the value of the smallest network around an address.
    pub fn find(&self, address: IpAddr) -> Option<&V> {
        let (family, bits) = split(unmapped(address));
        let lengths = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        lengths.iter().find_map(|(Reverse(length), values)| values.get(&(bits & mask(*length))))
    }

    fn lengths(&mut self, family: Family) -> &mut Lengths<V> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Reads an address that may have a port, which is left out: `192.0.2.1:80`, `[::1]:80`.
pub fn address_of(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port.then(|| address.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?;
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') && address.contains('.') => {
            is_port(port).then(|| address.parse().ok())?
        }
        _ => text.parse().ok(),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read() {
        let cases = [
            ("10.0.0.0/8", Some(LowBits::Clear)),
            ("10.1.0.0/8", Some(LowBits::Meaningless)),
            ("192.0.2.1", Some(LowBits::Clear)),
            ("192.0.2.1/32", Some(LowBits::Clear)),
            ("192.0.2.1/0", Some(LowBits::Meaningless)),
            ("0.0.0.0/0", Some(LowBits::Clear)),
            ("2001:db8::/32", Some(LowBits::Clear)),
            ("::1/64", Some(LowBits::Meaningless)),
            ("::/0", Some(LowBits::Clear)),
            ("192.0.2.1/33", None),
            ("::1/129", None),
            ("192.0.2", None),
            ("192.0.2.1/", None),
            ("192.0.2.1/x", None),
            ("192.0.2.1/+8", None),
            ("192.0.2.1/255.0.0.0", None),
            ("unix:", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(Network::parse(text).map(|parsed| parsed.low_bits), wanted, "{text}");
        }
    }

    fn network(text: &str) -> Network {
        Network::parse(text).expect("it is a network").network
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("it is an address")
    }

    #[test]
    fn the_smallest_network_wins() {
        let mut table = NetworkTable::default();
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "2001:db8::1"] {
            assert_eq!(table.insert(network(text), text), None, "{text}");
        }
        let cases = [
            ("10.1.2.3", Some("10.1.2.3")),
            ("10.1.2.4", Some("10.1.0.0/16")),
            ("10.2.2.3", Some("10.0.0.0/8")),
            ("11.0.0.0", Some("0.0.0.0/0")),
            ("::ffff:10.1.2.3", Some("10.1.2.3")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("2001:db8:1::1", Some("2001:db8::/32")),
            ("::1", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(table.find(address(text)).copied(), wanted, "{text}");
        }
        assert_eq!(table.insert(network("10.9.0.0/8"), "again"), Some("10.0.0.0/8"));
        assert_eq!(table.remove(network("10.1.2.3")), Some("10.1.2.3"));
        assert_eq!(table.remove(network("10.1.2.3")), None);
        assert_eq!(table.find(address("10.1.2.3")).copied(), Some("10.1.0.0/16"));
    }

    #[test]
    fn networks_contain_addresses_of_their_family() {
        assert!(network("10.0.0.0/8").contains(address("::ffff:10.1.2.3")));
        assert!(network("0.0.0.0/0").contains(address("255.255.255.255")));
        assert!(!network("0.0.0.0/0").contains(address("::1")));
        assert!(!network("::/0").contains(address("10.0.0.1")));
    }

    #[test]
    fn ports_are_left_out() {
        let cases = [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("[::1]:80", Some("::1")),
            ("192.0.2.1:", None),
            ("192.0.2.1:0", None),
            ("192.0.2.1:x", None),
            ("[::1", None),
            ("[192.0.2.1]", None),
            ("host", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(address_of(text.as_bytes()), wanted.map(address), "{text}");
        }
    }
}
