//! Clients that others have written ask over HTTP/2: a browser, curl, nghttp, h2load.

use std::process::{Command, Stdio};

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
            keepalive_requests 1000000;
            ssl_certificate own.crt;
            ssl_certificate_key own.key;
            access_log seen.log seen;
            location /small {
                proxy_pass http://%ORIGIN%;
                client_max_body_size 1k;
            }
            location / {
                proxy_pass http://%ORIGIN%;
                proxy_cache zone;
                proxy_cache_lock on;
                proxy_cache_valid 200 1h;
            }
        }",
    )
    .origin(origin)
    .file("own.crt", &certified.chain_pem)
    .file("own.key", &certified.key_pem)
}

/// Loads a page and returns what has become of it.
fn visit(server: &Server, number: usize) -> Option<String> {
    let profile = server.dir().join(format!("profile{number}"));
    tool("chromium")?;
    // A browser that hangs is a failure, not a test without an end.
    let output = Command::new("timeout")
        .args(["120", "chromium"])
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
    for number in 0..2 {
        let Some(page) = visit(&server, number) else { return };
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

/// Runs a command to its end and returns what it says.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &told
}

#[test]
fn curl_gets_and_sends_over_tls() {
    let origin = Origin::answering(|asked| answer(200).body(format!("{} bytes", asked.body.len())));
    let server = Server::start(&conf(&origin));
    let curl = |path: &str| {
        let mut curl = tool("curl")?;
        curl.args(["--silent", "--insecure", "--http2", "--write-out", " %{http_version} %{http_code}"]);
        curl.arg(format!("https://127.0.0.1:{}{path}", server.address().port()));
        Some(curl)
    };
    let Some(mut get) = curl("/page") else { return };
    assert_eq!(said(&mut get), "0 bytes 2 200");
    let file = server.dir().join("body");
    std::fs::write(&file, "x".repeat(300_000)).unwrap();
    let body = format!("@{}", file.display());
    let Some(mut post) = curl("/page") else { return };
    assert_eq!(said(post.args(["--data-binary", &body])), "300000 bytes 2 200");
    let Some(mut refused) = curl("/small") else { return };
    let page = said(refused.args(["--data-binary", &body]));
    assert!(page.ends_with(" 2 413"), "an answer before the end of the upload is seen: {page}");
}

#[test]
fn nghttp_gets_a_page_and_what_belongs_to_it() {
    let origin = Origin::answering(|asked| match asked.target() {
        "/" => answer(200).field("Content-Type", "text/html").body("<img src='/a.gif'><img src='/b.gif'>"),
        _ => answer(200).field("Content-Type", "image/gif").body(GIF),
    });
    let server = Server::start(&conf(&origin));
    let Some(mut nghttp) = tool("nghttp") else { return };
    let url = format!("https://127.0.0.1:{}/", server.address().port());
    let statistics = said(nghttp.args(["--null-out", "--get-assets", "--stat", &url]));
    for path in ["/", "/a.gif", "/b.gif"] {
        let is_it = |line: &&str| line.ends_with(path) && line.contains(" 200 ");
        assert!(statistics.lines().any(|line| is_it(&line)), "{path}: {statistics}");
    }
}

#[test]
fn h2load_finds_no_failure() {
    const REQUESTS: usize = 20_000;
    let origin = Origin::always(answer(200).body("x".repeat(1024)));
    let server = Server::start(&conf(&origin));
    let Some(mut h2load) = tool("h2load") else { return };
    let url = format!("https://127.0.0.1:{}/page", server.address().port());
    let told = said(h2load.args(["-n", &REQUESTS.to_string(), "-c", "10", "-m", "32", &url]));
    assert!(told.contains(&format!("{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout")), "{told}");
    assert_eq!(origin.request_count(), 1, "out of the cache");
}
