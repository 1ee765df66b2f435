//! `upstream` and its servers.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    late_host::{LateHost, late_host},
    resolver::{NameServers, RESOLVER, Startup},
};
use crate::{
    address::{Address, InvalidAddress, Lone, resolve},
    parse::Directive,
    scope::Scope,
    settings::{Reader, Setting, U, settings},
    source::Problem,
    values::{NUMBER, OPTIONAL_TIME, Precision, TIME, accepted, parse_number, parse_size, parse_time},
};

/// A group of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConf {
    /// Its name; for an implicit group the host and port of `proxy_pass`.
    pub name: String,
    /// Its servers.
    pub servers: Vec<UpstreamServer>,
    /// Idle connections kept per event loop (`keepalive`).
    pub keepalive: Option<usize>,
    /// Requests per connection.
    pub keepalive_requests: u64,
    /// Longest life of a connection.
    pub keepalive_time: Duration,
    /// How long an idle connection is kept.
    pub keepalive_timeout: Duration,
    /// Who knows the addresses of its `resolve` servers; absent where `http` says it.
    pub name_servers: Option<Arc<NameServers>>,
    /// How long they may take; absent where `http` says it.
    pub resolver_timeout: Option<Duration>,
    /// Whether it stands for a plain `proxy_pass` address rather than an `upstream` block.
    pub implicit: bool,
}

