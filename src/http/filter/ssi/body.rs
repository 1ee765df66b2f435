//! A page that is put together: its own text, values, and the answers to other requests, in order.
//!
//! What is included is asked for as soon as it is found, so that several are under way at once; what comes is shown in
//! its place. How far a page is read ahead of what is shown is bounded.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use bytes::Bytes;
use config::{SsiConf, VariableSource};

use super::{
    Expressions,
    document::{Action, Becomes, Document, Include, Page, Surroundings, Wait},
    scanner::{Found, Scanner},
};
use crate::{
    clock,
    error_log::Level,
    http::{
        Body, Exchange, Fault,
        body_reader::BodyReader,
        exchange::Stub,
        fault::report,
        inner_uri,
        subrequest::{NoSubrequest, Subrequest},
        variables::time,
    },
};

/// Texts and requests that wait to be shown, beyond which a page is not read on.
const AHEAD_MOST: usize = 64;
/// Commands that are carried out before others get their turn: an expression may take its time.
const COMMANDS_AT_ONCE: usize = 16;

/// A page on its way.
pub struct Assembling {
    input: BodyReader,
    input_state: InputState,
    scanner: Scanner,
    found: VecDeque<Found>,
    document: Document,
    content_type: Option<Bytes>,
    out: VecDeque<Out>,
    going: Going,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputState {
    Open,
    Ended,
}

/// Whether the document goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    /// When all has been shown that was found so far.
    AfterAll,
}

/// What is to be shown next.
enum Out {
    Text(Bytes),
    Included(Subrequest),
    /// Nothing: it is the value of a variable.
    Value(Subrequest, String),
}

impl Assembling {
    /// Begins a page of that type.
    pub fn new(body: Body, content_type: Option<Bytes>, conf: &SsiConf) -> Self {
        Self {
            input: BodyReader::new(body),
            input_state: InputState::Open,
            scanner: Scanner::new(usize::try_from(*conf.value_length).unwrap_or(usize::MAX)),
            found: VecDeque::new(),
            document: Document::new(),
            content_type,
            out: VecDeque::new(),
            going: Going::On,
        }
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        match self.out.front() {
            Some(Out::Text(_)) => true,
            Some(Out::Included(part) | Out::Value(part, _)) => part.is_ready(),
            None => self.input_state == InputState::Ended || self.input.is_ready(),
        }
    }

    /// Returns the next piece, which may be empty; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The page, or what is included in it, cannot be completed.
    pub async fn next(&mut self, exchange: &Exchange) -> Result<Option<Bytes>, Fault> {
        loop {
            self.interpret(exchange);
            let may_go_on = self.going == Going::On && self.out.len() < AHEAD_MOST;
            if may_go_on && !self.found.is_empty() {
                tokio::task::yield_now().await;
                continue;
            }
            let may_read = may_go_on && self.input_state == InputState::Open;
            let piece = match self.out.front_mut() {
                Some(Out::Text(text)) => {
                    let text = std::mem::take(text);
                    self.out.pop_front();
                    return Ok(Some(text));
                }
                Some(Out::Included(part)) => {
                    tokio::select! {
                        biased;
                        piece = part.next() => match piece? {
                            Some(bytes) => return Ok(Some(bytes)),
                            None => {
                                self.out.pop_front();
                                continue;
                            }
                        },
                        piece = self.input.next(exchange), if may_read => piece?,
                    }
                }
                Some(Out::Value(part, name)) => {
                    let value = part.collect(*exchange.location.ssi.output_buffer_size).await?;
                    page_of(exchange).borrow_mut().set(name, value);
                    self.out.pop_front();
                    continue;
                }
                None if self.input_state == InputState::Ended => return Ok(None),
                None => self.input.next(exchange).await?,
            };
            self.take(piece);
            if self.out.is_empty() && self.found.is_empty() && self.input_state == InputState::Open {
                // The caller may have something to send before it is waited again.
                return Ok(Some(Bytes::new()));
            }
        }
    }

    fn take(&mut self, piece: Option<Bytes>) {
        match piece {
            Some(bytes) => self.scanner.feed(&bytes, &mut self.found),
            None => {
                self.input_state = InputState::Ended;
                self.scanner.end(&mut self.found);
            }
        }
    }

