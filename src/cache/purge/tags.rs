//! Tags: the names other than its key that an answer is stored under, as its header fields give them.
//!
//! An entry keeps them as one text with a line break between each two, which no field can hold. Those of `Cache-Groups` belong to
//! the origin that they came from (RFC 9875, 2): they are kept with it before them.

use http1::Fields;

/// What stands between two tags.
const SEPARATOR: u8 = b'\n';
/// What an origin begins with, so that no other tag looks like a group.
const GROUP: u8 = 1;

/// How a field writes its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// Words.
    Spaces,
    /// A list; white space around its members does not count.
    Commas,
    /// Words or a list.
    Either,
    /// A structured list of strings.
    Groups,
}

fn syntax(name: &[u8]) -> Syntax {
    match name {
        _ if name.eq_ignore_ascii_case(b"surrogate-key") => Syntax::Spaces,
        _ if name.eq_ignore_ascii_case(b"cache-tag") => Syntax::Commas,
        _ if name.eq_ignore_ascii_case(b"cache-groups") => Syntax::Groups,
        _ => Syntax::Either,
    }
}

/// Collects the tags that a head gives in the fields of these names, each once. `origin` is whose groups they are.
pub fn collect<'a>(head: &Fields, names: impl Iterator<Item = &'a [u8]>, origin: &[u8]) -> Vec<u8> {
    let mut tags = Vec::new();
    for name in names {
        let lines = head.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match syntax(name) {
            Syntax::Spaces => lines.for_each(|line| add_all(&mut tags, line.split(is_space))),
            Syntax::Commas => lines.for_each(|line| add_all(&mut tags, line.split(|byte| *byte == b','))),
            Syntax::Either => {
                lines.for_each(|line| add_all(&mut tags, line.split(|byte| is_space(byte) || *byte == b',')));
            }
            Syntax::Groups => {
                for group in groups(lines) {
                    add(&mut tags, &group_tag(origin, &group));
                }
            }
        }
    }
    tags
}

/// The groups that the lines of a field list (`Cache-Groups`, `Cache-Group-Invalidation`), as tags of an origin.
pub fn group_tags<'a>(lines: impl Iterator<Item = &'a [u8]>, origin: &[u8]) -> Vec<Vec<u8>> {
    groups(lines).iter().map(|group| group_tag(origin, group)).collect()
}

/// The tags of a text that [`collect`] made.
pub fn split(tags: &[u8]) -> impl Iterator<Item = &[u8]> {
    tags.split(|byte| *byte == SEPARATOR).filter(|tag| !tag.is_empty())
}

fn group_tag(origin: &[u8], group: &[u8]) -> Vec<u8> {
    [&[GROUP], origin, b" ", group].concat()
}

fn add_all<'a>(tags: &mut Vec<u8>, found: impl Iterator<Item = &'a [u8]>) {
    found.for_each(|tag| add(tags, tag.trim_ascii()));
}

fn add(tags: &mut Vec<u8>, tag: &[u8]) {
    if tag.is_empty() || tag.contains(&SEPARATOR) || split(tags).any(|known| known == tag) {
        return;
    }
    if !tags.is_empty() {
        tags.push(SEPARATOR);
    }
    tags.extend_from_slice(tag);
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads a structured list of strings (RFC 9651, 4.2.1); parameters do not count. As there, a list with anything else in it is none.
fn groups<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = lines.collect();
    let text = lines.join(&b", "[..]);
    parse_strings(&text).unwrap_or_default()
}

fn parse_strings(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = trim_spaces(text);
    while !rest.is_empty() {
        let (string, after) = parse_string(rest)?;
        found.push(string);
        rest = trim_optional(skip_parameters(after)?);
        match rest {
            [] => break,
            [b',', after @ ..] => rest = trim_optional(after),
            _ => return None,
        }
        // RFC 9651, 4.2.1: a comma at the end is an error.
        if rest.is_empty() {
            return None;
        }
    }
    Some(found)
}