/// One server of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// As written.
    pub name: String,
    /// Its addresses: several where its name has several.
    pub addresses: Vec<PeerAddress>,
    /// `weight=`.
    pub weight: u32,
    /// `max_fails=`; 0 never counts failures.
    pub max_fails: u32,
    /// `fail_timeout=`.
    pub fail_timeout: Duration,
    /// `max_conns=`; 0 is no limit.
    pub max_conns: u32,
    /// `backup`.
    pub backup: bool,
    /// `down`.
    pub down: bool,
    /// The host whose addresses are found while the group serves.
    pub late: Option<LateHost>,
}

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// An address and port.
    Inet(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

settings! {
    /// What stands in an `upstream` block.
    pub struct UpstreamSettings {
        /// A server of the group.
        servers: Vec<UpstreamServer> = Vec::new(), "server" in U, each(SERVER);
        /// Idle connections kept per event loop.
        keepalive: Option<usize> = None, "keepalive" in U, once(KEEPALIVE);
        /// Requests per connection.
        keepalive_requests: u64 = 1000, "keepalive_requests" in U, once(NUMBER), "1000";
        /// Longest life of a connection.
        keepalive_time: Duration = Duration::from_secs(3600), "keepalive_time" in U, once(TIME), "1h";
        /// How long an idle connection is kept.
        keepalive_timeout: Duration = Duration::from_secs(60), "keepalive_timeout" in U, once(TIME), "60s";
        /// Shares the state of the group; here all event loops share it anyway.
        zone: () = (), "zone" in U, once(ZONE);
        /// Name servers for the group's `resolve` servers, in place of those of `http`.
        name_servers: Option<Arc<NameServers>> = None, "resolver" in U, once(RESOLVER);
        /// How long they may take to find the addresses of a name.
        resolver_timeout: Option<Duration> = None, "resolver_timeout" in U, once(OPTIONAL_TIME), "30s";
    }
}

impl UpstreamSettings {
    /// Makes the group.
    pub fn group(self, name: String) -> UpstreamConf {
        UpstreamConf {
            name,
            servers: self.servers.into_inner(),
            keepalive: *self.keepalive,
            keepalive_requests: *self.keepalive_requests,
            keepalive_time: *self.keepalive_time,
            keepalive_timeout: *self.keepalive_timeout,
            name_servers: self.name_servers.into_inner(),
            resolver_timeout: *self.resolver_timeout,
            implicit: false,
        }
    }
}

impl UpstreamConf {
    /// Makes a group of these servers, as a block that names nothing else.
    pub fn new(name: String, servers: Vec<UpstreamServer>) -> Self {
        let settings = UpstreamSettings { servers: Setting::written(servers), ..UpstreamSettings::default() };
        settings.group(name)
    }

    /// Makes the group of one plain address.
    pub fn implicit(name: String, addresses: Vec<PeerAddress>) -> Self {
        let server = UpstreamServer::new(name.clone(), addresses);
        Self { implicit: true, ..Self::new(name, vec![server]) }
    }
}

impl UpstreamServer {
    /// Makes a server without parameters.
    pub fn new(name: String, addresses: Vec<PeerAddress>) -> Self {
        // An empty list is what `resolver_startup lenient` makes of a host that nobody knows.
        let late = if addresses.is_empty() { LateHost::unknown(&name, DEFAULT_PORT) } else { None };
        Self {
            late,
            name,
            addresses,
            weight: 1,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            max_conns: 0,
            backup: false,
            down: false,
        }
    }
}

const KEEPALIVE: Reader<Option<usize>> = Reader::one("connections", |directive, _| {
    let count = parse_number(directive.bytes(0)).filter(|count| *count > 0);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let message = || format!("invalid value \"{}\" in \"keepalive\" directive", directive.text(0));
    count.map(Some).ok_or_else(|| directive.fail(0, message()).with_help("accepted: a number from 1"))
});

const ZONE: Reader<()> = Reader::between(1, 2, "name [size]", |directive, _| match directive.args.get(1) {
    Some(size) if parse_size(&size.text).is_none() => {
        Err(directive.fail(1, format!("invalid zone size \"{}\"", directive.text(1))))
    }
    _ => Ok(()),
});

const SERVER: Reader<UpstreamServer> = Reader::many(
    "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [backup] [down] \
     [resolve] [service=name]",
    server,
);

fn server(directive: &Directive, scope: &Scope<'_>) -> Result<UpstreamServer, Problem> {
    let name = directive.text(0).into_owned();
    let late = late_host(directive, DEFAULT_PORT)?;
    let mut server = match late {
        Some(late) => UpstreamServer { late: Some(late), ..UpstreamServer::new(name, Vec::new()) },
        None => {
            let addresses = addresses(directive, &name, scope).map_err(|error| directive.fail(0, error))?;
            UpstreamServer::new(name, addresses)
        }
    };
    for number in 1..directive.args.len() {
        parameter(&mut server, directive, number)?;
    }
    Ok(server)
}

/// Port of a server without one.
const DEFAULT_PORT: u16 = 80;

/// Finds the addresses of an upstream server, or says in nginx's words why there are none. With
/// `resolver_startup lenient`, none is no error.
pub fn addresses(directive: &Directive, text: &str, scope: &Scope<'_>) -> Result<Vec<PeerAddress>, String> {
    let wrong = |error| format!("{error} in upstream \"{text}\"");
    match Address::parse(text, Lone::Host).map_err(wrong)? {
        Address::Unix(path) => Ok(vec![PeerAddress::Unix(path)]),
        Address::Host { ports: Some((first, last)), .. } if first != last => {
            Err(format!("invalid port in upstream \"{text}\""))
        }
        Address::Host { host, ports, .. } => {
            let port = ports.map_or(DEFAULT_PORT, |(port, _)| port);
            match resolve(&host, port, scope.lookup) {
                Ok(found) => Ok(found.into_iter().map(PeerAddress::Inet).collect()),
                Err(InvalidAddress::NotFound) if scope.startup == Startup::Lenient => {
                    let message = wrong(InvalidAddress::NotFound) + ", it is asked for again";
                    scope.report(Problem::warning(directive.args[0].span, message));
                    Ok(Vec::new())
                }
                Err(error) => Err(wrong(error)),
            }
        }
    }
}

const PARAMETERS: [&str; 8] =
    ["weight=", "max_conns=", "max_fails=", "fail_timeout=", "backup", "down", "resolve", "service="];

/// Parameters of nginx that are not here yet.
const LATER: [&str; 3] = ["slow_start", "route", "drain"];

fn parameter(server: &mut UpstreamServer, directive: &Directive, number: usize) -> Result<(), Problem> {
    let text = directive.text(number);
    let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
    if LATER.contains(&name) {
        let message = format!("the \"{name}\" parameter of the \"server\" directive is not supported yet");
        return Err(directive.fail(number, message));
    }
    let invalid = || directive.fail(number, format!("invalid parameter \"{text}\""));
    let count = |text: &str| {
        let count = parse_number(text.as_bytes()).and_then(|count| u32::try_from(count).ok());
        count.ok_or_else(|| invalid().with_help(format!("{name} takes a number")))
    };
    match (name, value) {
        ("weight", Some("0")) => return Err(invalid().with_help("a weight is at least 1")),
        ("weight", Some(text)) => server.weight = count(text)?,
        ("max_conns", Some(text)) => server.max_conns = count(text)?,
        ("max_fails", Some(text)) => server.max_fails = count(text)?,
        ("fail_timeout", Some(text)) => {
            let time = parse_time(text.as_bytes(), Precision::Seconds);
            server.fail_timeout =
                time.ok_or_else(|| invalid().with_help("fail_timeout takes a time: 10s"))?;
        }
        ("backup", None) => server.backup = true,
        ("down", None) => server.down = true,
        // They were read before all else.
        ("resolve", None) | ("service", Some(_)) => {}
        _ => return Err(invalid().with_help(accepted(name, PARAMETERS.into_iter()))),
    }
    Ok(())
}
