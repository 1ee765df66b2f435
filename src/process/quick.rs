//! Configurations that nobody had to write: the demonstration, and `larder proxy`.
//!
//! Both are text in nginx's language, and go the same way as a file from there on.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use config::{MainText, Scheme, Source};
use nix::unistd::{Uid, User};

use super::{
    arguments::{OriginTrust, ProxyArguments, ProxyFront},
    self_signed,
};

/// The configuration of the demonstration.
const DEMONSTRATION: &str = include_str!("../../conf/larder.conf");
/// Where it listens, as written in its text.
const DEMONSTRATION_LISTEN: &str = "127.0.0.1:8080";
/// Where its origin listens, as written in its text.
const ORIGIN_LISTEN: &str = "127.0.0.1:8081";
/// What the origin has, and the names under which it is found.
const PAGES: [(&str, &str); 3] = [
    ("index.html", include_str!("../../conf/pages/index.html")),
    ("slow.html", include_str!("../../conf/pages/slow.html")),
    ("style.css", include_str!("../../conf/pages/style.css")),
];

/// Directory of all that quick starts write, from the one they are started in.
const DIRECTORY: &str = "larder";
/// Certificate and key that are made by `--tls-self-signed`.
const CERTIFICATE: &str = "self-signed.crt";
const KEY: &str = "self-signed.key";

/// Largest cache of `larder proxy` where no other size is given.
const MAX_SIZE: &str = "10g";

/// Where systems keep the certificates of authorities that everybody trusts.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Certificates that may stand between an origin's and that of its authority.
const CHAIN_DEPTH: u8 = 5;

/// A configuration made here.
#[derive(Debug, Clone)]
pub struct Quick {
    /// Its text.
    pub text: String,
    /// Its name in messages.
    pub name: PathBuf,
    /// What to say when it is served.
    pub greeting: String,
    /// Directory of its files.
    directory: PathBuf,
    /// Files to write before it is served.
    pages: &'static [(&'static str, &'static str)],
    /// Whether a certificate is made for it.
    certificate: OwnCertificate,
}

/// Whether a certificate is made for a configuration, where there is none yet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnCertificate {
    None,
    For(Vec<String>),
}

impl Quick {
    /// Makes the demonstration: a slow origin and a cache before it.
    pub fn demonstration(listen: Option<SocketAddr>) -> Result<Self, String> {
        let listen = listen.unwrap_or_else(|| DEMONSTRATION_LISTEN.parse().expect("a literal address"));
        let port = listen.port().checked_add(1).ok_or("the demonstration needs the port after that too")?;
        let origin = SocketAddr::new(listen.ip(), port);
        let text = DEMONSTRATION
            .replace(DEMONSTRATION_LISTEN, &listen.to_string())
            .replace(ORIGIN_LISTEN, &origin.to_string());
        let text = own_user() + &text;
        let greeting = format!(
            "Larder listens on http://{listen}, before a slow website on http://{origin}.\n\n  \
             try:    curl -i http://{listen}/slow     (twice: X-Cache says MISS after a second, then HIT at once)\n  \
             files:  ./{DIRECTORY}/ (cache, logs, pages)\n  \
             yours:  larder proxy --to http://127.0.0.1:3000\n  \
             stop:   Ctrl-C\n"
        );
        Ok(Self {
            text,
            name: PathBuf::from("larder.conf"),
            greeting,
            directory: PathBuf::from(DIRECTORY),
            pages: &PAGES,
            certificate: OwnCertificate::None,
        })
    }

