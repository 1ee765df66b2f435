//! Runs a group of cases against both programs and reports every case that differs.
//!
//! `LARDER_SHOW_PARITY=1` with `--nocapture` prints what nginx does in each case.

use std::{env, fmt::Write as _, time::Duration};

use super::{
    case::{Case, Group, Step, When},
    transcript::{self, Names},
};
use crate::support::{
    Client, Origin, Server,
    client::{NoAnswer, To},
    deadline::poll,
    peers::Program,
};

/// How long one answer may take; the slowest case waits for a timeout of one second.
const ANSWER: Duration = Duration::from_secs(6);

/// Runs all cases of a group; panics with a report if any differs without meaning to.
pub fn compare(group: &Group) {
    let Some(nginx) = Program::nginx() else { return };
    let larder = Program::larder();
    let theirs = Side::start(nginx, group);
    let ours = Side::start(larder.clone(), group);
    let mut report = String::new();
    let mut failed = 0;
    for case in &group.cases {
        let (expected, got) = (theirs.run(case), ours.run(case));
        if env::var_os("LARDER_SHOW_PARITY").is_some() {
            println!("--- {}: {} ---\n{expected}", group.name(), case.name);
        }
        if let Some(complaint) = judge(case, &expected, &got, &larder) {
            failed += 1;
            write!(report, "\n=== {}: {} ===\n{complaint}", group.name(), case.name)
                .expect("a string takes all");
        }
    }
    assert!(failed == 0, "{failed} of {} cases of \"{}\" differ:\n{report}", group.len(), group.name());
}

/// Returns what is wrong with a case, if anything is.
fn judge(case: &Case, expected: &str, got: &str, larder: &Program) -> Option<String> {
    match &case.differs {
        // An nginx that stands in for Larder has no reason to differ.
        Some(differs) if !larder.is_nginx() => {
            println!("differs by intent: {}: {}", case.name, differs.because);
            if expected == got && differs.when == When::Always {
                return Some(format!("does not differ any more ({}):\n{got}", differs.because));
            }
            let missing: Vec<_> = differs.larder.iter().filter(|line| !got.contains(**line)).collect();
            let missing = (!missing.is_empty()).then_some(missing)?;
            Some(format!("larder lacks {missing:?}:\n{got}"))
        }
        _ if expected == got => None,
        _ => Some(marked(expected, got)),
    }
}

/// Shows two transcripts as one, with the lines of only one side marked.
fn marked(nginx: &str, larder: &str) -> String {
    let (nginx, larder): (Vec<_>, Vec<_>) = (nginx.lines().collect(), larder.lines().collect());
    // Longest common subsequence; transcripts are short.
    let mut table = vec![vec![0_usize; larder.len() + 1]; nginx.len() + 1];
    for (row, left) in nginx.iter().enumerate().rev() {
        for (column, right) in larder.iter().enumerate().rev() {
            table[row][column] = if left == right {
                table[row + 1][column + 1] + 1
            } else {
                table[row + 1][column].max(table[row][column + 1])
            };
        }
    }
    let (mut row, mut column, mut text) = (0, 0, String::new());
    while row < nginx.len() || column < larder.len() {
        let both = row < nginx.len() && column < larder.len() && nginx[row] == larder[column];
        let only_nginx =
            row < nginx.len() && (column == larder.len() || table[row + 1][column] >= table[row][column + 1]);
        let (mark, line) = match (both, only_nginx) {
            (true, _) => ("       ", nginx[row]),
            (false, true) => ("nginx: ", nginx[row]),
            (false, false) => ("larder:", larder[column]),
        };
        writeln!(text, "{mark} {line}").expect("a string takes all");
        row += usize::from(both || only_nginx);
        column += usize::from(both || !only_nginx);
    }
    text
}

/// One program with origins of its own.
struct Side {
    server: Server,
    origins: [Origin; 2],
    names: Names,
}

impl Side {
    fn start(program: Program, group: &Group) -> Self {
        let origins = [Origin::script([]), Origin::script([])];
        let conf = group.conf.with_text(name_clients).origin(&origins[0]).origin_named("b", &origins[1]);
        let mut server = Server::start_program(&program, &conf);
        // nginx takes it for an alert.
        server.allow_in_log("pcre2_match() failed: ");
        let names = Names::new(&server, &origins);
        Self { server, origins, names }
    }

