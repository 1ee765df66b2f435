//! Who can come back, in handshakes in memory.

use rustls::{ClientConfig, HandshakeKind, client::Resumption};
use rustls_pki_types::UnixTime;

use super::*;
use crate::{
    client_sessions::ClientSessions,
    rehearsal::{self, Ends, TestClock, Version},
    resolver::Resolver,
};

const TIMEOUT: Duration = Duration::from_secs(300);

/// What several servers have in common.
struct Site {
    resolver: Arc<Resolver>,
    zone: Arc<SessionZone>,
    keys: Arc<TicketKeys>,
    clock: Arc<TestClock>,
}

/// What is written in a server block.
#[derive(Clone, Copy)]
struct Block {
    cache: &'static str,
    tickets: &'static str,
    early_data: ZeroRtt,
    context: &'static str,
}

const PLAIN: Block = Block { cache: "none", tickets: "on", early_data: ZeroRtt::Refused, context: "a" };

impl Site {
    fn new() -> Self {
        let start = UnixTime::since_unix_epoch(Duration::from_secs(1000));
        Self {
            resolver: Arc::new(rehearsal::resolver()),
            zone: SessionZone::with_size(1 << 20),
            keys: TicketKeys::changing(TIMEOUT, start).unwrap(),
            clock: TestClock::at(1000),
        }
    }

    fn server(&self, block: Block) -> Arc<ServerConfig> {
        let (own, shared) = match block.cache {
            "off" => (Some(OwnCache::Off), None),
            "none" => (Some(OwnCache::Nothing), None),
            "builtin" => (Some(OwnCache::Builtin(10)), None),
            _ => (None, Some(config::SharedCache { name: "zone".to_owned(), size_bytes: 1 << 20 })),
        };
        let cache = SessionCache { own, shared };
        let wish = ResumptionWish {
            cache: &cache,
            shared: cache.shared.is_some().then(|| Arc::clone(&self.zone)),
            tickets: (block.tickets == "on").then(|| Arc::clone(&self.keys)),
            timeout: TIMEOUT,
            early_data: block.early_data,
        };
        let mut server = rehearsal::server(Arc::<Resolver>::clone(&self.resolver));
        let clock: Arc<dyn TimeProvider> = Arc::<TestClock>::clone(&self.clock);
        wish.keeper(clock).apply(&mut server, SessionContext::of([block.context.as_bytes()]));
        Arc::new(server)
    }
}

/// A client that remembers its sessions.
fn client(version: Version) -> Arc<ClientConfig> {
    let mut client = rehearsal::client(version);
    client.resumption = Resumption::store(Arc::new(ClientSessions::default()));
    client.enable_early_data = true;
    Arc::new(client)
}

fn resumed(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> bool {
    let Ends { client, server } = rehearsal::meet(client, server).unwrap();
    assert_eq!(client.handshake_kind(), server.handshake_kind());
    client.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn clients_come_back_as_cache_and_tickets_say() {
    let table = [
        ("off", "on", true),
        ("none", "on", true),
        ("builtin", "on", true),
        ("shared", "on", true),
        ("off", "off", false),
        ("none", "off", false),
        ("builtin", "off", true),
        ("shared", "off", true),
    ];
    for (cache, tickets, wanted) in table {
        for version in Version::ALL {
            let site = Site::new();
            let (client, server) = (client(version), site.server(Block { cache, tickets, ..PLAIN }));
            let case = format!("cache {cache}, tickets {tickets}, {version:?}");
            assert!(!resumed(&client, &server), "{case}");
            site.clock.set(1299);
            assert_eq!(resumed(&client, &server), wanted, "{case}");
            // What the second handshake gave is good until 1599, what the first gave is over.
            site.clock.set(1600);
            assert!(!resumed(&client, &server), "{case}: late");
        }
    }
}

#[test]
fn no_session_is_taken_up_under_another_blocks_settings() {
    for (cache, tickets) in [("shared", "on"), ("shared", "off")] {
        for version in Version::ALL {
            let site = Site::new();
            let block = Block { cache, tickets, ..PLAIN };
            let (open, same) = (site.server(block), site.server(block));
            let guarded = site.server(Block { context: "asks for certificates", ..block });
            let client = client(version);
            let case = format!("tickets {tickets}, {version:?}");
            assert!(!resumed(&client, &open), "{case}");
            assert!(resumed(&client, &same), "{case}");
            assert!(!resumed(&client, &guarded), "{case}");
            assert!(resumed(&client, &guarded), "{case}");
            // With TLS 1.2 the client now knows the guarded one's session only.
            assert!(!resumed(&client, &open) || version == Version::Tls13, "{case}");
        }
    }
}

#[test]
fn a_first_flight_is_taken_once_for_each_session() {
    for (cache, tickets) in [("none", "on"), ("off", "off"), ("shared", "on"), ("builtin", "off")] {
        let site = Site::new();
        let server = site.server(Block { cache, tickets, early_data: ZeroRtt::Taken, ..PLAIN });
        let client = client(Version::Tls13);
        assert!(!resumed(&client, &server), "{cache} {tickets}");
        assert_eq!(early(&client, &server).as_deref(), Some(b"GET /".as_slice()), "{cache} {tickets}");
        // The same session again, as who repeats a recorded packet has it: nothing is taken.
        site.clock.set(5000);
        assert_eq!(early(&client, &server), None, "{cache} {tickets}");
    }
    let site = Site::new();
    let (client, server) = (client(Version::Tls13), site.server(PLAIN));
    assert!(!resumed(&client, &server));
    assert_eq!(early(&client, &server), None);
}

/// Sends early data and tells what of it arrives.
fn early(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Option<Vec<u8>> {
    use std::io::{Read as _, Write as _};

    let mut client =
        rustls::ClientConnection::new(Arc::clone(client), "a.example".try_into().unwrap()).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::clone(server)).unwrap();
    client.early_data()?.write_all(b"GET /").unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    server.read_tls(&mut bytes.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    let mut arrived = Vec::new();
    server.early_data()?.read_to_end(&mut arrived).unwrap();
    Some(arrived)
}
