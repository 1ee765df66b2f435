//! Values by host name: the very name, what lies below one, what begins with one. Pure.
//!
//! Servers are found so by their names, and the values of a `map` with `hostnames`.

use std::{collections::HashMap, fmt};

/// A host name, perhaps with a wildcard; lower-case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// The very name; empty is a request without one.
    Exact(String),
    /// `*.example.com`: kept as `example.com`.
    Leading(String),
    /// `.example.com`: the name and all below it; kept as `example.com`.
    Dotted(String),
    /// `www.example.*`: kept as `www.example`.
    Trailing(String),
}

impl HostPattern {
    /// Reads a pattern in lower case; a `*` may only stand first, before a dot, or last, behind one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains("..") {
            return None;
        }
        let is_plain = |rest: &str| !rest.contains('*');
        let wildcard = |rest: &str| !rest.is_empty() && is_plain(rest);
        match (text.strip_prefix("*."), text.strip_prefix('.'), text.strip_suffix(".*")) {
            (Some(rest), _, _) if wildcard(rest) => Some(Self::Leading(rest.to_owned())),
            (None, Some(rest), _) if wildcard(rest) => Some(Self::Dotted(rest.to_owned())),
            (None, None, Some(rest)) if wildcard(rest) => Some(Self::Trailing(rest.to_owned())),
            (None, None | Some(""), None) if is_plain(text) => Some(Self::Exact(text.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Leading(name) => write!(f, "*.{name}"),
            Self::Dotted(name) => write!(f, ".{name}"),
            Self::Trailing(name) => write!(f, "{name}.*"),
        }
    }
}

/// Values by pattern.
#[derive(Debug, Clone)]
pub struct HostTable<V> {
    exact: HashMap<Vec<u8>, V>,
    leading: HashMap<Vec<u8>, V>,
    trailing: HashMap<Vec<u8>, V>,
}

/// A pattern that has a value already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTaken;

impl<V> HostTable<V> {
    /// Lists the values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        [&self.exact, &self.leading, &self.trailing].into_iter().flat_map(HashMap::values)
    }
}

impl<V> Default for HostTable<V> {
    fn default() -> Self {
        Self { exact: HashMap::new(), leading: HashMap::new(), trailing: HashMap::new() }
    }
}

impl<V: Clone> HostTable<V> {
    /// Gives a pattern its value; the first one stays.
    pub fn insert(&mut self, pattern: &HostPattern, value: V) -> Result<(), HostTaken> {
        let (table, key) = match pattern {
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::Leading(name) => (&mut self.leading, name),
            HostPattern::Trailing(name) => (&mut self.trailing, name),
            HostPattern::Dotted(name) => {
                self.insert(&HostPattern::Exact(name.clone()), value.clone())?;
                (&mut self.leading, name)
            }
        };
        if table.contains_key(key.as_bytes()) {
            return Err(HostTaken);
        }
        table.insert(key.clone().into_bytes(), value);
        Ok(())
    }
}

impl<V> HostTable<V> {
    /// Finds the value of a host, given in lower case.
    ///
    /// As nginx: the very name, the longest name behind `*.`, the longest before `.*`.
    pub fn find(&self, host: &[u8]) -> Option<&V> {
        self.exact.get(host).or_else(|| self.behind_star(host)).or_else(|| self.before_star(host))
    }

    fn behind_star(&self, host: &[u8]) -> Option<&V> {
        if self.leading.is_empty() {
            return None;
        }
        memchr::memchr_iter(b'.', host)
            .filter(|dot| *dot > 0)
            .find_map(|dot| self.leading.get(&host[dot + 1..]))
    }

    fn before_star(&self, host: &[u8]) -> Option<&V> {
        if self.trailing.is_empty() {
            return None;
        }
        memchr::memrchr_iter(b'.', host).find_map(|dot| self.trailing.get(&host[..dot]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_at_an_end() {
        let owned = str::to_owned;
        let cases = [
            ("", Some(HostPattern::Exact(owned("")))),
            (".", Some(HostPattern::Exact(owned(".")))),
            ("a.b", Some(HostPattern::Exact(owned("a.b")))),
            ("*.a.b", Some(HostPattern::Leading(owned("a.b")))),
            (".a.b", Some(HostPattern::Dotted(owned("a.b")))),
            ("a.*", Some(HostPattern::Trailing(owned("a")))),
            ("*", None),
            ("*.", None),
            ("..", None),
            ("a..b", None),
            ("a*b", None),
            ("*a", None),
            ("*.a.*", None),
            (".a.*", None),
            ("a.*.b", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(HostPattern::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_closest_pattern_wins() {
        let mut table = HostTable::default();
        for pattern in ["a.test", "*.test", "*.b.test", "www.*", "www.long.*", ".dot.test"] {
            let parsed = HostPattern::parse(pattern).expect("it is a pattern");
            table.insert(&parsed, pattern).expect("it is new");
        }
        let cases = [
            ("a.test", Some("a.test")),
            ("x.test", Some("*.test")),
            ("x.y.test", Some("*.test")),
            ("x.b.test", Some("*.b.test")),
            ("b.test", Some("*.test")),
            ("www.a", Some("www.*")),
            ("www.long.a", Some("www.long.*")),
            ("www.test", Some("*.test")),
            ("dot.test", Some(".dot.test")),
            ("x.dot.test", Some(".dot.test")),
            ("test", None),
            (".test", None),
            ("", None),
        ];
        for (host, wanted) in cases {
            assert_eq!(table.find(host.as_bytes()).copied(), wanted, "{host}");
        }
        assert_eq!(table.insert(&HostPattern::Leading("dot.test".to_owned()), "again"), Err(HostTaken));
    }
}
