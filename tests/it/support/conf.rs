//! Configurations with placeholders, and the few shapes that most tests need.
//!
//! Placeholders: `%PORT%` and `%PORT:name%` are free ports, `%ORIGIN%` and `%ORIGIN:name%` addresses of
//! scripted origins, `%DNS%` that of a scripted name server, `%CLOSED%` an address that refuses connections, `%DIR%` the server's own directory.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
};

use socket2::{Domain, Socket, Type};

use super::{dns::Dns, origin::Origin, peers::Program};

/// A configuration file before its placeholders are filled in.
#[derive(Clone)]
pub struct Conf {
    text: String,
    origins: BTreeMap<String, String>,
    dns: Option<String>,
    files: Vec<(String, Vec<u8>)>,
    place: Place,
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the test's child.
    Foreground,
    /// As a daemon.
    Background,
}

impl Conf {
    /// Takes the text of a whole configuration file as it is.
    pub fn whole(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            origins: BTreeMap::new(),
            dns: None,
            files: Vec::new(),
            place: Place::Foreground,
        }
    }

    /// Says which origin `%ORIGIN%` is.
    pub fn origin(self, origin: &Origin) -> Self {
        self.origin_named("", origin)
    }

    /// Says which origin `%ORIGIN:name%` is.
    pub fn origin_named(mut self, name: &str, origin: &Origin) -> Self {
        self.origins.insert(name.to_owned(), origin.address().to_string());
        self
    }

    /// Says that `%ORIGIN%` is at that address.
    pub fn origin_at(mut self, address: SocketAddr) -> Self {
        self.origins.insert(String::new(), address.to_string());
        self
    }

    /// Says which name server `%DNS%` is.
    pub fn dns(self, dns: &Dns) -> Self {
        Self { dns: Some(dns.address().to_string()), ..self }
    }

    /// Puts a file into the server's directory before it starts.
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Makes the server a daemon.
    pub fn in_background(self) -> Self {
        Self { place: Place::Background, ..self }
    }

    /// Returns where the server runs.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Replaces the text, as an edit before a reload does.
    pub fn with_text(&self, edit: impl FnOnce(&str) -> String) -> Self {
        Self { text: edit(&self.text), ..self.clone() }
    }

    /// Returns the files to be written beside the configuration.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// Fills the placeholders in; ports that `ports` does not know yet come from the system.
    pub fn fill(&self, program: &Program, dir: &str, ports: &mut Ports) -> String {
        let mut filled = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some((before, found)) = rest.split_once('%') {
            let Some((placeholder, after)) = found.split_once('%') else {
                panic!("odd number of % in:\n{rest}")
            };
            filled.push_str(before);
            let (kind, name) = placeholder.split_once(':').unwrap_or((placeholder, ""));
            match kind {
                "" => filled.push('%'),
                "PORT" => write!(filled, "{}", ports.port(name)).expect("a string takes all"),
                "CLOSED" => write!(filled, "127.0.0.1:{}", ports.port("closed")).expect("a string takes all"),
                "DNS" => filled.push_str(self.dns.as_deref().expect("a name server")),
                "DIR" => filled.push_str(dir),
                "MAIN" => filled.push_str(&main_directives(self.place)),
                "TEMP" => filled.push_str(program.temp_paths()),
                "ORIGIN" => {
                    filled.push_str(self.origins.get(name).unwrap_or_else(|| panic!("no origin \"{name}\"")))
                }
                other => panic!("unknown placeholder %{other}%"),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// Ports that stand for the names in a configuration.
#[derive(Clone, Debug, Default)]
pub struct Ports(BTreeMap<String, u16>);

impl Ports {
    /// Returns the port of that name, taking a free one at first use.
    pub fn port(&mut self, name: &str) -> u16 {
        *self.0.entry(name.to_owned()).or_insert_with(free_port)
    }

    /// Returns the port of that name, if the configuration had it.
    pub fn known(&self, name: &str) -> Option<u16> {
        self.0.get(name).copied()
    }
}

/// Returns a port that is free, and that the system gives to nobody else for as long as the tests run.
pub fn free_port() -> u16 {
    reserve_port(0).expect("loopback has a free port")
}

/// Makes sure that a port is given to nobody who does not name it, unless somebody has it; 0 stands for any.
///
/// A socket that is bound with `SO_REUSEADDR` and does not listen keeps the system from choosing its port for others,
/// while a server that asks for that port by number gets it, as all do with the same option. Until then connections
/// to it are refused.
pub fn reserve_port(port: u16) -> Option<u16> {
    static RESERVED: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.set_reuse_address(true).ok()?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).ok()?;
    let port = socket.local_addr().ok()?.as_socket()?.port();
    RESERVED.lock().expect("nothing panics under this lock").push(socket);
    Some(port)
}

// Rights to the test's directory would be lost with root's, so the processes keep them.
fn main_directives(place: Place) -> String {
    let daemon = if place == Place::Background { "on" } else { "off" };
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    format!("daemon {daemon}; pid larder.pid; error_log error.log info; {user}")
}

/// Wraps the inside of an `http` block: logs and temporary files under the server's directory, no access log.
pub fn http(inside: &str) -> Conf {
    Conf::whole(format!(
        "%MAIN%\nworker_processes 1;\nevents {{ worker_connections 2048; }}\nhttp {{\n%TEMP%\naccess_log off;\n{inside}\n}}\n"
    ))
}

/// Wraps the inside of one `server` block that listens on `%PORT%`.
pub fn servers(inside: &str) -> Conf {
    http(&format!("server {{ listen 127.0.0.1:%PORT%;\n{inside}\n}}"))
}

/// One location that passes everything to `origin`, with a cache zone named `zone` at hand.
///
/// The answer tells what the cache did in `X-Cache`.
pub fn location(inside: &str, origin: &Origin) -> Conf {
    cached("proxy_cache_path cache levels=1:2 keys_zone=zone:1m;", inside, origin)
}

/// The same with a `proxy_cache_path` of the test's own.
pub fn cached(zone: &str, inside: &str, origin: &Origin) -> Conf {
    http(&format!(
        "{zone}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{
                proxy_pass http://%ORIGIN%;
                proxy_cache_valid 200 1h;
                add_header X-Cache $upstream_cache_status always;
                {inside}
            }}
        }}"
    ))
    .origin(origin)
}
