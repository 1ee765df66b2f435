//! Rules that rewrite values in an upstream's answer: `proxy_redirect` and `proxy_cookie_*`.
//!
//! Each directive makes a list, of which the first rule that fits a value counts. `off` is the empty list, and
//! stands alone at its level.

use super::proxy::ProxyConf;
use crate::{
    flags::{Flags, Placed, flags},
    parse::Directive,
    regex::{Case, Regex},
    scope::Scope,
    settings::{Reader, Setting},
    source::Problem,
    suggest::did_you_mean,
    template::Template,
};

/// One rule of `proxy_redirect`, `proxy_cookie_domain` or `proxy_cookie_path`.
#[derive(Debug, Clone)]
pub struct ValueRule {
    /// What is replaced.
    pub from: ValuePattern,
    /// By what.
    pub to: Template,
}

/// What a [`ValueRule`] replaces.
#[derive(Debug, Clone)]
pub enum ValuePattern {
    /// The beginning.
    Prefix(Template),
    /// A name of a host: all of it in either case, but for a dot before it.
    Domain(Template),
    /// All of a value that matches.
    Regex(Regex),
}

/// One piece of `proxy_redirect` as written, rules being made once `proxy_pass` is known.
#[derive(Debug, Clone)]
pub enum RedirectWritten {
    /// `default`.
    Default,
    /// A rule.
    Rule(ValueRule),
}

/// One rule of `proxy_cookie_flags`.
#[derive(Debug, Clone)]
pub struct CookieFlagsRule {
    /// Whose flags.
    pub cookie: CookieName,
    /// What becomes of them, each a word of [`CookieFlags`] once its variables are put in.
    pub flags: Vec<Template>,
}

/// Which cookies a [`CookieFlagsRule`] is for.
#[derive(Debug, Clone)]
pub enum CookieName {
    /// The one of that name, in either case.
    Text(Template),
    /// Those whose name matches.
    Regex(Regex),
}

flags! {
    /// What `proxy_cookie_flags` asks for. What is put in counts more than what is taken out.
    pub struct CookieFlags {
        /// Puts Secure in.
        secure = "secure",
        /// Takes Secure out.
        nosecure = "nosecure",
        /// Puts HttpOnly in.
        httponly = "httponly",
        /// Takes HttpOnly out.
        nohttponly = "nohttponly",
        /// Puts SameSite=Strict in.
        samesite_strict = "samesite=strict",
        /// Puts SameSite=Lax in.
        samesite_lax = "samesite=lax",
        /// Puts SameSite=None in.
        samesite_none = "samesite=none",
        /// Takes SameSite out.
        nosamesite = "nosamesite",
    }
}

impl ProxyConf {
    /// As nginx: `off` goes with no other rule of its directive at its level.
    pub fn refuse_mixed_off(&self, directive: &Directive) -> Option<Result<(), Problem>> {
        let has_off = match &*directive.name.text {
            b"proxy_redirect" => written_as_off(&self.redirect_written),
            b"proxy_cookie_domain" => written_as_off(&self.cookie_domain),
            b"proxy_cookie_path" => written_as_off(&self.cookie_path),
            b"proxy_cookie_flags" => written_as_off(&self.cookie_flags),
            _ => return None,
        };
        (has_off? || is_off(directive)).then(|| Err(directive.duplicate()))
    }
}

/// Says whether a list that this level wrote is `off`.
fn written_as_off<T>(list: &Setting<Vec<T>>) -> Option<bool> {
    list.is_written().then(|| list.is_empty())
}

fn is_off(directive: &Directive) -> bool {
    directive.args.len() == 1 && directive.bytes(0) == b"off"
}

pub(super) const REDIRECT: Reader<Vec<RedirectWritten>> =
    Reader::between(1, 2, "default | off | redirect replacement", |directive, scope| {
        if directive.args.len() == 1 && directive.bytes(0) == b"default" {
            return Ok(vec![RedirectWritten::Default]);
        }
        let rules =
            rules(directive, scope, path_rule, "\"default\", \"off\", or what to replace and by what")?;
        Ok(rules.into_iter().map(RedirectWritten::Rule).collect())
    });

