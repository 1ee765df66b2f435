//! `Vary`: which file of a key answers which request.
//!
//! As nginx: the main file, named by the key's digest, holds whichever variant came first. Any other lies under
//! a digest of the key's and of the request fields that `Vary` names.

use http1::Fields;
use md5::{Digest as _, Md5};

use crate::format::VARY_BYTES;
use crate::key::Digest;

/// What `Vary` means for storing a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variance {
    /// There is none: the response answers every request for the key.
    Uniform,
    /// It answers requests alike in these fields: the text as it is stored.
    Fields(Vec<u8>),
    /// It answers no other request: `*`.
    Unique,
    /// The text does not fit the file format.
    TooLong,
}

/// Reads all `Vary` lines of a response.
pub fn variance(response: &Fields) -> Variance {
    let mut lines = response.all("vary").peekable();
    if lines.peek().is_none() {
        return Variance::Uniform;
    }
    let mut text = Vec::new();
    for line in lines {
        // As nginx: only a star alone; in a list it names a field that no request has.
        if line == b"*" {
            return Variance::Unique;
        }
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(line);
    }
    match text.len() {
        0 => Variance::Uniform,
        1..=VARY_BYTES => Variance::Fields(text),
        _ => Variance::TooLong,
    }
}

/// The digest of a key's digest and the request fields that `vary` names.
pub fn variant(main: &Digest, vary: &[u8], request: &Fields) -> Digest {
    let mut md5 = Md5::new();
    md5.update(main);
    for name in vary.split(is_separator).filter(|name| !name.is_empty()) {
        let name = name.to_ascii_lowercase();
        let lines =
            request.iter().filter(|(field, _)| field.eq_ignore_ascii_case(&name)).map(|(_, value)| value);
        md5.update(&name);
        md5.update(b":");
        // As nginx: lists that browsers write differently are compared word by word, others as they came.
        if matches!(&name[..], b"accept-charset" | b"accept-encoding" | b"accept-language") {
            let words = lines.flat_map(|line| line.split(is_separator)).filter(|word| !word.is_empty());
            update_list(&mut md5, words);
        } else {
            update_list(&mut md5, lines);
        }
        md5.update(b"\r\n");
    }
    md5.finalize().into()
}

/// The digest to store a response under that was asked for because `looked_up` had none.
///
/// A variant keeps its own file only while the response varies as the main file said; else it becomes the main file.
pub fn store_under(main: &Digest, looked_up: &Digest, vary: &[u8], request: &Fields) -> Digest {
    let same = looked_up != main && !vary.is_empty() && variant(main, vary, request) == *looked_up;
    if same { *looked_up } else { *main }
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b' ' | b',')
}

fn update_list<'a>(md5: &mut Md5, items: impl Iterator<Item = &'a [u8]>) {
    let mut separator: &[u8] = b"";
    for item in items {
        md5.update(separator);
        md5.update(item);
        separator = b",";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, hex};

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    /// Names that Debian's nginx 1.22 gave to files, for the key `/v1`.
    #[test]
    fn variants_are_named_as_nginx_names_them() {
        let main = Key::new(b"/v1".to_vec()).digest;
        let vary = b"Accept-Encoding, X-Foo";
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 6] = [
            ("no such field", &[], "48337bec31c2af966e2f2008b1e6e369"),
            ("one", &[("X-Foo", "a,b,c")], "211a9a024af7a5e2e226386bad33b612"),
            (
                "two lines",
                &[("X-Foo", "a"), ("Host", "h"), ("x-foo", "b,c")],
                "211a9a024af7a5e2e226386bad33b612",
            ),
            ("spaces count", &[("X-Foo", "a ,  b,c")], "40125b3451fc08631a040750d6e2a62c"),
            (
                "both",
                &[("X-Foo", "A,b,c"), ("Accept-Encoding", "gzip, br")],
                "c096424925d768b9246bc4db8449e93c",
            ),
            (
                "words of an accepted list",
                &[("accept-encoding", ", gzip ,,br,"), ("X-Foo", "A,b,c")],
                "c096424925d768b9246bc4db8449e93c",
            ),
        ];
        for (name, request, wanted) in cases {
            assert_eq!(hex(&variant(&main, vary, &fields(request))), wanted, "{name}");
        }
    }

    #[test]
    fn what_vary_means() {
        let long = "x".repeat(VARY_BYTES + 1);
        let cases = [
            ("none", fields(&[("A", "b")]), Variance::Uniform),
            ("empty", fields(&[("Vary", "")]), Variance::Uniform),
            ("one", fields(&[("vary", "A, B")]), Variance::Fields(b"A, B".to_vec())),
            ("two lines", fields(&[("Vary", "A"), ("Vary", "B")]), Variance::Fields(b"A, B".to_vec())),
            ("star", fields(&[("Vary", "A"), ("Vary", "*")]), Variance::Unique),
            ("long", fields(&[("Vary", &long)]), Variance::TooLong),
        ];
        for (name, response, wanted) in cases {
            assert_eq!(variance(&response), wanted, "{name}");
        }
    }

    #[test]
    fn a_variant_keeps_its_file_while_vary_stays() {
        let main = Key::new(b"/v1".to_vec()).digest;
        let request = fields(&[("X-Foo", "a,b,c")]);
        let looked_up = variant(&main, b"X-Foo", &request);
        let cases: [(&str, &Digest, &[u8], &Digest); 4] = [
            ("the main file", &main, b"X-Foo", &main),
            ("a variant", &looked_up, b"x-foo", &looked_up),
            ("another vary", &looked_up, b"X-Bar", &main),
            ("no vary any more", &looked_up, b"", &main),
        ];
        for (name, looked_up, vary, wanted) in cases {
            assert_eq!(&store_under(&main, looked_up, vary, &request), wanted, "{name}");
        }
    }
}
