//! Idle connections over loopback sockets.

use std::sync::Arc;

use config::{Keepalive, KeptFor, PeerAddress, UpstreamConf, UpstreamServer};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

use super::{
    super::{Dial, Search},
    *,
};

/// One peer, and what reaches it.
struct Bench {
    listener: TcpListener,
    group: Arc<Group>,
    pool: IdlePool,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut UpstreamConf)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = PeerAddress::Inet(listener.local_addr().expect("an address"));
        let mut conf =
            UpstreamConf::new("test".to_owned(), vec![UpstreamServer::new(String::new(), vec![address])]);
        conf.keepalive = Some(Keepalive { most: 2, kept_for: KeptFor::Group });
        change(&mut conf);
        Self { listener, group: Arc::new(Group::new(Arc::new(conf))), pool: IdlePool::default() }
    }

    fn pick(&self) -> Pick {
        self.group.pick(&mut Search::default(), clock::moment()).expect("the peer")
    }

    /// Connects, and returns both ends; ours is told apart by its number of requests.
    async fn connect(&self, requests: u64) -> (Connection, TcpStream) {
        let pick = self.pick();
        let dial = Dial { timeout: Duration::from_secs(10), ..Dial::default() };
        let open = Connection::open(&pick, &dial);
        let (ours, theirs) = tokio::join!(open, self.listener.accept());
        let mut ours = ours.expect("a connection");
        ours.requests = requests;
        (ours, theirs.expect("a connection").0)
    }

    fn take(&self) -> Option<u64> {
        self.take_for(0)
    }

    fn take_for(&self, location: usize) -> Option<u64> {
        self.pool.take(&self.pick(), None, None, location).map(|connection| connection.requests)
    }

    /// Waits until so many connections are idle.
    async fn until(&self, count: usize) {
        while self.pool.len() != count {
            tokio::task::yield_now().await;
        }
    }
}

async fn local(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(20);
    let done = LocalSet::new().run_until(async { tokio::time::timeout(limit, test).await }).await;
    done.expect("the test ends in time");
}

#[tokio::test]
async fn the_one_used_last_is_taken_first_and_the_oldest_goes() {
    local(async {
        let bench = Bench::new(|_| ()).await;
        let mut peers = Vec::new();
        for number in 1..=3 {
            let (connection, peer) = bench.connect(number).await;
            bench.pool.put(&bench.group, connection);
            peers.push(peer);
        }
        assert_eq!([bench.take(), bench.take(), bench.take()], [Some(3), Some(2), None]);
    })
    .await;
}

#[tokio::test]
async fn limits_of_a_connection_are_kept() {
    local(async {
        type Change = fn(&mut UpstreamConf);
        let cases: [(&str, Change); 3] = [
            ("requests", |conf| conf.keepalive_requests = 5),
            ("age", |conf| conf.keepalive_time = Duration::ZERO),
            ("no keepalive", |conf| conf.keepalive = None),
        ];
        for (name, change) in cases {
            let bench = Bench::new(change).await;
            let (connection, _peer) = bench.connect(5).await;
            // The clock is coarse: age is over zero only after a tick.
            while connection.opened.elapsed().is_zero() {
                tokio::task::yield_now().await;
            }
            bench.pool.put(&bench.group, connection);
            assert_eq!(bench.take(), None, "{name}");
        }
        let bench = Bench::new(|_| ()).await;
        let (mut connection, _peer) = bench.connect(1).await;
        connection.input.extend_from_slice(b"x");
        bench.pool.put(&bench.group, connection);
        assert_eq!(bench.take(), None, "bytes that belong to no answer");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_closes_or_speaks_while_idle_is_dropped() {
    local(async {
        let bench = Bench::new(|_| ()).await;
        let (first, closing) = bench.connect(1).await;
        let (second, mut speaking) = bench.connect(2).await;
        bench.pool.put(&bench.group, first);
        bench.pool.put(&bench.group, second);
        bench.until(2).await;
        drop(closing);
        bench.until(1).await;
        speaking.write_all(b"x").await.expect("room");
        bench.until(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_kept_for_its_time_only() {
    local(async {
        let bench = Bench::new(|conf| conf.keepalive_timeout = Duration::from_millis(30)).await;
        let (connection, _peer) = bench.connect(1).await;
        bench.pool.put(&bench.group, connection);
        assert_eq!(bench.pool.len(), 1);
        bench.until(0).await;
    })
    .await;
}

#[tokio::test]
async fn local_connections_belong_to_their_location() {
    local(async {
        let keepalive = Keepalive { most: 2, kept_for: KeptFor::Location };
        let bench = Bench::new(|conf| conf.keepalive = Some(keepalive)).await;
        let (connection, _peer) = bench.connect(1).await;
        bench.pool.put(&bench.group, connection);
        assert_eq!([bench.take_for(1), bench.take_for(0)], [None, Some(1)]);
    })
    .await;
}
