//! One request and what is known about it: head, configuration, variables' sources, facts for the log.
//!
//! An `Exchange` is made by a front, changed by the phases, and read by the log. It holds no
//! protocol state: how bytes come and go is the front's business.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cache::policy::CacheStatus;
use config::{Captures, LocationConf, Scheme, ServerConf};
use http1::{Fields, Framing, Method, RequestHead, ResponseHead};

use super::{
    cache_facts::CacheFacts,
    client::Client,
    filter::Page,
    request_body::{Expectation, RequestBody},
    site::{EventLoop, LocationState},
    slice::Slicing,
    variables::Slots,
};
use crate::{clock, upstream::Peer};

/// One request and its answer.
pub struct Exchange {
    /// The event loop that serves it, with all that its worker shares.
    pub event_loop: Rc<EventLoop>,
    /// The connection it came on.
    pub client: Rc<Client>,
    /// The head as received.
    pub head: RequestHead,
    /// The server block in force.
    pub server: Arc<ServerConf>,
    /// The location in force.
    pub location: Arc<LocationConf>,
    /// Method in force: an `error_page` turns it into GET.
    pub method: Method,
    /// Host of the request, lower-case, without port; empty where none was sent (`$host`).
    pub host: Vec<u8>,
    /// Decoded, merged path in force (`$uri`).
    pub uri: Vec<u8>,
    /// Arguments in force, without `?` (`$args`).
    pub args: Vec<u8>,
    /// Whether [`Self::uri`] is no longer what the request line said, or was not plain to begin with.
    pub uri_state: UriState,
    /// Whether the path is appended to an `alias` that would replace all of it: `try_files` found it there.
    pub appends_to_alias: bool,
    /// Captures of the last regular expression that matched.
    pub captures: RefCell<Captures>,
    /// Values of the variables that the configuration defines.
    pub slots: Slots,
    /// The request's body.
    pub body: RequestBody,
    /// Bytes of the head as received.
    pub head_bytes: u64,
    /// When its first byte was read.
    pub started: clock::Moment,
    /// Internal redirects that are left.
    pub redirects_left: u8,
    /// Whether this is an internal redirect, which may enter `internal` locations.
    pub internal: bool,
    /// What part of a page it is for; none where a client asked.
    pub part: Option<Box<Part>>,
    /// Which slice of the answer it asks for (`$slice_range`).
    pub slicing: Cell<Slicing>,
    /// What all documents of a page share, where one has commands (`ssi`).
    pub page: OnceCell<Rc<RefCell<Page>>>,
    /// The error that an `error_page` is being made for: its status, or what replaces it.
    pub error_status: Option<u16>,
    /// Whether an `error_page` has been taken, which rules out another (`recursive_error_pages off`).
    pub error_page: ErrorPage,
    /// Host and port of `proxy_pass`, where variables decide them (`$proxy_host`, `$proxy_port`).
    pub proxy_target: Option<ProxyTarget>,
    /// What the log will want to know about the answer.
    pub sent: Sent,
    /// What the log will want to know about upstreams and cache.
    pub upstream: UpstreamFacts,
    /// What earlier steps want in the answer, whoever makes it.
    pub kept: KeptFields,
    /// Whether the connection may be used again after this exchange.
    pub keepalive: bool,
    /// Bytes a second that the client may be sent, where something has decided it (`$limit_rate`); 0 is no limit.
    pub limit_rate: Option<u64>,
    /// Random text of `$request_id`, made on first use.
    pub request_id: OnceCell<String>,
}

/// What is known of a request that was made to put a page together.
#[derive(Debug)]
pub struct Part {
    /// How many levels of such requests there may still be below it.
    pub levels_left: u8,
    /// What is shown in place of an empty answer or an error.
    pub stub: Option<Stub>,
    /// Of what it is a part.
    pub of: PartOf,
}

/// What a request of ours is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartOf {
    /// A page with commands, into which its body goes as the filters of bodies leave it.
    Page,
    /// The answer to the same request: filters get the whole.
    Answer,
}

/// A text that stands in for an answer.
#[derive(Debug, Clone)]
pub struct Stub {
    /// The text.
    pub text: Bytes,
    /// Its type, which is that of the page around it.
    pub content_type: Option<Bytes>,
}

/// Fields that outlive an internal redirect.
#[derive(Debug, Default)]
pub struct KeptFields {
    /// Where a redirect leads, though an `error_page` make the answer to it.
    pub location: Option<Vec<u8>>,
    /// Fields of the upstream whose X-Accel-Redirect is followed.
    pub fields: Fields,
}

/// How [`Exchange::uri`] relates to the request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriState {
    /// As sent: passing the request line's target on is right.
    AsSent,
    /// Changed by an internal redirect or a `rewrite`: the URI in force is passed on, escaped.
    Changed,
    /// Changed where it stays in its location: `proxy_pass` has nothing left to replace.
    ChangedInPlace,
}

/// Whether an `error_page` may still be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorPage {
    /// None was taken yet.
    Untaken,
    /// One was.
    Taken,
}

/// What variables in `proxy_pass` made of it; host and port as `$proxy_host` and `$proxy_port` show them.
#[derive(Debug, Clone)]
pub struct ProxyTarget {
    /// How it is asked.
    pub scheme: Scheme,
    /// Name, with the port where it was written.
    pub host: String,
    /// Port, or the scheme's default.
    pub port: String,
}

