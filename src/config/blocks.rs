//! Directives to the typed tree: blocks in blocks, each level inheriting from the one around it.
//!
//! A block's own settings are read first and inherited into, then its inner blocks are built: so the order in a
//! block does not matter, as in nginx.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use crate::{
    check::{check, missing_semicolon, suggestion},
    definitions,
    diagnostic::Level,
    directives::{
        balancing::method_line,
        cache_path::cache_path,
        computed,
        condition::condition,
        events::EventsConf,
        health_check::health_check,
        late_host::LateLookup,
        listen::{Listen, default_listen, listen},
        log::{COMBINED, LogFormat, LogLevel, LogSink, LogTarget, combined, log_format},
        main::MainConf,
        match_block,
        moot::{self, MootConf},
        proxy_pass::{proxy_pass, redirect_rules},
        resolver::STARTUP,
        rewrite::{self, If, RewriteStep},
        server_name::server_name,
        upstream::{UpstreamConf, UpstreamServer, UpstreamSettings},
    },
    hosts::HostPattern,
    inheritance::ServerSettings,
    locations::LocationTable,
    names::ServerName,
    parse::Directive,
    regex::Case,
    resolve::{Listening, listeners},
    scope::Scope,
    settings::{E, Group, H, L, Levels, M, S, U},
    source::{Met, Problem},
    tree::{Config, Content, HttpConf, LocationConf, LocationName, ProxyPass, ServerConf},
};

/// Builds the whole tree; what is wrong goes to the scope.
pub fn config(directives: &[Directive], scope: &mut Scope<'_>) -> Config {
    scope.defined = definitions::collect(directives);
    let mut main = MainConf::default();
    let mut events = None;
    let mut http = None;
    each(directives, M, scope, |directive| {
        let slot = match &*directive.name.text {
            b"events" => &mut events,
            b"http" => &mut http,
            _ => return main.apply(directive, scope),
        };
        Some(if slot.replace(directive).is_some() { Err(directive.duplicate()) } else { Ok(()) })
    });
    main.settle(scope);
    let mut config = Config { main, ..Config::default() };
    match events {
        Some(block) => config.events = self::events(inside(block), scope),
        None => scope.report(Problem::nowhere("no \"events\" section in configuration")),
    }
    config.http = http.map(|block| self::http(block, scope));
    config
}

/// Reads the directives of a block: `own` takes what it knows, and says nothing of the rest.
fn each<'d>(
    block: &'d [Directive],
    level: Levels,
    scope: &Scope<'_>,
    mut own: impl FnMut(&'d Directive) -> Option<Result<(), Problem>>,
) {
    let mut moot = MootConf::default();
    for directive in block {
        let applied = check(directive, level).and_then(|()| {
            let taken = own(directive).or_else(|| moot.apply(directive, scope));
            taken.unwrap_or_else(|| Err(directive.complain("is not allowed here")))
        });
        match applied {
            Ok(()) => moot::warning(directive).into_iter().for_each(|warning| scope.report(warning)),
            Err(problem) => {
                let help = scope.has_room_for_help().then(|| {
                    let text = scope.text(directive.name.span.file);
                    missing_semicolon(directive, &text).or_else(|| suggestion(directive, level))
                });
                scope.report(problem.with_help_if(help.flatten()));
            }
        }
    }
}

fn inside(block: &Directive) -> &[Directive] {
    block.block.as_deref().unwrap_or_default()
}

impl MainConf {
    /// Puts in what depends on the prefix.
    fn settle(&mut self, scope: &Scope<'_>) {
        let prefix = &scope.source.prefix;
        let pid = prefix.join(&*self.pid);
        self.pid.default_to(pid);
        let file = scope.source.error_log.as_deref().unwrap_or(Path::new("logs/error.log"));
        let sink =
            if file == Path::new("stderr") { LogSink::Stderr } else { LogSink::File(prefix.join(file)) };
        self.error_log.default_to(vec![LogTarget { sink, level: LogLevel::Error }]);
    }
}

fn events(block: &[Directive], scope: &Scope<'_>) -> EventsConf {
    let mut events = EventsConf::default();
    each(block, E, scope, |directive| events.apply(directive, scope));
    events
}

