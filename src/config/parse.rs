//! Tokens to directives with positions, `include` followed.
//!
//! What a directive means, and where it may stand, is not known here. After an error reading goes on at the
//! next `;` or block, so that one run tells of all of them.

use std::{borrow::Cow, path::Path};

pub use crate::lex::Word;
use crate::{
    lex::{Lexer, Token},
    source::{MAIN, Problem, Span, Texts},
};

/// Deepest nesting of blocks, and of included files: more is a mistake (a file that includes itself).
const DEEPEST: usize = 64;

/// A directive: a name, arguments, and perhaps a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: Word,
    /// Its arguments.
    pub args: Vec<Word>,
    /// What stands between its braces.
    pub block: Option<Vec<Directive>>,
    /// Where it is over: its `;` or `}`, or the end of the text.
    pub end: Span,
}

impl Directive {
    /// Says whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.text == name.as_bytes()
    }

    /// Returns its name as text.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name.text)
    }

    /// Returns an argument as text.
    pub fn text(&self, number: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.args[number].text)
    }

    /// Returns an argument's bytes.
    pub fn bytes(&self, number: usize) -> &[u8] {
        &self.args[number].text
    }

    /// Makes an error about an argument.
    pub fn fail(&self, number: usize, message: impl Into<String>) -> Problem {
        Problem::new(self.args.get(number).map_or(self.name.span, |word| word.span), message)
    }

    /// Makes the error `"NAME" directive WHAT`.
    pub fn complain(&self, what: &str) -> Problem {
        Problem::new(self.name.span, format!("\"{}\" directive {what}", self.name()))
    }

    /// Makes the error for a directive that is there already.
    pub fn duplicate(&self) -> Problem {
        self.complain("is duplicate")
    }
}

/// Reads the command line's text and the main one, with all that they include.
pub fn parse_all(texts: &mut Texts, problems: &mut Vec<Problem>) -> Vec<Directive> {
    let globals = texts.command_line();
    let mut parser = Parser { texts, problems, depth: 0 };
    let mut list = globals.map(|file| parser.file(file)).unwrap_or_default();
    for directive in list.iter().filter(|directive| directive.block.is_some()) {
        let message = "block directives are not supported in -g option";
        parser.problems.push(Problem::new(directive.name.span, message));
    }
    list.retain(|directive| directive.block.is_none());
    list.extend(parser.file(MAIN));
    list
}

struct Parser<'a> {
    texts: &'a mut Texts,
    problems: &'a mut Vec<Problem>,
    depth: usize,
}

/// Where a list of directives ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With its text.
    File,
    /// At `}`.
    Brace,
}

/// What stands between two terminators.
enum Item {
    Directive(Directive),
    /// It was wrong, and reported.
    Broken,
    /// The list is over.
    End,
}

