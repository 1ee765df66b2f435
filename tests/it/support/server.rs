//! The program in a directory of its own: started, watched, stopped, and its error log read at the end.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Barrier,
    thread,
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{
    client::{Answers, Client, Response},
    conf::{Conf, Place, Ports},
    deadline::{PATIENCE, poll, wait_until},
    peers::Program,
    proc,
};

/// A running program.
pub struct Server {
    program: Program,
    dir: TempDir,
    ports: Ports,
    child: Child,
    master: u32,
    allowed: Vec<String>,
    stopped: bool,
}

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// QUIT: requests are answered first.
    Graceful,
    /// TERM: at once.
    Fast,
}

/// How often a start is tried again because another process took a port in between.
const PORT_RACES: usize = 5;

/// When the files of a test were written last: Tue, 14 Nov 2023 22:13:20 GMT.
const FILES_ARE_OF: Duration = Duration::from_secs(1_700_000_000);

impl Server {
    /// Starts the program under test and waits until it accepts connections.
    pub fn start(conf: &Conf) -> Self {
        Self::start_program(&Program::larder(), conf)
    }

    /// Starts that program.
    pub fn start_program(program: &Program, conf: &Conf) -> Self {
        Self::start_in(program, conf, new_dir())
    }

    /// Starts that program in a directory that another server left.
    pub fn start_in(program: &Program, conf: &Conf, dir: TempDir) -> Self {
        let mut dir = dir;
        for _ in 0..PORT_RACES {
            match Self::try_start(program, conf, dir) {
                Ok(server) => return server,
                Err(Refused { log, dir: same }) if log.contains("Address already in use") => {
                    let _ = fs::remove_file(same.path().join("error.log"));
                    dir = same;
                }
                Err(Refused { log, .. }) => panic!("{} does not start:\n{log}", program.path.display()),
            }
        }
        panic!("no port stays free on this machine");
    }

    fn try_start(program: &Program, conf: &Conf, dir: TempDir) -> Result<Self, Refused> {
        let mut ports = Ports::default();
        write_conf(program, conf, dir.path(), &mut ports);
        let mut child = command(program, dir.path()).spawn().expect("the program can be run");
        let mut failed = None;
        let accepting = poll(PATIENCE, || {
            let status = child.try_wait().expect("the child is ours");
            // A daemon's first process ends well once the daemon is on its own.
            let detached = match conf.place() {
                Place::Foreground => true,
                Place::Background => status.is_some_and(|status| status.success()),
            };
            failed = status.filter(|status| conf.place() == Place::Foreground || !status.success());
            let accepts =
                || ports.known("").is_none_or(|port| TcpStream::connect(("127.0.0.1", port)).is_ok());
            let ready = detached && dir.path().join("larder.pid").exists() && accepts();
            (ready || failed.is_some()).then_some(())
        });
        if accepting.is_some() && failed.is_none() {
            let pid_file = fs::read_to_string(dir.path().join("larder.pid")).unwrap_or_default();
            let master = match conf.place() {
                Place::Foreground => child.id(),
                Place::Background => pid_file.trim().parse().expect("a pid file holds a number"),
            };
            return Ok(Self {
                program: program.clone(),
                dir,
                ports,
                child,
                master,
                allowed: Vec::new(),
                stopped: false,
            });
        }
        let _ = child.kill();
        let _ = child.wait();
        let said = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let log = format!("{failed:?}\n{}{}", said("stderr"), said("error.log"));
        Err(Refused { log, dir })
    }

    /// Returns the address of `%PORT%`.
    pub fn address(&self) -> SocketAddr {
        self.address_of("")
    }

