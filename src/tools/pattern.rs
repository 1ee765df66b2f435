//! Which keys are meant: a text that a key contains, or, with stars in it, one that a key is like.

/// What a key is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a text: with a `*` in it, which stands for anything, it is compared with the whole key.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether a key is meant.
    pub fn fits(&self, key: &[u8]) -> bool {
        let text = self.0.as_bytes();
        let mut parts = text.split(|byte| *byte == b'*');
        let first = parts.next().unwrap_or_default();
        let mut parts: Vec<_> = parts.collect();
        let Some(last) = parts.pop() else { return contains(key, text) };
        let Some(mut rest) = key.strip_prefix(first) else { return false };
        for part in parts {
            let Some(at) = find(rest, part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

fn contains(key: &[u8], text: &[u8]) -> bool {
    find(key, text).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, key, fits) in [
            ("/a", "http://h/a/b", true),
            ("/c", "http://h/a/b", false),
            ("", "http://h/", true),
            ("*", "", true),
            ("http://h/*", "http://h/a", true),
            ("http://h/*", "xhttp://h/a", false),
            ("*.css", "http://h/a.css", true),
            ("*.css", "http://h/a.css?x", false),
            ("http://*/a*?x", "http://h/abc?x", true),
            ("ab*ba", "aba", false),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(Pattern::new(pattern.to_owned()).fits(key.as_bytes()), fits, "{pattern} {key}");
        }
    }
}
