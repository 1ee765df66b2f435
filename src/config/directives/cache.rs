//! `proxy_cache` and its companions.

use std::{sync::Arc, time::Duration};

use super::{
    cache_path::CachePath,
    error_page::parse_status,
    failures::UseStale,
    fill_abandoned::{FILL_ABANDONED, FillAbandoned},
};
use crate::{
    flags::Flags,
    parse::Directive,
    scope::Scope,
    settings::{HSL, Join, Reader, settings},
    source::{Met, Problem},
    suggest::did_you_mean,
    template::Template,
    values::{FLAG, NUMBER, OPTIONAL_SIZE, TEXT, TEXTS, TIME, accepted, choice, flag, seconds, time},
};

/// `proxy_cache`.
#[derive(Debug, Clone)]
pub enum CacheZone {
    /// Nothing is stored.
    Off,
    /// In this cache.
    Zone(Arc<CachePath>),
    /// In the cache that the text names.
    Variable(Template),
}

/// `proxy_cache_rfc`: which rules say what is stored and what may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheRules {
    /// nginx's.
    Nginx,
    /// Those of a shared cache after RFC 9111.
    Rfc9111,
}

/// `proxy_cache_set_cookie`: what becomes of Set-Cookie in an answer that is stored after RFC 9111.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredCookies {
    /// Only the client whose request brought the answer gets it.
    Drop,
    /// It is stored and sent again with each hit.
    Replay,
    /// The answer is not stored. As nginx.
    Refuse,
}

/// `proxy_cache_valid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidRule {
    /// Status it is for.
    pub status: ValidStatus,
    /// How long.
    pub time: Duration,
}

/// Status of a [`ValidRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidStatus {
    /// Each.
    Any,
    /// This one.
    Code(u16),
}

/// `proxy_cache_methods`: GET and HEAD always, POST where asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodSet {
    /// POST too.
    pub post: bool,
}

impl Join for MethodSet {
    fn join(&mut self, more: Self) {
        self.post |= more.post;
    }
}

/// `proxy_cache_status`: the name of this cache, spelt as an item of a structured field (RFC 8941, 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheName {
    item: Vec<u8>,
}

impl CacheName {
    /// Spells a name: a token as it is, anything else in quotes. Nothing where it cannot be spelt.
    pub fn new(name: &[u8]) -> Option<Self> {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b":/!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let starts_token = name[0].is_ascii_alphabetic() || name[0] == b'*';
        if starts_token && name.iter().all(is_token) {
            return Some(Self { item: name.to_vec() });
        }
        let mut item = vec![b'"'];
        for &byte in name {
            if matches!(byte, b'"' | b'\\') {
                item.push(b'\\');
            }
            item.push(byte);
        }
        item.push(b'"');
        Some(Self { item })
    }

    /// Returns it as it is written into the field.
    pub fn as_item(&self) -> &[u8] {
        &self.item
    }
}

