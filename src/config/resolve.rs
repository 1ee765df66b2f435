//! Servers to listeners: who answers on which address, by which name.

use std::sync::Arc;

use crate::{
    directives::listen::Listen,
    names::NameTable,
    scope::Scope,
    source::{Met, Problem, Span},
    tree::{ListenAddress, ListenConf, ListenProtocols, ServerConf, SocketOptions},
};

/// A server and what it listens on.
pub struct Listening {
    /// The server.
    pub server: Arc<ServerConf>,
    /// Its `listen`s, and where they stand.
    pub listens: Vec<(Listen, Span)>,
    /// Where the server stands.
    pub place: Span,
}

/// An address while its servers are gathered.
struct Gathered<'a> {
    address: ListenAddress,
    options: Option<SocketOptions>,
    protocols: ListenProtocols,
    /// What the last `listen` that took some away, or none at all, says of protocols.
    settled: Option<ListenProtocols>,
    /// Whether `listen`s differed in protocols so far.
    changed: bool,
    default_server: Option<&'a Listening>,
    servers: Vec<&'a Listening>,
}

/// Makes the listeners of all servers, in order of appearance.
pub fn listeners(servers: &[Listening], scope: &Scope<'_>) -> Vec<ListenConf> {
    let mut gathered: Vec<Gathered<'_>> = Vec::new();
    for listening in servers {
        for (listen, place) in &listening.listens {
            for address in &listen.addresses {
                scope.settle(gather(&mut gathered, listening, listen, address, *place, scope));
            }
        }
    }
    gathered.into_iter().map(|address| address.finish(scope)).collect()
}

fn gather<'a>(
    gathered: &mut Vec<Gathered<'a>>,
    listening: &'a Listening,
    listen: &Listen,
    address: &ListenAddress,
    place: Span,
    scope: &Scope<'_>,
) -> Result<(), Problem> {
    let number = gathered.iter().position(|known| known.address == *address).unwrap_or_else(|| {
        let address = address.clone();
        gathered.push(Gathered {
            address,
            options: None,
            protocols: listen.protocols,
            settled: None,
            changed: false,
            default_server: None,
            servers: Vec::new(),
        });
        gathered.len() - 1
    });
    let known = &mut gathered[number];
    if known.servers.iter().any(|server| Arc::ptr_eq(&server.server, &listening.server)) {
        return Err(Problem::new(place, format!("a duplicate listen {address}")));
    }
    if !known.servers.is_empty() && known.redefines(listen) {
        scope.report(Problem::warning(place, format!("protocol options redefined for {address}")));
    }
    known.servers.push(listening);
    if let Some(options) = &listen.options
        && known.options.replace(options.clone()).is_some()
    {
        let problem = Problem::new(place, format!("duplicate listen options for {address}"));
        return Err(problem.with_help("write the options at one of the servers only"));
    }
    if listen.default_server && known.default_server.replace(listening).is_some() {
        return Err(Problem::new(place, format!("a duplicate default server for {address}")));
    }
    Ok(())
}

impl Gathered<'_> {
    /// Adds the protocols of another `listen`; says whether it is odd that they differ.
    ///
    /// As nginx: of two, one may say what the other leaves out, unless it has options of the socket where the other's hold.
    fn redefines(&mut self, listen: &Listen) -> bool {
        let (before, now) = (self.protocols, listen.protocols);
        self.protocols = before.or(now);
        if self.protocols != before {
            let is_odd =
                (self.options.is_some() && listen.options.is_none()) || self.changed || self.protocols != now;
            self.changed = true;
            return is_odd;
        }
        let differs = self.settled.replace(now).is_some_and(|settled| settled != now);
        if now == before {
            return differs || (listen.options.is_some() && self.changed);
        }
        self.changed = true;
        differs || listen.options.is_some()
    }

    fn finish(self, scope: &Scope<'_>) -> ListenConf {
        let mut names = NameTable::default();
        for listening in &self.servers {
            for name in &listening.server.names {
                if names.add(name, &listening.server).is_err() {
                    let message = format!("conflicting server name \"{name}\" on {}, ignored", self.address);
                    scope.report(Problem::warning(listening.place, message));
                }
            }
        }
        let first = self.servers.first().expect("an address comes with a server");
        let default = self.default_server.unwrap_or(first);
        scope.settle(self.check_certificates(default));
        ListenConf {
            default_server: Arc::clone(&default.server),
            protocols: self.protocols,
            socket: self.options.unwrap_or_default(),
            names,
            address: self.address,
        }
    }

    /// As nginx: servers without a certificate borrow that of the default server; where that one only rejects handshakes,
    /// all must have one or reject too.
    fn check_certificates(&self, default: &Listening) -> Result<(), Problem> {
        let is_ready = |listening: &&Listening| listening.server.ssl.is_ready();
        if !self.protocols.ssl || !default.server.ssl.certificate.is_empty() {
            return Ok(());
        }
        let lacking = if is_ready(&default) {
            self.servers.iter().find(|server| !is_ready(server))
        } else {
            Some(&default)
        };
        lacking.map_or(Ok(()), |listening| {
            let message = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
            Err(Problem::new(listening.place, message).met(Met::Listening))
        })
    }
}
