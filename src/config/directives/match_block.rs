//! `match` blocks, which say what a good answer to a health check is.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::computed::Computed;
use crate::{
    parse::Directive,
    regex::{Case, Regex},
    scope::Scope,
    source::Problem,
    template::{Part, Template},
    values::accepted,
    variable::{Slot, Unset, UpstreamVariable, Variable},
};

/// `match`: all of it must hold.
#[derive(Debug, Clone)]
pub struct MatchConf {
    /// Its name.
    pub name: String,
    /// What must hold.
    pub tests: Vec<MatchTest>,
}

/// A condition of a [`MatchConf`].
#[derive(Debug, Clone)]
pub enum MatchTest {
    /// `status`.
    Status(Wanted, Vec<RangeInclusive<u16>>),
    /// `header`: its name, and what is asked of it.
    Header(String, HeaderTest),
    /// `body`.
    Body(Wanted, Regex),
    /// `require`: each has a value, and it is not `0`.
    Require(Vec<Template>),
}

/// Whether something must or must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It must.
    Is,
    /// It must not.
    IsNot,
}

/// What is asked of a field.
#[derive(Debug, Clone)]
pub enum HeaderTest {
    /// To be there, or not.
    There(Wanted),
    /// To have this value, or another one.
    Equal(Wanted, Vec<u8>),
    /// To match, or not.
    Matching(Wanted, Regex),
}

/// Reads a `match` block.
pub fn match_block(block: &Directive, scope: &Scope<'_>) -> Result<MatchConf, Problem> {
    let mut tests = Vec::new();
    for line in block.block.iter().flatten() {
        if line.block.is_some() {
            return Err(line.fail(line.args.len(), "unexpected \"{\""));
        }
        if line.args.is_empty() {
            return Err(line.complain("is invalid").with_help("it tests nothing"));
        }
        tests.push(match &*line.name.text {
            b"status" => status(line)?,
            b"header" => header(line, scope)?,
            b"body" => body(line, scope)?,
            b"require" => require(line, scope)?,
            _ => {
                let words = ["status", "header", "body", "require"].into_iter();
                let problem = Problem::new(line.name.span, format!("unknown directive \"{}\"", line.name()));
                return Err(problem.with_help(accepted(&line.name(), words)));
            }
        });
    }
    Ok(MatchConf { name: block.text(0).into_owned(), tests })
}

fn status(line: &Directive) -> Result<MatchTest, Problem> {
    let (wanted, first) = match line.bytes(0) {
        b"!" => (Wanted::IsNot, 1),
        _ => (Wanted::Is, 0),
    };
    let range = |number: usize| {
        let text = line.text(number);
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=999).contains(code));
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        let range = code(from).zip(code(to)).filter(|(from, to)| from <= to);
        range.map(|(from, to)| from..=to).ok_or_else(|| {
            let problem = line.fail(number, format!("invalid value \"{text}\""));
            problem.with_help("a status, or two with a dash: 200-399")
        })
    };
    let ranges = (first..line.args.len()).map(range).collect::<Result<Vec<_>, _>>()?;
    match ranges.is_empty() {
        true => Err(line.complain("is invalid").with_help("name a status: status ! 500;")),
        false => Ok(MatchTest::Status(wanted, ranges)),
    }
}

fn header(line: &Directive, scope: &Scope<'_>) -> Result<MatchTest, Problem> {
    let text = |number: usize| line.text(number).into_owned();
    let test = match (line.bytes(0), line.args.len()) {
        (b"!", 2) => return Ok(MatchTest::Header(text(1), HeaderTest::There(Wanted::IsNot))),
        (_, 1) => HeaderTest::There(Wanted::Is),
        (_, 3) => match line.bytes(1) {
            b"=" => HeaderTest::Equal(Wanted::Is, line.bytes(2).to_vec()),
            b"!=" => HeaderTest::Equal(Wanted::IsNot, line.bytes(2).to_vec()),
            b"~" => HeaderTest::Matching(Wanted::Is, expression(line, 2, scope)?),
            b"!~" => HeaderTest::Matching(Wanted::IsNot, expression(line, 2, scope)?),
            _ => return Err(unknown_test(line, 1)),
        },
        _ => {
            return Err(line
                .complain("is invalid")
                .with_help("header NAME, header ! NAME, or header NAME = VALUE"));
        }
    };
    Ok(MatchTest::Header(text(0), test))
}

