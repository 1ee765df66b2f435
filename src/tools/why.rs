//! `larder cache why`: what the cache does for a URL, and why.
//!
//! The request is really made, in this process, by the same code and the same configuration as a server's: location, key, what is
//! stored, and what the upstream answers. So it has a server's effects too: what may be stored is.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    pin::pin,
    rc::Rc,
    sync::Arc,
};

use cache::{
    Role, Zone,
    policy::{CacheStatus, Forward},
};
use config::{
    CacheZone, Content, Diagnostic, HostLookup, HttpConf, ListenAddress, MainText, Source, load,
    offline::ConfFile,
};
use serde_json::{Value, json};
use tls::Contexts;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::{Builder, LocalOptions},
};

use super::{
    Failure, Stoop, Verdict, enter,
    report::{Output, put, shown, span, tell},
    url::Url,
};
use crate::{
    clock,
    http::{
        Exchange, h1, proxy, route,
        secure::Arrival,
        site::{EventLoop, Site},
    },
    net::Drain,
};

/// Asks for a URL and tells what the cache did. `fields` are sent along with the request, each `Name: value`.
pub fn why(
    conf: &ConfFile,
    url: &str,
    fields: &[String],
    output: Output,
    stoop: Stoop<'_>,
) -> Result<Verdict, Failure> {
    let main = MainText::File(conf.file.clone());
    let source = Source { prefix: conf.prefix.clone(), main, globals: None, error_log: None };
    let loaded = load(&source, &Machine).map_err(|problems| told(&problems))?;
    let mut problems = Vec::new();
    let contexts = Contexts::build(&loaded.config, None, &mut problems).ok_or_else(|| told(&problems))?;
    let caches = loaded.config.http.as_ref().map_or_else(Vec::new, |http| http.zones.clone());
    for cache in &caches {
        enter(&cache.path, stoop)?;
        // What is missing in it is made, and its owner's.
        drop(Zone::open(cache, Role::Tool)?);
    }
    // Logs may be for root only.
    stoop(Path::new("/"))?;
    let site = Site::new(Arc::new(loaded.config), Arc::new(contexts))?;
    for cache in &caches {
        enter(&cache.path, stoop)?;
    }
    if site.config.http.is_none() {
        return Err("the configuration has no http block".into());
    }
    let url = Url::parse(url, None)?;
    let listener = listener(site.http(), &url)?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let exchange = runtime.block_on(ask(Arc::clone(&site), listener, &url, fields))?;
    let findings = Findings::of(&exchange);
    tell(output, || findings.text(&url), || findings.json(&url))?;
    runtime.shutdown_background();
    Ok(Verdict::Good)
}

