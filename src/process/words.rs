//! What the program says about itself.

use super::arguments::Detail;
use crate::tools::arguments::DEEDS;

/// The version of nginx whose language is accepted.
const NGINX_VERSION: &str = "1.31.5";

/// What is built in, in the words of nginx's configure, since tools look for them: modules that nginx has by default
/// and Larder has not yet are named as left out.
const BUILT: [&str; 22] = [
    "--with-http_gunzip_module",
    "--with-http_slice_module",
    "--with-http_ssl_module",
    "--with-http_v2_module",
    "--with-pcre",
    "--with-pcre-jit",
    "--without-http_access_module",
    "--without-http_auth_basic_module",
    "--without-http_autoindex_module",
    "--without-http_browser_module",
    "--without-http_charset_module",
    "--without-http_empty_gif_module",
    "--without-http_fastcgi_module",
    "--without-http_grpc_module",
    "--without-http_limit_conn_module",
    "--without-http_limit_req_module",
    "--without-http_memcached_module",
    "--without-http_mirror_module",
    "--without-http_referer_module",
    "--without-http_scgi_module",
    "--without-http_userid_module",
    "--without-http_uwsgi_module",
];

/// Returns the version, as `-v` and `-V` tell it.
pub fn version(detail: Detail) -> String {
    let own = format!("larder version: larder/{}\n", env!("CARGO_PKG_VERSION"));
    match detail {
        Detail::Short => own,
        Detail::Full => format!(
            "{own}nginx version: nginx/{NGINX_VERSION} (the language accepted)\nbuilt with rustls and \
             AWS-LC\nTLS SNI support enabled\nconfigure arguments: {}\n",
            BUILT.join(" ")
        ),
    }
}

/// Returns the help.
pub fn help() -> String {
    format!(
        "\
Larder {}: a reverse proxy with a cache on disk, run from nginx's configuration files.

Usage:
  larder [--listen ADDRESS:PORT]        a demonstration: a slow website and a cache before it
  larder proxy --to URL [OPTIONS]       a cache before your own origin, without a file
  larder -c FILE [OPTIONS]              what an nginx configuration file says
  larder cache COMMAND -c FILE          what caches hold: {}
  larder prewarm --to ADDRESS:PORT LIST fetch pages through a running server, so that they are stored

Options, as nginx's:
  -c FILE        configuration file; relative to the prefix
  -p DIRECTORY   prefix of relative paths (default: the current directory); alone, DIRECTORY/conf/nginx.conf is read
  -e FILE        error log until the configuration names one
  -g DIRECTIVES  directives outside of the file: -g \"worker_processes 4;\"
  -t             test the configuration and exit
  -T             test it, print it and exit
  -q             with -t and -T: tell errors only
  -s SIGNAL      tell a running larder: stop, quit, reload, reopen
  -v, -V         version; version and what is built in
  -h, -?         this help

Options of proxy:
  --to URL               origin, like http://127.0.0.1:3000 or https://example.com; several make a group, and the
                         first one's name is sent as Host
  --insecure             do not ask an https origin who it is
  --listen ADDRESS:PORT  where to listen (default: 127.0.0.1:8080)
  --cache DIRECTORY      where to keep pages (default: larder/proxy/cache)
  --max-size SIZE        how much to keep at most (default: 10g)
  --tls CERT KEY         answer over TLS, with that certificate and its key
  --tls-self-signed      answer over TLS, with a certificate made for it (larder/proxy/self-signed.crt)
  --print-config         print the configuration file that this amounts to, and exit

Commands of cache (PATTERN: a part of a key, or with * in it a pattern for all of it):
  ls, find PATTERN         list what is stored; --limit N
  show PATTERN             all that is known of it, its head included
  why URL                  ask for it, and tell what the cache does and why; --header \"Name: value\"
  purge KEY                purge a whole key, or with * at its end the beginning of keys; --tag TAG, --all; --soft
  stats                    how much there is
  verify                   compare files with what they state and with the index; --repair puts right what is wrong
  export FILE [PATTERN]    write it into a tar archive (- for standard output)
  import FILE              take it from one
  --zone NAME              one cache only
  --json                   one JSON object a line

Options of prewarm (LIST: a file of URLs or paths, - for standard input, or the URL of a sitemap):
  --to ADDRESS:PORT        where the running server listens
  --host NAME              Host for lines without one
  --concurrency N          pages fetched at a time (default: 4)
  --rate N                 most pages begun a second
",
        env!("CARGO_PKG_VERSION"),
        DEEDS.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_lines_that_tools_look_for() {
        assert_eq!(version(Detail::Short), format!("larder version: larder/{}\n", env!("CARGO_PKG_VERSION")));
        let full = version(Detail::Full);
        assert!(full.contains("\nnginx version: nginx/1.31.5 "));
        assert!(full.contains("\nbuilt with rustls and AWS-LC\nTLS SNI support enabled\n"));
        let modules =
            ["gunzip", "slice", "ssl", "v2"].map(|name| format!("--with-http_{name}_module")).join(" ");
        assert!(full.contains(&format!("\nconfigure arguments: {modules} --with-pcre ")), "{full}");
        assert!(full.lines().count() == 5);
    }
}
