//! `proxy_redirect`: what an upstream says about where to go, seen from the client.

use std::borrow::Cow;

use config::{Captures, RedirectFrom, RedirectRule, Variable, VariableSource};

/// What became of a location.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rewritten {
    /// A rule applied.
    Changed(Vec<u8>),
    /// None did.
    Unchanged,
}

/// Applies the first rule that fits a Location.
pub(super) fn rewrite_location(
    rules: &[RedirectRule],
    value: &[u8],
    source: &impl VariableSource,
) -> Rewritten {
    rules.iter().find_map(|rule| apply(rule, value, source)).map_or(Rewritten::Unchanged, Rewritten::Changed)
}

/// Applies the first rule that fits the URL in a Refresh (`5; url=http://…`).
pub(super) fn rewrite_refresh<'a>(
    rules: &[RedirectRule],
    value: &'a [u8],
    source: &impl VariableSource,
) -> Cow<'a, [u8]> {
    const MARK: &[u8] = b"url=";
    let mark = value.windows(MARK.len()).position(|window| window.eq_ignore_ascii_case(MARK));
    let Some(start) = mark.map(|mark| mark + MARK.len()) else { return value.into() };
    match rewrite_location(rules, &value[start..], source) {
        Rewritten::Changed(url) => [&value[..start], &url].concat().into(),
        Rewritten::Unchanged => value.into(),
    }
}

fn apply(rule: &RedirectRule, value: &[u8], source: &impl VariableSource) -> Option<Vec<u8>> {
    match &rule.from {
        RedirectFrom::Prefix(from) => {
            let rest = match from.as_text() {
                Some(text) => value.strip_prefix(text)?,
                None => value.strip_prefix(&from.expand(source)[..])?,
            };
            let mut url = rule.to.expand(source);
            url.extend_from_slice(rest);
            Some(url)
        }
        // As nginx: the whole value is replaced, not only what matched.
        RedirectFrom::Regex(regex) => {
            let captures = regex.captures(value)?;
            Some(rule.to.expand(&Matched { captures, source }))
        }
    }
}

/// Variables as they are after a rule's expression has matched.
struct Matched<'a, S> {
    captures: Captures,
    source: &'a S,
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

    fn capture(&self, number: usize) -> Option<&[u8]> {
        self.captures.group(number)
    }
}

#[cfg(test)]
mod tests {
    use config::{Case, Regex, Slot, Template, Unset};

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

        fn capture(&self, _: usize) -> Option<&[u8]> {
            None
        }
    }

    fn slot(name: &str) -> Option<Slot> {
        (name == "path").then(|| Slot { number: 0, name: name.into(), unset: Unset::Absent })
    }

    fn template(text: &str) -> Template {
        let find = |name: &str| slot(name).map(Variable::Slot).or_else(|| Variable::named(name));
        Template::compile(text.as_bytes(), find).expect("a valid text")
    }

    fn prefix(from: &str, to: &str) -> RedirectRule {
        RedirectRule { from: RedirectFrom::Prefix(template(from)), to: template(to) }
    }

    fn regex(from: &str, to: &str) -> RedirectRule {
        let regex = Regex::new(from, Case::Sensitive).expect("a valid expression");
        RedirectRule { from: RedirectFrom::Regex(regex.with_slots(slot)), to: template(to) }
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
        ];
        for (name, rules, value, wanted) in cases {
            let wanted = wanted.map_or(Rewritten::Unchanged, |to| Rewritten::Changed(to.into()));
            assert_eq!(rewrite_location(&rules, value.as_bytes(), &Front), wanted, "{name}");
        }
    }

    #[test]
    fn the_url_of_a_refresh_is_changed() {
        let rules = [prefix("http://up/", "/")];
        for (value, wanted) in [
            ("5; url=http://up/x", "5; url=/x"),
            ("5; URL=http://up/x", "5; URL=/x"),
            ("5; url=http://other/x", "5; url=http://other/x"),
            ("5", "5"),
        ] {
            let refreshed = rewrite_refresh(&rules, value.as_bytes(), &Front);
            assert_eq!(String::from_utf8_lossy(&refreshed), wanted, "{value}");
        }
    }
}
