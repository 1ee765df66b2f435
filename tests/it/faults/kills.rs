//! Processes killed at random points, two hundred times with those of `crashes.rs`: three more servers side by side.

use std::thread;

use crate::crashes;

/// How many servers are killed at a time.
const SERVERS: usize = 3;

#[test]
fn another_hundred_and_fifty_kills_tear_nothing() {
    assert_eq!((SERVERS + 1) * crashes::KILLS, 200);
    thread::scope(|scope| {
        let runs: Vec<_> =
            (1..=SERVERS).map(|run| scope.spawn(move || crashes::survive_kills(run))).collect();
        runs.into_iter().for_each(|run| run.join().unwrap());
    });
}
