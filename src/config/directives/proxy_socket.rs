//! Sockets of connections to upstreams: where they come from and what the system is told about them.

use std::net::{IpAddr, SocketAddr};

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{HSL, Reader, settings},
    source::Problem,
    template::Template,
    values::{FLAG, OPTIONAL_SIZE},
};

/// `proxy_bind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyBind {
    /// Where connections come from.
    pub from: BindFrom,
    /// Whether the address need not be one of the machine's.
    pub transparency: Transparency,
}

/// The address of a [`ProxyBind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindFrom {
    /// The same for all; port 0 leaves the port to the system.
    Fixed(SocketAddr),
    /// Worked out for each request.
    Variable(Template),
}

/// Whether connections may come from addresses that are not the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transparency {
    /// The machine's own addresses only.
    Opaque,
    /// Any address: `transparent`.
    Transparent,
}

settings! {
    /// Sockets of connections to upstreams, at one level.
    pub struct ProxySocketConf {
        /// Local address that connections to upstreams come from.
        bind: Option<ProxyBind> = None, "proxy_bind" in HSL, once(BIND);
        /// Has the system watch connections.
        socket_keepalive: bool = false, "proxy_socket_keepalive" in HSL, once(FLAG), "off";
        /// The system's buffer for what comes from an upstream, set before connecting.
        socket_rcvbuf: Option<u64> = None, "proxy_socket_rcvbuf" in HSL, once(OPTIONAL_SIZE);
        /// The system's buffer for what goes to an upstream, set before connecting.
        socket_sndbuf: Option<u64> = None, "proxy_socket_sndbuf" in HSL, once(OPTIONAL_SIZE);
    }
}

const BIND: Reader<Option<ProxyBind>> = Reader::between(1, 2, "address [transparent] | off", bind);

fn bind(directive: &Directive, scope: &Scope<'_>) -> Result<Option<ProxyBind>, Problem> {
    if directive.args.len() == 1 && directive.bytes(0) == b"off" {
        return Ok(None);
    }
    let template = scope.template(directive, 0)?;
    let from = match template.as_text() {
        None => BindFrom::Variable(template),
        Some(text) => {
            let invalid = || {
                directive
                    .fail(0, format!("invalid address \"{}\"", directive.text(0)))
                    .with_help("accepted: an IP address, one with a port, or \"off\"")
            };
            BindFrom::Fixed(parse_local_address(text).ok_or_else(invalid)?)
        }
    };
    let transparency = match directive.args.get(1).map(|word| &*word.text) {
        None => Transparency::Opaque,
        Some(b"transparent") => {
            scope.binds_transparently.set(true);
            Transparency::Transparent
        }
        Some(_) => {
            let message = format!("invalid parameter \"{}\"", directive.text(1));
            return Err(directive.fail(1, message).with_help("accepted: \"transparent\""));
        }
    };
    Ok(Some(ProxyBind { from, transparency }))
}

/// Reads an address to connect from: an IP address, port 0 where none is written.
///
/// As nginx: a port must not be 0, and brackets stand only where a port follows.
pub fn parse_local_address(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 0));
    }
    text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_read_as_nginx_does() {
        let cases = [
            ("127.0.0.1", Some("127.0.0.1:0")),
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("::1", Some("[::1]:0")),
            ("[::1]:80", Some("[::1]:80")),
            ("[::1]", None),
            ("127.0.0.1:0", None),
            ("127.0.0.1:", None),
            ("127.0.0.1:65536", None),
            ("127.0.0.1:x", None),
            ("localhost", None),
            ("unix:/x", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            let wanted = wanted.map(|address: &str| address.parse().expect("an address"));
            assert_eq!(parse_local_address(text.as_bytes()), wanted, "{text}");
        }
    }
}
