//! What a worker keeps for its configuration: zones, upstream groups, logs; and one event loop's own share.
//!
//! A worker serves one configuration for all its life, so everything here is found once at start and
//! reached by index from then on.

use std::{cell::Cell, collections::HashMap, rc::Rc, sync::Arc};

use anyhow::Context;
use config::{CacheZone, Config, Content, HttpConf, NameServers, ProxyPass, ProxyTarget, UpstreamConf};
use nix::sys::resource::{Resource, getrlimit};
use tls::Contexts;
use tokio::sync::Notify;

use super::{
    access_log::{AccessLogs, LocationLogs},
    filter::Expressions,
    h2::Answerers,
    health::Check,
    proxy::{cache::zone::Zone, secured::Securing},
};
use crate::{
    net::{Drain, Resolver},
    upstream::{Group, IdlePool, Renewal, SharedPool},
};

/// Everything that the event loops of one worker share.
pub struct Site {
    /// The configuration.
    pub config: Arc<Config>,
    /// How servers speak TLS.
    pub contexts: Arc<Contexts>,
    /// All access logs, for reopening and flushing.
    pub access_logs: AccessLogs,
    locations: Vec<LocationState>,
    zones: HashMap<String, Arc<Zone>>,
    groups: HashMap<String, Arc<Group>>,
    resolvers: Vec<(Arc<NameServers>, Arc<Resolver>)>,
    checks: Vec<Check>,
}

/// What a location needs at run time.
pub struct LocationState {
    /// Its cache zone, where it is a fixed one.
    pub zone: Option<Arc<Zone>>,
    /// Its upstream group, where it is a fixed one.
    pub group: Option<Arc<Group>>,
    /// How upstreams are asked over TLS, where they may be.
    pub securing: Option<Securing>,
    /// Who finds the addresses of names that only a request tells, where somebody does.
    pub resolver: Option<Arc<Resolver>>,
    /// Its access logs.
    pub logs: LocationLogs,
}

/// One event loop: what is its own, and the way to what is shared.
pub struct EventLoop {
    /// Shared by all loops of the worker.
    pub site: Arc<Site>,
    /// Idle upstream connections of this loop.
    pub idle: IdlePool,
    /// Upstream connections of this loop that many requests share.
    pub shared: SharedPool,
    /// Tells when the worker is asked to finish.
    pub drain: Drain,
    /// Fills of caches that run on this loop, with or without a client.
    pub fills: Tasks,
    /// Those who answer requests over HTTP/2.
    pub answerers: Answerers,
    /// Expressions of pages.
    pub expressions: Expressions,
    /// Number of this loop, from zero.
    pub index: usize,
    next_serial: Cell<u64>,
}

impl Site {
    /// Opens the zones and logs of a configuration, and sets up its upstream groups.
    ///
    /// # Errors
    /// A zone's directory or index, or a log file, cannot be opened.
    pub fn new(config: Arc<Config>, contexts: Arc<Contexts>) -> anyhow::Result<Arc<Self>> {
        let mut site = Self {
            access_logs: AccessLogs::default(),
            locations: Vec::new(),
            zones: HashMap::new(),
            groups: HashMap::new(),
            resolvers: Vec::new(),
            checks: Vec::new(),
            config: Arc::clone(&config),
            contexts,
        };
        let Some(http) = &config.http else { return Ok(Arc::new(site)) };
        let descriptors = descriptors_of_each(http.zones.len());
        for path in &http.zones {
            let zone = Zone::open(Arc::clone(path), descriptors)
                .with_context(|| format!("cache zone \"{}\"", path.name))?;
            site.zones.insert(path.name.clone(), Arc::new(zone));
        }
        for upstream in &http.upstreams {
            site.groups.insert(UpstreamConf::key(&upstream.name), Arc::new(Group::new(Arc::clone(upstream))));
            if let Some(servers) = &upstream.name_servers {
                site.resolver(servers);
            }
        }
        site.add_locations(http)?;
        Ok(Arc::new(site))
    }

    fn add_locations(&mut self, http: &HttpConf) -> anyhow::Result<()> {
        let mut locations = http.all_locations();
        locations.sort_by_key(|location| location.id);
        for (index, location) in locations.into_iter().enumerate() {
            debug_assert_eq!(index, location.id, "location ids are dense");
            let zone = match &*location.cache.zone {
                CacheZone::Zone(path) => self.zones.get(&path.name).cloned(),
                CacheZone::Off | CacheZone::Variable(_) => None,
            };
            let group = match &location.content {
                Content::Proxy(ProxyPass { target: ProxyTarget::Group(group), .. }) => {
                    self.groups.get(&UpstreamConf::key(&group.name)).cloned()
                }
                Content::Proxy(_) | Content::Static => None,
            };
            if let Some(group) = &group {
                let check =
                    |number| Check { group: Arc::clone(group), location: Arc::clone(location), number };
                self.checks.extend((0..location.health_checks.len()).map(check));
            }
            let securing = match (&location.content, self.contexts.client(location.id)) {
                (Content::Proxy(pass), Some(context)) => {
                    Some(Securing::new(context, &location.proxy_ssl, pass))
                }
                _ => None,
            };
            let logs = self.access_logs.open(&location.log)?;
            let resolver = location.resolver.servers.as_ref().map(|servers| self.resolver(servers));
            self.locations.push(LocationState { zone, group, securing, resolver, logs });
        }
        Ok(())
    }

