//! How requests are passed on.

use std::{path::PathBuf, time::Duration};

use super::{
    core::{BUFFERS, Buffers, TEMP_PATH, TempPath},
    failures::{Failures, NextUpstream},
    store::{DEFAULT_ACCESS, STORE, STORE_ACCESS, Store},
    value_rules::{
        COOKIE_DOMAIN, COOKIE_FLAGS, COOKIE_PATH, CookieFlagsRule, REDIRECT, RedirectWritten, ValueRule,
    },
};
use crate::{
    flags::{Flags, flags},
    parse::Directive,
    settings::{HSL, Reader, settings},
    source::{Met, Problem},
    template::Template,
    values::{FLAG, NUMBER, OPTIONAL_TEXT, SIZE, SIZE_VALUE, SizeValue, TIME, choice},
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
    /// 2.
    V2,
}

flags! {
    /// `proxy_ignore_headers`.
    pub struct IgnoreHeaders {
        /// X-Accel-Redirect.
        x_accel_redirect = "X-Accel-Redirect",
        /// X-Accel-Expires.
        x_accel_expires = "X-Accel-Expires",
        /// X-Accel-Limit-Rate.
        x_accel_limit_rate = "X-Accel-Limit-Rate",
        /// X-Accel-Buffering.
        x_accel_buffering = "X-Accel-Buffering",
        /// X-Accel-Charset.
        x_accel_charset = "X-Accel-Charset",
        /// Expires.
        expires = "Expires",
        /// Cache-Control.
        cache_control = "Cache-Control",
        /// Set-Cookie.
        set_cookie = "Set-Cookie",
        /// Vary.
        vary = "Vary",
    }
}

settings! {
    /// How requests are passed on, at one level.
    pub struct ProxyConf {
        /// Sets a field of what is sent.
        set_header: Vec<SetHeader> = Vec::new(),
            "proxy_set_header" in HSL, each(SET_HEADER), "Host $proxy_host; Connection close";
        /// Version of what is sent.
        http_version: HttpVersion = HttpVersion::V10, "proxy_http_version" in HSL, once(HTTP_VERSION), "1.0";
        /// How long connecting may take.
        connect_timeout: Duration = Duration::from_secs(60),
            "proxy_connect_timeout" in HSL, once(TIME), "60s";
        /// How long nothing may come.
        read_timeout: Duration = Duration::from_secs(60), "proxy_read_timeout" in HSL, once(TIME), "60s";
        /// How long nothing may be taken.
        send_timeout: Duration = Duration::from_secs(60), "proxy_send_timeout" in HSL, once(TIME), "60s";
        /// When the next server is tried.
        next_upstream: NextUpstream = NextUpstream {
                after: Failures { error: true, timeout: true, ..Failures::default() },
                ..NextUpstream::default()
            },
            "proxy_next_upstream" in HSL, joined(NEXT_UPSTREAM), "error timeout";
        /// How long tries may take; 0 is no limit.
        next_upstream_timeout: Duration = Duration::ZERO,
            "proxy_next_upstream_timeout" in HSL, once(TIME), "0";
        /// Most tries; 0 is no limit.
        next_upstream_tries: u64 = 0, "proxy_next_upstream_tries" in HSL, once(NUMBER), "0";
        /// Reads ahead of the client; `off` passes on what comes, at most `proxy_buffer_size` at a time.
        buffering: bool = true, "proxy_buffering" in HSL, once(FLAG), "on";
        /// Most bytes that the head of an answer may have; a larger one is answered with 502.
        buffer_size: u64 = 4096, "proxy_buffer_size" in HSL, once(SIZE), "4k";
        /// Memory for the part of an answer that its client has not taken yet.
        buffers: Buffers = Buffers { count: 8, size: 4096 }, "proxy_buffers" in HSL, once(BUFFERS), "8 4k";
        /// How much of that memory a client that does not keep up is sent at a time; the rest is for reading ahead.
        busy_buffers_size: u64 = 8192, "proxy_busy_buffers_size" in HSL, once(SIZE), "8k";
        /// Most bytes of an answer put into a temporary file when that memory is full; 0 uses none. Beyond, the upstream waits.
        max_temp_file_size: u64 = 1 << 30, "proxy_max_temp_file_size" in HSL, once(SIZE), "1024m";
        /// Bytes written to it at a time.
        temp_file_write_size: u64 = 8192, "proxy_temp_file_write_size" in HSL, once(SIZE), "8k";
        /// Where temporary files of answers are: below as many directories as there are levels, each named by so many digits of the file's number.
        temp_path: TempPath = TempPath { path: PathBuf::from("proxy_temp"), levels: Vec::new() },
            "proxy_temp_path" in HSL, once(TEMP_PATH), "proxy_temp";
        /// Keeps whole answers with status 200 as files: `on` where `root` or `alias` leads to, or under a path with variables.
        store: Store = Store::Off, "proxy_store" in HSL, once(STORE), "off";
        /// Permissions of such files, and of directories that are made for them.
        store_access: u32 = DEFAULT_ACCESS, "proxy_store_access" in HSL, once(STORE_ACCESS), "user:rw";
        /// Reads all of a request before it is sent.
        request_buffering: bool = true, "proxy_request_buffering" in HSL, once(FLAG), "on";
        /// Sends the client's fields.
        pass_request_headers: bool = true, "proxy_pass_request_headers" in HSL, once(FLAG), "on";
        /// Sends the client's body.
        pass_request_body: bool = true, "proxy_pass_request_body" in HSL, once(FLAG), "on";
        /// Method of what is sent.
        method: Option<Template> = None, "proxy_method" in HSL, once(OPTIONAL_TEXT);
        /// Body of what is sent.
        set_body: Option<Template> = None, "proxy_set_body" in HSL, once(OPTIONAL_TEXT);
        /// Fields that clients do not get.
        hide_header: Vec<String> = Vec::new(), "proxy_hide_header" in HSL, each(FIELD);
        /// Fields that clients get all the same.
        pass_header: Vec<String> = Vec::new(), "proxy_pass_header" in HSL, each(FIELD);
        /// Fields of an answer that are not obeyed.
        ignore_headers: IgnoreHeaders = IgnoreHeaders::default(),
            "proxy_ignore_headers" in HSL, joined(IGNORE_HEADERS);
        /// Changes Location and Refresh, as it was written.
        redirect_written: Vec<RedirectWritten> = vec![RedirectWritten::Default],
            "proxy_redirect" in HSL, joined(REDIRECT), "default";
        /// Changes the domain of cookies; the first rule that fits counts.
        cookie_domain: Vec<ValueRule> = Vec::new(), "proxy_cookie_domain" in HSL, joined(COOKIE_DOMAIN), "off";
        /// Changes the path of cookies; the first rule that fits counts.
        cookie_path: Vec<ValueRule> = Vec::new(), "proxy_cookie_path" in HSL, joined(COOKIE_PATH), "off";
        /// Puts flags into cookies or takes them out; the first rule that fits counts.
        cookie_flags: Vec<CookieFlagsRule> = Vec::new(),
            "proxy_cookie_flags" in HSL, joined(COOKIE_FLAGS), "off";
        /// Bytes of an answer that are read in a second while it is buffered or stored; 0 is no limit.
        limit_rate: SizeValue = SizeValue::Fixed(0), "proxy_limit_rate" in HSL, once(SIZE_VALUE), "0";
        /// Lets `error_page` answer for an upstream's errors.
        intercept_errors: bool = false, "proxy_intercept_errors" in HSL, once(FLAG), "off";
        /// Goes on when the client has left.
        ignore_client_abort: bool = false, "proxy_ignore_client_abort" in HSL, once(FLAG), "off";
        /// Allows ranges of answers that do not say so.
        force_ranges: bool = false, "proxy_force_ranges" in HSL, once(FLAG), "off";
        /// Sends trailers on.
        pass_trailers: bool = false, "proxy_pass_trailers" in HSL, once(FLAG), "off";
        /// Names this server in the field Via, of what is sent to upstreams and of what clients get.
        add_via: bool = false, "proxy_add_via" in HSL, once(FLAG), "off";
    }
}

