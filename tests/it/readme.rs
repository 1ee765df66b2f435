//! What the README shows on a terminal is what happens: the program started with nothing, and the answers to its requests.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::support::{
    Client,
    conf::{free_port, reserve_port},
    deadline::{PATIENCE, poll},
    peers::Program,
    proc,
    server::new_dir,
    wait_for,
};

/// One command of a transcript, and the lines below it.
struct Shown {
    command: String,
    lines: Vec<String>,
}

/// Reads the console blocks whose commands begin with these words.
fn transcript(start: &str) -> Vec<Shown> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut shown: Vec<Shown> = Vec::new();
    for line in blocks.filter(|block| block.starts_with(&format!("$ {start}"))).flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => shown.push(Shown { command: command.to_owned(), lines: Vec::new() }),
            None => shown.last_mut().expect("a block begins with a command").lines.push(line.to_owned()),
        }
    }
    shown
}

/// The program as `cargo run` starts it, but for the port.
struct Demonstration {
    child: Child,
    address: SocketAddr,
}

impl Demonstration {
    fn start(dir: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], two_free_ports()));
        let said = fs::File::create(dir.join("terminal")).unwrap();
        let mut command = Command::new(Program::larder().path);
        command.args(["--listen", &address.to_string()]).current_dir(dir).stdin(Stdio::null());
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let mut child = command.spawn().expect("the program can be run");
        let accepts = || TcpStream::connect(address).is_ok();
        let ended = |child: &mut Child| child.try_wait().expect("the child is ours").is_some();
        poll(PATIENCE, || (accepts() || ended(&mut child)).then_some(()));
        let terminal = fs::read_to_string(dir.join("terminal")).unwrap();
        assert!(!ended(&mut child), "it ended:\n{terminal}");
        Self { child, address }
    }
}

/// Returns a port that is free, as the one after it is: the demonstration's origin takes that.
fn two_free_ports() -> u16 {
    wait_for("two neighbouring ports are free", || {
        let port = free_port();
        reserve_port(port.checked_add(1)?).map(|_| port)
    })
}

impl Drop for Demonstration {
    fn drop(&mut self) {
        // Not killed, so that its children end with it.
        proc::signal(self.child.id(), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn the_transcript_is_what_happens() {
    let shown = transcript("curl -si");
    assert_eq!(shown.len(), 2, "a MISS and a HIT");
    let dir = new_dir();
    let mut demonstration = Demonstration::start(dir.path());
    let mut took = Vec::new();
    for Shown { command, lines } in shown {
        let path = command.strip_prefix("curl -si http://127.0.0.1:8080").expect("it asks the demonstration");
        let response = Client::connect(demonstration.address).get(path);
        let answer = response.to_string();
        for line in lines {
            assert!(
                answer.lines().any(|there| there == line),
                "{command} shows \"{line}\", but came:\n{answer}"
            );
        }
        took.push(response.elapsed);
    }
    assert!(took[0] >= Duration::from_secs(1), "the first takes a second: {took:?}");

    assert!(dir.path().join("larder").is_dir(), "what it keeps is under ./larder/");
    let terminal = fs::read_to_string(dir.path().join("terminal")).unwrap();
    for word in [demonstration.address.to_string().as_str(), "curl -i", "Ctrl-C"] {
        assert!(terminal.contains(word), "the terminal does not say \"{word}\":\n{terminal}");
    }
    proc::signal(demonstration.child.id(), Signal::SIGINT);
    let status = wait_for("it stops", || demonstration.child.try_wait().expect("the child is ours"));
    assert!(status.success(), "{status:?}");
}
