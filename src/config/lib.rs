//! nginx's configuration language: text to a typed tree.
//!
//! ```text
//! bytes ─lex→ tokens ─parse→ directives ─rows→ tree as written ─inherit→ tree ─resolve→ Config
//! ```
//!
//! Reads files, opens nothing else, asks names only through [`HostLookup`], and knows no clock.

mod address;
mod blocks;
mod check;
mod definitions;
mod diagnostic;
mod directives;
mod flags;
mod hosts;
mod inheritance;
mod known;
mod lex;
mod locations;
mod map;
mod names;
mod networks;
pub mod offline;
mod parse;
mod places;
mod ranges;
mod regex;
mod resolve;
mod scope;
mod settings;
mod source;
mod split;
mod suggest;
mod template;
mod tree;
mod values;
mod variable;

use std::{io, net::SocketAddr};

use crate::{
    parse::parse_all,
    scope::Scope,
    source::{Problem, Span, Texts},
};

pub use crate::{
    diagnostic::{Diagnostic, Level, Place},
    directives::{
        balancing::{Balancing, Better, LeastTime, Measure},
        cache::{
            CacheConf, CacheName, CacheRules, CacheZone, MethodSet, StoredCookies, ValidRule, ValidStatus,
        },
        cache_path::{CachePath, EvictionOrder, Fsync, Verify},
        computed::Computed,
        condition::{Condition, FileTest, Test},
        core::{
            BodyInFile, Buffers, CoreConf, IfModifiedSince, KeepaliveDisable, KeepaliveTimeout,
            LingeringClose, Root, ServerTokens, TempPath, TypesTable,
        },
        error_page::{ErrorPage, ErrorTarget, Overwrite},
        events::EventsConf,
        failures::{Failures, NextUpstream, UseStale},
        fill_abandoned::FillAbandoned,
        geo::{ForwardedTrust, GeoConf, GeoTable},
        gzip::{GzipConf, GzipDisable, GzipProxied, GzipVersion},
        headers::{AddHeader, Expires, HeadersConf, Sign},
        health_check::{AtFirst, HealthCheck},
        http2::Http2Conf,
        late_host::{LateHost, LateLookup},
        log::{AccessLog, AccessLogs, LogConf, LogEscape, LogFormat, LogLevel, LogSink, LogTarget},
        main::{Affinity, EnvVar, MainConf, UserSpec, WorkerCount},
        map::{Lifetime, MapConf, MapSubject},
        match_block::{HeaderTest, MatchConf, MatchTest, Wanted},
        media_types::MediaTypes,
        proxy::{HttpVersion, IgnoreHeaders, ProxyConf, SetHeader},
        proxy_socket::{BindFrom, ProxyBind, ProxySocketConf, Transparency, parse_local_address},
        proxy_ssl::ProxySslConf,
        resolver::{Families, NameServers, ResolverConf, Startup},
        rewrite::{AfterRewrite, If, Replacement, Rewrite, RewriteConf, RewriteStep, SetTarget},
        server::ServerCore,
        session_cache::{OwnCache, SessionCache, SharedCache},
        slice::SliceConf,
        split_clients::SplitConf,
        ssi::SsiConf,
        ssl::{Ocsp, SslConf, VerifyClient},
        ssl_values::{CertificateCache, ConfCommand, SslProtocols},
        sticky::{CookieExpires, SessionBegins, Sticky, StickyCookie, StickyLearn},
        store::Store,
        try_files::{Fallback, TriedFile, TriedKind, TryFiles},
        upstream::{Keepalive, KeptFor, PeerAddress, Queue, UpstreamConf, UpstreamServer},
        value_rules::{CookieFlags, CookieFlagsRule, CookieName, ValuePattern, ValueRule},
    },
    flags::{Flags, Placed},
    hosts::HostPattern,
    locations::{Found, LocationTable},
    map::{MapTable, Mapped},
    names::{NameMatch, NameTable, ServerName},
    networks::{Network, address_of},
    places::Places,
    regex::{Captures, Case, GaveUp, InvalidRegex, Regex},
    settings::{Arity, Levels, RowDoc, Setting},
    source::{MainText, Source, SourceFile, system_words},
    suggest::did_you_mean,
    template::{Part, Template, VariableSource},
    tree::{
        Config, Content, HttpConf, ListenAddress, ListenConf, ListenProtocols, LocationConf, LocationName,
        ProxyPass, ProxyTarget, Return, ReturnWith, Scheme, ServerConf, SocketKeepalive, SocketOptions,
    },
    values::{SizeValue, parse_size},
    variable::{Slot, SslVariable, Unset, UpstreamVariable, Variable},
};

/// What this package asks of the machine, so that it opens no socket itself.
pub trait HostLookup {
    /// Returns the addresses of `host`, each with `port`.
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Returns the machine's name (`server_name $hostname`).
    fn hostname(&self) -> String;

    /// Says what speaks against running workers as this user; nothing where nobody will be run at all.
    fn check_user(&self, _spec: &UserSpec) -> Result<(), InvalidUser> {
        Ok(())
    }
}

/// Why workers cannot run as a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidUser {
    /// Only root can change who it is: the wish is ignored.
    NotRoot,
    /// Nobody has this name.
    NoUser,
    /// No group has this name.
    NoGroup,
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
///
/// What is wrong comes in the order in which nginx, which stops at the first of it, would find it.
pub fn load(source: &Source, lookup: &dyn HostLookup) -> Result<Loaded, Vec<Diagnostic>> {
    let mut texts = Texts::open(source).map_err(|message| vec![Diagnostic::bare(message)])?;
    let mut problems = Vec::new();
    let directives = parse_all(&mut texts, &mut problems);
    let mut scope = Scope::new(source, &texts, lookup);
    let config = blocks::config(&directives, &mut scope);
    problems.append(scope.problems.get_mut());
    let is_wrong = problems.iter().any(|problem| problem.level == Level::Emerg);
    let http = directives.iter().find(|directive| directive.is("http"));
    let whole = http.map_or(Span::NOWHERE, |http| http.end);
    let told = told(&texts, texts.in_order(problems, whole));
    if is_wrong { Err(told) } else { Ok(Loaded { config, files: texts.into_files(), warnings: told }) }
}

/// Errors and warnings that are shown of each kind: whoever has more gains nothing by reading them all.
const SHOWN_MAX: usize = 50;

/// Makes what is shown of all that is wrong.
fn told(texts: &Texts, problems: Vec<Problem>) -> Vec<Diagnostic> {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.level == Level::Emerg);
    let mut told = Vec::new();
    for (problems, what) in [(errors, "errors"), (warnings, "warnings")] {
        let left_out = problems.len().saturating_sub(SHOWN_MAX);
        let level = problems.first().map_or(Level::Warn, |problem| problem.level);
        told.extend(problems.into_iter().take(SHOWN_MAX).map(|problem| texts.diagnose(problem)));
        if left_out > 0 {
            let message = format!("{left_out} more {what} are not shown");
            told.push(Diagnostic { level, ..Diagnostic::bare(message) });
        }
    }
    told
}

/// Lists all directives, for the documentation.
pub fn rows() -> impl Iterator<Item = RowDoc> {
    directives::rows().map(|row| RowDoc { about: row.about.trim_ascii_start(), ..row })
}

#[cfg(test)]
mod tests;
