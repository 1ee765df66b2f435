//! Bodies of requests in files: which are put there, what the files are called, and what variables say of them.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn bodies_in_files() {
    compare(&group());
}

/// The answer tells the variables, and the log too, since a request may end before there is an answer.
const SERVERS: &str = r#"client_body_buffer_size 100;
        proxy_set_header X-Body $request_body;
        proxy_set_header X-File $request_body_file;
        log_format bodies '"$request_body" "$request_body_file" $status';
        server {
            listen 127.0.0.1:%PORT%;
            client_body_temp_path %DIR%/bodies;
            access_log access.log bodies;
            location / { proxy_pass http://%ORIGIN%; }
            location /large/ { client_body_buffer_size 8k; proxy_pass http://%ORIGIN%; }
            location /clean/ { client_body_in_file_only clean; proxy_pass http://%ORIGIN%; }
            location /on/ { client_body_in_file_only on; proxy_pass http://%ORIGIN%; }
            location /off/ { client_body_in_file_only off; proxy_pass http://%ORIGIN%; }
            location /named/ {
                client_body_in_file_only on; proxy_pass_request_body off;
                proxy_set_header X-File $request_body_file; proxy_set_header Content-Length "";
                proxy_pass http://%ORIGIN%;
            }
            location /levels/ { client_body_temp_path %DIR%/deep 1 2; client_body_in_file_only clean; proxy_pass http://%ORIGIN%; }
            location /three/ { client_body_temp_path %DIR%/three 3 2 1; client_body_in_file_only on; proxy_pass http://%ORIGIN%; }
            location /single/ { client_body_in_single_buffer on; proxy_pass http://%ORIGIN%; }
            location /direct/ { client_body_in_file_only on; proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://%ORIGIN%; }
            location /return { client_body_in_file_only on; return 200 "[$request_body]"; }
        }"#;

fn posted(name: &'static str, path: &str, length: usize) -> Case {
    let body = "0123456789".repeat(length / 10);
    case(name).origin(answer(200).body("taken")).request(
        &format!("POST {path} HTTP/1.1"),
        &[&format!("Content-Length: {length}")],
        &body,
    )
}

/// Sends bodies to each location.
pub fn group() -> Group {
    let chunked = |name, path: &str, length: usize| {
        let body = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "0123456789".repeat(length / 10));
        case(name).origin(answer(200).body("taken")).request(
            &format!("POST {path} HTTP/1.1"),
            &["Transfer-Encoding: chunked"],
            &body,
        )
    };
    Group::new("bodies in files", http(SERVERS)).cases([
        posted("a small body is in memory", "/", 50).log(1),
        posted("a body of many buffers is in a file", "/", 5000).log(1),
        posted("a larger buffer holds it", "/large/", 5000).log(1),
        chunked("small chunks are in memory", "/", 50).log(1),
        chunked("large chunks are in a file", "/", 5000).log(1),
        posted("a small body in a file that is removed", "/clean/", 50).log(1),
        posted("a large body in a file that is removed", "/clean/", 5000).log(1),
        chunked("chunks in a file that is removed", "/clean/", 50).log(1),
        posted("a body of no bytes in a file that is removed", "/clean/", 0).log(1),
        posted("a small body in a file that stays", "/on/", 50).log(1),
        posted("a large body in a file that stays", "/on/", 5000).log(1),
        posted("a body of no bytes in a file that stays", "/on/", 0).log(1),
        posted("a file that is named and not sent", "/named/", 50).log(1),
        posted("a large file that is named and not sent", "/named/", 5000).log(1),
        posted("off as by default", "/off/", 50).log(1),
        posted("off as by default, many buffers", "/off/", 5000).log(1),
        posted("a file below two levels", "/levels/", 50).log(1),
        posted("a file below three levels", "/three/", 50).log(1),
        posted("one buffer", "/single/", 50).log(1),
        posted("one buffer that is too small", "/single/", 5000).log(1),
        case("a GET has no file").origin(answer(200).body("taken")).get("/on/").log(1),
        posted("a body that nobody reads", "/return", 50).log(1),
    ])
}
