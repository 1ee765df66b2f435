//! The condition of an `if`.

use crate::{
    parse::Directive,
    regex::{Case, Regex},
    scope::Scope,
    source::Problem,
    template::Template,
    variable::Variable,
};

/// What an `if` asks.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The question.
    pub test: Test,
    /// Whether the opposite is wanted.
    pub negated: bool,
}

/// A question about a request.
#[derive(Debug, Clone)]
pub enum Test {
    /// Whether a variable is neither empty nor `0`.
    IsTrue(Variable),
    /// Whether a variable has this value.
    Equals(Variable, Template),
    /// Whether a variable matches an expression.
    Matches(Variable, Regex),
    /// Whether there is such a file.
    File(FileTest, Template),
}

/// What there is to be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTest {
    /// `-f`: a file.
    File,
    /// `-d`: a directory.
    Directory,
    /// `-e`: anything.
    Exists,
    /// `-x`: something that may be executed.
    Executable,
}

/// One word of a condition, without its brackets, and which argument it is.
type Part<'a> = (usize, &'a [u8]);

/// Reads what stands between `if` and `{`.
pub fn condition(directive: &Directive, scope: &Scope<'_>) -> Result<Condition, Problem> {
    let parts = parts(directive)?;
    let invalid = |(number, text): Part<'_>| {
        let text = String::from_utf8_lossy(text);
        Err(directive.fail(number, format!("invalid condition \"{text}\"")))
    };
    let variable = |(number, text): Part<'_>| {
        scope.known_variable(directive, number, &String::from_utf8_lossy(&text[1..]))
    };
    let value = |(number, text): Part<'_>| scope.compile(directive, number, text);
    match parts[..] {
        [name @ (_, [b'$', _, ..])] => Ok(Condition { test: Test::IsTrue(variable(name)?), negated: false }),
        [name @ (_, [b'$', _, ..]), operator, right] => {
            let (negated, sign) = negation(operator.1);
            let case = match sign {
                b"=" => {
                    let test = Test::Equals(variable(name)?, value(right)?);
                    return Ok(Condition { test, negated });
                }
                b"~" => Case::Sensitive,
                b"~*" => Case::Insensitive,
                _ => {
                    let sign = String::from_utf8_lossy(operator.1);
                    return Err(directive
                        .fail(operator.0, format!("unexpected \"{sign}\" in condition"))
                        .with_help("accepted: \"=\", \"!=\", \"~\", \"~*\", \"!~\", \"!~*\""));
                }
            };
            let regex = scope.regex(directive, right.0, right.1, case)?;
            Ok(Condition { test: Test::Matches(variable(name)?, regex), negated })
        }
        [operator @ (_, [b'-', _] | [b'!', b'-', _]), path] => {
            let (negated, sign) = negation(operator.1);
            let test = match sign {
                b"-f" => FileTest::File,
                b"-d" => FileTest::Directory,
                b"-e" => FileTest::Exists,
                b"-x" => FileTest::Executable,
                _ => return invalid(operator),
            };
            Ok(Condition { test: Test::File(test, value(path)?), negated })
        }
        [first, ..] => invalid(first),
        [] => invalid((0, b"(")),
    }
}

/// Takes the brackets off.
fn parts(directive: &Directive) -> Result<Vec<Part<'_>>, Problem> {
    let invalid = |(number, text): Part<'_>| {
        let text = String::from_utf8_lossy(text);
        let problem = directive.fail(number, format!("invalid condition \"{text}\""));
        problem.with_help("a condition stands in brackets: if ($name) { ... }")
    };
    let last = directive.args.len() - 1;
    let mut parts: Vec<Part<'_>> =
        directive.args.iter().enumerate().map(|(number, word)| (number, &*word.text)).collect();
    parts[0].1 = parts[0].1.strip_prefix(b"(").ok_or_else(|| invalid(parts[0]))?;
    parts[last].1 = parts[last].1.strip_suffix(b")").ok_or_else(|| invalid(parts[last]))?;
    if directive.args.len() == 1 && parts[0].1.is_empty() {
        return Err(invalid((0, b")")));
    }
    // A bracket may stand alone; an empty word between quotes counts.
    let is_bracket = |number| directive.bytes(number).len() == 1;
    if is_bracket(last) && last > 0 {
        parts.pop();
    }
    if is_bracket(0) {
        parts.remove(0);
    }
    Ok(parts)
}

/// Splits a `!` off.
fn negation(operator: &[u8]) -> (bool, &[u8]) {
    match operator {
        [b'!', rest @ ..] => (true, rest),
        _ => (false, operator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{MainText, Source, Texts};

    /// Reads `if` of a text, and shows what was made of it.
    fn read(text: &str) -> String {
        let main = MainText::Embedded { name: "test".into(), text: format!("if {text} {{ }}") };
        let source = Source { prefix: "/".into(), main, globals: None, error_log: None };
        let mut texts = Texts::open(&source).unwrap();
        let directives = crate::parse::parse_all(&mut texts, &mut Vec::new());
        let scope = Scope::new(&source, &texts, &crate::tests::Hosts);
        match condition(&directives[0], &scope) {
            Err(problem) => problem.message,
            Ok(Condition { test, negated }) => {
                let sign = if negated { "not " } else { "" };
                match test {
                    Test::IsTrue(variable) => format!("{sign}{variable:?}"),
                    Test::Equals(variable, value) => {
                        let value = String::from_utf8_lossy(value.as_text().unwrap_or(b"a template"));
                        format!("{sign}{variable:?} is [{value}]")
                    }
                    Test::Matches(variable, regex) => {
                        format!("{sign}{variable:?} matches [{}]", regex.as_str())
                    }
                    Test::File(test, _) => format!("{sign}{test:?}"),
                }
            }
        }
    }

    #[test]
    fn conditions_are_read_as_nginx_reads_them() {
        for (text, wanted) in [
            ("($host)", "Host"),
            ("( $host )", "Host"),
            ("( $host)", "Host"),
            ("($host )", "Host"),
            ("($host = a)", "Host is [a]"),
            ("( $host = a )", "Host is [a]"),
            ("($host = \"\")", "Host is []"),
            ("($host = \"a b\")", "Host is [a b]"),
            ("($host = $uri)", "Host is [a template]"),
            ("($host != a)", "not Host is [a]"),
            ("($host ~ ^a$)", "Host matches [^a$]"),
            ("($host ~ (a|b))", "Host matches [(a|b)]"),
            ("($host ~* \"(a|b)\")", "Host matches [(a|b)]"),
            ("($host !~ ^a)", "not Host matches [^a]"),
            ("($host !~* ^a)", "not Host matches [^a]"),
            ("(-f a)", "File"),
            ("(!-d a)", "not Directory"),
            ("(-e $uri)", "Exists"),
            ("(!-x a)", "not Executable"),
            ("($host == a)", "unexpected \"==\" in condition"),
            ("($host = a b)", "invalid condition \"$host\""),
            ("(-f)", "invalid condition \"-f\""),
            ("(-q a)", "invalid condition \"-q\""),
            ("(a)", "invalid condition \"a\""),
            ("()", "invalid condition \")\""),
            ("$host", "invalid condition \"$host\""),
            ("($host", "invalid condition \"$host\""),
            ("($nothing)", "unknown \"nothing\" variable"),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
