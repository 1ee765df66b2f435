//! Whether a directive may stand where it does, in the shape it has.

use crate::{
    directives::{core::BLOCK, rows},
    known::{is_later, later_names},
    parse::Directive,
    settings::{Levels, RowDoc},
    source::Problem,
    suggest::did_you_mean,
};

/// Checks name, place, braces and number of arguments, in nginx's order.
pub fn check(directive: &Directive, level: Levels) -> Result<(), Problem> {
    let row = find(directive, level)?;
    match (row.syntax.ends_with(BLOCK), directive.block.is_some()) {
        (false, true) => return Err(directive.unterminated()),
        (true, false) => return Err(directive.unopened()),
        _ => {}
    }
    if row.arity.allows(directive.args.len()) { Ok(()) } else { Err(directive.wrong_count(row.syntax)) }
}

fn find(directive: &Directive, level: Levels) -> Result<RowDoc, Problem> {
    let name = directive.name();
    let rows: Vec<RowDoc> = rows().filter(|row| directive.is(row.name)).collect();
    if let Some(row) = rows.iter().find(|row| row.levels.contains(level)) {
        return Ok(*row);
    }
    if let Some(allowed) = rows.iter().map(|row| row.levels).reduce(Levels::and) {
        let problem = directive.complain("is not allowed here");
        return Err(problem.with_help(format!("it may stand in: {}", allowed.in_words())));
    }
    if is_later(&name) {
        return Err(directive.complain("is not supported yet"));
    }
    Err(Problem::new(directive.name.span, format!("unknown directive \"{name}\"")))
}

/// Names what an unknown directive may have meant; what may stand here comes before what may not.
///
/// Apart from [`check`], since it takes its time, and nobody reads it of the thousandth one.
pub fn suggestion(directive: &Directive, level: Levels) -> Option<String> {
    let name = &*directive.name();
    if name == "ssl" {
        return Some("TLS is asked for where it is spoken: listen 443 ssl;".to_owned());
    }
    if is_later(name) || rows().any(|row| row.name == name) {
        return None;
    }
    let here = rows().filter(|row| row.levels.contains(level)).map(|row| row.name);
    let anywhere = || rows().map(|row| row.name).chain(later_names());
    did_you_mean(name, here).or_else(|| did_you_mean(name, anywhere()))
}

/// Says that a `;` may be missing, where an argument on a later line is the name of a directive.
pub fn missing_semicolon(directive: &Directive, text: &[u8]) -> Option<String> {
    let mut before = &directive.name;
    for word in &directive.args {
        let between = text.get(before.span.end..word.span.start)?;
        let name = String::from_utf8_lossy(&word.text);
        if between.contains(&b'\n') && rows().any(|row| row.name == name) {
            let last = String::from_utf8_lossy(&before.text);
            return Some(format!("perhaps a \";\" is missing after \"{last}\""));
        }
        before = word;
    }
    None
}
