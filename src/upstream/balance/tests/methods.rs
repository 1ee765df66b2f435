//! The methods other than round robin, sessions, and peers that start slowly.

use config::{Better, LeastTime, Measure, Template};

use super::{
    Affinity, Arc, Balancer, Balancing, Duration, Health, Peer, Place, SECOND, Search, UpstreamServer,
    address, by, group, number_of, peer, picks, server,
};

/// Three servers with these weights.
fn three(weights: [u32; 3]) -> Vec<UpstreamServer> {
    (0..).zip(weights).map(|(number, weight)| server(number, weight)).collect()
}

fn keyed(hashed: &[u8]) -> Search {
    Search::new(Affinity { hashed: hashed.to_vec(), route: None })
}

fn bound(route: &str) -> Search {
    Search::new(Affinity { hashed: Vec::new(), route: Some(route.as_bytes().to_vec()) })
}

/// Makes a request, and returns the peer that is still busy with it.
fn start(balancer: &mut Balancer, mut search: Search) -> (u8, Arc<Peer>) {
    let peer = balancer.pick(&mut search, SECOND).expect("a peer");
    (number_of(&peer), peer)
}

/// Follows a request that every peer fails.
fn order(balancer: &mut Balancer, mut search: Search) -> Vec<u8> {
    std::iter::from_fn(|| balancer.pick(&mut search, SECOND).map(|peer| number_of(&peer))).take(9).collect()
}

#[test]
fn least_conn_fills_peers_by_weight() {
    let mut balancer = by(Balancing::LeastConn, &three([2, 1, 1]));
    let taken: Vec<_> = (0..8).map(|_| start(&mut balancer, Search::default())).collect();
    let numbers: Vec<u8> = taken.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 1, 2, 0, 2, 0, 1, 0]);
    // Whoever is done first is asked next.
    balancer.release(&taken[2].1);
    assert_eq!(start(&mut balancer, Search::default()).0, 2);
}

#[test]
fn least_conn_comes_to_the_backups_last() {
    let mut servers = three([1, 1, 1]);
    servers[0].backup = true;
    assert_eq!(order(&mut by(Balancing::LeastConn, &servers), Search::default()), [1, 2, 0]);
}

#[test]
fn keys_and_addresses_find_the_servers_that_they_find_in_nginx() {
    // What nginx 1.22 answered for the servers 127.0.0.1:1, :2 and :3 with the weights 1, 2 and 1.
    let hash = || Balancing::Hash(Template::default());
    let ring = || Balancing::ConsistentHash(Template::default());
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("an address").octets().to_vec();
    let cases: [(Balancing, Vec<u8>, [u8; 3]); 12] = [
        (hash(), b"a".to_vec(), [2, 0, 1]),
        (hash(), b"b".to_vec(), [1, 2, 0]),
        (hash(), b"/some/path".to_vec(), [0, 1, 2]),
        (ring(), b"a".to_vec(), [1, 2, 0]),
        (ring(), b"b".to_vec(), [2, 0, 1]),
        (ring(), b"/some/path".to_vec(), [2, 1, 0]),
        (ring(), b"key".to_vec(), [0, 1, 2]),
        (Balancing::IpHash, vec![127, 0, 0], [0, 1, 2]),
        (Balancing::IpHash, vec![127, 1, 2], [2, 1, 0]),
        (Balancing::IpHash, vec![10, 20, 30], [2, 0, 1]),
        (Balancing::IpHash, vec![192, 168, 7], [0, 2, 1]),
        (Balancing::IpHash, address("2001:db8::1"), [0, 2, 1]),
    ];
    let mut servers = three([1, 2, 1]);
    for (number, server) in (1..).zip(&mut servers) {
        server.name = format!("127.0.0.1:{number}");
    }
    for (balancing, key, wanted) in cases {
        let mut balancer = by(balancing.clone(), &servers);
        assert_eq!(order(&mut balancer, keyed(&key)), wanted, "{balancing:?} {key:?}");
    }
}

#[test]
fn an_empty_key_is_left_to_round_robin() {
    for balancing in [Balancing::Hash(Template::default()), Balancing::ConsistentHash(Template::default())] {
        let mut balancer = by(balancing, &three([1, 1, 1]));
        assert_eq!(picks(&mut balancer, 3, SECOND), [0, 1, 2]);
    }
}

#[test]
fn a_key_on_the_ring_moves_to_the_next_server_and_back() {
    let mut balancer = by(Balancing::ConsistentHash(Template::default()), &three([1, 1, 1]));
    let (first, peer) = start(&mut balancer, keyed(b"key"));
    balancer.release(&peer);
    let order = order(&mut balancer, keyed(b"key"));
    assert_eq!((order[0], order.len()), (first, 3));
    balancer.failed(&peer, SECOND);
    assert_eq!(start(&mut balancer, keyed(b"key")).0, order[1]);
    assert_eq!(balancer.pick(&mut keyed(b"key"), 20 * SECOND).map(|peer| number_of(&peer)), Some(first));
}

#[test]
fn several_addresses_of_a_server_share_its_keys() {
    let name = "name:80".to_owned();
    let servers = [
        UpstreamServer::new(name, vec![address(1), address(2)]),
        UpstreamServer { down: true, ..server(3, 1) },
    ];
    let mut balancer = by(Balancing::ConsistentHash(Template::default()), &servers);
    let mut numbers: Vec<u8> = (0..4).map(|_| start(&mut balancer, keyed(b"key")).0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 1, 2, 2]);
    balancer.replace(0, &servers[0], &[Place::new(address(9))]);
    assert_eq!(start(&mut balancer, keyed(b"key")).0, 9);
}

