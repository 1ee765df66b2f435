//! Which location a path belongs to. Pure: tables are made once, and asked for each request.

use std::{collections::HashMap, sync::Arc};

use crate::{
    regex::{Captures, GaveUp},
    tree::{Content, LocationConf, LocationName},
};

/// The locations of a server, or those within another one.
#[derive(Debug, Clone, Default)]
pub struct LocationTable {
    exact: HashMap<Vec<u8>, Arc<LocationConf>>,
    /// In order of their names.
    prefixes: Vec<PrefixLocation>,
    /// In order of appearance.
    regexes: Vec<Arc<LocationConf>>,
    named: HashMap<String, Arc<LocationConf>>,
    /// Whether there is a location that a path may lack only the slash of.
    has_slashed: bool,
}

#[derive(Debug, Clone)]
struct PrefixLocation {
    name: Vec<u8>,
    location: Arc<LocationConf>,
    /// The longest other prefix that this one begins with.
    shorter: Option<usize>,
}

/// What a path led to.
#[derive(Debug, Clone)]
pub enum Found<'a> {
    /// A location.
    Location {
        /// It.
        location: &'a Arc<LocationConf>,
        /// What its expression caught; empty without one.
        captures: Captures,
    },
    /// The path lacks only the slash of a location that passes requests on: 301 to there.
    WantsSlash {
        /// That location.
        location: &'a Arc<LocationConf>,
    },
    /// Nobody knows: an expression gave up.
    Unknown(GaveUp),
}

/// Whether an outer level's expressions still have a say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Final,
    Open,
}

impl LocationTable {
    /// Makes the table of locations that are different from each other.
    pub fn new(locations: impl IntoIterator<Item = Arc<LocationConf>>) -> Self {
        let mut table = Self::default();
        for location in locations {
            match &location.name {
                LocationName::Exact(name) => {
                    table.exact.insert(name.clone().into_bytes(), location);
                }
                LocationName::Prefix(name) | LocationName::PrefixNoRegex(name) => {
                    let name = name.clone().into_bytes();
                    table.prefixes.push(PrefixLocation { name, location, shorter: None });
                }
                LocationName::Regex(_) => table.regexes.push(location),
                LocationName::Named(name) => {
                    table.named.entry(name.clone()).or_insert(location);
                }
                LocationName::Outer => {}
            }
        }
        let passes_on = |location: &&Arc<LocationConf>| matches!(location.content, Content::Proxy(_));
        let has_slashed = table.iter().filter(passes_on).any(|location| match &location.name {
            LocationName::Exact(name) | LocationName::Prefix(name) | LocationName::PrefixNoRegex(name) => {
                name.len() > 1 && name.ends_with('/')
            }
            LocationName::Regex(_) | LocationName::Named(_) | LocationName::Outer => false,
        });
        table.has_slashed = has_slashed;
        table.prefixes.sort_by(|one, other| one.name.cmp(&other.name));
        for number in 1..table.prefixes.len() {
            table.prefixes[number].shorter = table.longest_of(number - 1, &table.prefixes[number].name);
        }
        table
    }

    /// Finds the location of a path.
    ///
    /// As nginx: an exact one ends the search; else the longest prefix and what is nested in it, which the first
    /// expression that matches overrules, unless the prefix said `^~`.
    pub fn find(&self, path: &[u8]) -> Option<Found<'_>> {
        self.search(path).0
    }

    /// Finds a named location; its name goes without `@`.
    pub fn named(&self, name: &str) -> Option<&Arc<LocationConf>> {
        self.named.get(name)
    }

    /// Lists all locations, those nested in others left out.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<LocationConf>> {
        let prefixes = self.prefixes.iter().map(|prefix| &prefix.location);
        self.exact.values().chain(prefixes).chain(&self.regexes).chain(self.named.values())
    }

    fn search(&self, path: &[u8]) -> (Option<Found<'_>>, Verdict) {
        if let Some(location) = self.exact.get(path) {
            return (Some(Found::Location { location, captures: Captures::default() }), Verdict::Final);
        }
        let prefix = self.longest_prefix(path);
        if prefix.is_none_or(|prefix| prefix.name != path)
            && let Some(location) = self.wanting_slash(path)
        {
            return (Some(Found::WantsSlash { location }), Verdict::Final);
        }
        let mut found = None;
        let mut ask_regexes = true;
        if let Some(PrefixLocation { location, .. }) = prefix {
            ask_regexes = !matches!(location.name, LocationName::PrefixNoRegex(_));
            let (nested, verdict) = location.nested.search(path);
            if verdict == Verdict::Final {
                return (nested, verdict);
            }
            found = nested.or(Some(Found::Location { location, captures: Captures::default() }));
        }
        match self.regex(path) {
            Some(overruling) if ask_regexes => (Some(overruling), Verdict::Final),
            _ => (found, Verdict::Open),
        }
    }

    fn regex(&self, path: &[u8]) -> Option<Found<'_>> {
        let found = self.regexes.iter().find_map(|location| match &location.name {
            LocationName::Regex(regex) => Some((location, regex.captures(path).transpose()?)),
            _ => None,
        })?;
        let (location, captures) = match found {
            (location, Ok(captures)) => (location, captures),
            (_, Err(gave_up)) => return Some(Found::Unknown(gave_up)),
        };
        Some(match location.nested.find(path) {
            // A nested prefix keeps what the outer expression caught; a nested expression has its own.
            Some(Found::Location { location, captures: own }) => {
                let captures = if own.is_empty() { captures } else { own };
                Found::Location { location, captures }
            }
            Some(Found::WantsSlash { location }) => Found::Location { location, captures },
            Some(Found::Unknown(gave_up)) => Found::Unknown(gave_up),
            None => Found::Location { location, captures },
        })
    }

    fn longest_prefix(&self, path: &[u8]) -> Option<&PrefixLocation> {
        let after = self.prefixes.partition_point(|prefix| &*prefix.name <= path);
        let number = self.longest_of(after.checked_sub(1)?, path)?;
        Some(&self.prefixes[number])
    }

    /// Goes from a prefix to shorter ones until one begins the path. The last prefix in order before a path begins
    /// with each prefix of the path, so that all of them are on this way.
    fn longest_of(&self, from: usize, path: &[u8]) -> Option<usize> {
        let mut candidate = Some(from);
        while let Some(number) = candidate.filter(|number| !path.starts_with(&self.prefixes[*number].name)) {
            candidate = self.prefixes[number].shorter;
        }
        candidate
    }

    fn wanting_slash(&self, path: &[u8]) -> Option<&Arc<LocationConf>> {
        if !self.has_slashed {
            return None;
        }
        let passes_on = |location: &&Arc<LocationConf>| matches!(location.content, Content::Proxy(_));
        let slashed = [path, b"/"].concat();
        let exact = self.exact.get(&slashed).filter(passes_on);
        exact.or_else(|| {
            let number = self.prefixes.binary_search_by(|prefix| prefix.name.cmp(&slashed)).ok()?;
            Some(&self.prefixes[number].location).filter(passes_on)
        })
    }
}
