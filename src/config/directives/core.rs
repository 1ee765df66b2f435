//! Limits, files and connections of a location.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use super::error_page::ErrorPage;
use crate::{
    settings::{HSL, SL, settings},
    template::Template,
    values::{FLAG, NUMBER, OFFSET, SIZE, TIME, pending},
};

/// Several buffers of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// How many.
    pub count: usize,
    /// Bytes of each.
    pub size: u64,
}

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The path is appended.
    Root(Template),
    /// Replaces the part of the path that the location matched; with an expression, it is the whole path.
    Alias(Template),
}

/// Types by extension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypesTable {
    by_extension: HashMap<Vec<u8>, Vec<u8>>,
}

impl TypesTable {
    /// Finds the type for an extension, in any case, without the dot.
    pub fn get(&self, extension: &[u8]) -> Option<&[u8]> {
        self.by_extension.get(&extension.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// Adds a type, and returns the one it replaces.
    pub fn insert(&mut self, extension: &[u8], media_type: &[u8]) -> Option<Vec<u8>> {
        self.by_extension.insert(extension.to_ascii_lowercase(), media_type.to_vec())
    }
}

/// `keepalive_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveTimeout {
    /// How long an idle connection is kept; zero does not keep it.
    pub idle: Duration,
    /// What the field Keep-Alive says.
    pub header: Option<Duration>,
}

/// `lingering_close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LingeringClose {
    /// Never.
    Off,
    /// Where the client may still send.
    On,
    /// Always.
    Always,
}

/// `server_tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTokens {
    /// Name only.
    Off,
    /// Name and version.
    On,
    /// Name, version and build.
    Build,
    /// The text; without the field where it is empty.
    Text(Template),
}

/// `if_modified_since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfModifiedSince {
    /// Never 304 for its sake.
    Off,
    /// The very time.
    Exact,
    /// Or earlier.
    Before,
}

/// `client_body_in_file_only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyInFile {
    /// Only what does not fit in memory.
    Off,
    /// Always, and the file stays.
    On,
    /// Always.
    Clean,
}

/// A directory for temporary files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TempPath {
    /// The directory.
    pub path: PathBuf,
    /// Digits of each level below.
    pub levels: Vec<u8>,
}

/// `keepalive_disable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveDisable {
    /// Internet Explorer before 6 SV1, after a POST.
    pub msie6: bool,
    /// Safari of old.
    pub safari: bool,
}

