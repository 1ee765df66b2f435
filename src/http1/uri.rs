//! The path a request means: percent-decoded, slashes merged, dot segments taken out, arguments cut off.
//!
//! As nginx, and its order matters: an escaped slash or dot counts as a plain one, an escaped `%`, `#` or
//! `?` is a byte of the path, and `..` above the root is refused. Locations are matched against the result.

use std::borrow::Cow;

use thiserror::Error;

use crate::escape::hex_value;

/// What to do with slashes in a row: `merge_slashes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeSlashes {
    /// They count as one.
    Merged,
    /// They are kept.
    Kept,
}

/// A normalised URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The decoded path, which begins with a slash: nginx's `$uri`.
    pub path: Cow<'a, [u8]>,
    /// What is behind the `?`, as sent; may be empty.
    pub args: Option<&'a [u8]>,
    /// Whether the path had escapes: what is made of the path must be escaped again before it is sent.
    pub quoted: bool,
}

/// The path has a wrong escape, an escaped NUL, or goes above the root. nginx logs "client sent invalid
/// request" and answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("client sent invalid request")]
pub struct InvalidUri;

/// Normalises what [`RequestHead::path_and_query`](crate::RequestHead::path_and_query) gives. A path that
/// does not begin with a slash gets one in front.
pub fn normalize(raw: &[u8], slashes: MergeSlashes) -> Result<Uri<'_>, InvalidUri> {
    let plain = plain_len(raw);
    match raw.get(plain) {
        None if plain > 0 => return Ok(Uri { path: Cow::Borrowed(raw), args: None, quoted: false }),
        Some(b'?') if plain > 0 => {
            let args = Some(without_fragment(&raw[plain + 1..]));
            return Ok(Uri { path: Cow::Borrowed(&raw[..plain]), args, quoted: false });
        }
        _ => {}
    }
    let mut path = Path { bytes: Vec::with_capacity(raw.len() + 1), segment: 0, slashes };
    if raw.first() != Some(&b'/') {
        path.put_slash()?;
    }
    let (mut at, mut quoted, mut args) = (0, false, None);
    while let Some(&byte) = raw.get(at) {
        at += 1;
        match byte {
            b'#' => break,
            b'?' => {
                args = Some(without_fragment(&raw[at..]));
                break;
            }
            b'%' => {
                quoted = true;
                path.put(decode(&raw[at..])?)?;
                at += 2;
            }
            _ => path.put(byte)?,
        }
    }
    path.resolve_segment()?;
    Ok(Uri { path: Cow::Owned(path.bytes), args, quoted })
}

/// The byte an escape stands for, given what is behind the `%`.
fn decode(digits: &[u8]) -> Result<u8, InvalidUri> {
    let (Some(&high), Some(&low)) = (digits.first(), digits.get(1)) else { return Err(InvalidUri) };
    let byte = hex_value(high).ok_or(InvalidUri)? << 4 | hex_value(low).ok_or(InvalidUri)?;
    if byte == 0 { Err(InvalidUri) } else { Ok(byte) }
}

fn without_fragment(args: &[u8]) -> &[u8] {
    &args[..memchr::memchr(b'#', args).unwrap_or(args.len())]
}

/// How many bytes from the start are a path with nothing to change; 0 if it does not begin with a slash.
/// A dot or a slash behind a slash ends it: what they mean needs a closer look.
fn plain_len(raw: &[u8]) -> usize {
    if raw.first() != Some(&b'/') {
        return 0;
    }
    let mut previous = 0;
    for (place, &byte) in raw.iter().enumerate() {
        match byte {
            b'%' | b'#' | b'?' => return place,
            b'/' | b'.' if previous == b'/' => return place,
            _ => previous = byte,
        }
    }
    raw.len()
}

/// A path being written.
struct Path {
    bytes: Vec<u8>,
    /// Where the segment being written begins, behind its slash.
    segment: usize,
    slashes: MergeSlashes,
}

#[derive(PartialEq, Eq)]
enum Segment {
    Name,
    /// It was `.` or `..` and is gone; the path ends with the slash before it.
    Resolved,
}

