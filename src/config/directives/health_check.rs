//! `health_check`, and `match` blocks, which say what a good answer is.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

use super::upstream::UpstreamConf;
use crate::{
    parse::Directive,
    regex::{Case, Regex},
    scope::Scope,
    source::Problem,
    template::{Part, Template},
    tree::ProxyTarget,
    values::{Precision, accepted, parse_number, parse_time},
    variable::{UpstreamVariable, Variable},
};

/// `health_check`.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    /// Time between checks of a peer.
    pub interval: Duration,
    /// What is added to it at most, by chance.
    pub jitter: Duration,
    /// Checks in a row that must fail before a peer is unhealthy.
    pub fails: u32,
    /// Checks in a row that must pass before it is healthy again.
    pub passes: u32,
    /// What is asked for.
    pub uri: String,
    /// Port in place of the peer's.
    pub port: Option<u16>,
    /// What a peer is before its first check.
    pub at_first: AtFirst,
    /// What a good answer is; absent: any status from 200 to 399.
    pub good: Option<Arc<MatchConf>>,
}

/// What a peer is before its first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtFirst {
    /// In use.
    Healthy,
    /// Not in use (`mandatory`).
    Checking,
    /// Not in use, unless it was healthy before a reload (`mandatory persistent`).
    CheckingUnlessRemembered,
}

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

/// How `health_check` is written.
pub const SYNTAX: &str = "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] \
                          [mandatory [persistent]]                           [match=name] [port=number]";

const PARAMETERS: [&str; 9] =
    ["interval=", "jitter=", "fails=", "passes=", "uri=", "mandatory", "persistent", "match=", "port="];

/// Parameters of nginx that are not here yet.
const LATER: [&str; 2] = ["type", "keepalive_time"];

/// Reads `health_check` of a location that passes to `target`.
pub fn health_check(
    directive: &Directive,
    target: Option<&ProxyTarget>,
    scope: &Scope<'_>,
) -> Result<HealthCheck, Problem> {
    let Some(ProxyTarget::Group(group)) = target else {
        let problem =
            directive.complain("requires a \"proxy_pass\" to an upstream group in the same location");
        return Err(problem.with_help("one without variables"));
    };
    if !group.has_zone {
        return Err(needs_zone(directive, group));
    }
    let mut check = HealthCheck {
        interval: Duration::from_secs(5),
        jitter: Duration::ZERO,
        fails: 1,
        passes: 1,
        uri: "/".to_owned(),
        port: None,
        at_first: AtFirst::Healthy,
        good: None,
    };
    for number in 0..directive.args.len() {
        parameter(&mut check, directive, number, &scope.matches)?;
    }
    Ok(check)
}

fn needs_zone(directive: &Directive, group: &UpstreamConf) -> Problem {
    let message =
        format!("\"health_check\" directive requires upstream \"{}\" to be in shared memory", group.name);
    Problem::new(directive.name.span, message).with_help("write into its block: zone NAME 64k;")
}

