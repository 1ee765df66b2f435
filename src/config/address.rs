//! Addresses as directives write them: `80`, `host:80`, `[::1]:80`, `unix:/path`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use crate::HostLookup;

/// An address, split but not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host, as written, and a port where one is.
    Host {
        /// Name or number, brackets of IPv6 left out; empty where only a port is written, or `*`.
        host: String,
        /// As written, brackets included.
        written: String,
        /// First and last port.
        ports: Option<(u16, u16)>,
    },
    /// `unix:`.
    Unix(PathBuf),
}

/// Why it is none, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// No host.
    #[error("no host")]
    NoHost,
    /// Not a host.
    #[error("invalid host")]
    Host,
    /// Not a port.
    #[error("invalid port")]
    Port,
    /// No path behind `unix:`.
    #[error("no path in the unix domain socket")]
    NoPath,
    /// A path longer than a socket's may be.
    #[error("too long path in the unix domain socket")]
    LongPath,
    /// Nobody knows the host.
    #[error("host not found")]
    NotFound,
}

/// Longest path of a socket.
const MOST_PATH_BYTES: usize = 107;

/// What a lone number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lone {
    /// A port to listen on.
    Port,
    /// A host.
    Host,
}

impl Address {
    /// Splits an address.
    pub fn parse(text: &str, lone: Lone) -> Result<Self, InvalidAddress> {
        if let Some(path) =
            text.get(..5).filter(|start| start.eq_ignore_ascii_case("unix:")).map(|_| &text[5..])
        {
            return match path.len() {
                0 => Err(InvalidAddress::NoPath),
                1..=MOST_PATH_BYTES => Ok(Self::Unix(PathBuf::from(path))),
                _ => Err(InvalidAddress::LongPath),
            };
        }
        if lone == Lone::Port
            && !text.contains([':', '.'])
            && text.starts_with(|digit: char| digit.is_ascii_digit())
        {
            let host = String::new();
            return Ok(Self::Host { written: host.clone(), host, ports: Some(parse_ports(text)?) });
        }
        // As nginx: an address is no URL.
        if text.contains(['/', '?']) {
            return Err(InvalidAddress::Host);
        }
        let (written, port) = split_port(text)?;
        let host = match written.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok()),
            None => Some(written),
        };
        let host = host.ok_or(InvalidAddress::Host)?;
        let host = if host == "*" { "" } else { host };
        if host.is_empty() && written != "*" {
            return Err(InvalidAddress::NoHost);
        }
        let ports = port.map(parse_ports).transpose()?;
        Ok(Self::Host { host: host.to_owned(), written: written.to_owned(), ports })
    }
}

/// Splits a port off, the colons of IPv6 being in brackets.
fn split_port(text: &str) -> Result<(&str, Option<&str>), InvalidAddress> {
    let host_end = match text.strip_prefix('[') {
        Some(inner) => inner.find(']').ok_or(InvalidAddress::Host)? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    match text[host_end..].strip_prefix(':') {
        Some(port) => Ok((&text[..host_end], Some(port))),
        None if host_end == text.len() => Ok((text, None)),
        None => Err(InvalidAddress::Host),
    }
}

fn parse_ports(text: &str) -> Result<(u16, u16), InvalidAddress> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(InvalidAddress::Port),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if last < first { Err(InvalidAddress::Port) } else { Ok((first, last)) }
}

/// Finds the addresses of a host with one port; the empty host is every address of IPv4.
pub fn resolve(host: &str, port: u16, lookup: &dyn HostLookup) -> Result<Vec<SocketAddr>, InvalidAddress> {
    if host.is_empty() {
        return Ok(vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)]);
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = lookup.lookup(host, port).unwrap_or_default();
    if found.is_empty() { Err(InvalidAddress::NotFound) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_as_nginx_splits_them() {
        let host = |host: &str, written: &str, ports: Option<(u16, u16)>| {
            Ok(Address::Host { host: host.to_owned(), written: written.to_owned(), ports })
        };
        let cases = [
            ("80", Lone::Port, host("", "", Some((80, 80)))),
            ("8000-8003", Lone::Port, host("", "", Some((8000, 8003)))),
            ("0", Lone::Port, Err(InvalidAddress::Port)),
            ("65536", Lone::Port, Err(InvalidAddress::Port)),
            ("80a", Lone::Port, Err(InvalidAddress::Port)),
            ("80", Lone::Host, host("80", "80", None)),
            ("*:80", Lone::Port, host("", "*", Some((80, 80)))),
            ("127.0.0.1", Lone::Port, host("127.0.0.1", "127.0.0.1", None)),
            ("localhost:81", Lone::Host, host("localhost", "localhost", Some((81, 81)))),
            ("[::1]:82", Lone::Host, host("::1", "[::1]", Some((82, 82)))),
            ("[::]", Lone::Port, host("::", "[::]", None)),
            ("[::", Lone::Port, Err(InvalidAddress::Host)),
            ("[zz]:1", Lone::Port, Err(InvalidAddress::Host)),
            ("a:", Lone::Host, Err(InvalidAddress::Port)),
            ("a:+1", Lone::Host, Err(InvalidAddress::Port)),
            (":80", Lone::Host, Err(InvalidAddress::NoHost)),
            ("", Lone::Host, Err(InvalidAddress::NoHost)),
            ("unix:", Lone::Host, Err(InvalidAddress::NoPath)),
            ("unix:/s", Lone::Host, Ok(Address::Unix(PathBuf::from("/s")))),
        ];
        for (text, lone, wanted) in cases {
            assert_eq!(Address::parse(text, lone), wanted, "{text}");
        }
    }
}
