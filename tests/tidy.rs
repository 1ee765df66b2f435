//! The rules of style and architecture that a machine can check: sizes, docs, names, imports, leftovers.
//!
//! Rules that no tool checks decay. Each test lists every place that breaks its rule. What clippy and
//! rustdoc check already is left to them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Lines of a file, without its tests.
const FILE_LINES_MAX: usize = 600;

/// Lines of a function, from its first to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// One source file of the project.
struct Source {
    /// Path below the project's directory.
    path: String,
    text: String,
}

/// Collected complaints of one rule.
struct Complaints(Vec<String>);

#[test]
fn files_say_what_they_are_for() {
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        if !source.text.starts_with("//!") {
            complaints.add(&source, 1, "starts without //! docs");
        }
    }
    complaints.judge();
}

#[test]
fn files_hold_one_idea() {
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        let lines = source.body().lines().count();
        if lines > FILE_LINES_MAX {
            complaints.add(
                &source,
                1,
                &format!("{lines} lines without tests, at most {FILE_LINES_MAX} allowed"),
            );
        }
    }
    complaints.judge();
}

#[test]
fn functions_fit_on_a_screen() {
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        for function in functions(&source.text) {
            if function.lines > FUNCTION_LINES_MAX && !function.reasoned {
                let what = format!(
                    "{} lines in `{}`, at most {FUNCTION_LINES_MAX} allowed",
                    function.lines, function.name
                );
                complaints.add(&source, function.line, &what);
            }
        }
    }
    complaints.judge();
}

#[test]
fn parameters_are_not_bare_flags() {
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        for function in functions(source.body()) {
            let parameters = function.signature.split("->").next().unwrap_or_default();
            if parameters.contains(": bool") {
                complaints.add(
                    &source,
                    function.line,
                    &format!("`{}` takes a bool: make it an enum", function.name),
                );
            }
        }
    }
    complaints.judge();
}

#[test]
fn names_say_something() {
    const EMPTY_WORDS: &[&str] =
        &["util", "utils", "common", "misc", "helper", "helpers", "handler", "handlers", "data", "info"];
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        let stem = Path::new(&source.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let declared = declared_names(&source.text);
        for (line, name) in declared.into_iter().chain([(1, stem.to_owned())]) {
            let words = words(&name);
            if is_term(&name, &words) {
                continue;
            }
            let empty = words.iter().any(|word| EMPTY_WORDS.contains(&word.as_str()));
            // GET is a thing that the clients of tests do.
            let verb =
                name.starts_with("do_") || (name.starts_with("get_") && !source.path.starts_with("tests/"));
            let manager =
                words.iter().any(|word| word == "manager") && !is_cache_manager(&source.path, &name);
            if empty || verb || manager {
                complaints.add(&source, line, &format!("`{name}` has a word that says nothing"));
            }
        }
    }
    complaints.judge();
}

#[test]
fn imports_point_downwards() {
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        let Some(module) = root_module(&source.path) else { continue };
        for (line, imported) in crate_paths(&source.text) {
            let (Some(from), Some(to)) = (layer(&module), layer(&imported)) else { continue };
            if imported != module && to >= from {
                complaints.add(&source, line, &format!("{module} must not import {imported}"));
            }
        }
    }
    complaints.judge();
}

#[test]
fn packages_depend_downwards() {
    const OURS: &[&str] = &["config", "http1", "tls", "cache", "cache-manager", "cache-loader", "larder"];
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("src/config", &[] as &[&str]),
        ("src/http1", &[]),
        ("src/tls", &["config"]),
        ("src/cache", &["config", "http1"]),
        ("cache-manager", &["config", "cache", "http1"]),
        ("cache-loader", &["config", "cache", "http1"]),
    ]);
    let mut complaints = Complaints(Vec::new());
    for (package, may_use) in allowed {
        let path = format!("{package}/Cargo.toml");
        let source =
            Source { text: fs::read_to_string(root().join(&path)).expect("the package exists"), path };
        for name in dependencies(&source.text) {
            if OURS.contains(&name.as_str()) && !may_use.contains(&name.as_str()) {
                complaints.add(&source, 1, &format!("{package} must not depend on {name}"));
            }
            let is_theirs = package == "src/tls" && name == "rustls";
            if !is_theirs && ["tokio", "hyper", "h2", "rustls"].contains(&name.as_str()) {
                complaints.add(&source, 1, &format!("{package} has no runtime and no network, so no {name}"));
            }
        }
    }
    complaints.judge();
}

