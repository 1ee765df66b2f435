//! The default body of each status, and what the product says of itself.
//!
//! The pages have nginx's form, so that what matches on them goes on matching; the name in them is ours.

use std::borrow::Cow;

use bytes::Bytes;
use config::ServerTokens;
use http1::Version;

use crate::http::{Exchange, Response};

const NAME: &str = "larder";
const NAME_AND_VERSION: &str = concat!("larder/", env!("CARGO_PKG_VERSION"));

/// Makes the answer of a status that has no page of its own in the configuration.
pub fn plain(status: u16, exchange: &Exchange) -> Response {
    let mut response = Response::new(shown_status(status));
    let Some(page) = page_of(status) else { return response };
    let mut body = page.to_html(&product(exchange));
    if status >= 400
        && exchange.head.version >= Version::V1_0
        && wants_padding(exchange.head.fields.get("User-Agent"))
    {
        body.push_str(&PADDING_LINE.repeat(PADDING_LINES));
    }
    response = response.with_memory(Bytes::from_static(b"text/html"), body);
    response
}

/// Writes the field Server; without one where `server_tokens` is an empty text.
pub fn write_server(out: &mut Vec<u8>, exchange: &Exchange) {
    let product = product(exchange);
    if !product.is_empty() {
        http1::write_field(out, b"Server", product.as_bytes());
    }
}

/// Returns what the product calls itself.
pub fn product(exchange: &Exchange) -> Cow<'static, str> {
    match &*exchange.location.core.server_tokens {
        ServerTokens::Off => Cow::Borrowed(NAME),
        ServerTokens::On | ServerTokens::Build => Cow::Borrowed(NAME_AND_VERSION),
        ServerTokens::Text(template) => {
            Cow::Owned(String::from_utf8_lossy(&template.expand(exchange)).into_owned())
        }
    }
}

/// Returns the status that goes out for one of nginx's own.
pub(super) fn shown_status(status: u16) -> u16 {
    match status {
        494..=497 => 400,
        other => other,
    }
}

/// A page: what stands in its title and heading, and a line below for nginx's own statuses.
struct Page {
    title: &'static str,
    heading: &'static str,
    line: Option<&'static str>,
}

impl Page {
    fn to_html(&self, product: &str) -> String {
        let line = self.line.map(|line| format!("<center>{line}</center>\r\n")).unwrap_or_default();
        format!(
            "<html>\r\n<head><title>{}</title></head>\r\n<body>\r\n<center><h1>{}</h1></center>\r\n\
             {line}<hr><center>{product}</center>\r\n</body>\r\n</html>\r\n",
            self.title, self.heading
        )
    }
}

/// Returns the page of a status; one that nginx has no page for goes out without a body.
fn page_of(status: u16) -> Option<Page> {
    let bad_request = |title, line| Some(Page { title, heading: "400 Bad Request", line: Some(line) });
    match status {
        494 => bad_request("400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"),
        495 => bad_request("400 The SSL certificate error", "The SSL certificate error"),
        496 => {
            bad_request("400 No required SSL certificate was sent", "No required SSL certificate was sent")
        }
        497 => bad_request(
            "400 The plain HTTP request was sent to HTTPS port",
            "The plain HTTP request was sent to HTTPS port",
        ),
        _ => title_of(status).map(|title| Page { title, heading: title, line: None }),
    }
}

fn title_of(status: u16) -> Option<&'static str> {
    Some(match status {
        301 => "301 Moved Permanently",
        302 => "302 Found",
        303 => "303 See Other",
        307 => "307 Temporary Redirect",
        308 => "308 Permanent Redirect",
        400 => "400 Bad Request",
        401 => "401 Authorization Required",
        402 => "402 Payment Required",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Not Allowed",
        406 => "406 Not Acceptable",
        408 => "408 Request Time-out",
        409 => "409 Conflict",
        410 => "410 Gone",
        411 => "411 Length Required",
        412 => "412 Precondition Failed",
        413 => "413 Request Entity Too Large",
        414 => "414 Request-URI Too Large",
        415 => "415 Unsupported Media Type",
        416 => "416 Requested Range Not Satisfiable",
        421 => "421 Misdirected Request",
        429 => "429 Too Many Requests",
        500 => "500 Internal Server Error",
        501 => "501 Not Implemented",
        502 => "502 Bad Gateway",
        503 => "503 Service Temporarily Unavailable",
        504 => "504 Gateway Time-out",
        505 => "505 HTTP Version Not Supported",
        507 => "507 Insufficient Storage",
        _ => return None,
    })
}

const PADDING_LINE: &str = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";
const PADDING_LINES: usize = 6;

/// Says whether a browser shows a page of its own in place of a short one.
fn wants_padding(user_agent: Option<&[u8]>) -> bool {
    let Some(agent) = user_agent else { return false };
    let find = |word: &str| memchr::memmem::find(agent, word.as_bytes());
    if find("Opera").is_some() {
        return false;
    }
    let explorer = find("MSIE ").is_some_and(|start| start + 7 < agent.len());
    explorer || (find("Gecko/").is_none() && find("Chrome/").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_their_form() {
        let page = page_of(404).unwrap().to_html("larder");
        let wanted = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
                      <center><h1>404 Not Found</h1></center>\r\n<hr><center>larder</center>\r\n</body>\r\n</html>\r\n";
        assert_eq!(page, wanted);
        let own = page_of(494).unwrap().to_html("larder");
        assert!(own.contains(
            "<h1>400 Bad Request</h1></center>\r\n<center>Request Header Or Cookie Too Large</center>\r\n<hr>"
        ));
    }

    #[test]
    fn each_error_has_a_page_that_names_it() {
        for status in (300..600).filter(|status| !(494..=497).contains(status)) {
            let Some(page) = page_of(status) else { continue };
            assert!(page.title.starts_with(&format!("{status} ")), "{status}");
        }
        for status in [304, 418, 428, 431, 451, 506, 511] {
            assert!(page_of(status).is_none(), "{status}");
        }
    }

    #[test]
    fn own_statuses_go_out_as_400() {
        for (status, shown) in [(494, 400), (495, 400), (496, 400), (497, 400), (404, 404), (502, 502)] {
            assert_eq!(shown_status(status), shown);
        }
    }

    #[test]
    fn some_browsers_get_longer_pages() {
        for (agent, wanted) in [
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", true),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
                true,
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", false),
            ("Opera/9.80 MSIE 6.0 Chrome/1", false),
            ("x MSIE 6", false),
            ("curl/8.0", false),
        ] {
            assert_eq!(wants_padding(Some(agent.as_bytes())), wanted, "{agent}");
        }
        assert!(!wants_padding(None));
    }
}