#[test]
fn chance_keeps_the_weights() {
    let cases = [
        (Balancing::Random, [2, 1, 1], [5000, 2500, 2500]),
        (Balancing::Random, [1, 1, 8], [1000, 1000, 8000]),
        // With nothing under way both are equal, and the second one found is taken.
        (Balancing::RandomTwo(Better::LeastConn), [1, 1, 1], [3333, 3333, 3333]),
    ];
    for (balancing, weights, wanted) in cases {
        let mut balancer = by(balancing.clone(), &three(weights));
        let mut counts = [0_i32; 3];
        for number in picks(&mut balancer, 10_000, SECOND) {
            counts[usize::from(number)] += 1;
        }
        let is_near = counts.iter().zip(wanted).all(|(count, wanted)| (count - wanted).abs() < 200);
        assert!(is_near, "{balancing:?} {weights:?}: {counts:?}");
    }
}

#[test]
fn the_better_of_two_is_less_busy() {
    let mut balancer = by(Balancing::RandomTwo(Better::LeastConn), &three([1, 1, 1]));
    let mut counts = [0_u32; 3];
    for _ in 0..300 {
        counts[usize::from(start(&mut balancer, Search::default()).0)] += 1;
    }
    assert!(counts.iter().all(|count| (95..=105).contains(count)), "{counts:?}");
}

#[test]
fn quick_peers_are_asked_more_often() {
    for balancing in [
        Balancing::LeastTime(LeastTime { measure: Measure::Header, inflight: false }),
        Balancing::LeastTime(LeastTime { measure: Measure::LastByte, inflight: true }),
    ] {
        let mut balancer = by(balancing, &three([1, 1, 1]));
        for (number, time_ms) in [(0, 30), (1, 10), (2, 100)] {
            let peer = peer(&balancer, number);
            balancer.begin(&peer, SECOND);
            balancer.end(&peer, SECOND, Some(Duration::from_millis(time_ms)));
        }
        let numbers: Vec<u8> = (0..5).map(|_| start(&mut balancer, Search::default()).0).collect();
        // 10 ms, 20 ms, then 30 ms twice in turn, then 40 ms.
        assert_eq!(numbers, [1, 1, 0, 1, 1]);
    }
}

#[test]
fn a_request_that_waits_speaks_against_its_peer() {
    let inflight = |inflight| Balancing::LeastTime(LeastTime { measure: Measure::Header, inflight });
    for (balancing, wanted) in [(inflight(false), [0, 0]), (inflight(true), [1, 1])] {
        let mut balancer = by(balancing, &[server(0, 4), server(1, 1)]);
        let first = peer(&balancer, 0);
        balancer.begin(&first, SECOND);
        assert_eq!(picks(&mut balancer, 2, 3 * SECOND), wanted);
    }
}

#[test]
fn a_request_goes_to_the_peer_that_it_is_bound_to() {
    let routed = |number, route: &str| UpstreamServer { route: Some(route.to_owned()), ..server(number, 1) };
    let servers = [routed(0, "a"), UpstreamServer { drain: true, ..routed(1, "b") }, routed(2, "c")];
    for balancing in [Balancing::RoundRobin, Balancing::LeastConn, Balancing::Hash(Template::text("x"))] {
        let mut balancer = by(balancing, &servers);
        assert_eq!(order(&mut balancer, bound("b")), [1, 0, 2], "a peer that drains takes its own");
        assert_eq!(order(&mut balancer, bound("c")).first(), Some(&2));
        assert_eq!(order(&mut balancer, bound("x")).len(), 2, "nobody is called so");
        let second = peer(&balancer, 1);
        balancer.failed(&second, SECOND);
        assert_eq!(order(&mut balancer, bound("b")).len(), 2, "it rests");
    }
}

#[test]
fn requests_that_are_bound_count_in_turns() {
    let routed = |number: u8| UpstreamServer { route: Some(number.to_string()), ..server(number, 1) };
    let mut balancer = group(&[routed(0), routed(1)]);
    let numbers: Vec<u8> = (0..3)
        .flat_map(|_| [bound("0"), Search::default()])
        .map(|search| start(&mut balancer, search).0)
        .collect();
    assert_eq!(numbers, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn a_peer_that_recovers_starts_slowly() {
    let slow = UpstreamServer { slow_start: 100 * SECOND, ..server(0, 1) };
    let mut balancer = group(&[slow, server(1, 1)]);
    let first = peer(&balancer, 0);
    balancer.failed(&first, SECOND);
    // It rests until the twelfth second, and is back with its full weight a hundred seconds later.
    let share = |balancer: &mut Balancer, second| {
        let mut one = || {
            let numbers = picks(balancer, 1, second * SECOND);
            balancer.succeeded(&first);
            numbers == [0]
        };
        (0..100).filter(|_| one()).count()
    };
    let shares = [5, 12, 37, 62, 112].map(|second| share(&mut balancer, second));
    assert_eq!(shares, [0, 0, 20, 33, 50], "a quarter of its weight, half of it, all of it");
    balancer.set_health(&first, Health::Unhealthy, 200 * SECOND);
    balancer.set_health(&first, Health::Healthy, 210 * SECOND);
    assert_eq!(share(&mut balancer, 235), 20, "after a check too");
}
