//! The value of every variable, in one match.
//!
//! Values and their absence are nginx's. Nothing is kept: a variable is worked out where it is asked for.

use std::{io::Write, net::IpAddr, os::unix::ffi::OsStrExt, path::Path, sync::OnceLock};

use config::{Content, Slot, Unset, UpstreamVariable, Variable, VariableSource};
use http1::{Fields, Method};

use super::{
    Exchange,
    exchange::{Compressed, UpstreamFacts},
    fault::report,
    files,
    request_body::Collected,
    slice,
};
use crate::{
    clock,
    error_log::Level,
    net::{TcpInfo, tcp_info},
};

mod computed;
mod forwarded;
mod request;
mod slots;
mod ssl;
pub(crate) mod time;
mod upstream;

pub(super) use request::cookie;
pub use slots::Slots;
use upstream::ListItem;

/// The version of nginx whose language is spoken.
const NGINX_VERSION: &str = "1.31.5";

impl VariableSource for Exchange {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        self.write_within(self, variable, out)
    }

    fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
        Sink(out).some(self.captures.borrow().group(number))
    }
}

impl Exchange {
    /// Appends a variable's value, where `around` knows some variables better: those that are made of others ask it.
    pub fn write_within(&self, around: &dyn VariableSource, variable: &Variable, out: &mut Vec<u8>) -> bool {
        use Variable as V;
        let mut sink = Sink(out);
        match variable {
            V::Arg(name) => sink.some(request::argument(&self.args, name)),
            V::Args | V::QueryString => sink.unless_empty(&self.args),
            V::BinaryRemoteAddr => sink.bytes(&binary_address(self)),
            V::BodyBytesSent => sink.number(self.sent.body_bytes),
            V::BytesSent => sink.number(self.sent.bytes),
            V::Connection => sink.number(self.client.serial),
            V::ConnectionRequests => sink.number(self.client.requests.get()),
            V::ConnectionTime => sink.seconds(self.client.opened.elapsed()),
            V::ContentLength => sink.some(self.head.fields.get("Content-Length")),
            V::ContentType => sink.some(self.head.fields.get("Content-Type")),
            V::Cookie(name) => sink.some(cookie(&self.head.fields, name)),
            V::DateGmt => sink.date(time::Place::Greenwich),
            V::DateLocal => sink.date(time::Place::Here),
            V::DocumentRoot => sink.bytes(&files::document_root(self)),
            V::GzipRatio => sink.some(self.sent.compressed.and_then(ratio).as_deref()),
            V::Host => sink.bytes(host(self)),
            V::Hostname => sink.bytes(hostname()),
            V::Http(name) => sink.fields(&self.head.fields, name),
            V::Http2 => sink.bytes(http2(self)),
            V::Https => sink.bytes(if self.client.is_secured() { b"on" } else { b"" }),
            V::IsArgs => sink.bytes(if self.args.is_empty() { b"" } else { b"?" }),
            V::LimitRate => sink.number(self.limit_rate.unwrap_or(0)),
            V::Msec => sink.seconds(time::since_epoch(clock::now())),
            V::Slot(slot) => self.slots.write(slot, sink.0) || unset(self, around, slot, sink.0),
            V::NginxVersion => sink.bytes(NGINX_VERSION.as_bytes()),
            V::Pid => sink.number(std::process::id().into()),
            V::Pipe => sink.bytes(if self.client.pipelined.get() { b"p" } else { b"." }),
            V::ProxyAddXForwardedFor => sink.forwarded_for(self),
            V::ProxyHost => sink.some(proxy_target(self).map(|(host, _)| host.as_bytes())),
            V::ProxyPort => sink.some(proxy_target(self).map(|(_, port)| port.as_bytes())),
            V::ProxySslServerName => sink.some(ssl::peer_name(self).as_deref()),
            V::RealpathRoot => sink.some(files::real_root(self).as_deref()),
            V::RemoteAddr => sink.bytes(self.client.remote.text.as_bytes()),
            V::RemotePort => sink.port(self.client.remote.port()),
            V::RemoteUser => sink.some(request::user(&self.head.fields).as_deref()),
            V::Request => sink.unless_empty(self.head.request_line()),
            V::RequestBody => sink.some(request_body(self)),
            V::RequestBodyFile => body_file(self).is_some_and(|path| sink.path(path)),
            V::RequestCompletion => sink.bytes(if self.sent.complete { b"OK" } else { b"" }),
            V::RequestFilename => sink.path(&files::file_path(self, &self.uri)),
            V::RequestId => sink.bytes(self.request_id.get_or_init(request::random_id).as_bytes()),
            V::RequestLength => sink.number(self.request_length()),
            V::RequestMethod => sink.bytes(method(self)),
            V::RequestTime => sink.seconds(self.started.elapsed()),
            V::RequestUri => sink.bytes(self.head.path_and_query()),
            V::Scheme => sink.bytes(self.client.scheme().as_bytes()),
            V::SentHttp(name) => sink.fields(&self.sent.fields, name),
            V::SentTrailer(name) => sink.fields(&self.sent.trailers, name),
            V::ServerAddr => sink.bytes(self.client.local.text.as_bytes()),
            V::ServerName => sink.bytes(self.server.first_name.as_bytes()),
            V::ServerPort => sink.port(self.client.local.port()),
            V::ServerProtocol => sink.unless_empty(self.head.protocol()),
            V::Ssl(variable) => ssl::write(self, variable, &mut sink),
            V::SliceRange => sink.slice(self),
            V::Status => sink.status(self),
            V::TcpinfoRcvSpace => sink.tcp(self, |tcp| tcp.receive_space),
            V::TcpinfoRtt => sink.tcp(self, |tcp| tcp.rtt_us),
            V::TcpinfoRttvar => sink.tcp(self, |tcp| tcp.rtt_variation_us),
            V::TcpinfoSndCwnd => sink.tcp(self, |tcp| tcp.send_window),
            V::TimeIso8601 => sink.local_time(time::Form::Iso8601),
            V::TimeLocal => sink.local_time(time::Form::Log),
            V::Upstream(variable) => self.upstream.write(variable, out),
            V::Uri | V::DocumentUri => sink.bytes(&self.uri),
        }
    }
}

