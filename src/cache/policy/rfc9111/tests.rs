//! Tables of whole answers and the terms on which they are stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{IgnoreHeaders, StoredCookies, ValidRule, ValidStatus};
use http1::{Fields, Method};

use super::Rules;
use crate::policy::rules::{Answered, Asked};
use crate::policy::verdict::{Admission, Refusal, Restraint, Terms};

/// Sat, 21 Nov 2026 15:00:00 GMT, at which all answers come.
const NOW: u64 = 1_795_273_200;
const DATE: &str = "Date: Sat, 21 Nov 2026 15:00:00 GMT";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A head of `name: value` lines.
fn head(text: &str) -> Fields {
    let mut fields = Fields::new();
    for line in text.lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

/// One exchange under rules that are the default but for what a case sets.
struct Case<'a> {
    method: Method,
    request: &'a str,
    status: u16,
    answer: &'a str,
    ignored: IgnoreHeaders,
    valid: Vec<ValidRule>,
    targeted: Vec<String>,
    cookies: StoredCookies,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            method: Method::Get,
            request: "",
            status: 200,
            answer: "",
            ignored: IgnoreHeaders::default(),
            valid: Vec::new(),
            targeted: vec!["CDN-Cache-Control".to_owned()],
            cookies: StoredCookies::Drop,
        }
    }
}

impl Case<'_> {
    fn rules(&self) -> Rules<'_> {
        Rules {
            ignored: &self.ignored,
            valid: &self.valid,
            targeted: &self.targeted,
            heuristic_max: Duration::from_secs(86400),
            cookies: self.cookies,
        }
    }

    fn admission(&self) -> Admission {
        let (request, fields) = (head(self.request), head(self.answer));
        let asked = Asked { method: self.method, fields: &request, at: at(NOW) };
        self.rules().admit(&asked, &Answered { status: self.status, fields: &fields, at: at(NOW) })
    }

    fn terms(&self) -> Result<Terms, Refusal> {
        match self.admission() {
            Admission::Store { terms, .. } => Ok(terms),
            Admission::Refused(refusal) => Err(refusal),
        }
    }

    /// For how many seconds it is fresh from now on; less than zero where it is stale.
    fn fresh_for(&self) -> Result<i64, Refusal> {
        let terms = self.terms()?;
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
        Ok(match terms.valid_until.duration_since(at(NOW)) {
            Ok(left) => seconds(left),
            Err(over) => -seconds(over.duration()),
        })
    }
}

fn answer(answer: &str) -> Case<'_> {
    Case { answer, ..Case::default() }
}

const MOST: i64 = 1 << 31;

#[test]
fn the_first_of_s_maxage_max_age_and_expires_decides() {
    let expires = "Expires: Sat, 21 Nov 2026 15:01:40 GMT";
    let cases = [
        ("Cache-Control: max-age=60", Ok(60)),
        ("Cache-Control: s-maxage=70", Ok(70)),
        ("Cache-Control: max-age=60, s-maxage=70", Ok(70)),
        ("Cache-Control: s-maxage=70, max-age=60", Ok(70)),
        ("Cache-Control: max-age=60\nCache-Control: s-maxage=70", Ok(70)),
        ("Cache-Control: s-maxage=70\nExpires: 0\nCache-Control: max-age=60", Ok(70)),
        (expires, Ok(100)),
        ("Expires: Sat, 21 Nov 2026 15:01:40 GMT\nCache-Control: max-age=60", Ok(60)),
        ("Expires: Sat, 21 Nov 2026 15:01:40 GMT\nCache-Control: public", Ok(100)),
        ("Cache-Control: s-maxage=70, max-age=x", Ok(70)),
        ("Cache-Control: s-maxage=x, max-age=60\nETag: \"1\"", Ok(0)),
        ("Cache-Control: max-age=x\nETag: \"1\"\nExpires: Sat, 21 Nov 2026 15:01:40 GMT", Ok(0)),
        ("Cache-Control: max-age=99999999999999", Ok(MOST)),
        ("Cache-Control: x=\"max-age=60\"", Err(Refusal::NoLifetime)),
        ("Cache-Control: public", Err(Refusal::NoLifetime)),
        ("A: b", Err(Refusal::NoLifetime)),
    ];
    for (text, wanted) in cases {
        assert_eq!(answer(text).fresh_for(), wanted, "{text}");
    }
}

