//! `proxy_cookie_domain`, `proxy_cookie_path` and `proxy_cookie_flags`: what an upstream's Set-Cookie becomes.
//!
//! As nginx: a line that no rule is for is passed on byte for byte; any other is put together anew from its attributes.

use std::borrow::Cow;

use config::{
    CookieFlags, CookieFlagsRule, CookieName, Flags as _, GaveUp, ProxyConf, Template, ValueRule,
    VariableSource,
};

use super::rewrite::{Matched, Rewritten, Surroundings, rewrite, with_text};

/// Says whether anything is to be done to cookies.
pub(super) fn has_rules(proxy: &ProxyConf) -> bool {
    !(proxy.cookie_domain.is_empty() && proxy.cookie_path.is_empty() && proxy.cookie_flags.is_empty())
}

/// Applies the rules to the value of a Set-Cookie.
///
/// # Errors
/// An expression gave up, so that nobody knows which flags it needs.
pub(super) fn rewrite_cookie<'a>(
    proxy: &ProxyConf,
    line: &'a [u8],
    source: &impl Surroundings,
) -> Result<Cow<'a, [u8]>, GaveUp> {
    let mut pieces = line.split(|byte| *byte == b';').map(Attribute::parse);
    // As nginx: without a value it is no cookie.
    let Some(cookie) = pieces.next().filter(|cookie| cookie.value.is_some()) else { return Ok(line.into()) };
    let mut attributes: Vec<_> = pieces.collect();
    let mut changed = false;
    for attribute in &mut attributes {
        changed |= attribute.rewrite("Domain", &proxy.cookie_domain, source);
        changed |= attribute.rewrite("Path", &proxy.cookie_path, source);
    }
    if let Some(flags) = flags(&proxy.cookie_flags, cookie.name, source)? {
        set_flags(&mut attributes, flags);
        changed = true;
    }
    if !changed {
        return Ok(line.into());
    }
    let mut out = Vec::with_capacity(line.len());
    cookie.write(&mut out);
    for attribute in &attributes {
        out.extend_from_slice(b"; ");
        attribute.write(&mut out);
    }
    Ok(out.into())
}

/// A piece between semicolons: the cookie itself, or one of its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute<'a> {
    name: &'a [u8],
    value: Option<Cow<'a, [u8]>>,
}

impl<'a> Attribute<'a> {
    fn parse(text: &'a [u8]) -> Self {
        match text.iter().position(|byte| *byte == b'=') {
            Some(mark) => {
                Self { name: trim(&text[..mark]), value: Some(Cow::Borrowed(trim(&text[mark + 1..]))) }
            }
            None => Self { name: trim(text), value: None },
        }
    }

    fn flag(name: &'static str, value: Option<&'static str>) -> Self {
        Self { name: name.as_bytes(), value: value.map(|value| Cow::Borrowed(value.as_bytes())) }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn has_value(&self, wanted: &str) -> bool {
        self.value.as_ref().is_some_and(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// Applies rules to the value where it is the attribute of that name; says whether one fitted.
    fn rewrite(&mut self, name: &str, rules: &[ValueRule], source: &impl Surroundings) -> bool {
        let is_named = !rules.is_empty() && self.is(name);
        let Some(value) = self.value.as_mut().filter(|_| is_named) else { return false };
        match rewrite(rules, value, source) {
            Rewritten::Changed(changed) => {
                *value = Cow::Owned(changed);
                true
            }
            Rewritten::Unchanged => false,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name);
        if let Some(value) = &self.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}

/// As nginx: only spaces mean nothing.
fn trim(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|byte| *byte != b' ') else { return b"" };
    let end = text.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
    &text[start..end]
}

/// Returns what the first rule for a cookie asks for.
fn flags(
    rules: &[CookieFlagsRule],
    name: &[u8],
    source: &impl VariableSource,
) -> Result<Option<CookieFlags>, GaveUp> {
    for rule in rules {
        match &rule.cookie {
            CookieName::Text(text) => {
                if with_text(text, source, |text| text.eq_ignore_ascii_case(name)) {
                    return Ok(Some(read_flags(&rule.flags, source)));
                }
            }
            CookieName::Regex(regex) => {
                if let Some(matched) = Matched::of(regex, name, source)? {
                    return Ok(Some(read_flags(&rule.flags, &matched)));
                }
            }
        }
    }
    Ok(None)
}

/// As nginx: what variables make of a flag that is none changes nothing.
fn read_flags(words: &[Template], source: &impl VariableSource) -> CookieFlags {
    let mut flags = CookieFlags::default();
    for word in words {
        with_text(word, source, |word| flags.put(word));
    }
    flags
}

/// Puts flags in and takes others out.
fn set_flags(attributes: &mut Vec<Attribute<'_>>, flags: CookieFlags) {
    let same_site =
        [(flags.samesite_strict, "Strict"), (flags.samesite_lax, "Lax"), (flags.samesite_none, "None")];
    let same_site = same_site.into_iter().find_map(|(wanted, value)| wanted.then_some(value));
    for (name, wanted, unwanted) in
        [("Secure", flags.secure, flags.nosecure), ("HttpOnly", flags.httponly, flags.nohttponly)]
    {
        match wanted {
            true if !attributes.iter().any(|attribute| attribute.is(name)) => {
                attributes.push(Attribute::flag(name, None));
            }
            false if unwanted => attributes.retain(|attribute| !attribute.is(name)),
            _ => {}
        }
    }
    let Some(value) = same_site else {
        if flags.nosamesite {
            attributes.retain(|attribute| !attribute.is("SameSite"));
        }
        return;
    };
    let wanted = Attribute::flag("SameSite", Some(value));
    match attributes.iter_mut().find(|attribute| attribute.is("SameSite")) {
        Some(there) if there.has_value(value) => {}
        Some(there) => *there = wanted,
        None => attributes.push(wanted),
    }
}

#[cfg(test)]
mod tests;
