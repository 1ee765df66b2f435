//! Bytes to tokens: words, `;`, `{` and `}`, by nginx's rules of quoting, escaping and comments.
//!
//! A lexer never stops at an error: it says what is wrong and goes on behind it, so that the parser can
//! tell of several errors in one run.

use crate::source::{Problem, Span};

/// Most bytes of one word, as nginx.
const MOST_WORD_BYTES: usize = 4096;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name or an argument, with quotes and escapes resolved.
    Word(Word),
    /// `;`
    Semicolon(Span),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
}

/// A word of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes, quotes and escapes resolved.
    pub text: Vec<u8>,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// Reads tokens out of one text.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    file: usize,
    at: usize,
    /// A quoted word has just ended: a word may not follow without a space.
    after_quote: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of text number `file`.
    pub fn new(text: &'a [u8], file: usize) -> Self {
        Self { text, file, at: 0, after_quote: false }
    }

    /// Returns the next token, an error to report before going on, or nothing at the end.
    pub fn next_token(&mut self) -> Option<Result<Token, Problem>> {
        let start = self.at;
        self.skip_space();
        let first = *self.text.get(self.at)?;
        if std::mem::take(&mut self.after_quote) && start == self.at && !matches!(first, b';' | b'{' | b')') {
            let place = self.span(self.at, self.at + 1);
            return Some(Err(unexpected(first, place).with_help("put a space after the closing quote")));
        }
        let place = self.span(self.at, self.at + 1);
        let token = match first {
            b';' => Token::Semicolon(place),
            b'{' => Token::Open(place),
            b'}' => Token::Close(place),
            b'"' | b'\'' => return Some(self.quoted(first)),
            _ => return Some(self.bare()),
        };
        self.at += 1;
        Some(Ok(token))
    }

    /// Returns the end of the text, as a place.
    pub fn end(&self) -> Span {
        self.span(self.text.len(), self.text.len())
    }

    /// Returns the place that reading has come to.
    pub fn place(&self) -> Span {
        self.span(self.at, self.at)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start, end: end.min(self.text.len()) }
    }

    /// Skips white space and comments; a `#` starts one only where a word could start.
    fn skip_space(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                // As nginx: no comment directly behind a quoted word.
                b'#' if !(self.after_quote
                    && self.at > 0
                    && matches!(self.text[self.at - 1], b'"' | b'\'')) =>
                {
                    let rest = &self.text[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, Problem> {
        let start = self.at;
        let mut end = start + 1;
        while self.text.get(end).is_some_and(|byte| *byte != quote) {
            end += if self.text[end] == b'\\' { 2 } else { 1 };
        }
        if end >= self.text.len() {
            self.at = self.text.len();
            return Err(self.unterminated(start, quote));
        }
        self.at = end + 1;
        self.after_quote = true;
        if end - start > MOST_WORD_BYTES {
            return Err(self.unterminated(start, quote));
        }
        Ok(Token::Word(Word { text: unescape(&self.text[start + 1..end]), span: self.span(start, end + 1) }))
    }

    /// Makes the error for a quote that does not end: nginx's words depend on how much text follows.
    fn unterminated(&self, start: usize, quote: u8) -> Problem {
        let quote = char::from(quote);
        if self.text.len() - start > MOST_WORD_BYTES {
            let message = format!("too long parameter, probably missing terminating \"{quote}\" character");
            return Problem::new(self.span(start, start + 1), message);
        }
        Problem::new(self.end(), "unexpected end of file, expecting \";\" or \"}\"")
            .with_help(format!("a {quote} that opens a word is never closed"))
    }

    /// Reads a word without quotes. It ends at a space, `;` or `{`; but `${` belongs to it, and so does a `}`.
    fn bare(&mut self) -> Result<Token, Problem> {
        let start = self.at;
        let mut after_dollar = false;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'{' if after_dollar => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            after_dollar = byte == b'$';
            self.at += 1;
        }
        self.at = self.at.min(self.text.len());
        if self.at - start > MOST_WORD_BYTES {
            let shown = String::from_utf8_lossy(&self.text[start..start + 10]);
            let message = format!("too long parameter \"{shown}...\" started");
            return Err(Problem::new(self.span(start, self.at), message));
        }
        Ok(Token::Word(Word { text: unescape(&self.text[start..self.at]), span: self.span(start, self.at) }))
    }
}

/// Makes the error for a byte that may not stand where it does.
pub fn unexpected(byte: u8, place: Span) -> Problem {
    Problem::new(place, format!("unexpected \"{}\"", char::from(byte)))
}

/// Resolves the escapes nginx knows; a backslash before anything else stays.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.peek().copied() } else { None };
        let resolved = match escaped {
            Some(quoted @ (b'"' | b'\'' | b'\\')) => quoted,
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            _ => {
                text.push(byte);
                continue;
            }
        };
        bytes.next();
        text.push(resolved);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows tokens in one line: words in brackets, punctuation as it is, errors after `!`.
    fn shown(text: &str) -> String {
        let mut lexer = Lexer::new(text.as_bytes(), 0);
        let mut out = Vec::new();
        while let Some(token) = lexer.next_token() {
            out.push(match token {
                Ok(Token::Word(word)) => format!("[{}]", String::from_utf8_lossy(&word.text)),
                Ok(Token::Semicolon(_)) => ";".to_owned(),
                Ok(Token::Open(_)) => "{".to_owned(),
                Ok(Token::Close(_)) => "}".to_owned(),
                Err(problem) => format!("!{}", problem.message),
            });
        }
        out.concat()
    }

    #[test]
    fn words_end_where_nginx_ends_them() {
        let cases = [
            ("plain", "listen 80;", "[listen][80];"),
            ("brace ends a word", "location /a{}", "[location][/a]{}"),
            ("brace of a variable does not", "return 200 a${b}c;", "[return][200][a${b}c];"),
            ("closing brace belongs to a word", "a b}c;", "[a][b}c];"),
            ("comment", "a # b;\nc;", "[a][c];"),
            ("no comment inside a word", "a b#c;", "[a][b#c];"),
            ("double quotes", "a \"b c;{}#\";", "[a][b c;{}#];"),
            ("single quotes", "a 'b \" c';", "[a][b \" c];"),
            ("empty word", "a \"\";", "[a][];"),
            ("quote inside a word", "a b\"c;", "[a][b\"c];"),
            ("escapes", r#"a "\"\'\\\t\r\n\d";"#, "[a][\"'\\\t\r\n\\d];"),
            ("escaped space", r"a b\ c;", "[a][b\\ c];"),
            ("escaped semicolon", r"a b\;c;", "[a][b\\;c];"),
            ("word behind a quote", "a \"b\"c;", "[a][b]!unexpected \"c\"[c];"),
            ("semicolon behind a quote", "a \"b\";", "[a][b];"),
            ("parenthesis behind a quote", "if (\"a\") {", "[if][(\"a\")]{"),
            ("backslash at the end", "a \\", "[a][\\]"),
            ("newlines between words", "a\r\n\tb\n;", "[a][b];"),
            ("unclosed quote", "a \"b;\n}", "[a]!unexpected end of file, expecting \";\" or \"}\""),
        ];
        for (name, text, wanted) in cases {
            assert_eq!(shown(text), wanted, "{name}");
        }
    }

    #[test]
    fn a_word_has_a_limit() {
        assert!(
            shown(&"x".repeat(MOST_WORD_BYTES + 1)).contains("too long parameter \"xxxxxxxxxx...\" started")
        );
        let quoted = format!("a \"{};", "x".repeat(MOST_WORD_BYTES + 1));
        assert!(shown(&quoted).contains("probably missing terminating \"\"\" character"));
    }
}
