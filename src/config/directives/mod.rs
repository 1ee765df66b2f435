//! The directives, one file per group: rows, value types, and the parsers only they need.

pub mod balancing;
pub mod blocks;
pub mod cache;
pub mod cache_path;
pub mod computed;
pub mod condition;
pub mod core;
pub mod error_page;
pub mod events;
pub mod failures;
pub mod fill_abandoned;
pub mod geo;
pub mod gzip;
pub mod headers;
pub mod health_check;
pub mod http2;
pub mod late_host;
pub mod listen;
pub mod log;
pub mod main;
pub mod map;
pub mod match_block;
pub mod media_types;
pub mod moot;
pub mod proxy;
pub mod proxy_pass;
pub mod proxy_socket;
pub mod proxy_ssl;
pub mod resolver;
pub mod returns;
pub mod rewrite;
pub mod server;
pub mod server_name;
pub mod session_cache;
pub mod slice;
pub mod split_clients;
pub mod ssi;
pub mod ssl;
pub mod ssl_values;
pub mod sticky;
pub mod store;
pub mod try_files;
pub mod upstream;
pub mod value_rules;

use crate::settings::{Group, Row, RowDoc};

/// Lists all directives, group by group.
pub fn rows() -> impl Iterator<Item = RowDoc> {
    fn of<C>(rows: &'static [Row<C>]) -> impl Iterator<Item = RowDoc> {
        rows.iter().map(|row| row.doc)
    }
    of(main::MainConf::ROWS)
        .chain(of(events::EventsConf::ROWS))
        .chain(blocks::ROWS)
        .chain(of(server::ServerCore::ROWS))
        .chain(of(ssl::SslConf::ROWS))
        .chain(of(http2::Http2Conf::ROWS))
        .chain(of(core::CoreConf::ROWS))
        .chain(of(headers::HeadersConf::ROWS))
        .chain(of(gzip::GzipConf::ROWS))
        .chain(of(ssi::SsiConf::ROWS))
        .chain(of(slice::SliceConf::ROWS))
        .chain(of(log::LogConf::ROWS))
        .chain(of(rewrite::RewriteConf::ROWS))
        .chain(of(proxy::ProxyConf::ROWS))
        .chain(of(proxy_socket::ProxySocketConf::ROWS))
        .chain(of(proxy_ssl::ProxySslConf::ROWS))
        .chain(of(cache::CacheConf::ROWS))
        .chain(of(resolver::ResolverConf::ROWS))
        .chain(of(upstream::UpstreamSettings::ROWS))
        .chain(of(moot::MootConf::ROWS))
}