pub(super) const COOKIE_DOMAIN: Reader<Vec<ValueRule>> =
    Reader::between(1, 2, "off | domain replacement", |directive, scope| {
        rules(directive, scope, domain_rule, "\"off\", or a domain and what replaces it")
    });

pub(super) const COOKIE_PATH: Reader<Vec<ValueRule>> =
    Reader::between(1, 2, "off | path replacement", |directive, scope| {
        rules(directive, scope, path_rule, "\"off\", or a path and what replaces it")
    });

pub(super) const COOKIE_FLAGS: Reader<Vec<CookieFlagsRule>> =
    Reader::between(1, 4, "off | cookie flag ...", |directive, scope| {
        rules(directive, scope, flags_rule, "\"off\", or a cookie and its flags")
    });

/// Reads `off` or one rule.
fn rules<T>(
    directive: &Directive,
    scope: &Scope<'_>,
    rule: fn(&Directive, &Scope<'_>) -> Result<T, Problem>,
    accepted: &str,
) -> Result<Vec<T>, Problem> {
    match directive.args.len() {
        1 if is_off(directive) => Ok(Vec::new()),
        1 => Err(directive
            .fail(0, format!("invalid parameter \"{}\"", directive.text(0)))
            .with_help(format!("accepted: {accepted}"))),
        _ => Ok(vec![rule(directive, scope)?]),
    }
}

fn path_rule(directive: &Directive, scope: &Scope<'_>) -> Result<ValueRule, Problem> {
    let from = match directive.bytes(0) {
        [b'~', b'*', text @ ..] => ValuePattern::Regex(scope.regex(directive, 0, text, Case::Insensitive)?),
        [b'~', text @ ..] => ValuePattern::Regex(scope.regex(directive, 0, text, Case::Sensitive)?),
        _ => ValuePattern::Prefix(scope.template(directive, 0)?),
    };
    Ok(ValueRule { from, to: scope.template(directive, 1)? })
}

/// As nginx: expressions match in either case, and a dot before a domain means nothing.
fn domain_rule(directive: &Directive, scope: &Scope<'_>) -> Result<ValueRule, Problem> {
    if let [b'~', text @ ..] = directive.bytes(0) {
        let from = ValuePattern::Regex(scope.regex(directive, 0, text, Case::Insensitive)?);
        return Ok(ValueRule { from, to: scope.template(directive, 1)? });
    }
    let undotted = |number: usize| {
        let text = directive.bytes(number);
        scope.compile(directive, number, text.strip_prefix(b".").unwrap_or(text))
    };
    Ok(ValueRule { from: ValuePattern::Domain(undotted(0)?), to: undotted(1)? })
}

fn flags_rule(directive: &Directive, scope: &Scope<'_>) -> Result<CookieFlagsRule, Problem> {
    let cookie = match directive.bytes(0) {
        [b'~', text @ ..] => CookieName::Regex(scope.regex(directive, 0, text, Case::Insensitive)?),
        _ => CookieName::Text(scope.template(directive, 0)?),
    };
    let flags = (1..directive.args.len()).map(|number| flag(directive, number, scope));
    Ok(CookieFlagsRule { cookie, flags: flags.collect::<Result<_, _>>()? })
}

/// As nginx: a flag that is none changes nothing. Where that is known already, it is worth a warning.
fn flag(directive: &Directive, number: usize, scope: &Scope<'_>) -> Result<Template, Problem> {
    let template = scope.template(directive, number)?;
    if template.as_text().is_some_and(|word| CookieFlags::default().put(word) == Placed::Unknown) {
        let word = directive.text(number);
        let message = format!("invalid proxy_cookie_flags flag \"{word}\"");
        let close = did_you_mean(&word, CookieFlags::words());
        scope.report(Problem::warning(directive.args[number].span, message).with_help_if(close));
    }
    Ok(template)
}
