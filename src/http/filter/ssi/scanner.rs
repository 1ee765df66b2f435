//! Finding commands in a page that comes in pieces of any size.
//!
//! Pure. What is text is handed on without being copied; a command is handed on when its end has come. What counts as
//! a mistake, and where a page goes on after one, is as in nginx.

use std::{collections::VecDeque, fmt};

use bytes::Bytes;

/// What begins a command.
const OPENING: &[u8] = b"<!--#";
/// Bytes that the name of a command or parameter has at most.
const NAME_MOST: usize = 32;

/// One thing found in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes to be shown.
    Text(Bytes),
    /// A whole command.
    Command(Command),
    /// Something is wrong with a command that has begun.
    Mistake(Mistake),
    /// The end of a command with a mistake.
    Failed,
}

/// A command as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its name.
    pub name: Vec<u8>,
    /// Names and values of its parameters.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What is wrong with how a command is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The name of the command does not end.
    LongCommand(Vec<u8>),
    /// The name of a parameter does not end.
    LongParameter { command: Vec<u8>, parameter: Vec<u8> },
    /// A value does not end.
    LongValue { command: Vec<u8>, parameter: Vec<u8>, value: Vec<u8> },
    /// Something stands behind the name of a parameter.
    AfterParameter { byte: u8, command: Vec<u8>, parameter: Vec<u8> },
    /// Something stands before a value.
    BeforeValue { byte: u8, command: Vec<u8>, parameter: Vec<u8> },
    /// Something stands behind a value.
    AfterValue { byte: u8, command: Vec<u8>, parameter: Vec<u8>, value: Vec<u8> },
    /// The end does not look as one.
    End { byte: u8, command: Vec<u8> },
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = |byte: &u8| char::from(*byte);
        match self {
            Self::LongCommand(name) => write!(out, "the \"{}...\" SSI command is too long", text(name)),
            Self::LongParameter { command, parameter } => {
                let (parameter, command) = (text(parameter), text(command));
                write!(out, "too long \"{parameter}...\" parameter in \"{command}\" SSI command")
            }
            Self::LongValue { command, parameter, value } => {
                let (value, parameter, command) = (text(value), text(parameter), text(command));
                write!(
                    out,
                    "too long \"{value}...\" value of \"{parameter}\" parameter in \"{command}\" SSI command"
                )
            }
            Self::AfterParameter { byte, command, parameter } => {
                let (byte, parameter, command) = (shown(byte), text(parameter), text(command));
                write!(
                    out,
                    "unexpected \"{byte}\" symbol after \"{parameter}\" parameter in \"{command}\" SSI command"
                )
            }
            Self::BeforeValue { byte, command, parameter } => {
                let (byte, parameter, command) = (shown(byte), text(parameter), text(command));
                write!(
                    out,
                    "unexpected \"{byte}\" symbol before value of \"{parameter}\" parameter in \"{command}\" SSI command"
                )
            }
            Self::AfterValue { byte, command, parameter, value } => {
                let (byte, value) = (shown(byte), text(value));
                let (parameter, command) = (text(parameter), text(command));
                write!(
                    out,
                    "unexpected \"{byte}\" symbol after \"{value}\" value of \"{parameter}\" parameter in \"{command}\" SSI command"
                )
            }
            Self::End { byte, command } => {
                write!(out, "unexpected \"{}\" symbol in \"{}\" SSI command", shown(byte), text(command))
            }
        }
    }
}

/// Where the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// So many bytes of [`OPENING`] have come.
    Opening(usize),
    BeforeName,
    Name,
    BeforeParameter,
    Parameter,
    AfterParameter,
    BeforeValue,
    Value(u8),
    /// Behind a backslash in a value.
    Escaped(u8),
    AfterValue,
    /// Behind `-`, or `--`.
    Closing(usize),
    /// In a command with a mistake; so many dashes have come of its end.
    Wrong(usize),
}

/// Finds commands.
pub(super) struct Scanner {
    state: State,
    /// Bytes of [`OPENING`] that came with earlier pieces.
    held: usize,
    command: Command,
    value_most: usize,
}