    /// Makes the configuration of `larder proxy`.
    pub fn proxy(arguments: &ProxyArguments) -> Result<Self, String> {
        let origins = arguments.to.iter().map(|url| Origin::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let first = origins.first().ok_or("option \"--to\" is missing")?;
        if let Some(other) = origins.iter().find(|origin| origin.path != first.path) {
            return Err(format!("all --to must have one path: \"{}\" is not \"{}\"", other.path, first.path));
        }
        if origins.iter().any(|origin| origin.scheme != first.scheme) {
            return Err("all --to must begin alike: with http:// or with https://".to_owned());
        }
        let upstream = upstream_text(first, arguments.trust)?;
        let listen =
            arguments.listen.unwrap_or_else(|| DEMONSTRATION_LISTEN.parse().expect("a literal address"));
        let directory = Path::new(DIRECTORY).join("proxy");
        let own_cache = directory.join("cache");
        let cache = arguments.cache.as_deref().unwrap_or(&own_cache);
        let max_size = arguments.max_size.as_deref().unwrap_or(MAX_SIZE);
        if !max_size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("option \"--max-size\" requires a size like 10g, not \"{max_size}\""));
        }
        let listening = format!("{listen}{}", front_text(&arguments.front, &directory));
        let text = proxy_text(&origins, &upstream, &listening, &directory, cache, max_size);
        let to = arguments.to.join(", ");
        let (url, flags) = match arguments.front {
            ProxyFront::Plain => (format!("http://{listen}"), "-i"),
            ProxyFront::Tls { .. } | ProxyFront::SelfSigned => (format!("https://{listen}"), "-ik"),
        };
        let certificate = match arguments.front {
            ProxyFront::SelfSigned => OwnCertificate::For(own_names(listen)),
            ProxyFront::Plain | ProxyFront::Tls { .. } => OwnCertificate::None,
        };
        let greeting = format!(
            "Larder listens on {url}, before {to}.\n\n  \
             try:    curl {flags} {url}/     (twice, and look at X-Cache)\n  \
             cache:  {} (at most {max_size}); logs in {}\n  \
             stop:   Ctrl-C\n",
            cache.display(),
            directory.display(),
        );
        Ok(Self {
            text,
            name: PathBuf::from("larder-proxy.conf"),
            greeting,
            directory,
            pages: &[],
            certificate,
        })
    }

    /// Returns it as something to read.
    pub fn source(&self, prefix: PathBuf, globals: Option<String>, error_log: Option<PathBuf>) -> Source {
        let main = MainText::Embedded { name: self.name.clone(), text: self.text.clone() };
        Source { prefix, main, globals, error_log }
    }

    /// Makes its directory and writes its pages; what is there already stays as it is.
    pub fn write_files(&self, prefix: &Path) -> io::Result<()> {
        let directory = prefix.join(&self.directory);
        fs::create_dir_all(&directory)?;
        if let OwnCertificate::For(names) = &self.certificate {
            self_signed::write(&directory.join(CERTIFICATE), &directory.join(KEY), names)?;
        }
        if self.pages.is_empty() {
            return Ok(());
        }
        let pages = directory.join("pages");
        fs::create_dir_all(&pages)?;
        for (name, text) in self.pages {
            match fs::File::create_new(pages.join(name)) {
                Ok(mut file) => io::Write::write_all(&mut file, text.as_bytes())?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What a certificate made here is for: this machine, as far as it can be asked for by itself.
fn own_names(listen: SocketAddr) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let own = listen.ip().to_string();
    if !listen.ip().is_unspecified() && !names.contains(&own) {
        names.push(own);
    }
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    names
}

/// Makes what follows an address in `listen`, and the lines that belong to it.
fn front_text(front: &ProxyFront, directory: &Path) -> String {
    let (certificate, key) = match front {
        ProxyFront::Plain => return ";".to_owned(),
        ProxyFront::Tls { certificate, key } => (certificate.clone(), key.clone()),
        ProxyFront::SelfSigned => (directory.join(CERTIFICATE), directory.join(KEY)),
    };
    let (certificate, key) = (quoted(&certificate), quoted(&key));
    format!(
        " ssl;\n        http2 on;\n        ssl_certificate {certificate};\n        ssl_certificate_key {key};"
    )
}

/// Returns the directive by which root's own children stay root's: the files are in a directory where nobody else
/// may write. For any other user there is nothing to say.
fn own_user() -> String {
    let user = User::from_uid(Uid::effective()).ok().flatten().filter(|user| user.uid.is_root());
    user.map(|user| format!("user {};\n", user.name)).unwrap_or_default()
}

/// One `--to`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    /// How it is asked.
    scheme: Scheme,
    /// Host and port, as an `upstream` wants them.
    server: String,
    /// What the origin is called in Host.
    host: String,
    /// Path that requests are put behind; empty where there is none.
    path: String,
}

impl Origin {
    fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(format!("\"{url}\": an origin is http://HOST or http://HOST:PORT")),
        };
        let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_plain) {
            return Err(format!("\"{url}\": an origin is http://HOST or http://HOST:PORT"));
        }
        let is_path = |byte: u8| byte.is_ascii_graphic() && !b";{}\"'\\$#?".contains(&byte);
        if !path.bytes().all(is_path) {
            return Err(format!("\"{url}\": the path of an origin has plain characters only"));
        }
        // A bare IPv6 address would be taken for a host and a port.
        let is_bare = host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let host = if is_bare { format!("[{host}]") } else { host.to_owned() };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let server = if has_port { host.clone() } else { format!("{host}:{}", scheme.default_port()) };
        let path = if path == "/" { "" } else { path };
        Ok(Self { scheme, server, host, path: path.to_owned() })
    }
}

