//! `Vary`: which file of a key answers which request.
//!
//! As nginx: the main file, named by the key's digest, holds whichever variant came first. Any other lies under
//! a digest of the key's and of the request fields that `Vary` names. How fields are compared depends on the rules in force.

mod normal;

use http1::Fields;
use md5::{Digest as _, Md5};

use crate::key::Digest;

/// How the fields of requests are compared, and what counts as `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// As nginx does, so that its files are found: byte for byte, but for lists that browsers write differently. A field that is absent is
    /// the same as an empty one.
    Literal,
    /// By what they mean (RFC 9111, 4.1). An absent field is like absent ones only.
    Normalised,
}

/// What `Vary` means for storing a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variance {
    /// There is none: the response answers every request for the key.
    Uniform,
    /// It answers requests alike in these fields: the text as it is stored.
    Fields(Vec<u8>),
    /// It answers no other request: `*`.
    Unique,
}

/// Reads all `Vary` lines of a response.
pub fn variance(response: &Fields, matching: Matching) -> Variance {
    let mut text = Vec::new();
    for line in response.all("vary") {
        let has_star = match matching {
            // As nginx: only a star alone; in a list it names a field that no request has.
            Matching::Literal => line == b"*",
            Matching::Normalised => http1::list_has_token(line, "*"),
        };
        if has_star {
            return Variance::Unique;
        }
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(line);
    }
    match text.is_empty() {
        true => Variance::Uniform,
        false => Variance::Fields(text),
    }
}

/// The digest of a key's digest and the request fields that `vary` names.
pub fn variant(main: &Digest, vary: &[u8], request: &Fields, matching: Matching) -> Digest {
    match matching {
        Matching::Literal => literal_variant(main, vary, request),
        Matching::Normalised => normalised_variant(main, vary, request),
    }
}

/// Laid out as nginx does, so that it finds files whose requests were in this form to begin with.
fn normalised_variant(main: &Digest, vary: &[u8], request: &Fields) -> Digest {
    let mut md5 = Md5::new();
    md5.update(main);
    let names = vary.split(|byte| is_separator(byte) || *byte == b'\t').filter(|name| !name.is_empty());
    for name in names {
        let name = name.to_ascii_lowercase();
        md5.update(&name);
        md5.update(b":");
        // No request has a field whose name cannot be read.
        match str::from_utf8(&name).ok().and_then(|name| normal::value(request, name)) {
            Some(value) if value.is_empty() => md5.update(b"\0"),
            Some(value) => md5.update(&value),
            None => {}
        }
        md5.update(b"\r\n");
    }
    md5.finalize().into()
}

fn literal_variant(main: &Digest, vary: &[u8], request: &Fields) -> Digest {
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
pub fn store_under(
    main: &Digest,
    looked_up: &Digest,
    vary: &[u8],
    request: &Fields,
    matching: Matching,
) -> Digest {
    let same = looked_up != main && !vary.is_empty() && variant(main, vary, request, matching) == *looked_up;
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
            assert_eq!(hex(&variant(&main, vary, &fields(request), Matching::Literal)), wanted, "{name}");
        }
    }

    #[test]
    fn what_vary_means() {
        use Matching::{Literal, Normalised};
        let cases = [
            ("none", fields(&[("A", "b")]), Literal, Variance::Uniform),
            ("empty", fields(&[("Vary", "")]), Literal, Variance::Uniform),
            ("one", fields(&[("vary", "A, B")]), Literal, Variance::Fields(b"A, B".to_vec())),
            (
                "two lines",
                fields(&[("Vary", "A"), ("Vary", "B")]),
                Normalised,
                Variance::Fields(b"A, B".to_vec()),
            ),
            ("star", fields(&[("Vary", "A"), ("Vary", "*")]), Literal, Variance::Unique),
            ("star in a list", fields(&[("Vary", "A, *")]), Literal, Variance::Fields(b"A, *".to_vec())),
            (
                "star in a list, after the RFC",
                fields(&[("Vary", "A"), ("Vary", "B ,\t* ,C")]),
                Normalised,
                Variance::Unique,
            ),
            ("star in a name", fields(&[("Vary", "a*")]), Normalised, Variance::Fields(b"a*".to_vec())),
        ];
        for (name, response, matching, wanted) in cases {
            assert_eq!(variance(&response, matching), wanted, "{name}");
        }
    }

    #[test]
    fn a_normalised_variant_is_that_of_requests_that_mean_the_same() {
        let main = Key::new(b"/v1".to_vec()).digest;
        let variant = |request: &[(&str, &str)]| {
            variant(&main, b"Accept-Language,\tX-Foo", &fields(request), Matching::Normalised)
        };
        let alike: [[&[(&str, &str)]; 2]; 5] = [
            [&[], &[("Host", "h")]],
            [&[("X-Foo", "a, b")], &[("x-foo", "a"), ("X-FOO", " b ")]],
            [&[("Accept-Language", "de, EN;q=0.5")], &[("accept-language", "en;q=0.500,De")]],
            [&[("X-Foo", "")], &[("X-Foo", " , ")]],
            [&[("X-Foo", "\u{e9}")], &[("x-foo", "\u{e9} ,")]],
        ];
        for [one, other] in alike {
            assert_eq!(variant(one), variant(other), "{one:?}");
        }
        let unlike: [&[(&str, &str)]; 8] = [
            &[],
            &[("X-Foo", "")],
            &[("X-Foo", "a")],
            &[("X-Foo", "A")],
            &[("X-Foo", "a b")],
            &[("X-Foo", "a,b")],
            &[("X-Foo", "b,a")],
            &[("Accept-Language", "a")],
        ];
        let digests: std::collections::BTreeSet<Digest> =
            unlike.iter().map(|request| variant(request)).collect();
        assert_eq!(digests.len(), unlike.len());
    }

    #[test]
    fn a_request_that_is_normal_already_has_the_variant_that_nginx_gives_it() {
        let main = Key::new(b"/v1".to_vec()).digest;
        let requests: [&[(&str, &str)]; 3] =
            [&[], &[("X-Foo", "a"), ("X-Foo", "b")], &[("Accept-Language", "de, en"), ("X-Foo", "a b")]];
        for request in requests {
            let [literal, normalised] = [Matching::Literal, Matching::Normalised]
                .map(|matching| variant(&main, b"accept-language, X-Foo", &fields(request), matching));
            assert_eq!(literal, normalised, "{request:?}");
        }
    }

    #[test]
    fn a_variant_keeps_its_file_while_vary_stays() {
        let main = Key::new(b"/v1".to_vec()).digest;
        let request = fields(&[("X-Foo", "a,b,c")]);
        let looked_up = variant(&main, b"X-Foo", &request, Matching::Literal);
        let cases: [(&str, &Digest, &[u8], &Digest); 4] = [
            ("the main file", &main, b"X-Foo", &main),
            ("a variant", &looked_up, b"x-foo", &looked_up),
            ("another vary", &looked_up, b"X-Bar", &main),
            ("no vary any more", &looked_up, b"", &main),
        ];
        for (name, looked_up, vary, wanted) in cases {
            assert_eq!(&store_under(&main, looked_up, vary, &request, Matching::Literal), wanted, "{name}");
        }
    }
}
