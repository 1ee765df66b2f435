//! `upstream` and its servers.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    balancing::{Balancing, HASH, IP_HASH, LEAST_CONN, LEAST_TIME, RANDOM},
    late_host::{LateHost, late_host},
    resolver::{NameServers, RESOLVER, Startup},
    sticky::{LEAST_ZONE_BYTES, STICKY, Sticky},
};
use crate::{
    address::{Address, InvalidAddress, Lone, resolve},
    parse::Directive,
    scope::Scope,
    settings::{Reader, Setting, U, settings},
    source::Problem,
    tree::Scheme,
    values::{NUMBER, OPTIONAL_TIME, Precision, TIME, accepted, parse_number, parse_size, parse_time},
};

/// A group of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConf {
    /// Its name; for an implicit group the host and port of `proxy_pass` ([`Self::implicit_name`]).
    pub name: String,
    /// Its servers.
    pub servers: Vec<UpstreamServer>,
    /// How it chooses among them.
    pub balancing: Balancing,
    /// How clients are bound to servers.
    pub sticky: Option<Sticky>,
    /// Where requests wait that no server can take.
    pub queue: Option<Queue>,
    /// Idle connections kept per event loop (`keepalive`).
    pub keepalive: Option<Keepalive>,
    /// Requests per connection.
    pub keepalive_requests: u64,
    /// Longest life of a connection.
    pub keepalive_time: Duration,
    /// How long an idle connection is kept.
    pub keepalive_timeout: Duration,
    /// Whether it has a `zone`, without which nginx neither checks nor changes its peers.
    pub has_zone: bool,
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
    /// `slow_start=`; zero is none.
    pub slow_start: Duration,
    /// `route=`.
    pub route: Option<String>,
    /// `drain`: only clients that are bound to it reach it.
    pub drain: bool,
}

/// `keepalive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle connections kept per event loop.
    pub most: usize,
    /// Who may use a kept connection.
    pub kept_for: KeptFor,
}

/// Who may use a kept connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptFor {
    /// Every location that asks the group.
    Group,
    /// The location that opened it (`local`).
    Location,
}

/// `queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Requests that may wait at the same time.
    pub most: usize,
    /// How long one waits.
    pub timeout: Duration,
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
        keepalive: Option<Keepalive> = None, "keepalive" in U, once(KEEPALIVE);
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
        resolver_timeout: Option<Duration> = None, "resolver_timeout" in U, once(OPTIONAL_TIME);
        /// Chooses whoever has the fewest requests under way for its weight.
        least_conn: Vec<Balancing> = Vec::new(), "least_conn" in U, each(LEAST_CONN);
        /// Chooses whoever has answered quickest and has the fewest requests under way for its weight.
        least_time: Vec<Balancing> = Vec::new(), "least_time" in U, each(LEAST_TIME);
        /// Chooses by the client's address: three bytes of IPv4, all of IPv6.
        ip_hash: Vec<Balancing> = Vec::new(), "ip_hash" in U, each(IP_HASH);
        /// Chooses by a key.
        hash: Vec<Balancing> = Vec::new(), "hash" in U, each(HASH);
        /// Chooses by chance, or the better of two chosen so.
        random: Vec<Balancing> = Vec::new(), "random" in U, each(RANDOM);
        /// Sends a client to the server that it came to first.
        sticky: Option<Sticky> = None, "sticky" in U, once(STICKY);
        /// Has requests wait where no server can take them now.
        queue: Option<Queue> = None, "queue" in U, once(QUEUE);
    }
}

impl UpstreamSettings {
    /// Returns the method of the line that counts; without one, servers are asked in turn.
    pub fn balancing(&self, line: Option<&Directive>) -> Balancing {
        let written = match line.map(Directive::name).as_deref() {
            Some("least_conn") => &self.least_conn,
            Some("least_time") => &self.least_time,
            Some("ip_hash") => &self.ip_hash,
            Some("hash") => &self.hash,
            Some("random") => &self.random,
            _ => return Balancing::default(),
        };
        written.last().cloned().unwrap_or_default()
    }

    /// Makes the group.
    pub fn group(self, name: String, balancing: Balancing) -> UpstreamConf {
        UpstreamConf {
            name,
            servers: self.servers.into_inner(),
            balancing,
            sticky: self.sticky.into_inner(),
            queue: *self.queue,
            keepalive: *self.keepalive,
            keepalive_requests: *self.keepalive_requests,
            keepalive_time: *self.keepalive_time,
            keepalive_timeout: *self.keepalive_timeout,
            has_zone: self.zone.is_written(),
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
        settings.group(name, Balancing::default())
    }

    /// Makes the group of one plain address.
    pub fn implicit(name: String, addresses: Vec<PeerAddress>) -> Self {
        let server = UpstreamServer::new(name.clone(), addresses);
        Self { implicit: true, ..Self::new(name, vec![server]) }
    }

    /// Returns the name of the group of a plain address: one without a port has that of its scheme, so that it is told
    /// apart from the same host's in clear text.
    pub fn implicit_name(scheme: Scheme, address: &str) -> String {
        match (scheme, Address::parse(address, Lone::Host)) {
            (Scheme::Https, Ok(Address::Host { written, ports: None, .. })) => {
                format!("{written}:{}", scheme.default_port())
            }
            _ => address.to_owned(),
        }
    }

    /// Returns what a group of that name is found by: the case of hosts does not matter, that of paths does.
    pub fn key(name: &str) -> String {
        if name.starts_with("unix:") { name.to_owned() } else { name.to_ascii_lowercase() }
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
            slow_start: Duration::ZERO,
            route: None,
            drain: false,
        }
    }
}

