//! Starting without a configuration file: `larder proxy`, and what is told where it cannot be.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;

use crate::support::{
    Client, Origin, answer,
    conf::free_port,
    deadline::{PATIENCE, poll},
    peers::Program,
    proc,
    server::new_dir,
    tls::{Authority, Tls},
    wait_until,
};

/// A program started in a directory of its own, stopped when the test ends.
struct Started {
    child: Child,
    dir: tempfile::TempDir,
}

impl Started {
    fn new(arguments: &[&str]) -> Self {
        let dir = new_dir();
        let output = |name| File::create(dir.path().join(name)).expect("the directory is ours");
        let child = Command::new(Program::larder().path)
            .args(arguments)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .expect("the program can be run");
        Self { child, dir }
    }

    fn said(&self) -> String {
        ["stdout", "stderr"]
            .map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// Waits until it accepts, and connects.
    fn client(&mut self, address: SocketAddr) -> Client {
        let connected = poll(PATIENCE, || {
            let ended = self.child.try_wait().expect("the child is ours");
            assert!(ended.is_none(), "ended with {ended:?}:\n{}", self.said());
            TcpStream::connect(address).ok()
        });
        assert!(connected.is_some(), "does not accept on {address}:\n{}", self.said());
        Client::connect(address)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        proc::signal(self.child.id(), Signal::SIGTERM);
        let children = proc::children(self.child.id());
        if poll(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            children.iter().for_each(|&child| proc::signal(child, Signal::SIGKILL));
        }
    }
}

fn is_larder() -> bool {
    !Program::larder().is_nginx()
}

#[test]
fn a_proxy_needs_no_file() {
    if !is_larder() {
        return;
    }
    let origin =
        Origin::answering(|asked| answer(200).field("Cache-Control", "max-age=60").body(asked.target()));
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let to = format!("http://{}", origin.address());
    let mut started =
        Started::new(&["proxy", "--to", &to, "--listen", &listen.to_string(), "--cache", "store"]);
    let mut client = started.client(listen);
    assert_eq!(client.get("/a").text(), "/a");
    assert_eq!(client.get("/a").text(), "/a");
    assert_eq!(origin.request_count(), 1, "the second answer comes from the cache");
    assert!(origin.requests()[0].line().ends_with("HTTP/1.1"), "{}", origin.requests()[0].head);
    assert!(started.dir.path().join("store").is_dir());
    // It accepts a moment before it says so.
    wait_until("it says where it listens", || started.said().contains(&listen.to_string()));
}

#[test]
fn a_proxy_answers_over_tls() {
    if !is_larder() {
        return;
    }
    let origin =
        Origin::answering(|asked| answer(200).body(asked.field("X-Forwarded-Proto").unwrap_or("none")));
    let to = format!("http://{}", origin.address());
    let authority = Authority::new("somebody");
    let own = authority.server(&["localhost"]);
    let files = new_dir();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (write("a.crt", &own.chain_pem), write("a.key", &own.key_pem));
    let anybody = Tls::trusting_anybody();
    for (options, tls) in
        [(&["--tls", &certificate, &key][..], &Tls::trusting(&authority)), (&["--tls-self-signed"], &anybody)]
    {
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = listen.to_string();
        let mut started = Started::new(&[&["proxy", "--to", &to, "--listen", &text], options].concat());
        started.client(listen);
        assert_eq!(tls.connect(listen).get("/a").text(), "https", "{options:?}");
        wait_until("it says how to ask", || started.said().contains(&format!("curl -ik https://{listen}/")));
    }
}

#[test]
fn a_proxy_spreads_over_several_origins() {
    if !is_larder() {
        return;
    }
    let origins = [Origin::always(answer(200).body("a")), Origin::always(answer(200).body("b"))];
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let [a, b] = [0, 1].map(|number: usize| format!("http://{}", origins[number].address()));
    let mut started = Started::new(&["proxy", "--to", &a, "--to", &b, "--listen", &listen.to_string()]);
    let mut client = started.client(listen);
    for number in 0..8 {
        assert_eq!(client.get(&format!("/{number}")).status(), 200);
    }
    assert!(origins.iter().all(|origin| origin.request_count() >= 2), "both are asked");
}

#[test]
fn the_configuration_of_a_proxy_can_be_printed_and_tested() {
    if !is_larder() {
        return;
    }
    let program = Program::larder().path;
    let to = ["proxy", "--to", "http://127.0.0.1:9", "--max-size", "1g", "--print-config"];
    let printed = Command::new(&program).args(to).output().expect("the program can be run");
    assert!(printed.status.success());
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    for expected in ["proxy_cache_path", "max_size=1g", "127.0.0.1:9", "proxy_cache_lock on;", "keepalive"] {
        assert!(text.contains(expected), "no {expected} in:\n{text}");
    }
    let dir = new_dir();
    fs::write(dir.path().join("nginx.conf"), &text).unwrap();
    // `larder proxy` makes the directory that its log and its cache are in.
    fs::create_dir_all(dir.path().join("larder/proxy")).unwrap();
    let prefix = format!("{}/", dir.path().display());
    let tested = Command::new(&program).args(["-t", "-p", &prefix, "-c", "nginx.conf"]).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

#[test]
fn an_https_origin_is_asked_who_it_is_unless_that_is_left_out() {
    if !is_larder() {
        return;
    }
    let printed = |more: &[&str]| {
        let to = ["proxy", "--to", "https://127.0.0.1:9", "--print-config"];
        let output = Command::new(Program::larder().path).args(to).args(more).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&told).into_owned()
    };
    let verified = printed(&[]);
    assert!(verified.contains("proxy_ssl_verify on;") || verified.contains("--insecure"), "{verified}");
    let insecure = printed(&["--insecure"]);
    assert!(insecure.contains("proxy_pass https://origin;"), "{insecure}");
    assert!(!insecure.contains("proxy_ssl_verify"), "{insecure}");
}

#[test]
fn an_https_origin_is_asked() {
    if !is_larder() {
        return;
    }
    let authority = Authority::new("somebody");
    let origin = Origin::over_tls(authority.server(&["localhost"]).origin(), |asked| {
        let name = asked.tls.as_ref().and_then(|heard| heard.name.clone()).unwrap_or_default();
        answer(200).field("Cache-Control", "max-age=60").body(format!("{} {name}", asked.target()))
    });
    let to = format!("https://localhost:{}", origin.address().port());
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let arguments = ["proxy", "--to", &to, "--listen", &listen.to_string(), "--cache", "store"];
    let answered = |arguments: &[&str]| Started::new(arguments).client(listen).get("/a");
    let insecure = answered(&[&arguments[..], &["--insecure"]].concat());
    assert_eq!(insecure.text(), "/a localhost");
    assert_eq!(origin.requests()[0].field("Host"), to.strip_prefix("https://"));

    let printing = [&arguments[..], &["--print-config"]].concat();
    let printed =
        Command::new(Program::larder().path).args(printing).output().expect("the program can be run");
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let told = String::from_utf8_lossy(&printed.stderr).into_owned();
    let Some((before, trusted)) = text.split_once("proxy_ssl_trusted_certificate ") else {
        assert!(told.contains("--insecure"), "nobody is trusted here: {told}");
        return;
    };
    // Authorities of this machine have signed nothing like that; ours has.
    assert_eq!(answered(&arguments).status(), 502);
    assert_eq!(origin.request_count(), 1, "whoever is not trusted is asked nothing");
    let dir = new_dir();
    fs::write(dir.path().join("authority.pem"), authority.pem()).unwrap();
    fs::create_dir_all(dir.path().join("larder/proxy")).unwrap();
    let rest = trusted.split_once(';').map_or("", |(_, rest)| rest);
    let own = dir.path().join("authority.pem").display().to_string();
    fs::write(dir.path().join("nginx.conf"), format!("{before}proxy_ssl_trusted_certificate {own};{rest}"))
        .unwrap();
    let prefix = format!("{}/", dir.path().display());
    let verified = answered(&["-p", &prefix, "-c", "nginx.conf"]);
    assert_eq!((verified.status(), verified.text().as_str()), (200, "/a localhost"));
}

#[test]
fn a_port_in_use_is_told_with_the_way_to_another() {
    if !is_larder() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound socket has an address");
    let mut refused = Started::new(&["--listen", &address.to_string()]);
    let ended = poll(PATIENCE, || refused.child.try_wait().expect("the child is ours"));
    assert!(ended.is_some_and(|status| !status.success()), "{}", refused.said());
    let said = refused.said();
    assert!(said.contains(&address.port().to_string()), "{said}");
    assert!(said.contains("--listen"), "{said}");
}
