//! Sequences of choices, worked out by hand.

use std::net::{Ipv4Addr, SocketAddr};

use config::PeerAddress;

use super::*;

mod methods;

const SECOND: Duration = Duration::from_secs(1);

/// A server whose address ends in that number.
fn server(number: u8, weight: u32) -> UpstreamServer {
    UpstreamServer { weight, ..UpstreamServer::new(format!("10.0.0.{number}:80"), vec![address(number)]) }
}

fn group(servers: &[UpstreamServer]) -> Balancer {
    by(Balancing::RoundRobin, servers)
}

fn by(balancing: Balancing, servers: &[UpstreamServer]) -> Balancer {
    let conf = UpstreamConf { balancing, ..UpstreamConf::new("test".to_owned(), servers.to_vec()) };
    Balancer::new(&conf, 1)
}

fn address(number: u8) -> PeerAddress {
    PeerAddress::Inet(SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), 80)))
}

fn number_of(peer: &Peer) -> u8 {
    match &peer.address {
        PeerAddress::Inet(SocketAddr::V4(address)) => address.ip().octets()[3],
        other => panic!("{other:?} is no address of these tests"),
    }
}

/// Makes single requests that end at once.
fn picks(balancer: &mut Balancer, count: usize, now: Duration) -> Vec<u8> {
    let one = |_| {
        let peer = balancer.pick(&mut Search::default(), now)?;
        balancer.release(&peer);
        Some(number_of(&peer))
    };
    (0..count).map_while(one).collect()
}

/// Makes one request that every peer fails.
fn walk(balancer: &mut Balancer, now: Duration) -> Vec<u8> {
    let mut search = Search::default();
    std::iter::from_fn(|| balancer.pick(&mut search, now).map(|peer| number_of(&peer))).take(9).collect()
}

fn peer(balancer: &Balancer, number: u8) -> Arc<Peer> {
    let found = balancer.peers().find(|peer| number_of(peer) == number);
    Arc::clone(found.expect("it is in the group"))
}

#[test]
fn weights_are_spread_smoothly() {
    let cases: [(&str, &[u32], &[u8]); 3] = [
        ("equal", &[1, 1, 1], &[0, 1, 2, 0, 1, 2]),
        ("nginx's own example", &[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]),
        ("two to one", &[2, 1], &[0, 1, 0, 0, 1, 0]),
    ];
    for (name, weights, wanted) in cases {
        let servers: Vec<_> = (0..).zip(weights).map(|(number, weight)| server(number, *weight)).collect();
        assert_eq!(picks(&mut group(&servers), wanted.len(), SECOND), wanted, "{name}");
    }
}

#[test]
fn a_peer_that_failed_rests_and_comes_back() {
    let mut balancer = group(&[server(0, 1), server(1, 1)]);
    let first = peer(&balancer, 0);
    assert_eq!(balancer.failed(&first, SECOND), Standing::Disabled);
    assert_eq!(picks(&mut balancer, 3, 11 * SECOND), [1, 1, 1]);
    let later = picks(&mut balancer, 4, 12 * SECOND);
    assert!(later.contains(&0), "{later:?}");
    // It failed again: its one chance is used up until the next fail_timeout.
    balancer.failed(&first, 12 * SECOND);
    assert_eq!(picks(&mut balancer, 2, 13 * SECOND), [1, 1]);
}

#[test]
fn an_answer_after_the_rest_clears_the_failures() {
    let twice = |number| UpstreamServer { max_fails: 2, ..server(number, 1) };
    let mut balancer = group(&[twice(0), twice(1)]);
    let first = peer(&balancer, 0);
    assert_eq!(balancer.failed(&first, SECOND), Standing::InUse);
    balancer.succeeded(&first);
    assert_eq!(balancer.failed(&first, 2 * SECOND), Standing::Disabled, "too soon to be forgotten");
    picks(&mut balancer, 2, 20 * SECOND);
    balancer.succeeded(&first);
    assert_eq!(balancer.failed(&first, 21 * SECOND), Standing::InUse);
}

#[test]
fn without_max_fails_failures_do_not_count() {
    let mut balancer = group(&[UpstreamServer { max_fails: 0, ..server(0, 1) }, server(1, 1)]);
    let first = peer(&balancer, 0);
    for _ in 0..5 {
        assert_eq!(balancer.failed(&first, SECOND), Standing::InUse);
    }
    assert_eq!(picks(&mut balancer, 2, SECOND), [0, 1]);
}