impl Scanner {
    /// Begins a page; values of parameters have to be shorter than `value_length`.
    pub(super) fn new(value_length: usize) -> Self {
        let command = Command::default();
        Self { state: State::Text, held: 0, command, value_most: value_length.saturating_sub(1) }
    }

    /// Looks through the next piece of a page.
    pub(super) fn feed(&mut self, piece: &Bytes, found: &mut VecDeque<Found>) {
        let mut text_from = 0;
        let mut opened_at = 0;
        let mut at = 0;
        while at < piece.len() {
            if self.state == State::Text {
                let Some(next) = memchr::memchr(b'<', &piece[at..]) else { break };
                at += next;
                opened_at = at;
                self.state = State::Opening(1);
                at += 1;
                continue;
            }
            let byte = piece[at];
            match self.state {
                State::Opening(count) if byte == OPENING[count] => {
                    self.state = State::Opening(count + 1);
                    if count + 1 == OPENING.len() {
                        push_text(piece.slice(text_from..opened_at.max(text_from)), found);
                        self.held = 0;
                        self.command = Command::default();
                        self.state = State::BeforeName;
                    }
                }
                State::Opening(_) => {
                    self.release(found);
                    opened_at = at;
                    self.state = if byte == b'<' { State::Opening(1) } else { State::Text };
                }
                _ => {
                    if self.step(byte, found) == Step::Ended {
                        text_from = at + 1;
                    }
                }
            }
            at += 1;
        }
        match self.state {
            State::Text => push_text(piece.slice(text_from..), found),
            State::Opening(count) => {
                if self.held == 0 {
                    push_text(piece.slice(text_from..opened_at), found);
                }
                self.held = count;
            }
            _ => {}
        }
    }

    /// Ends a page. As nginx: a command that has not ended shows nothing.
    pub(super) fn end(&mut self, found: &mut VecDeque<Found>) {
        self.release(found);
    }

    /// Shows what was taken for the beginning of a command.
    fn release(&mut self, found: &mut VecDeque<Found>) {
        push_text(Bytes::from_static(&OPENING[..self.held]), found);
        self.held = 0;
    }

    /// Takes a byte of a command.
    fn step(&mut self, byte: u8, found: &mut VecDeque<Found>) -> Step {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let next = match (self.state, byte) {
            (State::BeforeName | State::BeforeParameter | State::AfterParameter, _)
            | (State::BeforeValue | State::AfterValue, _)
                if is_space =>
            {
                Ok(if self.state == State::AfterValue { State::BeforeParameter } else { self.state })
            }
            (State::BeforeName, _) => {
                self.command.name.push(byte);
                Ok(State::Name)
            }
            (State::Name, _) if is_space => Ok(State::BeforeParameter),
            (State::Name | State::BeforeParameter | State::AfterValue, b'-') => Ok(State::Closing(1)),
            (State::Name, _) => self.name_goes_on(byte),
            (State::BeforeParameter, _) => {
                self.command.parameters.push((vec![byte], Vec::new()));
                Ok(State::Parameter)
            }
            (State::Parameter, _) if is_space => Ok(State::AfterParameter),
            (State::Parameter | State::AfterParameter, b'=') => Ok(State::BeforeValue),
            (State::Parameter, b'-') | (State::AfterParameter, _) => Err(self.after_parameter(byte)),
            (State::Parameter, _) => self.parameter_goes_on(byte),
            (State::BeforeValue, b'"' | b'\'') => Ok(State::Value(byte)),
            (State::BeforeValue, _) => Err(self.before_value(byte)),
            (State::Value(quote), _) if byte == quote => Ok(State::AfterValue),
            (State::Value(quote), b'\\') => self.value_goes_on(byte, State::Escaped(quote)),
            (State::Value(quote) | State::Escaped(quote), _) => self.value_goes_on(byte, State::Value(quote)),
            (State::AfterValue, _) => Err(self.after_value(byte)),
            (State::Closing(1), b'-') => Ok(State::Closing(2)),
            (State::Closing(2), b'>') => {
                found.push_back(Found::Command(std::mem::take(&mut self.command)));
                Ok(State::Text)
            }
            (State::Closing(_), _) => Err(Mistake::End { byte, command: self.command.name.clone() }),
            (State::Wrong(count @ (0 | 1)), b'-') => Ok(State::Wrong(count + 1)),
            (State::Wrong(2), b'>') => {
                found.push_back(Found::Failed);
                Ok(State::Text)
            }
            (State::Wrong(_), _) => Ok(State::Wrong(0)),
            (State::Text | State::Opening(_), _) => unreachable!("these states have no command yet"),
        };
        self.state = next.unwrap_or_else(|mistake| {
            let begins_end = byte == b'-' && !matches!(mistake, Mistake::End { .. });
            found.push_back(Found::Mistake(mistake));
            State::Wrong(usize::from(begins_end))
        });
        if self.state == State::Text { Step::Ended } else { Step::Inside }
    }

