//! Which address of X-Forwarded-For counts, where the peer is a proxy that is believed. Pure.

use std::net::IpAddr;

use config::{ForwardedTrust, Network, address_of};

/// How far a field could be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// Not at all: it was not a trusted proxy that added to it, or what it added is no address.
    None,
    /// Up to an address that is not a trusted proxy's, or to nonsense.
    Part,
    /// As far as it was looked at, and what stands before it may count too.
    All,
}

/// Returns the address that is meant, given that of the peer and the fields X-Forwarded-For in order.
///
/// As nginx: a proxy that is believed has appended the address it was asked from, so the list is read from its end,
/// to the first address that is not such a proxy's.
pub fn forwarded<'a>(
    peer: IpAddr,
    fields: impl Iterator<Item = &'a [u8]>,
    proxies: &[Network],
    trust: ForwardedTrust,
) -> IpAddr {
    let mut address = peer;
    let fields: Vec<&[u8]> = fields.collect();
    for field in fields.into_iter().rev() {
        let belief = believe(&mut address, field, proxies, trust);
        if belief != Belief::All || trust == ForwardedTrust::Last {
            break;
        }
    }
    address
}

/// Goes through one field from its end, as far as it can be believed.
fn believe(address: &mut IpAddr, field: &[u8], proxies: &[Network], trust: ForwardedTrust) -> Belief {
    let is_separator = |byte: &u8| matches!(byte, b' ' | b',');
    let mut belief = Belief::None;
    let mut rest = field;
    loop {
        let end = rest.iter().rposition(|byte| !is_separator(byte)).map_or(0, |last| last + 1);
        let start = rest[..end].iter().rposition(is_separator).map_or(0, |separator| separator + 1);
        let is_trusted = proxies.iter().any(|proxy| proxy.contains(*address));
        match address_of(&rest[start..end]).filter(|_| is_trusted) {
            Some(found) => *address = found,
            None => return belief,
        }
        if start == 0 || trust == ForwardedTrust::Last {
            return Belief::All;
        }
        belief = Belief::Part;
        rest = &rest[..start - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_believed_from_its_end() {
        use ForwardedTrust::{Last, Recursive};
        let cases: &[(&str, &[&str], ForwardedTrust, &str)] = &[
            ("10.0.0.1", &[], Recursive, "10.0.0.1"),
            ("11.0.0.1", &["1.1.1.1"], Recursive, "11.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], Last, "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, 2.2.2.2"], Last, "2.2.2.2"),
            ("10.0.0.1", &["1.1.1.1, 10.0.0.2"], Last, "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1, 10.0.0.2"], Recursive, "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1,2.2.2.2 , 10.0.0.2 ,"], Recursive, "2.2.2.2"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Recursive, "10.0.0.3"),
            ("10.0.0.1", &["1.1.1.1", "10.0.0.2"], Last, "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1", "10.0.0.2"], Recursive, "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1", "2.2.2.2, 10.0.0.2"], Recursive, "2.2.2.2"),
            ("10.0.0.1", &["nonsense"], Recursive, "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"], Recursive, "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1:80"], Last, "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:80, 10.0.0.9"], Recursive, "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], Last, "2001:db8::1"),
            ("10.0.0.1", &[""], Recursive, "10.0.0.1"),
        ];
        let proxies = [Network::parse("10.0.0.0/8").expect("it is a network").network];
        for (peer, fields, trust, wanted) in cases {
            let address = |text: &str| -> IpAddr { text.parse().expect("it is an address") };
            let fields_bytes = fields.iter().map(|field| field.as_bytes());
            let found = forwarded(address(peer), fields_bytes, &proxies, *trust);
            assert_eq!(found, address(wanted), "{peer} {fields:?}");
        }
    }
}
