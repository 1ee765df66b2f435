//! What a 304 makes of a stored answer (RFC 9111, 4.3.4 and 3.2).

use http1::Fields;

use super::fields::is_of_connection;

/// Which stored answer a 304 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// The one that was asked about.
    Asked,
    /// Another one, which is not here: it says nothing of the one that was asked about.
    Another,
}

/// Finds out which answer a 304 is about, by the validators that it has. One that has none is about the one it was asked about.
pub fn selected(not_modified: &Fields, stored: &Fields) -> Selected {
    let is_same = match (not_modified.get("etag"), stored.get("etag")) {
        // A strong tag selects only what has the same one; a weak one, what is equivalent.
        (Some(tag), Some(known)) if is_weak(tag) => opaque(tag) == opaque(known),
        (Some(tag), Some(known)) => tag == known,
        (Some(tag), None) if !is_weak(tag) && !shares_date(not_modified, stored) => false,
        (Some(_) | None, _) => match (date(not_modified), date(stored)) {
            (Some(modified), Some(known)) => modified == known,
            (Some(_) | None, _) => true,
        },
    };
    if is_same { Selected::Asked } else { Selected::Another }
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn date(fields: &Fields) -> Option<&[u8]> {
    fields.get("last-modified")
}

fn shares_date(one: &Fields, other: &Fields) -> bool {
    date(one).is_some() && date(one) == date(other)
}

/// The stored fields with those of a 304 in their places. `keeps` says which names may be stored at all.
pub fn freshened(stored: &Fields, not_modified: &Fields, keeps: impl Fn(&[u8]) -> bool) -> Fields {
    let renews = |name: &[u8]| !is_about_body(name) && !is_of_connection(not_modified, name) && keeps(name);
    let mut out = Fields::new();
    for (name, value) in stored.iter() {
        match text(name).filter(|known| renews(name) && not_modified.contains(known)) {
            None => out.push(name, value),
            // In the place of the first of its name; the others are gone with it.
            Some(known) if out.contains(known) => {}
            Some(known) => not_modified.all(known).for_each(|value| out.push(name, value)),
        }
    }
    for (name, value) in not_modified.iter().filter(|(name, _)| renews(name)) {
        if text(name).is_some_and(|name| !stored.contains(name)) {
            out.push(name, value);
        }
    }
    out
}

/// Names of fields are ASCII; one that is not is never renewed.
fn text(name: &[u8]) -> Option<&str> {
    str::from_utf8(name).ok()
}

/// Whether a field describes the body, which a 304 does not have.
fn is_about_body(name: &[u8]) -> bool {
    ["Content-Length", "Content-Encoding", "Content-Type", "Content-Range"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &str) -> Fields {
        lines
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect()
    }

    fn shown(fields: &Fields) -> String {
        let mut lines = Vec::new();
        http1::write_fields(&mut lines, fields);
        String::from_utf8(lines).unwrap().trim_end().replace("\r\n", "\n")
    }

    #[test]
    fn validators_tell_what_a_304_is_about() {
        use Selected::{Another, Asked};
        let (one, two) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        let modified = |date: &str| format!("Last-Modified: {date}");
        let cases = [
            ("no validators at all", String::new(), String::new(), Asked),
            ("none in the 304", String::new(), "ETag: \"a\"".to_owned(), Asked),
            ("the same strong tag", "ETag: \"a\"".to_owned(), "ETag: \"a\"".to_owned(), Asked),
            ("another strong tag", "ETag: \"b\"".to_owned(), "ETag: \"a\"".to_owned(), Another),
            ("a strong tag for a weak one", "ETag: \"a\"".to_owned(), "ETag: W/\"a\"".to_owned(), Another),
            ("a weak tag for a strong one", "ETag: W/\"a\"".to_owned(), "ETag: \"a\"".to_owned(), Asked),
            ("the same weak tag", "ETag: W/\"a\"".to_owned(), "ETag: W/\"a\"".to_owned(), Asked),
            ("another weak tag", "ETag: W/\"b\"".to_owned(), "ETag: W/\"a\"".to_owned(), Another),
            ("a strong tag that was not stored", "ETag: \"a\"".to_owned(), String::new(), Another),
            ("a weak tag that was not stored", "ETag: W/\"a\"".to_owned(), String::new(), Asked),
            ("the same date", modified(one), modified(one), Asked),
            ("another date", modified(two), modified(one), Another),
            ("a date that was not stored", modified(one), "ETag: \"a\"".to_owned(), Asked),
            (
                "tag and date, only the date stored",
                format!("ETag: \"a\"\n{}", modified(one)),
                modified(one),
                Asked,
            ),
            (
                "tag and another date, only the date stored",
                format!("ETag: \"a\"\n{}", modified(two)),
                modified(one),
                Another,
            ),
            (
                "the tag decides, whatever the date says",
                format!("ETag: \"a\"\n{}", modified(two)),
                format!("ETag: \"a\"\n{}", modified(one)),
                Asked,
            ),
        ];
        for (name, not_modified, stored, wanted) in cases {
            assert_eq!(selected(&fields(&not_modified), &fields(&stored)), wanted, "{name}");
        }
    }

    #[test]
    fn fields_of_a_304_take_the_places_of_stored_ones() {
        let stored =
            "Date: 1\nContent-Type: a/b\nX-A: 1\nCache-Control: a\nx-a: 2\nContent-Length: 5\nX-B: b";
        let cases = [
            ("nothing new", "", stored),
            (
                "one for several",
                "X-A: 3",
                "Date: 1\nContent-Type: a/b\nX-A: 3\nCache-Control: a\nContent-Length: 5\nX-B: b",
            ),
            (
                "several for one",
                "cache-control: b\nCache-Control: c\nDate: 2",
                "Date: 2\nContent-Type: a/b\nX-A: 1\nCache-Control: b\nCache-Control: c\nx-a: 2\nContent-Length: 5\nX-B: b",
            ),
            (
                "new ones",
                "X-C: 1\nX-D: 2\nX-C: 3",
                "Date: 1\nContent-Type: a/b\nX-A: 1\nCache-Control: a\nx-a: 2\nContent-Length: 5\nX-B: b\nX-C: 1\nX-D: 2\nX-C: 3",
            ),
            (
                "what is about a body",
                "Content-Length: 0\ncontent-type: c/d\nContent-Encoding: gzip\nContent-Range: bytes 0-0/5",
                stored,
            ),
            (
                "what concerns the connection",
                "Connection: close, X-B\nX-B: 2\nKeep-Alive: 5\nUpgrade: x",
                stored,
            ),
            ("what is not kept", "Set-Cookie: a=b", stored),
            (
                "an empty value",
                "X-B: ",
                "Date: 1\nContent-Type: a/b\nX-A: 1\nCache-Control: a\nx-a: 2\nContent-Length: 5\nX-B:",
            ),
        ];
        for (name, not_modified, wanted) in cases {
            let out = freshened(&fields(stored), &fields(not_modified), |name| name != b"Set-Cookie");
            assert_eq!(shown(&out), wanted, "{name}");
        }
    }
}
