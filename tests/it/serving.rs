//! The shortest way through: a request, an origin, an answer.

use crate::support::{Origin, Server, answer, location};

#[test]
fn one_of_five_simultaneous_requests_asks_the_origin() {
    let origin = Origin::script([answer(200).body("one"), answer(200).body("two")]);
    let server = Server::start(&location("proxy_cache zone; proxy_cache_lock on;", &origin));
    assert_eq!(server.get_at_once("/a", 5).bodies(), ["one"; 5]);
    assert_eq!(origin.request_count(), 1);
}
