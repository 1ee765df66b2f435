//! Variables that blocks make of others' values: `map`, `geo`, `split_clients`.

use std::collections::BTreeMap;

use super::{
    geo::{GeoConf, geo},
    map::{Lifetime, MapConf, map},
    split_clients::{SplitConf, split_clients},
};
use crate::{
    parse::Directive,
    scope::Scope,
    source::Problem,
    variable::{Slot, Unset, Variable},
};

/// What makes the value of a variable.
#[derive(Debug, Clone)]
pub enum Computed {
    /// `map`.
    Map(MapConf),
    /// `geo`.
    Geo(GeoConf),
    /// `split_clients`.
    Split(SplitConf),
}

impl Computed {
    /// Returns how long a value holds.
    pub fn lifetime(&self) -> Lifetime {
        match self {
            Self::Map(map) => map.lifetime,
            Self::Geo(_) | Self::Split(_) => Lifetime::Request,
        }
    }
}

/// Stands for the first word of a line where an argument is asked for.
pub const KEY: usize = usize::MAX;

/// Says whether a directive makes a variable of a block whose lines are no directives.
pub fn is_computed(directive: &Directive) -> bool {
    ["map", "geo", "split_clients"].iter().any(|name| directive.is(name))
}

/// Numbers the variables that the blocks of `http` make, by name: the last block for a name holds, as in nginx.
pub fn computed_names(directives: &[Directive]) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    let blocks = directives.iter().filter(|directive| directive.is("http"));
    let inner = blocks.flat_map(|http| http.block.iter().flatten());
    for directive in inner.filter(|directive| is_computed(directive)) {
        if let Some([b'$', name @ ..]) = directive.args.last().map(|word| &*word.text) {
            let number = names.len();
            names.entry(String::from_utf8_lossy(name).into_owned()).or_insert(number);
        }
    }
    names
}

/// Reads a block: its number, and what makes the value of its variable.
pub fn computed(directive: &Directive, scope: &Scope<'_>) -> Result<(usize, Computed), Problem> {
    let last = directive.args.len() - 1;
    let written = directive.text(last);
    let Some(name) = written.strip_prefix('$').filter(|name| !name.is_empty()) else {
        let problem = directive.fail(last, format!("invalid variable name \"{written}\""));
        return Err(problem.with_help("a variable begins with $"));
    };
    let Some(Variable::Slot(Slot { unset: Unset::Computed(number), .. })) = scope.defined.get(name) else {
        // What is built in has no slot, as a rule.
        return Err(directive.fail(last, format!("the duplicate \"{name}\" variable")));
    };
    if let Some(line) = directive.block.iter().flatten().find(|line| line.block.is_some()) {
        return Err(line.fail(line.args.len(), "unexpected \"{\""));
    }
    let computed = match &*directive.name.text {
        b"map" => Computed::Map(map(directive, scope)?),
        b"geo" => Computed::Geo(geo(directive, scope)?),
        _ => Computed::Split(split_clients(directive, scope)?),
    };
    Ok((*number, computed))
}

/// Returns the only argument of a line, or says that there is not one.
pub fn value_of<'a>(line: &'a Directive, wrong_count: &str) -> Result<&'a [u8], Problem> {
    match &line.args[..] {
        [value] => Ok(&value.text),
        _ => Err(line.fail(KEY, wrong_count)),
    }
}
