//! URIs that lead elsewhere inside: of X-Accel-Redirect, of what a page includes.

/// Splits a target into decoded path and arguments; nothing where the path leads out of what is served.
pub fn split(target: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (raw, args) = match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &b""[..]),
    };
    let path = http1::unescape(raw);
    let leads_out = |path: &[u8]| path.split(|byte| *byte == b'/').any(|step| step == b"..");
    if raw.is_empty() || path.contains(&0) || leads_out(raw) || leads_out(&path) {
        return None;
    }
    Some((path.into_owned(), args.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_decoded_and_kept_inside() {
        for (target, wanted) in [
            ("/a", Some(("/a", ""))),
            ("/a%20b?c%20d", Some(("/a b", "c%20d"))),
            ("/a?../..", Some(("/a", "../.."))),
            ("/a..b/..c", Some(("/a..b/..c", ""))),
            ("", None),
            ("?a", None),
            ("../a", None),
            ("/a/../b", None),
            ("/a/..", None),
            ("/a/%2e%2e/b", None),
            ("/a\0", None),
            ("/a%00b", None),
        ] {
            let wanted = wanted.map(|(path, args)| (path.as_bytes().to_vec(), args.as_bytes().to_vec()));
            assert_eq!(split(target.as_bytes()), wanted, "{target}");
        }
    }
}
