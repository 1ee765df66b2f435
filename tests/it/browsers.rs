//! A browser loads a page of many small images over HTTP/2, out of the cache.

use std::process::Stdio;

use crate::support::{Conf, Origin, Server, answer, http, peers::tool, tls::Authority};

const IMAGES: usize = 100;

/// The smallest picture that there is: one pixel.
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
    \x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// A page that counts in its title how many of its images have come.
fn page() -> String {
    let images: String = (0..IMAGES)
        .map(|number| format!("<img src='/image/{number}.gif' onload='document.title = ++count'>"))
        .collect();
    format!("<!doctype html><title>0</title><script>var count = 0;</script>{images}")
}

fn conf(origin: &Origin) -> Conf {
    let root = Authority::new("the root");
    let certified = root.server(&["localhost"]);
    http(
        "proxy_cache_path cache levels=1:2 keys_zone=zone:1m;
        log_format seen '$server_protocol $uri $status $upstream_cache_status';
        server {
            listen 127.0.0.1:%PORT% ssl;
            http2 on;
            ssl_certificate own.crt;
            ssl_certificate_key own.key;
            access_log seen.log seen;
            location / { proxy_pass http://%ORIGIN%; proxy_cache zone; proxy_cache_valid 200 1h; }
        }",
    )
    .origin(origin)
    .file("own.crt", &certified.chain_pem)
    .file("own.key", &certified.key_pem)
}

/// Loads a page and returns what has become of it.
fn load(server: &Server, visit: usize) -> Option<String> {
    let profile = server.dir().join(format!("profile{visit}"));
    let output = tool("chromium")?
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--ignore-certificate-errors", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("https://localhost:{}/", server.address().port()))
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_page_of_a_hundred_images_comes_out_of_the_cache() {
    let origin = Origin::answering(|asked| match asked.target() {
        "/" => answer(200).field("Content-Type", "text/html").body(page()),
        _ => answer(200).field("Content-Type", "image/gif").body(GIF),
    });
    let server = Server::start(&conf(&origin));
    for visit in 0..2 {
        let Some(page) = load(&server, visit) else { return };
        assert!(page.contains(&format!("<title>{IMAGES}</title>")), "{page}");
    }
    server.wait_for_text("seen.log", "/image/99.gif 200 HIT");
    let log = server.read("seen.log");
    let wanted = |status: &str| {
        let is_image = |line: &&str| line.starts_with("HTTP/2.0 /image/") && line.ends_with(status);
        log.lines().filter(is_image).count()
    };
    assert_eq!((wanted("200 MISS"), wanted("200 HIT")), (IMAGES, IMAGES), "{log}");
}
