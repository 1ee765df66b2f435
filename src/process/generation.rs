//! One configuration put in force: read, its files and sockets opened, ready for children to serve.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use config::{
    Config, Diagnostic, HostLookup, InvalidUser, ListenAddress, ListenConf, Loaded, Source, UserSpec,
    WorkerCount,
};
use tls::Contexts;

use super::{children::Role, files, listen::Listeners, rights::Identity};
use crate::{
    error_log::{self, Level},
    http::site::LOOPS_MAX,
    upstream::remembered,
};

/// A configuration in force.
pub struct Generation {
    /// What was read.
    pub config: Arc<Config>,
    /// What its TLS directives name, read with the rights that this process began with.
    pub contexts: Arc<Contexts>,
    /// Its number among all of this process.
    pub serial: u64,
    /// Its sockets.
    pub listeners: Listeners,
    /// How many event loops serve it.
    pub loops: usize,
    /// Whom its children run as.
    pub identity: Option<Identity>,
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Says that a configuration cannot be put in force; why has been told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl Generation {
    /// Puts a configuration in force, with the sockets that `old` has already.
    pub fn open(read: Read, old: &Listeners) -> Result<Self, Refused> {
        let Read { loaded: Loaded { config, .. }, contexts } = read;
        let identity = Identity::find(&config.main).map_err(tell)?;
        files::prepare(&config, identity.as_ref()).map_err(tell)?;
        files::open_logs(&config).map_err(tell)?;
        error_log::init(&config.main.error_log).map_err(tell)?;
        files::hand_over_logs(&config, identity.as_ref());
        let loops = loops(*config.main.worker_processes);
        let conf = config.http.as_ref().map_or(&[][..], |http| &http.listeners);
        let listeners = Listeners::open(conf, loops, old).map_err(|error| {
            let advice = error.advice().map(|advice| format!("  = help: {advice}")).unwrap_or_default();
            error_log::write_with_details(Level::Emerg, format_args!("{error}"), &advice);
            Refused
        })?;
        if config.http.as_ref().is_some_and(|http| http.upstreams.iter().any(|group| group.has_zone)) {
            remembered::open().map_err(tell)?;
        }
        let serial = SERIAL.fetch_add(1, Relaxed);
        let (config, contexts) = (Arc::new(config), Arc::new(contexts));
        Ok(Self { config, contexts, serial, listeners, loops, identity })
    }

    /// Says whether it has caches to look after.
    pub fn has_zones(&self) -> bool {
        !self.upkeep().is_empty()
    }

    /// Returns who looks after its caches.
    pub fn upkeep(&self) -> &'static [Role] {
        let zones = self.config.http.as_ref().map_or(&[][..], |http| &http.zones);
        match zones.iter().any(|zone| zone.purger) {
            true => &[Role::CacheManager, Role::CacheLoader, Role::CachePurger],
            false if zones.is_empty() => &[],
            false => &[Role::CacheManager, Role::CacheLoader],
        }
    }
}

/// Checks what reading alone does not show: users, logs, and whether its addresses may be had.
pub fn check(config: &Config) -> Result<(), Refused> {
    Identity::find(&config.main).map_err(tell)?;
    error_log::open(&config.main.error_log).map_err(tell)?;
    files::open_logs(config).map_err(tell)?;
    let inet = |listener: &&ListenConf| matches!(listener.address, ListenAddress::Inet(_));
    let conf = config.http.as_ref().map_or(&[][..], |http| &http.listeners);
    let conf: Vec<ListenConf> = conf.iter().filter(inet).cloned().collect();
    match Listeners::open(&conf, 1, &Listeners::default()) {
        // As nginx: the server that runs has them.
        Err(error) if error.is_in_use() => Ok(()),
        Err(error) => Err(tell(error)),
        Ok(_) => Ok(()),
    }
}

fn tell(error: impl std::fmt::Display) -> Refused {
    error_log::write(Level::Emerg, format_args!("{error}"));
    Refused
}

/// A configuration that was read, and what it takes to put it in force.
pub struct Read {
    /// The configuration.
    pub loaded: Loaded,
    /// What its TLS directives name.
    pub contexts: Contexts,
}

/// Reads a configuration and the certificates and keys that it names, and tells what is wrong or odd about them.
pub fn read(source: &Source, before: Option<&Contexts>) -> Result<Read, Refused> {
    let loaded = load(source)?;
    let mut told = Vec::new();
    let contexts = Contexts::build(&loaded.config, before, &mut told);
    told.iter().for_each(diagnose);
    contexts.map(|contexts| Read { loaded, contexts }).ok_or(Refused)
}

/// Reads a configuration and tells what is wrong or odd about it.
pub fn load(source: &Source) -> Result<Loaded, Refused> {
    match config::load(source, &Machine) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(diagnose);
            Ok(loaded)
        }
        Err(errors) => {
            errors.iter().for_each(diagnose);
            Err(Refused)
        }
    }
}

/// Tells a diagnostic: to the log in one line as nginx, to the terminal with the place and what to do.
fn diagnose(diagnostic: &Diagnostic) {
    let level = match diagnostic.level {
        config::Level::Emerg => Level::Emerg,
        config::Level::Warn => Level::Warn,
    };
    let text = diagnostic.to_string();
    let (first, details) = text.split_once('\n').unwrap_or((&text, ""));
    // The log writes the level itself.
    let message = first.split_once("] ").map_or(first, |(_, message)| message);
    error_log::write_with_details(level, format_args!("{message}"), details);
}

fn loops(count: WorkerCount) -> usize {
    let most = usize::try_from(LOOPS_MAX).unwrap_or(usize::MAX);
    match count {
        WorkerCount::Auto => thread::available_parallelism().map_or(1, usize::from).min(most),
        WorkerCount::Fixed(count) => count.min(most),
    }
}

/// The machine's own names and addresses.
struct Machine;

impl HostLookup for Machine {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (host, port).to_socket_addrs().map(Iterator::collect)
    }

    fn hostname(&self) -> String {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn check_user(&self, spec: &UserSpec) -> Result<(), InvalidUser> {
        Identity::check(spec)
    }
}
