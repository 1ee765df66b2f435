//! Who is asked: the group of `proxy_pass`, or the one that its variables name for this request.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use config::{PeerAddress, ProxyPass, ProxyTarget, UpstreamConf};

use crate::{
    http::{
        Exchange, Fault, exchange,
        fault::{Kind, Side},
        proxy::client_left,
    },
    upstream::Group,
};

/// Port of a URL without one.
const DEFAULT_PORT: u16 = 80;

/// Finds the group to ask; where variables name it, `$proxy_host` and `$proxy_port` are set.
///
/// # Errors
/// The variables make no URL, or one whose host is neither a group nor an address.
pub async fn target(exchange: &mut Exchange, pass: &ProxyPass) -> Result<Arc<Group>, Fault> {
    let ProxyTarget::Variable(template) = &pass.target else {
        let group = exchange.location_state().group.clone();
        return Ok(group.expect("the site keeps a group for each fixed proxy_pass"));
    };
    let text = template.expand(exchange);
    let url =
        Url::parse(&text).map_err(|problem| refused(500, format!("{problem} in \"{}\"", lossy(&text))))?;
    exchange.proxy_target = Some(exchange::ProxyTarget { host: url.proxy_host(), port: url.proxy_port() });
    if let Some(group) = exchange.event_loop.site.group(&url.group_key()) {
        return Ok(Arc::clone(group));
    }
    let addresses = match url.address() {
        Ok(address) => vec![address],
        Err(host) => resolved(exchange, host, url.port()).await?,
    };
    Ok(Arc::new(Group::new(Arc::new(UpstreamConf::implicit(url.group_key(), addresses)))))
}

/// Finds the addresses of a host that only the request names.
async fn resolved(exchange: &Exchange, host: &str, port: u16) -> Result<Vec<PeerAddress>, Fault> {
    let Some(resolver) = &exchange.location_state().resolver else {
        return Err(refused(502, format!("no resolver defined to resolve {host}")));
    };
    let location = &exchange.location;
    let client_matters = !*location.proxy.ignore_client_abort;
    let found = tokio::select! {
        biased;
        found = resolver.addresses(host, *location.resolver.timeout) => found,
        () = exchange.client.closed(), if client_matters => return Err(client_left()),
    };
    match found {
        Ok(addresses) => {
            Ok(addresses.in_turn().map(|ip| PeerAddress::Inet(SocketAddr::new(ip, port))).collect())
        }
        Err(why) => Err(refused(502, format!("{host} could not be resolved ({why})"))),
    }
}

/// Returns the URI in a URL, from the path on; empty where it has none.
pub(in crate::http::proxy) fn uri_of(url: &[u8]) -> Vec<u8> {
    Url::parse(url).map_or_else(|_| Vec::new(), |url| url.uri)
}

/// A URL that variables made.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    host: Host,
    uri: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Inet {
        /// As written, IPv6 addresses in brackets.
        name: String,
        port: Option<u16>,
    },
    Unix(String),
}

impl Url {
    /// Reads a URL, or says what is wrong with it in nginx's words.
    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let scheme = |name: &[u8]| {
            text.split_at_checked(name.len())
                .and_then(|(start, rest)| start.eq_ignore_ascii_case(name).then_some(rest))
        };
        if scheme(b"https://").is_some() {
            return Err("https protocol is not supported yet");
        }
        let rest = scheme(b"http://").ok_or("invalid URL prefix")?;
        if let Some(rest) = rest.strip_prefix(b"unix:") {
            let (path, uri) = match memchr::memchr(b':', rest) {
                Some(colon) => (&rest[..colon], &rest[colon + 1..]),
                None => (rest, &b""[..]),
            };
            let path = str::from_utf8(path)
                .ok()
                .filter(|path| !path.is_empty())
                .ok_or("no path in the unix domain socket")?;
            return Ok(Self { host: Host::Unix(path.to_owned()), uri: uri.to_vec() });
        }
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (name, port) = split_port(authority)?;
        let mut uri = path.to_vec();
        if uri.first().is_some_and(|first| *first != b'/') {
            uri.insert(0, b'/');
        }
        Ok(Self { host: Host::Inet { name: name.to_owned(), port }, uri })
    }

    fn proxy_host(&self) -> String {
        match &self.host {
            Host::Inet { name, port: Some(port) } if *port != DEFAULT_PORT => format!("{name}:{port}"),
            Host::Inet { name, .. } => name.clone(),
            Host::Unix(_) => "localhost".to_owned(),
        }
    }

    fn proxy_port(&self) -> String {
        match &self.host {
            Host::Inet { port, .. } => port.unwrap_or(DEFAULT_PORT).to_string(),
            Host::Unix(_) => String::new(),
        }
    }

    fn port(&self) -> u16 {
        match self.host {
            Host::Inet { port, .. } => port.unwrap_or(DEFAULT_PORT),
            Host::Unix(_) => DEFAULT_PORT,
        }
    }

    /// Returns the key that a group with this host and port would have ([`UpstreamConf::key`]).
    fn group_key(&self) -> String {
        match &self.host {
            Host::Inet { name, port: Some(port) } => format!("{}:{port}", name.to_ascii_lowercase()),
            Host::Inet { name, port: None } => name.to_ascii_lowercase(),
            Host::Unix(path) => format!("unix:{path}"),
        }
    }

    /// Returns the address, or the host's name where it is none.
    fn address(&self) -> Result<PeerAddress, &str> {
        match &self.host {
            Host::Unix(path) => Ok(PeerAddress::Unix(PathBuf::from(path))),
            Host::Inet { name, port } => {
                let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
                let socket = |ip| PeerAddress::Inet(SocketAddr::new(ip, port.unwrap_or(DEFAULT_PORT)));
                ip.map(socket).map_err(|_| name.as_str())
            }
        }
    }
}

