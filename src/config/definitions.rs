//! Names that the configuration itself defines: variables of `set`, of `map` and its like, and groups of expressions.
//!
//! They are variables everywhere, in front of their definition too, so they are collected before anything else is
//! read. What may not be defined is refused by the directive that tries to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    directives::computed::{computed_names, is_computed},
    parse::Directive,
    regex::{Case, Regex},
    variable::{Slot, Unset, Variable},
};

/// Directives whose arguments are expressions that requests are matched with.
const WITH_EXPRESSIONS: [&str; 8] = [
    "if",
    "location",
    "proxy_cookie_domain",
    "proxy_cookie_flags",
    "proxy_cookie_path",
    "proxy_redirect",
    "rewrite",
    "server_name",
];

/// Built-in variables that may be given another value.
const CHANGEABLE: [&str; 2] = ["args", "limit_rate"];

/// Collects the variables that the directives define.
pub fn collect(directives: &[Directive]) -> BTreeMap<String, Variable> {
    let mut names = Names::default();
    names.gather(directives);
    let computed = computed_names(directives);
    let all: BTreeSet<&String> = names.set.iter().chain(&names.caught).chain(computed.keys()).collect();
    let mut defined = BTreeMap::new();
    for (number, name) in all.into_iter().enumerate() {
        let is_built_in = Variable::names().any(|known| known == name);
        let is_only_set = !names.caught.contains(name) && !computed.contains_key(name);
        if is_fixed(name) || (is_built_in && is_only_set) {
            continue;
        }
        let unset = match (computed.get(name), family(name)) {
            (Some(number), _) => Unset::Computed(*number),
            (None, _) if names.caught.contains(name) => Unset::Absent,
            (None, Some(variable)) => Unset::Otherwise(Box::new(variable)),
            (None, None) => Unset::Empty,
        };
        let slot = Slot { number, name: Arc::from(name.as_str()), unset };
        defined.insert(name.clone(), Variable::Slot(slot));
    }
    defined
}

/// Says whether a name is built in and always has the value that it is built in for.
pub fn is_fixed(name: &str) -> bool {
    !CHANGEABLE.contains(&name) && Variable::names().any(|known| known == name)
}

/// Finds the family that a name is of, as `$http_…`.
fn family(name: &str) -> Option<Variable> {
    Variable::named(name).filter(|_| !is_fixed(name))
}

/// Names by how they come to have a value.
#[derive(Default)]
struct Names {
    set: BTreeSet<String>,
    caught: BTreeSet<String>,
}

impl Names {
    fn gather(&mut self, directives: &[Directive]) {
        for directive in directives {
            if directive.is("set")
                && let Some([b'$', name @ ..]) = directive.args.first().map(|word| &*word.text)
            {
                self.set.insert(String::from_utf8_lossy(name).into_owned());
            }
            if WITH_EXPRESSIONS.iter().any(|name| directive.is(name)) {
                directive.args.iter().for_each(|word| self.gather_group(&word.text));
            }
            let block = directive.block.as_deref().unwrap_or_default();
            if is_computed(directive) {
                block.iter().for_each(|line| self.gather_group(&line.name.text));
            } else {
                self.gather(block);
            }
        }
    }

    fn gather_group(&mut self, word: &[u8]) {
        let text = String::from_utf8_lossy(word);
        let text = text.trim_start_matches(['~', '*']);
        if !text.contains("(?") {
            return;
        }
        // The bracket that ends an `if` may stand right behind the expression.
        for text in [Some(text), text.strip_suffix(')')].into_iter().flatten() {
            if let Ok(regex) = Regex::new(text, Case::Sensitive) {
                self.caught.extend(regex.names().map(str::to_owned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{MainText, Source, Texts};

    fn defined(text: &str) -> BTreeMap<String, Variable> {
        let main = MainText::Embedded { name: "test".into(), text: text.to_owned() };
        let source = Source { prefix: "/".into(), main, globals: None, error_log: None };
        let mut texts = Texts::open(&source).unwrap();
        let directives = crate::parse::parse_all(&mut texts, &mut Vec::new());
        collect(&directives)
    }

    #[test]
    fn names_are_found_wherever_they_are_defined() {
        let found = defined(
            r#"http { server {
                server_name ~^(?<sub>\w+)\.test$; set $a 1; set $http_x 2; set $uri 3; set $args 4;
                location ~ ^/(?P<lang>en|de)/ { rewrite "^/(?'page'.*)$" /$page; set $a 2; set $lang x; }
                if ($host ~ "(?<one>b)") { } if ($host ~* (?<two>b)) { }
            } }"#,
        );
        let unset = |name: &str| match &found[name] {
            Variable::Slot(slot) => slot.unset.clone(),
            other => panic!("{name} is {other:?}"),
        };
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "http_x", "lang", "one", "page", "sub", "two"],);
        assert_eq!(unset("a"), Unset::Empty);
        assert_eq!(unset("lang"), Unset::Absent);
        assert_eq!(unset("http_x"), Unset::Otherwise(Box::new(Variable::Http("x".into()))));
    }

    #[test]
    fn slots_are_numbered_apart() {
        let found = defined("set $a 1; set $b 1; set $c 1;");
        let numbers: BTreeSet<usize> = found
            .values()
            .map(|variable| match variable {
                Variable::Slot(slot) => slot.number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(numbers.len(), 3);
    }
}
