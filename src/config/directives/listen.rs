//! `listen`: addresses of a server and options of their sockets.

use std::net::SocketAddr;

use crate::{
    address::{Address, Lone, resolve},
    parse::Directive,
    scope::Scope,
    source::Problem,
    tree::{ListenAddress, ListenProtocols, SocketKeepalive, SocketOptions},
    values::{Precision, accepted, parse_number, parse_size, parse_time},
};

/// How `listen` is written.
pub const SYNTAX: &str = "address[:port] | port | unix:path [default_server] [ssl] [http2] [bind] [backlog=number] [reuseport] \
                          [ipv6only=on|off] [so_keepalive=on|off|[keepidle]:[keepintvl]:[keepcnt]] [rcvbuf=size] \
                          [sndbuf=size] [deferred] [fastopen=number]";

/// Port where only a host is written.
const DEFAULT_PORT: u16 = 80;

/// One `listen`.
#[derive(Debug, Clone)]
pub struct Listen {
    /// All addresses that its host and ports mean.
    pub addresses: Vec<ListenAddress>,
    /// Options; absent where none is written, since only one `listen` of an address may have some.
    pub options: Option<SocketOptions>,
    /// What is spoken.
    pub protocols: ListenProtocols,
    /// `default_server`.
    pub default_server: bool,
}

/// Reads `listen`.
pub fn listen(directive: &Directive, scope: &Scope<'_>) -> Result<Listen, Problem> {
    let mut listen = Listen {
        addresses: addresses(directive, scope)?,
        options: None,
        protocols: ListenProtocols::default(),
        default_server: false,
    };
    for number in 1..directive.args.len() {
        parameter(&mut listen, directive, number, scope)?;
    }
    Ok(listen)
}

/// Makes the `listen` of a server that has none.
pub fn default_listen() -> Listen {
    let address = ListenAddress::Inet(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)));
    Listen {
        addresses: vec![address],
        options: None,
        protocols: ListenProtocols::default(),
        default_server: false,
    }
}

fn addresses(directive: &Directive, scope: &Scope<'_>) -> Result<Vec<ListenAddress>, Problem> {
    let text = directive.text(0);
    let wrong = |error| directive.fail(0, format!("{error} in \"{text}\" of the \"listen\" directive"));
    match Address::parse(&text, Lone::Port).map_err(wrong)? {
        Address::Unix(path) => Ok(vec![ListenAddress::Unix(path)]),
        Address::Host { host, ports, .. } => {
            let (first, last) = ports.unwrap_or((DEFAULT_PORT, DEFAULT_PORT));
            let found = resolve(&host, first, scope.lookup).map_err(wrong)?;
            let at = |address: &SocketAddr, port| ListenAddress::Inet(SocketAddr::new(address.ip(), port));
            Ok(found.iter().flat_map(|address| (first..=last).map(move |port| at(address, port))).collect())
        }
    }
}

const PARAMETERS: [&str; 13] = [
    "default_server",
    "ssl",
    "http2",
    "bind",
    "backlog=",
    "reuseport",
    "ipv6only=",
    "so_keepalive=",
    "rcvbuf=",
    "sndbuf=",
    "deferred",
    "fastopen=",
    "default",
];

/// Parameters of nginx that are not here yet.
const LATER: [&str; 4] = ["quic", "proxy_protocol", "setfib", "multipath"];

fn parameter(
    listen: &mut Listen,
    directive: &Directive,
    number: usize,
    scope: &Scope<'_>,
) -> Result<(), Problem> {
    let text = directive.text(number);
    let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
    if LATER.contains(&name) {
        let message = format!("the \"{name}\" parameter of the \"listen\" directive is not supported yet");
        return Err(directive.fail(number, message));
    }
    // These are no options of a socket, so that several `listen`s of an address may have them.
    match (name, value) {
        ("default_server" | "default", None) => {
            listen.default_server = true;
            return Ok(());
        }
        ("ssl", None) => {
            listen.protocols.ssl = true;
            return Ok(());
        }
        ("http2", None) => {
            listen.protocols.http2 = true;
            let message =
                "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead";
            scope.report(Problem::warning(directive.args[number].span, message));
            return Ok(());
        }
        _ => {}
    }
    let options = listen.options.get_or_insert_default();
    options.bind = true;
    let invalid = |what: &str| directive.fail(number, format!("invalid {what} \"{text}\""));
    let bytes = |text: &str| parse_size(text.as_bytes()).and_then(|size| usize::try_from(size).ok());
    match (name, value) {
        ("bind", None) => {}
        ("reuseport", None) => options.reuseport = true,
        ("deferred", None) => options.deferred = true,
        ("backlog", Some(text)) => {
            let count = count(text).filter(|count| *count > 0);
            options.backlog = Some(count.ok_or_else(|| invalid("backlog"))?);
        }
        ("fastopen", Some(text)) => {
            options.fastopen = Some(count(text).ok_or_else(|| invalid("fastopen"))?);
        }
        ("rcvbuf", Some(text)) => options.rcvbuf = Some(bytes(text).ok_or_else(|| invalid("rcvbuf"))?),
        ("sndbuf", Some(text)) => options.sndbuf = Some(bytes(text).ok_or_else(|| invalid("sndbuf"))?),
        ("ipv6only", Some("on")) => options.ipv6only = Some(true),
        ("ipv6only", Some("off")) => options.ipv6only = Some(false),
        ("ipv6only", Some(_)) => {
            return Err(invalid("parameter").with_help("ipv6only is \"on\" or \"off\""));
        }
        ("so_keepalive", Some(text)) => {
            let keepalive = so_keepalive(text);
            let wrong = || directive.fail(number, format!("invalid so_keepalive value: \"{text}\""));
            options.so_keepalive = Some(keepalive.ok_or_else(wrong)?);
        }
        _ => {
            let help = accepted(name, PARAMETERS.into_iter());
            return Err(directive.fail(number, format!("invalid parameter \"{text}\"")).with_help(help));
        }
    }
    Ok(())
}

fn count(text: &str) -> Option<i32> {
    parse_number(text.as_bytes()).and_then(|count| i32::try_from(count).ok())
}

/// Reads `on`, `off`, or `[idle]:[interval]:[count]` with at least one of them.
fn so_keepalive(text: &str) -> Option<SocketKeepalive> {
    let (idle, interval, probes) = match text {
        "off" => return Some(SocketKeepalive::Off),
        "on" => ("", "", ""),
        ":" | "::" => return None,
        _ => {
            let mut pieces = text.split(':');
            (pieces.next()?, pieces.next()?, pieces.next().unwrap_or_default())
        }
    };
    let seconds = |text: &str| match text {
        "" => Some(None),
        text => {
            let time = parse_time(text.as_bytes(), Precision::Seconds)?.as_secs();
            u32::try_from(time).ok().filter(|time| *time > 0).map(Some)
        }
    };
    let count = match probes {
        "" => None,
        text => Some(count(text).and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0)?),
    };
    Some(SocketKeepalive::On { idle_s: seconds(idle)?, interval_s: seconds(interval)?, count })
}
