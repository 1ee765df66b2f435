//! How the URL of a redirect is written. Pure.

/// Says whether the path of a request's target has something in it that was decoded.
pub(super) fn is_escaped(target: &[u8]) -> bool {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    path.iter().any(|byte| matches!(byte, b'%' | b'+'))
}

/// Takes escapes back that a URL can do without, up to its arguments.
///
/// As nginx: only of what can be seen and comes behind `%`; the rest stays as it was written.
pub(super) fn unescape(url: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(url.len());
    let mut rest = url;
    while let Some((&byte, behind)) = rest.split_first() {
        let (plain, behind) = match (byte, decoded(behind)) {
            (b'%', Some(plain @ b'&'..=b'~')) => (plain, &behind[2..]),
            _ => (byte, behind),
        };
        out.push(plain);
        rest = behind;
        if plain == b'?' {
            break;
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Reads two hexadecimal digits.
fn decoded(text: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(text.first()?)? << 4 | digit(text.get(1)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_url_can_do_without_is_taken_back() {
        for (url, wanted) in [
            ("http://h/a", "http://h/a"),
            ("/a%26%2B%2fb", "/a&+/b"),
            ("/a%20%25%7f%C3%A9", "/a%20%25%7f%C3%A9"),
            ("/a?b=%26", "/a?b=%26"),
            ("/a%3fb=%26", "/a?b=%26"),
            ("/%2", "/%2"),
            ("/%zz%41", "/%zzA"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&unescape(url.as_bytes())), wanted, "{url}");
        }
    }

    #[test]
    fn escapes_count_in_the_path_only() {
        for (target, wanted) in [("/a", false), ("/a%20", true), ("/a+b", true), ("/a?%20+", false)] {
            assert_eq!(is_escaped(target.as_bytes()), wanted, "{target}");
        }
    }
}