fn http(block: &Directive, scope: &mut Scope<'_>) -> HttpConf {
    name_things(inside(block), scope);
    let scope = &*scope;
    let mut own = ServerSettings::default();
    let mut outer = LocationConf { id: scope.location_id(), ..LocationConf::default() };
    let mut servers = Vec::new();
    let mut computed = BTreeMap::new();
    each(inside(block), H, scope, |directive| {
        match &*directive.name.text {
            b"server" => servers.push(directive),
            // These were read before all else, so that others can refer to them.
            b"upstream" | b"match" | b"log_format" | b"proxy_cache_path" => {}
            b"map" | b"geo" | b"split_clients" => {
                let made = computed::computed(directive, scope);
                return Some(made.map(|(number, made)| drop(computed.insert(number, made))));
            }
            _ => return outer.apply(directive, scope).or_else(|| own.apply(directive, scope)),
        }
        Some(Ok(()))
    });
    match_block::without_value(inside(block), &computed, scope)
        .into_iter()
        .for_each(|problem| scope.report(problem));
    outer.settle(scope);
    scope.settle(outer.proxy.settle_buffers(block));
    let built: Vec<Listening> = servers.into_iter().map(|block| server(block, &own, &outer, scope)).collect();
    HttpConf {
        listeners: listeners(&built, scope),
        servers: built.into_iter().map(|listening| listening.server).collect(),
        upstreams: scope.upstreams.values().chain(scope.implicit.borrow().values()).cloned().collect(),
        zones: scope.zones.values().cloned().collect(),
        log_formats: scope.formats.values().cloned().collect(),
        computed: computed.into_values().collect(),
        defaults: Arc::new(outer),
        directory: scope.directory().to_owned(),
        location_count: scope.location_count(),
        binds_transparently: scope.binds_transparently.get(),
        defined: scope.defined.clone(),
    }
}

/// Reads what other directives refer to by name.
fn name_things(block: &[Directive], scope: &mut Scope<'_>) {
    scope.formats.insert(COMBINED.to_owned(), Arc::new(combined()));
    // Hosts are looked for where they are read, and upstreams are read first.
    if let Some(startup) = block.iter().find(|directive| directive.is("resolver_startup"))
        && startup.args.len() == 1
    {
        scope.startup = (STARTUP.read)(startup, scope).unwrap_or(scope.startup);
    }
    for directive in block.iter().filter(|directive| check(directive, H).is_ok()) {
        let named = match &*directive.name.text {
            b"log_format" => {
                let read = log_format(directive, scope);
                // Whoever names one that cannot be read makes no mistake of his own.
                let unread = |_| LogFormat { name: directive.text(0).into_owned(), ..combined() };
                let format = read.clone().unwrap_or_else(unread);
                scope.formats.entry(format.name.clone()).or_insert_with(|| Arc::new(format));
                read.map(drop)
            }
            b"proxy_cache_path" => cache_path(directive, scope).and_then(|cache| {
                if scope.zones.values().any(|known| known.path == cache.path) {
                    let message = format!("the same path name \"{}\" is used twice", cache.path.display());
                    return Err(directive.fail(0, message));
                }
                match scope.zones.insert(cache.name.clone(), Arc::new(cache)) {
                    None => Ok(()),
                    Some(known) => Err(directive.fail(0, format!("duplicate zone \"{}\"", known.name))),
                }
            }),
            b"upstream" => upstream(directive, Resolver::of(block), scope),
            b"match" => match_block::match_block(directive, scope).and_then(|made| {
                match scope.matches.insert(made.name.clone(), Arc::new(made)) {
                    None => Ok(()),
                    Some(known) => Err(directive.fail(0, format!("duplicate match \"{}\"", known.name))),
                }
            }),
            _ => Ok(()),
        };
        scope.settle(named);
    }
}

/// Whether `http` has a `resolver` for all groups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resolver {
    Given,
    Missing,
}

impl Resolver {
    fn of(block: &[Directive]) -> Self {
        match block.iter().any(|directive| directive.is("resolver")) {
            true => Self::Given,
            false => Self::Missing,
        }
    }
}