/// Makes the lines that say how origins are asked.
fn upstream_text(first: &Origin, trust: OriginTrust) -> Result<String, String> {
    let Origin { scheme, host, path, .. } = first;
    let mut text = format!("proxy_pass {}origin{path};\n", scheme.prefix());
    if *scheme == Scheme::Http {
        return Ok(text);
    }
    text += &format!("            proxy_ssl_server_name on;\n            proxy_ssl_name {host};\n");
    if trust == OriginTrust::Verified {
        let known = AUTHORITIES.iter().find(|path| Path::new(path).exists()).ok_or_else(|| {
            format!(
                "no certificates of authorities are installed as {}; --insecure trusts anybody",
                AUTHORITIES[0]
            )
        })?;
        text += &format!(
            "            proxy_ssl_verify on;\n            proxy_ssl_verify_depth {CHAIN_DEPTH};\n            \
             proxy_ssl_trusted_certificate {known};\n"
        );
    }
    Ok(text)
}

fn proxy_text(
    origins: &[Origin],
    upstream: &str,
    listening: &str,
    directory: &Path,
    cache: &Path,
    max_size: &str,
) -> String {
    let servers: String =
        origins.iter().map(|origin| format!("        server {};\n", origin.server)).collect();
    let host = origins.first().map_or("", |origin| &origin.host);
    let (user, own, cache) = (own_user(), quoted(directory), quoted(cache));
    format!(
        "\
# An origin and a cache before it, as `larder proxy` sets them up.

{user}daemon off;
worker_processes auto;
pid {own}/larder.pid;
error_log {own}/error.log notice;

events {{
    worker_connections 10000;
}}

http {{
    access_log {own}/access.log;
    client_body_temp_path {own}/client_body;
    proxy_temp_path {own}/proxy_temp;

    proxy_cache_path {cache} levels=1:2 keys_zone=pages:64m max_size={max_size} inactive=7d use_temp_path=off;

    upstream origin {{
{servers}        keepalive 64;
    }}

    server {{
        listen {listening}
        client_max_body_size 0;

        location / {{
            {upstream}            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host {host};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;

            proxy_cache pages;
            # Without words of the origin's own, pages are fresh for ten minutes, and errors hardly at all.
            proxy_cache_valid 200 301 302 10m;
            proxy_cache_valid 404 410 10s;
            proxy_cache_lock on;
            proxy_cache_revalidate on;
            proxy_cache_background_update on;
            proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
            # What a user had to sign in for is for nobody else.
            proxy_cache_bypass $http_authorization;
            proxy_no_cache $http_authorization;

            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"
    )
}

/// Writes a path as the language wants it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/~+@,".contains(&byte);
    if text.bytes().all(is_plain) {
        text
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests;
