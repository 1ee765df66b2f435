//! The command line: nginx's flags, configuration tests, signals to a running master.

use std::{fs, process::Output};

use crate::support::{Conf, Server, peers::Program, proc, server::new_dir, servers, wait_until};

fn hello() -> Conf {
    servers("location / { return 200 hello; }")
}

fn run(arguments: &[&str]) -> Output {
    std::process::Command::new(Program::larder().path)
        .args(arguments)
        .output()
        .expect("the program can be run")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_version_is_told() {
    let name = Program::larder().name();
    let version = run(&["-v"]);
    assert!(version.status.success());
    assert!(said(&version).starts_with(&format!("{name} version: {name}/")), "{}", said(&version));
    let all = said(&run(&["-V"]));
    assert!(all.contains("nginx version: nginx/"), "{all}");
    assert!(all.contains("--with-") || all.contains("configure arguments"), "{all}");
}

#[test]
fn help_is_told() {
    for flag in ["-h", "-?"] {
        let help = run(&[flag]);
        assert!(help.status.success());
        for option in ["-c ", "-e ", "-g ", "-p ", "-q", "-s ", "-t", "-T", "-v", "-V"] {
            assert!(said(&help).contains(option), "{flag} does not tell {option}:\n{}", said(&help));
        }
    }
}

#[test]
fn an_unknown_flag_is_refused() {
    let output = run(&["-Z"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("invalid option: \"Z\""), "{}", said(&output));
}

#[test]
fn a_configuration_is_tested() {
    let server = Server::start(&hello());
    let tested = server.run(&["-t"]);
    assert!(tested.status.success());
    let file = server.dir().join("nginx.conf").display().to_string();
    let told = said(&tested);
    assert!(told.contains(&format!("the configuration file {file} syntax is ok")), "{told}");
    assert!(told.contains(&format!("configuration file {file} test is successful")), "{told}");
    assert_eq!(said(&server.run(&["-t", "-q"])), "");
}

#[test]
fn all_of_the_configuration_is_printed_once() {
    let conf =
        Conf::whole("%MAIN%\ninclude part.conf; include pa*.conf;\nevents {}\n# a comment, \"quoted\"\n")
            .file("part.conf", "# only comments, no end of line");
    let dir = new_dir();
    let file = dir.path().join("nginx.conf");
    let text = conf.fill(&Program::larder(), "", &mut Default::default());
    fs::write(&file, &text).unwrap();
    fs::write(dir.path().join("part.conf"), "# only comments, no end of line").unwrap();
    let prefix = format!("{}/", dir.path().display());
    let error_log = format!("{prefix}error.log");
    let output = run(&["-T", "-p", &prefix, "-c", "nginx.conf", "-e", &error_log]);
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let part = format!("# configuration file {prefix}part.conf:\n# only comments, no end of line");
    assert!(printed.contains(&format!("# configuration file {prefix}nginx.conf:\n{text}")), "{printed}");
    assert_eq!(printed.matches(&part).count(), 1, "{printed}");
}

#[test]
fn directives_of_the_command_line_count() {
    let mut server = Server::start(&hello());
    server.allow_in_log("unknown directive \"wrong\"");
    assert!(server.run(&["-t", "-g", "worker_priority 1;"]).status.success());
    let refused = server.run(&["-t", "-g", "wrong 1;"]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("unknown directive \"wrong\" in command line"), "{}", said(&refused));
}

#[test]
fn signals_are_sent_by_name() {
    let mut server = Server::start(&hello());
    server.write_conf(&hello().with_text(|text| text.replace("hello", "changed")));
    assert!(server.run(&["-s", "reload"]).status.success());
    wait_until("the new configuration answers", || server.get("/").text() == "changed");
    assert!(server.run(&["-s", "reopen"]).status.success());
    let refused = server.run(&["-s", "dance"]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("invalid option: \"-s dance\""), "{}", said(&refused));
    assert!(server.run(&["-s", "quit"]).status.success());
    wait_until("the master is gone", || !proc::runs(server.master()));
}

#[test]
fn a_signal_without_a_master_is_an_error() {
    let mut server = Server::start(&hello());
    fs::remove_file(server.dir().join("larder.pid")).unwrap();
    server.allow_in_log("larder.pid");
    server.allow_in_log("pid file"); // it is not there to be removed at the end either
    let output = server.run(&["-s", "stop"]);
    assert!(!output.status.success());
    assert!(
        said(&output).contains("larder.pid\" failed (2: No such file or directory)"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_port_in_use_is_named() {
    let mut first = Server::start(&hello());
    first.allow_in_log("Address already in use");
    first.allow_in_log("still could not bind()");
    let second = first.run(&[]);
    assert!(!second.status.success());
    let expected = format!("bind() to {} failed (98: Address already in use)", first.address());
    let told = said(&second) + &first.read("error.log") + &first.read("stderr");
    assert!(told.contains(&expected), "{told}");
}
