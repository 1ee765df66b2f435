//! `return`.

use super::error_page::parse_status;
use crate::{
    parse::Directive,
    scope::Scope,
    source::Problem,
    template::Template,
    tree::{Return, ReturnWith},
};

/// Statuses whose text is where to go.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Reads `return CODE [TEXT]`, `return CODE URL` or `return URL`.
pub fn return_(directive: &Directive, scope: &Scope<'_>) -> Result<Return, Problem> {
    let code = directive.bytes(0);
    let is_url = ["http://", "https://", "$scheme"].iter().any(|start| code.starts_with(start.as_bytes()));
    if directive.args.len() == 1 && is_url {
        return Ok(Return { status: 302, with: ReturnWith::Location(scope.template(directive, 0)?) });
    }
    let status = parse_status(code).ok_or_else(|| {
        directive
            .fail(0, format!("invalid return code \"{}\"", directive.text(0)))
            .with_help("accepted: a status of up to three digits, or a URL that begins with http://, https:// or $scheme")
    })?;
    let text = if directive.args.len() == 2 { Some(scope.template(directive, 1)?) } else { None };
    let with = match text {
        Some(text) if REDIRECTS.contains(&status) => ReturnWith::Location(text),
        // As nginx: an error without a text of its own gets its page.
        Some(text) if status < 400 || !text.is_empty() => ReturnWith::Text(text),
        None if status < 400 => ReturnWith::Text(Template::default()),
        _ => ReturnWith::Page,
    };
    Ok(Return { status, with })
}
