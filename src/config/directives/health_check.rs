//! `health_check`: how peers are asked how they are.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{match_block::MatchConf, upstream::UpstreamConf};
use crate::{
    parse::Directive,
    scope::Scope,
    source::Problem,
    tree::ProxyTarget,
    values::{Precision, accepted, parse_number, parse_time},
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
    /// How long one connection serves checks; zero: each has its own.
    pub keepalive_time: Duration,
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

/// How `health_check` is written.
pub const SYNTAX: &str = "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] \
                          [mandatory [persistent]] [match=name] [port=number] [keepalive_time=time]";

const PARAMETERS: [&str; 10] = [
    "interval=",
    "jitter=",
    "fails=",
    "passes=",
    "uri=",
    "mandatory",
    "persistent",
    "match=",
    "port=",
    "keepalive_time=",
];

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
        keepalive_time: Duration::ZERO,
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
    if matches!((name, value), ("type", Some("grpc")) | ("grpc_service" | "grpc_status", Some(_))) {
        let message =
            format!("the \"{text}\" parameter of the \"health_check\" directive is not supported yet");
        return Err(directive.fail(number, message).with_help("gRPC needs HTTP/2 to upstreams"));
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
        ("keepalive_time", Some(text)) => check.keepalive_time = time(text)?,
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
            ("keepalive_time=", "invalid parameter \"keepalive_time=\" in :3"),
            ("keepalive_time=long", "invalid parameter \"keepalive_time=long\" in :3"),
            ("type=http", "invalid parameter \"type=http\" in :3"),
            (
                "type=grpc",
                "the \"type=grpc\" parameter of the \"health_check\" directive is not supported yet in :3",
            ),
            (
                "grpc_status=12",
                "the \"grpc_status=12\" parameter of the \"health_check\" directive is not supported yet in :3",
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
        let all = "interval=1s jitter=1s fails=2 passes=3 uri=/x port=81 mandatory persistent match=m keepalive_time=1m";
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
}
