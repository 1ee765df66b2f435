//! What is to be seen through `canary.conf`.

use super::{Origin, Visit};

/// Tells the applications apart by who asks.
pub fn canary(visit: &Visit) {
    let from = |address: &str, path: &str| {
        visit.ask("GET", path, &format!("X-Forwarded-For: {address}\r\nCookie: visitor=1\r\n"), "")
    };
    assert_eq!(from("10.0.0.9", "/?version=new").text(), "second");
    assert_eq!(from("10.0.0.9", "/?version=old").text(), "first");
    let drawn = from("192.0.2.1", "/?version=new");
    let wanted = if drawn.field("X-Version") == Some("new") { "second" } else { "first" };
    assert_eq!(drawn.text(), wanted);
    assert_eq!(from("192.0.2.1", "/?version=old").text(), wanted, "a visitor stays where it was drawn to");
    let asked = [&visit.first, &visit.second].into_iter().flat_map(Origin::requests);
    assert!(asked.into_iter().all(|asked| asked.field("X-Customer") == Some("our-own")));
    let download = from("192.0.2.1", "/downloads/x");
    assert_eq!((download.text().as_str(), download.field("X-Network")), ("third", Some("public")));
    assert_eq!(from("10.0.0.9", "/downloads/x").field("X-Network"), Some("office"));
}
