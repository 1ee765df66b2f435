//! What quick starts amount to, read back by the language itself.

use config::{Config, HostLookup, ListenAddress};

use super::*;

struct Nowhere;

impl HostLookup for Nowhere {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(host.trim_matches(['[', ']']).parse().map_err(io::Error::other)?, port)])
    }

    fn hostname(&self) -> String {
        "here".to_owned()
    }
}

fn load(quick: &Quick) -> Config {
    let loaded = config::load(&quick.source("/srv".into(), None, None), &Nowhere);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{}\n{}", errors[0], quick.text));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings[0]);
    loaded.config
}

fn listening(config: &Config) -> Vec<String> {
    let shown = |address: &ListenAddress| match address {
        ListenAddress::Inet(address) => address.to_string(),
        ListenAddress::Unix(path) => path.display().to_string(),
    };
    config.http.as_ref().unwrap().listeners.iter().map(|listener| shown(&listener.address)).collect()
}

fn proxy(to: &[&str]) -> Result<Quick, String> {
    let to = to.iter().map(|url| (*url).to_owned()).collect();
    Quick::proxy(&ProxyArguments { to, ..ProxyArguments::default() })
}

#[test]
fn the_demonstration_is_a_cache_and_an_origin_on_the_next_port() {
    let config = load(&Quick::demonstration(None).unwrap());
    assert_eq!(listening(&config), ["127.0.0.1:8080", "127.0.0.1:8081"]);
    let http = config.http.unwrap();
    assert_eq!(http.zones[0].path, Path::new("/srv/larder/cache"));
    assert_eq!(http.upstreams[0].servers[0].name, "127.0.0.1:8081");

    let config = load(&Quick::demonstration("[::1]:9000".parse().ok()).unwrap());
    assert_eq!(listening(&config), ["[::1]:9000", "[::1]:9001"]);
    assert_eq!(config.http.unwrap().upstreams[0].servers[0].name, "[::1]:9001");
}

#[test]
fn pages_are_written_once_and_then_yours() {
    let dir = tempfile::tempdir().unwrap();
    let quick = Quick::demonstration(None).unwrap();
    quick.write_files(dir.path()).unwrap();
    let page = dir.path().join("larder/pages/index.html");
    fs::write(&page, "mine").unwrap();
    quick.write_files(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(page).unwrap(), "mine");
    assert!(dir.path().join("larder/pages/slow.html").exists());
}

#[test]
fn origins_become_a_group() {
    let quick = proxy(&["http://127.0.0.1:3000", "http://127.0.0.2/", "[::1]:81", "http://::1"]).unwrap();
    let config = load(&quick);
    assert_eq!(listening(&config), ["127.0.0.1:8080"]);
    let http = config.http.unwrap();
    let names: Vec<&str> = http.upstreams[0].servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["127.0.0.1:3000", "127.0.0.2:80", "[::1]:81", "[::1]:80"]);
    assert!(quick.text.contains("proxy_set_header Host 127.0.0.1:3000;"));
    assert!(quick.text.contains("proxy_pass http://origin;"));
    assert_eq!(http.zones[0].max_size, Some(10 << 30));
}

#[test]
fn an_https_origin_is_asked_by_its_name() {
    let arguments = ProxyArguments {
        to: vec!["https://127.0.0.1/shop/".to_owned()],
        trust: OriginTrust::Anybody,
        ..ProxyArguments::default()
    };
    let quick = Quick::proxy(&arguments).unwrap();
    let lines: Vec<&str> = quick.text.lines().map(str::trim).collect();
    for line in [
        "server 127.0.0.1:443;",
        "proxy_pass https://origin/shop/;",
        "proxy_ssl_name 127.0.0.1;",
        "proxy_ssl_server_name on;",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
    assert!(!quick.text.contains("proxy_ssl_verify"));
    load(&quick);
}

#[test]
fn clients_may_be_answered_over_tls() {
    let proxy = |front| {
        let to = vec!["http://127.0.0.1".to_owned()];
        Quick::proxy(&ProxyArguments { to, front, ..ProxyArguments::default() }).unwrap()
    };
    let plain = proxy(ProxyFront::Plain);
    assert!(plain.text.contains("listen 127.0.0.1:8080;\n") && !plain.text.contains("ssl"));
    let files = ProxyFront::Tls { certificate: "my certs/a".into(), key: "a.key".into() };
    for (front, certificate, key) in [
        (files, "\"my certs/a\"", "a.key"),
        (ProxyFront::SelfSigned, "larder/proxy/self-signed.crt", "larder/proxy/self-signed.key"),
    ] {
        let quick = proxy(front);
        let lines = format!(
            "listen 127.0.0.1:8080 ssl;\n        http2 on;\n        ssl_certificate {certificate};\n        ssl_certificate_key {key};"
        );
        assert!(quick.text.contains(&lines), "{}", quick.text);
        assert!(quick.greeting.contains("curl -ik https://127.0.0.1:8080/"));
        load(&quick);
    }
}

#[test]
fn a_path_stays_and_a_directory_may_have_any_name() {
    let arguments = ProxyArguments {
        to: vec!["http://127.0.0.1/shop/".to_owned()],
        cache: Some("/var/a \"b\\c".into()),
        max_size: Some("500m".to_owned()),
        ..ProxyArguments::default()
    };
    let quick = Quick::proxy(&arguments).unwrap();
    assert!(quick.text.contains("proxy_pass http://origin/shop/;"));
    let zones = load(&quick).http.unwrap().zones;
    assert_eq!(zones[0].path, Path::new("/var/a \"b\\c"));
    assert_eq!(zones[0].max_size, Some(500 << 20));
}

#[test]
fn what_cannot_be_an_origin_is_refused_with_a_reason() {
    let cases = [
        (&["http://a", "https://b"][..], "all --to must begin alike: with http:// or with https://"),
        (&["ftp://a"], "\"ftp://a\": an origin is http://HOST or http://HOST:PORT"),
        (&["http://"], "\"http://\": an origin is http://HOST or http://HOST:PORT"),
        (&["http://a;b"], "\"http://a;b\": an origin is http://HOST or http://HOST:PORT"),
        (&["http://a/x;y"], "\"http://a/x;y\": the path of an origin has plain characters only"),
        (&["http://a/x", "http://b/y"], "all --to must have one path: \"/y\" is not \"/x\""),
    ];
    for (to, wanted) in cases {
        assert_eq!(proxy(to).err().as_deref(), Some(wanted), "{to:?}");
    }
}