    fn name_goes_on(&mut self, byte: u8) -> Result<State, Mistake> {
        self.command.name.push(byte);
        match self.command.name.len() > NAME_MOST {
            true => Err(Mistake::LongCommand(std::mem::take(&mut self.command.name))),
            false => Ok(State::Name),
        }
    }

    fn parameter_goes_on(&mut self, byte: u8) -> Result<State, Mistake> {
        let (name, _) = self.parameter();
        name.push(byte);
        match name.len() > NAME_MOST {
            true => {
                let (parameter, _) = std::mem::take(self.parameter());
                Err(Mistake::LongParameter { command: self.command.name.clone(), parameter })
            }
            false => Ok(State::Parameter),
        }
    }

    fn value_goes_on(&mut self, byte: u8, next: State) -> Result<State, Mistake> {
        let most = self.value_most;
        let (_, value) = self.parameter();
        value.push(byte);
        match value.len() > most {
            true => {
                let (parameter, value) = std::mem::take(self.parameter());
                Err(Mistake::LongValue { command: self.command.name.clone(), parameter, value })
            }
            false => Ok(next),
        }
    }

    fn after_parameter(&mut self, byte: u8) -> Mistake {
        let (parameter, _) = std::mem::take(self.parameter());
        Mistake::AfterParameter { byte, command: self.command.name.clone(), parameter }
    }

    fn before_value(&mut self, byte: u8) -> Mistake {
        let (parameter, _) = std::mem::take(self.parameter());
        Mistake::BeforeValue { byte, command: self.command.name.clone(), parameter }
    }

    fn after_value(&mut self, byte: u8) -> Mistake {
        let (parameter, value) = std::mem::take(self.parameter());
        Mistake::AfterValue { byte, command: self.command.name.clone(), parameter, value }
    }

    fn parameter(&mut self) -> &mut (Vec<u8>, Vec<u8>) {
        self.command.parameters.last_mut().expect("a parameter has begun")
    }
}

/// Whether a command goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Inside,
    Ended,
}

