//! What an upstream is sent: request line, fields in nginx's order, body.
//!
//! Nothing is sent from here, and nothing is decided about peers: an [`Outgoing`] may go to several of them.

mod uri;

use std::{borrow::Cow, io::Write, path::Path, sync::Arc};

use bytes::Bytes;
use cache::Meta;
use config::{
    BindFrom, HttpVersion, LocationConf, PeerAddress, ProxyPass, ProxyTarget, Scheme, SetHeader, Template,
    parse_local_address,
};
use http1::{Fields, Method, ResponseHead, Version};
use tls::ClientWish;

use self::uri::Spelling;
use super::{hints::Hints, secured, transport::target, via};
use crate::{
    error_log::Level,
    http::{
        Exchange, Fault,
        exchange::UriState,
        fault::{self, Kind, Side},
        request_body::Collected,
        response::FileSlice,
    },
    upstream::{Affinity, LocalAddress, retry::Repeat},
};

/// A request as it goes to upstreams.
#[derive(Debug)]
pub struct Outgoing {
    /// Request line and fields, the empty line included.
    pub head: Vec<u8>,
    /// Its method, which decides whether an answer has a body.
    pub method: Method,
    /// Its body.
    pub body: OutgoingBody,
    /// Fields behind its body, where that is here already; only HTTP/2 sends them.
    pub trailers: Option<Arc<Fields>>,
    /// Where it comes from, if `proxy_bind` says so.
    pub local: Option<LocalAddress>,
    /// How it is secured; none for clear text.
    pub tls: Option<Arc<ClientWish>>,
    /// Whether it asks for another protocol.
    pub upgrade: Upgrade,
    /// Which peer it would like.
    pub affinity: Affinity,
    /// Where a 103 goes; nowhere where nobody wants it.
    pub hints: Option<Hints>,
}

/// The body of an [`Outgoing`].
#[derive(Debug, Clone)]
pub enum OutgoingBody {
    /// None.
    Empty,
    /// In memory, whole.
    Memory(Bytes),
    /// In a file.
    File(FileSlice),
    /// Passed on while the client sends it (`proxy_request_buffering off`).
    Client(ClientFraming),
}

/// How a body that is passed on at once is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFraming {
    /// By Content-Length.
    Length,
    /// In chunks.
    Chunked,
}

/// Whether a request asks for another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// The client asked for one: a 101 makes a tunnel.
    Asked,
    /// It did not: a 101 is no answer.
    NotAsked,
}

/// What a request is sent for.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// To pass the answer on.
    Pass,
    /// To store the answer: conditions and ranges of the client stay here.
    Fill,
    /// To store a part of the answer.
    Part {
        /// The field Range.
        range: &'a [u8],
        /// The field If-Range.
        if_range: Option<&'a [u8]>,
    },
    /// To ask whether a stored answer is still good.
    Revalidate(&'a Meta, &'a ResponseHead),
}

impl Outgoing {
    /// Says whether it may be sent more than once.
    pub fn repeat(&self) -> Repeat {
        match (&self.body, self.method) {
            (OutgoingBody::Client(_), _) => Repeat::Impossible,
            (_, Method::Post | Method::Lock | Method::Patch) => Repeat::NotIdempotent,
            _ => Repeat::Freely,
        }
    }

    /// Returns how it is sent.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Takes away what makes it a question whether a stored answer is still good, and says whether there was anything.
    pub fn drop_conditions(&mut self) -> bool {
        let is_condition = |line: &[u8]| {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            name.eq_ignore_ascii_case(b"If-None-Match") || name.eq_ignore_ascii_case(b"If-Modified-Since")
        };
        let before = self.head.len();
        self.head = self
            .head
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| !is_condition(line))
            .collect::<Vec<_>>()
            .concat();
        self.head.len() < before
    }

    /// Returns the target of its request line.
    pub fn target(&self) -> &[u8] {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let first = memchr::memchr(b' ', line).map_or(0, |space| space + 1);
        let last = memchr::memrchr(b' ', line).unwrap_or(line.len());
        line.get(first..last).unwrap_or_default()
    }
}

/// Whether the body may be passed on while it arrives.
///
/// As nginx: not where it is replaced, left out or here already, and not where a chunked one would need its length told in
/// HTTP/1.0.
pub fn may_stream(exchange: &Exchange) -> bool {
    let proxy = &exchange.location.proxy;
    let expressible = exchange.body.length().is_some() || *proxy.http_version != HttpVersion::V10;
    proxy.set_body.is_none()
        && *proxy.pass_request_body
        && expressible
        && !exchange.body.has_arrived(&exchange.client)
}