#[test]
fn expires_counts_from_date() {
    let stale = Err(Refusal::NoValidator);
    let cases = [
        ("Expires: Sat, 21 Nov 2026 15:01:40 GMT", Ok(100)),
        ("Expires: Saturday, 21-Nov-26 15:01:40 GMT", Ok(100)),
        ("Expires: Sat Nov 21 15:01:40 2026", Ok(100)),
        ("Expires: sat, 21 nov 2026 15:01:40 gmt", Ok(100)),
        // Made a minute ago, for a lifetime of 160 seconds: 100 are left.
        ("Date: Sat, 21 Nov 2026 14:59:00 GMT\nExpires: Sat, 21 Nov 2026 15:01:40 GMT", Ok(100)),
        // A clock that is a minute ahead: its lifetime is 40 seconds, from now on.
        ("Date: Sat, 21 Nov 2026 15:01:00 GMT\nExpires: Sat, 21 Nov 2026 15:01:40 GMT", Ok(40)),
        ("Date: soon\nExpires: Sat, 21 Nov 2026 15:01:40 GMT", Ok(100)),
        ("Expires: Thu, 18 Aug 2050 02:01:18 GMT", Ok(2_544_400_878 - 1_795_273_200)),
        ("Expires: Fri, 31 Dec 9999 23:59:59 GMT", Ok(253_402_300_799 - 1_795_273_200)),
        ("Expires: Sat, 21 Nov 2026 15:00:00 GMT", stale),
        ("Expires: Sat, 21 Nov 2026 14:59:59 GMT", stale),
        ("Expires: Thu, 01 Jan 1970 00:00:00 GMT", stale),
        ("Expires: Sun, 06-Nov-94 08:49:37 GMT", stale),
        ("Expires: 0", stale),
        ("Expires: -1", stale),
        ("Expires:", stale),
        ("Expires: 1795273300", stale),
        ("Expires: Sat, 21 Nov 2026 15:01:40 UTC", stale),
        ("Expires: Sat, 21 Nov 2026 15:01:40", stale),
        ("Expires: Sat, 21 Nov 2026 15:01:40 GMT\nExpires: Sat, 21 Nov 2026 15:01:40 GMT", stale),
        ("Expires: Sat, 21 Nov 2026 15:01:40 GMT, Sat, 21 Nov 2026 15:01:40 GMT", stale),
    ];
    for (text, wanted) in cases {
        assert_eq!(answer(text).fresh_for(), wanted, "{text}");
    }
}

#[test]
fn age_counts() {
    let cases = [
        ("Age: 20", Ok(40)),
        ("Age: 59", Ok(1)),
        ("Age: 20, 50", Ok(40)),
        ("Age: 20\nAge: 50", Ok(40)),
        ("Age: x", Ok(60)),
        ("Age: -20", Ok(60)),
        ("Age: 60", Err(Refusal::NoValidator)),
        ("Age: 60\nETag: \"1\"", Ok(0)),
        ("Age: 99999999999\nETag: \"1\"", Ok(60 - MOST)),
        ("Date: Sat, 21 Nov 2026 14:59:40 GMT", Ok(40)),
        ("Date: Sat, 21 Nov 2026 14:59:40 GMT\nAge: 30", Ok(30)),
        ("Date: Sat, 21 Nov 2026 15:59:40 GMT", Ok(60)),
    ];
    for (text, wanted) in cases {
        let text = format!("Cache-Control: max-age=60\n{text}");
        assert_eq!(answer(&text).fresh_for(), wanted, "{text}");
    }
}

