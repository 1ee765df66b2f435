//! Texts with variables and escapes, and the expressions of `if`.
//!
//! Pure: whoever asks says what variables there are. Which forms there are, and what is wrong with others, is nginx's.

use config::Captures;

use super::{document::Mistake, expressions::Expressions};

/// Finds the value of a variable by its name in lower case; nothing where it has none.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// Puts the values of variables into a text, and takes the backslashes from before `\`, `$` and quotes.
pub(super) fn evaluate(text: &[u8], lookup: Lookup<'_>) -> Result<Vec<u8>, Mistake> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        match (first, behind) {
            (b'\\', [escaped @ (b'\\' | b'$' | b'"' | b'\''), behind @ ..]) => {
                out.push(*escaped);
                rest = behind;
            }
            (b'$', _) => {
                let (name, behind) = variable_name(text, behind)?;
                out.extend(lookup(&name).unwrap_or_default());
                rest = behind;
            }
            _ => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    Ok(out)
}

/// Splits what follows a `$` into a name in lower case and the rest.
fn variable_name<'a>(text: &[u8], behind: &'a [u8]) -> Result<(String, &'a [u8]), Mistake> {
    let (is_bracketed, named) = match behind {
        [b'{', named @ ..] => (true, named),
        named => (false, named),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = named.iter().position(|byte| !is_name(byte)).unwrap_or(named.len());
    let (name, rest) = named.split_at(length);
    let rest = match (is_bracketed, rest) {
        (false, rest) | (true, [b'}', rest @ ..]) => rest,
        (true, _) => return Err(Mistake::NoBracket(name.to_vec())),
    };
    match name {
        [] => Err(Mistake::InvalidVariable(text.to_vec())),
        name => Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), rest)),
    }
}

/// What comes of an expression.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was caught, also where it was not to be.
    pub caught: Caught,
}

/// Whether an expression holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Fails,
}

/// What a regular expression caught; empty where none was there.
#[derive(Debug, Default)]
pub(super) struct Caught {
    /// By number.
    pub groups: Captures,
    /// By name.
    pub named: Vec<(String, Vec<u8>)>,
}

/// Works out an expression: `text`, `text = text`, `text != text`, and both with `/expression/`.
pub(super) fn test(
    expression: &[u8],
    lookup: Lookup<'_>,
    expressions: &Expressions,
) -> Result<Answer, Mistake> {
    let invalid = || Mistake::InvalidExpression(expression.to_vec());
    let is_left = |byte: &u8| byte.is_ascii_alphanumeric() || b"${}_\"'".contains(byte);
    let length = expression.iter().position(|byte| !is_left(byte)).unwrap_or(expression.len());
    let (left, rest) = expression.split_at(length);
    // As nginx: what stands on the left is in lower case, whatever it is.
    let left = evaluate(&left.to_ascii_lowercase(), lookup)?;
    let (is_wanted, right) = match skip_spaces(rest) {
        [] => {
            let verdict = if left.is_empty() { Verdict::Fails } else { Verdict::Holds };
            return Ok(Answer { verdict, caught: Caught::default() });
        }
        [b'=', right @ ..] => (true, skip_spaces(right)),
        [b'!', b'=', right @ ..] => (false, skip_spaces(right)),
        _ => return Err(invalid()),
    };
    let caught = match right {
        [b'/', pattern @ .., b'/'] => {
            let pattern = evaluate(pattern, lookup)?;
            let regex = expressions.compiled(&String::from_utf8_lossy(&pattern));
            let regex = regex.map_err(|error| Mistake::Regex(error.to_string()))?;
            let groups = regex.captures(&left).map_err(|gave_up| Mistake::Regex(gave_up.to_string()))?;
            groups.map(|groups| Caught {
                named: regex.named(&groups).map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
                groups,
            })
        }
        [b'/', _, ..] => return Err(invalid()),
        [b'\\', text @ ..] if text.len() > 1 && text[0] == b'/' => same(&left, text, lookup)?,
        text => same(&left, text, lookup)?,
    };
    let verdict = if caught.is_some() == is_wanted { Verdict::Holds } else { Verdict::Fails };
    Ok(Answer { verdict, caught: caught.unwrap_or_default() })
}

/// Compares with a text; there is nothing to catch.
fn same(left: &[u8], right: &[u8], lookup: Lookup<'_>) -> Result<Option<Caught>, Mistake> {
    Ok((evaluate(right, lookup)? == left).then(Caught::default))
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| *byte != b' ').unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<Vec<u8>> {
        match name {
            "name" => Some(b"value".to_vec()),
            "empty" => Some(Vec::new()),
            "1" => Some(b"one".to_vec()),
            _ => None,
        }
    }

    #[test]
    fn texts_have_variables_and_escapes() {
        for (text, wanted) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("$name", Ok("value")),
            ("<${NAME}x$name-$1>", Ok("<valuexvalue-one>")),
            ("$nothing!", Ok("!")),
            (r#"\$name \\ \" \' \q \"#, Ok(r#"$name \ " ' \q \"#)),
            ("$", Err("invalid variable name in \"$\"")),
            ("a$-b", Err("invalid variable name in \"a$-b\"")),
            ("${}", Err("invalid variable name in \"${}\"")),
            ("${name", Err("the closing bracket in \"name\" variable is missing")),
        ] {
            let got = evaluate(text.as_bytes(), &lookup).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(
                got.map_err(|mistake| mistake.to_string()),
                wanted.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn expressions_hold_or_fail() {
        for (expression, wanted) in [
            ("$name", Some(true)),
            ("0", Some(true)),
            ("$empty", Some(false)),
            ("$nothing", Some(false)),
            ("", Some(false)),
            ("$name = value", Some(true)),
            ("$name=value", Some(true)),
            ("$NAME = value", Some(true)),
            ("ABC = abc", Some(true)),
            ("abc = ABC", Some(false)),
            ("$name = value ", Some(false)),
            ("$name != value", Some(false)),
            ("$name != other", Some(true)),
            ("$nothing = ", Some(true)),
            ("'$name' = '$name'", Some(true)),
            ("$name = /^v(.)l/", Some(true)),
            ("$name = /^V/", Some(false)),
            ("$name != /^x/", Some(true)),
            (r"$name = /e\$/", Some(true)),
            (r"$name = \/x", Some(false)),
            ("$name == value", Some(false)),
            ("$name > 1", None),
            ("$name ! 1", None),
            (" $name = value", None),
            ("$name = /x", None),
            ("$name = /(/", None),
            ("$name = /x$/", None),
            ("a.b = a.b", None),
        ] {
            let got = test(expression.as_bytes(), &lookup, &Expressions::default())
                .ok()
                .map(|answer| answer.verdict == Verdict::Holds);
            assert_eq!(got, wanted, "{expression}");
        }
    }

    #[test]
    fn what_an_expression_catches_is_kept() {
        let expressions: [(&[u8], Verdict); 2] =
            [(b"$name = /^v(?<rest>.*)/", Verdict::Holds), (b"$name != /^v(?<rest>.*)/", Verdict::Fails)];
        for (expression, wanted) in expressions {
            let Ok(Answer { verdict, caught }) = test(expression, &lookup, &Expressions::default()) else {
                panic!("it is an expression")
            };
            assert_eq!(verdict, wanted);
            assert_eq!(caught.groups.group(0), Some(&b"value"[..]));
            assert_eq!(caught.named, [("rest".to_owned(), b"alue".to_vec())]);
        }
    }
}