/// Makes the request for an upstream. The body must have been collected, unless it is passed on as it arrives.
///
/// # Errors
/// There is no URI to ask for, or no certificate to show.
pub async fn build(exchange: &Exchange, pass: &ProxyPass, purpose: Purpose<'_>) -> Result<Outgoing, Fault> {
    let tls = secured::wish(exchange, pass).await?;
    let location = &*exchange.location;
    let (method, method_text) = method(exchange, purpose);
    let upstream_uri = upstream_uri(exchange, pass)?;
    let body = body(exchange);
    let trailers = exchange.body.trailers().filter(|_| location.proxy.set_body.is_none()).cloned();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let version = match *location.proxy.http_version {
        HttpVersion::V10 => Version::V1_0,
        // The text is that of HTTP/1.1, which is translated when it is sent.
        HttpVersion::V11 | HttpVersion::V2 => Version::V1_1,
    };
    http1::write_request_line(&mut head, &method_text, &upstream_uri, version);
    let mut fields = FieldWriter { head: &mut head, exchange, location };
    fields.write_set();
    fields.write_defaults(pass, &body);
    match purpose {
        Purpose::Revalidate(meta, stored) => fields.write_validators(meta, stored),
        Purpose::Part { range, if_range } => fields.write_range(range, if_range),
        Purpose::Pass | Purpose::Fill => {}
    }
    if *location.proxy.pass_request_headers {
        fields.write_clients(purpose);
    }
    if *location.proxy.add_via && !fields.is_set(b"Via") {
        via::write(&mut head, exchange.head.version);
    }
    head.extend_from_slice(b"\r\n");
    Ok(Outgoing {
        head,
        method,
        body,
        trailers,
        local: local_address(exchange),
        tls,
        upgrade: upgrade(exchange),
        affinity: Affinity::default(),
        hints: None,
    })
}

/// Most keys are no longer than this: theirs is made in one allocation.
const KEY_BYTES: usize = 128;

/// Makes the text that an answer is stored under (`proxy_cache_key`).
pub fn cache_key(exchange: &Exchange, pass: &ProxyPass) -> Vec<u8> {
    let template = &*exchange.location.cache.key;
    if !template.is_empty() {
        return template.expand(exchange);
    }
    // As nginx where no key is written: what is asked of whom.
    let mut key = Vec::with_capacity(KEY_BYTES);
    key.extend_from_slice(proxy_scheme(exchange, pass).prefix().as_bytes());
    match unix_path(pass) {
        Some(path) => write!(key, "unix:{}:", path.display()).expect("memory takes all that is written"),
        None => key.extend_from_slice(proxy_host(exchange, pass).as_bytes()),
    }
    if let Ok(uri) = upstream_uri(exchange, pass) {
        key.extend_from_slice(&uri);
    }
    key
}

/// Returns the path of a socket that `proxy_pass` names itself.
fn unix_path(pass: &ProxyPass) -> Option<&Path> {
    let ProxyTarget::Group(group) = &pass.target else { return None };
    match group.servers.first()?.addresses.first()? {
        PeerAddress::Unix(path) if group.implicit => Some(path),
        PeerAddress::Unix(_) | PeerAddress::Inet(_) => None,
    }
}

/// Room for a head of usual size, so that it is not moved while it grows.
const HEAD_BYTES: usize = 1024;

fn method<'a>(exchange: &'a Exchange, purpose: Purpose<'_>) -> (Method, Cow<'a, [u8]>) {
    let location = &exchange.location;
    if let Some(template) = &*location.proxy.method {
        let text = template.expand(exchange);
        return (Method::from_text(&text), text.into());
    }
    let for_cache = !matches!(purpose, Purpose::Pass);
    if for_cache && exchange.method == Method::Head && *location.cache.convert_head {
        return (Method::Get, b"GET"[..].into());
    }
    // An error page is fetched by GET, whatever the client's request was.
    if exchange.method == Method::Get {
        return (Method::Get, b"GET"[..].into());
    }
    (exchange.method, exchange.head.method_text().into())
}