#[test]
fn backups_stand_in_for_all_others() {
    let backup = UpstreamServer { backup: true, ..server(1, 1) };
    let down = UpstreamServer { down: true, ..server(2, 1) };
    let mut balancer = group(&[server(0, 1), backup, down]);
    assert_eq!(balancer.tries(), 2);
    assert_eq!(picks(&mut balancer, 2, SECOND), [0, 0]);
    assert_eq!(walk(&mut balancer, SECOND), [0, 1]);
}

#[test]
fn a_request_that_came_to_the_backups_stays_there() {
    let backup = |number| UpstreamServer { backup: true, ..server(number, 1) };
    let full = UpstreamServer { max_conns: 1, ..server(0, 1) };
    let mut balancer = group(&[full, backup(1), backup(2)]);
    let taken = balancer.pick(&mut Search::default(), SECOND).expect("it is free");
    let mut search = Search::default();
    assert_eq!(balancer.pick(&mut search, SECOND).map(|peer| number_of(&peer)), Some(1));
    balancer.release(&taken);
    assert_eq!(balancer.pick(&mut search, SECOND).map(|peer| number_of(&peer)), Some(2));
}

#[test]
fn a_peer_that_is_full_is_passed_over() {
    let limited = |number| UpstreamServer { max_conns: 1, ..server(number, 1) };
    let mut balancer = group(&[limited(0), limited(1)]);
    let pick = |balancer: &mut Balancer| balancer.pick(&mut Search::default(), SECOND);
    assert_eq!(pick(&mut balancer).map(|peer| number_of(&peer)), Some(0));
    let second = pick(&mut balancer).expect("one is free");
    assert!(pick(&mut balancer).is_none());
    balancer.release(&second);
    assert_eq!(pick(&mut balancer).map(|peer| number_of(&peer)), Some(1));
}

#[test]
fn a_peer_without_alternatives_is_always_asked() {
    let mut balancer = group(&[server(0, 1)]);
    let only = peer(&balancer, 0);
    assert_eq!(balancer.failed(&only, SECOND), Standing::InUse);
    assert_eq!(walk(&mut balancer, SECOND).len(), 9);
    let down = UpstreamServer { down: true, ..server(0, 1) };
    assert_eq!(walk(&mut group(&[down]), SECOND), [0; 0]);
}

#[test]
fn a_peer_whose_address_stays_survives_a_replacement() {
    let servers = [server(0, 1), server(1, 1)];
    let mut balancer = group(&servers);
    let (first, second) = (peer(&balancer, 0), peer(&balancer, 1));
    balancer.failed(&first, SECOND);
    balancer.replace(0, &servers[0], &[Place::new(address(7)), Place::new(address(0))]);
    assert_eq!(peer(&balancer, 0).id, first.id);
    assert_eq!(picks(&mut balancer, 4, SECOND), [7, 1, 7, 1], "its failure is remembered");
    let numbers: Vec<u8> = balancer.peers().map(|peer| number_of(peer)).collect();
    assert_eq!(numbers, [7, 0, 1], "peers stand in the order of their servers");
    balancer.replace(1, &servers[1], &[]);
    balancer.release(&second);
    assert_eq!(balancer.failed(&second, SECOND), Standing::InUse, "it is gone");
    balancer.replace(0, &servers[0], &[]);
    assert_eq!(walk(&mut balancer, SECOND), [0; 0]);
    let srv = Place { weight: Some(3), rank: Some(Rank::Backup), ..Place::new(address(2)) };
    balancer.replace(1, &servers[1], &[srv, Place::new(address(1))]);
    assert_eq!(walk(&mut balancer, SECOND), [1, 2], "records rank their places");
}

#[test]
fn an_unhealthy_peer_is_not_asked() {
    let mut balancer = group(&[server(0, 1), server(1, 1)]);
    let first = peer(&balancer, 0);
    balancer.failed(&first, SECOND);
    balancer.set_health(&first, Health::Unhealthy, SECOND);
    assert_eq!((picks(&mut balancer, 2, 20 * SECOND), balancer.tries()), (vec![1, 1], 1));
    balancer.set_health(&first, Health::Healthy, SECOND);
    assert_eq!(picks(&mut balancer, 2, SECOND), [0, 1], "its failures are forgotten");
    let mut alone = group(&[server(0, 1)]);
    let only = peer(&alone, 0);
    alone.set_health(&only, Health::Unhealthy, SECOND);
    assert_eq!(walk(&mut alone, SECOND), [0; 0]);
}
