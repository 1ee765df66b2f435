//! Whether an answer to a check is a good one (`match`). Pure.

use config::{
    HeaderTest, MatchConf, MatchTest, Template, UpstreamVariable, Variable, VariableSource, Wanted,
};
use http1::ResponseHead;

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

/// Whether the body has to be read to judge an answer.
pub fn needs_body(conf: Option<&MatchConf>) -> bool {
    conf.is_some_and(|conf| conf.tests.iter().any(|test| matches!(test, MatchTest::Body(..))))
}

/// Judges an answer; without a `match`, any status from 200 to 399 will do.
///
/// # Errors
/// The first thing that is not as wanted.
pub fn judge(conf: Option<&MatchConf>, head: &ResponseHead, body: &[u8]) -> Result<(), Mismatch> {
    let Some(conf) = conf else {
        return if (200..=399).contains(&head.status) { Ok(()) } else { Err(Mismatch::Status) };
    };
    conf.tests.iter().try_for_each(|test| {
        let (holds, mismatch) = match test {
            MatchTest::Status(wanted, ranges) => {
                (met(*wanted, ranges.iter().any(|range| range.contains(&head.status))), Mismatch::Status)
            }
            MatchTest::Header(name, test) => (header(head, name, test), Mismatch::Header),
            MatchTest::Body(wanted, regex) => (met(*wanted, regex.is_match(body)), Mismatch::Body),
            MatchTest::Require(templates) => {
                (templates.iter().all(|template| has_value(head, template)), Mismatch::Variable)
            }
        };
        if holds { Ok(()) } else { Err(mismatch) }
    })
}

fn met(wanted: Wanted, is_so: impl Into<Option<bool>>) -> bool {
    is_so.into().unwrap_or_default() == (wanted == Wanted::Is)
}

/// A field that is not there has no value: it is never equal to one, and matches nothing.
fn header(head: &ResponseHead, name: &str, test: &HeaderTest) -> bool {
    let value = head.fields.get(name);
    match test {
        HeaderTest::There(wanted) => met(*wanted, value.is_some()),
        HeaderTest::Equal(wanted, other) => met(*wanted, value.map(|value| value == &other[..])),
        HeaderTest::Matching(wanted, regex) => met(*wanted, value.map(|value| regex.is_match(value))),
    }
}

fn has_value(head: &ResponseHead, template: &Template) -> bool {
    let value = template.expand(&Answer(head));
    !value.is_empty() && value != b"0"
}

/// The values of variables that an answer alone has.
struct Answer<'a>(&'a ResponseHead);

impl VariableSource for Answer<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        match variable {
            Variable::Upstream(UpstreamVariable::Status) => {
                out.extend_from_slice(self.0.status.to_string().as_bytes());
                true
            }
            Variable::Upstream(UpstreamVariable::Http(name)) => match self.0.fields.get(name) {
                Some(value) => {
                    out.extend_from_slice(value);
                    true
                }
                None => false,
            },
            // The configuration lets no other in.
            _ => false,
        }
    }

    fn write_capture(&self, _: usize, _: &mut Vec<u8>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use config::{Case, Part, Regex};

    use super::*;

    fn answer() -> ResponseHead {
        let mut head = ResponseHead::new();
        head.status = 200;
        head.fields.push(b"Content-Type", b"text/html");
        head.fields.push(b"X-Load", b"0");
        head.fields.push(b"X-Mode", b"primary");
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
        ];
        for (name, test, wanted) in cases {
            let conf = MatchConf { name: "m".to_owned(), tests: vec![test] };
            assert_eq!(judge(Some(&conf), &answer(), b"Welcome home"), wanted, "{name}");
        }
    }

    #[test]
    fn all_must_hold_and_without_any_a_status_will_do() {
        for (status, wanted) in
            [(199, Err(Mismatch::Status)), (200, Ok(())), (399, Ok(())), (400, Err(Mismatch::Status))]
        {
            let head = ResponseHead { status, ..answer() };
            assert_eq!(judge(None, &head, b""), wanted, "{status}");
        }
        let tests = vec![
            MatchTest::Status(Wanted::Is, vec![200..=200]),
            MatchTest::Header("X-None".to_owned(), HeaderTest::There(Wanted::Is)),
        ];
        let conf = MatchConf { name: "m".to_owned(), tests };
        assert_eq!(judge(Some(&conf), &answer(), b""), Err(Mismatch::Header));
    }
}
