//! Which protocol a connection speaks: as TLS has agreed, or as a client of clear text begins.

use std::{io, rc::Rc};

use tls::HTTP2_NAME;

use super::{client::Client, h1, h2, secure::Arrival, site::EventLoop};
use crate::net::Timer;

/// Serves one connection until it ends.
pub async fn serve(event_loop: Rc<EventLoop>, arrival: Arrival) {
    let client = Client::arrived(arrival);
    if let Some(stream) = client.stream.tls() {
        return match stream.has_agreed_on(HTTP2_NAME) {
            true => h2::serve(event_loop, client).await,
            false => h1::serve(event_loop, client).await,
        };
    }
    let conf = &event_loop.site.http().listeners[client.listener];
    if !conf.protocols.http2 && !*conf.default_server.http2.http2 {
        return h1::serve(event_loop, client).await;
    }
    let mut timer = Timer::new(*conf.default_server.core.client_header_timeout);
    match timer.limit(begins_with_preface(&client)).await {
        Ok(true) => h2::serve(event_loop, client).await,
        Ok(false) => h1::serve(event_loop, client).await,
        // As with HTTP/1: who says nothing is left without a word.
        Err(_) => {}
    }
}

/// Reads until it is clear how a client begins. As nginx: HTTP/1 and HTTP/2 share a port.
async fn begins_with_preface(client: &Client) -> io::Result<bool> {
    loop {
        let begins = {
            let input = client.input.borrow();
            let common = input.len().min(h2::PREFACE.len());
            match input[..common] == h2::PREFACE[..common] {
                true if common == h2::PREFACE.len() => Some(true),
                true => None,
                false => Some(false),
            }
        };
        match begins {
            Some(begins) => return Ok(begins),
            None if client.receive().await? == 0 => return Ok(false),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::UnixStream};

    use super::*;

    #[tokio::test]
    async fn protocols_are_told_by_their_first_bytes() {
        for (pieces, wanted) in [
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], true),
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"], true),
            (&["P", "RI * HT", "TP/2.0\r\n\r\nSM\r\n\r", "\n"], true),
            (&["GET / HTTP/1.1\r\n"], false),
            (&["P", "OST / HTTP/1.1\r\n"], false),
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"], false),
            (&["PRI"], false),
            (&[], false),
        ] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let client = Client::new(ours.into(), 1, 0);
            let send = async {
                for piece in pieces {
                    theirs.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
                theirs.shutdown().await.unwrap();
            };
            let (found, ()) = tokio::join!(begins_with_preface(&client), send);
            assert_eq!(found.unwrap(), wanted, "{pieces:?}");
        }
    }
}
