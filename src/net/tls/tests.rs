//! Both sides of a connection in one event loop, over socket pairs.

use std::{sync::Arc, task::Waker};

use bytes::Bytes;
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::net::UnixStream;

use super::*;
use crate::net::Stream;

/// A server's configuration, and one of clients that trust it.
fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

async fn accept(socket: Socket, config: Arc<ServerConfig>) -> Result<TlsStream, HandshakeError> {
    match Greeting::receive(socket).await? {
        Opening::Tls(greeting) => greeting.answer(config).await,
        Opening::Plain(..) | Opening::Silence => panic!("the client speaks TLS"),
    }
}

/// The server's end and the client's.
async fn pair() -> (Stream, Stream) {
    let (server, client) = configs();
    let (near, far) = UnixStream::pair().unwrap();
    let connect = async {
        let far = Stream::from(TlsStream::connect(far.into(), client, name()).await.unwrap());
        // Else the end of the handshake waits for the first bytes.
        far.flush().await.unwrap();
        far
    };
    let (near, far) = tokio::join!(accept(near.into(), server), connect);
    (near.unwrap().into(), far)
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(60), work).await.expect("it comes to an end");
    });
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = stream.write(&bytes[..bytes.len().min(300_000)]).await.unwrap();
        bytes = &bytes[count..];
    }
    stream.flush().await.unwrap();
}

/// Reads until the end or `most` bytes, with room for `room` at a time.
async fn read_all(stream: &Stream, room: usize, most: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < most {
        let mut buffer = BytesMut::with_capacity(room);
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => assert!(count == buffer.len() && count <= buffer.capacity()),
        }
        all.extend_from_slice(&buffer);
    }
    all
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

/// Waits until something has arrived, and says whether that leaves the connection quiet.
async fn is_quiet_after_more(stream: &Stream) -> bool {
    stream.socket().readable().await.unwrap();
    is_quiet(stream)
}

