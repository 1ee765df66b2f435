//! Tables of heads and the times they state.

use super::*;
use crate::policy::{Admission, Refusal};

const NOW: u64 = 1_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A head of `name: value` lines.
fn head(text: &str) -> Fields {
    let mut fields = Fields::new();
    for line in text.lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn admitted(text: &str, ignored: &IgnoreHeaders, valid: &[ValidRule]) -> Admission {
    Rules { ignored, valid }.admit(&Answered { status: 200, fields: &head(text), at: at(NOW) })
}

fn renewed(not_modified: &str, stored: &str, valid: &[ValidRule]) -> Option<Terms> {
    let not_modified = Answered { status: 304, fields: &head(not_modified), at: at(NOW) };
    Rules { ignored: &IgnoreHeaders::default(), valid }.renew(&not_modified, (200, &head(stored)))
}

fn lifetime(text: &str) -> Lifetime {
    times(&head(text), &IgnoreHeaders::default(), at(NOW)).lifetime
}

#[test]
fn lifetimes() {
    use Lifetime::*;
    let past = "Thu, 01 Jan 1970 00:00:10 GMT";
    let future = "Tue, 13 Jan 1970 13:46:40 GMT";
    assert_eq!(http1::date::parse(future.as_bytes()), Some(1_086_400));
    let cases = [
        ("Content-Length: 1", Unstated),
        ("Cache-Control: max-age=60", Until(at(NOW + 60))),
        ("cache-control: Public, MAX-AGE=60", Until(at(NOW + 60))),
        ("Cache-Control: max-age=60, s-maxage=70", Until(at(NOW + 70))),
        ("Cache-Control: max-age=60;x", Until(at(NOW + 60))),
        ("Cache-Control: max-age=10\nCache-Control: max-age=20", Until(at(NOW + 20))),
        ("Cache-Control: max-age=0", NoCache),
        ("Cache-Control: max-age=", NoCache),
        ("Cache-Control: max-age=-1", BadAge),
        ("Cache-Control: max-age=\"60\"", BadAge),
        ("Cache-Control: no-cache, max-age=60", NoCache),
        ("Cache-Control: max-age=60, private=\"x\"", NoCache),
        ("Cache-Control: No-Store", NoCache),
        ("Cache-Control: max-age=60\nCache-Control: no-store", NoCache),
        ("Cache-Control: must-revalidate", Unstated),
        (&format!("Expires: {future}"), Until(at(1_086_400))),
        (&format!("Expires: {past}"), Expired),
        ("Expires: 0", Expired),
        (&format!("Expires: {past}\nCache-Control: max-age=60"), Until(at(NOW + 60))),
        (&format!("Cache-Control: max-age=60\nExpires: {past}"), Until(at(NOW + 60))),
        (&format!("Expires: {future}\nCache-Control: no-cache"), NoCache),
        (&format!("Cache-Control: public\nExpires: {future}"), Until(at(1_086_400))),
        ("X-Accel-Expires: 30", Until(at(NOW + 30))),
        ("X-Accel-Expires: 0", AccelZero),
        ("X-Accel-Expires: 0\nCache-Control: max-age=60", AccelZero),
        ("X-Accel-Expires: @1000100", Until(at(1_000_100))),
        ("X-Accel-Expires: @5", Until(at(5))),
        ("X-Accel-Expires: off\nCache-Control: max-age=60", Until(at(NOW + 60))),
        ("X-Accel-Expires: -5", Unstated),
        ("X-Accel-Expires: @0", Unstated),
        ("X-Accel-Expires: 30\nCache-Control: no-cache", Until(at(NOW + 30))),
        ("Cache-Control: no-cache\nX-Accel-Expires: 30", Until(at(NOW + 30))),
        (&format!("Expires: {past}\nX-Accel-Expires: 30"), Until(at(NOW + 30))),
        ("Cache-Control: max-age=60\nX-Accel-Expires: 30", Until(at(NOW + 30))),
    ];
    for (text, wanted) in cases {
        assert_eq!(lifetime(text), wanted, "{text}");
    }
}

#[test]
fn numbers_beyond_any_time_do_not_overflow() {
    for line in ["Cache-Control: max-age=", "X-Accel-Expires: ", "X-Accel-Expires: @"] {
        let lifetime = lifetime(&format!("{line}99999999999999999999999999"));
        assert!(matches!(lifetime, Lifetime::Until(time) if time > at(NOW)), "{line}: {lifetime:?}");
    }
}

#[test]
fn windows_of_staleness() {
    let cases = [
        ("Cache-Control: max-age=1", 0, 0),
        ("Cache-Control: max-age=1, stale-while-revalidate=30", 30, 30),
        ("Cache-Control: max-age=1, stale-while-revalidate=30, stale-if-error=60", 30, 60),
        ("Cache-Control: stale-if-error=60", 0, 60),
        ("Cache-Control: stale-if-error=6x0", 0, 0),
        ("Cache-Control: no-cache, stale-if-error=60", 0, 0),
        ("X-Accel-Expires: 9\nCache-Control: no-cache, stale-if-error=60", 0, 60),
    ];
    for (text, while_revalidate, if_error) in cases {
        let times = times(&head(text), &IgnoreHeaders::default(), at(NOW));
        let found = (times.stale_while_revalidate.as_secs(), times.stale_if_error.as_secs());
        assert_eq!(found, (while_revalidate, if_error), "{text}");
    }
}

#[test]
fn ignored_lines_are_not_seen() {
    let text = "X-Accel-Expires: 30\nCache-Control: max-age=60, stale-if-error=5\nExpires: 0";
    let none = IgnoreHeaders::default();
    let accel = IgnoreHeaders { x_accel_expires: true, ..none };
    let control = IgnoreHeaders { cache_control: true, ..accel };
    let expires = IgnoreHeaders { expires: true, ..control };
    let cases = [
        (none, Lifetime::Until(at(NOW + 30)), 5),
        (accel, Lifetime::Until(at(NOW + 60)), 5),
        (control, Lifetime::Expired, 0),
        (expires, Lifetime::Unstated, 0),
    ];
    for (ignored, wanted, if_error) in cases {
        let times = times(&head(text), &ignored, at(NOW));
        assert_eq!((times.lifetime, times.stale_if_error.as_secs()), (wanted, if_error), "{ignored:?}");
    }
}

#[test]
fn rules_count_in_their_order_and_only_where_the_head_is_silent() {
    let rule = |status, seconds| ValidRule { status, time: Duration::from_secs(seconds) };
    let (any, ok) = (ValidStatus::Any, ValidStatus::Code(200));
    let cases = [
        ("no rules", "", 200, vec![], None),
        ("its status", "", 200, vec![rule(ok, 10)], Some(10)),
        ("another status", "", 404, vec![rule(ok, 10)], None),
        ("any after its own", "", 200, vec![rule(ok, 10), rule(any, 20)], Some(10)),
        ("any before its own", "", 200, vec![rule(any, 20), rule(ok, 10)], Some(20)),
        ("zero forbids", "", 200, vec![rule(ok, 0), rule(any, 20)], None),
        ("the head counts", "Cache-Control: max-age=5", 200, vec![rule(any, 20)], Some(5)),
        ("the head forbids", "Cache-Control: private", 200, vec![rule(any, 20)], None),
    ];
    for (name, text, status, rules, wanted) in cases {
        let terms = times(&head(text), &IgnoreHeaders::default(), at(NOW)).terms(status, &rules, at(NOW));
        assert_eq!(terms.map(|terms| terms.valid_until), wanted.map(|age| at(NOW + age)), "{name}");
    }
}

#[test]
fn a_304_gives_new_times() {
    let rules = [ValidRule { status: ValidStatus::Code(200), time: Duration::from_secs(7) }];
    let cases = [
        ("by its own head", "Cache-Control: max-age=5", "Cache-Control: max-age=6", Some(5)),
        ("by the stored head", "ETag: x", "Cache-Control: max-age=6", Some(6)),
        ("by the rules", "ETag: x", "ETag: x", Some(7)),
        (
            "a 304 that forbids storing says no time",
            "Cache-Control: no-cache",
            "Cache-Control: max-age=6",
            Some(6),
        ),
    ];
    for (name, not_modified, stored, wanted) in cases {
        let terms = renewed(not_modified, stored, &rules);
        assert_eq!(terms.map(|terms| terms.valid_until), wanted.map(|age| at(NOW + age)), "{name}");
    }
    assert_eq!(renewed("A: b", "A: b", &[]), None, "nothing gives a time");
}

#[test]
fn admission() {
    let rules = [ValidRule { status: ValidStatus::Any, time: Duration::from_secs(10) }];
    let none = IgnoreHeaders::default();
    let ignored = IgnoreHeaders { set_cookie: true, vary: true, ..none };
    let redirect = IgnoreHeaders { x_accel_redirect: true, ..none };
    let cases = [
        ("plain", "A: b", none, Ok("")),
        ("vary", "Vary: A\nVary: B", none, Ok("A, B")),
        ("cookie", "Set-Cookie: a=b", none, Err(Refusal::SetCookie)),
        ("cookie, ignored", "Set-Cookie: a=b", ignored, Ok("")),
        ("another location", "X-Accel-Redirect: /a", none, Err(Refusal::AccelRedirect)),
        ("another location, ignored", "X-Accel-Redirect: /a", redirect, Ok("")),
        ("star", "Vary: *", none, Err(Refusal::VaryStar)),
        ("star, ignored", "Vary: *", ignored, Ok("")),
        ("private", "Cache-Control: private", none, Err(Refusal::CacheControl)),
        ("bad age", "Cache-Control: max-age=x", none, Err(Refusal::BadAge)),
        ("expired", "Expires: 0", none, Err(Refusal::Expired)),
        ("zero", "X-Accel-Expires: 0", none, Err(Refusal::AccelZero)),
    ];
    for (name, text, ignored, wanted) in cases {
        let admission = match admitted(text, &ignored, &rules) {
            Admission::Store { vary, .. } => Ok(String::from_utf8(vary).unwrap()),
            Admission::Refused(refusal) => Err(refusal),
        };
        assert_eq!(admission, wanted.map(str::to_owned), "{name}");
    }
    assert_eq!(admitted("A: b", &none, &[]), Admission::Refused(Refusal::NoLifetime));
}
