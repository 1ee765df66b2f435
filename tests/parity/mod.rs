//! The same configuration and the same bytes to Larder and to this machine's nginx, compared.
//!
//! A case is data: a name, what the client sends, what the origin answers. What is right comes from the
//! running nginx. Where Larder means to differ, the case says why and what Larder does instead.

mod case;
mod run;
mod tls_settings;
mod transcript;

mod answer_fields;
mod answers;
mod balancing;
mod bodies;
mod body_files;
mod buffers;
mod cache_admission;
mod cache_content;
mod cache_directory;
mod cache_errors;
mod cache_sentences;
mod cache_stale;
mod conditions;
mod configuration;
mod connections;
mod cookies;
mod gives_up;
mod gzip;
mod header_lines;
mod locations;
mod logs;
mod mapping;
mod next_upstream;
mod proxy_answers;
mod proxy_peers;
mod proxy_requests;
mod proxy_settings;
mod proxy_sockets;
mod range_offsets;
mod rates;
mod redirects;
mod request_fields;
mod request_line;
mod request_shapes;
mod resolver;
mod rewrite;
mod rewrite_refused;
mod secured_upstreams;
mod slices;
mod ssi;
mod static_files;
mod stored_files;
mod tls;
mod try_files;

use case::Group;

/// All groups, so that they can be counted.
const GROUPS: &[fn() -> Group] = &[
    request_line::group,
    tls::group,
    header_lines::group,
    bodies::group,
    connections::group,
    static_files::group,
    try_files::files,
    try_files::errors,
    locations::group,
    locations::names,
    answers::group,
    proxy_requests::uris,
    proxy_requests::fields,
    proxy_sockets::group,
    request_fields::group,
    request_shapes::group,
    body_files::group,
    proxy_answers::group,
    proxy_peers::group,
    proxy_peers::names,
    balancing::group,
    cookies::group,
    cache_errors::group,
    cache_sentences::group,
    redirects::group,
    next_upstream::group,
    answer_fields::group,
    cache_admission::group,
    cache_content::group,
    cache_stale::group,
    logs::group,
    stored_files::group,
    buffers::group,
    mapping::map_group,
    mapping::host_group,
    mapping::answer_group,
    mapping::geo_group,
    mapping::split_group,
    range_offsets::group,
    rates::group,
    resolver::group,
    conditions::tests,
    conditions::contents,
    rewrite::variables,
    gives_up::group,
    gzip::conditions,
    gzip::proxied,
    gzip::undone,
    rewrite::rules,
    rewrite::redirects,
    slices::passed,
    slices::stored,
    slices::broken,
    ssi::pages,
    ssi::included,
    ssi::answers,
];

#[test]
fn the_suite_keeps_its_size() {
    let sizes: Vec<_> = GROUPS.iter().map(|group| group()).map(|group| (group.name(), group.len())).collect();
    let total: usize = sizes.iter().map(|(_, size)| size).sum();
    println!("{total} cases: {sizes:?}");
    assert!(total >= 2000, "{total} cases: {sizes:?}");
}
