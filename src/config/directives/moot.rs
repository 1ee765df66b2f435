//! Directives that are accepted and do nothing: either what they ask for holds anyway, which their rows say, or a
//! warning tells that they have no effect here.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    core::{BUFFERS, Buffers},
    http2::OBSOLETE,
};
use crate::{
    parse::Directive,
    settings::{E, H, HS, HSL, M, Reader, settings},
    source::Problem,
    values::{FLAG, NUMBER, OPTIONAL_PATH, SIZE, TIME, size},
};

settings! {
    /// Values nobody asks for: they are read only so that mistakes in them are found.
    pub struct MootConf {
        /// Hash tables size themselves.
        types_hash_max_size: u64 = 1024, "types_hash_max_size" in HSL, once(NUMBER), "1024";
        /// Hash tables size themselves.
        types_hash_bucket_size: u64 = 64, "types_hash_bucket_size" in HSL, once(NUMBER), "64";
        /// Hash tables size themselves.
        server_names_hash_max_size: u64 = 512, "server_names_hash_max_size" in H, once(NUMBER), "512";
        /// Hash tables size themselves.
        server_names_hash_bucket_size: u64 = 64, "server_names_hash_bucket_size" in H, once(NUMBER), "64";
        /// Variables are found when the configuration is read.
        variables_hash_max_size: u64 = 1024, "variables_hash_max_size" in H, once(NUMBER), "1024";
        /// Variables are found when the configuration is read.
        variables_hash_bucket_size: u64 = 64, "variables_hash_bucket_size" in H, once(NUMBER), "64";
        /// Hash tables size themselves.
        proxy_headers_hash_max_size: u64 = 512, "proxy_headers_hash_max_size" in HSL, once(NUMBER), "512";
        /// Hash tables size themselves.
        proxy_headers_hash_bucket_size: u64 = 64, "proxy_headers_hash_bucket_size" in HSL, once(NUMBER), "64";
        /// Hash tables size themselves.
        map_hash_max_size: u64 = 2048, "map_hash_max_size" in H, once(NUMBER), "2048";
        /// Hash tables size themselves.
        map_hash_bucket_size: u64 = 64, "map_hash_bucket_size" in H, once(NUMBER), "64";
        /// There are no pools: memory is freed with what it belongs to.
        connection_pool_size: u64 = 512, "connection_pool_size" in HS, once(SIZE), "512";
        /// There are no pools: memory is freed with what it belongs to.
        request_pool_size: u64 = 4096, "request_pool_size" in HS, once(SIZE), "4k";
        /// Expressions are always compiled to machine code.
        pcre_jit: bool = false, "pcre_jit" in M, once(FLAG), "off";
        /// Sockets are shared by the kernel, so that no lock is needed.
        accept_mutex: bool = false, "accept_mutex" in E, once(FLAG), "off";
        /// Sockets are shared by the kernel, so that no lock is needed.
        accept_mutex_delay: Duration = Duration::from_millis(500),
            "accept_mutex_delay" in E, once(TIME), "500ms";
        /// No lock file is needed.
        lock_file: Option<std::path::PathBuf> = None,
            "lock_file" in M, once(OPTIONAL_PATH), "logs/nginx.lock";
        /// All connections that wait are accepted at once; a warning tells where that is not wanted.
        multi_accept: bool = false, "multi_accept" in E, once(FLAG), "off";
        /// A head leaves together with the beginning of its file, so that packets are full.
        tcp_nopush: bool = false, "tcp_nopush" in HSL, once(FLAG), "off";
        /// Events come from epoll; another method is warned about.
        event_method: Words = (), "use" in E, once(EVENT_METHOD), "epoll";
        /// Caches open files; a warning tells that it has no effect.
        open_file_cache: Words = (), "open_file_cache" in HSL, once(OPEN_FILE_CACHE), "off";
        /// Belongs to `open_file_cache`.
        open_file_cache_valid: Duration = Duration::from_secs(60),
            "open_file_cache_valid" in HSL, once(TIME), "60s";
        /// Belongs to `open_file_cache`.
        open_file_cache_min_uses: u64 = 1, "open_file_cache_min_uses" in HSL, once(NUMBER), "1";
        /// Belongs to `open_file_cache`.
        open_file_cache_errors: bool = false, "open_file_cache_errors" in HSL, once(FLAG), "off";
        /// Reads files past the page cache; a warning tells that it has no effect.
        directio: Words = (), "directio" in HSL, once(WORD), "off";
        /// Belongs to `directio`.
        directio_alignment: u64 = 512, "directio_alignment" in HSL, once(SIZE), "512";
        /// Reads files asynchronously; a warning tells that it has no effect.
        aio: Words = (), "aio" in HSL, once(WORD), "off";
        /// Belongs to `aio`.
        worker_aio_requests: u64 = 32, "worker_aio_requests" in E, once(NUMBER), "32";
        /// Reads ahead in files; a warning tells that it has no effect.
        read_ahead: u64 = 0, "read_ahead" in HSL, once(SIZE), "0";
        /// Memory for what is read from files; a warning tells that it has no effect.
        output_buffers: Buffers = Buffers { count: 2, size: 32768 },
            "output_buffers" in HSL, once(BUFFERS), "2 32k";
        /// Waits for more to send; a warning tells that it has no effect.
        postpone_output: u64 = 1460, "postpone_output" in HSL, once(SIZE), "1460";
        /// Marks for the kernel; a warning tells that it has no effect.
        send_lowat: u64 = 0, "send_lowat" in HSL, once(SIZE), "0";
        /// Marks for the kernel, which Linux has not; a warning tells that it has no effect.
        proxy_send_lowat: u64 = 0, "proxy_send_lowat" in HSL, once(SIZE), "0";
        /// A request's body in memory is in one piece anyway.
        client_body_in_single_buffer: bool = false, "client_body_in_single_buffer" in HSL, once(FLAG), "off";
        /// Pads error pages for old browsers; a warning tells that it has no effect.
        msie_padding: bool = true, "msie_padding" in HSL, once(FLAG), "on";
        /// Redirects old browsers by pages; a warning tells that it has no effect.
        msie_refresh: bool = false, "msie_refresh" in HSL, once(FLAG), "off";
        /// Nothing is passed on by FastCGI yet, so nothing needs the directory.
        fastcgi_temp_path: Words = (), "fastcgi_temp_path" in HSL, once(DIRECTORY), "fastcgi_temp";
        /// Nothing is passed on by uwsgi yet, so nothing needs the directory.
        uwsgi_temp_path: Words = (), "uwsgi_temp_path" in HSL, once(DIRECTORY), "uwsgi_temp";
        /// Nothing is passed on by SCGI yet, so nothing needs the directory.
        scgi_temp_path: Words = (), "scgi_temp_path" in HSL, once(DIRECTORY), "scgi_temp";
        /// Memory for compression is not settable; a warning tells that it has no effect.
        gzip_buffers: Buffers = Buffers { count: 32, size: 4096 },
            "gzip_buffers" in HSL, once(BUFFERS), "32 4k";
        /// Memory for compression is not settable; a warning tells that it has no effect.
        gzip_window: u64 = 32768, "gzip_window" in HSL, once(GZIP_WINDOW), "32k";
        /// Memory for compression is not settable; a warning tells that it has no effect.
        gzip_hash: u64 = 131_072, "gzip_hash" in HSL, once(GZIP_HASH), "128k";
        /// What is ready is always sent as soon as nothing more comes; a warning tells that it has no effect.
        gzip_no_buffer: bool = false, "gzip_no_buffer" in HSL, once(FLAG), "off";
        /// Compression begins with the first bytes; a warning tells that it has no effect.
        postpone_gzipping: u64 = 0, "postpone_gzipping" in HSL, once(SIZE), "0";
        /// Memory for decompression is not settable; a warning tells that it has no effect.
        gunzip_buffers: Buffers = Buffers { count: 32, size: 4096 },
            "gunzip_buffers" in HSL, once(BUFFERS), "32 4k";
        /// Leaves small pieces of a page out of files; a warning tells that it has no effect.
        ssi_min_file_chunk: u64 = 1024, "ssi_min_file_chunk" in HSL, once(SIZE), "1k";
        /// Concerns buffers of another program; a warning tells that it has no effect.
        ssi_ignore_recycled_buffers: bool = false, "ssi_ignore_recycled_buffers" in HSL, once(FLAG), "off";
        /// Nothing is pushed to clients: nginx ignores it too.
        http2_max_concurrent_pushes: Words = (), "http2_max_concurrent_pushes" in HS, joined(OBSOLETE);
        /// Nothing is pushed to clients: nginx ignores it too.
        http2_push: Words = (), "http2_push" in HSL, joined(OBSOLETE);
        /// Nothing is pushed to clients: nginx ignores it too.
        http2_push_preload: Words = (), "http2_push_preload" in HSL, joined(OBSOLETE);
        /// Is `keepalive_timeout` today.
        http2_idle_timeout: Words = (), "http2_idle_timeout" in HS, joined(OBSOLETE);
        /// Is `large_client_header_buffers` today.
        http2_max_field_size: Words = (), "http2_max_field_size" in HS, joined(OBSOLETE);
        /// Is `large_client_header_buffers` today.
        http2_max_header_size: Words = (), "http2_max_header_size" in HS, joined(OBSOLETE);
        /// Is `keepalive_requests` today.
        http2_max_requests: Words = (), "http2_max_requests" in HS, joined(OBSOLETE);
        /// Is `client_header_timeout` today.
        http2_recv_timeout: Words = (), "http2_recv_timeout" in HS, joined(OBSOLETE);
        /// Reads the clock less often; a warning tells that it has no effect.
        timer_resolution: Duration = Duration::ZERO, "timer_resolution" in M, once(TIME);
    }
}

