//! Request fields in a form that is the same for requests that mean the same (RFC 9111, 4.1).
//!
//! Lines are joined, and white space around commas goes, except within quotes. Languages are compared in lower case, and in the order of
//! their weights: those of equal weight have no order among themselves (RFC 9110, 12.5.4), so the alphabet gives them one.

use http1::Fields;

/// Brings all lines of a request's field into that form; nothing where the request has none.
pub(super) fn value(request: &Fields, name: &str) -> Option<Vec<u8>> {
    let mut lines = request.all(name).peekable();
    lines.peek()?;
    let members: Vec<&[u8]> = lines.flat_map(members).collect();
    Some(match name.eq_ignore_ascii_case("accept-language") {
        true => languages(&members),
        false => members.join(&b","[..]),
    })
}

/// The members of a list without the white space around them, empty ones left out.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    let at_commas = line.split(move |byte| {
        let is_end = *byte == b',' && !quoted;
        if *byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && *byte == b'\\' && !escaped;
        is_end
    });
    at_commas.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

fn languages(members: &[&[u8]]) -> Vec<u8> {
    let mut ranges: Vec<(u16, Vec<u8>)> = members.iter().map(|member| weighted(member)).collect();
    ranges.sort_by(|(weight, range), (other_weight, other)| {
        other_weight.cmp(weight).then_with(|| range.cmp(other))
    });
    let texts: Vec<Vec<u8>> = ranges
        .into_iter()
        .map(|(weight, range)| match weight {
            MOST => range,
            weight => [&range, &b";q="[..], weight.to_string().as_bytes()].concat(),
        })
        .collect();
    texts.join(&b","[..])
}

/// The weight of what has none, in thousandths.
const MOST: u16 = 1000;

/// Splits a language range from its weight. What cannot be read as a weight stays where it is.
fn weighted(member: &[u8]) -> (u16, Vec<u8>) {
    let lower = member.to_ascii_lowercase();
    let Some(semicolon) = lower.iter().position(|byte| *byte == b';') else { return (MOST, lower) };
    let (range, parameter) = (lower[..semicolon].trim_ascii_end(), lower[semicolon + 1..].trim_ascii_start());
    match parameter.strip_prefix(b"q=").and_then(thousandths) {
        Some(weight) => (weight, range.to_vec()),
        None => (MOST, lower),
    }
}

/// Reads a weight of up to three decimals (RFC 9110, 12.4.2).
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = *decimals.get(place).unwrap_or(&b'0');
        weight = weight * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (weight <= MOST).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, lines: &[&str]) -> Option<String> {
        let request: Fields = lines.iter().map(|line| (name.as_bytes(), line.as_bytes())).collect();
        value(&request, "accept-language")
            .or_else(|| value(&request, "x-a"))
            .map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn lines_are_joined_and_spaces_around_commas_go() {
        let cases: [(&[&str], Option<&str>); 12] = [
            (&[], None),
            (&[""], Some("")),
            (&[" , ,"], Some("")),
            (&["a,b"], Some("a,b")),
            (&["a , b"], Some("a,b")),
            (&["\ta\t,\t b "], Some("a,b")),
            (&["a", "b"], Some("a,b")),
            (&["a,", ",b"], Some("a,b")),
            (&["B,a"], Some("B,a")),
            (&["a b,c"], Some("a b,c")),
            (&["\"a , b\" , c"], Some("\"a , b\",c")),
            (&["\"a\\\" , b\" , c"], Some("\"a\\\" , b\",c")),
        ];
        for (lines, wanted) in cases {
            assert_eq!(of("X-A", lines).as_deref(), wanted, "{lines:?}");
        }
    }

    #[test]
    fn languages_are_ordered_by_weight() {
        let cases: [(&[&str], &str); 14] = [
            (&["en"], "en"),
            (&["EN-us, De"], "de,en-us"),
            (&["de, en"], "de,en"),
            (&["en;q=0.5, de"], "de,en;q=500"),
            (&["de", "en;q=0.5"], "de,en;q=500"),
            (&["en;q=0.50,de;q=1.0"], "de,en;q=500"),
            (&["en ; Q=0.5 , de"], "de,en;q=500"),
            (&["en;q=0.5, de;q=0.6"], "de;q=600,en;q=500"),
            (&["*;q=0.1, en;q=0.001, de;q=0"], "*;q=100,en;q=1,de;q=0"),
            (&["en;q=0.5;x, de"], "de,en;q=0.5;x"),
            (&["en;q=1.1"], "en;q=1.1"),
            (&["en;q=0.1234"], "en;q=0.1234"),
            (&["en;q=.5"], "en;q=.5"),
            (&["en;q="], "en;q="),
        ];
        for (lines, wanted) in cases {
            assert_eq!(of("Accept-Language", lines).as_deref(), Some(wanted), "{lines:?}");
        }
    }
}
