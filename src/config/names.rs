//! Which server a name belongs to. Pure: tables are made once, and asked for each request.

use std::{fmt, sync::Arc};

use crate::{
    hosts::{HostPattern, HostTable, HostTaken},
    regex::{Captures, GaveUp, Regex},
    tree::ServerConf,
};

/// One name of a server.
#[derive(Debug, Clone)]
pub enum ServerName {
    /// A name, perhaps with a wildcard.
    Host(HostPattern),
    /// `~`.
    Regex(Regex),
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(pattern) => pattern.fmt(f),
            Self::Regex(regex) => write!(f, "~{}", regex.as_str()),
        }
    }
}

/// Servers of one address by name.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    hosts: HostTable<Arc<ServerConf>>,
    regexes: Vec<(Regex, Arc<ServerConf>)>,
}

/// A server that has a name.
#[derive(Debug, Clone)]
pub struct NameMatch<'a> {
    /// The server.
    pub server: &'a Arc<ServerConf>,
    /// What its expression caught; empty without one.
    pub captures: Captures,
}

impl NameTable {
    /// Adds a name; the first server to have it keeps it.
    pub fn add(&mut self, name: &ServerName, server: &Arc<ServerConf>) -> Result<(), HostTaken> {
        match name {
            ServerName::Host(pattern) => self.hosts.insert(pattern, Arc::clone(server)),
            ServerName::Regex(regex) => {
                self.regexes.push((regex.clone(), Arc::clone(server)));
                Ok(())
            }
        }
    }

    /// Finds the server of a host, given in lower case and without port.
    ///
    /// As nginx: a name or the longest wildcard, then the first expression.
    ///
    /// # Errors
    /// An expression gave up, so that nobody knows which server it is.
    pub fn find(&self, host: &[u8]) -> Result<Option<NameMatch<'_>>, GaveUp> {
        if let Some(server) = self.hosts.find(host) {
            return Ok(Some(NameMatch { server, captures: Captures::default() }));
        }
        // As nginx: a request without a host matches no expression.
        for (regex, server) in self.regexes.iter().filter(|_| !host.is_empty()) {
            if let Some(captures) = regex.captures(host)? {
                return Ok(Some(NameMatch { server, captures }));
            }
        }
        Ok(None)
    }
}
