//! Accept-Encoding: whether a client takes gzip.
//!
//! As nginx: only the first place where the name stands as a word counts, `*` means nothing, and what cannot be
//! read is a no.

/// Says whether a field's value accepts gzip.
pub(super) fn accepts_gzip(value: &[u8]) -> bool {
    const NAME: &[u8] = b"gzip";
    let is_name = |at: &usize| {
        let begins_word = *at == 0 || matches!(value[at - 1], b',' | b' ');
        begins_word && value[*at..at + NAME.len()].eq_ignore_ascii_case(NAME)
    };
    let places = 0..(value.len() + 1).saturating_sub(NAME.len());
    let Some(at) = places.into_iter().find(is_name) else { return false };
    let rest = skip_spaces(&value[at + NAME.len()..]);
    match rest {
        [] | [b',', ..] => true,
        [b';', parameters @ ..] => is_wanted(skip_spaces(parameters)),
        _ => false,
    }
}

/// Reads `q=…`: nothing at all is a yes, as is any weight but zero.
fn is_wanted(parameters: &[u8]) -> bool {
    match parameters {
        [] => true,
        [b'q' | b'Q', b'=', weight @ ..] => thousandths(weight).is_some_and(|weight| weight > 0),
        _ => false,
    }
}

/// Reads a weight of at most three decimals.
fn thousandths(text: &[u8]) -> Option<u32> {
    let end = text.iter().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(text.len());
    let (whole, decimals) = match &text[..end] {
        [whole @ (b'0' | b'1')] => (whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] => (whole, decimals),
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = decimals.iter().chain(b"000").take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let weight = u32::from(whole - b'0') * 1000 + fraction;
    (weight <= 1000).then_some(weight)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| *byte != b' ').unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_where_it_stands_as_a_word() {
        for (value, wanted) in [
            ("gzip", true),
            ("GZip", true),
            ("gzip, deflate", true),
            ("deflate, gzip", true),
            ("deflate,gzip", true),
            ("br;q=1.0, gzip;q=0.8", true),
            ("gzip ; q=0.5", true),
            ("gzip;", true),
            ("gzip;q=1", true),
            ("gzip;Q=1.000", true),
            ("gzip;q=0.001", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=0, gzip", false),
            ("gzip;q=1.1", false),
            ("gzip;q=0.0001", false),
            ("gzip;q=", false),
            ("gzip;q", false),
            ("gzip;level=1", false),
            ("gzip;q=2", false),
            ("x-gzip", false),
            ("x-gzip, gzip", true),
            ("gzipped", false),
            ("*", false),
            ("identity", false),
            ("gzi", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(value.as_bytes()), wanted, "{value}");
        }
    }
}
