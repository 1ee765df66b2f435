//! Whether an answer to a check is a good one (`match`). Pure.

use std::cell::RefCell;

use config::{
    Captures, Computed, HeaderTest, MatchConf, MatchTest, Regex, Slot, Template, Unset, Variable,
    VariableSource, Wanted,
};
use http1::ResponseHead;

use crate::http::exchange::UpstreamFacts;

/// What of an answer is not as wanted; its words stand in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The status.
    Status,
    /// A field.
    Header,
    /// The body.
    Body,
    /// A variable.
    Variable,
}

impl Mismatch {
    /// Says what was being checked.
    pub fn words(self) -> &'static str {
        match self {
            Self::Status => "checking status code",
            Self::Header => "checking header",
            Self::Body => "checking body",
            Self::Variable => "checking variables",
        }
    }
}

/// Whether the body has to be read to judge an answer, itself or by its length and time.
pub fn needs_body(conf: Option<&MatchConf>) -> bool {
    let needs_body = |test: &MatchTest| matches!(test, MatchTest::Body(..) | MatchTest::Require(_));
    conf.is_some_and(|conf| conf.tests.iter().any(needs_body))
}

/// Judges an answer; without a `match`, any status from 200 to 399 will do.
///
/// # Errors
/// The first thing that is not as wanted.
pub fn judge(
    conf: Option<&MatchConf>,
    facts: &UpstreamFacts,
    body: &[u8],
    computed: &[Computed],
) -> Result<(), Mismatch> {
    let head = facts.head.as_deref().expect("only answers are judged");
    let Some(conf) = conf else {
        return if (200..=399).contains(&head.status) { Ok(()) } else { Err(Mismatch::Status) };
    };
    let values = Answer { facts, computed, captures: RefCell::default() };
    conf.tests.iter().try_for_each(|test| {
        let (holds, mismatch) = match test {
            MatchTest::Status(wanted, ranges) => {
                (met(*wanted, ranges.iter().any(|range| range.contains(&head.status))), Mismatch::Status)
            }
            MatchTest::Header(name, test) => (header(head, name, test), Mismatch::Header),
            MatchTest::Body(wanted, regex) => (matches(*wanted, regex, body), Mismatch::Body),
            MatchTest::Require(templates) => {
                (templates.iter().all(|template| has_value(&values, template)), Mismatch::Variable)
            }
        };
        if holds { Ok(()) } else { Err(mismatch) }
    })
}

fn met(wanted: Wanted, is_so: impl Into<Option<bool>>) -> bool {
    is_so.into().unwrap_or_default() == (wanted == Wanted::Is)
}

/// An expression that gives up tells nothing good.
fn matches(wanted: Wanted, regex: &Regex, text: &[u8]) -> bool {
    regex.is_match(text).is_ok_and(|is_so| met(wanted, is_so))
}

/// A field that is not there has no value: it is never equal to one, and matches nothing.
fn header(head: &ResponseHead, name: &str, test: &HeaderTest) -> bool {
    let value = head.fields.get(name);
    match test {
        HeaderTest::There(wanted) => met(*wanted, value.is_some()),
        HeaderTest::Equal(wanted, other) => met(*wanted, value.map(|value| value == &other[..])),
        HeaderTest::Matching(wanted, regex) => match value {
            Some(value) => matches(*wanted, regex, value),
            None => met(*wanted, None),
        },
    }
}

fn has_value(values: &Answer<'_>, template: &Template) -> bool {
    let value = template.expand(values);
    !value.is_empty() && value != b"0"
}

/// The values of variables that an answer alone has, and of those that a `map` makes of them.
struct Answer<'a> {
    facts: &'a UpstreamFacts,
    computed: &'a [Computed],
    /// What an expression of a `map` caught last.
    captures: RefCell<Option<Captures>>,
}