/// The file that holds the request's body, where one does.
fn body_file(exchange: &Exchange) -> Option<&Path> {
    match exchange.body.collected()? {
        Collected::File(file) => Some(&file.path),
        Collected::Memory(_) => None,
    }
}

impl UpstreamFacts {
    /// Appends the value of a variable about upstreams; false says that it has none.
    pub fn write(&self, variable: &UpstreamVariable, out: &mut Vec<u8>) -> bool {
        use UpstreamVariable as U;
        let mut sink = Sink(out);
        match variable {
            U::Addr => sink.list(self, ListItem::Address),
            U::BytesReceived => sink.list(self, ListItem::BytesReceived),
            U::BytesSent => sink.list(self, ListItem::BytesSent),
            U::CacheAge => sink.some_number(upstream::cache_age_s(self, clock::now())),
            U::CacheEtag => sink.some(upstream::cached_field(self, "ETag")),
            U::CacheLastModified => sink.some(upstream::cached_field(self, "Last-Modified")),
            U::CacheStatus => sink.some(self.cache_status.map(|status| status.as_str().as_bytes())),
            U::QueueTime => sink.list(self, ListItem::QueueTime),
            U::ConnectTime => sink.list(self, ListItem::ConnectTime),
            U::Cookie(name) => sink.some(upstream::set_cookie(self, name)),
            U::HeaderTime => sink.list(self, ListItem::HeaderTime),
            U::Http(name) => self.head.as_ref().is_some_and(|head| sink.fields(&head.fields, name)),
            U::ResponseLength => sink.list(self, ListItem::ResponseLength),
            U::ResponseTime => sink.list(self, ListItem::ResponseTime),
            U::Status => sink.list(self, ListItem::Status),
            U::Trailer(name) => self.trailers.as_ref().is_some_and(|trailers| sink.fields(trailers, name)),
        }
    }
}

/// Where values go. Each method says whether there was a value, which may be empty.
struct Sink<'a>(&'a mut Vec<u8>);

impl Sink<'_> {
    fn bytes(&mut self, value: &[u8]) -> bool {
        self.0.extend_from_slice(value);
        true
    }

    fn some(&mut self, value: Option<&[u8]>) -> bool {
        value.is_some_and(|value| self.bytes(value))
    }

    fn unless_empty(&mut self, value: &[u8]) -> bool {
        self.bytes(value) && !value.is_empty()
    }

    fn number(&mut self, number: u64) -> bool {
        write!(self.0, "{number}").expect("memory takes all that is written");
        true
    }

    fn some_number(&mut self, number: Option<u64>) -> bool {
        number.is_some_and(|number| self.number(number))
    }

    fn tcp(&mut self, exchange: &Exchange, fact: fn(TcpInfo) -> u64) -> bool {
        self.some_number(tcp_info(&exchange.client.stream).map(fact))
    }

    fn seconds(&mut self, time: std::time::Duration) -> bool {
        time::write_seconds(self.0, time);
        true
    }

    fn date(&mut self, place: time::Place) -> bool {
        time::write_formatted(self.0, clock::now(), place, time::DATE_FORMAT);
        true
    }

    fn local_time(&mut self, form: time::Form) -> bool {
        time::write_local(self.0, clock::now(), form);
        true
    }

    fn port(&mut self, port: Option<u16>) -> bool {
        port.is_none_or(|port| self.number(port.into()))
    }

    fn path(&mut self, path: &Path) -> bool {
        self.bytes(path.as_os_str().as_bytes())
    }

    /// The slice that is asked for.
    fn slice(&mut self, exchange: &Exchange) -> bool {
        let Some((first, last)) = slice::range(exchange) else { return false };
        write!(self.0, "bytes={first}-{last}").expect("memory takes all that is written");
        true
    }

    /// Three digits: of the answer, of the error that is being answered, or zeros.
    fn status(&mut self, exchange: &Exchange) -> bool {
        let status = match exchange.sent.status {
            0 => exchange.error_status.unwrap_or(0),
            sent => sent,
        };
        write!(self.0, "{status:03}").expect("memory takes all that is written");
        true
    }

    /// All fields of a name, as one list. Names come with dashes, which stand for underscores too.
    fn fields(&mut self, fields: &Fields, name: &str) -> bool {
        let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
        let mut found = false;
        for (field, value) in fields.iter().filter(|(field, _)| is_named(field, name)) {
            debug_assert!(!field.is_empty(), "a name that matched is not empty");
            if found {
                self.bytes(separator);
            }
            found = self.bytes(value);
        }
        found
    }

    fn forwarded_for(&mut self, exchange: &Exchange) -> bool {
        if self.fields(&exchange.head.fields, "x-forwarded-for") {
            self.bytes(b", ");
        }
        self.bytes(exchange.client.remote.text.as_bytes())
    }

    fn list(&mut self, facts: &UpstreamFacts, item: ListItem) -> bool {
        upstream::write_list(self.0, facts, item)
    }
}

