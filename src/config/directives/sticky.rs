//! Requests that belong together go to the same server: `sticky`.

use std::time::Duration;

use crate::{
    parse::Directive,
    scope::Scope,
    settings::Reader,
    source::Problem,
    template::Template,
    values::{Precision, accepted, parse_size, parse_time},
};

/// How a client is bound to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// By a cookie of ours.
    Cookie(StickyCookie),
    /// By the first of these values that is not empty: it names a server's route.
    Route(Vec<Template>),
    /// By something that the server itself gave out.
    Learn(StickyLearn),
}

/// `sticky cookie`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name.
    pub name: String,
    /// How long browsers keep it; without, until they are closed.
    pub expires: Option<CookieExpires>,
    /// `Domain`.
    pub domain: Option<Template>,
    /// `Path`.
    pub path: Option<Template>,
    /// `SameSite`.
    pub same_site: Option<Template>,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
}

/// How long browsers keep a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieExpires {
    /// As long as can be said.
    Max,
    /// For this time.
    After(Duration),
}

/// `sticky learn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyLearn {
    /// Values of an answer that begin a session: the first that is not empty.
    pub create: Vec<Template>,
    /// Values of a request that belong to one: the first that is known.
    pub lookup: Vec<Template>,
    /// Room for sessions.
    pub zone_size: u64,
    /// How long a session lasts without requests.
    pub timeout: Duration,
    /// When a session begins.
    pub begins: SessionBegins,
}

/// When a session of `sticky learn` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionBegins {
    /// With the head of the answer.
    AtHead,
    /// With its end.
    AtEnd,
}

/// `sticky`.
pub const STICKY: Reader<Option<Sticky>> = Reader::many(
    "cookie name [expires=time] [domain=domain] [httponly] [samesite=strict | lax | none | $variable] [secure] \
     [path=path] | route $variable ... | learn create=$variable lookup=$variable zone=name:size [timeout=time] [header]",
    |directive, scope| sticky(directive, scope).map(Some),
);

fn sticky(directive: &Directive, scope: &Scope<'_>) -> Result<Sticky, Problem> {
    let kind = directive.text(0);
    let count = directive.args.len();
    match &*kind {
        "cookie" | "route" if count < 2 => Err(directive.complain("has too few arguments")),
        "cookie" => cookie(directive, scope).map(Sticky::Cookie),
        "route" => (1..count)
            .map(|number| scope.template(directive, number))
            .collect::<Result<_, _>>()
            .map(Sticky::Route),
        "learn" => learn(directive, scope).map(Sticky::Learn),
        _ => Err(invalid(directive, 0, &["cookie", "route", "learn"])),
    }
}

fn cookie(directive: &Directive, scope: &Scope<'_>) -> Result<StickyCookie, Problem> {
    let mut cookie = StickyCookie { name: directive.text(1).into_owned(), ..StickyCookie::default() };
    for number in 2..directive.args.len() {
        let text = directive.text(number);
        let template = |value: &str| scope.compile(directive, number, value.as_bytes()).map(Some);
        match text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value))) {
            ("expires", Some("max")) => cookie.expires = Some(CookieExpires::Max),
            ("expires", Some(value)) => {
                cookie.expires = Some(CookieExpires::After(time(directive, number, value)?));
            }
            ("domain", Some(value)) => cookie.domain = template(value)?,
            ("path", Some(value)) => cookie.path = template(value)?,
            ("samesite", Some(value)) => {
                let named = ["strict", "lax", "none"].iter().find(|name| name.eq_ignore_ascii_case(value));
                cookie.same_site = match named {
                    Some(name) => Some(Template::text(*name)),
                    None if value.starts_with('$') => template(value)?,
                    None => {
                        return Err(invalid(
                            directive,
                            number,
                            &["samesite=strict", "samesite=lax", "samesite=none"],
                        ));
                    }
                };
            }
            ("secure", None) => cookie.secure = true,
            ("httponly", None) => cookie.http_only = true,
            _ => {
                let words = ["expires=", "domain=", "httponly", "samesite=", "secure", "path="];
                return Err(invalid(directive, number, &words));
            }
        }
    }
    Ok(cookie)
}

fn learn(directive: &Directive, scope: &Scope<'_>) -> Result<StickyLearn, Problem> {
    let mut learn = StickyLearn {
        create: Vec::new(),
        lookup: Vec::new(),
        zone_size: 0,
        timeout: Duration::from_secs(600),
        begins: SessionBegins::AtEnd,
    };
    for number in 1..directive.args.len() {
        let text = directive.text(number);
        let template = |value: &str| scope.compile(directive, number, value.as_bytes());
        match text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value))) {
            ("create", Some(value)) => learn.create.push(template(value)?),
            ("lookup", Some(value)) => learn.lookup.push(template(value)?),
            ("timeout", Some(value)) => learn.timeout = time(directive, number, value)?,
            ("zone", Some(value)) => learn.zone_size = zone_size(directive, number, value)?,
            ("header", None) => learn.begins = SessionBegins::AtHead,
            ("sync", None) => {
                let message = "the \"sync\" parameter of the \"sticky\" directive is not supported yet";
                return Err(directive.fail(number, message));
            }
            _ => {
                let words = ["create=", "lookup=", "zone=", "timeout=", "header"];
                return Err(invalid(directive, number, &words));
            }
        }
    }
    let missing = [
        ("create", learn.create.is_empty()),
        ("lookup", learn.lookup.is_empty()),
        ("zone", learn.zone_size == 0),
    ];
    match missing.iter().find(|(_, is_missing)| *is_missing) {
        Some((name, _)) => Err(directive.complain(&format!("must have the \"{name}\" parameter"))),
        None => Ok(learn),
    }
}

fn time(directive: &Directive, number: usize, value: &str) -> Result<Duration, Problem> {
    let time = parse_time(value.as_bytes(), Precision::Seconds);
    time.ok_or_else(|| {
        invalid(directive, number, &[]).with_help("a time is seconds, or numbers with units: 1h")
    })
}

/// The smallest zone, as nginx has it: eight pages.
pub const LEAST_ZONE_BYTES: u64 = 8 * 4096;

fn zone_size(directive: &Directive, number: usize, value: &str) -> Result<u64, Problem> {
    let named = value.rsplit_once(':').filter(|(name, _)| !name.is_empty());
    let message = match named.map(|(name, size)| (name, parse_size(size.as_bytes()))) {
        Some((_, Some(size))) if size >= LEAST_ZONE_BYTES => return Ok(size),
        Some((name, Some(_))) => format!("zone \"{name}\" is too small"),
        Some((_, None)) | None => format!("invalid zone size \"{value}\""),
    };
    Err(directive.fail(number, message))
}

fn invalid(directive: &Directive, number: usize, words: &[&str]) -> Problem {
    let text = directive.text(number);
    let problem = directive.fail(number, format!("invalid parameter \"{text}\""));
    if words.is_empty() { problem } else { problem.with_help(accepted(&text, words.iter().copied())) }
}
