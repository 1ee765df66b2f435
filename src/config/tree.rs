//! The typed configuration: main, events, http, servers, locations.
//!
//! It knows nothing of nginx's syntax, so that another language can be read into it.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use crate::{
    directives::{
        cache::CacheConf,
        cache_path::CachePath,
        computed::Computed,
        core::CoreConf,
        events::EventsConf,
        gzip::GzipConf,
        headers::HeadersConf,
        health_check::HealthCheck,
        http2::Http2Conf,
        log::{LogConf, LogFormat},
        main::MainConf,
        proxy::ProxyConf,
        proxy_socket::ProxySocketConf,
        proxy_ssl::ProxySslConf,
        resolver::ResolverConf,
        rewrite::{RewriteConf, RewriteStep},
        server::ServerCore,
        slice::SliceConf,
        ssi::SsiConf,
        ssl::SslConf,
        try_files::TryFiles,
        upstream::UpstreamConf,
        value_rules::ValueRule,
    },
    locations::LocationTable,
    names::{NameTable, ServerName},
    places::Places,
    regex::Regex,
    template::Template,
    variable::Variable,
};

/// A whole configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Directives outside all blocks.
    pub main: MainConf,
    /// `events`.
    pub events: EventsConf,
    /// `http`.
    pub http: Option<HttpConf>,
}

/// `http`.
#[derive(Debug, Clone, Default)]
pub struct HttpConf {
    /// Addresses to listen on, each with the servers behind it.
    pub listeners: Vec<ListenConf>,
    /// All servers.
    pub servers: Vec<Arc<ServerConf>>,
    /// All groups, those that stand for a plain `proxy_pass` address included.
    pub upstreams: Vec<Arc<UpstreamConf>>,
    /// All caches.
    pub zones: Vec<Arc<CachePath>>,
    /// All log formats.
    pub log_formats: Vec<Arc<LogFormat>>,
    /// What makes variables of others, by the number that [`Unset::Computed`](crate::Unset) has.
    pub computed: Vec<Computed>,
    /// What holds where no server is known yet.
    pub defaults: Arc<LocationConf>,
    /// Directory of the main file: relative names of certificates that begin with a variable start from it.
    pub directory: PathBuf,
    /// How many locations there are: [`LocationConf::id`] is below it.
    pub location_count: usize,
    /// Whether connections to upstreams may come from addresses that are not the machine's (`proxy_bind transparent`).
    pub binds_transparently: bool,
    /// Variables that the configuration defines, by name.
    pub defined: BTreeMap<String, Variable>,
}

impl HttpConf {
    /// Finds a variable by its name without `$`.
    pub fn variable(&self, name: &str) -> Option<Variable> {
        self.defined.get(name).cloned().or_else(|| Variable::named(name))
    }

    /// Lists everything that has an id: locations, those within others and behind an `if` too, and what holds outside.
    pub fn all_locations(&self) -> Vec<&Arc<LocationConf>> {
        fn gather<'a>(table: &'a LocationTable, found: &mut Vec<&'a Arc<LocationConf>>) {
            for location in table.iter() {
                found.push(location);
                found.extend(location.conditional());
                gather(&location.nested, found);
            }
        }
        let mut found = vec![&self.defaults];
        for server in &self.servers {
            found.push(&server.defaults);
            gather(&server.locations, &mut found);
        }
        found
    }
}

/// An address to listen on.
#[derive(Debug, Clone)]
pub struct ListenConf {
    /// The address.
    pub address: ListenAddress,
    /// Options of its socket.
    pub socket: SocketOptions,
    /// What is spoken there beside HTTP/1 in clear text.
    pub protocols: ListenProtocols,
    /// Server of requests whose name no other has.
    pub default_server: Arc<ServerConf>,
    /// Servers by name.
    pub names: NameTable,
}

