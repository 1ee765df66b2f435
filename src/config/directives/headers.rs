//! Fields added to answers: `add_header`, `expires`.

use std::time::Duration;

use crate::{
    settings::{HSL, settings},
    template::Template,
    values::pending,
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
    /// What the text says at the request, as `expires` would read it.
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
        /// Adds a field to answers.
        add_header: Vec<AddHeader> = Vec::new(), "add_header" in HSL, each(pending::<AddHeader>("name value [always]"));
        /// Adds a field to the trailer of answers.
        add_trailer: Vec<AddHeader> = Vec::new(), "add_trailer" in HSL, each(pending::<AddHeader>("name value [always]"));
        /// Says how long clients may keep an answer.
        expires: Expires = Expires::Off, "expires" in HSL, once(pending::<Expires>("[modified] time | epoch | max | off")), "off";
    }
}