impl VariableSource for Answer<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        match variable {
            Variable::Upstream(variable) => self.facts.write(variable, out),
            Variable::Slot(Slot { unset: Unset::Computed(number), .. }) => {
                let Some(Computed::Map(map)) = self.computed.get(*number) else { return false };
                let Ok(mapped) = map.find(self) else { return false };
                if let Some(captures) = mapped.captures {
                    self.captures.replace(Some(captures));
                }
                mapped.value.write(out, self);
                true
            }
            // The configuration lets no other in.
            _ => false,
        }
    }

    fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
        let captures = self.captures.borrow();
        let caught = captures.as_ref().and_then(|captures| captures.group(number));
        out.extend_from_slice(caught.unwrap_or_default());
        caught.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use config::{Case, HostPattern, Lifetime, MapConf, MapSubject, MapTable, Part, UpstreamVariable};

    use super::*;
    use crate::http::exchange::Try;

    fn facts(head: ResponseHead) -> UpstreamFacts {
        let one = Try {
            status: Some(head.status),
            response: Some(Duration::from_millis(1500)),
            response_length: 12,
            ..Try::default()
        };
        UpstreamFacts { tries: vec![one], head: Some(Arc::new(head)), ..UpstreamFacts::default() }
    }

    fn answer() -> ResponseHead {
        let mut head = ResponseHead::new();
        head.status = 200;
        head.fields.push(b"Content-Type", b"text/html");
        head.fields.push(b"X-Load", b"0");
        head.fields.push(b"X-Mode", b"primary");
        head.fields.push(b"Set-Cookie", b"node=7; path=/");
        head
    }

    #[test]
    fn each_test_is_met_or_not() {
        let regex = |text| Regex::new(text, Case::Sensitive).expect("it compiles");
        let field = |name: &str, test| MatchTest::Header(name.to_owned(), test);
        let variable = |variable| Template::from_parts(vec![Part::Variable(variable)]);
        let of_field = |name: &str| variable(Variable::Upstream(UpstreamVariable::Http(name.into())));
        let (is, is_not) = (Wanted::Is, Wanted::IsNot);
        let html = || b"text/html".to_vec();
        let cases = [
            ("status", MatchTest::Status(is, vec![200..=200, 301..=303]), Ok(())),
            ("another status", MatchTest::Status(is, vec![301..=303]), Err(Mismatch::Status)),
            ("not this status", MatchTest::Status(is_not, vec![200..=399]), Err(Mismatch::Status)),
            ("not another status", MatchTest::Status(is_not, vec![500..=599]), Ok(())),
            ("there", field("content-type", HeaderTest::There(is)), Ok(())),
            ("not there", field("X-None", HeaderTest::There(is)), Err(Mismatch::Header)),
            ("not to be there", field("X-None", HeaderTest::There(is_not)), Ok(())),
            ("equal", field("Content-Type", HeaderTest::Equal(is, html())), Ok(())),
            ("not equal", field("X-Mode", HeaderTest::Equal(is, html())), Err(Mismatch::Header)),
            ("to differ", field("X-Mode", HeaderTest::Equal(is_not, html())), Ok(())),
            (
                "to differ, and it does not",
                field("Content-Type", HeaderTest::Equal(is_not, html())),
                Err(Mismatch::Header),
            ),
            ("nothing differs", field("X-None", HeaderTest::Equal(is_not, html())), Ok(())),
            ("matching", field("Content-Type", HeaderTest::Matching(is, regex("html$"))), Ok(())),
            ("nothing matches", field("X-None", HeaderTest::Matching(is, regex(""))), Err(Mismatch::Header)),
            ("not matching", field("Content-Type", HeaderTest::Matching(is_not, regex("json"))), Ok(())),
            ("body", MatchTest::Body(is, regex("Welcome")), Ok(())),
            ("not in the body", MatchTest::Body(is_not, regex("Welcome")), Err(Mismatch::Body)),
            ("a value", MatchTest::Require(vec![of_field("x-mode")]), Ok(())),
            (
                "zero is none",
                MatchTest::Require(vec![of_field("x-mode"), of_field("x-load")]),
                Err(Mismatch::Variable),
            ),
            ("none", MatchTest::Require(vec![of_field("x-none")]), Err(Mismatch::Variable)),
            (
                "status as a value",
                MatchTest::Require(vec![variable(Variable::Upstream(UpstreamVariable::Status))]),
                Ok(()),
            ),
            (
                "a cookie",
                MatchTest::Require(vec![variable(Variable::Upstream(UpstreamVariable::Cookie(
                    "node".into(),
                )))]),
                Ok(()),
            ),
        ];
        for (name, test, wanted) in cases {
            let conf = MatchConf { name: "m".to_owned(), tests: vec![test] };
            assert_eq!(judge(Some(&conf), &facts(answer()), b"Welcome home", &[]), wanted, "{name}");
        }
    }

    #[test]
    fn all_must_hold_and_without_any_a_status_will_do() {
        for (status, wanted) in
            [(199, Err(Mismatch::Status)), (200, Ok(())), (399, Ok(())), (400, Err(Mismatch::Status))]
        {
            let head = ResponseHead { status, ..answer() };
            assert_eq!(judge(None, &facts(head), b"", &[]), wanted, "{status}");
        }
        let tests = vec![
            MatchTest::Status(Wanted::Is, vec![200..=200]),
            MatchTest::Header("X-None".to_owned(), HeaderTest::There(Wanted::Is)),
        ];
        let conf = MatchConf { name: "m".to_owned(), tests };
        assert_eq!(judge(Some(&conf), &facts(answer()), b"", &[]), Err(Mismatch::Header));
    }

    /// `map $upstream_response_time $quick { ~^([01])\. $1; default 0; }`, and `map $quick $fit { 1 yes; }`.
    fn maps() -> [Computed; 2] {
        let variable = |variable| Template::from_parts(vec![Part::Variable(variable)]);
        let map = |source, table| {
            let (subject, lifetime) = (MapSubject::Text, Lifetime::Request);
            Computed::Map(MapConf { source, table, subject, lifetime })
        };
        let (mut times, mut marks) = (MapTable::default(), MapTable::default());
        let expression = Regex::new("^([01])\\.", Case::Sensitive).expect("it compiles");
        times.add_regex(expression, Template::from_parts(vec![Part::Capture(1)]));
        times.set_default(Template::text("0"));
        let pattern = HostPattern::Exact("1".to_owned());
        marks.add(&pattern, Template::text("yes")).expect("it is new");
        let time = variable(Variable::Upstream(UpstreamVariable::ResponseTime));
        [map(time, times), map(variable(made_by(0)), marks)]
    }

    fn made_by(number: usize) -> Variable {
        Variable::Slot(Slot { number, name: "made".into(), unset: Unset::Computed(number) })
    }

    #[test]
    fn maps_make_values_of_an_answer_s() {
        for (milliseconds, wanted) in
            [(1500, Ok(())), (500, Err(Mismatch::Variable)), (2000, Err(Mismatch::Variable))]
        {
            let mut facts = facts(answer());
            facts.tries[0].response = Some(Duration::from_millis(milliseconds));
            let fit = Template::from_parts(vec![Part::Variable(made_by(1))]);
            let conf = MatchConf { name: "m".to_owned(), tests: vec![MatchTest::Require(vec![fit])] };
            assert_eq!(judge(Some(&conf), &facts, b"", &maps()), wanted, "{milliseconds}");
        }
    }
}
