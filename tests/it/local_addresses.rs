//! `proxy_bind` where connections are kept, and where workers have given root's rights up.

use nix::unistd::geteuid;

use crate::support::{Origin, Server, answer, http, servers, wait_until};

/// nginx uses a kept connection whatever its address; whoever trusts addresses must not be given another's.
#[test]
fn a_kept_connection_is_not_used_from_another_address() {
    let origin = Origin::always(answer(200).body("seen"));
    let conf = http(
        "upstream kept { server %ORIGIN%; keepalive 4; }
        server {
            listen 127.0.0.1:%PORT%;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_bind $arg_from;
            location / { proxy_pass http://kept; }
        }",
    );
    let server = Server::start(&conf.origin(&origin));
    for from in ["127.0.0.41", "127.0.0.42", "", "127.0.0.41", "127.0.0.42", ""] {
        assert_eq!(server.get(&format!("/?from={from}")).text(), "seen");
    }
    let connections: Vec<usize> = origin.requests().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_bad_local_address_is_told_in_nginx_s_words() {
    let origin = Origin::always(answer(200).body("seen"));
    let conf = servers("proxy_bind $arg_from; location / { proxy_pass http://%ORIGIN%; }");
    let server = Server::start(&conf.origin(&origin));
    assert_eq!(server.get("/?from=nowhere").text(), "seen");
    assert_eq!(server.get("/?from=192.0.2.1").status(), 500);
    wait_until("the log tells of both", || {
        let log = server.read("error.log");
        log.contains("[error]")
            && log.contains("invalid local address \"nowhere\"")
            && log.contains("[crit]")
            && log.contains("bind(192.0.2.1) failed (99: Cannot assign requested address) while connecting to upstream, client: 127.0.0.1")
    });
}

/// Needs root: only root has a right to keep.
#[test]
fn a_worker_without_root_s_rights_still_connects_transparently() {
    if !geteuid().is_root() {
        return;
    }
    let origin = Origin::always(answer(200).body("seen"));
    let conf = servers("proxy_bind 127.0.0.43 transparent; location / { proxy_pass http://%ORIGIN%; }");
    let conf = conf.with_text(|text| text.replacen("%MAIN%", "user nobody nogroup;\n%MAIN%", 1));
    let conf = conf
        .with_text(|text| text.replace("%MAIN%", "daemon off; pid larder.pid; error_log error.log info;"));
    let server = Server::start(&conf.origin(&origin));
    assert_eq!(server.get("/").text(), "seen");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.worker())).expect("it runs");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_ne!(field("Uid:").and_then(|ids| ids.split_whitespace().next()), Some("0"), "{status}");
    // CAP_NET_RAW is bit 13, and nothing else is left.
    assert_eq!(field("CapEff:"), Some("0000000000002000"));
}
