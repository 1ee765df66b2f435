//! Values found inside a request: arguments, cookies, the user of Basic authentication.

use base64::{Engine, engine::general_purpose::GeneralPurpose};
use http1::Fields;

/// Returns the value of the first argument of that name, in any case, as it was sent.
pub(super) fn argument<'a>(args: &'a [u8], name: &str) -> Option<&'a [u8]> {
    args.split(|&byte| byte == b'&').find_map(|argument| {
        let (found, value) = argument.split_at_checked(name.len())?;
        found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.strip_prefix(b"="))?
    })
}

/// Returns the value of the first cookie of that name, in any case.
pub(in crate::http) fn cookie<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.all("Cookie").find_map(|line| cookie_in(line, name))
}

fn cookie_in<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(value) = pair(rest, name) {
            return Some(value);
        }
        // As nginx: a comma ends a cookie that is not the one, but not the value of the one.
        let end = rest.iter().position(|&byte| matches!(byte, b';' | b','))?;
        rest = skip_spaces(&rest[end + 1..]);
    }
    None
}

/// Reads `name = value` up to `;`.
pub(super) fn pair<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = text.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    let value = skip_spaces(skip_spaces(rest).strip_prefix(b"=")?);
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    Some(&value[..end])
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
    &text[start..]
}

/// Returns the user that Basic authentication names.
pub(super) fn user(fields: &Fields) -> Option<Vec<u8>> {
    /// Padding may be there or not.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let (scheme, credentials) = fields.get("Authorization")?.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = BASE64.decode(skip_spaces(credentials)).ok()?;
    user.truncate(user.iter().position(|&byte| byte == b':')?);
    Some(user)
}

/// Makes the text of `$request_id`: sixteen random bytes in hexadecimal.
pub(super) fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("linux has had getrandom since 3.17");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_by_name() {
        for (args, name, wanted) in [
            ("a=1&b=2", "a", Some("1")),
            ("a=1&b=2", "b", Some("2")),
            ("A=1", "a", Some("1")),
            ("a=1&a=2", "a", Some("1")),
            ("a", "a", None),
            ("a&a=3", "a", Some("3")),
            ("a=", "a", Some("")),
            ("aa=1", "a", None),
            ("ba=1", "a", None),
            ("a=x%20y=z", "a", Some("x%20y=z")),
            ("", "a", None),
        ] {
            assert_eq!(argument(args.as_bytes(), name), wanted.map(str::as_bytes), "{args} {name}");
        }
    }

    fn fields(name: &str, values: &[&str]) -> Fields {
        values.iter().map(|value| (name.as_bytes(), value.as_bytes())).collect()
    }

    #[test]
    fn cookies_are_found_as_nginx_finds_them() {
        let lines = ["a=1; b = two words ;c=3", "d=4, e=5", "x; f=6;A=7"];
        for (name, wanted) in [
            ("a", Some("1")),
            ("b", Some("two words ")),
            ("c", Some("3")),
            ("d", Some("4, e=5")),
            ("e", Some("5")),
            ("f", Some("6")),
            ("x", None),
            ("wo", None),
        ] {
            assert_eq!(cookie(&fields("Cookie", &lines), name), wanted.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn users_are_decoded() {
        for (value, wanted) in [
            ("Basic YWxpY2U6c2VjcmV0", Some("alice")),
            ("basic  YWxpY2U6", Some("alice")),
            ("Basic OnNlY3JldA==", Some("")),
            ("Basic OnNlY3JldA", Some("")),
            ("Basic YWxpY2U", None),
            ("Basic ?", None),
            ("Bearer YWxpY2U6c2VjcmV0", None),
            ("", None),
        ] {
            let found = user(&fields("Authorization", &[value]));
            assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn ids_are_random_and_of_one_length() {
        let (one, other) = (random_id(), random_id());
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
    }
}
