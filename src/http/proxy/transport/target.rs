//! Who is asked: the group of `proxy_pass`, or the one that its variables name for this request.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use config::{PeerAddress, ProxyPass, ProxyTarget, Scheme, UpstreamConf};

use crate::{
    http::{
        Exchange, Fault, exchange,
        fault::{Kind, Side},
        proxy::client_left,
    },
    upstream::Group,
};

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
    let (host, port) = (url.proxy_host(), url.proxy_port());
    exchange.proxy_target = Some(exchange::ProxyTarget { scheme: url.scheme, host, port });
    if let Some(group) = known_group(exchange, &url) {
        return Ok(group);
    }
    let addresses = match url.address() {
        Ok(address) => vec![address],
        Err(host) => resolved(exchange, host, url.port()).await?,
    };
    Ok(Arc::new(Group::new(Arc::new(UpstreamConf::implicit(url.group_key(), addresses)))))
}

/// Finds the group that a URL names, or the one that the configuration made of the same address.
fn known_group(exchange: &Exchange, url: &Url) -> Option<Arc<Group>> {
    let site = &exchange.event_loop.site;
    let written = site.group(&url.written_key()).filter(|group| !group.conf.implicit);
    written.or_else(|| site.group(&url.group_key())).cloned()
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
    scheme: Scheme,
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
        let (scheme, rest) = Scheme::split(text).ok_or("invalid URL prefix")?;
        if let Some(rest) = rest.strip_prefix(b"unix:") {
            let (path, uri) = match memchr::memchr(b':', rest) {
                Some(colon) => (&rest[..colon], &rest[colon + 1..]),
                None => (rest, &b""[..]),
            };
            let path = str::from_utf8(path)
                .ok()
                .filter(|path| !path.is_empty())
                .ok_or("no path in the unix domain socket")?;
            return Ok(Self { scheme, host: Host::Unix(path.to_owned()), uri: uri.to_vec() });
        }
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (name, port) = split_port(authority)?;
        let mut uri = path.to_vec();
        if uri.first().is_some_and(|first| *first != b'/') {
            uri.insert(0, b'/');
        }
        Ok(Self { scheme, host: Host::Inet { name: name.to_owned(), port }, uri })
    }

    fn proxy_host(&self) -> String {
        match &self.host {
            Host::Inet { name, port: Some(port) } if *port != self.scheme.default_port() => {
                format!("{name}:{port}")
            }
            Host::Inet { name, .. } => name.clone(),
            Host::Unix(_) => "localhost".to_owned(),
        }
    }

    fn proxy_port(&self) -> String {
        match &self.host {
            Host::Inet { port, .. } => port.unwrap_or(self.scheme.default_port()).to_string(),
            Host::Unix(_) => String::new(),
        }
    }

    fn port(&self) -> u16 {
        match self.host {
            Host::Inet { port, .. } => port.unwrap_or(self.scheme.default_port()),
            Host::Unix(_) => self.scheme.default_port(),
        }
    }

    /// Returns the key that the group of this address has where the configuration has one
    /// ([`UpstreamConf::implicit_name`]).
    fn group_key(&self) -> String {
        match (self.scheme, &self.host) {
            (Scheme::Https, Host::Inet { port: None, .. }) => {
                format!("{}:{}", self.written_key(), self.scheme.default_port())
            }
            _ => self.written_key(),
        }
    }

    /// Returns the key that a group with this name would have ([`UpstreamConf::key`]).
    fn written_key(&self) -> String {
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
                let socket =
                    |ip| PeerAddress::Inet(SocketAddr::new(ip, port.unwrap_or(self.scheme.default_port())));
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
            ("https://a", Ok((inet("a", None), ""))),
            ("HTTPS://a:443/", Ok((inet("a", Some(443)), "/"))),
            ("https://unix:/run/x.sock:/u", Ok((Host::Unix("/run/x.sock".to_owned()), "/u"))),
            ("https:///x", Err("no host")),
            ("https:/a", Err("invalid URL prefix")),
            ("backend", Err("invalid URL prefix")),
        ];
        for (text, wanted) in cases {
            let is_tls = text.to_ascii_lowercase().starts_with("https");
            let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
            let wanted = wanted.map(|(host, uri)| Url { scheme, host, uri: uri.as_bytes().to_vec() });
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
            ("https://a", "a", "443", "a:443", Err("a")),
            ("https://a:443", "a", "443", "a:443", Err("a")),
            ("https://a:80", "a:80", "80", "a:80", Err("a")),
            ("http://a:443", "a:443", "443", "a:443", Err("a")),
            ("https://[::1]", "[::1]", "443", "[::1]:443", Ok("[::1]:443")),
            ("https://127.0.0.1", "127.0.0.1", "443", "127.0.0.1:443", Ok("127.0.0.1:443")),
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