fn parameter(
    check: &mut HealthCheck,
    directive: &Directive,
    number: usize,
    matches: &BTreeMap<String, Arc<MatchConf>>,
) -> Result<(), Problem> {
    let text = directive.text(number);
    let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
    if LATER.contains(&name) {
        let message =
            format!("the \"{name}\" parameter of the \"health_check\" directive is not supported yet");
        return Err(directive.fail(number, message));
    }
    let invalid = || directive.fail(number, format!("invalid parameter \"{text}\""));
    let time = |text: &str| {
        let time = parse_time(text.as_bytes(), Precision::Milliseconds);
        time.ok_or_else(|| invalid().with_help(format!("{name} takes a time: 5s")))
    };
    let count = |text: &str| {
        let count = parse_number(text.as_bytes()).and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        count.ok_or_else(|| invalid().with_help(format!("{name} takes a number from 1")))
    };
    match (name, value) {
        ("interval", Some(text)) => {
            check.interval = time(text)?;
            if check.interval.is_zero() {
                return Err(invalid().with_help("there is some time between two checks"));
            }
        }
        ("jitter", Some(text)) => check.jitter = time(text)?,
        ("fails", Some(text)) => check.fails = count(text)?,
        ("passes", Some(text)) => check.passes = count(text)?,
        ("uri", Some(text)) if text.starts_with('/') => text.clone_into(&mut check.uri),
        ("uri", Some(_)) => return Err(invalid().with_help("a URI begins with a slash")),
        ("port", Some(text)) => {
            let port = text.parse().ok().filter(|port| *port != 0);
            check.port =
                Some(port.ok_or_else(|| invalid().with_help("port takes a number from 1 to 65535"))?);
        }
        ("mandatory", None) => check.at_first = AtFirst::Checking,
        ("persistent", None) if check.at_first != AtFirst::Healthy => {
            check.at_first = AtFirst::CheckingUnlessRemembered;
        }
        ("persistent", None) => return Err(invalid().with_help("it stands behind \"mandatory\"")),
        ("match", Some(name)) => {
            let known = matches.get(name).ok_or_else(|| {
                let close = crate::suggest::did_you_mean(name, matches.keys().map(String::as_str));
                directive.fail(number, format!("match \"{name}\" not found")).with_help_if(close)
            })?;
            check.good = Some(Arc::clone(known));
        }
        _ => return Err(invalid().with_help(accepted(name, PARAMETERS.into_iter()))),
    }
    Ok(())
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

/// There is no request of a client behind a check: only what the peer answered has a value.
fn require(line: &Directive, scope: &Scope<'_>) -> Result<MatchTest, Problem> {
    let has_value = |part: &Part| {
        let of_answer = |variable: &Variable| {
            matches!(variable, Variable::Upstream(UpstreamVariable::Status | UpstreamVariable::Http(_)))
        };
        matches!(part, Part::Variable(variable) if of_answer(variable))
    };
    let template = |number: usize| {
        let template = scope.template(line, number)?;
        match template.parts() {
            [part] if has_value(part) => Ok(template),
            _ => {
                let text = line.text(number);
                let message = format!("\"{text}\" in the \"require\" directive is not supported yet");
                Err(line.fail(number, message).with_help("accepted: $upstream_status, $upstream_http_NAME"))
            }
        }
    };
    (0..line.args.len()).map(template).collect::<Result<_, _>>().map(MatchTest::Require)
}

#[cfg(test)]
mod tests {
    use crate::tests::complaint;

    #[test]
    fn mistakes_are_told_with_their_places() {
        let cases = [
            ("interval=0", "invalid parameter \"interval=0\" in :3"),
            ("interval=soon", "invalid parameter \"interval=soon\" in :3"),
            ("jitter=x", "invalid parameter \"jitter=x\" in :3"),
            ("fails=0", "invalid parameter \"fails=0\" in :3"),
            ("passes=many", "invalid parameter \"passes=many\" in :3"),
            ("uri=health", "invalid parameter \"uri=health\" in :3"),
            ("port=0", "invalid parameter \"port=0\" in :3"),
            ("port=70000", "invalid parameter \"port=70000\" in :3"),
            ("mandatory=on", "invalid parameter \"mandatory=on\" in :3"),
            ("sometimes", "invalid parameter \"sometimes\" in :3"),
            ("match=nothing", "match \"nothing\" not found in :3"),
            ("persistent", "invalid parameter \"persistent\" in :3"),
            (
                "type=grpc",
                "the \"type\" parameter of the \"health_check\" directive is not supported yet in :3",
            ),
        ];
        for (parameters, wanted) in cases {
            let http = format!(
                "match m {{ status 200; }} upstream u {{ zone u 1m; server 127.0.0.1; }}
                server {{ location / {{ proxy_pass http://u;
                health_check {parameters}; }} }}"
            );
            assert_eq!(complaint(&http), wanted, "{parameters}");
        }
        let all = "interval=1s jitter=1s fails=2 passes=3 uri=/x port=81 mandatory persistent match=m";
        let http = format!(
            "match m {{ status 200; }} upstream u {{ zone u 1m; server 127.0.0.1; }}
            server {{ location / {{ proxy_pass http://u; health_check; health_check {all}; }} }}"
        );
        assert_eq!(complaint(&http), "");
    }

    #[test]
    fn checks_need_a_group_with_a_zone() {
        let requires = "\"health_check\" directive requires";
        let no_group = format!("{requires} a \"proxy_pass\" to an upstream group in the same location in :1");
        let no_zone = format!("{requires} upstream \"u\" to be in shared memory in :1");
        for (location, wanted) in [
            ("health_check;", &no_group),
            ("proxy_pass http://$arg_a; health_check;", &no_group),
            ("proxy_pass http://u; health_check;", &no_zone),
        ] {
            let http = format!("upstream u {{ server 127.0.0.1; }} server {{ location / {{ {location} }} }}");
            assert_eq!(&complaint(&http), wanted, "{location}");
        }
        assert_eq!(
            complaint("server { health_check; }"),
            "\"health_check\" directive is not allowed here in :1"
        );
    }

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
            ("\nrequire $host;", "\"$host\" in the \"require\" directive is not supported yet in :2"),
            ("\nrequire yes;", "\"yes\" in the \"require\" directive is not supported yet in :2"),
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
}