    /// Returns the resolver of a `resolver` directive; whoever inherits the directive shares it, as in nginx.
    fn resolver(&mut self, servers: &Arc<NameServers>) -> Arc<Resolver> {
        if let Some((_, known)) = self.resolvers.iter().find(|(known, _)| Arc::ptr_eq(known, servers)) {
            return Arc::clone(known);
        }
        let resolver = Resolver::new(Arc::clone(servers));
        self.resolvers.push((Arc::clone(servers), Arc::clone(&resolver)));
        resolver
    }

    /// Says whether anything is to be done beside serving.
    pub fn needs_upkeep(&self) -> bool {
        let has_late_hosts =
            |group: &Arc<Group>| group.conf.servers.iter().any(|server| server.late.is_some());
        !self.checks.is_empty() || !self.zones.is_empty() || self.groups.values().any(has_late_hosts)
    }

    /// Lists the zones.
    pub fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values()
    }

    /// Lists the checks of peers.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Lists the servers whose addresses are found while requests are served.
    pub fn renewals(&self) -> Vec<Renewal> {
        let Some(http) = &self.config.http else { return Vec::new() };
        let resolver_of = |servers: &Arc<NameServers>| {
            self.resolvers.iter().find(|(known, _)| Arc::ptr_eq(known, servers)).map(|(_, resolver)| resolver)
        };
        let defaults = &http.defaults.resolver;
        let renewals = self.groups.values().flat_map(|group| {
            let servers = group.conf.name_servers.as_ref().or(defaults.servers.as_ref());
            let patience = group.conf.resolver_timeout.unwrap_or(*defaults.timeout);
            Renewal::of_group(group, servers.and_then(resolver_of), patience)
        });
        renewals.collect()
    }

    /// Returns what is kept for the location with that id.
    pub fn location(&self, id: usize) -> &LocationState {
        &self.locations[id]
    }

    /// Returns the HTTP part of the configuration.
    pub fn http(&self) -> &HttpConf {
        self.config.http.as_ref().expect("connections are accepted only where there is an http block")
    }

    /// Finds a zone by name, for `proxy_cache` with variables.
    pub fn zone(&self, name: &str) -> Option<&Arc<Zone>> {
        self.zones.get(name)
    }

    /// Finds an upstream group by its key, for `proxy_pass` with variables.
    pub fn group(&self, key: &str) -> Option<&Arc<Group>> {
        self.groups.get(key)
    }
}

impl EventLoop {
    /// Sets up one event loop of a worker.
    pub fn new(site: Arc<Site>, index: usize, drain: Drain) -> Rc<Self> {
        Rc::new(Self {
            site,
            idle: IdlePool::default(),
            shared: SharedPool::default(),
            drain,
            fills: Tasks::default(),
            answerers: Answerers::default(),
            expressions: Expressions::default(),
            index,
            next_serial: Cell::new(1),
        })
    }

    /// Returns the number of the next connection; numbers of different loops never meet.
    pub fn next_serial(&self) -> u64 {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        serial * LOOPS_MAX + self.index as u64
    }
}

/// Tasks that somebody waits for before the loop ends.
#[derive(Clone, Default)]
pub struct Tasks(Rc<(Cell<usize>, Notify)>);

/// One of [`Tasks`], counted until it is dropped.
pub struct Task(Tasks);

impl Tasks {
    /// Counts a task in.
    pub fn begin(&self) -> Task {
        self.0.0.set(self.0.0.get() + 1);
        Task(self.clone())
    }

    /// Waits until none is left. Cancel safe.
    pub async fn done(&self) {
        while self.0.0.get() > 0 {
            self.0.1.notified().await;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let (count, changed) = &*self.0.0;
        count.set(count.get() - 1);
        changed.notify_one();
    }
}

/// How many files each of so many zones may keep open: together a quarter of what the worker may open, so that clients,
/// upstreams and fills have the rest.
fn descriptors_of_each(zones: usize) -> u64 {
    // Where it cannot be told, the least that systems grant.
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
    limit / 4 / (zones.max(1) as u64)
}

/// Event loops that a worker may have.
pub const LOOPS_MAX: u64 = 1024;