fn upstream(block: &Directive, resolver: Resolver, scope: &mut Scope<'_>) -> Result<(), Problem> {
    let name = block.text(0).into_owned();
    let mut settings = UpstreamSettings::default();
    each(inside(block), U, scope, |directive| settings.apply(directive, scope));
    if settings.servers.is_empty() {
        let has_server = inside(block).iter().any(|directive| directive.is("server"));
        // A server that could not be read has been told of already.
        let message = "no servers are inside upstream";
        return if has_server { Ok(()) } else { Err(block.fail(0, message).met(Met::Behind(block.end))) };
    }
    if settings.servers.iter().all(|server| server.backup) {
        return Err(block
            .fail(0, format!("no servers in upstream \"{name}\""))
            .with_help("all of them are backups")
            .met(Met::Inheriting));
    }
    let is_found_later = |server: &UpstreamServer| {
        server.late.as_ref().is_some_and(|late| late.lookup != LateLookup::UntilKnown)
    };
    if settings.servers.iter().any(is_found_later) {
        let resolving = "resolving names at run time requires";
        if !settings.zone.is_written() {
            let message = format!("{resolving} upstream \"{name}\" to be in shared memory");
            let problem = block.fail(0, message).with_help("write into the block: zone NAME 64k;");
            return Err(problem.met(Met::Inheriting));
        }
        if resolver == Resolver::Missing && settings.name_servers.is_none() {
            let message = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
            let problem = block.fail(0, message).with_help("name one: resolver 127.0.0.53;");
            return Err(problem.met(Met::Inheriting));
        }
    }
    let key = UpstreamConf::key(&name);
    if scope.upstreams.contains_key(&key) {
        return Err(block.fail(0, format!("duplicate upstream \"{name}\"")));
    }
    let balancing = settings.balancing(method_line(inside(block), scope));
    scope.upstreams.insert(key, Arc::new(settings.group(name, balancing)));
    Ok(())
}

fn server(
    block: &Directive,
    outer_own: &ServerSettings,
    outer: &LocationConf,
    scope: &Scope<'_>,
) -> Listening {
    let mut own = ServerSettings::default();
    let mut conf = LocationConf { id: scope.location_id(), ..LocationConf::default() };
    let mut names: Vec<ServerName> = Vec::new();
    let mut first_name = None;
    let mut listens: Vec<(Listen, _)> = Vec::new();
    let mut locations = Vec::new();
    let mut broken_listen = false;
    let mut steps = Vec::new();
    each(inside(block), S, scope, |directive| {
        match &*directive.name.text {
            b"location" => locations.push(directive),
            _ if rewrite::is_step(directive) => steps.push(directive),
            b"server_name" => {
                let all = 0..directive.args.len();
                names.extend(all.filter_map(|number| scope.settle(server_name(directive, number, scope))));
                first_name.get_or_insert_with(|| directive.text(0).trim_start_matches('.').to_owned());
            }
            b"listen" => match listen(directive, scope) {
                Ok(listen) => listens.push((listen, directive.args[0].span)),
                Err(problem) => {
                    broken_listen = true;
                    return Some(Err(problem));
                }
            },
            _ => return conf.apply_own(directive, scope).or_else(|| own.apply(directive, scope)),
        }
        Some(Ok(()))
    });
    if listens.is_empty() && !broken_listen {
        listens.push((default_listen(), block.name.span));
    }
    if names.is_empty() {
        names.push(ServerName::Host(HostPattern::Exact(String::new())));
    }
    own.inherit(outer_own);
    scope.settle(own.ssl.settle(&own.ssl_places));
    conf.inherit(outer);
    scope.settle(conf.proxy.settle_buffers(block));
    conf.steps = self::steps(&steps, &conf, Levels::SERVER_IF, scope);
    let locations = self::locations(&locations, &conf, scope);
    let server = ServerConf {
        names,
        first_name: first_name.unwrap_or_default(),
        core: own.core,
        ssl: own.ssl,
        ssl_places: own.ssl_places,
        http2: own.http2,
        listen: listens.iter().flat_map(|(listen, _)| listen.addresses.clone()).collect(),
        defaults: Arc::new(conf),
        locations,
    };
    Listening { server: Arc::new(server), listens, place: block.name.span }
}

