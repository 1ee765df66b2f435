//! What is to be seen through `stampedes.conf`.

use super::Visit;
use crate::support::answer;

/// One request for all, and none too many to what fails.
pub fn stampedes(visit: &Visit) {
    assert_eq!(visit.server.get_at_once("/a", 20).bodies(), ["first"; 20]);
    assert_eq!(visit.first.request_count(), 1);

    let private = || answer(200).field("Cache-Control", "private").body("own");
    visit.first.restart((0..21).map(|_| private()));
    visit.get("/private");
    assert_eq!(visit.server.get_at_once("/private", 20).bodies(), ["own"; 20]);
    assert_eq!(visit.first.request_count(), 21);

    let old = answer(200).field("X-Accel-Expires", "@1").body("old");
    visit.first.restart([old, answer(503).body("busy")]);
    assert_eq!(visit.get("/b").text(), "old");
    assert_eq!(visit.get("/b").cache(), "STALE");
    visit.first.wait_for_requests(2);
    // While the update fails others are told that one is under way; then nobody asks for a while.
    let again: Vec<_> = (0..20).map(|_| visit.get("/b").text()).collect();
    assert_eq!((again, visit.first.request_count()), (vec!["old".to_owned(); 20], 2));

    visit.first.restart([answer(200).body("file")]);
    assert_eq!([visit.cache("/files/a"), visit.cache("/files/a")], ["MISS", "HIT"]);
}
