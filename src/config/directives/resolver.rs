//! `resolver`: who is asked for the addresses of names, and for how long an answer holds.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    address::{Address, Lone, resolve},
    parse::Directive,
    scope::Scope,
    settings::{H, HSL, Reader, settings},
    source::Problem,
    values::{Precision, TIME, choice, parse_time},
};

/// Name servers, and how they are asked. Each `resolver` directive has a cache of its own, as in nginx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServers {
    /// Their addresses, asked in turn.
    pub addresses: Vec<SocketAddr>,
    /// `valid=`: how long an answer holds, whatever it says itself.
    pub valid: Option<Duration>,
    /// `ipv4=` and `ipv6=`.
    pub families: Families,
}

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// Both kinds.
    Both,
    /// `ipv6=off`.
    Ipv4,
    /// `ipv4=off`.
    Ipv6,
}

settings! {
    /// `resolver` and its companion, at one level.
    pub struct ResolverConf {
        /// Name servers for names that become known, or may change, while requests are served.
        servers: Option<Arc<NameServers>> = None, "resolver" in HSL, once(RESOLVER);
        /// How long it may take to find the addresses of a name.
        timeout: Duration = Duration::from_secs(30), "resolver_timeout" in HSL, once(TIME), "30s";
        /// Whether hosts of upstreams must be known at the start. Larder's own; nginx is always strict.
        startup: Startup = Startup::Strict, "resolver_startup" in H, once(STARTUP), "strict";
    }
}

/// `resolver_startup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// A host that nobody knows is an error.
    Strict,
    /// Requests for it are answered with 502 until it becomes known.
    Lenient,
}

/// Reads `resolver_startup`.
pub const STARTUP: Reader<Startup> = Reader::one("strict | lenient", |directive, _| {
    choice(directive, 0, &[("strict", Startup::Strict), ("lenient", Startup::Lenient)])
});

/// Reads `resolver`.
pub const RESOLVER: Reader<Option<Arc<NameServers>>> = Reader::many(
    "address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]",
    |directive, scope| name_servers(directive, scope).map(|servers| Some(Arc::new(servers))),
);

/// Port of a name server without one.
const DEFAULT_PORT: u16 = 53;

/// Whether a kind of address is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    On,
    Off,
}

fn name_servers(directive: &Directive, scope: &Scope<'_>) -> Result<NameServers, Problem> {
    let mut servers = NameServers { addresses: Vec::new(), valid: None, families: Families::Both };
    let (mut ipv4, mut ipv6) = (Asked::On, Asked::On);
    for number in 0..directive.args.len() {
        let text = directive.text(number);
        let invalid = || directive.fail(number, format!("invalid parameter: {text}"));
        let asked = |value: &str| match value {
            "on" => Ok(Asked::On),
            "off" => Ok(Asked::Off),
            _ => Err(invalid().with_help("accepted: on, off")),
        };
        match text.split_once('=') {
            Some(("valid", time)) => {
                let time = parse_time(time.as_bytes(), Precision::Seconds);
                servers.valid = Some(time.ok_or_else(|| invalid().with_help("valid takes a time: 30s"))?);
            }
            Some(("ipv4", value)) => ipv4 = asked(value)?,
            Some(("ipv6", value)) => ipv6 = asked(value)?,
            Some(("status_zone", "")) => return Err(invalid()),
            Some(("status_zone", _)) => scope.report(Problem::warning(
                directive.args[number].span,
                "the \"status_zone\" parameter has no effect: there is no page of such counts yet",
            )),
            _ => servers.addresses.extend(addresses(directive, number, scope)?),
        }
    }
    servers.families = match (ipv4, ipv6) {
        (Asked::On, Asked::On) => Families::Both,
        (Asked::On, Asked::Off) => Families::Ipv4,
        (Asked::Off, Asked::On) => Families::Ipv6,
        (Asked::Off, Asked::Off) => {
            let message = "\"ipv4\" and \"ipv6\" cannot both be \"off\"";
            return Err(Problem::new(directive.name.span, message));
        }
    };
    match servers.addresses.is_empty() {
        true => Err(Problem::new(directive.name.span, "no name servers defined")
            .with_help("name one: resolver 127.0.0.53;")),
        false => Ok(servers),
    }
}

fn addresses(directive: &Directive, number: usize, scope: &Scope<'_>) -> Result<Vec<SocketAddr>, Problem> {
    let text = directive.text(number);
    let wrong = |error| directive.fail(number, format!("{error} in resolver \"{text}\""));
    match Address::parse(&text, Lone::Host).map_err(wrong)? {
        Address::Unix(_) => Err(directive.fail(number, format!("invalid host in resolver \"{text}\""))),
        Address::Host { ports: Some((first, last)), .. } if first != last => {
            Err(directive.fail(number, format!("invalid port in resolver \"{text}\"")))
        }
        Address::Host { host, ports, .. } => {
            resolve(&host, ports.map_or(DEFAULT_PORT, |(port, _)| port), scope.lookup).map_err(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::{complaint, http};

    #[test]
    fn parameters_are_read() {
        for (parameters, valid, families) in [
            ("", None, Families::Both),
            ("valid=30s", Some(30), Families::Both),
            ("valid=1h ipv6=off", Some(3600), Families::Ipv4),
            ("ipv4=off ipv6=on", None, Families::Ipv6),
            ("ipv6=off ipv6=on", None, Families::Both),
        ] {
            let http = http(&format!("resolver 127.0.0.1 [::1]:5353 {parameters};"));
            let servers = (*http.defaults.resolver.servers).clone().expect("it was written");
            assert_eq!(servers.valid, valid.map(Duration::from_secs), "{parameters}");
            assert_eq!(servers.families, families, "{parameters}");
            let addresses = servers.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>();
            assert_eq!(addresses, ["127.0.0.1:53", "[::1]:5353"], "{parameters}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        for (parameters, wanted) in [
            ("127.0.0.1 valid=soon", "invalid parameter: valid=soon in :2"),
            ("127.0.0.1 valid=1ms", "invalid parameter: valid=1ms in :2"),
            ("127.0.0.1 ipv4=yes", "invalid parameter: ipv4=yes in :2"),
            ("127.0.0.1 ipv6=", "invalid parameter: ipv6= in :2"),
            ("127.0.0.1 ipv4=off ipv6=off", "\"ipv4\" and \"ipv6\" cannot both be \"off\" in :2"),
            ("127.0.0.1 status_zone=", "invalid parameter: status_zone= in :2"),
            (
                "127.0.0.1 status_zone=names",
                "the \"status_zone\" parameter has no effect: there is no page of such counts yet in :2",
            ),
            ("valid=5s", "no name servers defined in :2"),
        ] {
            assert_eq!(complaint(&format!("\nresolver {parameters};")), wanted, "{parameters}");
        }
    }
}
