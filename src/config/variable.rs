//! The variables there are.
//!
//! An enum, so that whoever gives values must give all of them; [`Variable::named`] is the only place that knows
//! their names.

use std::sync::Arc;

/// A variable whose value is kept for each request, once it has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Where its value is kept.
    pub number: usize,
    /// Its name, for the log.
    pub name: Arc<str>,
    /// What it is until then.
    pub unset: Unset,
}

/// What a variable is that has no value yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unset {
    /// Empty, which is worth a warning (`uninitialized_variable_warn`): only `set` gives it a value.
    Empty,
    /// Nothing: an expression gives it a value.
    Absent,
    /// What this variable is: `set` only overrules it.
    Otherwise(Box<Variable>),
    /// What the block of this number makes (`HttpConf::computed`); worked out where it is asked for.
    Computed(usize),
}

macro_rules! variables {
    (
        $($(#[doc = $about:literal])* $name:literal => $variant:ident,)*
        ssl: $($(#[doc = $ssl_about:literal])* $ssl_name:literal => $ssl:ident,)*
        upstream: $($(#[doc = $upstream_about:literal])* $upstream_name:literal => $upstream:ident,)*
    ) => {
        /// A variable by what it means. Names in `$http_…` and the like are lower-case with dashes, as fields are.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Variable {
            $($(#[doc = $about])* $variant,)*
            /// `$arg_NAME`: an argument of the request.
            Arg(Arc<str>),
            /// `$cookie_NAME`: a cookie of the request.
            Cookie(Arc<str>),
            /// `$http_NAME`: a field of the request.
            Http(Arc<str>),
            /// `$sent_http_NAME`: a field of the answer.
            SentHttp(Arc<str>),
            /// `$sent_trailer_NAME`: a trailer of the answer.
            SentTrailer(Arc<str>),
            /// A variable that the configuration defines: by `set`, or as a group of an expression.
            Slot(Slot),
            /// `$ssl_…`: TLS with the client.
            Ssl(SslVariable),
            /// `$upstream_…`: what upstreams and cache did.
            Upstream(UpstreamVariable),
        }

        /// A variable about TLS with the client.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SslVariable {
            $($(#[doc = $ssl_about])* $ssl,)*
        }

        /// A variable about upstreams and the cache.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum UpstreamVariable {
            $($(#[doc = $upstream_about])* $upstream,)*
            /// `$upstream_http_NAME`: a field of the upstream's answer.
            Http(Arc<str>),
            /// `$upstream_trailer_NAME`: a trailer of the upstream's answer.
            Trailer(Arc<str>),
            /// `$upstream_cookie_NAME`: a cookie the upstream sets.
            Cookie(Arc<str>),
        }

        /// Variables without a part of their own in the name.
        const PLAIN: &[(&str, Variable)] = &[
            $(($name, Variable::$variant),)*
            $(($ssl_name, Variable::Ssl(SslVariable::$ssl)),)*
            $(($upstream_name, Variable::Upstream(UpstreamVariable::$upstream)),)*
        ];
    };
}

variables! {
    /// Arguments of the request.
    "args" => Args,
    /// The client's address in binary.
    "binary_remote_addr" => BinaryRemoteAddr,
    /// Body bytes sent to the client.
    "body_bytes_sent" => BodyBytesSent,
    /// Bytes sent to the client.
    "bytes_sent" => BytesSent,
    /// Serial number of the connection.
    "connection" => Connection,
    /// Requests made through the connection so far.
    "connection_requests" => ConnectionRequests,
    /// Age of the connection, in seconds with milliseconds.
    "connection_time" => ConnectionTime,
    /// Field Content-Length of the request.
    "content_length" => ContentLength,
    /// Field Content-Type of the request.
    "content_type" => ContentType,
    /// The time in Greenwich, as a page with commands writes it.
    "date_gmt" => DateGmt,
    /// The time here, as a page with commands writes it.
    "date_local" => DateLocal,
    /// `root` or `alias` in force.
    "document_root" => DocumentRoot,
    /// Same as `$uri`.
    "document_uri" => DocumentUri,
    /// Host of the request line, of the field Host, or the server's name.
    "host" => Host,
    /// How much smaller the answer was made by compression.
    "gzip_ratio" => GzipRatio,
    /// The machine's name.
    "hostname" => Hostname,
    /// `h2` for HTTP/2 over TLS, `h2c` in clear text.
    "http2" => Http2,
    /// `on` over TLS.
    "https" => Https,
    /// `?` where there are arguments.
    "is_args" => IsArgs,
    /// The rate limit in force.
    "limit_rate" => LimitRate,
    /// The time in seconds with milliseconds.
    "msec" => Msec,
    /// The version of nginx whose language is spoken.
    "nginx_version" => NginxVersion,
    /// Process id of the worker.
    "pid" => Pid,
    /// `p` where the request was pipelined.
    "pipe" => Pipe,
    /// Host of `proxy_pass`.
    "proxy_host" => ProxyHost,
    /// Port of `proxy_pass`.
    "proxy_port" => ProxyPort,
    /// Name of `proxy_ssl_name`, without a port.
    "proxy_ssl_server_name" => ProxySslServerName,
    /// Field X-Forwarded-For with the client's address appended.
    "proxy_add_x_forwarded_for" => ProxyAddXForwardedFor,
    /// Same as `$args`.
    "query_string" => QueryString,
    /// `root` or `alias` with symbolic links resolved.
    "realpath_root" => RealpathRoot,
    /// The client's address.
    "remote_addr" => RemoteAddr,
    /// The client's port.
    "remote_port" => RemotePort,
    /// User of the field Authorization, scheme Basic.
    "remote_user" => RemoteUser,
    /// The request line.
    "request" => Request,
    /// The request's body, where it is in memory.
    "request_body" => RequestBody,
    /// The file that holds the request's body.
    "request_body_file" => RequestBodyFile,
    /// `OK` where all was sent.
    "request_completion" => RequestCompletion,
    /// Path of the file asked for.
    "request_filename" => RequestFilename,
    /// Sixteen random bytes in hexadecimal.
    "request_id" => RequestId,
    /// Bytes of the request.
    "request_length" => RequestLength,
    /// Method.
    "request_method" => RequestMethod,
    /// Seconds with milliseconds since the first byte of the request.
    "request_time" => RequestTime,
    /// Target of the request line, as sent.
    "request_uri" => RequestUri,
    /// `http` or `https`.
    "scheme" => Scheme,
    /// Address that accepted the connection.
    "server_addr" => ServerAddr,
    /// First name of the server block.
    "server_name" => ServerName,
    /// Port that accepted the connection.
    "server_port" => ServerPort,
    /// Protocol of the request.
    "server_protocol" => ServerProtocol,
    /// The slice that is asked for, as the field Range has it.
    "slice_range" => SliceRange,
    /// Status of the answer.
    "status" => Status,
    /// The kernel's round trip time of the connection, in microseconds.
    "tcpinfo_rtt" => TcpinfoRtt,
    /// Its variation.
    "tcpinfo_rttvar" => TcpinfoRttvar,
    /// Congestion window.
    "tcpinfo_snd_cwnd" => TcpinfoSndCwnd,
    /// Receive window.
    "tcpinfo_rcv_space" => TcpinfoRcvSpace,
    /// The time as ISO 8601.
    "time_iso8601" => TimeIso8601,
    /// The time as logs have it.
    "time_local" => TimeLocal,
    /// Path in force, decoded.
    "uri" => Uri,
    ssl:
    /// Protocol that the handshake agreed on (ALPN).
    "ssl_alpn_protocol" => AlpnProtocol,
    /// Cipher in use.
    "ssl_cipher" => Cipher,
    /// Ciphers that the client offers.
    "ssl_ciphers" => Ciphers,
    /// The client's certificate, its lines indented.
    "ssl_client_cert" => ClientCert,
    /// The client's certificate, escaped for URLs.
    "ssl_client_escaped_cert" => ClientEscapedCert,
    /// SHA-1 of the client's certificate.
    "ssl_client_fingerprint" => ClientFingerprint,
    /// Issuer of the client's certificate (RFC 2253).
    "ssl_client_i_dn" => ClientIDn,
    /// The same with slashes.
    "ssl_client_i_dn_legacy" => ClientIDnLegacy,
    /// The client's certificate as a file has it.
    "ssl_client_raw_cert" => ClientRawCert,
    /// Subject of the client's certificate (RFC 2253).
    "ssl_client_s_dn" => ClientSDn,
    /// The same with slashes.
    "ssl_client_s_dn_legacy" => ClientSDnLegacy,
    /// Number of the client's certificate.
    "ssl_client_serial" => ClientSerial,
    /// When the client's certificate ends.
    "ssl_client_v_end" => ClientVEnd,
    /// Days until then.
    "ssl_client_v_remain" => ClientVRemain,
    /// When the client's certificate begins.
    "ssl_client_v_start" => ClientVStart,
    /// What the client's certificate is worth: `SUCCESS`, `FAILED:` and why, `NONE`.
    "ssl_client_verify" => ClientVerify,
    /// Group of the key exchange.
    "ssl_curve" => Curve,
    /// Groups that the client offers.
    "ssl_curves" => Curves,
    /// `1` for early data while the handshake is not done.
    "ssl_early_data" => EarlyData,
    /// Version of TLS.
    "ssl_protocol" => Protocol,
    /// Name that the client asked for (SNI).
    "ssl_server_name" => ServerName,
    /// Number of the session; rustls does not show it, so that it is empty.
    "ssl_session_id" => SessionId,
    /// `r` for a session that was taken up again, else `.`.
    "ssl_session_reused" => SessionReused,
    upstream:
    /// Addresses of the upstreams tried.
    "upstream_addr" => Addr,
    /// Bytes received from them.
    "upstream_bytes_received" => BytesReceived,
    /// Bytes sent to them.
    "upstream_bytes_sent" => BytesSent,
    /// What the cache did.
    "upstream_cache_status" => CacheStatus,
    /// Age of the stored answer, in seconds.
    "upstream_cache_age" => CacheAge,
    /// Last-Modified of the stored answer.
    "upstream_cache_last_modified" => CacheLastModified,
    /// ETag of the stored answer.
    "upstream_cache_etag" => CacheEtag,
    /// Seconds to connect.
    "upstream_connect_time" => ConnectTime,
    /// Seconds until the head.
    "upstream_header_time" => HeaderTime,
    /// Seconds in the queue of the group.
    "upstream_queue_time" => QueueTime,
    /// Lengths of the answers.
    "upstream_response_length" => ResponseLength,
    /// Seconds until the end.
    "upstream_response_time" => ResponseTime,
    /// Statuses of the answers.
    "upstream_status" => Status,
}

/// Variables of nginx's modules that are not here yet; a name that ends in `_` stands for all that begin so.
pub const LATER_VARIABLES: &[&str] = &[
    "ancient_browser",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "geoip_",
    "http3",
    "invalid_referer",
    "jwt_",
    "limit_conn_status",
    "limit_req_status",
    "memcached_key",
    "modern_browser",
    "msie",
    "otel_",
    "proxy_internal_body_length",
    "proxy_internal_chunked",
    "proxy_protocol_",
    "realip_remote_addr",
    "realip_remote_port",
    "request_port",
    "is_request_port",
    "secure_link",
    "secure_link_expires",
    "session_log_binary_id",
    "session_log_id",
    "spdy",
    "spdy_request_priority",
    "ssl_",
    "uid_got",
    "uid_reset",
    "uid_set",
    "upstream_last_server_name",
    "proxy_ssl_",
];

impl Variable {
    /// Finds a variable by its name without `$`; names of groups are the caller's to know.
    pub fn named(name: &str) -> Option<Self> {
        if let Some((_, variable)) = PLAIN.iter().find(|(known, _)| *known == name) {
            return Some(variable.clone());
        }
        let dashed = |rest: &str| Arc::from(rest.to_ascii_lowercase().replace('_', "-"));
        type Make = fn(Arc<str>) -> Variable;
        let fields: [(&str, Make); 5] = [
            ("http_", Self::Http),
            ("sent_http_", Self::SentHttp),
            ("sent_trailer_", Self::SentTrailer),
            ("upstream_http_", |name| Self::Upstream(UpstreamVariable::Http(name))),
            ("upstream_trailer_", |name| Self::Upstream(UpstreamVariable::Trailer(name))),
        ];
        if let Some((rest, make)) =
            fields.iter().find_map(|(start, make)| Some((name.strip_prefix(start)?, make)))
        {
            return Some(make(dashed(rest)));
        }
        let words: [(&str, Make); 3] = [
            ("arg_", Self::Arg),
            ("cookie_", Self::Cookie),
            ("upstream_cookie_", |name| Self::Upstream(UpstreamVariable::Cookie(name))),
        ];
        let (rest, make) = words.iter().find_map(|(start, make)| Some((name.strip_prefix(start)?, make)))?;
        Some(make(Arc::from(rest)))
    }

    /// Names the variables that have no part of their own in the name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLAIN.iter().map(|(name, _)| *name)
    }
}
