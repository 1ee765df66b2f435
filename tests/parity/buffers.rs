//! Buffers, temporary files and `proxy_store`: values that are refused, and answers around the sizes that are set.

use super::{
    case::{Case, Group, case},
    configuration::{Tested, refuse_alike},
    run::compare,
};
use crate::support::{Reply, answer, servers};

#[test]
fn answers_around_the_sizes_of_buffers() {
    compare(&group());
}

#[test]
fn bad_sizes_and_places_are_refused_in_the_same_words() {
    refuse_alike(bad_values());
}

/// Each location has its own sizes, all of them small.
pub fn group() -> Group {
    let conf = servers(
        "proxy_http_version 1.1;
        location /head/ { proxy_pass http://%ORIGIN%; proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k; }
        location /large/ { proxy_pass http://%ORIGIN%; proxy_buffer_size 64k; proxy_buffers 4 64k; }
        location /small/ {
            proxy_pass http://%ORIGIN%;
            proxy_buffer_size 1k; proxy_buffers 2 1k; proxy_busy_buffers_size 1k; proxy_temp_file_write_size 1k;
        }
        location /no-file/ {
            proxy_pass http://%ORIGIN%; proxy_max_temp_file_size 0;
            proxy_buffer_size 1k; proxy_buffers 2 1k; proxy_busy_buffers_size 1k;
        }
        location /off/ { proxy_pass http://%ORIGIN%; proxy_buffering off; proxy_buffer_size 1k; }
        location /ignoring/ {
            proxy_pass http://%ORIGIN%; proxy_buffering off; proxy_buffer_size 1k;
            proxy_ignore_headers X-Accel-Buffering;
        }
        location /paged/ { proxy_pass http://%ORIGIN%; proxy_buffer_size 1k; error_page 502 =200 /page; }
        location = /page { return 200 paged; }",
    );
    Group::new("sizes of buffers", conf).cases(heads()).cases(bodies()).cases(breaking())
}

/// An answer whose head has so many bytes.
fn head_of(bytes: usize) -> Reply {
    let bare = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Fill: \r\n\r\n".len();
    answer(200).field("Content-Length", "4").field("X-Fill", &"x".repeat(bytes - bare)).bytes("body")
}

fn heads() -> [Case; 12] {
    let asked = |name, path, bytes| case(name).get(path).origin(head_of(bytes));
    let many =
        (0..40).fold(answer(200), |reply, number| reply.field(&format!("X-Field-{number}"), "some value"));
    [
        asked("a head that fits", "/head/a", 1000),
        asked("a head one byte smaller than its buffer", "/head/b", 1023),
        asked("a head as large as its buffer", "/head/c", 1024)
            .differs("nginx loses a body before which the buffer is full", &["< | body", "connection: kept"]),
        asked("a head one byte larger than its buffer", "/head/d", 1025),
        asked("a head twice as large", "/head/e", 2048),
        asked("a large head in a large buffer", "/large/a", 60_000),
        asked("a head larger than a large buffer", "/large/b", 70_000),
        asked("a head that fits, not buffered", "/off/a", 1024),
        asked("a head that does not fit, not buffered", "/off/b", 1025),
        asked("a page for the error", "/paged/a", 1100),
        case("many fields that do not fit").get("/head/f").origin(many.body("body")),
        case("a head without an end")
            .get("/head/g")
            .origin(Reply::raw(format!("HTTP/1.1 200 OK\r\nX-Fill: {}", "x".repeat(2000)))),
    ]
}

fn bodies() -> [Case; 18] {
    let text = "0123456789abcdef".repeat(20_000);
    let body = || answer(200).body(&text);
    let pieces: Vec<&str> =
        (0..text.len()).step_by(700).map(|at| &text[at..text.len().min(at + 700)]).collect();
    let chunked = || answer(200).chunked(&pieces);
    let asked = |name, path, reply: Reply| case(name).get(path).origin(reply);
    [
        asked("a large body through small buffers", "/small/a", body()),
        asked("chunks through small buffers", "/small/b", chunked()),
        asked("a body up to the close through small buffers", "/small/c", answer(200).until_close(&text)),
        asked("a large body without a file", "/no-file/a", body()),
        asked("chunks without a file", "/no-file/b", chunked()),
        asked("a body up to the close without a file", "/no-file/c", answer(200).until_close(&text)),
        asked("a large body, not buffered", "/off/c", body()),
        asked("chunks, not buffered", "/off/d", chunked()),
        asked("a body up to the close, not buffered", "/off/e", answer(200).until_close(&text)),
        asked("a large body through large buffers", "/large/c", body()),
        asked("buffered on the origin's wish", "/off/f", body().field("X-Accel-Buffering", "yes")),
        asked("not buffered on the origin's wish", "/small/d", body().field("X-Accel-Buffering", "no")),
        asked("a wish that is ignored", "/ignoring/a", body().field("X-Accel-Buffering", "yes")),
        asked("a wish that says nothing", "/small/e", body().field("X-Accel-Buffering", "maybe")),
        asked("no body through small buffers", "/small/f", answer(200).body("")),
        case("HEAD through small buffers").head("/small/g").origin(answer(200).declared(5000)),
        case("a large body for HTTP/1.0")
            .send("GET /small/h HTTP/1.0\r\nHost: localhost\r\n\r\n")
            .origin(chunked()),
        case("two large bodies on one connection")
            .get("/small/i")
            .get("/no-file/i")
            .origin(body())
            .origin(chunked()),
    ]
}

fn breaking() -> [Case; 6] {
    let half = "0123456789abcdef".repeat(1000);
    let torn = || answer(200).declared(32_000).bytes(&half).then_close();
    let torn_chunks = || answer(200).field("Transfer-Encoding", "chunked").chunk(&half).then_close();
    let asked = |name, path, reply: Reply| case(name).get(path).origin(reply);
    [
        asked("a torn body through small buffers", "/small/j", torn()),
        asked("torn chunks through small buffers", "/small/k", torn_chunks()),
        asked("a torn body without a file", "/no-file/j", torn()),
        asked("torn chunks without a file", "/no-file/k", torn_chunks()),
        asked("a torn body, not buffered", "/off/j", torn()),
        asked("torn chunks, not buffered", "/off/k", torn_chunks()),
    ]
}

fn bad_values() -> Vec<Tested> {
    let inside = |name, text: &str| {
        let place = "listen 127.0.0.1:%PORT%; location /x/";
        let zone = "proxy_cache_path cache keys_zone=zone:1m;";
        Tested::inside_http(name, &format!("{zone}\nserver {{ {place} {{\n{text}\n}} }}"))
    };
    vec![
        inside("proxy_store with nothing", "proxy_store;"),
        inside("proxy_store with two words", "proxy_store on off;"),
        inside("proxy_store twice", "proxy_store on;\nproxy_store off;"),
        inside("proxy_store with an unknown variable", "proxy_store /srv/$nothing;").placed_better(),
        inside("proxy_store beside a cache", "proxy_cache zone;\nproxy_store on;"),
        inside("a cache beside proxy_store", "proxy_store /srv/x;\nproxy_cache zone;"),
        inside("no proxy_store beside a cache", "proxy_cache zone;\nproxy_store off;"),
        inside("no cache beside proxy_store", "proxy_store on;\nproxy_cache off;"),
        inside("permissions of nobody", "proxy_store_access other:r;"),
        inside("permissions that there are not", "proxy_store_access user:rwx;"),
        inside("permissions without whose", "proxy_store_access rw;"),
        inside("permissions of too many", "proxy_store_access user:r group:r all:r user:rw;"),
        inside("permissions of none", "proxy_store_access;"),
        inside("permissions twice", "proxy_store_access user:r;\nproxy_store_access user:r;"),
        inside("permissions, wrong at the third", "proxy_store_access user:r group:r all:x;"),
        inside("proxy_buffer_size that is none", "proxy_buffer_size 4x;"),
        inside("proxy_buffer_size with nothing", "proxy_buffer_size;"),
        inside("proxy_buffer_size twice", "proxy_buffer_size 4k;\nproxy_buffer_size 8k;"),
        inside("proxy_buffering that is neither", "proxy_buffering maybe;"),
        inside("proxy_buffers without a size", "proxy_buffers 8;"),
        inside("proxy_buffers with a bad number", "proxy_buffers many 4k;"),
        inside("proxy_buffers with a bad size", "proxy_buffers 8 4g;"),
        inside("no proxy_buffers", "proxy_buffers 0 4k;"),
        inside("proxy_buffers of no size", "proxy_buffers 8 0;"),
        inside("one proxy_buffer", "proxy_buffers 1 4k;").placed_better(),
        inside("proxy_buffers twice", "proxy_buffers 4 4k;\nproxy_buffers 8 4k;"),
        inside("busy buffers that are too small", "proxy_busy_buffers_size 1k;").placed_better(),
        inside("busy buffers for a large head", "proxy_buffer_size 64k;").placed_better(),
        inside("busy buffers that are none", "proxy_busy_buffers_size -1;"),
        inside("busy buffers of all but one", "proxy_buffers 4 4k;\nproxy_busy_buffers_size 12k;"),
        inside("busy buffers of more", "proxy_buffers 4 4k;\nproxy_busy_buffers_size 12289;").placed_better(),
        inside("writes that are too small", "proxy_temp_file_write_size 1k;").placed_better(),
        inside("writes that are none", "proxy_temp_file_write_size 1t;"),
        inside("a temporary file that is too small", "proxy_max_temp_file_size 1k;").placed_better(),
        inside("no temporary file", "proxy_max_temp_file_size 0;"),
        inside("a temporary file of no size", "proxy_max_temp_file_size off;"),
        inside("a temporary file twice", "proxy_max_temp_file_size 0;\nproxy_max_temp_file_size 0;"),
        inside("a level of four digits", "proxy_temp_path temp 4;"),
        inside("a level of none", "proxy_temp_path temp 1 0;"),
        inside("four levels", "proxy_temp_path temp 1 1 1 1;"),
        inside("a level that is no number", "proxy_temp_path temp x;"),
        inside("no directory for temporary files", "proxy_temp_path;"),
        inside("two directories for temporary files", "proxy_temp_path a;\nproxy_temp_path b;"),
        inside("proxy_request_buffering that is neither", "proxy_request_buffering maybe;"),
    ]
}
