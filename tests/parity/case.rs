//! A case and a group of cases, as data.

use crate::support::{Conf, Reply, tls::Tls};

/// Cases that share one configuration.
pub struct Group {
    name: &'static str,
    /// What both programs are started with; `%ORIGIN%` and `%ORIGIN:b%` are its origins.
    pub conf: Conf,
    /// The cases, in order; they share the servers, so cached keys should not meet.
    pub cases: Vec<Case>,
}

/// One case: what a client does, and what origins answer.
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// What the client does.
    pub steps: Vec<Step>,
    /// What the origin `%ORIGIN%` answers, in order.
    pub origin: Vec<Reply>,
    /// What the origin `%ORIGIN:b%` answers, in order.
    pub origin_b: Vec<Reply>,
    /// Why Larder is not to do as this nginx does.
    pub differs: Option<Differs>,
}

/// One thing that the client does.
pub enum Step {
    /// Sends bytes and reads that many answers.
    Send(Vec<u8>, usize),
    /// Leaves the connection and opens another one, to the port of that name.
    Connect(&'static str),
    /// Leaves the connection and opens another one over TLS, to the port of that name.
    Secure(&'static str, Box<Tls>),
    /// Says that no more will be sent, and reads to the end.
    HalfClose,
    /// Asks for a path, on connections of their own, until the answer contains the text.
    Until(&'static str, &'static str),
    /// Waits until the access log got that many lines, and reads them.
    Log(usize),
}

/// A difference that is meant.
pub struct Differs {
    /// Why.
    pub because: &'static str,
    /// Whether it shows each time.
    pub when: When,
    /// Lines that Larder's side has instead.
    pub larder: &'static [&'static str],
}

/// When a difference shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Each time; if it does not, the case is out of date.
    Always,
    /// Where bytes arrive so that it makes a difference.
    Sometimes,
}

impl Group {
    /// Starts an empty group.
    pub fn new(name: &'static str, conf: Conf) -> Self {
        Self { name, conf, cases: Vec::new() }
    }

    /// Adds cases.
    pub fn cases(mut self, cases: impl IntoIterator<Item = Case>) -> Self {
        self.cases.extend(cases);
        self
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the number of its cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }
}

/// Starts a case.
pub fn case(name: &'static str) -> Case {
    Case { name, steps: Vec::new(), origin: Vec::new(), origin_b: Vec::new(), differs: None }
}

impl Case {
    /// Goes on over TLS.
    pub fn secure(self, tls: &Tls) -> Self {
        self.secure_to("", tls)
    }

    /// Goes on over TLS, with the port of that name.
    pub fn secure_to(mut self, port: &'static str, tls: &Tls) -> Self {
        self.steps.push(Step::Secure(port, Box::new(tls.clone())));
        self
    }

    /// Sends bytes and reads one answer.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.pipeline(1, bytes)
    }

    /// Sends bytes and reads several answers.
    pub fn pipeline(mut self, answers: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec(), answers));
        self
    }

    /// Sends a GET with a host and reads the answer.
    pub fn get(self, path: &str) -> Self {
        self.get_with(path, &[])
    }

    /// Sends a GET with more header lines and reads the answer.
    pub fn get_with(self, path: &str, lines: &[&str]) -> Self {
        self.send(request(&format!("GET {path} HTTP/1.1"), lines, ""))
    }

    /// Sends a HEAD and reads the answer.
    pub fn head(self, path: &str) -> Self {
        self.send(request(&format!("HEAD {path} HTTP/1.1"), &[], ""))
    }

    /// Sends any request with `Host: localhost` and reads the answer.
    pub fn request(self, line: &str, lines: &[&str], body: &str) -> Self {
        self.send(request(line, lines, body))
    }

    /// Goes on with a new connection to `%PORT:name%`.
    pub fn on(self, port: &'static str) -> Self {
        self.step(Step::Connect(port))
    }

    /// Says that no more will be sent.
    pub fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// Repeats a GET until the answer contains a text.
    pub fn until(self, path: &'static str, text: &'static str) -> Self {
        self.step(Step::Until(path, text))
    }

    /// Compares the next lines of `access.log` too.
    pub fn log(self, lines: usize) -> Self {
        self.step(Step::Log(lines))
    }

    /// Adds an answer of the origin.
    pub fn origin(mut self, reply: Reply) -> Self {
        self.origin.push(reply);
        self
    }

    /// Adds an answer of the second origin.
    pub fn origin_b(mut self, reply: Reply) -> Self {
        self.origin_b.push(reply);
        self
    }

    /// Says that Larder means to differ: why, and which lines its side has.
    pub fn differs(mut self, because: &'static str, larder: &'static [&'static str]) -> Self {
        self.differs = Some(Differs { because, when: When::Always, larder });
        self
    }

    /// Says that Larder may differ, depending on how bytes arrive: why, and which lines its side has always.
    pub fn may_differ(mut self, because: &'static str, larder: &'static [&'static str]) -> Self {
        self.differs = Some(Differs { because, when: When::Sometimes, larder });
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// Writes a request with `Host: localhost` first.
pub fn request(line: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!("{line}\r\nHost: localhost\r\n");
    for line in lines {
        text += line;
        text += "\r\n";
    }
    text + "\r\n" + body
}
