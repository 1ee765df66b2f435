//! What the TLS directives of a whole configuration name: read once, with the rights of whoever puts it in force.

use std::{collections::HashMap, path::Path, sync::Arc};

use config::{Config, Content, Diagnostic, Level, LocationConf, ServerConf};

use crate::{
    client::{ClientContext, Settings},
    identity::Identities,
    server::{ServerContext, SharedSessions, Told},
};

/// Everything that TLS needs to be served with a configuration.
#[derive(Default)]
pub struct Contexts {
    /// By the numbers of the servers' own levels.
    servers: HashMap<usize, Arc<ServerContext>>,
    /// By the numbers of locations.
    clients: HashMap<usize, Arc<ClientContext>>,
    shared: SharedSessions,
}

impl Contexts {
    /// Reads all that a configuration names; none where something is wrong with it. What is wrong or odd is added to `told`.
    ///
    /// Keys of tickets go on from `before`, the configuration in force until now, so that clients can go on with their sessions.
    pub fn build(config: &Config, before: Option<&Self>, told: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut identities = Identities::default();
        let mut shared = before.map(|before| before.shared.renewed()).unwrap_or_default();
        let servers = servers(config, &mut identities, &mut shared, told);
        let clients = clients(config, &mut identities, told);
        let is_wrong = told.iter().any(|told| told.level == Level::Emerg);
        (!is_wrong).then_some(Self { servers, clients, shared })
    }

    /// Returns how a server speaks TLS with clients; none where it has no certificate of its own.
    pub fn server(&self, server: &ServerConf) -> Option<&Arc<ServerContext>> {
        self.servers.get(&server.defaults.id)
    }

    /// Returns how a location asks upstreams over TLS; none where it never does.
    pub fn client(&self, location: usize) -> Option<&Arc<ClientContext>> {
        self.clients.get(&location)
    }
}

fn servers(
    config: &Config,
    identities: &mut Identities,
    shared: &mut SharedSessions,
    told: &mut Vec<Diagnostic>,
) -> HashMap<usize, Arc<ServerContext>> {
    let Some(http) = &config.http else { return HashMap::new() };
    let mut servers = HashMap::new();
    for server in http.servers.iter().filter(|server| server.ssl.is_ready()) {
        let places = &server.ssl_places;
        let mut warned = Vec::new();
        let diagnostic = |level, told: Told| {
            let Told { directive, number, message } = told;
            places.diagnostic(level, directive, number, message)
        };
        match ServerContext::build(server, &http.directory, identities, shared, &mut warned) {
            Ok(context) => drop(servers.insert(server.defaults.id, Arc::new(context))),
            Err(error) => told.push(diagnostic(Level::Emerg, error)),
        }
        for warning in warned {
            let warning = diagnostic(Level::Warn, warning);
            // Servers that inherit a directive have the same to say about it.
            if !told.iter().any(|other| other.to_string() == warning.to_string()) {
                told.push(warning);
            }
        }
    }
    servers
}

/// Makes a context for each set of settings that differs from the others.
fn clients(
    config: &Config,
    identities: &mut Identities,
    told: &mut Vec<Diagnostic>,
) -> HashMap<usize, Arc<ClientContext>> {
    let Some(http) = &config.http else { return HashMap::new() };
    let mut known: Vec<(Settings<'_>, Option<Arc<ClientContext>>)> = Vec::new();
    let mut clients = HashMap::new();
    for location in http.all_locations().into_iter().filter(|location| may_ask(location)) {
        let settings = Settings::of(location);
        let made = match known.iter().find(|(other, _)| *other == settings) {
            Some((_, context)) => context.clone(),
            None => {
                let context = client(location, &settings, &http.directory, identities, told);
                known.push((settings, context.clone()));
                context
            }
        };
        clients.extend(made.map(|context| (location.id, context)));
    }
    clients
}

fn may_ask(location: &LocationConf) -> bool {
    match &location.content {
        Content::Proxy(pass) => pass.may_be_secured(),
        Content::Static => false,
    }
}

fn client(
    location: &LocationConf,
    settings: &Settings<'_>,
    directory: &Path,
    identities: &mut Identities,
    told: &mut Vec<Diagnostic>,
) -> Option<Arc<ClientContext>> {
    let diagnostic = |level, what: Told| {
        let Told { directive, number, message } = what;
        location.proxy_ssl_places.diagnostic(level, directive, number, message)
    };
    let mut warned = Vec::new();
    let built = ClientContext::build(settings, directory, identities, &mut warned);
    told.extend(warned.into_iter().map(|warning| diagnostic(Level::Warn, warning)));
    match built {
        Ok(context) => Some(Arc::new(context)),
        Err(error) => {
            told.push(diagnostic(Level::Emerg, error));
            None
        }
    }
}