fn parse_string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((out, after)),
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                out.push(*escaped);
                rest = after;
            }
            [byte @ (b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'), after @ ..] => {
                out.push(*byte);
                rest = after;
            }
            _ => return None,
        }
    }
}

/// Skips `;name` and `;name=value` as far as they cannot hide the end of a member.
fn skip_parameters(mut text: &[u8]) -> Option<&[u8]> {
    while let [b';', rest @ ..] = text {
        let rest = trim_spaces(rest);
        let name = rest.iter().take_while(|byte| is_name(**byte)).count();
        if name == 0 {
            return None;
        }
        text = match &rest[name..] {
            [b'=', value @ ..] if value.starts_with(b"\"") => parse_string(value)?.1,
            [b'=', value @ ..] => {
                let len = value.iter().take_while(|byte| !matches!(byte, b',' | b';' | b' ' | b'\t')).count();
                &value[len..]
            }
            after => after,
        };
    }
    Some(text)
}

fn is_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')
}

fn trim_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

fn trim_optional(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| is_space(byte)).count();
    &text[spaces..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags_of(names: &str, lines: &[(&str, &str)]) -> String {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let names = names.split(' ').map(str::as_bytes);
        String::from_utf8(collect(&fields, names, b"http://h")).unwrap().replace('\n', "|")
    }

    #[test]
    fn each_field_is_split_as_its_inventors_do() {
        type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 12] = [
            ("none", "Surrogate-Key", &[("A", "b")], ""),
            ("words", "Surrogate-Key", &[("surrogate-key", " a  b,c\td ")], "a|b,c|d"),
            ("a list", "Cache-Tag", &[("Cache-Tag", "a , b c,,d")], "a|b c|d"),
            ("both", "xkey", &[("xkey", "a, b c"), ("XKEY", "d")], "a|b|c|d"),
            ("any other name is read as xkey", "X-Tags", &[("x-tags", "a b,c")], "a|b|c"),
            ("each once", "Surrogate-Key", &[("Surrogate-Key", "a b a"), ("Surrogate-Key", "b c")], "a|b|c"),
            ("two fields", "xkey Cache-Tag", &[("Cache-Tag", "a,b"), ("xkey", "c a")], "c|a|b"),
            (
                "groups",
                "Cache-Groups",
                &[("Cache-Groups", "\"a\", \"b c\";x=1")],
                "\u{1}http://h a|\u{1}http://h b c",
            ),
            (
                "groups on two lines",
                "Cache-Groups",
                &[("Cache-Groups", "\"a\""), ("Cache-Groups", "\"b\"")],
                "\u{1}http://h a|\u{1}http://h b",
            ),
            ("not listed", "xkey", &[("Cache-Tag", "a")], ""),
            ("case counts", "xkey", &[("xkey", "a A")], "a|A"),
            ("empty", "xkey", &[("xkey", " , ")], ""),
        ];
        for (name, names, lines, wanted) in cases {
            assert_eq!(tags_of(names, lines), wanted, "{name}");
        }
    }

    #[test]
    fn structured_lists_of_strings() {
        let list = |members: &[&str]| Some(members.iter().map(|member| member.as_bytes().to_vec()).collect());
        let cases: [(&str, Option<Vec<Vec<u8>>>); 18] = [
            ("", list(&[])),
            ("  ", list(&[])),
            ("\"a\"", list(&["a"])),
            (" \"a\" ,\t\"b\"", list(&["a", "b"])),
            (r#""a\"\\b""#, list(&[r#"a"\b"#])),
            ("\"a\";p;q=1.5;r=\"x,y\", \"b\"", list(&["a", "b"])),
            ("\"\"", list(&[""])),
            ("\"a,b\"", list(&["a,b"])),
            ("\"a\",", None),
            ("\"a\" \"b\"", None),
            ("a", None),
            ("\"a\", b", None),
            ("\"a", None),
            ("\"a\\c\"", None),
            ("\"\u{e4}\"", None),
            ("(\"a\")", None),
            ("\"a\";=1", None),
            ("\"a\",,\"b\"", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_strings(text.as_bytes()), wanted, "{text}");
        }
    }
}
