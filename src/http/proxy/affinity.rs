//! What a request says about the peer that it would like (`hash`, `ip_hash`, `sticky`), and what an answer says about the
//! next requests of its client.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use config::{Balancing, CookieExpires, SessionBegins, Sticky, StickyCookie, StickyLearn, Template};

use super::transport::UpstreamBody;
use crate::{
    clock,
    http::{Exchange, variables},
    upstream::{Affinity, Group},
};

/// The end of time for cookies, as nginx has it: 2037-12-31 23:55:55.
const MAX_EXPIRES: u64 = 2_145_916_555;

/// Works out which peer of a group a request would like.
pub fn of(exchange: &Exchange, group: &Group) -> Affinity {
    let hashed = match &group.conf.balancing {
        Balancing::Hash(key) | Balancing::ConsistentHash(key) => key.expand(exchange),
        Balancing::IpHash => address_key(exchange.client.remote.ip()),
        Balancing::RoundRobin
        | Balancing::LeastConn
        | Balancing::LeastTime(_)
        | Balancing::Random
        | Balancing::RandomTwo(_) => Vec::new(),
    };
    let route = match &group.conf.sticky {
        None => None,
        Some(Sticky::Cookie(cookie)) => sent_route(exchange, cookie).map(<[u8]>::to_vec),
        Some(Sticky::Route(values)) => first(values, exchange),
        Some(Sticky::Learn(learn)) => learn.lookup.iter().find_map(|value| {
            let value = value.expand(exchange);
            group.session(&value, clock::moment()).map(|route| route.as_bytes().to_vec())
        }),
    };
    Affinity { hashed, route }
}

/// As nginx: three bytes of an IPv4 address, so that a network stays together, and all of an IPv6 address.
fn address_key(address: Option<IpAddr>) -> Vec<u8> {
    match address {
        Some(IpAddr::V4(address)) => address.octets()[..3].to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
        None => vec![0; 3],
    }
}

fn sent_route<'a>(exchange: &'a Exchange, cookie: &StickyCookie) -> Option<&'a [u8]> {
    variables::cookie(&exchange.head.fields, &cookie.name)
}

/// Returns the first value that is not empty.
fn first(values: &[Template], exchange: &Exchange) -> Option<Vec<u8>> {
    values.iter().map(|value| value.expand(exchange)).find(|value| !value.is_empty())
}

/// Binds the client to the peer that has answered, whose body is at hand unless it is on its way into a cache.
pub fn bind(exchange: &mut Exchange, group: &Arc<Group>, body: Option<&mut UpstreamBody>) {
    let (Some(sticky), Some(peer)) = (&group.conf.sticky, exchange.upstream.peer.clone()) else { return };
    match sticky {
        Sticky::Cookie(cookie) => {
            let is_known = sent_route(exchange, cookie).is_some_and(|route| route == peer.route().as_bytes());
            if !is_known {
                let value = set_cookie(exchange, cookie, peer.route(), clock::now());
                exchange.kept.fields.push(b"Set-Cookie", &value);
            }
        }
        Sticky::Route(_) => {}
        Sticky::Learn(StickyLearn { create, begins, .. }) => {
            let Some(value) = first(create, exchange) else { return };
            match (begins, body) {
                (SessionBegins::AtEnd, Some(body)) => {
                    let group = Arc::clone(group);
                    body.at_end(Box::new(move || group.bind_session(&value, &peer, clock::moment())));
                }
                (SessionBegins::AtEnd, None) | (SessionBegins::AtHead, _) => {
                    group.bind_session(&value, &peer, clock::moment());
                }
            }
        }
    }
}

/// Writes the value of Set-Cookie.
fn set_cookie(exchange: &Exchange, cookie: &StickyCookie, route: &str, now: SystemTime) -> Vec<u8> {
    let mut out = format!("{}={route}", cookie.name).into_bytes();
    if let Some(expires) = cookie.expires {
        let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (at_s, age_s) = match expires {
            CookieExpires::Max => (MAX_EXPIRES, MAX_EXPIRES.saturating_sub(now_s)),
            CookieExpires::After(time) => (now_s + time.as_secs(), time.as_secs()),
        };
        let date = http1::date::format(i64::try_from(at_s).unwrap_or(i64::MAX));
        out.extend_from_slice(format!("; expires={date}; max-age={age_s}").as_bytes());
    }
    let mut attribute = |name: &str, value: &Option<Template>| {
        let value = value.as_ref().map(|value| value.expand(exchange)).filter(|value| !value.is_empty());
        if let Some(value) = value {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(&value);
        }
    };
    attribute("domain", &cookie.domain);
    attribute("path", &cookie.path);
    attribute("samesite", &cookie.same_site);
    if cookie.secure {
        out.extend_from_slice(b"; secure");
    }
    if cookie.http_only {
        out.extend_from_slice(b"; httponly");
    }
    out
}