/// What `listen` says of protocols: what one of an address's `listen`s says holds for all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenProtocols {
    /// `ssl`: all connections are over TLS.
    pub ssl: bool,
    /// `http2`, which nginx no longer likes: HTTP/2 whichever server is asked for.
    pub http2: bool,
}

impl ListenProtocols {
    /// Joins what two `listen`s say.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { ssl: self.ssl || other.ssl, http2: self.http2 || other.http2 }
    }
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An address and port.
    Inet(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Options of a listening socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// `backlog=`; absent means the system's largest (nginx: 511).
    pub backlog: Option<i32>,
    /// `reuseport`.
    pub reuseport: bool,
    /// `ipv6only=`; absent means on.
    pub ipv6only: Option<bool>,
    /// `so_keepalive=`; absent means the system's.
    pub so_keepalive: Option<SocketKeepalive>,
    /// `rcvbuf=`, in bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=`, in bytes.
    pub sndbuf: Option<usize>,
    /// `deferred`.
    pub deferred: bool,
    /// `fastopen=`.
    pub fastopen: Option<i32>,
    /// `bind`, or an option that implies it: a socket of its own though a wildcard has the port too.
    pub bind: bool,
}

/// `so_keepalive=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKeepalive {
    /// Off.
    Off,
    /// On, with what is given in seconds and counts.
    On {
        /// Idle time before the first probe.
        idle_s: Option<u32>,
        /// Time between probes.
        interval_s: Option<u32>,
        /// Probes before giving up.
        count: Option<u32>,
    },
}

/// `server`.
#[derive(Debug, Clone)]
pub struct ServerConf {
    /// All names.
    pub names: Vec<ServerName>,
    /// `$server_name`: the first of them as written, empty where there is none.
    pub first_name: String,
    /// What is asked before a location is known.
    pub core: ServerCore,
    /// TLS towards clients.
    pub ssl: SslConf,
    /// Where that is written.
    pub ssl_places: Places,
    /// HTTP/2 towards clients.
    pub http2: Http2Conf,
    /// Addresses it listens on.
    pub listen: Vec<ListenAddress>,
    /// What holds before a location is found.
    pub defaults: Arc<LocationConf>,
    /// Its locations.
    pub locations: LocationTable,
}

/// `location`, or what holds outside of any.
#[derive(Debug, Clone, Default)]
pub struct LocationConf {
    /// Number, unique in a configuration and below [`HttpConf::location_count`].
    pub id: usize,
    /// What it matches.
    pub name: LocationName,
    /// Bytes of a path that the `alias` in force replaces; absent where it replaces all. An inherited `alias` replaces
    /// what the location it stands in matches.
    pub alias_len: Option<usize>,
    /// Whether only internal redirects may enter.
    pub internal: bool,
    /// Limits, files, connections.
    pub core: CoreConf,
    /// How requests are passed on.
    pub proxy: ProxyConf,
    /// Sockets of connections to upstreams.
    pub proxy_socket: ProxySocketConf,
    /// TLS towards upstreams.
    pub proxy_ssl: ProxySslConf,
    /// Where that is written.
    pub proxy_ssl_places: Places,
    /// What is stored.
    pub cache: CacheConf,
    /// Who knows the addresses of names.
    pub resolver: ResolverConf,
    /// Fields added to answers.
    pub headers: HeadersConf,
    /// What is compressed.
    pub gzip: GzipConf,
    /// What pages include.
    pub ssi: SsiConf,
    /// In which slices answers are asked for.
    pub slice: SliceConf,
    /// What is logged.
    pub log: LogConf,
    /// What the log is told of rewriting.
    pub rewrite: RewriteConf,
    /// What to do first; a server's own come before a location is looked for.
    pub steps: Vec<RewriteStep>,
    /// Files to look for before anybody answers. As nginx: what is within does not inherit them.
    pub try_files: Option<Arc<TryFiles>>,
    /// Who answers.
    pub content: Content,
    /// How the peers that it passes to are checked.
    pub health_checks: Vec<HealthCheck>,
    /// Locations within.
    pub nested: LocationTable,
}