/// Returns the URI to ask for, by the rules of `proxy_pass`.
fn upstream_uri<'a>(exchange: &'a Exchange, pass: &ProxyPass) -> Result<Cow<'a, [u8]>, Fault> {
    let replacement = match &pass.target {
        ProxyTarget::Variable(template) => {
            let uri = target::uri_of(&template.expand(exchange));
            // As nginx: where variables make the URI, it is passed as they made it.
            if !uri.is_empty() {
                return Ok(uri.into());
            }
            None
        }
        ProxyTarget::Group(_) if exchange.uri_state == UriState::ChangedInPlace => None,
        ProxyTarget::Group(_) => pass.uri.as_deref(),
    };
    let target = exchange.head.path_and_query();
    let request = uri::RequestUri {
        // `http://host?args` has no path that could be passed on.
        unparsed: (exchange.uri_state == UriState::AsSent && target.first() == Some(&b'/')).then_some(target),
        path: &exchange.uri,
        args: &exchange.args,
        spelling: if exchange.internal { Spelling::Escaped } else { uri::spelling(target) },
    };
    let uri = uri::upstream(&request, replacement, pass.location_len);
    match uri.is_empty() {
        true => Err(zero_length_uri()),
        false => Ok(uri),
    }
}

fn zero_length_uri() -> Fault {
    Fault::new(Side::Server, Kind::Status(500), "zero length URI to proxy")
}

/// Chooses the body that is sent.
fn body(exchange: &Exchange) -> OutgoingBody {
    let proxy = &exchange.location.proxy;
    if let Some(template) = &*proxy.set_body {
        return OutgoingBody::Memory(template.expand(exchange).into());
    }
    if !*proxy.pass_request_body {
        return OutgoingBody::Empty;
    }
    match exchange.body.collected() {
        Some(Collected::Memory(bytes)) if bytes.is_empty() => OutgoingBody::Empty,
        Some(Collected::Memory(bytes)) => OutgoingBody::Memory(bytes.clone()),
        Some(Collected::File(file)) if file.slice.len == 0 => OutgoingBody::Empty,
        Some(Collected::File(file)) => OutgoingBody::File(file.slice.clone()),
        None if exchange.body.is_done() => OutgoingBody::Empty,
        None => OutgoingBody::Client(match exchange.body.length() {
            Some(_) => ClientFraming::Length,
            None => ClientFraming::Chunked,
        }),
    }
}

/// Works out `proxy_bind`. As nginx: what a variable makes of it and is no address is told, and then left out.
fn local_address(exchange: &Exchange) -> Option<LocalAddress> {
    let bind = exchange.location.proxy_socket.bind.as_ref()?;
    let address = match &bind.from {
        BindFrom::Fixed(address) => *address,
        BindFrom::Variable(template) => {
            let text = template.expand(exchange);
            if text.is_empty() {
                return None;
            }
            let Some(address) = parse_local_address(&text) else {
                let shown = text.escape_ascii();
                fault::report(exchange, Level::Error, format_args!("invalid local address \"{shown}\""));
                return None;
            };
            address
        }
    };
    Some(LocalAddress { address, transparency: bind.transparency })
}

fn upgrade(exchange: &Exchange) -> Upgrade {
    if exchange.head.fields.contains("Upgrade") { Upgrade::Asked } else { Upgrade::NotAsked }
}

/// Returns `$proxy_host`.
pub(super) fn proxy_host<'a>(exchange: &'a Exchange, pass: &'a ProxyPass) -> &'a str {
    exchange.proxy_target.as_ref().map_or(&pass.host, |target| &target.host)
}

/// Returns how the upstream is asked.
pub(super) fn proxy_scheme(exchange: &Exchange, pass: &ProxyPass) -> Scheme {
    exchange.proxy_target.as_ref().map_or(pass.scheme, |target| target.scheme)
}

/// Writes the fields of a request. As nginx: what the configuration sets, what it left to us, what the client sent.
struct FieldWriter<'a> {
    head: &'a mut Vec<u8>,
    exchange: &'a Exchange,
    location: &'a LocationConf,
}