    /// Returns the address of `%PORT:name%`.
    pub fn address_of(&self, name: &str) -> SocketAddr {
        let port =
            self.ports.known(name).unwrap_or_else(|| panic!("the configuration has no port \"{name}\""));
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Returns the ports that stand for the placeholders.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Returns the program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Returns the server's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Connects.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Asks once, on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }

    /// Asks for the same path on `count` connections at the same moment.
    pub fn get_at_once(&self, path: &str, count: usize) -> Answers {
        let barrier = Barrier::new(count);
        let ask = || {
            let mut client = self.client();
            barrier.wait();
            client.get(path)
        };
        thread::scope(|scope| {
            let askers: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
            Answers(askers.into_iter().map(|asker| asker.join().expect("the asker got an answer")).collect())
        })
    }

    /// Returns the process that was started.
    pub fn master(&self) -> u32 {
        self.master
    }

    /// Returns the children whose title contains `role` (`worker process`, `cache manager`).
    pub fn children(&self, role: &str) -> Vec<u32> {
        proc::children(self.master()).into_iter().filter(|&pid| proc::title(pid).contains(role)).collect()
    }

    /// Returns the only worker, waiting until there is one.
    pub fn worker(&self) -> u32 {
        let mut workers = Vec::new();
        wait_until("there is a worker", || {
            workers = self.children("worker process");
            !workers.is_empty()
        });
        workers[0]
    }

    /// Sends the master a signal.
    pub fn signal(&self, signal: Signal) {
        proc::signal(self.master(), signal);
    }

    /// Writes an edited configuration, with the same ports.
    pub fn write_conf(&mut self, conf: &Conf) {
        write_conf(&self.program, conf, self.dir.path(), &mut self.ports);
    }

    /// Runs the program once more beside this server, with the same files and these arguments.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = command(&self.program, self.dir.path());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        if poll(PATIENCE, || child.try_wait().expect("the child is ours")).is_none() {
            let _ = child.kill();
        }
        child.wait_with_output().expect("the child is ours")
    }

    /// Returns what a file of the server's directory holds; empty if there is none.
    pub fn read(&self, path: &str) -> String {
        let bytes = fs::read(self.dir.path().join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the error log has the text.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for_text("error.log", text);
    }

    /// Waits until a file of the server's directory has the text.
    pub fn wait_for_text(&self, path: &str, text: &str) {
        let found = poll(PATIENCE, || self.read(path).contains(text).then_some(()));
        assert!(found.is_some(), "{path} never got \"{text}\":\n{}", self.read(path));
    }

    /// Says that lines with this text are part of the test, whatever their level.
    pub fn allow_in_log(&mut self, text: &str) {
        self.allowed.push(text.to_owned());
    }

    /// Stops it and returns how it ended.
    pub fn stop(mut self, how: Stop) -> ExitStatus {
        self.end(how)
    }

    /// Stops it and returns its directory for another server.
    pub fn stop_and_keep(mut self, how: Stop) -> TempDir {
        self.end(how);
        let _ = fs::remove_file(self.dir.path().join("error.log"));
        std::mem::replace(&mut self.dir, new_dir())
    }

    /// Kills all its processes, and returns its directory for another server.
    pub fn kill_and_keep(mut self) -> TempDir {
        self.stopped = true;
        self.kill_all();
        let _ = fs::remove_file(self.dir.path().join("error.log"));
        std::mem::replace(&mut self.dir, new_dir())
    }

    fn end(&mut self, how: Stop) -> ExitStatus {
        self.stopped = true;
        self.signal(match how {
            Stop::Graceful => Signal::SIGQUIT,
            Stop::Fast => Signal::SIGTERM,
        });
        let status = poll(PATIENCE, || {
            let status = self.child.try_wait().expect("the child is ours");
            status.filter(|_| !proc::runs(self.master))
        });
        if status.is_none() {
            self.kill_all();
        }
        let log = self.read("error.log");
        let status =
            status.unwrap_or_else(|| panic!("did not stop within {PATIENCE:?} ({how:?}); its log:\n{log}"));
        self.check_log();
        status
    }

    fn check_log(&self) {
        let said = self.read("error.log") + &self.read("stderr");
        let bad = |line: &&str| {
            let alarming = ["[alert]", "[emerg]", "panicked"].iter().any(|mark| line.contains(mark));
            alarming && !self.allowed.iter().any(|text| line.contains(text.as_str()))
        };
        let lines: Vec<&str> = said.lines().filter(bad).collect();
        assert!(lines.is_empty(), "the error log has:\n{}", lines.join("\n"));
    }

    fn kill_all(&mut self) {
        let children = proc::children(self.master());
        proc::signal(self.master, Signal::SIGKILL);
        let _ = self.child.wait();
        for child in &children {
            proc::signal(*child, Signal::SIGKILL);
        }
        // Until then they have its ports.
        let _ = poll(PATIENCE, || (!children.iter().any(|child| proc::runs(*child))).then_some(()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            // The log says more than the assertion that failed.
            eprintln!("--- {} ---\n{}{}", self.program.name(), self.read("error.log"), self.read("stderr"));
            self.kill_all();
        } else if !self.stopped {
            self.end(Stop::Fast);
        }
    }
}

struct Refused {
    log: String,
    dir: TempDir,
}

/// Makes a directory that workers without root's rights can enter too.
pub fn new_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir =
        tempfile::Builder::new().prefix("larder-").tempdir().expect("there is room for temporary files");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("the directory is ours");
    dir
}

fn write_conf(program: &Program, conf: &Conf, dir: &Path, ports: &mut Ports) {
    let text = conf.fill(program, &dir.display().to_string(), ports);
    for (path, content) in conf.files() {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory is ours");
        fs::write(&path, content).expect("the directory is ours");
        // One fixed time, so that two servers with the same files send the same validators.
        let file = File::options().append(true).open(path).expect("the file was just written");
        file.set_modified(SystemTime::UNIX_EPOCH + FILES_ARE_OF).expect("the file is ours");
    }
    fs::write(dir.join("nginx.conf"), text).expect("the directory is ours");
}

fn command(program: &Program, dir: &Path) -> Command {
    let prefix = format!("{}/", dir.display());
    let mut command = Command::new(&program.path);
    let append = |name: &str| -> File {
        let path: PathBuf = dir.join(name);
        File::options().create(true).append(true).open(path).expect("the directory is ours")
    };
    command.args(["-p", &prefix, "-c", &format!("{prefix}nginx.conf"), "-e", &format!("{prefix}error.log")]);
    command.stdin(Stdio::null()).stdout(append("stdout")).stderr(append("stderr"));
    command
}
