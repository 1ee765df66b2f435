//! Which answers are compressed, by tables; what else decides is compared with nginx in `tests/parity`.

use std::time::{Duration, UNIX_EPOCH};

use config::{GzipProxied, MediaTypes, Setting};
use http1::{Fields, HeadRules, RequestParser};

use super::*;

const NOW_S: u64 = 1_700_000_000;

fn conf() -> GzipConf {
    GzipConf { enable: Setting::written(true), ..GzipConf::default() }
}

fn request(lines: &str) -> RequestHead {
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n{lines}\r\n");
    let mut head = RequestHead::new();
    RequestParser::new().parse(text.as_bytes(), &HeadRules::default(), &mut head).expect("a whole head");
    head
}

fn page() -> Response {
    Response::new(200).with_memory("text/html", "twenty bytes or more")
}

fn verdict(conf: &GzipConf, lines: &str, response: &Response) -> Verdict {
    judge(&request(lines), conf, response, UNIX_EPOCH + Duration::from_secs(NOW_S))
}

#[test]
fn the_answer_must_be_fit() {
    let with = |change: fn(&mut Response)| {
        let mut response = page();
        change(&mut response);
        verdict(&conf(), "", &response)
    };
    use Verdict::{Compressed, Unfit};
    assert_eq!(with(|_| {}), Compressed);
    assert_eq!(with(|response| response.status = 404), Compressed);
    assert_eq!(with(|response| response.status = 206), Unfit);
    assert_eq!(with(|response| response.status = 304), Unfit);
    assert_eq!(with(|response| response.content_length = Some(19)), Unfit);
    assert_eq!(with(|response| response.content_length = None), Compressed);
    assert_eq!(with(|response| response.content_type = None), Unfit);
    assert_eq!(with(|response| response.fields.push(b"Content-Encoding", b"br")), Unfit);
    assert_eq!(with(|response| response.fields.push(b"Content-Encoding", b"")), Compressed);
    let any = GzipConf { types: Setting::written(MediaTypes::Any), ..conf() };
    let mut untyped = page();
    untyped.content_type = None;
    assert_eq!(verdict(&any, "", &untyped), Compressed);
}

#[test]
fn a_proxy_gets_what_it_may_not_keep() {
    let off = GzipProxied::default();
    let rules = [
        ("any", GzipProxied { any: true, ..off }),
        ("off", GzipProxied { off: true, ..off }),
        ("expired", GzipProxied { expired: true, ..off }),
        ("private", GzipProxied { private: true, ..off }),
        ("no_etag", GzipProxied { no_etag: true, ..off }),
        ("auth", GzipProxied { auth: true, ..off }),
    ];
    let past = [("Expires", "Tue, 14 Nov 2023 22:13:19 GMT")];
    let now = [("Expires", "Tue, 14 Nov 2023 22:13:20 GMT")];
    let private = [("Cache-Control", "max-age=1, Private")];
    let tagged = [("ETag", "\"a\"")];
    type Case<'a> = (&'static str, &'a [(&'a str, &'a str)], [bool; 6]);
    let answers: [Case<'_>; 5] = [
        ("nothing", &[], [true, false, true, true, true, true]),
        ("expired", &past, [true, false, true, false, false, false]),
        ("not expired", &now, [true, false, false, false, false, false]),
        ("private", &private, [true, false, false, true, false, false]),
        ("tagged", &tagged, [true, false, true, true, false, true]),
    ];
    for (what, fields, wanted) in answers {
        let mut response = page();
        response.fields =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect::<Fields>();
        for ((rule, proxied), wanted) in rules.iter().zip(wanted) {
            let conf = GzipConf { proxied: Setting::written(*proxied), ..conf() };
            let wanted = if wanted { Verdict::Compressed } else { Verdict::Plain };
            assert_eq!(verdict(&conf, "Via: 1.1 a\r\n", &response), wanted, "{what} by the rule {rule}");
        }
    }
    let auth = GzipConf { proxied: Setting::written(rules[5].1), ..conf() };
    let mut expired = page();
    expired.fields.push(b"Expires", b"0");
    assert_eq!(verdict(&auth, "Via: a\r\nAuthorization: Basic x\r\n", &expired), Verdict::Compressed);
}
