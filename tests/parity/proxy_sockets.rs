//! Where connections to origins come from (`proxy_bind`), and options of their sockets.
//!
//! A second server of the same program is the origin, since it can tell which address it was asked from.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::http;

#[test]
fn addresses_that_connections_come_from() {
    compare(&group());
}

/// The server of `%PORT:b%` says who asked; the first one asks it from many addresses.
const SERVERS: &str = r#"upstream there { server 127.0.0.1:%PORT:b%; }
        upstream two { server 127.0.0.1:%PORT:b%; server 127.0.0.2:%PORT:b%; }
        upstream kept { server 127.0.0.1:%PORT:b%; keepalive 4; }
        proxy_bind 127.0.0.21;
        server {
            listen 127.0.0.1:%PORT:b%;
            listen 127.0.0.2:%PORT:b%;
            location / { return 200 "asked from $remote_addr\n"; }
        }
        server {
            listen 127.0.0.1:%PORT%;
            proxy_intercept_errors off;
            location / { proxy_pass http://there; }
            location /own/ { proxy_bind 127.0.0.22; proxy_pass http://there; }
            location /off/ { proxy_bind off; proxy_pass http://there; }
            location /nested/ {
                proxy_bind 127.0.0.23;
                proxy_pass http://there;
                location /nested/inner/ { proxy_pass http://there; }
                location /nested/off/ { proxy_bind off; proxy_pass http://there; }
            }
            location /argument/ { proxy_bind $arg_from; proxy_pass http://there; }
            location /glued/ { proxy_bind 127.0.0.$arg_last; proxy_pass http://there; }
            location /client/ { proxy_bind $remote_addr; proxy_pass http://there; }
            location /server/ { proxy_bind $server_addr; proxy_pass http://two; }
            location /foreign/ { proxy_bind 192.0.2.1; proxy_pass http://two; }
            location /family/ { proxy_bind ::1; proxy_pass http://there; }
            location /local/ { proxy_bind 127.0.0.24; proxy_pass http://unix:%DIR%/nobody.sock; }
            location /other/ { proxy_bind $arg_from; proxy_pass http://127.0.0.1:%PORT:b%; }
            location /variable/ { proxy_bind 127.0.0.25; proxy_pass http://127.0.0.1:$arg_port; }
            location /kept/ {
                proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_bind $arg_from; proxy_pass http://kept;
            }
            location /page/ { error_page 500 /own/page; proxy_bind 192.0.2.1; proxy_pass http://there; }
            location /transparent/ { proxy_bind 127.0.0.26 transparent; proxy_pass http://there; }
            location /transparent/client/ { proxy_bind $remote_addr transparent; proxy_pass http://there; }
            location /options/ {
                proxy_socket_keepalive on;
                proxy_connect_timeout 5s; proxy_send_timeout 5s; proxy_read_timeout 5s;
                proxy_pass http://there;
            }
            log_not_found off;
        }"#;

fn asked(name: &'static str, path: &str) -> Case {
    case(name).get(path)
}

/// Asks each of [`SERVERS`].
pub fn group() -> Group {
    Group::new("proxied sockets", http(SERVERS)).cases([
        asked("an address of http", "/"),
        asked("an address of the location", "/own/"),
        asked("off drops what is inherited", "/off/"),
        asked("an address of the outer location", "/nested/inner/"),
        asked("an outer location's own", "/nested/"),
        asked("off in an inner location", "/nested/off/"),
        asked("an address by variable", "/argument/?from=127.0.0.31"),
        asked("a variable without a value binds nothing", "/argument/"),
        asked("a variable that is no address binds nothing", "/argument/?from=nowhere"),
        asked("a variable with a bad port binds nothing", "/argument/?from=127.0.0.31:0"),
        asked("a variable with a port out of range binds nothing", "/argument/?from=127.0.0.31:99999"),
        asked("off by variable is no address", "/argument/?from=off"),
        asked("text and variable", "/glued/?last=32"),
        asked("the client's address", "/client/"),
        asked("the server's address", "/server/"),
        asked("an address that the machine has not ends the request", "/foreign/"),
        asked("an address of another family ends the request", "/family/"),
        asked("an address for a UNIX-domain socket ends the request", "/local/"),
        asked("a foreign address by variable ends the request", "/argument/?from=192.0.2.7"),
        asked("to an address without a group", "/other/?from=127.0.0.33"),
        asked("an error page answers for it", "/page/"),
        asked("a transparent connection", "/transparent/"),
        asked("a transparent connection from the client's address", "/transparent/client/"),
        asked("other options of a socket", "/options/"),
        asked("a kept connection is used again", "/kept/?from=127.0.0.34").get("/kept/?from=127.0.0.34"),
    ])
}