impl LocationConf {
    /// Lists what holds instead of it where an `if` in it says so.
    pub fn conditional(&self) -> impl Iterator<Item = &Arc<Self>> {
        self.steps.iter().filter_map(|step| match step {
            RewriteStep::If(conditional) => conditional.location.as_ref(),
            _ => None,
        })
    }
}

/// What a location matches.
#[derive(Debug, Clone, Default)]
pub enum LocationName {
    /// Everything: this is a server's or `http`'s own level.
    #[default]
    Outer,
    /// `= /path`.
    Exact(String),
    /// `/path`.
    Prefix(String),
    /// `^~ /path`: expressions are not asked.
    PrefixNoRegex(String),
    /// `~` and `~*`.
    Regex(Regex),
    /// `@name`, kept without `@`.
    Named(String),
}

impl LocationName {
    /// Returns the path that it begins with; empty for expressions and named locations.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) | Self::PrefixNoRegex(path) => path,
            Self::Outer | Self::Regex(_) | Self::Named(_) => "",
        }
    }

    /// Returns how many bytes [`Self::prefix`] has.
    pub fn prefix_len(&self) -> usize {
        self.prefix().len()
    }
}

impl fmt::Display for LocationName {
    /// Writes the name as nginx has it in messages: without modifiers, named ones with `@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) | Self::Prefix(path) | Self::PrefixNoRegex(path) => f.write_str(path),
            Self::Regex(regex) => f.write_str(regex.as_str()),
            Self::Named(name) => write!(f, "@{name}"),
            Self::Outer => Ok(()),
        }
    }
}

/// `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Status.
    pub status: u16,
    /// What goes with it.
    pub with: ReturnWith,
}

/// What a `return` sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnWith {
    /// The status' own page, which `error_page` may replace.
    Page,
    /// A body.
    Text(Template),
    /// A redirect to it.
    Location(Template),
}

/// Who answers.
#[derive(Debug, Clone, Default)]
pub enum Content {
    /// Files.
    #[default]
    Static,
    /// Another server.
    Proxy(ProxyPass),
}

/// `proxy_pass`.
#[derive(Debug, Clone)]
pub struct ProxyPass {
    /// Who is asked.
    pub target: ProxyTarget,
    /// How; where variables make the URL, it says so itself.
    pub scheme: Scheme,
    /// What replaces the part of the path that the location matched; absent where the path is passed as it is.
    pub uri: Option<Vec<u8>>,
    /// `$proxy_host`: host as written, with the port unless it is the scheme's own.
    pub host: String,
    /// `$proxy_port`.
    pub port: String,
    /// Bytes of the location's name, which [`Self::uri`] replaces.
    pub location_len: usize,
    /// `proxy_redirect` in force, `default` worked out; empty is `off`.
    pub redirect: Vec<ValueRule>,
}

impl ProxyPass {
    /// Says whether upstreams may be asked over TLS. As nginx: what a request says may always turn out to be that.
    pub fn may_be_secured(&self) -> bool {
        self.scheme == Scheme::Https || matches!(self.target, ProxyTarget::Variable(_))
    }
}

/// How an upstream is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear text.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// Takes the scheme off a URL; none where it has neither.
    pub fn split(url: &[u8]) -> Option<(Self, &[u8])> {
        [Self::Http, Self::Https].into_iter().find_map(|scheme| {
            let (start, rest) = url.split_at_checked(scheme.prefix().len())?;
            start.eq_ignore_ascii_case(scheme.prefix().as_bytes()).then_some((scheme, rest))
        })
    }

    /// Returns what a URL begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    /// Returns the port of a URL without one.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Who `proxy_pass` asks.
#[derive(Debug, Clone)]
pub enum ProxyTarget {
    /// A group, implicit ones included.
    Group(Arc<UpstreamConf>),
    /// A URL made for each request.
    Variable(Template),
}
