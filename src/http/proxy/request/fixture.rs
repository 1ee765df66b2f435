//! An exchange as it stands when its request is to be passed on, for tests.

use std::{io, net::SocketAddr, path::PathBuf, rc::Rc, sync::Arc};

use config::{Content, Found, HostLookup, LocationConf, MainText, ProxyPass, Source};
use http1::{HeadRules, Progress, RequestHead, RequestParser, uri};
use tokio::net::UnixStream;

use crate::{
    clock,
    http::{
        Exchange,
        client::Client,
        request_body::{Expectation, RequestBody},
        site::{EventLoop, Site},
    },
    net::Drain,
};

/// Knows no names but those of one's own machine.
struct Loopback;

impl HostLookup for Loopback {
    fn lookup(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
    }

    fn hostname(&self) -> String {
        "localhost".to_owned()
    }
}

/// Sets up an event loop for a server block.
pub fn event_loop(server: &str) -> Rc<EventLoop> {
    let text = format!("events {{}} http {{ access_log off; server {{ listen 127.0.0.1:80; {server} }} }}");
    let main = MainText::Embedded { name: PathBuf::from("test"), text };
    let source = Source { prefix: PathBuf::from("/nowhere"), main, globals: None, error_log: None };
    let loaded = config::load(&source, &Loopback).expect("a valid configuration");
    let site = Site::new(Arc::new(loaded.config), Arc::default()).expect("nothing has to be opened");
    EventLoop::new(site, 0, Drain::default())
}

/// Makes an exchange of a request in that server block. The location has been found; a body has not been read.
pub fn exchange(server: &str, request: &str) -> Exchange {
    let event_loop = event_loop(server);
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.try_write(b"").expect("nothing is written");
    let client = Rc::new(Client::new(ours.into(), 1, 0));
    let mut head = RequestHead::new();
    let parsed = RequestParser::new().parse(request.as_bytes(), &HeadRules::default(), &mut head);
    let Ok(Progress::Done(used)) = parsed else { panic!("{parsed:?}") };
    client.input.borrow_mut().extend_from_slice(&request.as_bytes()[used..]);
    let framing = http1::request_framing(&head).expect("a certain end");
    let server = Arc::clone(&event_loop.site.http().listeners[0].default_server);
    let parsed = uri::normalize(head.path_and_query(), uri::MergeSlashes::Merged).expect("a valid target");
    let (uri, args) = (parsed.path.into_owned(), parsed.args.unwrap_or_default().to_vec());
    let Some(Found::Location { location, captures }) = server.locations.find(&uri) else {
        panic!("no location for this request")
    };
    let location = Arc::clone(location);
    Exchange {
        location,
        uri,
        args,
        captures: captures.into(),
        body: RequestBody::new(framing, Expectation::None),
        head_bytes: used as u64,
        keepalive: true,
        ..Exchange::new(event_loop, client, head, server, clock::moment())
    }
}

/// Returns the `proxy_pass` of a location.
pub fn pass(location: &LocationConf) -> &ProxyPass {
    match &location.content {
        Content::Proxy(pass) => pass,
        Content::Static => panic!("the location passes nothing on"),
    }
}
