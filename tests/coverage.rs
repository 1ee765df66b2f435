//! Every directive and variable of the HTTP proxy module, with the tests that show its effect; the sentences of the cache's
//! directives and the items of RFC mode, with theirs.
//!
//! The table is `tests/coverage.txt`. `cargo test --test coverage -- --nocapture` prints it; it fails where a name has no
//! test, or one that is not there or does not speak of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// All directives of nginx's HTTP proxy module, as its documentation lists them.
const DIRECTIVES: &str = "proxy_bind proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_cache
    proxy_cache_background_update proxy_cache_bypass proxy_cache_convert_head proxy_cache_key proxy_cache_lock
    proxy_cache_lock_age proxy_cache_lock_timeout proxy_cache_max_range_offset proxy_cache_methods proxy_cache_min_uses
    proxy_cache_path proxy_cache_purge proxy_cache_revalidate proxy_cache_use_stale proxy_cache_valid
    proxy_connect_timeout proxy_cookie_domain proxy_cookie_flags proxy_cookie_path proxy_force_ranges
    proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_hide_header proxy_http_version
    proxy_ignore_client_abort proxy_ignore_headers proxy_intercept_errors proxy_limit_rate proxy_max_temp_file_size
    proxy_method proxy_next_upstream proxy_next_upstream_timeout proxy_next_upstream_tries proxy_no_cache proxy_pass
    proxy_pass_header proxy_pass_request_body proxy_pass_request_headers proxy_pass_trailers proxy_read_timeout
    proxy_redirect proxy_request_buffering proxy_send_lowat proxy_send_timeout proxy_set_body proxy_set_header
    proxy_socket_keepalive proxy_ssl_certificate proxy_ssl_certificate_cache proxy_ssl_certificate_key
    proxy_ssl_ciphers proxy_ssl_conf_command proxy_ssl_crl proxy_ssl_key_log proxy_ssl_name proxy_ssl_password_file
    proxy_ssl_protocols proxy_ssl_server_name proxy_ssl_session_reuse proxy_ssl_trusted_certificate proxy_ssl_verify
    proxy_ssl_verify_depth proxy_store proxy_store_access proxy_temp_file_write_size proxy_temp_path";
/// How many those are.
const DIRECTIVE_COUNT: usize = 72;
/// Its variables.
const VARIABLES: &str = "$proxy_add_x_forwarded_for $proxy_host $proxy_port $proxy_ssl_server_name";
/// How many items RFC mode has, named `rfc 1` and so on.
const RFC_ITEMS: usize = 23;

/// What a line of the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// What it does.
    Effect,
    /// How it is written and inherited: it does nothing here, or not yet, and says so.
    Grammar,
    /// Nothing: it is refused, and comes later.
    Refused,
}

/// A line of the table.
struct Line {
    shown: Shown,
    tests: Tests,
}

/// Files and tests in them.
type Tests = Vec<(String, String)>;

/// The table, read.
#[derive(Default)]
struct Table {
    names: BTreeMap<String, Line>,
    /// Something that is said about a name: a sentence of its documentation, or what an item of RFC mode is about.
    sentences: BTreeMap<(String, String), Tests>,
}