fn body(line: &Directive, scope: &Scope<'_>) -> Result<MatchTest, Problem> {
    let wanted = match line.bytes(0) {
        b"~" => Wanted::Is,
        b"!~" => Wanted::IsNot,
        _ => return Err(unknown_test(line, 0)),
    };
    match line.args.len() {
        2 => Ok(MatchTest::Body(wanted, expression(line, 1, scope)?)),
        _ => Err(line.complain("is invalid").with_help("body ~ EXPRESSION, or body !~ EXPRESSION")),
    }
}

fn expression(line: &Directive, number: usize, scope: &Scope<'_>) -> Result<Regex, Problem> {
    scope.regex(line, number, line.bytes(number), Case::Sensitive)
}

fn unknown_test(line: &Directive, number: usize) -> Problem {
    let problem = line.fail(number, format!("invalid value \"{}\"", line.text(number)));
    problem.with_help("accepted: \"~\", \"!~\", and for a header \"=\", \"!=\"")
}

fn require(line: &Directive, scope: &Scope<'_>) -> Result<MatchTest, Problem> {
    let template = |number: usize| {
        let template = scope.template(line, number)?;
        match template.parts() {
            [Part::Variable(_)] => Ok(template),
            _ => {
                let message = format!("invalid variable name \"{}\"", line.text(number));
                Err(line.fail(number, message).with_help("a variable alone: require $upstream_http_x_mode;"))
            }
        }
    };
    (0..line.args.len()).map(template).collect::<Result<_, _>>().map(MatchTest::Require)
}

/// Finds variables in `require` that no check can have: there is no request of a client behind it, only what the peer
/// answered has a value, and what a `map` makes of that.
pub fn without_value(
    http: &[Directive],
    computed: &BTreeMap<usize, Computed>,
    scope: &Scope<'_>,
) -> Vec<Problem> {
    let mut answers = Answers { computed, known: BTreeMap::new() };
    let lines = http.iter().filter(|block| block.is("match")).flat_map(|block| block.block.iter().flatten());
    let mut problems = Vec::new();
    for line in lines.filter(|line| line.is("require")) {
        for number in 0..line.args.len() {
            // What is no variable has been told of already.
            let Ok(template) = scope.template(line, number) else { continue };
            if !answers.tell(&template) {
                let text = line.text(number);
                let message =
                    format!("\"{text}\" in the \"require\" directive has no value in a health check");
                problems.push(line.fail(number, message).with_help(HAVE_VALUES));
            }
        }
    }
    problems
}

const HAVE_VALUES: &str = "accepted: $upstream_status, $upstream_http_NAME, $upstream_cookie_NAME, $upstream_addr, the \
                           times $upstream_connect_time, $upstream_header_time and $upstream_response_time, \
                           $upstream_response_length, $upstream_bytes_received, $upstream_bytes_sent, and variables \
                           that a map makes of these alone";

/// Knows what the answer to a check tells.
struct Answers<'a> {
    computed: &'a BTreeMap<usize, Computed>,
    /// Of which blocks it is known already whether it tells them; of one that is being looked at, it does not.
    known: BTreeMap<usize, bool>,
}

impl Answers<'_> {
    fn tell(&mut self, template: &Template) -> bool {
        template.parts().iter().all(|part| match part {
            Part::Text(_) | Part::Capture(_) => true,
            Part::Variable(Variable::Upstream(variable)) => is_told(variable),
            Part::Variable(Variable::Slot(Slot { unset: Unset::Computed(number), .. })) => {
                self.tell_mapped(*number)
            }
            Part::Variable(_) => false,
        })
    }

    fn tell_mapped(&mut self, number: usize) -> bool {
        if let Some(known) = self.known.get(&number) {
            return *known;
        }
        self.known.insert(number, false);
        let is_told = match self.computed.get(&number) {
            Some(Computed::Map(map)) => map.templates().all(|template| self.tell(template)),
            Some(Computed::Geo(_) | Computed::Split(_)) | None => false,
        };
        self.known.insert(number, is_told);
        is_told
    }
}