/// Facts about the answer, as they become known.
#[derive(Debug, Default)]
pub struct Sent {
    /// Status; 0 before there is one.
    pub status: u16,
    /// Head of the answer, for `$sent_http_*`: slots included. Filled only where a log wants it.
    pub fields: Fields,
    /// Fields that followed a chunked body, for `$sent_trailer_*`.
    pub trailers: Fields,
    /// Bytes of the head on the wire.
    pub head_bytes: u64,
    /// Bytes of the body on the wire, with its framing (`$body_bytes_sent`).
    pub body_bytes: u64,
    /// Bytes on the wire in all (`$bytes_sent`).
    pub bytes: u64,
    /// Whether all of the answer went out (`$request_completion`).
    pub complete: bool,
    /// What compression made of the body (`$gzip_ratio`).
    pub compressed: Option<Compressed>,
}

/// Bytes of a body before and after compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// Before.
    pub from_bytes: u64,
    /// After.
    pub to_bytes: u64,
}

/// Facts about the tries with upstreams, for `$upstream_*`.
#[derive(Debug, Default, Clone)]
pub struct UpstreamFacts {
    /// One item per try.
    pub tries: Vec<Try>,
    /// How many tries there were at each internal redirect: lists have ` : ` there.
    pub redirected_after: Vec<usize>,
    /// How the last request was sent, for the error log.
    pub scheme: Scheme,
    /// Its target.
    pub target: Vec<u8>,
    /// What the cache did.
    pub cache_status: Option<CacheStatus>,
    /// Why it did so, and what it holds.
    pub cache: CacheFacts,
    /// The peer that answered.
    pub peer: Option<Arc<Peer>>,
    /// Head of the last upstream answer, for `$upstream_http_*`; the stored one on a hit.
    pub head: Option<Arc<ResponseHead>>,
    /// Trailers of the last upstream answer.
    pub trailers: Option<Arc<Fields>>,
}

/// One try with one peer.
#[derive(Debug, Default, Clone)]
pub struct Try {
    /// Address as text, or the group's name where no peer could be chosen.
    pub address: Arc<str>,
    /// Status; absent where none came.
    pub status: Option<u16>,
    /// Time in the queue of the group; absent where it did not wait.
    pub queue: Option<Duration>,
    /// Time until the connection stood; absent where it never did.
    pub connect: Option<Duration>,
    /// Time until the head was there.
    pub header: Option<Duration>,
    /// Time until the last byte.
    pub response: Option<Duration>,
    /// Body bytes received.
    pub response_length: u64,
    /// All bytes received.
    pub bytes_received: u64,
    /// All bytes sent.
    pub bytes_sent: u64,
}

/// Internal redirects that one request may take. As nginx.
const REDIRECTS_MOST: u8 = 10;

impl Exchange {
    /// Begins a request to a server. Host, path and body are found out later, and so is the location.
    pub fn new(
        event_loop: Rc<EventLoop>,
        client: Rc<Client>,
        head: RequestHead,
        server: Arc<ServerConf>,
        started: clock::Moment,
    ) -> Self {
        Self {
            event_loop,
            client,
            method: head.method,
            keepalive: head.persists(),
            head,
            location: Arc::clone(&server.defaults),
            server,
            host: Vec::new(),
            uri: Vec::new(),
            args: Vec::new(),
            uri_state: UriState::AsSent,
            captures: RefCell::default(),
            slots: Slots::default(),
            appends_to_alias: false,
            body: RequestBody::new(Framing::Empty, Expectation::None),
            head_bytes: 0,
            started,
            redirects_left: REDIRECTS_MOST,
            internal: false,
            part: None,
            slicing: Slicing::Unasked.into(),
            error_status: None,
            error_page: ErrorPage::Untaken,
            proxy_target: None,
            sent: Sent::default(),
            upstream: UpstreamFacts::default(),
            kept: KeptFields::default(),
            page: OnceCell::new(),
            limit_rate: None,
            request_id: OnceCell::new(),
        }
    }

    /// Returns what the worker keeps for the location in force.
    pub fn location_state(&self) -> &LocationState {
        self.event_loop.site.location(self.location.id)
    }

    /// Returns the bytes of the request so far: head and body with their framing (`$request_length`).
    pub fn request_length(&self) -> u64 {
        self.head_bytes + self.body.received()
    }

    /// Takes note of what an expression caught: `$1`, and the variables that its groups are.
    pub fn caught(&self, captures: Captures) {
        self.slots.take(&captures);
        self.captures.replace(captures);
    }

    /// Takes another path and arguments, as a `rewrite` does.
    ///
    /// As nginx: `internal` locations may be entered then.
    pub fn rewrite(&mut self, uri: Vec<u8>, args: Vec<u8>) {
        self.uri = uri;
        self.args = args;
        self.internal = true;
        self.changed();
    }

    /// Takes note that the request line no longer tells what is asked for.
    pub fn changed(&mut self) {
        if self.uri_state == UriState::AsSent {
            self.uri_state = UriState::Changed;
        }
    }

    /// Whether a client asked, rather than a page that is being put together.
    pub fn is_main(&self) -> bool {
        self.part.is_none()
    }

    /// Starts an internal redirect to a path and arguments.
    ///
    /// As nginx: at most ten, and the path may enter `internal` locations.
    pub fn redirect(&mut self, uri: Vec<u8>, args: Vec<u8>) {
        self.uri = uri;
        self.args = args;
        self.uri_state = UriState::Changed;
        self.enter_internally();
    }

    /// Goes on in a named location, with the path as it is.
    pub fn enter(&mut self, location: Arc<LocationConf>) {
        self.location = location;
        self.enter_internally();
    }

    fn enter_internally(&mut self) {
        self.internal = true;
        self.appends_to_alias = false;
        self.proxy_target = None;
        self.slicing.set(Slicing::Unasked);
        self.upstream.redirected_after.push(self.upstream.tries.len());
    }
}