fn is_named(field: &[u8], name: &str) -> bool {
    let same =
        |(ours, theirs): (&u8, u8)| ours.eq_ignore_ascii_case(&theirs) || (*ours == b'_' && theirs == b'-');
    field.len() == name.len() && field.iter().zip(name.bytes()).all(same)
}

/// What HTTP/2 calls itself, where that is spoken.
fn http2(exchange: &Exchange) -> &'static [u8] {
    match exchange.client.request_stream() {
        None => b"",
        Some(_) if exchange.client.is_secured() => b"h2",
        Some(_) => b"h2c",
    }
}

fn binary_address(exchange: &Exchange) -> Vec<u8> {
    match exchange.client.remote.ip() {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
        None => exchange.client.remote.text.as_bytes().to_vec(),
    }
}

fn host(exchange: &Exchange) -> &[u8] {
    if exchange.host.is_empty() { exchange.server.first_name.as_bytes() } else { &exchange.host }
}

/// The machine's name, in lower case as nginx has it.
fn hostname() -> &'static [u8] {
    static NAME: OnceLock<Vec<u8>> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = nix::unistd::gethostname().unwrap_or_default();
        name.as_bytes().to_ascii_lowercase()
    })
}

/// How many times smaller compression made a body, with two decimals rounded as nginx does it.
fn ratio(compressed: Compressed) -> Option<Vec<u8>> {
    let Compressed { from_bytes, to_bytes } = compressed;
    let hundredths = ((from_bytes * 1000).checked_div(to_bytes)? + 5) / 10;
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100).into_bytes())
}

/// The method in force: an `error_page` turns any but HEAD into GET.
fn method(exchange: &Exchange) -> &[u8] {
    match exchange.method {
        Method::Get => b"GET",
        _ => exchange.head.method_text(),
    }
}

/// What a variable is that got no value yet.
fn unset(exchange: &Exchange, around: &dyn VariableSource, slot: &Slot, out: &mut Vec<u8>) -> bool {
    match &slot.unset {
        Unset::Otherwise(variable) => around.write(variable, out),
        Unset::Computed(number) => computed::write(exchange, around, slot, *number, out),
        Unset::Absent => false,
        Unset::Empty => {
            if *exchange.location.rewrite.uninitialized_variable_warn {
                report(exchange, Level::Warn, format_args!("using uninitialized \"{}\" variable", slot.name));
            }
            // As nginx: it has a value from here on, and one line is enough.
            exchange.slots.set(slot, Vec::new());
            true
        }
    }
}

/// Host and port of `proxy_pass`.
fn proxy_target(exchange: &Exchange) -> Option<(&str, &str)> {
    match (&exchange.proxy_target, &exchange.location.content) {
        (Some(target), _) => Some((&target.host, &target.port)),
        (None, Content::Proxy(pass)) => Some((&pass.host, &pass.port)),
        (None, Content::Static) => None,
    }
}

fn request_body(exchange: &Exchange) -> Option<&[u8]> {
    match exchange.body.collected()? {
        Collected::Memory(bytes) => (!bytes.is_empty()).then_some(bytes),
        Collected::File(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Sink<'_>) -> bool) -> Option<String> {
        let mut out = Vec::new();
        let found = write(&mut Sink(&mut out));
        found.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn fields_of_a_name_are_joined() {
        let pairs =
            [("Cookie", "a=1"), ("X-A", "1"), ("cookie", "b=2"), ("x_a", "2"), ("X-Ab", "3"), ("X-E", "")];
        let fields: Fields = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        for (name, wanted) in [
            ("cookie", Some("a=1; b=2")),
            ("x-a", Some("1, 2")),
            ("x-ab", Some("3")),
            ("x-e", Some("")),
            ("x", None),
        ] {
            assert_eq!(text(|sink| sink.fields(&fields, name)).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn absent_and_empty_are_different() {
        assert_eq!(text(|sink| sink.some(None)), None);
        assert_eq!(text(|sink| sink.some(Some(b""))).as_deref(), Some(""));
        assert_eq!(text(|sink| sink.unless_empty(b"")), None);
        assert_eq!(text(|sink| sink.port(None)).as_deref(), Some(""));
    }
}
