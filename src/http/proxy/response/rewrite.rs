//! A value of an upstream's answer as the client is to see it: the first rule that fits rewrites it.

use config::{Captures, GaveUp, Regex, Template, ValuePattern, ValueRule, Variable, VariableSource};

use crate::{
    error_log::Level,
    http::{Exchange, fault::report},
};

/// What a rule asks of the request that it is applied for.
pub(super) trait Surroundings: VariableSource {
    /// Hears that an expression gave up: its rule is passed over.
    fn gave_up(&self, gave_up: &GaveUp);
}

impl Surroundings for Exchange {
    fn gave_up(&self, gave_up: &GaveUp) {
        report(self, Level::Error, format_args!("{gave_up} while reading response header from upstream"));
    }
}

/// What became of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rewritten {
    /// A rule applied.
    Changed(Vec<u8>),
    /// None did.
    Unchanged,
}

/// Applies the first rule that fits.
pub(super) fn rewrite(rules: &[ValueRule], value: &[u8], source: &impl Surroundings) -> Rewritten {
    rules.iter().find_map(|rule| apply(rule, value, source)).map_or(Rewritten::Unchanged, Rewritten::Changed)
}

fn apply(rule: &ValueRule, value: &[u8], source: &impl Surroundings) -> Option<Vec<u8>> {
    match &rule.from {
        ValuePattern::Prefix(from) => {
            let rest = with_text(from, source, |from| value.strip_prefix(from))?;
            let mut changed = rule.to.expand(source);
            changed.extend_from_slice(rest);
            Some(changed)
        }
        // As nginx: a dot before the domain stays.
        ValuePattern::Domain(from) => {
            let dots = usize::from(value.first() == Some(&b'.'));
            let (dot, domain) = value.split_at(dots);
            with_text(from, source, |from| domain.eq_ignore_ascii_case(from).then_some(()))?;
            let mut changed = dot.to_vec();
            rule.to.write(&mut changed, source);
            Some(changed)
        }
        // As nginx: the whole value is replaced, not only what matched.
        ValuePattern::Regex(regex) => match Matched::of(regex, value, source) {
            Ok(matched) => Some(rule.to.expand(&matched?)),
            Err(gave_up) => {
                source.gave_up(&gave_up);
                None
            }
        },
    }
}

/// Gives `look` the text of a template, which is made only where variables are in it.
pub(super) fn with_text<T>(
    template: &Template,
    source: &impl VariableSource,
    look: impl FnOnce(&[u8]) -> T,
) -> T {
    match template.as_text() {
        Some(text) => look(text),
        None => look(&template.expand(source)),
    }
}

/// Variables as they are after a rule's expression has matched.
pub(super) struct Matched<'a, S> {
    captures: Captures,
    source: &'a S,
}

impl<'a, S> Matched<'a, S> {
    /// Matches a value; nothing where it does not match.
    ///
    /// # Errors
    /// The expression gave up.
    pub(super) fn of(regex: &Regex, value: &[u8], source: &'a S) -> Result<Option<Self>, GaveUp> {
        Ok(regex.captures(value)?.map(|captures| Self { captures, source }))
    }
}

impl<S: VariableSource> VariableSource for Matched<'_, S> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        if let Variable::Slot(slot) = variable
            && let Some((_, value)) = self.captures.slots().find(|(caught, _)| *caught == slot)
        {
            out.extend_from_slice(value);
            return true;
        }
        self.source.write(variable, out)
    }

    fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
        let value = self.captures.group(number);
        out.extend_from_slice(value.unwrap_or_default());
        value.is_some()
    }
}

#[cfg(test)]
mod tests {
    use config::{Case, Slot, Unset};

    use super::*;

    /// A request to `http://front` whose location matched nothing.
    struct Front;

    impl VariableSource for Front {
        fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
            let known = *variable == Variable::Host;
            if known {
                out.extend_from_slice(b"front");
            }
            known
        }

        fn write_capture(&self, _: usize, _: &mut Vec<u8>) -> bool {
            false
        }
    }

    impl Surroundings for Front {
        fn gave_up(&self, _: &GaveUp) {}
    }

    fn slot(name: &str) -> Option<Slot> {
        (name == "path").then(|| Slot { number: 0, name: name.into(), unset: Unset::Absent })
    }

    fn template(text: &str) -> Template {
        let find = |name: &str| slot(name).map(Variable::Slot).or_else(|| Variable::named(name));
        Template::compile(text.as_bytes(), find).expect("a valid text")
    }

    fn prefix(from: &str, to: &str) -> ValueRule {
        ValueRule { from: ValuePattern::Prefix(template(from)), to: template(to) }
    }

    fn domain(from: &str, to: &str) -> ValueRule {
        ValueRule { from: ValuePattern::Domain(template(from)), to: template(to) }
    }

    fn regex(from: &str, to: &str) -> ValueRule {
        let regex = Regex::new(from, Case::Sensitive).expect("a valid expression");
        ValueRule { from: ValuePattern::Regex(regex.with_slots(slot)), to: template(to) }
    }

    #[test]
    fn the_first_rule_that_fits_changes_a_location() {
        let default = || vec![prefix("http://up/two/", "/one/")];
        let cases = [
            ("default", default(), "http://up/two/x?y", Some("/one/x?y")),
            ("another host", default(), "http://other/two/x", None),
            ("another path", default(), "http://up/three/", None),
            ("off", vec![], "http://up/two/x", None),
            (
                "variables",
                vec![prefix("http://up/", "http://$host:80/")],
                "http://up/a",
                Some("http://front:80/a"),
            ),
            (
                "variables in what is replaced",
                vec![prefix("http://$host/", "/")],
                "http://front/a",
                Some("/a"),
            ),
            (
                "second rule",
                vec![prefix("http://a/", "/a/"), prefix("http://b/", "/b/")],
                "http://b/c",
                Some("/b/c"),
            ),
            ("groups", vec![regex("^http://([^/]+)/(.*)$", "/$1/$2")], "http://up/x", Some("/up/x")),
            (
                "named group",
                vec![regex("^http://[^/]+(?<path>/.*)$", "$path!$host")],
                "http://up/x",
                Some("/x!front"),
            ),
            ("all is replaced", vec![regex("up", "/")], "http://up/x", Some("/")),
            (
                "an expression that gives up",
                vec![regex("^((a+)+)$", "/first"), regex("^a", "/second")],
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                Some("/second"),
            ),
            ("a domain", vec![domain("Up.example", "front")], "uP.Example", Some("front")),
            ("a domain behind a dot", vec![domain("up", "$host")], ".UP", Some(".front")),
            ("part of a domain", vec![domain("up", "front")], "x.up", None),
            ("a domain from a variable", vec![domain("www.$host", "$host")], "www.front", Some("front")),
        ];
        for (name, rules, value, wanted) in cases {
            let wanted = wanted.map_or(Rewritten::Unchanged, |to| Rewritten::Changed(to.into()));
            assert_eq!(rewrite(&rules, value.as_bytes(), &Front), wanted, "{name}");
        }
    }
}
