//! `error_page`.

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{Arity, Reader},
    source::Problem,
    template::{Part, Template},
    values::parse_number,
};

/// `error_page`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// Statuses it answers for.
    pub statuses: Vec<u16>,
    /// Which status the client sees.
    pub overwrite: Overwrite,
    /// Where to go.
    pub target: ErrorTarget,
}

/// Status after an `error_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// The error's; 400 for 494 to 497.
    Keep,
    /// What the target answers (`=`).
    Target,
    /// This one (`=200`).
    Fixed(u16),
}

/// Where an `error_page` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorTarget {
    /// An internal redirect to a path. Where a variable begins it, a value that is no path is a URL.
    Uri(Template),
    /// A named location, without `@`.
    Named(String),
    /// A redirect of the client: the URL.
    Url(Template),
}

/// The client is gone: nobody is there to see a page.
const CLIENT_IS_GONE: u16 = 499;

/// Reads `error_page CODE ... [=[CODE]] TARGET`.
pub const ERROR_PAGE: Reader<ErrorPage> =
    Reader { arity: Arity::at_least(2), syntax: "code ... [=[response]] uri", read: error_page };

fn error_page(directive: &Directive, scope: &Scope<'_>) -> Result<ErrorPage, Problem> {
    let last = directive.args.len() - 1;
    let invalid =
        |number: usize| directive.fail(number, format!("invalid value \"{}\"", directive.text(number)));
    let overwrite = match directive.bytes(last - 1) {
        [b'=', ..] if last == 1 => return Err(invalid(0).with_help("the codes it answers for come first")),
        b"=" => Overwrite::Target,
        [b'=', code @ ..] => Overwrite::Fixed(parse_status(code).ok_or_else(|| invalid(last - 1))?),
        _ => Overwrite::Keep,
    };
    let codes = if overwrite == Overwrite::Keep { last } else { last - 1 };
    let statuses = (0..codes).map(|number| {
        let status = parse_status(directive.bytes(number)).ok_or_else(|| invalid(number))?;
        if !(300..=599).contains(&status) {
            let message = format!("value \"{}\" must be between 300 and 599", directive.text(number));
            return Err(directive.fail(number, message));
        }
        if status == CLIENT_IS_GONE {
            return Err(invalid(number));
        }
        Ok(status)
    });
    Ok(ErrorPage {
        statuses: statuses.collect::<Result<_, _>>()?,
        overwrite,
        target: target(directive, last, scope)?,
    })
}

fn target(directive: &Directive, last: usize, scope: &Scope<'_>) -> Result<ErrorTarget, Problem> {
    if let [b'@', name @ ..] = directive.bytes(last) {
        return Ok(ErrorTarget::Named(String::from_utf8_lossy(name).into_owned()));
    }
    let template = scope.template(directive, last)?;
    Ok(match template.parts().first() {
        Some(Part::Text(text)) if text.first() != Some(&b'/') => ErrorTarget::Url(template),
        _ => ErrorTarget::Uri(template),
    })
}

/// Reads a status of up to three digits.
pub fn parse_status(text: &[u8]) -> Option<u16> {
    parse_number(text).filter(|status| *status <= 999).and_then(|status| u16::try_from(status).ok())
}
