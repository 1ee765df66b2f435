//! Regular expressions as nginx has them: PCRE over bytes.
//!
//! What matched is kept as [`Captures`], a value of its own, so that a request can hold it after the subject is gone.

use std::sync::Arc;

use crate::variable::Slot;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Regex {
    inner: pcre2::bytes::Regex,
    text: Arc<str>,
    /// Names of groups with their numbers.
    names: Arc<[(Box<str>, usize)]>,
    /// The variables that groups give values to; none where no group has a name.
    slots: Option<Arc<[(Slot, usize)]>>,
}

/// Whether letters match in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `~`.
    Sensitive,
    /// `~*`.
    Insensitive,
}

/// Why an expression cannot be compiled, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pcre2_compile() failed: {reason} in \"{text}\"{}", at(text, *offset))]
pub struct InvalidRegex {
    /// The expression.
    pub text: String,
    /// PCRE's words.
    pub reason: String,
    /// Where, in bytes.
    pub offset: usize,
}

/// An expression was not matched to its end, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pcre2_match() failed: {code} on \"{subject}\" using \"{expression}\"")]
pub struct GaveUp {
    code: i32,
    subject: String,
    expression: Arc<str>,
}

/// Shows where an expression goes wrong, unless it is at its end.
fn at(text: &str, offset: usize) -> String {
    text.get(offset..)
        .filter(|rest| !rest.is_empty())
        .map_or_else(String::new, |rest| format!(" at \"{rest}\""))
}

impl Regex {
    /// Compiles an expression.
    pub fn new(text: &str, case: Case) -> Result<Self, InvalidRegex> {
        let inner = pcre2::bytes::RegexBuilder::new()
            .caseless(case == Case::Insensitive)
            .jit_if_available(true)
            .build(text)
            .map_err(|error| InvalidRegex {
                text: text.to_owned(),
                reason: reason(&error),
                offset: error.offset().unwrap_or(0),
            })?;
        let named = |(number, name): (usize, &Option<String>)| Some((Box::from(name.as_deref()?), number));
        let names = inner.capture_names().iter().enumerate().filter_map(named).collect();
        Ok(Self { inner, text: Arc::from(text), names, slots: None })
    }

    /// Has groups with a name give their values to the variables that `find` knows.
    pub fn with_slots(mut self, find: impl Fn(&str) -> Option<Slot>) -> Self {
        if !self.names.is_empty() {
            let slot = |(name, number): &(Box<str>, usize)| Some((find(name)?, *number));
            self.slots = Some(self.names.iter().filter_map(slot).collect());
        }
        self
    }

    /// Returns the expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names the groups that have a name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| &**name)
    }

    /// Lists the groups that have a name, with what they caught in a match of this expression.
    pub fn named<'a>(&'a self, captures: &'a Captures) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.names.iter().filter_map(|(name, number)| Some((&**name, captures.group(*number)?)))
    }

    /// Says whether a subject matches.
    ///
    /// # Errors
    /// The expression needs more steps for this subject than it is given.
    pub fn is_match(&self, subject: &[u8]) -> Result<bool, GaveUp> {
        self.inner.is_match(subject).map_err(|error| self.gave_up(&error, subject))
    }

    /// Matches a subject and returns what the groups caught.
    ///
    /// # Errors
    /// The expression needs more steps for this subject than it is given.
    pub fn captures(&self, subject: &[u8]) -> Result<Option<Captures>, GaveUp> {
        let mut locations = self.inner.capture_locations();
        let found = self.inner.captures_read(&mut locations, subject);
        let found = found.map_err(|error| self.gave_up(&error, subject))?;
        Ok(found.map(|_| {
            let ranges = (0..locations.len()).map(|group| locations.get(group)).collect();
            Captures { subject: subject.to_vec(), ranges, slots: self.slots.clone() }
        }))
    }

    fn gave_up(&self, error: &pcre2::Error, subject: &[u8]) -> GaveUp {
        let subject = String::from_utf8_lossy(subject).into_owned();
        GaveUp { code: error.code(), subject, expression: Arc::clone(&self.text) }
    }
}

/// Returns what PCRE says, without what the crate puts before it.
fn reason(error: &pcre2::Error) -> String {
    let words = error.to_string();
    let mark = format!("at offset {}: ", error.offset().unwrap_or(0));
    words.split_once(&mark).map_or(words.clone(), |(_, reason)| reason.to_owned())
}

/// What the groups of an expression caught; empty where nothing matched yet.
#[derive(Debug, Clone, Default)]
pub struct Captures {
    subject: Vec<u8>,
    ranges: Vec<Option<(usize, usize)>>,
    slots: Option<Arc<[(Slot, usize)]>>,
}

impl Captures {
    /// Says whether nothing matched yet.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns a group by number: 0 is all that matched.
    pub fn group(&self, number: usize) -> Option<&[u8]> {
        let (start, end) = (*self.ranges.get(number)?)?;
        Some(&self.subject[start..end])
    }

    /// Lists the variables that groups with a name give values to; a group that caught nothing gives nothing.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, &[u8])> {
        let slots = self.slots.as_deref().unwrap_or_default();
        slots.iter().map(|(slot, number)| (slot, self.group(*number).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> Regex {
        Regex::new(text, Case::Sensitive).expect("the expression is valid")
    }

    #[test]
    fn groups_are_found_by_number_and_name() {
        let slot = |name: &str| Slot { number: 7, name: name.into(), unset: crate::variable::Unset::Absent };
        let regex = regex(r"^/(?<lang>[a-z]+)/(\d+)?(?<none>x)?").with_slots(|name| Some(slot(name)));
        let found = regex.captures(b"/en/42").expect("it does not give up").expect("it matches");
        assert_eq!(found.group(0), Some(&b"/en/42"[..]));
        let named: Vec<_> = found.slots().map(|(slot, value)| (&*slot.name, value)).collect();
        assert_eq!(named, [("lang", &b"en"[..]), ("none", b"")]);
        assert_eq!(found.group(2), Some(&b"42"[..]));
        assert_eq!(found.group(3), None);
        assert_eq!(found.group(9), None);
        assert_eq!(Captures::default().group(0), None);
    }

    #[test]
    fn matching_is_over_bytes_as_pcre_does_it() {
        assert_eq!(regex("^.$").is_match(b"\xff"), Ok(true));
        assert_eq!(regex("^a$").is_match(b"a\n"), Ok(true));
        assert_eq!(regex("^A$").is_match(b"a"), Ok(false));
        assert_eq!(Regex::new("^A$", Case::Insensitive).expect("valid").is_match(b"a"), Ok(true));
    }

    #[test]
    fn giving_up_is_told_from_not_matching() {
        let regex = regex("^((a+)+)$");
        let hopeless = [&[b'a'; 40][..], b"!"].concat();
        let error = regex.captures(&hopeless).expect_err("it takes too many steps").to_string();
        assert!(error.starts_with("pcre2_match() failed: -47 on \"aaaa"), "{error}");
        assert!(error.ends_with("a!\" using \"^((a+)+)$\""), "{error}");
        assert!(regex.is_match(&hopeless).is_err());
        assert!(matches!(regex.captures(b"b"), Ok(None)));
    }

    #[test]
    fn errors_read_as_nginxs() {
        let shown = |text| Regex::new(text, Case::Sensitive).expect_err("not valid").to_string();
        assert_eq!(shown("^(a"), "pcre2_compile() failed: missing closing parenthesis in \"^(a\"");
        assert_eq!(
            shown("a**b"),
            "pcre2_compile() failed: quantifier does not follow a repeatable item in \"a**b\" at \"*b\""
        );
    }
}