fn locations(blocks: &[&Directive], outer: &LocationConf, scope: &Scope<'_>) -> LocationTable {
    let mut seen = BTreeSet::new();
    let mut built = Vec::new();
    for block in blocks {
        let name = match location_name(block, scope).and_then(|name| placed(block, name, outer)) {
            Ok(name) => name,
            Err(problem) => {
                scope.report(problem);
                continue;
            }
        };
        let kind = match &name {
            LocationName::Prefix(_) | LocationName::PrefixNoRegex(_) => "prefix",
            LocationName::Exact(_) => "exact",
            LocationName::Named(_) => "named",
            LocationName::Regex(_) | LocationName::Outer => "",
        };
        if !kind.is_empty() && !seen.insert((kind, name.to_string())) {
            let problem = block.fail(block.args.len() - 1, format!("duplicate location \"{name}\""));
            scope.report(match &name {
                // As nginx: nobody gets to it, which is no error.
                LocationName::Named(_) => Problem { level: Level::Warn, ..problem },
                _ => problem.met(Met::Inheriting),
            });
        }
        built.push(Arc::new(location(block, name, outer, scope)));
    }
    LocationTable::new(built)
}

/// Reads what stands between `location` and `{`.
fn location_name(block: &Directive, scope: &Scope<'_>) -> Result<LocationName, Problem> {
    let last = block.args.len() - 1;
    let (modifier, text) = match block.bytes(0) {
        modifier if last == 1 => (modifier, block.bytes(1)),
        text => split_modifier(text),
    };
    let path = || String::from_utf8_lossy(text).into_owned();
    match modifier {
        b"=" => Ok(LocationName::Exact(path())),
        b"^~" => Ok(LocationName::PrefixNoRegex(path())),
        b"~" => scope.regex(block, last, text, Case::Sensitive).map(LocationName::Regex),
        b"~*" => scope.regex(block, last, text, Case::Insensitive).map(LocationName::Regex),
        b"" => Ok(match text {
            [b'@', name @ ..] => LocationName::Named(String::from_utf8_lossy(name).into_owned()),
            _ => LocationName::Prefix(path()),
        }),
        other => {
            let message = format!("invalid location modifier \"{}\"", String::from_utf8_lossy(other));
            Err(block.fail(0, message).with_help("accepted: \"=\", \"^~\", \"~\", \"~*\""))
        }
    }
}

/// As nginx: a modifier may stand at its text without a space.
fn split_modifier(text: &[u8]) -> (&[u8], &[u8]) {
    let length = match text {
        [b'=', ..] => 1,
        [b'^', b'~', ..] | [b'~', b'*', ..] => 2,
        [b'~', ..] => 1,
        _ => 0,
    };
    text.split_at(length)
}

/// Checks that a location may stand inside the one around it.
fn placed(block: &Directive, name: LocationName, outer: &LocationConf) -> Result<LocationName, Problem> {
    let last = block.args.len() - 1;
    let wrong = |what: String| Err(block.fail(last, what));
    match (&outer.name, &name) {
        (LocationName::Outer, _) => Ok(name),
        (LocationName::Exact(_), _) => {
            wrong(format!("location \"{name}\" cannot be inside the exact location \"{}\"", outer.name))
        }
        (LocationName::Named(_), _) => {
            wrong(format!("location \"{name}\" cannot be inside the named location \"{}\"", outer.name))
        }
        (_, LocationName::Named(_)) => {
            wrong(format!("named location \"{name}\" can be on the server level only"))
        }
        (_, LocationName::Regex(_)) => Ok(name),
        _ if name.to_string().starts_with(&outer.name.to_string()) => Ok(name),
        _ => wrong(format!("location \"{name}\" is outside location \"{}\"", outer.name)),
    }
}

