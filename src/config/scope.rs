//! What a directive may refer to while it is read: paths, formats, caches, groups, variables.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    HostLookup, SHOWN_MAX,
    definitions::is_fixed,
    diagnostic::Place,
    directives::{
        cache_path::CachePath, log::LogFormat, match_block::MatchConf, resolver::Startup,
        upstream::UpstreamConf,
    },
    parse::Directive,
    regex::{Case, Regex},
    source::{Met, Problem, Source, Span, Texts},
    suggest::did_you_mean,
    template::{InvalidTemplate, Template},
    variable::{LATER_VARIABLES, Variable},
};

/// The surroundings of a directive.
pub struct Scope<'a> {
    /// Where all of it came from.
    pub source: &'a Source,
    /// Its texts.
    texts: &'a Texts,
    /// Finds addresses.
    pub lookup: &'a dyn HostLookup,
    /// Number of the next location.
    next_location: Cell<usize>,
    /// Variables that the configuration defines, by name.
    pub defined: BTreeMap<String, Variable>,
    /// Log formats by name.
    pub formats: BTreeMap<String, Arc<LogFormat>>,
    /// Sizes of caches of TLS sessions, by name.
    pub session_caches: RefCell<BTreeMap<String, u64>>,
    /// Caches by name.
    pub zones: BTreeMap<String, Arc<CachePath>>,
    /// Groups by their keys ([`UpstreamConf::key`]).
    pub upstreams: BTreeMap<String, Arc<UpstreamConf>>,
    /// Groups that stand for a plain address, by `host:port`.
    pub implicit: RefCell<BTreeMap<String, Arc<UpstreamConf>>>,
    /// Whether a `proxy_bind` is transparent, for which workers need a right of their own.
    pub binds_transparently: Cell<bool>,
    /// `match` blocks by name.
    pub matches: BTreeMap<String, Arc<MatchConf>>,
    /// `resolver_startup`.
    pub startup: Startup,
    /// What was wrong so far.
    pub problems: RefCell<Vec<Problem>>,
}

impl<'a> Scope<'a> {
    /// Starts with nothing known.
    pub fn new(source: &'a Source, texts: &'a Texts, lookup: &'a dyn HostLookup) -> Self {
        Self {
            source,
            texts,
            lookup,
            next_location: Cell::new(0),
            defined: BTreeMap::new(),
            formats: BTreeMap::new(),
            session_caches: RefCell::new(BTreeMap::new()),
            zones: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            implicit: RefCell::new(BTreeMap::new()),
            binds_transparently: Cell::new(false),
            matches: BTreeMap::new(),
            startup: Startup::Strict,
            problems: RefCell::new(Vec::new()),
        }
    }

    /// Returns a text.
    pub fn text(&self, file: usize) -> Arc<[u8]> {
        self.texts.text(file)
    }

    /// Numbers a location.
    pub fn location_id(&self) -> usize {
        self.next_location.replace(self.next_location.get() + 1)
    }

    /// Returns how many locations have a number.
    pub fn location_count(&self) -> usize {
        self.next_location.get()
    }

    /// Notes something to say.
    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Says whether more help can still be shown: finding out what was meant takes its time.
    pub fn has_room_for_help(&self) -> bool {
        self.problems.borrow().len() < SHOWN_MAX
    }