#[test]
fn only_process_forks_exits_and_reads_the_environment() {
    const RESERVED: &[&str] =
        &["process::exit(", "env::var(", "env::var_os(", "fork()", "setuid(", "setgid("];
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        let inside_root_package = source.path.starts_with("src/") && root_module(&source.path).is_some();
        if !inside_root_package || source.path.starts_with("src/process/") {
            continue;
        }
        for (line, text) in code_lines(source.body()) {
            for reserved in RESERVED.iter().filter(|reserved| text.contains(**reserved)) {
                complaints.add(&source, line, &format!("`{reserved}` belongs to process"));
            }
        }
    }
    complaints.judge();
}

#[test]
fn unsafe_code_is_listed_with_its_reason() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the project has its map");
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        let expected = source.text.contains("expect(unsafe_code");
        let has_block = code_lines(&source.text).any(|(_, line)| line.contains(concat!("uns", "afe {")));
        if has_block && !expected {
            complaints.add(&source, 1, "has unsafe code without saying so at its top");
        }
        let listed = source.path.strip_prefix("src/").unwrap_or(&source.path);
        if expected && !architecture.contains(listed) {
            complaints.add(
                &source,
                1,
                &format!("has unsafe code, but ARCHITECTURE.md does not list `{listed}`"),
            );
        }
    }
    complaints.judge();
}

#[test]
fn imports_name_what_they_import() {
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        for (line, text) in code_lines(source.body()) {
            if text.trim_start().starts_with("use ") && text.contains("::*") {
                complaints.add(&source, line, "imports everything");
            }
        }
    }
    complaints.judge();
}

#[test]
fn nothing_is_left_behind() {
    let never =
        [concat!("FIX", "ME"), concat!("db", "g!("), concat!("to", "do!("), concat!("unimpl", "emented!(")];
    let later = concat!("TO", "DO");
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        for (number, line) in numbered(&source.text) {
            for mark in never.iter().filter(|mark| line.contains(**mark)) {
                complaints.add(&source, number, &format!("has {mark}"));
            }
            if line.contains(later) && !line.contains('#') && !line.contains("issue ") {
                complaints.add(&source, number, &format!("has a {later} without its issue"));
            }
        }
    }
    complaints.judge();
}

#[test]
fn tests_wait_for_conditions() {
    let sleep = concat!("sle", "ep(");
    let mut complaints = Complaints(Vec::new());
    for source in rust_files() {
        // The one place where polling, and the slowness of scripted peers, is made of sleep.
        if source.path == "tests/it/support/deadline.rs" {
            continue;
        }
        let tests = if source.is_test() { source.text.as_str() } else { source.tests() };
        let above = source.text.lines().count() - tests.lines().count();
        for (line, text) in code_lines(tests) {
            if text.contains(sleep) && !is_polling(text) {
                complaints.add(&source, above + line, "sleeps: wait for a condition with a deadline");
            }
        }
    }
    complaints.judge();
}

#[test]
fn nothing_points_out_of_the_project() {
    let machine =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!(" sha", "red/")];
    let mut complaints = Complaints(Vec::new());
    for source in text_files() {
        for (number, line) in numbered(&source.text) {
            for path in machine.iter().filter(|path| line.contains(**path)) {
                complaints.add(&source, number, &format!("names `{}`", path.trim()));
            }
        }
    }
    complaints.judge();
}

impl Source {
    /// Everything above the tests at the bottom.
    fn body(&self) -> &str {
        &self.text[..self.tests_start()]
    }

    /// The tests at the bottom.
    fn tests(&self) -> &str {
        &self.text[self.tests_start()..]
    }

    fn tests_start(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        self.text.find("\n#[cfg(test)]\nmod tests").unwrap_or(self.text.len())
    }

    fn is_test(&self) -> bool {
        let is_below_tests = self.path.starts_with("tests/") || self.path.contains("/tests/");
        is_below_tests || self.path.ends_with("/tests.rs")
    }
}

impl Complaints {
    fn add(&mut self, source: &Source, line: usize, what: &str) {
        self.0.push(format!("{}:{line}: {what}", source.path));
    }

    fn judge(self) {
        let mut text = String::new();
        for complaint in &self.0 {
            writeln!(text, "  {complaint}").expect("a string takes all");
        }
        assert!(self.0.is_empty(), "{} places:\n{text}", self.0.len());
    }
}

/// Whether a line sleeps only so long as one looks again for a condition.
fn is_polling(line: &str) -> bool {
    const POLL_MS_MAX: u32 = 10;
    let time = line.split_once("from_millis(").map(|(_, time)| identifier(time));
    time.and_then(|time| time.parse::<u32>().ok()).is_some_and(|time_ms| time_ms <= POLL_MS_MAX)
}

/// One function, as far as lines tell.
struct Function {
    name: String,
    line: usize,
    lines: usize,
    signature: String,
    /// Whether it says why it is longer than others.
    reasoned: bool,
}

