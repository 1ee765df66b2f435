//! The whole package: text in, tree or messages out.

use std::{io, net::SocketAddr, path::PathBuf};

use super::*;

/// Knows `localhost` and `two.test`, nothing else.
struct Hosts;

impl HostLookup for Hosts {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let at = |last| SocketAddr::from(([127, 0, 0, last], port));
        match host {
            "localhost" => Ok(vec![at(1)]),
            "two.test" => Ok(vec![at(1), at(2)]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn hostname(&self) -> String {
        "Machine".to_owned()
    }
}

fn source(text: &str) -> Source {
    Source {
        prefix: PathBuf::from("/prefix"),
        main: MainText::Embedded { name: PathBuf::from("larder.conf"), text: text.to_owned() },
        globals: None,
        error_log: None,
    }
}

fn loaded(text: &str) -> Loaded {
    load(&source(text), &Hosts)
        .unwrap_or_else(|problems| panic!("{text}\n{}", first_lines(&problems).join("\n")))
}

fn http(inside: &str) -> HttpConf {
    loaded(&format!("events {{}} http {{ {inside} }}")).config.http.expect("there is an http block")
}

fn first_lines(problems: &[Diagnostic]) -> Vec<String> {
    let first = |problem: &Diagnostic| problem.to_string().lines().next().unwrap_or_default().to_owned();
    problems.iter().map(first).collect()
}

/// Loads a text that is wrong and returns what is said, without the file's name.
fn complaints(text: &str) -> Vec<String> {
    let problems = load(&source(text), &Hosts).expect_err(text);
    first_lines(&problems).into_iter().map(|line| line.replace(" in larder.conf:", " in :")).collect()
}

#[test]
fn smoke() {
    let conf = http("server { listen 8080; location / { return 200 ok; } }");
    assert_eq!(conf.servers.len(), 1);
    println!("{:?}", complaints("events {}\nhttp { server {\n lisen 80;\n root a b;\n } }"));
}