    /// Runs a case and returns all that could be seen of it, as text.
    fn run(&self, case: &Case) -> String {
        self.origins[0].restart(case.origin.clone());
        self.origins[1].restart(case.origin_b.clone());
        let mut seen = String::new();
        let mut client = self.client("");
        let mut ports = vec![client.local_port()];
        for step in &case.steps {
            match step {
                Step::Send(bytes, answers) => {
                    client.send(bytes);
                    for number in 0..*answers {
                        seen += &self.names.answer(client.try_response(kind_of(bytes, number)));
                    }
                }
                Step::Connect(port) => {
                    client = self.client(port);
                    ports.push(client.local_port());
                }
                Step::Secure(port, tls) => match tls.try_connect(self.server.address_of(port)) {
                    Ok(connected) => {
                        client = connected.patience(ANSWER);
                        ports.push(client.local_port());
                    }
                    Err(error) => {
                        seen += &format!("(no handshake: {error})\n");
                        return seen;
                    }
                },
                Step::HalfClose => {
                    client.half_close();
                }
                Step::Until(path, text) => seen += &self.until(path, text),
                Step::Log(count) => seen += &self.log(&ports, *count),
            }
        }
        // The probe would be logged too.
        if !case.steps.iter().any(|step| matches!(step, Step::Log(_))) {
            seen += probe(&mut client);
        }
        for (name, origin) in ["origin", "origin b"].iter().zip(&self.origins) {
            let asked = origin.requests();
            let mut connections: Vec<usize> = Vec::new();
            for asked in &asked {
                // Connections are told apart, but what matters is only which requests share one.
                let known = connections.iter().position(|&number| number == asked.connection);
                let number = known.unwrap_or_else(|| {
                    connections.push(asked.connection);
                    connections.len() - 1
                });
                seen += &self.names.asked(&format!("{name}, connection {}", number + 1), asked);
            }
        }
        seen
    }

    fn client(&self, port: &str) -> Client {
        Client::connect(self.server.address_of(port)).patience(ANSWER)
    }

    fn until(&self, path: &str, text: &str) -> String {
        let mut last = String::new();
        let found = poll(ANSWER, || {
            last = self.names.answer(self.ask(path));
            last.contains(text).then_some(())
        });
        match found {
            Some(()) => last,
            None => format!("never \"{text}\", at last:\n{last}"),
        }
    }

    fn ask(&self, path: &str) -> Result<crate::support::Response, NoAnswer> {
        let mut client = self.client("");
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        client.try_response(To::Get)
    }

    /// Waits for so many lines about these clients, and returns all that there are.
    fn log(&self, ports: &[u16], count: usize) -> String {
        let lines = || -> Vec<String> {
            let log = self.server.read("access.log");
            // What earlier cases were answered may be logged only now.
            let ours = log.lines().filter_map(|line| line.split_once(' '));
            let ours = ours.filter(|(port, _)| port.parse().is_ok_and(|port| ports.contains(&port)));
            ours.map(|(_, line)| format!("log: {}\n", self.names.neutral(line))).collect()
        };
        let _ = poll(ANSWER, || (lines().len() >= count).then_some(()));
        lines().concat()
    }
}

/// Has lines of access logs begin with their client's port.
fn name_clients(text: &str) -> String {
    let mut named = String::new();
    for (number, piece) in text.split("log_format ").enumerate() {
        let format = if number == 0 { None } else { piece.find(['\'', '"']) };
        let (name, format) = piece.split_at(format.map_or(0, |quote| quote + 1));
        named += if number == 0 { "" } else { "log_format " };
        named += name;
        named += if number == 0 { "" } else { "$remote_port " };
        named += format;
    }
    named
}

/// Finds out whether the connection is still served: a line that is no request gets 400 there, and nothing
/// where the connection was closed.
fn probe(client: &mut Client) -> &'static str {
    client.send("?\r\n\r\n");
    match client.try_response(To::Get) {
        Ok(response) if response.status() == 400 => "connection: kept\n",
        Ok(_) => "connection: kept, with bytes of its own\n",
        Err(NoAnswer::Closed | NoAnswer::Reset) => "connection: closed\n",
        Err(NoAnswer::Overdue) => "connection: stalled\n",
    }
}

/// Tells whether the answer of that number belongs to a HEAD request.
fn kind_of(sent: &[u8], number: usize) -> To {
    let text = String::from_utf8_lossy(sent);
    let request_lines = text.lines().filter(|line| transcript::is_request_line(line));
    let is_head = request_lines.map(|line| line.starts_with("HEAD ")).nth(number);
    if is_head == Some(true) { To::Head } else { To::Get }
}