fn location(block: &Directive, name: LocationName, outer: &LocationConf, scope: &Scope<'_>) -> LocationConf {
    let mut conf = LocationConf { id: scope.location_id(), name, ..LocationConf::default() };
    let mut nested = Vec::new();
    let mut steps = Vec::new();
    let mut pass: Option<&Directive> = None;
    let mut checks = Vec::new();
    each(inside(block), L, scope, |directive| {
        match &*directive.name.text {
            b"location" => nested.push(directive),
            b"internal" if conf.internal => return Some(Err(directive.duplicate())),
            b"internal" => conf.internal = true,
            b"alias" => return Some(conf.alias(directive, scope)),
            b"proxy_pass" if pass.is_some() => return Some(Err(directive.duplicate())),
            b"proxy_pass" => pass = Some(directive),
            b"health_check" => checks.push(directive),
            _ if rewrite::is_step(directive) => steps.push(directive),
            _ => return conf.apply_own(directive, scope),
        }
        Some(Ok(()))
    });
    conf.inherit(outer);
    scope.settle(conf.proxy.settle_buffers(block));
    if let Some(pass) = pass.and_then(|directive| scope.settle(passed(directive, &conf.name, &conf, scope))) {
        conf.content = Content::Proxy(pass);
    }
    let target = match &conf.content {
        Content::Proxy(pass) => Some(&pass.target),
        Content::Static => None,
    };
    let checks = checks.into_iter().map(|directive| health_check(directive, target, scope));
    conf.health_checks = checks.filter_map(|check| scope.settle(check)).collect();
    conf.steps = self::steps(&steps, &conf, Levels::LOCATION_IF, scope);
    conf.nested = locations(&nested, &conf, scope);
    conf
}

/// Reads `proxy_pass` of a location whose other settings are there; `name` is what its URI can replace.
fn passed(
    directive: &Directive,
    name: &LocationName,
    conf: &LocationConf,
    scope: &Scope<'_>,
) -> Result<ProxyPass, Problem> {
    let mut pass = proxy_pass(directive, name, scope)?;
    pass.redirect = redirect_rules(directive, &pass, name, &conf.proxy)?;
    if pass.may_be_secured() {
        conf.proxy_ssl.settle(&conf.proxy_ssl_places)?;
    }
    Ok(pass)
}

/// Reads the steps of rewriting of a server or location whose settings are there; `level` is that of an `if` in it.
fn steps(
    directives: &[&Directive],
    conf: &LocationConf,
    level: Levels,
    scope: &Scope<'_>,
) -> Vec<RewriteStep> {
    let mut steps = Vec::new();
    for directive in directives {
        if directive.is("if") {
            steps.extend(conditional(directive, conf, level, scope));
        } else {
            steps.extend(scope.settle(rewrite::step(directive, scope)));
        }
    }
    steps
}

/// Reads an `if`: the condition, and the steps that depend on it behind it.
fn conditional(
    block: &Directive,
    outer: &LocationConf,
    level: Levels,
    scope: &Scope<'_>,
) -> Vec<RewriteStep> {
    let condition = scope.settle(condition(block, scope));
    let mut conf = LocationConf { name: outer.name.clone(), ..LocationConf::default() };
    let mut inner = Vec::new();
    let mut pass: Option<&Directive> = None;
    each(inside(block), level, scope, |directive| {
        match &*directive.name.text {
            b"proxy_pass" if pass.is_some() => return Some(Err(directive.duplicate())),
            b"proxy_pass" => pass = Some(directive),
            _ if rewrite::is_step(directive) => inner.push(directive),
            _ => return conf.apply_own(directive, scope),
        }
        Some(Ok(()))
    });
    conf.inherit(outer);
    // As nginx: who answers is inherited by an `if`, and its own `proxy_pass` has nothing that a URI could replace.
    conf.content = outer.content.clone();
    let passed = pass.map(|directive| passed(directive, &LocationName::Outer, &conf, scope));
    if let Some(pass) = passed.and_then(|passed| scope.settle(passed)) {
        conf.content = Content::Proxy(pass);
    }
    let Some(condition) = condition else { return Vec::new() };
    let mut steps = steps(&inner, &conf, level, scope);
    let location = (level == Levels::LOCATION_IF).then(|| {
        conf.id = scope.location_id();
        Arc::new(conf)
    });
    let step = RewriteStep::If(Box::new(If { condition, location, steps: steps.len() }));
    steps.insert(0, step);
    steps
}
