//! Lists of media types: which answers a filter takes (`gzip_types`, `ssi_types`).

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{Join, Reader},
    source::Problem,
};

/// A list of media types, `text/html` always among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaTypes {
    /// `*`: any type, also none at all.
    Any,
    /// These, in lower case.
    These(Vec<Vec<u8>>),
}

impl Default for MediaTypes {
    fn default() -> Self {
        Self::These(vec![b"text/html".to_vec()])
    }
}

impl MediaTypes {
    /// Says whether an answer's Content-Type is in the list.
    ///
    /// As nginx: only a character set may follow the type; with any other parameter it is another type.
    pub fn contains(&self, content_type: Option<&[u8]>) -> bool {
        match (self, content_type) {
            (Self::Any, _) => true,
            (Self::These(_), None) => false,
            (Self::These(types), Some(written)) => {
                let bare = without_charset(written);
                types.iter().any(|known| known.eq_ignore_ascii_case(bare))
            }
        }
    }
}

fn without_charset(content_type: &[u8]) -> &[u8] {
    const CHARSET: &[u8] = b"charset=";
    for (at, _) in content_type.iter().enumerate().filter(|(_, byte)| **byte == b';') {
        let parameter = content_type[at + 1..].trim_ascii_start();
        if parameter.get(..CHARSET.len()).is_some_and(|name| name.eq_ignore_ascii_case(CHARSET)) {
            return &content_type[..at];
        }
    }
    content_type
}

impl Join for MediaTypes {
    fn join(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::These(types), Self::These(more)) => types.extend(more),
            (_, Self::Any) => *self = Self::Any,
            (Self::Any, Self::These(_)) => {}
        }
    }
}

/// Reads media types; one that comes twice is worth a warning only.
pub const MEDIA_TYPES: Reader<MediaTypes> = Reader::many("mime-type ...", media_types);

fn media_types(directive: &Directive, scope: &Scope<'_>) -> Result<MediaTypes, Problem> {
    if directive.args.iter().any(|word| word.text == b"*") {
        return Ok(MediaTypes::Any);
    }
    let mut types = vec![b"text/html".to_vec()];
    for word in &directive.args {
        let lower = word.text.to_ascii_lowercase();
        if types.contains(&lower) {
            let message = format!("duplicate MIME type \"{}\"", String::from_utf8_lossy(&word.text));
            scope.report(Problem::warning(word.span, message));
        } else {
            types.push(lower);
        }
    }
    Ok(MediaTypes::These(types))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_character_set_may_follow_a_type() {
        let types = MediaTypes::These(vec![b"text/html".to_vec(), b"text/css".to_vec()]);
        for (content_type, wanted) in [
            (Some("text/html"), true),
            (Some("Text/HTML"), true),
            (Some("text/html; charset=utf-8"), true),
            (Some("text/html;CHARSET=utf-8"), true),
            (Some("text/html; version=1"), false),
            (Some("text/html;"), false),
            (Some("text/css"), true),
            (Some("text/plain"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(types.contains(content_type.map(str::as_bytes)), wanted, "{content_type:?}");
        }
        assert!(MediaTypes::Any.contains(None));
    }

    #[test]
    fn a_list_that_has_all_keeps_all() {
        let mut types = MediaTypes::default();
        types.join(MediaTypes::These(vec![b"a/b".to_vec()]));
        assert!(types.contains(Some(b"a/b")) && types.contains(Some(b"text/html")));
        types.join(MediaTypes::Any);
        types.join(MediaTypes::default());
        assert_eq!(types, MediaTypes::Any);
    }
}
