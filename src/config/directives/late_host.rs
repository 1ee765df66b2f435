//! Hosts of an upstream group whose addresses are found while it serves: `resolve`, `service=`, and what
//! `resolver_startup lenient` lets be missing at the start.

use crate::{
    address::{Address, Lone},
    parse::Directive,
    source::Problem,
};

/// A host, and how its addresses are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateHost {
    /// Its name.
    pub host: String,
    /// The port of its addresses.
    pub port: u16,
    /// Who is asked, and what for.
    pub lookup: LateLookup,
}

/// How the addresses of a [`LateHost`] are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LateLookup {
    /// `resolve`: name servers, again and again.
    Addresses,
    /// `service=`: the same, for the servers of the service of this full name.
    Service(String),
    /// It was not known at the start: it is asked for until it is, and then no more.
    UntilKnown,
}

impl LateHost {
    /// Makes the host of a server that could not be found at the start; none where it is no name.
    pub fn unknown(server: &str, default_port: u16) -> Option<Self> {
        match Address::parse(server, Lone::Host).ok()? {
            Address::Host { host, ports, .. } => {
                let port = ports.map_or(default_port, |(port, _)| port);
                Some(Self { host, port, lookup: LateLookup::UntilKnown })
            }
            Address::Unix(_) => None,
        }
    }
}

/// Reads `resolve` and `service=` of a `server`; none where nothing is to be found later.
pub fn late_host(directive: &Directive, default_port: u16) -> Result<Option<LateHost>, Problem> {
    let server = directive.text(0);
    let parameters = || (1..directive.args.len()).map(|number| (number, directive.text(number)));
    let service = parameters()
        .find_map(|(number, text)| text.strip_prefix("service=").map(|service| (number, service.to_owned())));
    let resolves = parameters().any(|(_, text)| text == "resolve");
    match &service {
        Some((number, service)) if service.is_empty() => {
            return Err(directive.fail(*number, format!("invalid parameter \"service={service}\"")));
        }
        Some((number, _)) if !resolves => {
            let message = format!("service upstream \"{server}\" requires \"resolve\" parameter");
            return Err(directive.fail(*number, message));
        }
        _ if !resolves => return Ok(None),
        _ => {}
    }
    let wrong = |error| directive.fail(0, format!("{error} in upstream \"{server}\""));
    let Address::Host { host, ports, .. } = Address::parse(&server, Lone::Host).map_err(wrong)? else {
        return Ok(None);
    };
    // As nginx: an address has nothing to be found.
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(None);
    }
    match (&service, ports) {
        (Some((number, _)), Some(_)) => {
            Err(directive.fail(*number, format!("service upstream \"{server}\" may not have port")))
        }
        (Some((_, service)), None) => {
            let lookup = LateLookup::Service(full_name(service, &host));
            Ok(Some(LateHost { host, port: default_port, lookup }))
        }
        (None, Some((first, last))) if first != last => {
            Err(directive.fail(0, format!("invalid port in upstream \"{server}\"")))
        }
        (None, ports) => {
            let port = ports.map_or(default_port, |(port, _)| port);
            Ok(Some(LateHost { host, port, lookup: LateLookup::Addresses }))
        }
    }
}

/// As nginx: `http` of `a.test` is `_http._tcp.a.test`; with a dot in it, a service is a prefix as it stands.
fn full_name(service: &str, host: &str) -> String {
    match service.contains('.') {
        true => format!("{service}.{host}"),
        false => format!("_{service}._tcp.{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::complaint;

    #[test]
    fn mistakes_are_told_with_their_places() {
        let late = "zone u 1m; resolver 127.0.0.1;";
        let cases = [
            (
                "server a.test resolve; resolver 127.0.0.1;",
                "resolving names at run time requires upstream \"u\" to be in shared memory in :1",
            ),
            (
                "server a.test resolve; zone u 1m;",
                "no resolver defined to resolve names at run time in upstream \"u\" in :1",
            ),
            ("\nserver a.test;", "host not found in upstream \"a.test\" in :2"),
            (
                "\nserver a.test service=http;",
                "service upstream \"a.test\" requires \"resolve\" parameter in :2",
            ),
            ("\nserver a.test service= resolve;", "invalid parameter \"service=\" in :2"),
            ("\nserver a.test service resolve;", "invalid parameter \"service\" in :2"),
            ("\nserver a.test resolve=on;", "invalid parameter \"resolve=on\" in :2"),
            (
                "\nserver a.test:80 service=http resolve;",
                "service upstream \"a.test:80\" may not have port in :2",
            ),
            ("\nserver a.test:0 resolve;", "invalid port in upstream \"a.test:0\" in :2"),
            ("\nserver a.test:1-2 resolve;", "invalid port in upstream \"a.test:1-2\" in :2"),
            ("\nserver 127.0.0.1; resolver nobody.test;", "host not found in resolver \"nobody.test\" in :2"),
            (
                "\nserver 127.0.0.1; resolver_timeout soon;",
                "\"resolver_timeout\" directive invalid value in :2",
            ),
            (
                "server 127.0.0.1; resolver 127.0.0.1\nipv4=off ipv6=off;",
                "\"ipv4\" and \"ipv6\" cannot both be \"off\" in :1",
            ),
        ];
        for (inside, wanted) in cases {
            assert_eq!(complaint(&format!("upstream u {{ {inside} }}")), wanted, "{inside}");
        }
        assert_eq!(complaint("resolver_startup maybe;"), "invalid value \"maybe\" in :1");
        let fine =
            ["server a.test resolve;", "server a.test service=http resolve;", "server 127.0.0.1 resolve;"];
        for inside in fine {
            assert_eq!(complaint(&format!("upstream u {{ {late} {inside} }}")), "", "{inside}");
        }
        assert_eq!(complaint("resolver 127.0.0.1; upstream u { zone u 1m; server a.test resolve; }"), "");
        let lenient = "upstream u { server a.test; } resolver_startup lenient;";
        assert_eq!(complaint(lenient), "host not found in upstream \"a.test\", it is asked for again in :1");
    }

    #[test]
    fn services_have_full_names() {
        for (service, wanted) in [
            ("http", "_http._tcp.a.test"),
            ("_http._tcp", "_http._tcp.a.test"),
            ("backend.eu", "backend.eu.a.test"),
        ] {
            assert_eq!(full_name(service, "a.test"), wanted);
        }
    }
}