/// Words that are not looked at.
type Words = ();

const WORD: Reader<Words> = Reader::one("value", |_, _| Ok(()));

const DIRECTORY: Reader<Words> = Reader::between(1, 4, "path [level1 [level2 [level3]]]", |_, _| Ok(()));

const EVENT_METHOD: Reader<Words> = Reader::one("epoll | poll | select", |directive, _| {
    let word = directive.text(0);
    if ["epoll", "poll", "select"].contains(&&*word) {
        return Ok(());
    }
    Err(directive.fail(0, format!("invalid event type \"{word}\"")))
});

const OPEN_FILE_CACHE: Reader<Words> =
    Reader::between(1, 2, "off | max=number [inactive=time]", |directive, _| {
        let is_known =
            |text: &str| text == "off" || text.starts_with("max=") || text.starts_with("inactive=");
        match (0..directive.args.len()).find(|number| !is_known(&directive.text(*number))) {
            None => Ok(()),
            Some(number) => {
                let message = format!("invalid \"open_file_cache\" parameter \"{}\"", directive.text(number));
                Err(directive.fail(number, message))
            }
        }
    });

const GZIP_WINDOW: Reader<u64> = Reader::one("size", |directive, _| {
    power_of_two(directive, 512..=32768, "must be 512, 1k, 2k, 4k, 8k, 16k, or 32k")
});