impl ProxyConf {
    /// Fits what is not written to the buffers that are, and checks that buffers fit each other, as nginx does.
    pub fn settle_buffers(&mut self, block: &Directive) -> Result<(), Problem> {
        let is_written = self.buffer_size.is_written()
            || self.buffers.is_written()
            || self.busy_buffers_size.is_written()
            || self.temp_file_write_size.is_written()
            || self.max_temp_file_size.is_written();
        if !is_written {
            return Ok(());
        }
        let largest = (*self.buffer_size).max(self.buffers.size);
        self.busy_buffers_size.default_to((*self.busy_buffers_size).max(2 * largest));
        self.temp_file_write_size.default_to((*self.temp_file_write_size).max(2 * largest));
        let wrong = |message: String| Err(Problem::new(block.name.span, message).met(Met::Inheriting));
        let size = "the maximum of the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\"";
        if self.buffers.count < 2 {
            return wrong("there must be at least 2 \"proxy_buffers\"".to_owned());
        }
        let all_but_one = (self.buffers.count as u64 - 1) * self.buffers.size;
        for (setting, name) in [
            (&self.busy_buffers_size, "proxy_busy_buffers_size"),
            (&self.temp_file_write_size, "proxy_temp_file_write_size"),
        ] {
            if **setting < largest {
                return wrong(format!("\"{name}\" must be equal to or greater than {size}"));
            }
        }
        if *self.busy_buffers_size > all_but_one {
            let less = "must be less than the size of all \"proxy_buffers\" minus one buffer";
            return wrong(format!("\"proxy_busy_buffers_size\" {less}"));
        }
        if *self.max_temp_file_size != 0 && *self.max_temp_file_size < largest {
            let zero =
                "must be equal to zero to disable temporary files usage or must be equal to or greater than";
            return wrong(format!("\"proxy_max_temp_file_size\" {zero} {size}"));
        }
        Ok(())
    }
}

const SET_HEADER: Reader<SetHeader> = Reader::between(2, 2, "field value", |directive, scope| {
    Ok(SetHeader { name: directive.bytes(0).to_vec(), value: scope.template(directive, 1)? })
});

const HTTP_VERSION: Reader<HttpVersion> = Reader::one("1.0 | 1.1 | 2", |directive, _| {
    choice(directive, 0, &[("1.0", HttpVersion::V10), ("1.1", HttpVersion::V11), ("2", HttpVersion::V2)])
});

const NEXT_UPSTREAM: Reader<NextUpstream> = Reader::many(
    "error | timeout | invalid_header | http_500 | http_502 | http_503 | http_504 | http_403 | http_404 | http_429 \
     | non_idempotent | off ...",
    |directive, scope| NextUpstream::read(directive, |problem| scope.report(problem)),
);

const IGNORE_HEADERS: Reader<IgnoreHeaders> = Reader::many("field ...", |directive, scope| {
    IgnoreHeaders::read(directive, |problem| scope.report(problem))
});

const FIELD: Reader<String> = Reader::one("field", |directive, _| Ok(directive.text(0).into_owned()));