fn is_told(variable: &UpstreamVariable) -> bool {
    use UpstreamVariable as U;
    match variable {
        U::Addr
        | U::BytesReceived
        | U::BytesSent
        | U::ConnectTime
        | U::Cookie(_)
        | U::HeaderTime
        | U::Http(_)
        | U::ResponseLength
        | U::ResponseTime
        | U::Status => true,
        U::CacheAge | U::CacheEtag | U::CacheLastModified | U::CacheStatus | U::QueueTime | U::Trailer(_) => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::complaint;

    #[test]
    fn mistakes_in_a_match_are_told_with_their_places() {
        let cases = [
            ("\nstatus 99;", "invalid value \"99\" in :2"),
            ("\nstatus 300-200;", "invalid value \"300-200\" in :2"),
            ("\nstatus !;", "\"status\" directive is invalid in :2"),
            ("\nstatus;", "\"status\" directive is invalid in :2"),
            ("\nheader A > b;", "invalid value \">\" in :2"),
            ("\nheader A =;", "\"header\" directive is invalid in :2"),
            ("\nheader A ~ (;", "pcre2_compile() failed: missing closing parenthesis in \"(\" in :2"),
            ("\nbody = x;", "invalid value \"=\" in :2"),
            ("\nbody ~;", "\"body\" directive is invalid in :2"),
            ("\nrequire yes;", "invalid variable name \"yes\" in :2"),
            (
                "\nrequire $upstream_status$upstream_addr;",
                "invalid variable name \"$upstream_status$upstream_addr\" in :2",
            ),
            ("\nrequire $nothing;", "unknown \"nothing\" variable in :2"),
            ("\nresponse 200;", "unknown directive \"response\" in :2"),
            ("\nstatus { }", "unexpected \"{\" in :2"),
            ("} match m {", "duplicate match \"m\" in :1"),
        ];
        for (inside, wanted) in cases {
            let told = complaint(&format!("match m {{ {inside} }}"));
            assert!(told == wanted || (inside.contains('(') && told.ends_with("in :2")), "{inside}: {told}");
        }
        let fine = "status 200 301-303; status ! 500-599; header A; header ! B; header A = b; header A != c;
            header A ~ b; header A !~ c; body ~ x; body !~ y; require $upstream_http_x $upstream_status;";
        assert_eq!(complaint(&format!("match m {{ {fine} }}")), "");
    }

    #[test]
    fn what_no_check_has_is_refused() {
        let maps = "map $upstream_response_time $quick { ~^0\\.0(.) $1; default 0; }
            map $quick$upstream_http_x $both { hostnames; *.a $upstream_cookie_a; default $upstream_status; }
            map $upstream_status $asked { 200 $host; default 1; }
            map $circle $round { 1 2; } map $round $circle { 1 2; }
            geo $near { default 1; } split_clients $upstream_addr $part { * 1; }";
        for (variable, wanted) in [
            ("$upstream_addr", None),
            ("$upstream_bytes_received", None),
            ("$upstream_connect_time", None),
            ("$upstream_cookie_a", None),
            ("$upstream_http_x", None),
            ("$upstream_response_length", None),
            ("$quick", None),
            ("$both", None),
            ("$host", Some("$host")),
            ("$upstream_cache_status", Some("$upstream_cache_status")),
            ("$upstream_queue_time", Some("$upstream_queue_time")),
            ("$upstream_trailer_x", Some("$upstream_trailer_x")),
            ("$asked", Some("$asked")),
            ("$circle", Some("$circle")),
            ("$near", Some("$near")),
            ("$part", Some("$part")),
        ] {
            let told = complaint(&format!("match m {{\nrequire $upstream_status {variable}; }} {maps}"));
            let wanted = wanted.map(|name| {
                format!("\"{name}\" in the \"require\" directive has no value in a health check in :2")
            });
            assert_eq!(told, wanted.unwrap_or_default(), "{variable}");
        }
    }
}