fn is_quiet(stream: &Stream) -> bool {
    stream.is_quiet(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn both_sides_know_what_they_agreed_on() {
    run(async {
        let (near, far) = pair().await;
        for stream in [&near, &far] {
            let version = stream.tls().unwrap().inspect(CommonState::protocol_version);
            assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
        }
        assert_eq!(near.tls().unwrap().server_name(), Some("localhost"));
        assert!(!near.tls().unwrap().hello().unwrap().ciphers.is_empty());
        assert!(far.tls().unwrap().hello().is_none());
    });
}

#[test]
fn bodies_arrive_whatever_the_pieces() {
    run(async {
        for (len, room) in [(1, 1), (5000, 7), (100_000, 100), (3_000_000, 16 << 10), (3_000_000, 200_000)] {
            let (near, far) = pair().await;
            let body = pattern(len);
            let exchange = async |stream: &Stream| {
                let ((), read) = tokio::join!(write_all(stream, &body), read_all(stream, room, len));
                assert!(read == body, "{len} bytes, {room} at a time");
            };
            tokio::join!(exchange(&near), exchange(&far));
        }
    });
}

#[test]
fn a_word_at_the_end_is_told_from_none() {
    run(async {
        let (near, far) = pair().await;
        far.write(b"bye").await.unwrap();
        far.shutdown_write().unwrap();
        assert_eq!(read_all(&near, 100, 100).await, b"bye");
        assert!(!near.tls().unwrap().was_truncated());
        // The other direction goes on.
        write_all(&near, &pattern(100_000)).await;
        drop(near);
        assert_eq!(read_all(&far, 1000, usize::MAX).await.len(), 100_000);
        assert!(!far.tls().unwrap().was_truncated());

        let (near, far) = pair().await;
        far.write(b"by").await.unwrap();
        far.tls().unwrap().forgo_goodbye();
        drop(far);
        assert_eq!(read_all(&near, 100, 100).await, b"by");
        assert!(near.tls().unwrap().was_truncated());
    });
}

#[test]
fn tickets_and_new_keys_leave_a_connection_quiet() {
    run(async {
        let (near, far) = pair().await;
        assert!(is_quiet(&far));
        near.flush().await.unwrap();
        assert!(is_quiet_after_more(&far).await, "tickets");
        near.tls().unwrap().session.borrow_mut().refresh_keys();
        near.flush().await.unwrap();
        assert!(is_quiet_after_more(&far).await, "new keys");
        near.write(b"x").await.unwrap();
        assert!(!is_quiet_after_more(&far).await, "a byte");
        assert_eq!(read_all(&far, 10, 1).await, b"x");

        assert!(is_quiet(&near));
        drop(far);
        assert!(!is_quiet_after_more(&near).await, "the end");
    });
}

#[test]
fn looking_at_the_peer_takes_nothing() {
    run(async {
        let (near, far) = pair().await;
        near.flush().await.unwrap();
        let (side, ()) = tokio::join!(far.peek_end(), async {
            tokio::task::yield_now().await;
            near.write(b"here").await.unwrap();
        });
        assert_eq!(side.unwrap(), PeerSide::Sending);
        assert_eq!(far.peek_end().await.unwrap(), PeerSide::Sending);
        assert_eq!(read_all(&far, 10, 4).await, b"here");
        near.shutdown_write().unwrap();
        assert_eq!(far.peek_end().await.unwrap(), PeerSide::Closed);
    });
}

#[test]
fn a_peer_that_reads_nothing_stops_the_writer() {
    run(async {
        let (near, far) = pair().await;
        let body = pattern(50_000_000);
        let mut sent = 0;
        loop {
            match near.try_write(&body[sent..]) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(sent < 5_000_000, "{sent} bytes for nobody");
        let (_, read) = tokio::join!(near.flush(), read_all(&far, 16 << 10, sent));
        assert!(read == body[..sent]);
    });
}

#[test]
fn files_and_slices_are_sent() {
    run(async {
        let (near, far) = pair().await;
        let body = Bytes::from(pattern(200_000));
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &body).unwrap();
        let file = Arc::new(file);
        let send = async {
            let mut offset = 0;
            while let count @ 1.. = near.send_file(&file, offset, 1 << 20).await.unwrap() {
                offset += count as u64;
            }
            near.write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")]).await.unwrap();
            near.flush().await.unwrap();
        };
        let ((), read) = tokio::join!(send, read_all(&far, 16 << 10, 200_008));
        assert!(read[..200_000] == body);
        assert_eq!(&read[200_000..], b"headbody");
    });
}

#[test]
fn what_is_no_tls_is_handed_back() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let far = Stream::from(far);
        far.write(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let Ok(Opening::Plain(_, bytes)) = Greeting::receive(near.into()).await else { panic!("plain text") };
        assert_eq!(bytes, "GET / HTTP/1.0\r\n\r\n");

        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert!(matches!(Greeting::receive(near.into()).await, Ok(Opening::Silence)));

        let (near, far) = UnixStream::pair().unwrap();
        let far = Stream::from(far);
        far.write(b"\x16\x03\x01\x00\x04\x01\0\0\0").await.unwrap();
        assert!(matches!(Greeting::receive(near.into()).await, Err(HandshakeError::Refused(_))));
        assert_eq!(read_all(&far, 100, 100).await[0], ALERT, "the client is told");
    });
}

const ALERT: u8 = 21;

#[test]
fn handshakes_that_fail_say_why() {
    run(async {
        let (server, client) = configs();
        let (near, far) = UnixStream::pair().unwrap();
        let refuse = async {
            let Ok(Opening::Tls(greeting)) = Greeting::receive(near.into()).await else { panic!("TLS") };
            assert_eq!(greeting.hello().server_name(), Some("localhost"));
            greeting.refuse(112);
        };
        let ((), refused) = tokio::join!(refuse, TlsStream::connect(far.into(), client, name()));
        let Err(HandshakeError::Refused(error)) = refused else { panic!("refused") };
        assert_eq!(error, rustls::Error::AlertReceived(AlertDescription::UnrecognisedName));

        // A client that trusts somebody else.
        let (_, stranger) = configs();
        let (near, far) = UnixStream::pair().unwrap();
        let connect = TlsStream::connect(far.into(), stranger, name());
        let (near, far) = tokio::join!(accept(near.into(), Arc::clone(&server)), connect);
        let (Err(near), Err(far)) = (near, far) else { panic!("both know") };
        assert!(near.to_string().contains("SSL_do_handshake() failed (SSL: "), "{near}");
        assert!(far.to_string().contains("certificate"), "{far}");

        let (_, client) = configs();
        let (near, far) = UnixStream::pair().unwrap();
        drop(near);
        let gone = TlsStream::connect(far.into(), client, name()).await;
        assert!(gone.is_err());
    });
}
