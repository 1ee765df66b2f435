//! `map`: from the value of a text to another. Pure: what the text is, the caller knows.

use std::sync::Arc;

use crate::{
    hosts::{HostPattern, HostTable, HostTaken},
    regex::{Captures, GaveUp, Regex},
    template::Template,
};

/// What a `map` turns values into.
#[derive(Debug, Clone, Default)]
pub struct MapTable {
    texts: HostTable<Arc<Template>>,
    regexes: Vec<(Regex, Template)>,
    default: Template,
}

/// What a value is turned into.
#[derive(Debug, Clone)]
pub struct Mapped<'a> {
    /// The new value, with variables of its own perhaps.
    pub value: &'a Template,
    /// What an expression caught, where it was one that matched.
    pub captures: Option<Captures>,
}

impl MapTable {
    /// Adds a text; letters match in either case.
    pub fn add(&mut self, pattern: &HostPattern, value: Template) -> Result<(), HostTaken> {
        self.texts.insert(pattern, Arc::new(value))
    }

    /// Adds an expression; they are asked in this order, after the texts.
    pub fn add_regex(&mut self, regex: Regex, value: Template) {
        self.regexes.push((regex, value));
    }

    /// Sets what holds for everything else.
    pub fn set_default(&mut self, value: Template) {
        self.default = value;
    }

    /// Lists all that values are turned into, in no order.
    pub fn values(&self) -> impl Iterator<Item = &Template> {
        let regexes = self.regexes.iter().map(|(_, value)| value);
        self.texts.values().map(Arc::as_ref).chain(regexes).chain([&self.default])
    }

    /// Finds what a value is turned into.
    ///
    /// # Errors
    /// An expression gave up. As nginx: those behind it are not asked, and the default holds.
    pub fn find<'a>(&'a self, value: &[u8]) -> Result<Mapped<'a>, GaveUp> {
        if let Some(found) = self.texts.find(&value.to_ascii_lowercase()) {
            return Ok(Mapped { value: found, captures: None });
        }
        for (regex, template) in &self.regexes {
            if let Some(captures) = regex.captures(value)? {
                return Ok(Mapped { value: template, captures: Some(captures) });
            }
        }
        Ok(Mapped { value: &self.default, captures: None })
    }

    /// Returns what everything else is turned into.
    pub fn default_value(&self) -> &Template {
        &self.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::Case;

    #[test]
    fn texts_come_before_expressions_and_those_before_the_default() {
        let mut table = MapTable::default();
        for (text, value) in [("", "empty"), ("one", "1"), ("*.test", "below")] {
            let pattern = HostPattern::parse(text).expect("it is a pattern");
            table.add(&pattern, Template::text(value)).expect("it is new");
        }
        for (text, case) in [("^o(.)", Case::Sensitive), ("^(?<rest>Z.*)", Case::Insensitive)] {
            table.add_regex(Regex::new(text, case).expect("it is valid"), Template::text(text));
        }
        table.set_default(Template::text("other"));
        let cases = [
            ("", "empty", None),
            ("one", "1", None),
            ("ONE", "1", None),
            ("a.test", "below", None),
            ("ox", "^o(.)", Some("x")),
            ("zoo", "^(?<rest>Z.*)", Some("zoo")),
            ("Ox", "other", None),
        ];
        for (text, value, caught) in cases {
            let mapped = table.find(text.as_bytes()).expect("none gives up");
            assert_eq!(mapped.value, &Template::text(value), "{text}");
            let group = mapped.captures.as_ref().and_then(|captures| captures.group(1));
            assert_eq!(group, caught.map(str::as_bytes), "{text}");
        }
    }
}