#[test]
fn every_directive_and_variable_is_shown_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = read(&fs::read_to_string(root.join("tests/coverage.txt")).unwrap()).names;
    let names: Vec<&str> = DIRECTIVES.split_whitespace().chain(VARIABLES.split_whitespace()).collect();
    assert_eq!(DIRECTIVES.split_whitespace().count(), DIRECTIVE_COUNT);
    let unknown: Vec<&String> = table.keys().filter(|name| !names.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "tests/coverage.txt names what is not of the module: {unknown:?}");
    let mut complaints = Vec::new();
    for name in names {
        match table.get(name) {
            None => complaints.push(format!("{name}: no line")),
            Some(line) => complaints.extend(check(root, name, line)),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_sentence_is_about_something_and_has_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = read(&fs::read_to_string(root.join("tests/coverage.txt")).unwrap()).sentences;
    let documented = documented(root);
    let items: BTreeSet<String> = (1..=RFC_ITEMS).map(|item| format!("rfc {item}")).collect();
    let mut complaints = Vec::new();
    for ((name, _), tests) in &table {
        if !items.contains(name) && !documented.contains(name) {
            complaints
                .push(format!("{name}: neither a directive that is documented nor an item of RFC mode"));
        }
        complaints.extend(lacking(root, name, tests));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let missing = items.iter().filter(|item| !table.keys().any(|(name, _)| name == *item));
    missing.for_each(|item| println!("no test is named for {item}"));
}

/// Reads lines like `NAME: effect: FILE TEST; FILE TEST` and `NAME: A SENTENCE: FILE TEST; FILE TEST`.
fn read(text: &str) -> Table {
    let mut table = Table::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        println!("{line}");
        let parts = line.split_once(": ").and_then(|(name, rest)| Some((name, rest.rsplit_once(": ")?)));
        let Some((name, (said, tests))) = parts else { panic!("not a line of the table: {line}") };
        let test = |test: &str| {
            let (file, name) = test.split_once(' ').unwrap_or_else(|| panic!("no test in {line}"));
            (file.to_owned(), name.to_owned())
        };
        let tests = tests.split("; ").map(test).collect();
        let is_new = match shown(said) {
            Some(shown) => table.names.insert(name.to_owned(), Line { shown, tests }).is_none(),
            None => table.sentences.insert((name.to_owned(), said.to_owned()), tests).is_none(),
        };
        assert!(is_new, "{name}: {said} has two lines");
    }
    table
}

/// What one of the words shows; nothing for a sentence.
fn shown(word: &str) -> Option<Shown> {
    match word {
        "effect" => Some(Shown::Effect),
        "grammar" => Some(Shown::Grammar),
        "refused" => Some(Shown::Refused),
        _ => None,
    }
}

/// Says what is wrong with the line of a name.
fn check(root: &Path, name: &str, line: &Line) -> Vec<String> {
    let mut wrong = lacking(root, name, &line.tests);
    let is_refused = known_for_later(root).split_whitespace().any(|later| later == name);
    if is_refused != (line.shown == Shown::Refused) {
        wrong.push(format!("{name}: it is refused, or no longer, but the table says otherwise"));
    }
    wrong
}

/// Says which tests are not there, or do not speak of the name; an item of RFC mode has none.
fn lacking(root: &Path, name: &str, tests: &Tests) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, test) in tests {
        let Ok(text) = fs::read_to_string(root.join(file)) else {
            wrong.push(format!("{name}: there is no {file}"));
            continue;
        };
        if !text.contains(&format!("fn {test}(")) {
            wrong.push(format!("{name}: {file} has no test {test}"));
        }
        if !name.starts_with("rfc ") && !speaks_of(&text, name) {
            wrong.push(format!("{name}: {file} does not speak of it"));
        }
    }
    wrong
}

/// The directives that have a section in the documentation.
fn documented(root: &Path) -> BTreeSet<String> {
    let pages = fs::read_dir(root.join("docs/directives")).expect("the project can be read");
    let mut names = BTreeSet::new();
    for page in pages {
        let text =
            fs::read_to_string(page.expect("the project can be read").path()).expect("a page can be read");
        let headings = text.lines().filter_map(|line| line.strip_prefix("## `"));
        names.extend(headings.filter_map(|heading| heading.split('`').next()).map(str::to_owned));
    }
    names
}

/// Says whether a text has a name that is not part of a longer one.
fn speaks_of(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let behind = text[at + name.len()..].chars().next();
        !behind.is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
    })
}

/// Returns the names that the configuration refuses with "is not supported yet".
fn known_for_later(root: &Path) -> String {
    let text = fs::read_to_string(root.join("src/config/known.rs")).expect("the project can be read");
    let (_, list) = text.split_once("const LATER").expect("it has the list");
    let (list, _) = list.split_once("];").expect("the list ends");
    list.replace(['"', ','], " ")
}