settings! {
    /// `proxy_cache` and its companions, at one level.
    pub struct CacheConf {
        /// Stores answers in a cache.
        zone: CacheZone = CacheZone::Off, "proxy_cache" in HSL, once(ZONE), "off";
        /// Text that an answer is stored under. Empty where none is written: then it is the URL that is asked for, as nginx has it.
        key: Template = Template::default(),
            "proxy_cache_key" in HSL, once(TEXT), "$scheme$proxy_host$uri$is_args$args";
        /// How long a response of each status stays fresh, where it does not say.
        valid: Vec<ValidRule> = Vec::new(), "proxy_cache_valid" in HSL, joined(VALID);
        /// Methods whose answers are stored.
        methods: MethodSet = MethodSet::default(), "proxy_cache_methods" in HSL, joined(METHODS), "GET HEAD";
        /// Requests after which an answer is stored.
        min_uses: u64 = 1, "proxy_cache_min_uses" in HSL, once(NUMBER), "1";
        /// Does not answer from the cache where a text is neither empty nor `0`.
        bypass: Vec<Template> = Vec::new(), "proxy_cache_bypass" in HSL, joined(TEXTS);
        /// Does not store where a text is neither empty nor `0`.
        no_cache: Vec<Template> = Vec::new(), "proxy_no_cache" in HSL, joined(TEXTS);
        /// Purges instead of answering where a text is neither empty nor `0`.
        purge: Vec<Template> = Vec::new(), "proxy_cache_purge" in HSL, joined(TEXTS);
        /// Fields of an answer that name what else it can be purged by.
        tags: Vec<Vec<u8>> = Vec::new(), "proxy_cache_tags" in HSL, once(TAG_FIELDS), "off";
        /// Cases in which a stale answer will do.
        use_stale: UseStale = UseStale { off: true, ..UseStale::default() },
            "proxy_cache_use_stale" in HSL, joined(USE_STALE), "off";
        /// Answers stale at once and updates behind the client's back.
        background_update: bool = false, "proxy_cache_background_update" in HSL, once(FLAG), "off";
        /// Lets only one request at a time fill a missing key.
        lock: bool = false, "proxy_cache_lock" in HSL, once(FLAG), "off";
        /// How long others wait for it.
        lock_timeout: Duration = Duration::from_secs(5), "proxy_cache_lock_timeout" in HSL, once(TIME), "5s";
        /// After how long another may try.
        lock_age: Duration = Duration::from_secs(5), "proxy_cache_lock_age" in HSL, once(TIME), "5s";
        /// How long it is remembered that an answer was not to be stored; zero is not at all.
        uncacheable: Duration = Duration::from_secs(60),
            "proxy_cache_uncacheable" in HSL, once(TIME_OR_OFF), "1m";
        /// How long a stale answer is served without asking again after a failure; zero is not at all.
        stale_retry: Duration = Duration::ZERO, "proxy_cache_stale_retry" in HSL, once(TIME_OR_OFF), "off";
        /// What becomes of an answer on its way into the cache when all clients that wanted it have left.
        fill_abandoned: FillAbandoned = FillAbandoned::Goes,
            "proxy_cache_fill_abandoned" in HSL, once(FILL_ABANDONED), "always";
        /// Asks whether an expired answer is still good.
        revalidate: bool = false, "proxy_cache_revalidate" in HSL, once(FLAG), "off";
        /// Asks with GET for what a client asks with HEAD.
        convert_head: bool = true, "proxy_cache_convert_head" in HSL, once(FLAG), "on";
        /// Which rules say what is stored and what may be served.
        rfc: CacheRules = CacheRules::Nginx, "proxy_cache_rfc" in HSL, once(RULES), "off";
        /// Fields that stand for Cache-Control and Expires, the most important first.
        targeted_fields: Vec<String> = vec!["CDN-Cache-Control".to_owned()],
            "proxy_cache_targeted_fields" in HSL, once(TARGETED_FIELDS), "CDN-Cache-Control";
        /// How long an answer that does not say stays fresh at most, by the age of its Last-Modified.
        heuristic_max: Duration = Duration::from_secs(86400),
            "proxy_cache_heuristic_max" in HSL, once(TIME), "1d";
        /// What becomes of Set-Cookie in a stored answer.
        set_cookie: StoredCookies = StoredCookies::Drop,
            "proxy_cache_set_cookie" in HSL, once(STORED_COOKIES), "drop";
        /// Ranges that begin beyond are passed on and not stored.
        max_range_offset: Option<u64> = None, "proxy_cache_max_range_offset" in HSL, once(OPTIONAL_SIZE);
        /// Says in the field Cache-Status of each answer what the cache did for it, under this name.
        status: Option<CacheName> = None, "proxy_cache_status" in HSL, once(CACHE_NAME), "off";
        /// Says in the field Age how old an answer from the cache is.
        age: bool = false, "proxy_cache_age" in HSL, once(FLAG), "off";
        /// Obeys what requests say in Cache-Control: how old or stale an answer may be, and whether to ask at all.
        request_directives: bool = false, "proxy_cache_request_directives" in HSL, once(FLAG), "off";
    }
}

const CACHE_NAME: Reader<Option<CacheName>> = Reader::one("name | off", |directive, _| {
    let name = directive.bytes(0);
    if name == b"off" {
        return Ok(None);
    }
    CacheName::new(name).map(Some).ok_or_else(|| {
        let message = format!("invalid name \"{}\" in \"{}\" directive", directive.text(0), directive.name());
        directive.fail(0, message).with_help("a name has visible ASCII characters and spaces")
    })
});

const ZONE: Reader<CacheZone> = Reader::one("zone | off", |directive, scope| {
    if directive.bytes(0) == b"off" {
        return Ok(CacheZone::Off);
    }
    let template = scope.template(directive, 0)?;
    if template.as_text().is_none() {
        return Ok(CacheZone::Variable(template));
    }
    let name = directive.text(0);
    match scope.zones.get(&*name) {
        Some(zone) => Ok(CacheZone::Zone(Arc::clone(zone))),
        None => {
            let close = did_you_mean(&name, scope.zones.keys().map(String::as_str));
            let help =
                close.unwrap_or_else(|| format!("a zone comes from proxy_cache_path: keys_zone={name}:10m"));
            let problem = directive.fail(0, format!("\"proxy_cache\" zone \"{name}\" is unknown"));
            Err(problem.with_help(help).met(Met::Inheriting))
        }
    }
});

const TIME_OR_OFF: Reader<Duration> = Reader::one("time | off", |directive, _| match directive.bytes(0) {
    b"off" => Ok(Duration::ZERO),
    _ => time(directive, 0),
});

impl CacheConf {
    /// Whether the location is a cache after RFC 9111.
    pub fn follows_rfc(&self) -> bool {
        *self.rfc == CacheRules::Rfc9111 && !matches!(*self.zone, CacheZone::Off)
    }
}