/// Finds functions by their first line and by the closing brace at the same indentation, as rustfmt puts it.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = |line: &str| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}'));
        let declared = |line: &str| {
            line.strip_prefix(indent).is_some_and(|rest| rest.starts_with(')') && rest.ends_with(';'))
        };
        let one_line = line.ends_with('}') || line.ends_with(';');
        let lines_of_it = if one_line {
            1
        } else {
            let rest = &lines[index + 1..];
            rest.iter().position(|line| closing(line) || declared(line)).map_or(1, |after| after + 2)
        };
        let signature = signature(&lines[index..index + lines_of_it]);
        let reasoned = index > 0 && lines[index - 1].contains("expect(clippy::too_many_lines, reason");
        found.push(Function { name, line: index + 1, lines: lines_of_it, signature, reasoned });
    }
    found
}

/// Joins the lines up to the opening brace.
fn signature(lines: &[&str]) -> String {
    let end = lines.iter().position(|line| line.contains('{')).map_or(lines.len(), |last| last + 1);
    lines[..end].concat()
}

fn function_name(line: &str) -> Option<String> {
    const BEFORE: &[&str] =
        &["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => break,
            word if BEFORE.contains(&word) || word.starts_with("pub(in") => {}
            _ => return None,
        }
    }
    let name: String = words.next()?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    Some(name)
}

/// Names of functions, types, modules and constants, with their lines.
fn declared_names(text: &str) -> Vec<(usize, String)> {
    const KINDS: &[&str] = &["struct", "enum", "trait", "mod", "type", "const", "static", "union"];
    let mut names = Vec::new();
    for (number, line) in code_lines(text) {
        if let Some(name) = function_name(line) {
            names.push((number, name));
            continue;
        }
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let Some(kind) = words.next() else { continue };
        if !KINDS.contains(&kind) {
            continue;
        }
        let name: String = words
            .next()
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        names.push((number, name));
    }
    names
}

/// Splits a name at underscores and capitals.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && last_lower) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("there is one at least").extend(c.to_lowercase());
        }
        last_lower = c.is_lowercase();
    }
    words
}

/// Whether a name is somebody else's: the kernel's for what `$tcpinfo_rtt` tells, HTTP/2's for frames of bodies, TLS's for what comes
/// before a handshake is done.
fn is_term(name: &str, words: &[String]) -> bool {
    let is_early_data = || words.windows(2).any(|pair| pair == ["early", "data"]);
    name.eq_ignore_ascii_case("tcp_info") || name == "TcpInfo" || name == "DATA" || is_early_data()
}

fn is_cache_manager(path: &str, name: &str) -> bool {
    path.starts_with("cache-manager/")
        || words(name).windows(2).any(|pair| pair == ["cache", "manager"])
        || ["manager_files", "manager_sleep", "manager_threshold"].contains(&name)
}

/// The module right below the root package's crate that a file belongs to; `None` in other packages.
fn root_module(path: &str) -> Option<String> {
    const PACKAGES: &[&str] = &["config", "http1", "tls", "cache"];
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    (!PACKAGES.contains(&first)).then(|| first.to_owned())
}

/// How high a module stands; it may import what stands lower.
fn layer(module: &str) -> Option<u8> {
    Some(match module {
        "main" | "lib" => 9,
        "process" => 6,
        "tools" => 5,
        "admin" => 5,
        "http" | "stream" => 4,
        "upstream" => 3,
        "net" => 2,
        "error_log" | "metrics" => 1,
        "clock" => 0,
        _ => return None,
    })
}

/// The modules that `crate::` paths lead to, in imports and elsewhere.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    const START: &str = "crate::";
    let mut found = Vec::new();
    for (at, _) in text.match_indices(START) {
        let line = text[..at].matches('\n').count() + 1;
        let line_text = text.lines().nth(line - 1).unwrap_or_default().trim_start();
        if line_text.starts_with("//") || line_text.starts_with("pub(in") {
            continue;
        }
        let rest = &text[at + START.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group).into_iter().map(|name| (line, name))),
            None => found.push((line, identifier(rest))),
        }
    }
    found
}

/// First segments of the paths in a braced import.
fn heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut expects) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            c if expects && depth == 0 && c.is_alphabetic() => {
                heads.push(identifier(&group[at..]));
                expects = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Names in the dependency table of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    let table = lines.take_while(|line| !line.starts_with('['));
    table
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    numbered(text).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> Vec<Source> {
    text_files().into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

/// All text that is written by hand: no build results, no hidden directories but `.ci` and `.cargo`.
fn text_files() -> Vec<Source> {
    let mut found = Vec::new();
    let mut directories = vec![root()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("the project can be read").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            // `larder` is what the program makes when it is started without arguments.
            if hidden
                || ["target", "larder", "corpus", "artifacts"].contains(&name.as_str())
                || name == "Cargo.lock"
            {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).expect("it is below").display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}
