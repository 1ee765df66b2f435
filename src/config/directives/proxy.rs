//! How requests are passed on.

use std::{path::PathBuf, time::Duration};

use super::core::{Buffers, TempPath};
use crate::{
    regex::Regex,
    settings::{HSL, settings},
    template::Template,
    values::{FLAG, NUMBER, SIZE, TIME, pending},
};

/// `proxy_set_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHeader {
    /// Name.
    pub name: Vec<u8>,
    /// Value; the field is not sent where it is empty.
    pub value: Template,
}

/// `proxy_http_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// 1.0.
    V10,
    /// 1.1.
    V11,
}

/// `proxy_next_upstream`; all false is `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextUpstream {
    /// A connection failed.
    pub error: bool,
    /// A peer took too long.
    pub timeout: bool,
    /// A peer's answer cannot be understood.
    pub invalid_header: bool,
    /// Status 500.
    pub http_500: bool,
    /// Status 502.
    pub http_502: bool,
    /// Status 503.
    pub http_503: bool,
    /// Status 504.
    pub http_504: bool,
    /// Status 403.
    pub http_403: bool,
    /// Status 404.
    pub http_404: bool,
    /// Status 429.
    pub http_429: bool,
    /// Also POST, LOCK and PATCH that were sent already.
    pub non_idempotent: bool,
}

/// `proxy_ignore_headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IgnoreHeaders {
    /// X-Accel-Redirect.
    pub x_accel_redirect: bool,
    /// X-Accel-Expires.
    pub x_accel_expires: bool,
    /// X-Accel-Limit-Rate.
    pub x_accel_limit_rate: bool,
    /// X-Accel-Buffering.
    pub x_accel_buffering: bool,
    /// X-Accel-Charset.
    pub x_accel_charset: bool,
    /// Expires.
    pub expires: bool,
    /// Cache-Control.
    pub cache_control: bool,
    /// Set-Cookie.
    pub set_cookie: bool,
    /// Vary.
    pub vary: bool,
}

/// One rule of `proxy_redirect`.
#[derive(Debug, Clone)]
pub struct RedirectRule {
    /// What is replaced.
    pub from: RedirectFrom,
    /// By what.
    pub to: Template,
}

/// What a [`RedirectRule`] replaces.
#[derive(Debug, Clone)]
pub enum RedirectFrom {
    /// The beginning.
    Prefix(Template),
    /// What matches.
    Regex(Regex),
}

/// `proxy_redirect` as written, rules being made once `proxy_pass` is known.
#[derive(Debug, Clone)]
pub enum RedirectWritten {
    /// `off`.
    Off,
    /// `default`.
    Default,
    /// A rule.
    Rule(RedirectRule),
}