const RULES: Reader<CacheRules> = Reader::one("on | off", |directive, scope| {
    flag(directive, scope).map(|on| if on { CacheRules::Rfc9111 } else { CacheRules::Nginx })
});

const STORED_COOKIES: Reader<StoredCookies> = Reader::one("drop | replay | refuse", |directive, _| {
    let words =
        [("drop", StoredCookies::Drop), ("replay", StoredCookies::Replay), ("refuse", StoredCookies::Refuse)];
    choice(directive, 0, &words)
});

const TARGETED_FIELDS: Reader<Vec<String>> = Reader::many("field ... | off", |directive, _| {
    if directive.args.len() == 1 && directive.bytes(0) == b"off" {
        return Ok(Vec::new());
    }
    let field = |number| {
        let name = directive.text(number);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !name.is_empty() && name.bytes().all(is_token) {
            true => Ok(name.into_owned()),
            false => Err(directive
                .fail(number, format!("invalid field \"{name}\""))
                .with_help("the name of a field, such as CDN-Cache-Control")),
        }
    };
    (0..directive.args.len()).map(field).collect()
});

const TAG_FIELDS: Reader<Vec<Vec<u8>>> = Reader::many("field ... | off", |directive, _| {
    if directive.args.len() == 1 && directive.bytes(0) == b"off" {
        return Ok(Vec::new());
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let names = (0..directive.args.len()).map(|number| match directive.bytes(number) {
        name if !name.is_empty() && name.iter().all(is_name) && !name.eq_ignore_ascii_case(b"off") => {
            Ok(name.to_vec())
        }
        _ => {
            let problem =
                directive.fail(number, format!("invalid field name \"{}\"", directive.text(number)));
            Err(problem.with_help(
                "Surrogate-Key, Cache-Tag, xkey, Cache-Groups or any other field; \"off\" alone for none",
            ))
        }
    });
    names.collect()
});

const METHODS: Reader<MethodSet> = Reader::many("GET | HEAD | POST ...", |directive, _| {
    let mut methods = MethodSet::default();
    for number in 0..directive.args.len() {
        let word = directive.text(number);
        match &*word.to_ascii_uppercase() {
            "GET" | "HEAD" => {}
            "POST" => methods.post = true,
            _ => {
                let help = accepted(&word, ["GET", "HEAD", "POST"].into_iter());
                return Err(directive.fail(number, format!("invalid value \"{word}\"")).with_help(help));
            }
        }
    }
    Ok(methods)
});

const USE_STALE: Reader<UseStale> = Reader::many(
    "error | timeout | invalid_header | updating | http_500 | http_502 | http_503 | http_504 | http_403 | http_404 \
     | http_429 | off ...",
    |directive, scope| UseStale::read(directive, |problem| scope.report(problem)),
);

const VALID: Reader<Vec<ValidRule>> = Reader::many("[code ...] time", valid_rules);

/// Statuses that a time alone is for, as nginx.
const VALID_WITHOUT_CODES: [u16; 3] = [200, 301, 302];

fn valid_rules(directive: &Directive, _: &Scope<'_>) -> Result<Vec<ValidRule>, Problem> {
    let last = directive.args.len() - 1;
    let time = seconds(directive, last).map_err(|problem| {
        let message = format!("invalid time value \"{}\"", directive.text(last));
        Problem { message, ..problem }
    })?;
    if last == 0 {
        let rule = |code| ValidRule { status: ValidStatus::Code(code), time };
        return Ok(VALID_WITHOUT_CODES.map(rule).into());
    }
    let rules = (0..last).map(|number| {
        let status = match directive.bytes(number) {
            b"any" => ValidStatus::Any,
            text => ValidStatus::Code(
                parse_status(text).filter(|code| (100..=599).contains(code)).ok_or_else(|| {
                    directive
                        .fail(number, format!("invalid status \"{}\"", directive.text(number)))
                        .with_help("a status is a number from 100 to 599, or \"any\"")
                })?,
            ),
        };
        Ok(ValidRule { status, time })
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use super::CacheName;

    #[test]
    fn names_are_tokens_or_quoted() {
        for (name, wanted) in [
            ("larder", Some("larder")),
            ("cdn.example:8080/a", Some("cdn.example:8080/a")),
            ("*", Some("*")),
            ("1st", Some("\"1st\"")),
            ("Our Cache", Some("\"Our Cache\"")),
            ("a\"b\\c", Some("\"a\\\"b\\\\c\"")),
            ("a;b", Some("\"a;b\"")),
            ("", None),
            ("a\tb", None),
            ("caf\u{e9}", None),
        ] {
            let item = CacheName::new(name.as_bytes()).map(|name| name.as_item().to_vec());
            assert_eq!(item.as_deref(), wanted.map(str::as_bytes), "{name}");
        }
    }
}
