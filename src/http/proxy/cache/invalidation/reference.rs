//! Where Location and Content-Location lead, seen from the request (RFC 3986, 5.2). Pure.

/// The URI that a request is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) scheme: &'a str,
    /// Host and port as the client wrote them.
    pub(super) authority: &'a [u8],
    /// Path and query.
    pub(super) target: &'a [u8],
}

/// Returns path and query of what a reference leads to, where that has the same origin.
pub(super) fn resolve(base: &Base<'_>, reference: &[u8]) -> Option<Vec<u8>> {
    let reference = reference.split(|byte| *byte == b'#').next().unwrap_or_default();
    let hierarchical = match scheme_len(reference) {
        Some(len) if reference[..len].eq_ignore_ascii_case(base.scheme.as_bytes()) => {
            // `http:a` means something else to everyone.
            let rest = &reference[len + 1..];
            rest.starts_with(b"//").then_some(rest)?
        }
        Some(_) => return None,
        None => reference,
    };
    let path_end = base.target.iter().position(|byte| *byte == b'?').unwrap_or(base.target.len());
    let base_path = &base.target[..path_end];
    if let Some(rest) = hierarchical.strip_prefix(b"//") {
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let is_same =
            !authority.is_empty() && origin(base.scheme, authority) == origin(base.scheme, base.authority);
        return is_same.then(|| without_dots(&absolute(target)));
    }
    Some(match hierarchical.first() {
        None => base.target.to_vec(),
        Some(b'/') => without_dots(hierarchical),
        Some(b'?') => [base_path, hierarchical].concat(),
        Some(_) => {
            let directory = base_path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            without_dots(&[&base_path[..directory], hierarchical].concat())
        }
    })
}

/// Removes the segments `.` and `..` of a path, each with what it stands for (RFC 3986, 5.2.4). A query stays.
fn without_dots(target: &[u8]) -> Vec<u8> {
    let path_end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(path_end);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        ends_in_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut out = Vec::with_capacity(target.len());
    for segment in &segments {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if ends_in_dots || segments.is_empty() {
        out.push(b'/');
    }
    out.extend_from_slice(query);
    out
}

/// Returns a target without escapes of what needs none, where that is another text: both name the same (RFC 3986, 6.2.2.2).
pub(super) fn without_needless_escapes(target: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(target.len());
    let mut rest = target;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(|digits| {
            let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        match escaped.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(plain) => {
                out.push(plain);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    (out != target).then_some(out)
}

/// The length of the scheme, where the reference has one.
fn scheme_len(reference: &[u8]) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let len = reference.iter().position(|byte| !is_part(byte))?;
    (reference[len] == b':' && reference[0].is_ascii_alphabetic()).then_some(len)
}

/// Host and port in a form that can be compared.
fn origin(scheme: &str, authority: &[u8]) -> Vec<u8> {
    let default = if scheme == "https" { &b":443"[..] } else { b":80" };
    let host = authority.strip_suffix(default).or_else(|| authority.strip_suffix(b":")).unwrap_or(authority);
    host.to_ascii_lowercase()
}

fn absolute(target: &[u8]) -> Vec<u8> {
    match target.first() {
        Some(b'/') => target.to_vec(),
        Some(_) | None => [b"/", target].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_to_the_same_origin_or_nowhere() {
        let base = Base { scheme: "http", authority: b"Example.com:80", target: b"/a/b?c=d" };
        let cases = [
            ("", Some("/a/b?c=d")),
            ("#x", Some("/a/b?c=d")),
            ("/x", Some("/x")),
            ("/x?y#z", Some("/x?y")),
            ("x", Some("/a/x")),
            ("../x", Some("/x")),
            ("../../../x/./y/..?z", Some("/x/?z")),
            ("..", Some("/")),
            ("./", Some("/a/")),
            ("//example.com/a//b/../c", Some("/a//c")),
            ("?y", Some("/a/b?y")),
            ("x:y", None),
            ("./x:y", Some("/a/x:y")),
            ("//example.com/x", Some("/x")),
            ("//EXAMPLE.com:80/x", Some("/x")),
            ("//example.com:8080/x", None),
            ("//other.com/x", None),
            ("///x", None),
            ("http://example.com", Some("/")),
            ("http://example.com?y", Some("/?y")),
            ("HTTP://example.com:/x", Some("/x")),
            ("http://example.com/x/../y?z", Some("/y?z")),
            ("http://user@example.com/x", None),
            ("http://example.com.evil/x", None),
            ("https://example.com/x", None),
            ("http:x", None),
            ("http:/x", None),
            ("mailto:a@b", None),
        ];
        for (reference, wanted) in cases {
            let resolved = resolve(&base, reference.as_bytes());
            assert_eq!(resolved.as_deref(), wanted.map(str::as_bytes), "{reference}");
        }
        let tls = Base { scheme: "https", authority: b"h:8443", target: b"/" };
        assert_eq!(resolve(&tls, b"https://h:8443/x").as_deref(), Some(&b"/x"[..]));
        assert_eq!(resolve(&tls, b"https://h/x"), None);
        let nameless = Base { scheme: "http", authority: b"", target: b"/" };
        assert_eq!(resolve(&nameless, b"/x").as_deref(), Some(&b"/x"[..]));
        assert_eq!(resolve(&nameless, b"http:///x"), None);
    }
    #[test]
    fn escapes_of_what_needs_none_are_left_out() {
        for (target, wanted) in [
            ("/%4C14", Some("/L14")),
            ("/%7euser/%2d?a=%5f", Some("/~user/-?a=_")),
            ("/a%2Fb%20c", None),
            ("/a%2Fb%41", Some("/a%2FbA")),
            ("/plain", None),
            ("/%", None),
            ("/%4", None),
            ("/%+4", None),
            ("/%zz", None),
        ] {
            let plain = without_needless_escapes(target.as_bytes());
            assert_eq!(plain.as_deref(), wanted.map(str::as_bytes), "{target}");
        }
    }
}
