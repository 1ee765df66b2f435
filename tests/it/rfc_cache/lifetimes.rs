//! For how long answers are fresh: items 1 to 4, 7, 8 and 20.

#![expect(
    clippy::disallowed_methods,
    reason = "dates in answers are those of the real clock, which the program reads"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{ask, rfc};
use crate::support::{Origin, Server, answer};

/// A date so many seconds from now, in the usual form.
fn date(seconds: i64) -> String {
    http1::date::format(now() + seconds)
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Whether each answer, made of a status and lines, is a hit the second time.
fn expect_hits(directives: &str, cases: &[(&str, u16, Vec<String>, bool)]) {
    let replies: Vec<_> = cases.iter().map(|(_, status, lines, _)| (*status, lines.clone())).collect();
    let origin = Origin::answering(move |asked| {
        let number: usize = asked.target().trim_start_matches('/').parse().unwrap();
        let (status, lines) = &replies[number];
        lines.iter().fold(answer(*status), |reply, line| reply.line(line)).body("page")
    });
    let server = Server::start(&rfc(directives, &origin));
    let mut wrong = Vec::new();
    for (number, (name, status, _, hits)) in cases.iter().enumerate() {
        let path = format!("/{number}");
        let answers = [server.get(&path), server.get(&path)];
        assert_eq!(answers[0].status(), *status, "{name}");
        if (answers[1].cache() == "HIT") != *hits {
            wrong.push((name, answers[1].cache().to_owned()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn item_1_explicit_lifetimes() {
    let expires = format!("Expires: {}", date(600));
    let past = format!("Expires: {}", date(-600));
    expect_hits(
        "",
        &[
            ("max-age", 200, lines(&["Cache-Control: max-age=600"]), true),
            ("s-maxage", 200, lines(&["Cache-Control: s-maxage=600"]), true),
            ("expires", 200, lines(&[&expires]), true),
            ("s-maxage first", 200, lines(&["Cache-Control: max-age=0, s-maxage=600"]), true),
            (
                "s-maxage first, on another line",
                200,
                lines(&[&past, "Cache-Control: max-age=0", "Cache-Control: s-maxage=600"]),
                true,
            ),
            ("s-maxage zero", 200, lines(&["Cache-Control: s-maxage=0, max-age=600", &expires]), false),
            ("max-age before expires", 200, lines(&[&past, "Cache-Control: max-age=600"]), true),
            ("max-age zero", 200, lines(&[&expires, "Cache-Control: max-age=0"]), false),
            ("any case", 200, lines(&["cache-control: MaX-aGe=600"]), true),
            ("unknown directives", 200, lines(&["Cache-Control: a, b=c, max-age=600, d=\"e\""]), true),
            ("text in quotes", 200, lines(&["Cache-Control: a=\"max-age=600\""]), false),
            (
                "text in quotes beside it",
                200,
                lines(&["Cache-Control: a=\"no-store, max-age=0\", max-age=600"]),
                true,
            ),
            ("nothing", 200, lines(&["A: b"]), false),
        ],
    );
}

#[test]
fn item_2_seconds() {
    expect_hits(
        "",
        &[
            ("leading zeros", 200, lines(&["Cache-Control: max-age=00600"]), true),
            ("more than 31 bits", 200, lines(&["Cache-Control: max-age=2147483649"]), true),
            ("more than 64 bits", 200, lines(&["Cache-Control: max-age=99999999999999999999999"]), true),
            ("negative", 200, lines(&["Cache-Control: max-age=-600"]), false),
            ("a fraction", 200, lines(&["Cache-Control: max-age=600.5"]), false),
            ("letters after", 200, lines(&["Cache-Control: max-age=600s"]), false),
            ("letters before", 200, lines(&["Cache-Control: max-age=a600"]), false),
            ("single quotes", 200, lines(&["Cache-Control: max-age='600'"]), false),
            ("nothing", 200, lines(&["Cache-Control: max-age="]), false),
            ("space before", 200, lines(&["Cache-Control: max-age =600"]), false),
            ("space after", 200, lines(&["Cache-Control: max-age= 600"]), false),
        ],
    );
}

#[test]
fn item_3_dates() {
    let soon = date(600);
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(now() + 600).unwrap());
    let second = |format: &str| jiff::Timestamp::try_from(at).unwrap().strftime(format).to_string();
    let rfc850 = second("Expires: %A, %d-%b-%y %H:%M:%S GMT");
    let asctime = second("Expires: %a %b %e %H:%M:%S %Y");
    let expires = format!("Expires: {soon}");
    expect_hits(
        "",
        &[
            ("RFC 850", 200, vec![rfc850], true),
            ("asctime", 200, vec![asctime], true),
            ("any case", 200, vec![expires.to_lowercase()], true),
            ("beyond 2038", 200, lines(&["Expires: Thu, 18 Aug 2050 02:01:18 GMT"]), true),
            ("50 years ago", 200, lines(&["Expires: Friday, 01-Jan-99 00:00:00 GMT"]), false),
            ("from its date on", 200, vec![expires.clone(), format!("Date: {}", date(-60))], true),
            ("a date as late", 200, vec![expires.clone(), format!("Date: {soon}")], false),
            ("a bad date", 200, vec![expires.clone(), "Date: soon".to_owned()], true),
            ("two lines", 200, vec![expires.clone(), expires.clone()], false),
            ("another zone", 200, vec![expires.replace("GMT", "UTC")], false),
            ("no zone", 200, vec![expires.replace(" GMT", "")], false),
            ("a number", 200, lines(&["Expires: 0"]), false),
        ],
    );
}

#[test]
fn item_4_ages_received() {
    let aged = |age: &str| vec!["Cache-Control: max-age=600".to_owned(), age.to_owned()];
    expect_hits(
        "",
        &[
            ("younger", 200, aged("Age: 300"), true),
            ("older", 200, aged("Age: 600"), false),
            ("too large", 200, aged("Age: 99999999999999"), false),
            ("the first member", 200, aged("Age: 300, 900"), true),
            ("an old first member", 200, aged("Age: 900, 300"), false),
            ("the first line", 200, aged("Age: 300\r\nAge: 900"), true),
            ("negative", 200, aged("Age: -900"), true),
            ("a fraction", 200, aged("Age: 900.0"), true),
            ("a word", 200, aged("Age: old"), true),
        ],
    );
}

#[test]
fn item_4_ages_are_corrected_for_the_way() {
    let late = answer(200)
        .field("Cache-Control", "max-age=600")
        .field("Age", "100")
        .after(Duration::from_millis(1500))
        .body("page");
    let origin = Origin::always(late);
    let server = Server::start(&rfc("", &origin));
    server.get("/");
    let hit = server.get("/");
    assert_eq!(hit.cache(), "HIT");
    let age: u32 = hit.field("Age").unwrap().parse().unwrap();
    assert!((101..110).contains(&age), "{age}");
}

#[test]
fn item_7_statuses() {
    let mut cases = Vec::new();
    for status in [200, 204, 299, 302, 307, 400, 404, 499, 500, 503, 599] {
        cases.push(("max-age", status, lines(&["Cache-Control: max-age=600"]), true));
    }
    cases.push(("understood", 200, lines(&["Cache-Control: max-age=600, must-understand, no-store"]), true));
    cases.push(("not understood", 599, lines(&["Cache-Control: max-age=600, must-understand"]), false));
    expect_hits("proxy_next_upstream off;", &cases);
}

#[test]
fn item_8_guesses() {
    let changed = format!("Last-Modified: {}", date(-86400));
    let mut cases = Vec::new();
    for status in [200, 203, 300, 301, 308, 404, 405, 410, 414, 501] {
        cases.push(("guessed", status, vec![changed.clone()], true));
    }
    for status in [201, 302, 307, 403, 500, 599] {
        cases.push(("not guessed", status, vec![changed.clone()], false));
        cases.push(("public", status, vec![changed.clone(), "Cache-Control: public".to_owned()], true));
    }
    cases.push(("no date", 200, lines(&["Cache-Control: public"]), false));
    cases.push(("not so old", 200, vec![format!("Last-Modified: {}", date(-5))], false));
    cases.push(("old on the way", 200, vec![changed.clone(), "Age: 8640".to_owned()], false));
    expect_hits("proxy_next_upstream off;", &cases);
    expect_hits("proxy_cache_heuristic_max 0;", &[("none", 200, vec![changed], false)]);
}

#[test]
fn item_20_targeted_fields() {
    let with = |targeted: &str, control: &str| lines(&[targeted, &format!("Cache-Control: {control}")]);
    let expires = format!("Expires: {}", date(600));
    expect_hits(
        "",
        &[
            ("fresh", 200, with("CDN-Cache-Control: max-age=600", "no-store"), true),
            ("not stored", 200, with("CDN-Cache-Control: no-store", "max-age=600"), false),
            ("stale", 200, with("CDN-Cache-Control: max-age=0", "max-age=600"), false),
            ("whole", 200, with("CDN-Cache-Control: public", "max-age=600"), false),
            ("expires too", 200, lines(&["CDN-Cache-Control: public", &expires]), false),
            ("not valid", 200, with("CDN-Cache-Control: no-store, MAX-AGE=0", "max-age=600"), true),
            ("empty", 200, with("CDN-Cache-Control: ", "max-age=600"), true),
            ("wrong type", 200, with("CDN-Cache-Control: max-age=\"600\", no-store=1", "max-age=600"), false),
            ("parameters", 200, with("CDN-Cache-Control: max-age=600;a=b", "no-store"), true),
            ("another", 200, with("Example-Cache-Control: no-store", "max-age=600"), true),
        ],
    );
    let both = ["CDN-Cache-Control: max-age=0", "Example-Cache-Control: max-age=600"];
    let list = "proxy_cache_targeted_fields Example-Cache-Control CDN-Cache-Control;";
    expect_hits(list, &[("in order", 200, lines(&both), true)]);
    let ignored = with("CDN-Cache-Control: no-store", "max-age=600");
    expect_hits("proxy_cache_targeted_fields off;", &[("off", 200, ignored, true)]);
}

#[test]
fn item_20_targeted_fields_are_passed_on() {
    let origin = Origin::always(answer(200).line("CDN-Cache-Control:  max-age=600;a").body("page"));
    let server = Server::start(&rfc("", &origin));
    for cache in ["MISS", "HIT"] {
        let answer = ask(&server, "GET", "/", &[]);
        assert_eq!((answer.cache(), answer.field("CDN-Cache-Control")), (cache, Some("max-age=600;a")));
    }
}
