//! Which server a name belongs to. Pure: tables are made once, and asked for each request.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    regex::{Captures, Regex},
    tree::ServerConf,
};

/// One name of a server.
#[derive(Debug, Clone)]
pub enum ServerName {
    /// The very name, lower-case; empty is a request without one.
    Exact(String),
    /// `*.example.com`: kept as `example.com`.
    Leading(String),
    /// `.example.com`: the name and all below it; kept as `example.com`.
    Dotted(String),
    /// `www.example.*`: kept as `www.example`.
    Trailing(String),
    /// `~`.
    Regex(Regex),
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Leading(name) => write!(f, "*.{name}"),
            Self::Dotted(name) => write!(f, ".{name}"),
            Self::Trailing(name) => write!(f, "{name}.*"),
            Self::Regex(regex) => write!(f, "~{}", regex.as_str()),
        }
    }
}

/// Servers of one address by name.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    exact: HashMap<Vec<u8>, Arc<ServerConf>>,
    leading: HashMap<Vec<u8>, Arc<ServerConf>>,
    trailing: HashMap<Vec<u8>, Arc<ServerConf>>,
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

/// A name that another server of the address has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameConflict;

impl NameTable {
    /// Adds a name; the first server to have it keeps it.
    pub fn add(&mut self, name: &ServerName, server: &Arc<ServerConf>) -> Result<(), NameConflict> {
        let (table, key) = match name {
            ServerName::Exact(name) => (&mut self.exact, name),
            ServerName::Leading(name) => (&mut self.leading, name),
            ServerName::Trailing(name) => (&mut self.trailing, name),
            ServerName::Dotted(name) => {
                self.add(&ServerName::Exact(name.clone()), server)?;
                (&mut self.leading, name)
            }
            ServerName::Regex(regex) => {
                self.regexes.push((regex.clone(), Arc::clone(server)));
                return Ok(());
            }
        };
        if table.contains_key(key.as_bytes()) {
            return Err(NameConflict);
        }
        table.insert(key.clone().into_bytes(), Arc::clone(server));
        Ok(())
    }

    /// Finds the server of a host, given in lower case and without port.
    ///
    /// As nginx: the very name, the longest name behind `*.`, the longest before `.*`, the first expression.
    pub fn find(&self, host: &[u8]) -> Option<NameMatch<'_>> {
        let plain =
            self.exact.get(host).or_else(|| self.behind_star(host)).or_else(|| self.before_star(host));
        if let Some(server) = plain {
            return Some(NameMatch { server, captures: Captures::default() });
        }
        // As nginx: a request without a host matches no expression.
        self.regexes
            .iter()
            .filter(|_| !host.is_empty())
            .find_map(|(regex, server)| regex.captures(host).map(|captures| NameMatch { server, captures }))
    }

    fn behind_star(&self, host: &[u8]) -> Option<&Arc<ServerConf>> {
        if self.leading.is_empty() {
            return None;
        }
        memchr::memchr_iter(b'.', host)
            .filter(|dot| *dot > 0)
            .find_map(|dot| self.leading.get(&host[dot + 1..]))
    }

    fn before_star(&self, host: &[u8]) -> Option<&Arc<ServerConf>> {
        if self.trailing.is_empty() {
            return None;
        }
        memchr::memrchr_iter(b'.', host).find_map(|dot| self.trailing.get(&host[..dot]))
    }
}