#[test]
fn what_is_stored() {
    let free = Ok(Restraint::Free);
    let cases = [
        ("Cache-Control: max-age=60", free),
        ("Cache-Control: max-age=60, no-store", Err(Refusal::NoStore)),
        ("Cache-Control: max-age=60\nCache-Control: NO-STORE", Err(Refusal::NoStore)),
        ("Cache-Control: max-age=60, private", Err(Refusal::Private)),
        ("Cache-Control: max-age=60, Private=\"Set-Cookie\"", Err(Refusal::Private)),
        ("Cache-Control: max-age=60, public, private", Err(Refusal::Private)),
        ("Cache-Control: max-age=60, x=\"no-store\"", free),
        ("Cache-Control: max-age=60, no-cache\nETag: \"1\"", Ok(Restraint::AlwaysValidated)),
        ("Cache-Control: no-cache\nETag: W/\"1\"", Ok(Restraint::AlwaysValidated)),
        ("Cache-Control: No-Cache=\"a\"\nETag: \"1\"", Ok(Restraint::AlwaysValidated)),
        (
            "Cache-Control: no-cache\nLast-Modified: Sat, 21 Nov 2026 14:00:00 GMT",
            Ok(Restraint::AlwaysValidated),
        ),
        ("Cache-Control: no-cache", Err(Refusal::NoValidator)),
        ("Cache-Control: max-age=60, must-revalidate", Ok(Restraint::NeverStale)),
        ("Cache-Control: max-age=60, proxy-revalidate", Ok(Restraint::NeverStale)),
        ("Cache-Control: s-maxage=60", Ok(Restraint::NeverStale)),
        ("Cache-Control: max-age=0, must-revalidate\nETag: \"1\"", Ok(Restraint::NeverStale)),
        ("Cache-Control: max-age=0, must-revalidate", Err(Refusal::NoValidator)),
        ("Cache-Control: max-age=0", Err(Refusal::NoValidator)),
        ("Cache-Control: max-age=0, stale-if-error=60", free),
        ("Cache-Control: max-age=0, must-revalidate, stale-if-error=60", Err(Refusal::NoValidator)),
        ("Cache-Control: max-age=60\nSet-Cookie: a=b", free),
        ("Cache-Control: max-age=60\nVary: *", Err(Refusal::VaryStar)),
        ("Cache-Control: max-age=60\nX-Accel-Redirect: /a", Err(Refusal::AccelRedirect)),
        ("Cache-Control: max-age=60\nPragma: no-cache", free),
    ];
    for (text, wanted) in cases {
        assert_eq!(answer(text).terms().map(|terms| terms.restraint), wanted, "{text}");
    }
}

#[test]
fn any_status_with_a_lifetime_that_is_stated() {
    for status in [200, 201, 204, 299, 302, 307, 399, 400, 403, 404, 418, 499, 500, 503, 599, 700, 999] {
        let case = Case { status, ..answer("Cache-Control: max-age=60") };
        assert_eq!(case.fresh_for(), Ok(60), "{status}");
    }
    for status in [206, 304] {
        let case = Case { status, ..answer("Cache-Control: max-age=60") };
        assert_eq!(case.fresh_for(), Err(Refusal::NotWhole), "{status}");
    }
    let cases = [
        (200, "max-age=60, must-understand", Ok(60)),
        (200, "max-age=60, must-understand, no-store", Ok(60)),
        (404, "max-age=60, no-store, Must-Understand", Ok(60)),
        (299, "max-age=60, must-understand", Err(Refusal::NotUnderstood)),
        (599, "max-age=60, must-understand, no-store", Err(Refusal::NotUnderstood)),
        (599, "max-age=60, no-store", Err(Refusal::NoStore)),
        (200, "max-age=60, must-understand, private", Err(Refusal::Private)),
    ];
    for (status, control, wanted) in cases {
        let text = format!("Cache-Control: {control}");
        assert_eq!(Case { status, ..answer(&text) }.fresh_for(), wanted, "{status} {control}");
    }
}

#[test]
fn a_tenth_of_the_time_since_the_last_change() {
    let modified = "Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT";
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(Case { status, ..answer(modified) }.fresh_for(), Ok(60), "{status}");
        assert_eq!(Case { status, ..answer(DATE) }.fresh_for(), Err(Refusal::NoLifetime), "{status}");
    }
    for status in [201, 202, 302, 303, 307, 400, 403, 429, 500, 502, 503, 599] {
        assert_eq!(Case { status, ..answer(modified) }.fresh_for(), Err(Refusal::NoLifetime), "{status}");
        let public = format!("{modified}\nCache-Control: public");
        assert_eq!(Case { status, ..answer(&public) }.fresh_for(), Ok(60), "{status}, public");
    }
    let cases = [
        (DATE, "Last-Modified: Saturday, 21-Nov-26 14:50:00 GMT", Ok(60)),
        // What was made a minute ago had not been changed for ten: a tenth of that is just over.
        ("Date: Sat, 21 Nov 2026 14:59:00 GMT", "Last-Modified: Sat, 21 Nov 2026 14:39:00 GMT", Ok(120 - 60)),
        ("Age: 10", "Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT", Ok(50)),
        (DATE, "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", Ok(86400)),
        (DATE, "Last-Modified: Sat, 21 Nov 2026 15:00:00 GMT", Err(Refusal::NoLifetime)),
        (DATE, "Last-Modified: Sat, 21 Nov 2026 15:10:00 GMT", Err(Refusal::NoLifetime)),
        (DATE, "Last-Modified: yesterday", Err(Refusal::NoLifetime)),
        ("Cache-Control: max-age=5", "Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT", Ok(5)),
        ("Cache-Control: must-revalidate", "Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT", Ok(60)),
    ];
    for (first, second, wanted) in cases {
        let text = format!("{first}\n{second}");
        assert_eq!(answer(&text).fresh_for(), wanted, "{text}");
    }
}

