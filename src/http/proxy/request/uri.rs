//! The URI that an upstream is asked for: the rules of `proxy_pass`, as nginx has them.
//!
//! Pure. Without a URI in `proxy_pass` the target goes through as the client wrote it; with one, it takes the place
//! of what the location matched, and what is left of the decoded path is escaped anew.

use std::borrow::Cow;

use http1::{EscapeKind, escape_uri};

/// The URI of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestUri<'a> {
    /// As the client wrote it; none where it is no longer what is asked for.
    pub unparsed: Option<&'a [u8]>,
    /// Decoded path in force.
    pub path: &'a [u8],
    /// Arguments in force.
    pub args: &'a [u8],
    /// How the client wrote the path.
    pub spelling: Spelling,
}

/// How a path was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each byte as itself: it is passed on so.
    Plain,
    /// With escapes, or by us: it is escaped.
    Escaped,
}

/// Tells how the client wrote the path of a target.
pub(super) fn spelling(target: &[u8]) -> Spelling {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if path.contains(&b'%') { Spelling::Escaped } else { Spelling::Plain }
}

/// Makes the URI for the upstream; `replacement` takes the place of the first `location_len` bytes of the path.
pub(super) fn upstream<'a>(
    request: &RequestUri<'a>,
    replacement: Option<&[u8]>,
    location_len: usize,
) -> Cow<'a, [u8]> {
    if let (None, Some(unparsed)) = (replacement, request.unparsed) {
        return unparsed.into();
    }
    let (start, rest) = match replacement {
        Some(replacement) => (replacement, request.path.get(location_len..).unwrap_or_default()),
        None => (&b""[..], request.path),
    };
    let rest = match request.spelling {
        Spelling::Plain => rest.into(),
        Spelling::Escaped => escape_uri(rest, EscapeKind::Uri),
    };
    let mut uri = Vec::with_capacity(start.len() + rest.len() + 1 + request.args.len());
    uri.extend_from_slice(start);
    uri.extend_from_slice(&rest);
    if !request.args.is_empty() {
        uri.push(b'?');
        uri.extend_from_slice(request.args);
    }
    uri.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as the client wrote it, and the decoded path that was made of it.
    fn request<'a>(target: &'a str, path: &'a str) -> RequestUri<'a> {
        RequestUri {
            unparsed: Some(target.as_bytes()),
            path: path.as_bytes(),
            args: target.split_once('?').map_or(b"", |(_, args)| args.as_bytes()),
            spelling: spelling(target.as_bytes()),
        }
    }

    #[test]
    fn proxy_pass_decides_what_is_asked_for() {
        let cases = [
            ("no URI: as written", request("/a%20b/../c?x#f", "/c"), None, 0, "/a%20b/../c?x#f"),
            ("slash", request("/api/users", "/api/users"), Some("/"), 5, "/users"),
            ("path", request("/name/x?y=1", "/name/x"), Some("/remote/"), 6, "/remote/x?y=1"),
            ("no slash at the end", request("/name/x", "/name/x"), Some("/r"), 6, "/rx"),
            ("exact location", request("/name/", "/name/"), Some("/r/"), 6, "/r/"),
            ("escaped anew", request("/n/a%20%3fb", "/n/a ?b"), Some("/"), 3, "/a%20%3Fb"),
            ("an escape that was not needed", request("/n/%61", "/n/a"), Some("/"), 3, "/a"),
            ("plain bytes stay", request("/n/\u{e9}", "/n/\u{e9}"), Some("/"), 3, "/\u{e9}"),
            ("an escape in the arguments only", request("/n/a?%20", "/n/a"), Some("/"), 3, "/a?%20"),
            ("arguments in proxy_pass", request("/n/a?b", "/n/a"), Some("/x?y="), 3, "/x?y=a?b"),
        ];
        for (name, request, replacement, location_len, wanted) in cases {
            let uri = upstream(&request, replacement.map(str::as_bytes), location_len);
            assert_eq!(String::from_utf8_lossy(&uri), wanted, "{name}");
        }
    }

    #[test]
    fn a_changed_uri_is_escaped_and_sent() {
        let changed =
            RequestUri { unparsed: None, path: b"/50x page.html", args: b"a=b", spelling: Spelling::Escaped };
        assert_eq!(&*upstream(&changed, None, 0), b"/50x%20page.html?a=b");
    }
}