impl FieldWriter<'_> {
    fn set_header(&self) -> &[SetHeader] {
        &self.location.proxy.set_header
    }

    fn is_set(&self, name: &[u8]) -> bool {
        self.set_header().iter().any(|set| set.name.eq_ignore_ascii_case(name))
    }

    /// Writes `proxy_set_header`; an empty value only keeps the client's field back.
    fn write_set(&mut self) {
        for SetHeader { name, value } in &*self.location.proxy.set_header {
            write_template(self.head, name, value, self.exchange);
        }
    }

    fn write_defaults(&mut self, pass: &ProxyPass, body: &OutgoingBody) {
        if !self.is_set(b"Host") {
            http1::write_field(self.head, b"Host", proxy_host(self.exchange, pass).as_bytes());
        }
        if !self.is_set(b"Connection") {
            http1::write_field(self.head, b"Connection", b"close");
        }
        if let Some(length) = self.content_length(body).filter(|_| !self.is_set(b"Content-Length")) {
            write!(self.head, "Content-Length: {length}\r\n").expect("memory takes all that is written");
        }
        if self.wants_trailers() && !self.is_set(b"TE") {
            http1::write_field(self.head, b"TE", b"trailers");
        }
        let chunked = matches!(body, OutgoingBody::Client(ClientFraming::Chunked));
        if chunked && !self.is_set(b"Transfer-Encoding") {
            http1::write_field(self.head, b"Transfer-Encoding", b"chunked");
        }
    }

    /// Over HTTP/2 the wish for trailers is not for one connection only.
    fn wants_trailers(&self) -> bool {
        let mut wishes = self.exchange.head.fields.all("TE");
        *self.location.proxy.http_version == HttpVersion::V2
            && wishes.any(|value| http1::list_has_token(value, "trailers"))
    }

    /// As nginx: the client's length, even where its body is left out (`proxy_pass_request_body off`).
    fn content_length(&self, body: &OutgoingBody) -> Option<u64> {
        match body {
            OutgoingBody::Memory(bytes) => Some(bytes.len() as u64),
            OutgoingBody::File(slice) => Some(slice.len),
            OutgoingBody::Client(ClientFraming::Length) => self.exchange.body.length(),
            OutgoingBody::Client(ClientFraming::Chunked) => None,
            OutgoingBody::Empty => {
                let announced = self.exchange.head.fields.contains("Content-Length")
                    || self.exchange.head.fields.contains("Transfer-Encoding");
                self.exchange.body.length().filter(|_| announced)
            }
        }
    }

    fn write_validators(&mut self, meta: &Meta, stored: &ResponseHead) {
        let modified = stored.fields.get("Last-Modified").filter(|text| http1::date::parse(text).is_some());
        if let Some(text) = modified.filter(|_| !self.is_set(b"If-Modified-Since")) {
            http1::write_field(self.head, b"If-Modified-Since", text);
        }
        if !meta.etag.is_empty() && !self.is_set(b"If-None-Match") {
            http1::write_field(self.head, b"If-None-Match", &meta.etag);
        }
    }

    fn write_range(&mut self, range: &[u8], if_range: Option<&[u8]>) {
        http1::write_field(self.head, b"Range", range);
        if let Some(condition) = if_range.filter(|_| !self.is_set(b"If-Range")) {
            http1::write_field(self.head, b"If-Range", condition);
        }
    }

    fn write_clients(&mut self, purpose: Purpose<'_>) {
        let for_cache = !matches!(purpose, Purpose::Pass);
        for (name, value) in self.exchange.head.fields.iter() {
            let kept_back = is_ours(name) || (for_cache && is_condition(name)) || self.is_set(name);
            if !kept_back {
                http1::write_field(self.head, name, value);
            }
        }
    }
}

fn write_template(head: &mut Vec<u8>, name: &[u8], value: &Template, exchange: &Exchange) {
    if let Some(text) = value.as_text() {
        if !text.is_empty() {
            http1::write_field(head, name, text);
        }
        return;
    }
    let start = head.len();
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    let before_value = head.len();
    value.write(head, exchange);
    if head.len() == before_value {
        head.truncate(start);
    } else {
        head.extend_from_slice(b"\r\n");
    }
}

/// Whether a field of the client is replaced or concerns its own connection only.
fn is_ours(name: &[u8]) -> bool {
    let is = |ours: &str| name.eq_ignore_ascii_case(ours.as_bytes());
    match name.len() {
        2 => is("TE"),
        4 => is("Host"),
        6 => is("Expect"),
        7 => is("Upgrade"),
        10 => is("Connection") || is("Keep-Alive"),
        14 => is("Content-Length"),
        17 => is("Transfer-Encoding"),
        _ => false,
    }
}

/// Whether a field asks for less than the whole answer, which is what a cache wants.
fn is_condition(name: &[u8]) -> bool {
    let is = |condition: &str| name.eq_ignore_ascii_case(condition.as_bytes());
    match name.len() {
        5 => is("Range"),
        8 => is("If-Match") || is("If-Range"),
        13 => is("If-None-Match"),
        17 => is("If-Modified-Since"),
        19 => is("If-Unmodified-Since"),
        _ => false,
    }
}

#[cfg(test)]
pub(in crate::http::proxy) mod fixture;
#[cfg(test)]
mod tests;
