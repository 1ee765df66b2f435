//! Which fields of an answer are stored and sent on (RFC 9111, 3.1; RFC 9110, 7.6.1).

use http1::Fields;

/// Whether a field of this head concerns one connection only, or a proxy on the way: it is neither stored nor sent on.
pub fn is_of_connection(head: &Fields, name: &[u8]) -> bool {
    is_hop_by_hop(name) || (head.contains("Connection") && is_named_by_connection(head, name))
}

fn is_hop_by_hop(name: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        2 => is("TE"),
        7 => is("Upgrade") || is("Trailer"),
        10 => is("Connection") || is("Keep-Alive"),
        16 => is("Proxy-Connection"),
        17 => is("Transfer-Encoding"),
        18 => is("Proxy-Authenticate"),
        19 => is("Proxy-Authorization"),
        25 => is("Proxy-Authentication-Info"),
        _ => false,
    }
}

fn is_named_by_connection(head: &Fields, name: &[u8]) -> bool {
    // What frames the body is never a matter of one connection, whatever Connection says.
    if name.eq_ignore_ascii_case(b"Content-Length") {
        return false;
    }
    let Ok(name) = str::from_utf8(name) else { return false };
    head.all("Connection").any(|line| http1::list_has_token(line, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_connection() {
        let plain = Fields::new();
        let named: Fields = [
            (&b"Connection"[..], &b"close, X-A ,\tx-b"[..]),
            (b"connection", b"Set-Cookie, content-length"),
            (b"Connection", b""),
        ]
        .into_iter()
        .collect();
        let cases: [(&Fields, &str, bool); 20] = [
            (&plain, "Connection", true),
            (&plain, "KEEP-ALIVE", true),
            (&plain, "te", true),
            (&plain, "Trailer", true),
            (&plain, "Transfer-Encoding", true),
            (&plain, "Upgrade", true),
            (&plain, "Proxy-Connection", true),
            (&plain, "Proxy-Authenticate", true),
            (&plain, "Proxy-Authorization", true),
            (&plain, "Proxy-Authentication-Info", true),
            (&plain, "X-A", false),
            (&plain, "Content-Type", false),
            (&plain, "", false),
            (&named, "X-A", true),
            (&named, "X-B", true),
            (&named, "set-cookie", true),
            (&named, "X", false),
            (&named, "Content-Length", false),
            (&named, "Close", true),
            (&named, "Cache-Control", false),
        ];
        for (head, name, wanted) in cases {
            assert_eq!(is_of_connection(head, name.as_bytes()), wanted, "{name}");
        }
    }
}
