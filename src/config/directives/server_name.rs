//! `server_name`.

use crate::{
    hosts::HostPattern, names::ServerName, parse::Directive, regex::Case, scope::Scope, source::Problem,
};

/// Reads one argument of `server_name`.
pub fn server_name(directive: &Directive, number: usize, scope: &Scope<'_>) -> Result<ServerName, Problem> {
    let written = directive.text(number);
    let invalid = || {
        let problem = directive.fail(number, format!("invalid server name or wildcard \"{written}\""));
        problem.with_help("a \"*\" may stand first, before a dot, or last, behind one")
    };
    // As nginx: these are refused wherever they stand, other bad wildcards once names are put in tables.
    if matches!(&*written, "." | "*" | "*.") || (written.starts_with('*') && !written.starts_with("*.")) {
        return Err(Problem { message: format!("server name \"{written}\" is invalid"), ..invalid() });
    }
    if let Some(regex) = written.strip_prefix('~') {
        if regex.is_empty() {
            return Err(directive.fail(number, "empty regex in server name \"~\""));
        }
        // As nginx: an expression with a capital letter matches in either case, since hosts are lower-case.
        let has_capital = regex.bytes().any(|byte| byte.is_ascii_uppercase());
        let case = if has_capital { Case::Insensitive } else { Case::Sensitive };
        return scope.regex(directive, number, regex.as_bytes(), case).map(ServerName::Regex);
    }
    if written.contains('/') {
        let message = format!("server name \"{written}\" has suspicious symbols");
        scope.report(Problem::warning(directive.args[number].span, message));
    }
    if written == "$hostname" {
        return Ok(ServerName::Host(HostPattern::Exact(scope.lookup.hostname().to_ascii_lowercase())));
    }
    let name = written.to_ascii_lowercase();
    HostPattern::parse(&name).map(ServerName::Host).ok_or_else(invalid)
}
