//! Values of variables that `map`, `geo` and `split_clients` make.
//!
//! They are worked out where they are asked for, and hold for the rest of the request unless the block says otherwise.

use std::net::IpAddr;

use config::{Computed, GeoConf, Lifetime, MapConf, Slot, VariableSource};

use super::forwarded::forwarded;
use crate::{
    error_log::Level,
    http::{Exchange, fault::report},
};

/// Appends the value that the block of that number makes; false where it would be made of itself.
pub fn write(
    exchange: &Exchange,
    around: &dyn VariableSource,
    slot: &Slot,
    number: usize,
    out: &mut Vec<u8>,
) -> bool {
    let Some(_deeper) = exchange.slots.deeper() else {
        report(exchange, Level::Error, format_args!("cycle while evaluating variable \"{}\"", slot.name));
        return false;
    };
    let computed = &exchange.event_loop.site.http().computed[number];
    let start = out.len();
    match computed {
        Computed::Map(map) => write_mapped(exchange, around, map, out),
        Computed::Geo(geo) => out.extend_from_slice(geo.table.find(address(exchange, around, geo))),
        Computed::Split(split) => {
            out.extend_from_slice(split.table.find(&split.key.expand(around)).unwrap_or_default());
        }
    }
    if computed.lifetime() == Lifetime::Request {
        exchange.slots.set(slot, out[start..].to_vec());
    }
    true
}

fn write_mapped(exchange: &Exchange, around: &dyn VariableSource, map: &MapConf, out: &mut Vec<u8>) {
    let mapped = match map.find(around) {
        Ok(mapped) => mapped,
        Err(gave_up) => {
            report(exchange, Level::Error, format_args!("{gave_up}"));
            return map.table.default_value().write(out, around);
        }
    };
    if let Some(captures) = mapped.captures {
        exchange.caught(captures);
    }
    mapped.value.write(out, around);
}

/// The address that a `geo` looks up.
fn address(exchange: &Exchange, around: &dyn VariableSource, geo: &GeoConf) -> Option<IpAddr> {
    let own = match &geo.source {
        None => exchange.client.remote.ip()?,
        Some(source) => str::from_utf8(&source.expand(around)).ok()?.parse().ok()?,
    };
    if geo.proxies.is_empty() {
        return Some(own);
    }
    let fields = exchange.head.fields.all("X-Forwarded-For");
    Some(forwarded(own, fields, &geo.proxies, geo.trust))
}
