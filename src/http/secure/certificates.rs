//! Certificates that variables name: which they are comes out with what a client says first.
//!
//! Variables are those of a request without a head, to the server that the client's name leads to. As nginx: a block's names are
//! worked out for each handshake, and files are read with the worker's rights.

use std::{rc::Rc, sync::Arc};

use config::{SslVariable, Variable, VariableSource};
use http1::RequestHead;
use rustls::sign::CertifiedKey;
use tls::{IdentityError, NamedServer, Pair};

use super::Secured;
use crate::{
    clock::{self, Moment},
    http::{Exchange, client::Client, site::EventLoop},
    net::{
        Socket, Stream,
        tls::{Greeting, HelloFacts},
    },
};

/// Finds the names of the certificates for a client.
pub fn named(
    event_loop: &Rc<EventLoop>,
    (listener, serial): (usize, u64),
    greeting: Greeting,
    secured: Secured,
    server: &NamedServer,
) -> (Greeting, Secured, Vec<Pair>) {
    let find = |socket: Socket, hello: HelloFacts| {
        let block = Arc::clone(&secured.server);
        let mut client = Client::new(Stream::Plain(socket), serial, listener);
        client.secured = Some(Rc::new(secured));
        let client = Rc::new(client);
        let (event_loop, head) = (Rc::clone(event_loop), RequestHead::new());
        let exchange = Exchange::new(event_loop, Rc::clone(&client), head, block, clock::moment());
        let pairs = server.pairs(&Beginning { exchange: &exchange, hello: &hello });
        drop(exchange);
        let (socket, secured) = taken_apart(client);
        (socket, (secured, pairs))
    };
    let (greeting, (secured, pairs)) = greeting.consider(find);
    (greeting, secured, pairs)
}

fn taken_apart(client: Rc<Client>) -> (Socket, Secured) {
    let Client { stream, secured, .. } = Rc::into_inner(client).expect("the exchange is gone");
    let secured = secured.and_then(Rc::into_inner).expect("it was given to this client only");
    match Rc::into_inner(stream) {
        Some(Stream::Plain(socket)) => (socket, secured),
        Some(Stream::Tls(_)) | None => unreachable!("it was given to this client only, in clear text"),
    }
}

/// Returns the certificates of those names: what is kept at once, all else read on another thread.
pub async fn shown(
    server: &Arc<NamedServer>,
    pairs: Vec<Pair>,
) -> Result<Vec<Arc<CertifiedKey>>, IdentityError> {
    let now = clock::moment().since(Moment::default());
    if let Some(kept) = server.kept(&pairs, now) {
        return Ok(kept);
    }
    let server = Arc::clone(server);
    match tokio::task::spawn_blocking(move || server.load(&pairs, now)).await {
        Ok(loaded) => loaded,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A handshake of which there is the first message only.
struct Beginning<'a> {
    exchange: &'a Exchange,
    hello: &'a HelloFacts,
}

impl VariableSource for Beginning<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        let Variable::Ssl(variable) = variable else {
            return self.exchange.write_within(self, variable, out);
        };
        let value = value(self.hello, variable).unwrap_or_default();
        out.extend_from_slice(value.as_bytes());
        !value.is_empty()
    }

    fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
        self.exchange.write_capture(number, out)
    }
}

/// What is known of TLS before anything is agreed on.
fn value(hello: &HelloFacts, variable: &SslVariable) -> Option<String> {
    use SslVariable as S;
    match variable {
        S::ServerName => hello.server_name.clone(),
        S::Ciphers => Some(tls::cipher_names(&hello.ciphers)),
        S::Curves => Some(tls::curve_names(&hello.groups)),
        S::ClientVerify => Some("NONE".to_owned()),
        S::SessionReused => Some(".".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_answer_there_is_what_the_client_said() {
        let hello = HelloFacts {
            server_name: Some("a.test".to_owned()),
            ciphers: [rustls::CipherSuite::TLS13_AES_128_GCM_SHA256].into(),
            groups: [rustls::NamedGroup::X25519].into(),
        };
        let table = [
            (SslVariable::ServerName, Some("a.test")),
            (SslVariable::Ciphers, Some("TLS_AES_128_GCM_SHA256")),
            (SslVariable::Curves, Some("X25519")),
            (SslVariable::ClientVerify, Some("NONE")),
            (SslVariable::SessionReused, Some(".")),
            (SslVariable::Protocol, None),
            (SslVariable::ClientSDn, None),
        ];
        for (variable, wanted) in table {
            assert_eq!(value(&hello, &variable).as_deref(), wanted, "{variable:?}");
        }
    }
}