impl Path {
    fn put(&mut self, byte: u8) -> Result<(), InvalidUri> {
        if byte == b'/' {
            return self.put_slash();
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn put_slash(&mut self) -> Result<(), InvalidUri> {
        let segment = self.resolve_segment()?;
        let follows_slash = self.bytes.last() == Some(&b'/');
        if segment == Segment::Name && !(follows_slash && self.slashes == MergeSlashes::Merged) {
            self.bytes.push(b'/');
        }
        self.segment = self.bytes.len();
        Ok(())
    }

    /// Takes out a segment that is `.`, and one that is `..` together with the one before it.
    fn resolve_segment(&mut self) -> Result<Segment, InvalidUri> {
        match &self.bytes[self.segment..] {
            b"." => self.bytes.truncate(self.segment),
            b".." => {
                // Behind the slash that ends the segment before that one.
                let above = self.segment.checked_sub(1).ok_or(InvalidUri)?;
                let slash = memchr::memrchr(b'/', &self.bytes[..above]).ok_or(InvalidUri)?;
                self.bytes.truncate(slash + 1);
            }
            _ => return Ok(Segment::Name),
        }
        Ok(Segment::Resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, arguments and whether it was quoted; nothing if it is refused.
    type Wanted = Option<(&'static str, Option<&'static str>, bool)>;

    fn check(raw: &str, slashes: MergeSlashes, wanted: Wanted) {
        let got = normalize(raw.as_bytes(), slashes).ok();
        let wanted = wanted.map(|(path, args, quoted)| Uri {
            path: Cow::Borrowed(path.as_bytes()),
            args: args.map(str::as_bytes),
            quoted,
        });
        assert_eq!(got, wanted, "{raw} {slashes:?}");
    }

    #[test]
    fn paths_with_merged_slashes() {
        let cases: [(&str, Wanted); 46] = [
            ("/", Some(("/", None, false))),
            ("", Some(("/", None, false))),
            ("?a", Some(("/", Some("a"), false))),
            ("/a.b/c", Some(("/a.b/c", None, false))),
            ("/a?", Some(("/a", Some(""), false))),
            ("/a?b?c/../%zz", Some(("/a", Some("b?c/../%zz"), false))),
            ("/a#b?c", Some(("/a", None, false))),
            ("/a?b#c", Some(("/a", Some("b"), false))),
            ("/a+b", Some(("/a+b", None, false))),
            ("//", Some(("/", None, false))),
            ("//a///b//", Some(("/a/b/", None, false))),
            ("/.", Some(("/", None, false))),
            ("/./", Some(("/", None, false))),
            ("/./a/./b/.", Some(("/a/b/", None, false))),
            ("/a/..", Some(("/", None, false))),
            ("/a/../", Some(("/", None, false))),
            ("/a/b/../c", Some(("/a/c", None, false))),
            ("/a/b/../../c", Some(("/c", None, false))),
            ("/a//../b", Some(("/b", None, false))),
            ("/a/b/..?c", Some(("/a/", Some("c"), false))),
            ("/a/.?c", Some(("/a/", Some("c"), false))),
            ("/a/..#c", Some(("/", None, false))),
            ("/a/.#c", Some(("/a/", None, false))),
            ("/..", None),
            ("/../", None),
            ("/..?a", None),
            ("/./..", None),
            ("/a/../..", None),
            ("/a/%2e%2E/..", None),
            ("/...", Some(("/...", None, false))),
            ("/.a", Some(("/.a", None, false))),
            ("/..a/.b./c..", Some(("/..a/.b./c..", None, false))),
            ("/%41%7e", Some(("/A~", None, true))),
            ("/a%2fb", Some(("/a/b", None, true))),
            ("/a/%2f%2F/b", Some(("/a/b", None, true))),
            ("/a/%2e%2e/b", Some(("/b", None, true))),
            ("/a/.%2e%2fb", Some(("/b", None, true))),
            ("/a%3fb%23c%25d", Some(("/a?b#c%d", None, true))),
            ("/a/.%23", Some(("/a/.#", None, true))),
            ("/%252e", Some(("/%2e", None, true))),
            ("/%c3%A9\u{e9}", Some(("/\u{e9}\u{e9}", None, true))),
            ("/%0a", Some(("/\n", None, true))),
            ("/%00", None),
            ("/%", None),
            ("/%4", None),
            ("/%4g", None),
        ];
        for (raw, wanted) in cases {
            check(raw, MergeSlashes::Merged, wanted);
        }
    }

    #[test]
    fn paths_with_kept_slashes() {
        let cases: [(&str, Wanted); 8] = [
            ("//", Some(("//", None, false))),
            ("//a///b//", Some(("//a///b//", None, false))),
            ("/a//../b", Some(("/a/b", None, false))),
            ("/a/.//b", Some(("/a//b", None, false))),
            ("/a/b/..//c", Some(("/a//c", None, false))),
            ("//..", Some(("/", None, false))),
            ("//../..", None),
            ("/a%2f%2fb", Some(("/a//b", None, true))),
        ];
        for (raw, wanted) in cases {
            check(raw, MergeSlashes::Kept, wanted);
        }
    }

    #[test]
    fn plain_paths_are_not_copied() {
        for raw in ["/", "/a/b.c", "/a?b"] {
            let uri = normalize(raw.as_bytes(), MergeSlashes::Merged).unwrap();
            assert!(matches!(uri.path, Cow::Borrowed(_)), "{raw}");
        }
    }
}