fn split_port(authority: &[u8]) -> Result<(&str, Option<u16>), &'static str> {
    let text = str::from_utf8(authority).map_err(|_| "invalid host")?;
    let name_end = if text.starts_with('[') { text.find(']').ok_or("invalid host")? } else { 0 };
    let (name, port) = match text[name_end..].rfind(':') {
        None => (text, None),
        Some(colon) => {
            let digits = &text[name_end + colon + 1..];
            let port = digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or("invalid port")?;
            (&text[..name_end + colon], Some(port))
        }
    };
    if name.is_empty() { Err("no host") } else { Ok((name, port)) }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn refused(status: u16, detail: String) -> Fault {
    Fault::new(Side::Server, Kind::Status(status), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_nginx_does() {
        let inet = |name: &str, port| Host::Inet { name: name.to_owned(), port };
        let cases = [
            ("http://backend", Ok((inet("backend", None), ""))),
            ("HTTP://Backend:8080/x?y", Ok((inet("Backend", Some(8080)), "/x?y"))),
            ("http://127.0.0.1?y", Ok((inet("127.0.0.1", None), "/?y"))),
            ("http://[::1]:80/", Ok((inet("[::1]", Some(80)), "/"))),
            ("http://[::1]", Ok((inet("[::1]", None), ""))),
            ("http://unix:/run/x.sock:/u", Ok((Host::Unix("/run/x.sock".to_owned()), "/u"))),
            ("http://unix:/run/x.sock", Ok((Host::Unix("/run/x.sock".to_owned()), ""))),
            ("http://unix:", Err("no path in the unix domain socket")),
            ("http:///x", Err("no host")),
            ("http://a:b/", Err("invalid port")),
            ("http://a:0/", Err("invalid port")),
            ("http://[::1/", Err("invalid host")),
            ("https://a", Err("https protocol is not supported yet")),
            ("backend", Err("invalid URL prefix")),
        ];
        for (text, wanted) in cases {
            let wanted = wanted.map(|(host, uri)| Url { host, uri: uri.as_bytes().to_vec() });
            assert_eq!(Url::parse(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn names_and_addresses_come_from_the_url() {
        let cases = [
            ("http://a", "a", "80", "a", Err("a")),
            ("http://a:80", "a", "80", "a:80", Err("a")),
            ("http://A.Test:81", "A.Test:81", "81", "a.test:81", Err("A.Test")),
            ("http://[::1]:81", "[::1]:81", "81", "[::1]:81", Ok("[::1]:81")),
            ("http://127.0.0.1", "127.0.0.1", "80", "127.0.0.1", Ok("127.0.0.1:80")),
        ];
        for (text, host, port, group, address) in cases {
            let url = Url::parse(text.as_bytes()).expect("a URL");
            assert_eq!(
                (url.proxy_host(), url.proxy_port(), url.group_key()),
                (host.to_owned(), port.to_owned(), group.to_owned()),
                "{text}"
            );
            let address = address.map(|address| PeerAddress::Inet(address.parse().expect("an address")));
            assert_eq!(url.address(), address, "{text}");
        }
    }
}
