//! The cache before an upstream: what is stored, what is arriving, and whose turn it is to ask.
//!
//! `cached.rs` decides whether a stored answer will do and who asks for a new one; `fill.rs` holds what is arriving for all who
//! wait, `storing.rs` decides what becomes of it, `pump.rs` moves it to readers and disk, `file.rs` is the disk's end;
//! `zone.rs` is the worker's view of a `keys_zone`. What may be stored and reused is decided in the package `cache`.

mod cached;
pub(super) mod fields;
mod file;
pub mod fill;
mod invalidation;
mod memory;
mod no_cache;
pub mod parts;
pub(super) mod pump;
pub(super) mod purge;
mod range_offset;
mod refreshing;
mod remembered;
pub(super) mod sink;
mod stored;
mod stored_head;
pub mod storing;
pub mod zone;

use std::sync::Arc;

use ::cache::policy::Forward;
use config::{CacheZone, ProxyPass};
use http1::Method;

use self::zone::Zone;
use super::pass_on;
use crate::{
    http::{
        Exchange, Fault,
        fault::{Kind, Side},
        phases::Ending,
    },
    upstream::Group,
};

/// Answers a request out of the cache or past it, as the location says.
pub(super) async fn serve(exchange: &mut Exchange, pass: &ProxyPass, group: &Arc<Group>) -> Ending {
    match zone(exchange) {
        Ok(Some(zone)) if is_cacheable(exchange) => cached::serve(exchange, pass, group, zone).await,
        Ok(Some(zone)) if invalidation::concerns(exchange) => {
            exchange.upstream.cache_status = None;
            exchange.upstream.cache.forward = Some(Forward::Method);
            let ending = invalidation::pass_on(exchange, pass, group, Arc::clone(&zone)).await;
            purge::invalidate_groups(exchange, &zone).await;
            ending
        }
        Ok(zone) => {
            // A redirect may have led here from a location with a cache.
            exchange.upstream.cache_status = None;
            exchange.upstream.cache.forward =
                Some(zone.as_ref().map_or(Forward::Bypass, |_| Forward::Method));
            let ending = pass_on(exchange, pass, group).await;
            if let Some(zone) = zone {
                purge::invalidate_groups(exchange, &zone).await;
            }
            ending
        }
        Err(fault) => Ending::Fail(fault),
    }
}

/// Finds the zone that the location names.
fn zone(exchange: &Exchange) -> Result<Option<Arc<Zone>>, Fault> {
    let CacheZone::Variable(template) = &*exchange.location.cache.zone else {
        return Ok(exchange.location_state().zone.clone());
    };
    let name = template.expand(exchange);
    let name = String::from_utf8_lossy(&name);
    if name.is_empty() || name == "off" {
        return Ok(None);
    }
    match exchange.event_loop.site.zone(&name) {
        Some(zone) => Ok(Some(Arc::clone(zone))),
        None => Err(Fault::new(Side::Server, Kind::System, format!("cache \"{name}\" not found"))),
    }
}

/// Whether answers to this method are looked up and stored (`proxy_cache_methods`).
fn is_cacheable(exchange: &Exchange) -> bool {
    match exchange.method {
        Method::Get | Method::Head => true,
        // RFC 9110, 9.3.3: no answer to a POST serves another.
        Method::Post => exchange.location.cache.methods.post && !exchange.location.cache.follows_rfc(),
        _ => false,
    }
}
