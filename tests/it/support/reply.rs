//! What a scripted origin answers: exact bytes, in pieces, with pauses, gates and broken ends.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use super::{deadline::PATIENCE, origin::find};

/// One answer of an origin.
#[derive(Clone)]
pub struct Reply {
    status_line: String,
    fields: Vec<String>,
    lead: Vec<Part>,
    parts: Vec<Part>,
    raw: bool,
    end: End,
}

/// One thing that an origin does while it answers.
#[derive(Clone)]
pub enum Part {
    /// Sends bytes.
    Bytes(Vec<u8>),
    /// Takes its time.
    Pause(Duration),
    /// Waits until the test opens the gate.
    Wait(Gate),
    /// Waits until the other side closes or resets the connection.
    AwaitClose,
    /// Sends back what comes, until the other side closes.
    Echo,
}

impl Part {
    /// Puts the origin's address in place of `%ORIGIN%`.
    pub(super) fn with_origin(self, address: &str) -> Self {
        match self {
            Self::Bytes(bytes) if find(&bytes, b"%ORIGIN%").is_some() => {
                Self::Bytes(String::from_utf8_lossy(&bytes).replace("%ORIGIN%", address).into_bytes())
            }
            other => other,
        }
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stays open where the request allows it.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

/// Starts an answer with nginx's usual phrase, a length and no body.
pub fn answer(status: u16) -> Reply {
    let phrase = match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Whatever",
    };
    Reply {
        status_line: format!("HTTP/1.1 {status} {phrase}"),
        fields: Vec::new(),
        lead: Vec::new(),
        parts: Vec::new(),
        raw: false,
        end: End::Keep,
    }
}

impl Reply {
    /// Sends exactly these bytes and closes the connection.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        let parts = vec![Part::Bytes(bytes.as_ref().to_vec())];
        Self { parts, raw: true, end: End::Close, ..answer(200) }
    }

    /// Sends nothing and closes the connection.
    pub fn nothing() -> Self {
        Self::raw("")
    }

    /// Sends nothing and waits for the other side to give up.
    pub fn silence() -> Self {
        let mut reply = Self::raw("");
        reply.parts.push(Part::AwaitClose);
        reply
    }

    /// Replaces the status line.
    pub fn status_line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.status_line);
        self
    }

    /// Adds a header line.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push(format!("{name}: {value}"));
        self
    }

    /// Adds a line to the head as it is.
    pub fn line(mut self, line: &str) -> Self {
        self.fields.push(line.to_owned());
        self
    }

    /// Sends a body of known length.
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        self.declared(body.len()).then(Part::Bytes(body.to_vec()))
    }

    /// Declares a length, whatever is sent then.
    pub fn declared(self, length: usize) -> Self {
        self.field("Content-Length", &length.to_string())
    }

    /// Sends a chunked body, one chunk each, with its end.
    pub fn chunked(mut self, chunks: &[&str]) -> Self {
        self = self.field("Transfer-Encoding", "chunked");
        for chunk in chunks {
            self = self.chunk(chunk);
        }
        self.bytes("0\r\n\r\n")
    }

    /// Sends one chunk; the caller says `Transfer-Encoding` and the end.
    pub fn chunk(self, chunk: &str) -> Self {
        self.bytes(format!("{:x}\r\n{chunk}\r\n", chunk.len()))
    }

    /// Sends a body that ends with the connection.
    pub fn until_close(self, body: impl AsRef<[u8]>) -> Self {
        self.bytes(body).then_close()
    }

    /// Sends more bytes after the head.
    pub fn bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Part::Bytes(bytes.as_ref().to_vec()))
    }

    /// Adds a step after the head.
    pub fn then(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Takes its time before the head.
    pub fn after(mut self, time: Duration) -> Self {
        self.lead.push(Part::Pause(time));
        self
    }

    /// Waits for the gate before the head.
    pub fn when(mut self, gate: &Gate) -> Self {
        self.lead.push(Part::Wait(gate.clone()));
        self
    }

    /// Waits for the gate between what was said before and what is said next of the body.
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Part::Wait(gate.clone()))
    }

    /// Closes the connection after the answer.
    pub fn then_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Resets the connection after the answer.
    pub fn then_reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// Returns what to do, in order; `body` says whether the request's method wants one.
    pub(super) fn steps(&self, body: WantsBody) -> Vec<Part> {
        let mut steps = self.lead.clone();
        if !self.raw {
            let mut head = self.status_line.clone() + "\r\n";
            for field in &self.fields {
                head += field;
                head += "\r\n";
            }
            steps.push(Part::Bytes((head + "\r\n").into_bytes()));
        }
        if self.raw || body == WantsBody::Whole {
            steps.extend(self.parts.iter().cloned());
        }
        steps
    }

    /// Returns what becomes of the connection.
    pub(super) fn end(&self) -> End {
        self.end
    }
}

/// Whether the answer to a request has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantsBody {
    /// As the script says.
    Whole,
    /// The request was HEAD.
    HeadOnly,
}

/// Something that the test opens when an origin may go on.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Makes a closed gate.
    pub fn closed() -> Self {
        Self::default()
    }

    /// Opens it for everyone, for good.
    pub fn open(&self) {
        *self.0.0.lock().expect("no holder panics") = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; a forgotten gate opens by itself so that the origin's thread ends.
    pub(super) fn pass(&self) {
        let open = self.0.0.lock().expect("no holder panics");
        let _ = self.0.1.wait_timeout_while(open, PATIENCE * 2, |open| !*open).expect("no holder panics");
    }
}
