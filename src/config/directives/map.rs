//! `map`: a variable made of others' values.

use super::computed::{KEY, value_of};
use crate::{
    hosts::HostPattern,
    map::{MapTable, Mapped},
    parse::Directive,
    regex::{Case, GaveUp},
    scope::Scope,
    source::Problem,
    template::{Template, VariableSource},
};

/// `map`.
#[derive(Debug, Clone)]
pub struct MapConf {
    /// The text that is looked up.
    pub source: Template,
    /// What it is turned into.
    pub table: MapTable,
    /// What the text is.
    pub subject: MapSubject,
    /// How long a value holds.
    pub lifetime: Lifetime,
}

impl MapConf {
    /// Finds what the source is turned into, where it is made of these values.
    ///
    /// # Errors
    /// An expression gave up.
    pub fn find(&self, values: &dyn VariableSource) -> Result<Mapped<'_>, GaveUp> {
        let mut text = self.source.expand(values);
        if self.subject == MapSubject::Host && text.last() == Some(&b'.') {
            text.pop();
        }
        self.table.find(&text)
    }

    /// Lists all texts that it is made of.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        [&self.source].into_iter().chain(self.table.values())
    }
}

/// What a `map` looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapSubject {
    /// Any text.
    Text,
    /// `hostnames`: a host, which may end in a dot.
    Host,
}

/// How long the value of a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// For the rest of the request.
    Request,
    /// `volatile`: until it is asked for again.
    Once,
}

/// Reads a `map`.
pub fn map(directive: &Directive, scope: &Scope<'_>) -> Result<MapConf, Problem> {
    let mut conf = MapConf {
        source: scope.template(directive, 0)?,
        table: MapTable::default(),
        subject: MapSubject::Text,
        lifetime: Lifetime::Request,
    };
    let mut has_default = false;
    for line in directive.block.iter().flatten() {
        match (&*line.name.text, line.args.len()) {
            (b"hostnames", 0) => conf.subject = MapSubject::Host,
            (b"volatile", 0) => conf.lifetime = Lifetime::Once,
            (b"default", 1) if has_default => {
                return Err(line.fail(KEY, "duplicate default map parameter"));
            }
            (b"default", 1) => {
                has_default = true;
                conf.table.set_default(value(line, scope)?);
            }
            _ => {
                let value = value(line, scope)?;
                add(&mut conf, line, value, scope)?;
            }
        }
    }
    Ok(conf)
}

fn value(line: &Directive, scope: &Scope<'_>) -> Result<Template, Problem> {
    value_of(line, "invalid number of the map parameters")?;
    scope.template(line, 0)
}

fn add(conf: &mut MapConf, line: &Directive, value: Template, scope: &Scope<'_>) -> Result<(), Problem> {
    let (case, expression) = match &*line.name.text {
        [b'~', b'*', expression @ ..] => (Case::Insensitive, expression),
        [b'~', expression @ ..] => (Case::Sensitive, expression),
        // A backslash takes its meaning from what would have one.
        [b'\\', text @ ..] => return add_text(conf, line, text, value),
        text => return add_text(conf, line, text, value),
    };
    conf.table.add_regex(scope.regex(line, KEY, expression, case)?, value);
    Ok(())
}

fn add_text(conf: &mut MapConf, line: &Directive, text: &[u8], value: Template) -> Result<(), Problem> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let pattern = match conf.subject {
        MapSubject::Text => HostPattern::Exact(text.clone()),
        // As nginx: only what stands behind `hostnames` may have wildcards.
        MapSubject::Host => HostPattern::parse(&text).ok_or_else(|| {
            let problem = line.fail(KEY, format!("invalid hostname or wildcard \"{text}\""));
            problem.with_help("a \"*\" may stand first, before a dot, or last, behind one")
        })?,
    };
    conf.table.add(&pattern, value).map_err(|_| {
        line.fail(KEY, format!("conflicting parameter \"{text}\"")).with_help("letters match in either case")
    })
}