#[test]
fn what_is_asked_with_authorization_is_for_others_only_where_it_says_so() {
    let cases = [
        ("max-age=60", Err(Refusal::Authorization)),
        ("max-age=60, proxy-revalidate", Err(Refusal::Authorization)),
        ("no-cache", Err(Refusal::Authorization)),
        ("max-age=60, public", Ok(60)),
        ("max-age=60, PUBLIC", Ok(60)),
        ("max-age=60, must-revalidate", Ok(60)),
        ("s-maxage=60", Ok(60)),
    ];
    for (control, wanted) in cases {
        let text = format!("Cache-Control: {control}");
        let case = Case { request: "Authorization: Basic YTpi", ..answer(&text) };
        assert_eq!(case.fresh_for(), wanted, "{control}");
    }
}

#[test]
fn posts_are_stored_with_a_stated_lifetime_only() {
    let cases = [
        (Method::Post, "Cache-Control: max-age=60", Ok(60)),
        (Method::Post, "Expires: Sat, 21 Nov 2026 15:01:00 GMT", Ok(60)),
        (Method::Post, "Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT", Err(Refusal::Method)),
        (Method::Head, "Cache-Control: max-age=60", Ok(60)),
        (Method::Put, "Cache-Control: max-age=60", Err(Refusal::Method)),
        (Method::Other, "Cache-Control: max-age=60", Err(Refusal::Method)),
    ];
    for (method, text, wanted) in cases {
        assert_eq!(Case { method, ..answer(text) }.fresh_for(), wanted, "{method:?} {text}");
    }
}

#[test]
fn targeted_fields_stand_for_the_others() {
    let cdn: &[&str] = &["CDN-Cache-Control"];
    let own: &[&str] = &["Larder-Cache-Control", "CDN-Cache-Control"];
    let others = "Cache-Control: max-age=1\nExpires: Sat, 21 Nov 2026 15:00:02 GMT";
    let cases = [
        (cdn, "CDN-Cache-Control: max-age=60", Ok(60)),
        (cdn, "cdn-cache-control: s-maxage=70, max-age=60", Ok(70)),
        (cdn, "CDN-Cache-Control: no-store", Err(Refusal::NoStore)),
        (cdn, "CDN-Cache-Control: private", Err(Refusal::Private)),
        (cdn, "CDN-Cache-Control: public", Err(Refusal::NoLifetime)),
        (cdn, "CDN-Cache-Control: max-age=\"60\"", Err(Refusal::NoLifetime)),
        (cdn, "CDN-Cache-Control: max-age=60, &", Ok(1)),
        (cdn, "CDN-Cache-Control: MAX-AGE=60", Ok(1)),
        (cdn, "CDN-Cache-Control:", Ok(1)),
        (cdn, "Larder-Cache-Control: max-age=60", Ok(1)),
        (&[], "CDN-Cache-Control: max-age=60", Ok(1)),
        (own, "CDN-Cache-Control: max-age=60", Ok(60)),
        (own, "CDN-Cache-Control: max-age=60\nLarder-Cache-Control: max-age=70", Ok(70)),
        (own, "CDN-Cache-Control: max-age=60\nLarder-Cache-Control: max age=70", Ok(60)),
    ];
    for (targeted, text, wanted) in cases {
        let text = format!("{others}\n{text}");
        let targeted = targeted.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(Case { targeted, ..answer(&text) }.fresh_for(), wanted, "{text}");
    }
    let refused = "Cache-Control: no-store, private\nCDN-Cache-Control: max-age=60";
    assert_eq!(answer(refused).fresh_for(), Ok(60));
}