settings! {
    /// How requests are passed on, at one level.
    pub struct ProxyConf {
        /// Sets a field of what is sent.
        set_header: Vec<SetHeader> = Vec::new(), "proxy_set_header" in HSL, each(pending::<SetHeader>("field value")), "Host $proxy_host; Connection close";
        /// Version of what is sent.
        http_version: HttpVersion = HttpVersion::V10, "proxy_http_version" in HSL, once(pending::<HttpVersion>("1.0 | 1.1")), "1.0";
        /// How long connecting may take.
        connect_timeout: Duration = Duration::from_secs(60), "proxy_connect_timeout" in HSL, once(TIME), "60s";
        /// How long nothing may come.
        read_timeout: Duration = Duration::from_secs(60), "proxy_read_timeout" in HSL, once(TIME), "60s";
        /// How long nothing may be taken.
        send_timeout: Duration = Duration::from_secs(60), "proxy_send_timeout" in HSL, once(TIME), "60s";
        /// When the next server is tried.
        next_upstream: NextUpstream = NextUpstream { error: true, timeout: true, ..NextUpstream::default() }, "proxy_next_upstream" in HSL, once(pending::<NextUpstream>("case ... | off")), "error timeout";
        /// How long tries may take; 0 is no limit.
        next_upstream_timeout: Duration = Duration::ZERO, "proxy_next_upstream_timeout" in HSL, once(TIME), "0";
        /// Most tries; 0 is no limit.
        next_upstream_tries: u64 = 0, "proxy_next_upstream_tries" in HSL, once(NUMBER), "0";
        /// Reads ahead of the client.
        buffering: bool = true, "proxy_buffering" in HSL, once(FLAG), "on";
        /// Memory for the head of an answer.
        buffer_size: u64 = 4096, "proxy_buffer_size" in HSL, once(SIZE), "4k";
        /// Memory for the body of an answer.
        buffers: Buffers = Buffers { count: 8, size: 4096 }, "proxy_buffers" in HSL, once(pending::<Buffers>("number size")), "8 4k";
        /// How much of it may be on its way to the client.
        busy_buffers_size: u64 = 8192, "proxy_busy_buffers_size" in HSL, once(SIZE), "8k";
        /// Most bytes put into a temporary file; 0 uses none.
        max_temp_file_size: u64 = 1 << 30, "proxy_max_temp_file_size" in HSL, once(SIZE), "1024m";
        /// Bytes written to it at a time.
        temp_file_write_size: u64 = 8192, "proxy_temp_file_write_size" in HSL, once(SIZE), "8k";
        /// Where temporary files are.
        temp_path: TempPath = TempPath { path: PathBuf::from("proxy_temp"), levels: Vec::new() }, "proxy_temp_path" in HSL, once(pending::<TempPath>("path [level1 [level2 [level3]]]")), "proxy_temp";
        /// Reads all of a request before it is sent.
        request_buffering: bool = true, "proxy_request_buffering" in HSL, once(FLAG), "on";
        /// Sends the client's fields.
        pass_request_headers: bool = true, "proxy_pass_request_headers" in HSL, once(FLAG), "on";
        /// Sends the client's body.
        pass_request_body: bool = true, "proxy_pass_request_body" in HSL, once(FLAG), "on";
        /// Method of what is sent.
        method: Option<Template> = None, "proxy_method" in HSL, once(pending::<Option<Template>>("method"));
        /// Body of what is sent.
        set_body: Option<Template> = None, "proxy_set_body" in HSL, once(pending::<Option<Template>>("value"));
        /// Fields that clients do not get.
        hide_header: Vec<String> = Vec::new(), "proxy_hide_header" in HSL, each(pending::<String>("field"));
        /// Fields that clients get all the same.
        pass_header: Vec<String> = Vec::new(), "proxy_pass_header" in HSL, each(pending::<String>("field"));
        /// Fields of an answer that are not obeyed.
        ignore_headers: IgnoreHeaders = IgnoreHeaders::default(), "proxy_ignore_headers" in HSL, once(pending::<IgnoreHeaders>("field ..."));
        /// Changes Location and Refresh, as it was written.
        redirect_written: Vec<RedirectWritten> = Vec::new(), "proxy_redirect" in HSL, each(pending::<RedirectWritten>("default | off | redirect replacement")), "default";
        /// Lets `error_page` answer for an upstream's errors.
        intercept_errors: bool = false, "proxy_intercept_errors" in HSL, once(FLAG), "off";
        /// Goes on when the client has left.
        ignore_client_abort: bool = false, "proxy_ignore_client_abort" in HSL, once(FLAG), "off";
        /// Has the system watch connections.
        socket_keepalive: bool = false, "proxy_socket_keepalive" in HSL, once(FLAG), "off";
        /// Allows ranges of answers that do not say so.
        force_ranges: bool = false, "proxy_force_ranges" in HSL, once(FLAG), "off";
        /// Sends trailers on.
        pass_trailers: bool = false, "proxy_pass_trailers" in HSL, once(FLAG), "off";
    }
}
