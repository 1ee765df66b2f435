//! nginx's configuration language: text to a typed tree.
//!
//! ```text
//! bytes ─lex→ tokens ─parse→ directives ─rows→ tree as written ─inherit→ tree ─resolve→ Config
//! ```
//!
//! Reads files, opens nothing else, asks names only through [`HostLookup`], and knows no clock.

mod directives;
mod locations;
mod names;
mod parse;
mod regex;
mod scope;
mod settings;
mod source;
mod template;
mod tree;
mod values;
mod variable;

use std::{io, net::SocketAddr};

pub use crate::{
    directives::{
        cache::{CacheConf, CacheZone, MethodSet, UseStale, ValidRule, ValidStatus},
        cache_path::CachePath,
        core::{
            BodyInFile, Buffers, CoreConf, IfModifiedSince, KeepaliveDisable, KeepaliveTimeout,
            LingeringClose, Root, ServerTokens, TempPath, TypesTable,
        },
        error_page::{ErrorPage, ErrorTarget, Overwrite},
        events::EventsConf,
        headers::{AddHeader, Expires, HeadersConf, Sign},
        log::{AccessLog, LogConf, LogEscape, LogFormat, LogLevel, LogSink, LogTarget},
        main::{Affinity, EnvVar, MainConf, UserSpec, WorkerCount},
        proxy::{HttpVersion, IgnoreHeaders, NextUpstream, ProxyConf, RedirectFrom, RedirectRule, SetHeader},
        server::ServerCore,
        upstream::{PeerAddress, UpstreamConf, UpstreamServer},
    },
    locations::{Found, LocationTable},
    names::{NameMatch, NameTable, ServerName},
    regex::{Captures, Case, InvalidRegex, Regex},
    settings::{Levels, RowDoc, Setting},
    source::{Diagnostic, Level, MainText, Source, SourceFile},
    template::{Part, Template, VariableSource},
    tree::{
        Config, Content, HttpConf, ListenAddress, ListenConf, LocationConf, LocationName, ProxyPass,
        ProxyTarget, Return, ReturnWith, RewriteOp, ServerConf, SocketKeepalive, SocketOptions,
    },
    variable::Variable,
};

/// Finds the addresses of a host, so that this package asks no network.
pub trait HostLookup {
    /// Returns the addresses of `host`, each with `port`.
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// All texts, in the order they were read (`-T`).
    pub files: Vec<SourceFile>,
    /// What is odd about it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a configuration, or says all that is wrong with it.
pub fn load(source: &Source, lookup: &dyn HostLookup) -> Result<Loaded, Vec<Diagnostic>> {
    let _ = (source, lookup);
    Err(Vec::new())
}

/// Lists all directives, for the documentation.
pub fn rows() -> impl Iterator<Item = RowDoc> {
    std::iter::empty()
}
