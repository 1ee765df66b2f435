//! The name that an upstream goes by: what its certificate must be for, and what it is told before it shows one (SNI). Pure.

use std::net::Ipv4Addr;

use rustls_pki_types::{IpAddr, ServerName};

/// The name of an upstream, in a form that a handshake can begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerName {
    server_name: ServerName<'static>,
    /// The name itself, where [`Self::server_name`] only stands for it.
    given: Option<Box<[u8]>>,
}

impl PeerName {
    /// Reads a name, which may have a port behind it. As nginx: the port is of no account.
    pub fn parse(text: &[u8]) -> Self {
        let bare = without_port(text);
        let inner = bare.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(bare);
        match ServerName::try_from(inner) {
            Ok(server_name) => Self { server_name: server_name.to_owned(), given: None },
            Err(_) => Self { given: Some(bare.into()), ..Self::nobody() },
        }
    }

    /// Makes what stands for all names where it matters to nobody which it is.
    pub fn nobody() -> Self {
        // An address is never told.
        Self { server_name: ServerName::from(Ipv4Addr::UNSPECIFIED), given: None }
    }

    /// Returns what a handshake begins with.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// Returns the name where it is none that a handshake can begin with: neither of a host nor an address.
    pub fn given(&self) -> Option<&[u8]> {
        self.given.as_deref()
    }

    /// Returns the name as the log shows it: that of IPv6 in brackets.
    pub fn shown(&self) -> String {
        match (&self.given, &self.server_name) {
            (Some(given), _) => String::from_utf8_lossy(given).into_owned(),
            (None, ServerName::IpAddress(IpAddr::V6(_))) => format!("[{}]", self.server_name.to_str()),
            (None, name) => name.to_str().into_owned(),
        }
    }
}

fn without_port(text: &[u8]) -> &[u8] {
    let find = |wanted: u8, from: usize| text[from..].iter().position(|byte| *byte == wanted);
    let name = if text.first() == Some(&b'[') { find(b']', 0).unwrap_or_default() } else { 0 };
    find(b':', name).map_or(text, |colon| &text[..name + colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_nginx_does() {
        let host = |name: &str| (format!("Dns {name}"), None);
        let address = |name: &str| (format!("Ip {name}"), None);
        let neither = |name: &str| ("Ip 0.0.0.0".to_owned(), Some(name.to_owned()));
        let cases = [
            ("example.com", host("example.com")),
            ("example.com:8443", host("example.com")),
            ("example.com:", host("example.com")),
            ("EXAMPLE.com", host("EXAMPLE.com")),
            ("back_end", host("back_end")),
            ("_sip._tcp.test", host("_sip._tcp.test")),
            ("localhost", host("localhost")),
            ("127.0.0.1", address("127.0.0.1")),
            ("127.0.0.1:443", address("127.0.0.1")),
            ("[::1]", address("::1")),
            ("[::1]:443", address("::1")),
            ("[nothing", neither("[nothing")),
            ("::1", neither("")),
            ("", neither("")),
            ("a..b", neither("a..b")),
            ("a b", neither("a b")),
            ("-a.test", neither("-a.test")),
            ("*.test", neither("*.test")),
            ("\u{e4}.test", neither("\u{e4}.test")),
            ("unix", host("unix")),
        ];
        for (text, wanted) in cases {
            let name = PeerName::parse(text.as_bytes());
            let kind = if matches!(name.server_name(), ServerName::DnsName(_)) { "Dns" } else { "Ip" };
            let given = name.given().map(|given| String::from_utf8_lossy(given).into_owned());
            assert_eq!((format!("{kind} {}", name.server_name().to_str()), given), wanted, "{text}");
        }
    }

    #[test]
    fn names_that_differ_only_in_their_port_are_one() {
        assert_eq!(PeerName::parse(b"a.test:1"), PeerName::parse(b"a.test"));
        assert_ne!(PeerName::parse(b"a.test"), PeerName::parse(b"b.test"));
        assert_ne!(PeerName::parse(b"a b"), PeerName::parse(b"a c"));
        assert_ne!(PeerName::parse(b"a b"), PeerName::nobody());
        for text in ["a b", "a.test", "[::1]", "127.0.0.1"] {
            assert_eq!(PeerName::parse(text.as_bytes()).shown(), text);
        }
    }
}