    /// Carries out some of what has been found, as far as the document may go.
    fn interpret(&mut self, exchange: &Exchange) {
        for _ in 0..COMMANDS_AT_ONCE {
            match self.going {
                Going::AfterAll if self.out.is_empty() => self.going = Going::On,
                Going::AfterAll => return,
                Going::On if self.out.len() >= AHEAD_MOST => return,
                Going::On => {}
            }
            let Some(found) = self.found.pop_front() else { return };
            match found {
                Found::Text(text) => {
                    let shown = self.document.text(text, &page_of(exchange));
                    self.show(shown.unwrap_or_default());
                }
                Found::Mistake(mistake) => complain(exchange, &mistake),
                Found::Failed => self.show_error(exchange),
                Found::Command(command) => {
                    let around = Around { exchange, page: page_of(exchange) };
                    match self.document.command(&command, &around) {
                        Ok(Action::Nothing) => {}
                        Ok(Action::Show(text)) => self.show(text),
                        Ok(Action::Include(include)) => self.include(exchange, include),
                        Err(mistake) => {
                            complain(exchange, &mistake);
                            self.show_error(exchange);
                        }
                    }
                }
            }
        }
    }

    fn show(&mut self, text: Bytes) {
        if !text.is_empty() {
            self.out.push_back(Out::Text(text));
        }
    }

    fn show_error(&mut self, exchange: &Exchange) {
        if !*exchange.location.ssi.silent_errors {
            self.show(self.document.error_message.clone());
        }
    }

    fn include(&mut self, exchange: &Exchange, include: Include) {
        let Include { target, becomes } = include;
        let Some((uri, args)) = inner_uri::split(&target) else {
            let uri = String::from_utf8_lossy(&target);
            complain(exchange, &format_args!("unsafe URI \"{uri}\" was detected"));
            return self.show_error(exchange);
        };
        let (stub, wait, variable) = match becomes {
            Becomes::Shown => (None, Wait::Not, None),
            Becomes::ShownFirst => (None, Wait::Whole, None),
            Becomes::OrElse(stub, wait) => (Some(stub), wait, None),
            Becomes::Value(name) => (None, Wait::Whole, Some(name)),
        };
        let content_type = self.content_type.clone();
        let stub = stub.map(|text| Stub { text, content_type });
        let part = match Subrequest::start(exchange, uri, args, stub) {
            Ok(part) => part,
            Err(NoSubrequest::TooDeep { uri }) => {
                let uri = String::from_utf8_lossy(&uri);
                complain(exchange, &format_args!("subrequests cycle while processing \"{uri}\""));
                return self.show_error(exchange);
            }
        };
        self.out.push_back(match variable {
            None => Out::Included(part),
            Some(name) => Out::Value(part, name),
        });
        if wait == Wait::Whole {
            self.going = Going::AfterAll;
        }
    }

    /// Returns the body with the commands.
    pub fn input(&self) -> &BodyReader {
        &self.input
    }

    /// Returns the body with the commands, to be read ahead.
    pub fn input_mut(&mut self) -> &mut BodyReader {
        &mut self.input
    }
}

fn complain(exchange: &Exchange, what: &impl std::fmt::Display) {
    report(exchange, Level::Error, format_args!("{what} while sending response to client"));
}

/// Returns what all documents of the page share.
fn page_of(exchange: &Exchange) -> Rc<RefCell<Page>> {
    Rc::clone(exchange.page.get_or_init(Rc::default))
}

/// What a document can ask of its request.
struct Around<'a> {
    exchange: &'a Exchange,
    page: Rc<RefCell<Page>>,
}

impl Surroundings for Around<'_> {
    fn page(&self) -> &RefCell<Page> {
        &self.page
    }

    fn variable(&self, name: &str, time_format: &[u8]) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let zone = match name {
            "date_local" => time::Place::Here,
            "date_gmt" => time::Place::Greenwich,
            name => {
                let variable = self.exchange.event_loop.site.http().variable(name)?;
                return self.exchange.write(&variable, &mut value).then_some(value);
            }
        };
        time::write_formatted(&mut value, clock::now(), zone, time_format);
        Some(value)
    }

    fn path(&self) -> &[u8] {
        &self.exchange.uri
    }

    fn expressions(&self) -> &Expressions {
        &self.exchange.event_loop.expressions
    }
}
