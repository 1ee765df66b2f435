//! Fields added to answers: `add_header`, `add_trailer`, how they are inherited, and `expires`.

use std::time::Duration;

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{HSL, LIF, ListInheritance, Reader, settings},
    source::Problem,
    template::Template,
    values::{Precision, choice, parse_time},
};

/// `add_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHeader {
    /// Name.
    pub name: Vec<u8>,
    /// Value; nothing is added where it is empty.
    pub value: Template,
    /// On all statuses rather than on those of success.
    pub always: bool,
}

/// `expires`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expires {
    /// Adds nothing.
    Off,
    /// The beginning of time; `no-cache`.
    Epoch,
    /// Ten years.
    Max,
    /// After now; `no-cache` where negative.
    After(Sign, Duration),
    /// After the file's time of change.
    Modified(Sign, Duration),
    /// At a time of day.
    Daily(Duration),
    /// What the text says at the request, as [`Expires::parse`] reads it.
    Variable(Template),
}

/// Sign of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Ahead.
    Plus,
    /// Back.
    Minus,
}

settings! {
    /// Fields added to answers, at one level.
    pub struct HeadersConf {
        /// Says what becomes of the fields that outer levels add to answers.
        add_header_inherit: ListInheritance = ListInheritance::IfNoneIsWritten,
            "add_header_inherit" in HSL, once(INHERITANCE), "on";
        /// Says what becomes of the fields that outer levels add to trailers.
        add_trailer_inherit: ListInheritance = ListInheritance::IfNoneIsWritten,
            "add_trailer_inherit" in HSL, once(INHERITANCE), "on";
        /// Adds a field to answers.
        add_header: Vec<AddHeader> = Vec::new(),
            "add_header" in HSL.and(LIF), each(ADD_HEADER) inherited by add_header_inherit;
        /// Adds a field to the trailer of answers.
        add_trailer: Vec<AddHeader> = Vec::new(),
            "add_trailer" in HSL.and(LIF), each(ADD_HEADER) inherited by add_trailer_inherit;
        /// Says how long clients may keep an answer.
        expires: Expires = Expires::Off, "expires" in HSL.and(LIF), once(EXPIRES), "off";
    }
}

const INHERITANCE: Reader<ListInheritance> = Reader::one("on | off | merge", |directive, _| {
    let words = [
        ("on", ListInheritance::IfNoneIsWritten),
        ("off", ListInheritance::Nothing),
        ("merge", ListInheritance::Merge),
    ];
    choice(directive, 0, &words)
});

const ADD_HEADER: Reader<AddHeader> = Reader::between(2, 3, "name value [always]", |directive, scope| {
    let always = match directive.args.get(2).map(|word| &*word.text) {
        None => false,
        Some(b"always") => true,
        Some(_) => {
            let message = format!("invalid parameter \"{}\"", directive.text(2));
            return Err(directive.fail(2, message).with_help("only \"always\" may follow the value"));
        }
    };
    Ok(AddHeader { name: directive.bytes(0).to_vec(), value: scope.template(directive, 1)?, always })
});

const DAY: Duration = Duration::from_hours(24);

const EXPIRES: Reader<Expires> =
    Reader::between(1, 2, "[modified] time | @time | epoch | max | off", expires);

fn expires(directive: &Directive, scope: &Scope<'_>) -> Result<Expires, Problem> {
    let is_modified = directive.args.len() == 2;
    if is_modified && directive.bytes(0) != b"modified" {
        return Err(directive
            .complain("invalid value")
            .with_help("two arguments are \"modified\" and a time"));
    }
    let number = directive.args.len() - 1;
    if directive.bytes(number).contains(&b'$') {
        if is_modified {
            return Err(directive.complain("invalid value").with_help("\"modified\" takes no variables"));
        }
        return Ok(Expires::Variable(scope.template(directive, number)?));
    }
    let parsed =
        Expires::parse(directive.bytes(number)).ok_or_else(|| directive.complain("invalid value"))?;
    if matches!(parsed, Expires::Daily(time) if time > DAY) {
        return Err(directive.complain("daily time value must be less than 24 hours"));
    }
    match (is_modified, parsed) {
        (false, parsed) => Ok(parsed),
        (true, Expires::After(sign, time)) => Ok(Expires::Modified(sign, time)),
        (true, Expires::Daily(_)) => {
            Err(directive.complain("daily time cannot be used with \"modified\" parameter"))
        }
        (true, parsed) => Ok(parsed),
    }
}

impl Expires {
    /// Reads what `expires` says, or what a variable in it became; nothing is what cannot be read.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let seconds = |text: &[u8]| parse_time(text, Precision::Seconds);
        match text {
            b"epoch" => Some(Self::Epoch),
            b"max" => Some(Self::Max),
            b"off" => Some(Self::Off),
            [b'@', time @ ..] => seconds(time).map(Self::Daily),
            [b'+', time @ ..] => seconds(time).map(|time| Self::After(Sign::Plus, time)),
            [b'-', time @ ..] => seconds(time).map(|time| Self::After(Sign::Minus, time)),
            time => seconds(time).map(|time| Self::After(Sign::Plus, time)),
        }
    }
}