    /// Takes a value, or notes why there is none.
    pub fn settle<T>(&self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.report(problem)).ok()
    }

    /// Makes an argument a path: a relative one starts from the prefix.
    pub fn path(&self, directive: &Directive, number: usize) -> PathBuf {
        self.source.prefix.join(&*directive.text(number))
    }

    /// Returns the directory of the main file.
    pub fn directory(&self) -> &Path {
        self.texts.directory()
    }

    /// Makes an argument a path: a relative one starts from the directory of the main file.
    pub fn conf_path(&self, directive: &Directive, number: usize) -> PathBuf {
        self.directory().join(&*directive.text(number))
    }

    /// Finds a place that people can read.
    pub fn place(&self, span: Span) -> Option<Place> {
        self.texts.place(span)
    }

    /// Compiles an argument that may have variables.
    pub fn template(&self, directive: &Directive, number: usize) -> Result<Template, Problem> {
        self.compile(directive, number, directive.bytes(number))
    }

    /// Compiles a part of an argument.
    pub fn compile(&self, directive: &Directive, number: usize, text: &[u8]) -> Result<Template, Problem> {
        self.compile_template(text).map_err(|error| self.invalid_template(directive, number, &error))
    }

    /// Compiles a text, and leaves it to the caller to say what is wrong with it.
    pub fn compile_template(&self, text: &[u8]) -> Result<Template, InvalidTemplate> {
        Template::compile(text, |name| self.variable(name))
    }

    /// Says what is wrong with an argument that has variables.
    pub fn invalid_template(&self, directive: &Directive, number: usize, error: &InvalidTemplate) -> Problem {
        let help = match error {
            InvalidTemplate::Unknown(name) if is_later(name) => {
                tells_of_tls(name).then(|| "it tells of TLS, which is not there yet".to_owned())
            }
            InvalidTemplate::Unknown(name) if self.has_room_for_help() => {
                let mut known: Vec<&str> = self.defined.keys().map(String::as_str).collect();
                known.extend(Variable::names().map(|name: &str| name));
                did_you_mean(name, known)
            }
            _ => None,
        };
        let message = match error {
            InvalidTemplate::Unknown(name) if is_later(name) => {
                format!("variable \"{name}\" is not supported yet")
            }
            _ => error.to_string(),
        };
        let met = match error {
            InvalidTemplate::Unknown(_) => Met::Naming,
            InvalidTemplate::NoName(_) | InvalidTemplate::NoBracket(_) => Met::There,
        };
        directive.fail(number, message).with_help_if(help).met(met)
    }

    fn variable(&self, name: &str) -> Option<Variable> {
        self.defined.get(name).cloned().or_else(|| Variable::named(name))
    }

    /// Finds a variable by its name without `$`, or says that there is none.
    pub fn known_variable(
        &self,
        directive: &Directive,
        number: usize,
        name: &str,
    ) -> Result<Variable, Problem> {
        let unknown = || self.invalid_template(directive, number, &InvalidTemplate::Unknown(name.to_owned()));
        self.variable(name).ok_or_else(unknown)
    }

    /// Compiles a path that may have variables: a relative one starts from the prefix, unless a variable begins it.
    pub fn path_template(&self, directive: &Directive, number: usize) -> Result<Template, Problem> {
        let text = directive.bytes(number);
        if matches!(text.first(), Some(b'/' | b'$')) {
            return self.template(directive, number);
        }
        let full = self.source.prefix.join(&*directive.text(number));
        self.compile(directive, number, full.to_string_lossy().as_bytes())
    }

    /// Compiles an expression.
    pub fn regex(
        &self,
        directive: &Directive,
        number: usize,
        text: &[u8],
        case: Case,
    ) -> Result<Regex, Problem> {
        let text = String::from_utf8_lossy(text);
        let regex = Regex::new(&text, case).map_err(|error| directive.fail(number, error.to_string()))?;
        if let Some(name) = regex.names().find(|name| is_fixed(name)) {
            return Err(directive.fail(number, format!("the duplicate \"{name}\" variable")));
        }
        Ok(regex.with_slots(|name| match self.defined.get(name) {
            Some(Variable::Slot(slot)) => Some(slot.clone()),
            _ => None,
        }))
    }
}

fn tells_of_tls(name: &str) -> bool {
    name == "upstream_last_server_name" || ["ssl_", "proxy_ssl_"].iter().any(|start| name.starts_with(start))
}

/// Says whether nginx has this variable in a module that is not here yet.
fn is_later(name: &str) -> bool {
    LATER_VARIABLES.iter().any(|known| name == *known || (known.ends_with('_') && name.starts_with(known)))
}
