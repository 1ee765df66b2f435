//! Which server a name belongs to.

use std::{collections::HashMap, sync::Arc};

use crate::{
    regex::{Captures, Regex},
    tree::ServerConf,
};

/// One name of a server.
#[derive(Debug, Clone)]
pub enum ServerName {
    /// The very name, lower-case.
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

/// Servers of one address by name.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    exact: HashMap<Vec<u8>, Arc<ServerConf>>,
}

/// A server that has a name.
#[derive(Debug, Clone)]
pub struct NameMatch<'a> {
    /// The server.
    pub server: &'a Arc<ServerConf>,
    /// What its expression caught.
    pub captures: Option<Captures>,
}

impl NameTable {
    /// Finds the server of a host, given in lower case and without port.
    pub fn find(&self, host: &[u8]) -> Option<NameMatch<'_>> {
        self.exact.get(host).map(|server| NameMatch { server, captures: None })
    }
}