const KEEPALIVE: Reader<Option<Keepalive>> = Reader::between(1, 2, "connections [local]", |directive, _| {
    let most = count(directive)?;
    let kept_for = match directive.args.get(1).map(|_| directive.text(1)).as_deref() {
        None => KeptFor::Group,
        Some("local") => KeptFor::Location,
        Some(other) => {
            let problem = directive.fail(1, format!("invalid parameter \"{other}\""));
            return Err(problem.with_help("accepted: \"local\""));
        }
    };
    Ok(Some(Keepalive { most, kept_for }))
});

const QUEUE: Reader<Option<Queue>> = Reader::between(1, 2, "number [timeout=time]", |directive, _| {
    let most = count(directive)?;
    let timeout = match directive.args.get(1).map(|_| directive.text(1)) {
        None => Some(Duration::from_secs(60)),
        Some(text) => text
            .strip_prefix("timeout=")
            .and_then(|time| parse_time(time.as_bytes(), Precision::Milliseconds)),
    };
    let invalid = || directive.fail(1, format!("invalid parameter \"{}\"", directive.text(1)));
    let timeout = timeout.ok_or_else(|| invalid().with_help("accepted: a time, as in timeout=70s"))?;
    Ok(Some(Queue { most, timeout }))
});

/// Reads a number of at least 1 that comes first.
fn count(directive: &Directive) -> Result<usize, Problem> {
    let count = parse_number(directive.bytes(0)).filter(|count| *count > 0);
    let message = || format!("invalid value \"{}\" in \"{}\" directive", directive.text(0), directive.name());
    count
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| directive.fail(0, message()).with_help("accepted: a number from 1"))
}

const ZONE: Reader<()> = Reader::between(1, 2, "name [size]", |directive, _| {
    let Some(size) = directive.args.get(1) else { return Ok(()) };
    let message = match parse_size(&size.text) {
        None => format!("invalid zone size \"{}\"", directive.text(1)),
        Some(size) if size < LEAST_ZONE_BYTES => format!("zone \"{}\" is too small", directive.text(0)),
        Some(_) => return Ok(()),
    };
    Err(directive.fail(1, message))
});

const SERVER: Reader<UpstreamServer> = Reader::many(
    "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [slow_start=time] \
     [route=string] [backup] [down] [drain] [resolve] [service=name]",
    server,
);

fn server(directive: &Directive, scope: &Scope<'_>) -> Result<UpstreamServer, Problem> {
    let name = directive.text(0).into_owned();
    let late = late_host(directive, DEFAULT_PORT)?;
    let mut server = UpstreamServer { late, ..UpstreamServer::new(name.clone(), Vec::new()) };
    for number in 1..directive.args.len() {
        parameter(&mut server, directive, number)?;
    }
    // As nginx: behind the parameters, since it may take its time.
    if server.late.is_none() {
        let found =
            addresses(directive, &name, DEFAULT_PORT, scope).map_err(|error| directive.fail(0, error))?;
        let UpstreamServer { addresses, late, .. } = UpstreamServer::new(name, found);
        server = UpstreamServer { addresses, late, ..server };
    }
    Ok(server)
}

/// Port of a server without one.
const DEFAULT_PORT: u16 = 80;

/// Finds the addresses of an upstream server, or says in nginx's words why there are none. With
/// `resolver_startup lenient`, none is no error.
pub fn addresses(
    directive: &Directive,
    text: &str,
    default_port: u16,
    scope: &Scope<'_>,
) -> Result<Vec<PeerAddress>, String> {
    let wrong = |error| format!("{error} in upstream \"{text}\"");
    match Address::parse(text, Lone::Host).map_err(wrong)? {
        Address::Unix(path) => Ok(vec![PeerAddress::Unix(path)]),
        Address::Host { ports: Some((first, last)), .. } if first != last => {
            Err(format!("invalid port in upstream \"{text}\""))
        }
        Address::Host { host, ports, .. } => {
            let port = ports.map_or(default_port, |(port, _)| port);
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

const PARAMETERS: [&str; 11] = [
    "weight=",
    "max_conns=",
    "max_fails=",
    "fail_timeout=",
    "slow_start=",
    "route=",
    "backup",
    "down",
    "drain",
    "resolve",
    "service=",
];

fn parameter(server: &mut UpstreamServer, directive: &Directive, number: usize) -> Result<(), Problem> {
    let text = directive.text(number);
    let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
    let invalid = || directive.fail(number, format!("invalid parameter \"{text}\""));
    let count = |text: &str| {
        let count = parse_number(text.as_bytes()).and_then(|count| u32::try_from(count).ok());
        count.ok_or_else(|| invalid().with_help(format!("{name} takes a number")))
    };
    let time = |text: &str| {
        let time = parse_time(text.as_bytes(), Precision::Seconds);
        time.ok_or_else(|| invalid().with_help(format!("{name} takes a time: 10s")))
    };
    match (name, value) {
        ("weight", Some("0")) => return Err(invalid().with_help("a weight is at least 1")),
        ("weight", Some(text)) => server.weight = count(text)?,
        ("max_conns", Some(text)) => server.max_conns = count(text)?,
        ("max_fails", Some(text)) => server.max_fails = count(text)?,
        ("fail_timeout", Some(text)) => server.fail_timeout = time(text)?,
        ("slow_start", Some(text)) => server.slow_start = time(text)?,
        ("route", Some(text)) if !text.is_empty() => server.route = Some(text.to_owned()),
        ("backup", None) => server.backup = true,
        ("down", None) => server.down = true,
        ("drain", None) => server.drain = true,
        // They were read before all else.
        ("resolve", None) | ("service", Some(_)) => {}
        _ => return Err(invalid().with_help(accepted(name, PARAMETERS.into_iter()))),
    }
    Ok(())
}