#[test]
fn what_the_operator_says_goes_first() {
    let ignored =
        IgnoreHeaders { cache_control: true, expires: true, vary: true, ..IgnoreHeaders::default() };
    let valid = vec![ValidRule { status: ValidStatus::Any, time: Duration::from_secs(10) }];
    let cases = [
        (
            "ignored",
            Case { ignored, ..answer("Cache-Control: max-age=60\nExpires: 0") },
            Err(Refusal::NoLifetime),
        ),
        (
            "ignored, valid",
            Case { ignored, valid: valid.clone(), ..answer("Cache-Control: no-store") },
            Ok(10),
        ),
        ("ignored vary", Case { ignored, valid: valid.clone(), ..answer("Vary: *") }, Ok(10)),
        ("valid", Case { valid: valid.clone(), status: 500, ..answer("A: b") }, Ok(10)),
        (
            "valid before a guess",
            Case { valid: valid.clone(), ..answer("Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT") },
            Ok(10),
        ),
        ("stated before valid", Case { valid: valid.clone(), ..answer("Cache-Control: max-age=60") }, Ok(60)),
        ("no-store before valid", Case { valid, ..answer("Cache-Control: no-store") }, Err(Refusal::NoStore)),
        ("accel", answer("X-Accel-Expires: 30\nCache-Control: no-store, max-age=60"), Ok(30)),
        ("accel zero", answer("X-Accel-Expires: 0\nCache-Control: max-age=60"), Err(Refusal::AccelZero)),
        (
            "cookies",
            Case { cookies: StoredCookies::Refuse, ..answer("Cache-Control: max-age=60\nSet-Cookie: a=b") },
            Err(Refusal::SetCookie),
        ),
        (
            "cookies replayed",
            Case { cookies: StoredCookies::Replay, ..answer("Cache-Control: max-age=60\nSet-Cookie: a=b") },
            Ok(60),
        ),
    ];
    for (name, case, wanted) in cases {
        assert_eq!(case.fresh_for(), wanted, "{name}");
    }
}

#[test]
fn windows_for_stale_answers() {
    let cases = [
        ("max-age=60", (0, 0)),
        ("max-age=60, stale-while-revalidate=5", (5, 0)),
        ("max-age=60, stale-if-error=7", (0, 7)),
        ("max-age=60, stale-while-revalidate=5, stale-if-error=7", (5, 7)),
        ("max-age=60, stale-while-revalidate=x, stale-if-error", (0, 0)),
        ("max-age=60, stale-while-revalidate=99999999999", (1 << 31, 0)),
    ];
    for (control, wanted) in cases {
        let text = format!("Cache-Control: {control}");
        let terms = answer(&text).terms().unwrap();
        let windows = (terms.stale_while_revalidate.as_secs(), terms.stale_if_error.as_secs());
        assert_eq!(windows, wanted, "{control}");
    }
}

#[test]
fn a_304_gives_new_terms() {
    let cases = [
        ("its own age", "Cache-Control: max-age=5", "Cache-Control: max-age=60\nAge: 10", Some(50)),
        ("the stored lifetime", "Cache-Control: max-age=60\nAge: 50", "A: b", Some(60)),
        ("its Expires", "Expires: 0", "Expires: Sat, 21 Nov 2026 15:01:40 GMT", Some(100)),
        ("the stored control before its Expires", "Cache-Control: max-age=60", "Expires: 0", Some(60)),
        ("its targeted field", "Cache-Control: max-age=5", "CDN-Cache-Control: max-age=60", Some(60)),
        ("a guess", "Last-Modified: Sat, 21 Nov 2026 14:50:00 GMT", DATE, Some(60)),
        ("nothing", "A: b", "A: b", None),
    ];
    for (name, stored, not_modified, wanted) in cases {
        let case = Case::default();
        let asked = Asked { method: Method::Get, fields: &Fields::new(), at: at(NOW) };
        let fields = head(not_modified);
        let answered = Answered { status: 304, fields: &fields, at: at(NOW) };
        let terms = case.rules().renew(&asked, &answered, (200, &head(stored)));
        assert_eq!(terms.map(|terms| terms.valid_until), wanted.map(|seconds| at(NOW + seconds)), "{name}");
    }
}