fn push_text(text: Bytes, found: &mut VecDeque<Found>) {
    if !text.is_empty() {
        found.push_back(Found::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, with neighbouring texts joined.
    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut scanner = Scanner::new(16);
        let mut found = VecDeque::new();
        for piece in pieces {
            scanner.feed(&Bytes::copy_from_slice(piece), &mut found);
        }
        scanner.end(&mut found);
        let mut shown: Vec<String> = Vec::new();
        let mut was_text = false;
        for one in found {
            let is_text = matches!(one, Found::Text(_));
            let text = match one {
                Found::Text(text) => String::from_utf8_lossy(&text).into_owned(),
                Found::Command(command) => command_text(&command),
                Found::Mistake(mistake) => format!("? {mistake}"),
                Found::Failed => "!".to_owned(),
            };
            match shown.last_mut() {
                Some(last) if is_text && was_text => *last += &text,
                _ => shown.push(text),
            }
            was_text = is_text;
        }
        shown
    }

    fn command_text(command: &Command) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parameters =
            command.parameters.iter().map(|(name, value)| format!(" {}=[{}]", text(name), text(value)));
        format!("#{}{}", text(&command.name), parameters.collect::<String>())
    }

    #[test]
    fn commands_are_found_in_text() {
        let cases: [(&str, &[&str]); 21] = [
            ("", &[]),
            ("plain <b>text</b>", &["plain <b>text</b>"]),
            ("a<!--#echo var=\"x\" -->b", &["a", "#echo var=[x]", "b"]),
            ("<!--# echo\n\tvar = 'x'-->", &["#echo var=[x]"]),
            ("<!--#endif--><!--#else -->", &["#endif", "#else"]),
            ("a<<!<!-<!--#e -->b<", &["a<<!<!-", "#e", "b<"]),
            ("<!-- no --><!---#e-->", &["<!-- no --><!---#e-->"]),
            ("a<!--", &["a<!--"]),
            ("a<!--#e var=\"x", &["a"]),
            ("<!--#e a='\"' b=\"\\\"\" -->", &["#e a=[\"] b=[\\\"]"]),
            (
                "<!--#e a=x -->b",
                &["? unexpected \"x\" symbol before value of \"a\" parameter in \"e\" SSI command", "!", "b"],
            ),
            (
                "<!--#e a -->b",
                &["? unexpected \"-\" symbol after \"a\" parameter in \"e\" SSI command", "!", "b"],
            ),
            (
                "<!--#e a \"x\" -->b",
                &["? unexpected \"\"\" symbol after \"a\" parameter in \"e\" SSI command", "!", "b"],
            ),
            (
                "<!--#e a='1'b='2' -->c",
                &[
                    "? unexpected \"b\" symbol after \"1\" value of \"a\" parameter in \"e\" SSI command",
                    "!",
                    "c",
                ],
            ),
            ("<!--#e --->b-->c", &["? unexpected \"-\" symbol in \"e\" SSI command", "!", "c"]),
            ("<!--#-->b", &["? unexpected \">\" symbol in \"-\" SSI command"]),
            (
                "<!--#e a=x - -- > -->b",
                &["? unexpected \"x\" symbol before value of \"a\" parameter in \"e\" SSI command", "!", "b"],
            ),
            ("<!--#e a='123456789012345'-->", &["#e a=[123456789012345]"]),
            (
                "<!--#e a='1234567890123456'-->b",
                &[
                    "? too long \"1234567890123456...\" value of \"a\" parameter in \"e\" SSI command",
                    "!",
                    "b",
                ],
            ),
            (
                "<!--#e12345678901234567890123456789012 -->b",
                &["? the \"e12345678901234567890123456789012...\" SSI command is too long", "!", "b"],
            ),
            (
                "<!--#e a12345678901234567890123456789012='' -->",
                &["? too long \"a12345678901234567890123456789012...\" parameter in \"e\" SSI command", "!"],
            ),
        ];
        for (page, wanted) in cases {
            assert_eq!(scan([page.as_bytes()]), wanted, "{page}");
        }
    }

    /// A small generator of numbers, so that a failure can be repeated from its seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).expect("31 bits") % bound
        }
    }

    #[test]
    fn pieces_of_any_size_make_the_same_page() {
        const WORDS: [&str; 24] = [
            "<",
            "!",
            "-",
            "--",
            "#",
            ">",
            "<!--",
            "<!--#",
            "-->",
            "echo",
            "if",
            " ",
            "\n",
            "=",
            "\"",
            "'",
            "\\",
            "var",
            "x",
            "$",
            "a text",
            "<!--#echo var=\"x\" -->",
            "<!--#endif -->",
            "name='value'",
        ];
        for seed in 0..3000 {
            let mut random = Random(seed);
            let page: String = (0..random.below(40)).map(|_| WORDS[random.below(WORDS.len())]).collect();
            let whole = scan([page.as_bytes()]);
            let mut pieces = Vec::new();
            let mut rest = page.as_bytes();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(1 + random.below(rest.len().min(7)));
                pieces.push(piece);
                rest = behind;
            }
            assert_eq!(scan(pieces), whole, "seed {seed}: {page}");
        }
    }
}