fn told(problems: &[Diagnostic]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The machine's own names and addresses.
struct Machine;

impl HostLookup for Machine {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (host, port).to_socket_addrs().map(Iterator::collect)
    }

    fn hostname(&self) -> String {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Finds the address that the URL leads to: of those with its port the first whose names have its host, else the first.
fn listener(http: &HttpConf, url: &Url) -> Result<usize, Failure> {
    let has_port = |address: &ListenAddress| match address {
        ListenAddress::Inet(address) => url.port().is_none_or(|port| address.port() == port),
        ListenAddress::Unix(_) => false,
    };
    let fitting: Vec<usize> =
        (0..http.listeners.len()).filter(|index| has_port(&http.listeners[*index].address)).collect();
    let host = url.name().as_bytes();
    let is_named = |index: &&usize| {
        let default = &http.listeners[**index].default_server;
        route::server(http, **index, host).is_ok_and(|(server, _)| !Arc::ptr_eq(server, default))
    };
    let found = fitting.iter().find(is_named).or(fitting.first());
    found.copied().ok_or_else(|| {
        let known: Vec<_> = http.listeners.iter().map(|listener| listener.address.to_string()).collect();
        format!("no server listens there; the configuration has: {}", known.join(", ")).into()
    })
}

/// Makes the request over a pair of sockets.
async fn ask(
    site: Arc<Site>,
    listener: usize,
    url: &Url,
    fields: &[String],
) -> Result<Box<Exchange>, Failure> {
    let event_loop = EventLoop::new(site, 0, Drain::default());
    let fills = event_loop.fills.clone();
    let (ours, theirs) = UnixStream::pair()?;
    let (mut input, mut output) = theirs.into_split();
    let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", url.target, url.host);
    fields.iter().for_each(|field| request += &format!("{field}\r\n"));
    request += "\r\n";
    output.write_all(request.as_bytes()).await?;
    let mut sink = vec![0; 64 << 10];
    let mut serve =
        pin!(h1::serve_one(Rc::clone(&event_loop), Arrival::rehearsed(&event_loop, ours.into(), listener)));
    let exchange = loop {
        tokio::select! {
            exchange = &mut serve => break exchange,
            // Nothing of it matters but that it is taken.
            Ok(1..) = input.read(&mut sink) => {}
        }
    };
    fills.done().await;
    exchange.ok_or_else(|| "the request was refused without a word".into())
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
struct Findings {
    status: u16,
    location: String,
    zone: Option<String>,
    key: Option<Vec<u8>>,
    cache_status: Option<CacheStatus>,
    upstream: Option<u16>,
    stored: bool,
    fresh_s: Option<i64>,
    forward: Option<Forward>,
    detail: Option<&'static str>,
    why: String,
}

impl Findings {
    fn of(exchange: &Exchange) -> Self {
        let (location, facts) = (&exchange.location, &exchange.upstream.cache);
        let cache_status = exchange.upstream.cache_status;
        let key = match &location.content {
            Content::Proxy(pass) if cache_status.is_some() => Some(proxy::request::cache_key(exchange, pass)),
            _ => None,
        };
        let mut findings = Self {
            status: exchange.sent.status,
            location: location.name.to_string(),
            zone: match &*location.cache.zone {
                CacheZone::Off => None,
                CacheZone::Zone(path) => Some(path.name.clone()),
                CacheZone::Variable(name) => {
                    Some(String::from_utf8_lossy(&name.expand(exchange)).into_owned())
                }
            },
            key,
            cache_status,
            upstream: exchange.upstream.tries.last().and_then(|last| last.status),
            stored: facts.stored,
            fresh_s: facts.held.map(|held| held.ttl_s(clock::now())),
            forward: facts.forward,
            detail: facts.detail,
            why: String::new(),
        };
        findings.why = match (&location.content, cache_status) {
            (Content::Static, _) => "the location passes nothing on: no cache has a part in it".to_owned(),
            (Content::Proxy(_), None) if findings.zone.is_none() => {
                "the location has no proxy_cache".to_owned()
            }
            (Content::Proxy(_), None) => "the cache was not asked".to_owned(),
            (Content::Proxy(_), Some(_)) => findings.reason(),
        };
        findings
    }

    /// Tells why an answer comes from the cache or not, and goes into it or not.
    fn reason(&self) -> String {
        let fresh = self.fresh_s.map(fresh).unwrap_or_default();
        let Some(forward) = self.forward else { return format!("it is stored{fresh}") };
        let asked = match forward {
            Forward::Bypass => {
                "the configuration lets the cache not answer (proxy_cache_bypass and its like)"
            }
            Forward::Method => "requests of this method are not answered from the cache",
            Forward::UriMiss => "nothing was stored under the key",
            Forward::VaryMiss => "what was stored answers requests with other fields (Vary)",
            Forward::Request => "the request's own directives refuse what was stored",
            Forward::Stale => "what was stored is not fresh any more",
            Forward::Partial => "what was stored is not all that was asked for",
        };
        if self.stored {
            return format!("{asked}; the answer is stored now{fresh}");
        }
        match self.detail {
            Some(detail) => format!("{asked}; {}", explanation(detail)),
            None => format!("{asked}; the answer is not stored"),
        }
    }

    fn text(&self, url: &Url) -> String {
        let mut lines = vec![format!("url       http://{}{}", url.host, url.target)];
        lines.push(format!(
            "location  {}",
            if self.location.is_empty() { "(the server's own)" } else { &self.location }
        ));
        lines.extend(self.zone.iter().map(|zone| format!("cache     {zone}")));
        lines.extend(self.key.iter().map(|key| format!("key       {}", shown(key))));
        lines.push(match self.cache_status {
            Some(status) => format!("answer    {}, {}", self.status, status.as_str()),
            None => format!("answer    {}", self.status),
        });
        lines.extend(self.upstream.map(|status| format!("upstream  {status}")));
        lines.push(format!("why       {}", self.why));
        lines.join("\n")
    }

    fn json(&self, url: &Url) -> Value {
        let mut facts = json!({
            "url": format!("http://{}{}", url.host, url.target),
            "location": self.location,
            "zone": self.zone,
            "key": null,
            "status": self.status,
            "cache_status": self.cache_status.map(CacheStatus::as_str),
            "upstream_status": self.upstream,
            "stored": self.stored,
            "fresh_s": self.fresh_s,
            "forward": self.forward.map(Forward::as_str),
            "detail": self.detail,
            "why": self.why,
        });
        if let Some(key) = &self.key {
            put(&mut facts, "key", key);
        }
        facts
    }
}

fn fresh(left_s: i64) -> String {
    let time = span(std::time::Duration::from_secs(left_s.unsigned_abs()));
    if left_s > 0 { format!(", fresh for {time}") } else { format!(", stale for {time}") }
}

/// Says in a sentence what a word of the cache's means.
fn explanation(detail: &str) -> String {
    let sentence = match detail {
        "cache-control" => {
            "the answer is not stored: its Cache-Control forbids it (no-cache, no-store, private, or an age of zero)"
        }
        "bad-age" => "the answer is not stored: an age in its Cache-Control is no number",
        "x-accel-expires" => "the answer is not stored: its X-Accel-Expires is zero",
        "x-accel-redirect" => "the answer is not stored: another location answers (X-Accel-Redirect)",
        "expires" => "the answer is not stored: its Expires is past, or no date",
        "set-cookie" => {
            "the answer is not stored: it sets a cookie (proxy_ignore_headers Set-Cookie would have it stored)"
        }
        "vary" => "the answer is not stored: it depends on everything (Vary: *)",
        "no-lifetime" => {
            "the answer is not stored: neither it nor proxy_cache_valid says for how long it is good"
        }
        "no-store" => "the answer is not stored: its Cache-Control says no-store",
        "private" => "the answer is not stored: its Cache-Control says private",
        "must-understand" => "the answer is not stored: its status is none that must-understand allows",
        "status" => "the answer is not stored: its status is not that of a whole answer",
        "authorization" => {
            "the answer is not stored: the request had Authorization, and it does not say that it is for others too"
        }
        "no-validator" => {
            "the answer is not stored: it would have to be validated at each use, and has no validator"
        }
        "method" => "the answer is not stored: it is to a method whose answers serve nobody else",
        "no-cache" => "the answer is not stored: proxy_no_cache forbids it",
        "min-uses" => {
            "the answer is not stored yet: it was asked for less often than proxy_cache_min_uses wants"
        }
        "stale-on-error" => "the upstream failed, and what was stored was served",
        "stale-retry" => "the upstream failed a moment ago and was not asked again (proxy_cache_stale_retry)",
        other => return format!("the answer is not stored: {other}"),
    };
    sentence.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(forward: Option<Forward>, stored: bool, detail: Option<&'static str>) -> Findings {
        Findings {
            status: 200,
            location: "/".to_owned(),
            zone: Some("z".to_owned()),
            key: None,
            cache_status: None,
            upstream: None,
            stored,
            fresh_s: Some(60),
            forward,
            detail,
            why: String::new(),
        }
    }

    #[test]
    fn reasons_are_sentences() {
        for (forward, stored, detail, wanted) in [
            (None, false, None, "it is stored, fresh for 1m"),
            (
                Some(Forward::UriMiss),
                true,
                None,
                "nothing was stored under the key; the answer is stored now, fresh for 1m",
            ),
            (
                Some(Forward::Stale),
                false,
                Some("private"),
                "what was stored is not fresh any more; the answer is not stored: its Cache-Control says private",
            ),
        ] {
            assert_eq!(findings(forward, stored, detail).reason(), wanted);
        }
        assert_eq!(fresh(-90), ", stale for 1m 30s");
    }
}