impl Parser<'_> {
    fn file(&mut self, file: usize) -> Vec<Directive> {
        let text = self.texts.text(file);
        self.list(&mut Lexer::new(&text, file), Ending::File)
    }

    fn list(&mut self, lexer: &mut Lexer<'_>, ending: Ending) -> Vec<Directive> {
        let mut list = Vec::new();
        loop {
            match self.item(lexer, ending) {
                Item::Directive(directive) if directive.is("include") => {
                    list.extend(self.include(&directive))
                }
                Item::Directive(directive) => list.push(directive),
                Item::Broken => {}
                Item::End => return list,
            }
        }
    }

    fn item(&mut self, lexer: &mut Lexer<'_>, ending: Ending) -> Item {
        let mut words: Vec<Word> = Vec::new();
        loop {
            let token = match lexer.next_token() {
                None => return self.end(lexer, ending, &words),
                Some(Err(problem)) => {
                    self.problems.push(problem);
                    return self.recover(lexer);
                }
                Some(Ok(token)) => token,
            };
            let (block, end) = match token {
                Token::Word(word) => {
                    words.push(word);
                    continue;
                }
                Token::Close(place) if words.is_empty() && ending == Ending::File => {
                    self.stray('}', place);
                    return Item::Broken;
                }
                Token::Close(_) if words.is_empty() => return Item::End,
                Token::Close(place) => {
                    self.missing_semicolon(&words, place);
                    return if ending == Ending::Brace { Item::End } else { Item::Broken };
                }
                Token::Semicolon(place) if words.is_empty() => {
                    self.stray(';', place);
                    return Item::Broken;
                }
                Token::Semicolon(place) => (None, place),
                Token::Open(place) => {
                    if words.is_empty() {
                        self.stray('{', place);
                    }
                    (Some(self.block(lexer, place)), lexer.place())
                }
            };
            let mut words = words.into_iter();
            return match words.next() {
                Some(name) => Item::Directive(Directive { name, args: words.collect(), block, end }),
                None => Item::Broken,
            };
        }
    }

    fn block(&mut self, lexer: &mut Lexer<'_>, opened: Span) -> Vec<Directive> {
        if self.depth == DEEPEST {
            self.problems.push(Problem::new(opened, "blocks are nested too deep"));
            while lexer.next_token().is_some() {}
            return Vec::new();
        }
        self.depth += 1;
        let list = self.list(lexer, Ending::Brace);
        self.depth -= 1;
        list
    }

    fn end(&mut self, lexer: &Lexer<'_>, ending: Ending, words: &[Word]) -> Item {
        let message = match (words.first(), ending) {
            (None, Ending::File) => return Item::End,
            (None, Ending::Brace) => "unexpected end of file, expecting \"}\"",
            (Some(_), _) => self.texts.end_message(lexer.end().file),
        };
        // One missing brace leaves every block around open: one message tells it.
        if !self.problems.iter().any(|known| known.span == lexer.end()) {
            self.problems.push(Problem::new(lexer.end(), message));
        }
        Item::End
    }

    fn stray(&mut self, byte: char, place: Span) {
        self.problems.push(Problem::new(place, format!("unexpected \"{byte}\"")));
    }

    fn missing_semicolon(&mut self, words: &[Word], place: Span) {
        let last = words.last().map(|word| String::from_utf8_lossy(&word.text)).unwrap_or_default();
        let problem = Problem::new(place, "unexpected \"}\"");
        self.problems.push(problem.with_help(format!("a \";\" is missing after \"{last}\"")));
    }

    /// Skips what is left of a directive that cannot be read, its block included.
    fn recover(&mut self, lexer: &mut Lexer<'_>) -> Item {
        loop {
            match lexer.next_token() {
                None => return Item::End,
                Some(Ok(Token::Semicolon(_))) => return Item::Broken,
                Some(Ok(Token::Close(_))) => return Item::End,
                Some(Ok(Token::Open(place))) => {
                    self.block(lexer, place);
                    return Item::Broken;
                }
                Some(_) => {}
            }
        }
    }

    fn include(&mut self, directive: &Directive) -> Vec<Directive> {
        if directive.block.is_some() {
            self.problems.push(directive.unterminated());
            return Vec::new();
        }
        if directive.args.len() != 1 {
            self.problems.push(directive.wrong_count("file | mask"));
            return Vec::new();
        }
        if self.depth == DEEPEST {
            self.problems.push(directive.fail(0, "files are included too deep, perhaps one includes itself"));
            return Vec::new();
        }
        let files = match self.texts.included(Path::new(&*directive.text(0)), directive.name.span) {
            Ok(files) => files,
            Err(message) => {
                self.problems.push(directive.fail(0, message));
                return Vec::new();
            }
        };
        self.depth += 1;
        let list = files.into_iter().flat_map(|file| self.file(file)).collect();
        self.depth -= 1;
        list
    }
}

impl Directive {
    /// Makes the error for a block where none belongs.
    pub fn unterminated(&self) -> Problem {
        Problem::new(self.name.span, format!("directive \"{}\" is not terminated by \";\"", self.name()))
    }

    /// Makes the error for a block that is not there.
    pub fn unopened(&self) -> Problem {
        Problem::new(self.name.span, format!("directive \"{}\" has no opening \"{{\"", self.name()))
    }

    /// Makes the error for too few or too many arguments.
    pub fn wrong_count(&self, syntax: &str) -> Problem {
        let message = format!("invalid number of arguments in \"{}\" directive", self.name());
        let syntax = format!("it is written: {} {syntax}", self.name());
        Problem::new(self.name.span, message).with_help(syntax.trim_end())
    }
}