const GZIP_HASH: Reader<u64> = Reader::one("size", |directive, _| {
    power_of_two(directive, 512..=131_072, "must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")
});

fn power_of_two(directive: &Directive, range: RangeInclusive<u64>, words: &str) -> Result<u64, Problem> {
    let size = size(directive, 0)?;
    if size.is_power_of_two() && range.contains(&size) { Ok(size) } else { Err(directive.complain(words)) }
}

/// Why what is about revoked certificates of clients has no effect.
const NO_OCSP_YET: &str = "authorities are not asked about certificates of clients yet";

/// Why what is about HTTP/2 towards clients has no effect.
const OWN_BUFFERS: &str = "each connection has memory of its own for what arrives";

/// Directives whose wish is not met, with the value that wishes for nothing, and why.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("use", "epoll", "events always come from epoll"),
    (
        "open_file_cache",
        "off",
        "cached answers are kept open anyway, other files are opened for each request",
    ),
    ("directio", "off", "files are read through the page cache"),
    ("aio", "off", "files are read by threads of their own"),
    ("read_ahead", "0", "the kernel decides how far it reads ahead"),
    ("output_buffers", "", "memory for files is not settable"),
    ("postpone_output", "0", "small pieces are sent together as long as more is ready, and not held back"),
    ("send_lowat", "0", "the kernel decides when a socket can be written"),
    ("multi_accept", "on", "an event loop always accepts all connections that wait"),
    ("ssi_min_file_chunk", "", "pages with commands are read into memory piece by piece"),
    ("ssi_ignore_recycled_buffers", "off", "buffers are not recycled"),
    ("msie_padding", "off", "error pages are alike for all browsers"),
    ("msie_refresh", "off", "redirects are alike for all browsers"),
    ("gzip_buffers", "", "memory for compression is not settable"),
    ("gzip_window", "32k", "memory for compression is not settable"),
    ("gzip_hash", "128k", "memory for compression is not settable"),
    ("gzip_no_buffer", "on", "what is compressed is sent as soon as nothing more comes"),
    ("postpone_gzipping", "0", "compression begins with the first bytes"),
    ("gunzip_buffers", "", "memory for decompression is not settable"),
    ("proxy_send_lowat", "", "the kernel decides when a socket can be written"),
    ("ssl_dhparam", "", "rustls has no key exchange over finite fields"),
    ("ssl_ocsp", "off", NO_OCSP_YET),
    ("ssl_ocsp_cache", "off", NO_OCSP_YET),
    ("ssl_ocsp_responder", "", NO_OCSP_YET),
    ("ssl_stapling", "off", "proofs are not fetched; \"ssl_stapling_file\" shows one"),
    ("ssl_stapling_responder", "", "proofs are not fetched"),
    ("ssl_stapling_verify", "off", "proofs are not fetched"),
    ("http2_recv_buffer_size", "", OWN_BUFFERS),
    ("timer_resolution", "", "the time is read whenever it is asked for, to some milliseconds"),
];

/// Warns of a directive that has no effect.
pub fn warning(directive: &Directive) -> Option<Problem> {
    let (_, harmless, why) = WITHOUT_EFFECT.iter().find(|(name, _, _)| directive.is(name))?;
    let is_harmless = directive.args.first().is_some_and(|word| word.text == harmless.as_bytes());
    let message = || format!("\"{}\" directive has no effect here: {why}", directive.name());
    (!is_harmless).then(|| Problem::warning(directive.name.span, message()))
}
