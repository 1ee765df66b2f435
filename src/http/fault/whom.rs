//! Whom a line in the error log is about, in nginx's words and order.
//!
//! [`Whom`] looks at a request; [`Asker`] and [`Context`] keep what it says, for what goes on when the request may be over.

use std::{fmt, rc::Rc, sync::Arc};

use config::{LocationConf, Scheme, ServerConf};
use http1::Fields;

use crate::{
    error_log::{self, Level},
    http::Exchange,
};

/// A request as lines in the log name it.
#[derive(Clone, Copy)]
pub struct Whom<'a> {
    /// Number of the client's connection.
    pub connection: u64,
    /// The client's address.
    pub client: &'a str,
    /// The server block.
    pub server: &'a ServerConf,
    /// The client's request line.
    pub request_line: &'a [u8],
    /// The path, where it is a request of ours for a part of an answer.
    pub subrequest: Option<&'a [u8]>,
    /// The client's fields.
    pub fields: &'a Fields,
    /// The peer that is asked, and for what.
    pub upstream: Option<Asked<'a>>,
}

/// What an upstream is asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// How it is asked.
    pub scheme: Scheme,
    /// The peer's address.
    pub peer: &'a str,
    /// What for.
    pub target: &'a [u8],
}

impl<'a> Whom<'a> {
    /// Names the request of an exchange.
    pub fn of(exchange: &'a Exchange) -> Self {
        let facts = &exchange.upstream;
        Self {
            connection: exchange.client.serial,
            client: &exchange.client.remote.text,
            server: &exchange.server,
            request_line: exchange.head.request_line(),
            subrequest: (!exchange.is_main()).then_some(&exchange.uri),
            fields: &exchange.head.fields,
            upstream: facts.tries.last().map(|last| Asked {
                scheme: facts.scheme,
                peer: &last.address,
                target: &facts.target,
            }),
        }
    }

    /// Writes a line about it to the log of its location.
    pub fn report(&self, location: &LocationConf, level: Level, what: fmt::Arguments<'_>) {
        write(location, level, self.connection, format_args!("{what}{self}"));
    }
}

fn write(location: &LocationConf, level: Level, connection: u64, message: fmt::Arguments<'_>) {
    let targets = &location.log.error_log;
    error_log::write_for((!targets.is_empty()).then_some(&targets[..]), level, Some(connection), message);
}

impl fmt::Display for Whom<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, ", client: {}, server: {}", self.client, self.server.first_name)?;
        if !self.request_line.is_empty() {
            write!(out, ", request: \"{}\"", String::from_utf8_lossy(self.request_line))?;
        }
        if let Some(path) = self.subrequest {
            write!(out, ", subrequest: \"{}\"", String::from_utf8_lossy(path))?;
        }
        if let Some(Asked { scheme, peer, target }) = self.upstream {
            write!(out, ", upstream: \"{}{peer}{}\"", scheme.prefix(), String::from_utf8_lossy(target))?;
        }
        for (name, field) in [("host", "Host"), ("referrer", "Referer")] {
            if let Some(value) = self.fields.get(field) {
                write!(out, ", {name}: \"{}\"", String::from_utf8_lossy(value))?;
            }
        }
        Ok(())
    }
}

/// Who asked for what goes on when the client may have left.
#[derive(Debug)]
pub struct Asker {
    connection: u64,
    client: Rc<str>,
    server: Arc<ServerConf>,
    request_line: Vec<u8>,
    subrequest: Option<Vec<u8>>,
}

impl Asker {
    /// Notes whose exchange it is.
    pub fn of(exchange: &Exchange) -> Self {
        Self {
            connection: exchange.client.serial,
            client: Rc::clone(&exchange.client.remote.text),
            server: Arc::clone(&exchange.server),
            request_line: exchange.head.request_line().to_vec(),
            subrequest: (!exchange.is_main()).then(|| exchange.uri.clone()),
        }
    }

    /// Names the request, whose fields are these.
    pub fn whom<'a>(&'a self, fields: &'a Fields) -> Whom<'a> {
        let Self { connection, client, server, request_line, subrequest } = self;
        let (connection, subrequest, upstream) = (*connection, subrequest.as_deref(), None);
        Whom { connection, client, server, request_line, subrequest, fields, upstream }
    }
}

/// What [`Whom`] says of a request, for lines that are written when the exchange is not at hand.
pub struct Context {
    location: Arc<LocationConf>,
    connection: u64,
    whom: String,
}

impl Context {
    /// Notes what it says of an exchange.
    pub fn of(exchange: &Exchange) -> Self {
        let whom = Whom::of(exchange).to_string();
        Self { location: Arc::clone(&exchange.location), connection: exchange.client.serial, whom }
    }

    /// Writes a line as [`Whom::report`] does.
    pub fn report(&self, level: Level, what: fmt::Arguments<'_>) {
        write(&self.location, level, self.connection, format_args!("{what}{}", self.whom));
    }
}