settings! {
    /// Limits, files and connections, at one level.
    pub struct CoreConf {
        /// Directory of files.
        document_root: Root = Root::Root(Template::text("html")), "root" in HSL, once(pending::<Root>("path")), "html";
        /// Files tried for a path that ends in a slash.
        index: Vec<Template> = vec![Template::text("index.html")], "index" in HSL, once(pending::<Vec<Template>>("file ...")), "index.html";
        /// Type where the extension says nothing.
        default_type: Template = Template::text("text/plain"), "default_type" in HSL, once(pending::<Template>("mime-type")), "text/plain";
        /// Types by extension.
        types: Arc<TypesTable> = Arc::default(), "types" in HSL, once(pending::<Arc<TypesTable>>("{ ... }")), "text/html html; image/gif gif; image/jpeg jpg";
        /// Most bytes of a request's body; 0 is no limit.
        client_max_body_size: u64 = 1 << 20, "client_max_body_size" in HSL, once(OFFSET), "1m";
        /// Bytes of a body kept in memory.
        client_body_buffer_size: u64 = 16384, "client_body_buffer_size" in HSL, once(SIZE), "16k";
        /// How long nothing of a body may come.
        client_body_timeout: Duration = Duration::from_secs(60), "client_body_timeout" in HSL, once(TIME), "60s";
        /// Where bodies are put that do not fit in memory.
        client_body_temp_path: TempPath = TempPath { path: PathBuf::from("client_body_temp"), levels: Vec::new() }, "client_body_temp_path" in HSL, once(pending::<TempPath>("path [level1 [level2 [level3]]]")), "client_body_temp";
        /// Puts bodies into files.
        client_body_in_file_only: BodyInFile = BodyInFile::Off, "client_body_in_file_only" in HSL, once(pending::<BodyInFile>("on | clean | off")), "off";
        /// How long a client may take nothing.
        send_timeout: Duration = Duration::from_secs(60), "send_timeout" in HSL, once(TIME), "60s";
        /// How long an idle connection is kept.
        keepalive_timeout: KeepaliveTimeout = KeepaliveTimeout { idle: Duration::from_secs(75), header: None }, "keepalive_timeout" in HSL, once(pending::<KeepaliveTimeout>("timeout [header_timeout]")), "75s";
        /// Requests per connection.
        keepalive_requests: u64 = 1000, "keepalive_requests" in HSL, once(NUMBER), "1000";
        /// Longest life of a connection.
        keepalive_time: Duration = Duration::from_secs(3600), "keepalive_time" in HSL, once(TIME), "1h";
        /// Browsers whose connections are not kept.
        keepalive_disable: KeepaliveDisable = KeepaliveDisable { msie6: true, safari: false }, "keepalive_disable" in HSL, once(pending::<KeepaliveDisable>("none | browser ...")), "msie6";
        /// Reads what a client still sends before closing.
        lingering_close: LingeringClose = LingeringClose::On, "lingering_close" in HSL, once(pending::<LingeringClose>("off | on | always")), "on";
        /// How long in all.
        lingering_time: Duration = Duration::from_secs(30), "lingering_time" in HSL, once(TIME), "30s";
        /// How long nothing may come.
        lingering_timeout: Duration = Duration::from_secs(5), "lingering_timeout" in HSL, once(TIME), "5s";
        /// What the field Server says.
        server_tokens: ServerTokens = ServerTokens::On, "server_tokens" in HSL, once(pending::<ServerTokens>("on | off | build | string")), "on";
        /// Sends bodies of unknown length in chunks to HTTP/1.1 clients.
        chunked_transfer_encoding: bool = true, "chunked_transfer_encoding" in HSL, once(FLAG), "on";
        /// Resets connections that timed out.
        reset_timedout_connection: bool = false, "reset_timedout_connection" in HSL, once(FLAG), "off";
        /// Sends small packets at once.
        tcp_nodelay: bool = true, "tcp_nodelay" in HSL, once(FLAG), "on";
        /// Sends full packets where files are sent.
        tcp_nopush: bool = false, "tcp_nopush" in HSL, once(FLAG), "off";
        /// Lets the kernel send files.
        sendfile: bool = false, "sendfile" in HSL, once(FLAG), "off";
        /// Bytes of a file sent at a time.
        sendfile_max_chunk: u64 = 2 << 20, "sendfile_max_chunk" in HSL, once(SIZE), "2m";
        /// What is shown for errors.
        error_page: Vec<ErrorPage> = Vec::new(), "error_page" in HSL, each(pending::<ErrorPage>("code ... [=[response]] uri"));
        /// Lets `error_page` answer for errors of error pages.
        recursive_error_pages: bool = false, "recursive_error_pages" in HSL, once(FLAG), "off";
        /// How If-Modified-Since is compared.
        if_modified_since: IfModifiedSince = IfModifiedSince::Exact, "if_modified_since" in HSL, once(pending::<IfModifiedSince>("off | exact | before")), "exact";
        /// Sends ETag for files.
        etag: bool = true, "etag" in HSL, once(FLAG), "on";
        /// Most ranges of a request; 0 turns them off, none is no limit.
        max_ranges: Option<u64> = None, "max_ranges" in HSL, once(pending::<Option<u64>>("number"));
        /// Redirects with scheme and host.
        absolute_redirect: bool = true, "absolute_redirect" in HSL, once(FLAG), "on";
        /// Redirects to the server's first name.
        server_name_in_redirect: bool = false, "server_name_in_redirect" in HSL, once(FLAG), "off";
        /// Redirects with the port.
        port_in_redirect: bool = true, "port_in_redirect" in HSL, once(FLAG), "on";
        /// Logs files that are not there.
        log_not_found: bool = true, "log_not_found" in HSL, once(FLAG), "on";
        /// Logs subrequests.
        log_subrequest: bool = false, "log_subrequest" in HSL, once(FLAG), "off";
        /// Only internal redirects may enter.
        internal: bool = false, "internal" in SL, once(pending::<bool>(""));
    }
}
