//! Limits, files and connections of a location.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::{
    error_page::{ERROR_PAGE, ErrorPage},
    http2::CHUNK_SIZE,
};
use crate::{
    flags::{Flags, flags},
    parse::Directive,
    scope::Scope,
    settings::{Arity, HSL, Join, L, LIF, Reader, settings},
    source::Problem,
    suggest::closest,
    template::Template,
    values::{
        BYTES, FLAG, NUMBER, OFFSET, OPTIONAL_NUMBER, SIZE, SIZE_VALUE, SizeValue, TEXTS, TIME, choice,
        parse_number, seconds, size, time,
    },
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
    by_extension: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl TypesTable {
    /// Finds the type for an extension, in any case, without the dot.
    pub fn get(&self, extension: &[u8]) -> Option<&[u8]> {
        self.by_extension.get(&extension.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// Makes the table that nginx has where no `types` is written.
    fn nginx() -> Arc<Self> {
        let mut table = Self::default();
        for (extension, media_type) in [("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")] {
            table.insert(extension.as_bytes(), media_type.as_bytes());
        }
        Arc::new(table)
    }

    /// Adds a type, and returns the one it replaces.
    pub fn insert(&mut self, extension: &[u8], media_type: &[u8]) -> Option<Vec<u8>> {
        self.by_extension.insert(extension.to_ascii_lowercase(), media_type.to_vec())
    }
}

impl Join for Arc<TypesTable> {
    fn join(&mut self, more: Self) {
        let added =
            more.by_extension.iter().map(|(extension, media_type)| (extension.clone(), media_type.clone()));
        Arc::make_mut(self).by_extension.extend(added);
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
    /// All, until the request is over.
    Clean,
    /// All, for good.
    On,
}

/// A directory for temporary files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TempPath {
    /// The directory.
    pub path: PathBuf,
    /// Digits of each level below.
    pub levels: Vec<u8>,
}

flags! {
    /// `keepalive_disable`.
    pub struct KeepaliveDisable {
        /// Old Internet Explorer, after a POST.
        msie6 = "msie6",
        /// Safari on macOS.
        safari = "safari",
        /// No browser.
        none = "none",
    }
}

settings! {
    /// Limits, files and connections, at one level.
    pub struct CoreConf {
        /// Directory of files.
        document_root: Root = Root::Root(Template::text("html")), "root" in HSL.and(LIF), once(ROOT), "html";
        /// Files tried for a path that ends in a slash.
        index: Vec<Template> = vec![Template::text("index.html")],
            "index" in HSL, joined(INDEX), "index.html";
        /// Type where the extension says nothing.
        default_type: Vec<u8> = b"text/plain".to_vec(), "default_type" in HSL, once(BYTES), "text/plain";
        /// Types by extension.
        types: Arc<TypesTable> = TypesTable::nginx(),
            "types" in HSL, joined(TYPES), "{ text/html html; image/gif gif; image/jpeg jpg; }";
        /// Most bytes of a request's body; 0 is no limit.
        client_max_body_size: u64 = 1 << 20, "client_max_body_size" in HSL, once(OFFSET), "1m";
        /// Bytes of a body kept in memory.
        client_body_buffer_size: u64 = 16384, "client_body_buffer_size" in HSL, once(SIZE), "16k";
        /// How long nothing of a body may come.
        client_body_timeout: Duration = Duration::from_secs(60),
            "client_body_timeout" in HSL, once(TIME), "60s";
        /// Where bodies are put that do not fit in memory.
        client_body_temp_path: TempPath = TempPath { path: PathBuf::from("client_body_temp"), levels: Vec::new() },
            "client_body_temp_path" in HSL, once(TEMP_PATH), "client_body_temp";
        /// Puts bodies into files, also where they would fit in memory: `clean` removes them after the request.
        client_body_in_file_only: BodyInFile = BodyInFile::Off,
            "client_body_in_file_only" in HSL, once(BODY_IN_FILE), "off";
        /// How long a client may take nothing.
        send_timeout: Duration = Duration::from_secs(60), "send_timeout" in HSL, once(TIME), "60s";
        /// Bytes that an answer is sent in a second; 0 is no limit.
        limit_rate: SizeValue = SizeValue::Fixed(0), "limit_rate" in HSL.and(LIF), once(SIZE_VALUE), "0";
        /// Bytes that are sent before the limit holds.
        limit_rate_after: SizeValue = SizeValue::Fixed(0), "limit_rate_after" in HSL.and(LIF), once(SIZE_VALUE), "0";
        /// Waits before the location answers: for demonstrations and tests. Larder's own; nginx has no such directive.
        delay: Duration = Duration::ZERO, "delay" in L, once(TIME), "0s";
        /// How long an idle connection is kept.
        keepalive_timeout: KeepaliveTimeout = KeepaliveTimeout { idle: Duration::from_secs(75), header: None },
            "keepalive_timeout" in HSL, once(KEEPALIVE_TIMEOUT), "75s";
        /// Requests per connection.
        keepalive_requests: u64 = 1000, "keepalive_requests" in HSL, once(NUMBER), "1000";
        /// Longest life of a connection.
        keepalive_time: Duration = Duration::from_secs(3600), "keepalive_time" in HSL, once(TIME), "1h";
        /// Browsers whose connections are not kept.
        keepalive_disable: KeepaliveDisable = KeepaliveDisable { msie6: true, safari: false, none: false },
            "keepalive_disable" in HSL, joined(KEEPALIVE_DISABLE), "msie6";
        /// Reads what a client still sends before closing.
        lingering_close: LingeringClose = LingeringClose::On,
            "lingering_close" in HSL, once(LINGERING_CLOSE), "on";
        /// How long in all.
        lingering_time: Duration = Duration::from_secs(30), "lingering_time" in HSL, once(TIME), "30s";
        /// How long nothing may come.
        lingering_timeout: Duration = Duration::from_secs(5), "lingering_timeout" in HSL, once(TIME), "5s";
        /// What the field Server says.
        server_tokens: ServerTokens = ServerTokens::On, "server_tokens" in HSL, once(SERVER_TOKENS), "on";
        /// Sends bodies of unknown length in chunks to HTTP/1.1 clients.
        chunked_transfer_encoding: bool = true, "chunked_transfer_encoding" in HSL, once(FLAG), "on";
        /// Resets connections that timed out.
        reset_timedout_connection: bool = false, "reset_timedout_connection" in HSL, once(FLAG), "off";
        /// Sends small packets at once.
        tcp_nodelay: bool = true, "tcp_nodelay" in HSL, once(FLAG), "on";
        /// Lets the kernel send files.
        sendfile: bool = false, "sendfile" in HSL.and(LIF), once(FLAG), "off";
        /// Most bytes of a file sent before it is another connection's turn; 0 is no limit.
        sendfile_max_chunk: u64 = 2 << 20, "sendfile_max_chunk" in HSL, once(SIZE), "2m";
        /// What is shown for errors.
        error_page: Vec<ErrorPage> = Vec::new(), "error_page" in HSL.and(LIF), each(ERROR_PAGE);
        /// Lets `error_page` answer for errors of error pages.
        recursive_error_pages: bool = false, "recursive_error_pages" in HSL, once(FLAG), "off";
        /// How If-Modified-Since is compared.
        if_modified_since: IfModifiedSince = IfModifiedSince::Exact,
            "if_modified_since" in HSL, once(IF_MODIFIED_SINCE), "exact";
        /// Sends ETag for files.
        etag: bool = true, "etag" in HSL, once(FLAG), "on";
        /// Most ranges of a request; 0 turns them off, none is no limit.
        max_ranges: Option<u64> = None, "max_ranges" in HSL, once(OPTIONAL_NUMBER);
        /// Redirects with scheme and host.
        absolute_redirect: bool = true, "absolute_redirect" in HSL, once(FLAG), "on";
        /// Redirects to the server's first name.
        server_name_in_redirect: bool = false, "server_name_in_redirect" in HSL, once(FLAG), "off";
        /// Redirects with the port.
        port_in_redirect: bool = true, "port_in_redirect" in HSL, once(FLAG), "on";
        /// Logs files that are not there.
        log_not_found: bool = true, "log_not_found" in HSL, once(FLAG), "on";
        /// How much of an answer a frame of HTTP/2 has at most: smaller ones let other answers pass sooner, larger ones cost less.
        http2_chunk_size: u64 = 8192, "http2_chunk_size" in HSL, once(CHUNK_SIZE), "8k";
        /// Passes a 103 of an upstream on where a text is neither empty nor `0`.
        early_hints: Vec<Template> = Vec::new(), "early_hints" in HSL, joined(TEXTS);
    }
}

const ROOT: Reader<Root> =
    Reader::one("path", |directive, scope| Ok(Root::Root(root_template(directive, scope)?)));

/// Reads the path of `root` or `alias`.
pub fn root_template(directive: &Directive, scope: &Scope<'_>) -> Result<Template, Problem> {
    let text = directive.text(0);
    for variable in ["document_root", "realpath_root"] {
        if text.contains(&format!("${variable}")) || text.contains(&format!("${{{variable}}}")) {
            let name = directive.name();
            let message = format!("the ${variable} variable cannot be used in the \"{name}\" directive");
            return Err(directive.fail(0, message));
        }
    }
    // As nginx: `root html/;` is `root html;`, while for `alias` the slash counts.
    let template = scope.path_template(directive, 0)?;
    match template.as_text() {
        Some([path @ .., b'/']) if directive.is("root") => Ok(Template::text(path)),
        _ => Ok(template),
    }
}

/// How a row that is a block is written; the tree asks for braces then.
pub const BLOCK: &str = "{ ... }";

const TYPES: Reader<Arc<TypesTable>> = Reader { arity: Arity::exactly(0), syntax: BLOCK, read: types };

fn types(directive: &Directive, scope: &Scope<'_>) -> Result<Arc<TypesTable>, Problem> {
    let mut table = TypesTable::default();
    for line in directive.block.iter().flatten() {
        if line.block.is_some() {
            return Err(line.fail(line.args.len(), "unexpected \"{\""));
        }
        for (number, word) in line.args.iter().enumerate() {
            if let Some(previous) = table.insert(&word.text, &line.name.text) {
                let message = format!(
                    "duplicate extension \"{}\", content type: \"{}\", previous content type: \"{}\"",
                    line.text(number),
                    line.name(),
                    String::from_utf8_lossy(&previous),
                );
                scope.report(Problem::warning(word.span, message));
            }
        }
    }
    Ok(Arc::new(table))
}

const INDEX: Reader<Vec<Template>> = Reader::many("file ...", |directive, scope| {
    if let Some(empty) = directive.args.iter().position(|word| word.text.is_empty()) {
        return Err(directive.fail(empty, "index \"\" in \"index\" directive is invalid"));
    }
    let last = directive.args.len() - 1;
    for (number, word) in directive.args.iter().enumerate() {
        if word.text.first() == Some(&b'/') && number != last {
            let message = "only the last index in \"index\" directive should be absolute";
            scope.report(Problem::warning(word.span, message));
        }
    }
    (TEXTS.read)(directive, scope)
});

/// Digits in the name of a temporary file, which all levels together take theirs from.
const TEMP_NAME_DIGITS: u8 = 10;

/// Reads `PATH [LEVEL [LEVEL [LEVEL]]]`.
pub const TEMP_PATH: Reader<TempPath> =
    Reader::between(1, 4, "path [level1 [level2 [level3]]]", |directive, scope| {
        let invalid =
            |number| directive.fail(number, format!("\"{}\" directive invalid value", directive.name()));
        let mut levels = Vec::new();
        let mut digits_left = TEMP_NAME_DIGITS;
        for number in 1..directive.args.len() {
            let level = parse_number(directive.bytes(number)).and_then(|level| u8::try_from(level).ok());
            let level =
                level.filter(|level| (1..=digits_left).contains(level)).ok_or_else(|| invalid(number))?;
            digits_left -= level;
            levels.push(level);
        }
        Ok(TempPath { path: scope.path(directive, 0), levels })
    });

/// Reads `NUMBER SIZE`.
pub const BUFFERS: Reader<Buffers> =
    Reader { arity: Arity::exactly(2), syntax: "number size", read: |directive, _| buffers(directive) };

fn buffers(directive: &Directive) -> Result<Buffers, Problem> {
    let invalid =
        |number| directive.fail(number, format!("\"{}\" directive invalid value", directive.name()));
    let count = parse_number(directive.bytes(0)).filter(|count| *count > 0);
    let count = count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| invalid(0))?;
    let size = size(directive, 1)?;
    if size == 0 { Err(invalid(1)) } else { Ok(Buffers { count, size }) }
}

const BODY_IN_FILE: Reader<BodyInFile> = Reader::one("on | clean | off", |directive, _| {
    let words = [("off", BodyInFile::Off), ("on", BodyInFile::On), ("clean", BodyInFile::Clean)];
    choice(directive, 0, &words)
});

const KEEPALIVE_TIMEOUT: Reader<KeepaliveTimeout> =
    Reader::between(1, 2, "timeout [header_timeout]", |directive, _| {
        let header = if directive.args.len() == 2 { Some(seconds(directive, 1)?) } else { None };
        Ok(KeepaliveTimeout { idle: time(directive, 0)?, header })
    });

const KEEPALIVE_DISABLE: Reader<KeepaliveDisable> = Reader::many("none | browser ...", |directive, scope| {
    KeepaliveDisable::read(directive, |problem| scope.report(problem))
});

const LINGERING_CLOSE: Reader<LingeringClose> = Reader::one("off | on | always", |directive, _| {
    let words =
        [("off", LingeringClose::Off), ("on", LingeringClose::On), ("always", LingeringClose::Always)];
    choice(directive, 0, &words)
});

const SERVER_TOKENS: Reader<ServerTokens> = Reader::one("on | off | build | string", |directive, scope| {
    let words = [("off", ServerTokens::Off), ("on", ServerTokens::On), ("build", ServerTokens::Build)];
    // A text of one's own is allowed; what is nearly one of the words is a mistake all the same.
    let is_own_text = closest(&directive.text(0), words.iter().map(|(word, _)| *word)).is_none();
    match choice(directive, 0, &words) {
        Err(_) if is_own_text => Ok(ServerTokens::Text(scope.template(directive, 0)?)),
        result => result,
    }
});

const IF_MODIFIED_SINCE: Reader<IfModifiedSince> = Reader::one("off | exact | before", |directive, _| {
    let words = [
        ("off", IfModifiedSince::Off),
        ("exact", IfModifiedSince::Exact),
        ("before", IfModifiedSince::Before),
    ];
    choice(directive, 0, &words)
});
