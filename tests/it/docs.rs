//! The pages in `docs/directives` and `docs/variables.md` say what the program says; the configurations in all pages are accepted,
//! and the links between them lead somewhere.
//!
//! The head of each directive's section (what it is for, syntax, default, context) comes from the configuration's
//! own table; `LARDER_WRITE_DOCS=1` writes it anew and adds sections that are missing. What stands below it, the
//! example first of all, is written by people.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use config::{HostLookup, MainText, RowDoc, Source, Variable};

/// The sections of a page by their headings, what stands before them under "".
type Sections = BTreeMap<String, String>;

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// Which page a directive stands on: the first of these that its name is, or begins with (where a `*` says so).
const PAGES: [(&str, &str); 7] = [
    ("directives/ssl.md", "ssl_*"),
    ("directives/http2.md", "http2*"),
    ("directives/proxy.md", "proxy_*"),
    ("directives/upstream.md", "upstream resolver* health_check* match"),
    (
        "directives/rewrite.md",
        "rewrite* if set break return uninitialized_variable_warn map* geo* split_clients try_files internal
         error_page recursive_error_pages absolute_redirect port_in_redirect server_name_in_redirect variables_hash*",
    ),
    ("directives/answers.md", "add_* expires gzip* gunzip* postpone_gzipping ssi* subrequest_* charset* sub_filter* early_hints limit_rate*"),
    ("directives/logs.md", "*log log_* open_log*"),
];

/// The page of what stands in the main block or in `events` alone.
const PROCESS_PAGE: &str = "directives/process.md";
/// The page of everything else.
const HTTP_PAGE: &str = "directives/http.md";

fn page_of(row: &RowDoc) -> &'static str {
    let is_listed = |words: &str| {
        words.split_ascii_whitespace().any(|word| match (word.strip_prefix('*'), word.strip_suffix('*')) {
            (Some(end), _) => row.name.ends_with(end),
            (_, Some(start)) => row.name.starts_with(start),
            _ => row.name == word,
        })
    };
    let levels: Vec<&str> = row.levels.names().collect();
    if let Some((page, _)) = PAGES.iter().find(|(_, words)| is_listed(words)) {
        return page;
    }
    match levels[..] {
        ["upstream"] => "directives/upstream.md",
        _ if levels.iter().all(|level| matches!(*level, "main" | "events")) => PROCESS_PAGE,
        _ if row.name == "http" || row.name == "events" => PROCESS_PAGE,
        _ => HTTP_PAGE,
    }
}

fn page_names() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(page, _)| *page).chain([PROCESS_PAGE, HTTP_PAGE])
}

fn read_sections(name: &str) -> Sections {
    let text = fs::read_to_string(page(name)).unwrap();
    let mut sections = Sections::new();
    for (number, part) in text.split("\n## ").enumerate() {
        let (heading, body) =
            if number == 0 { ("", part) } else { part.split_once('\n').unwrap_or((part, "")) };
        let known = sections.insert(heading.trim_matches('`').replace('`', ""), body.trim().to_owned());
        assert!(known.is_none(), "{name} has \"{heading}\" twice");
    }
    sections
}

/// All directives by heading: the name, with its context where others have the same name.
fn directives() -> BTreeMap<String, RowDoc> {
    let rows: Vec<RowDoc> = config::rows().collect();
    let is_shared = |name: &str| rows.iter().filter(|row| row.name == name).count() > 1;
    let heading = |row: &RowDoc| match is_shared(row.name) {
        true => format!("{} ({})", row.name, contexts(row)),
        false => row.name.to_owned(),
    };
    rows.iter().map(|row| (heading(row), *row)).collect()
}

fn contexts(row: &RowDoc) -> String {
    row.levels.names().collect::<Vec<_>>().join(", ")
}

fn head(row: &RowDoc) -> String {
    let end = if row.syntax.ends_with('}') { "" } else { ";" };
    let syntax = format!("{} {}", row.name, row.syntax);
    let default = if row.default.is_empty() { "none".to_owned() } else { format!("`{}`", row.default) };
    let about = row.about.trim();
    format!(
        "{about}\n\n- Syntax: `{}{end}`\n- Default: {default}\n- Context: {}",
        syntax.trim(),
        contexts(row)
    )
}

/// Splits a section where its example begins.
fn split(section: &str) -> (&str, &str) {
    let at = section.find("```").unwrap_or(section.len());
    (section[..at].trim(), section[at..].trim())
}

#[test]
fn every_directive_is_described_as_the_program_knows_it() {
    let directives = directives();
    if env::var_os("LARDER_WRITE_DOCS").is_some() {
        write_directives(&directives);
        return;
    }
    for page in page_names() {
        let sections = read_sections(page);
        let wanted: BTreeSet<&String> =
            directives.iter().filter(|(_, row)| page_of(row) == page).map(|(heading, _)| heading).collect();
        let found: BTreeSet<&String> = sections.keys().filter(|heading| !heading.is_empty()).collect();
        assert_eq!(found, wanted, "{page}: LARDER_WRITE_DOCS=1 adds what is missing");
        for heading in wanted {
            let written = split(&sections[heading]).0;
            assert_eq!(written, head(&directives[heading]), "{heading}: LARDER_WRITE_DOCS=1 writes it anew");
        }
    }
    let listed = read_sections(INDEX)[BY_NAME].clone();
    assert_eq!(listed, index(&directives), "LARDER_WRITE_DOCS=1 writes the index anew");
}

/// The page that lists all directives.
const INDEX: &str = "directives.md";
/// The heading of the list in it.
const BY_NAME: &str = "By name";

/// A link to each section.
fn index(directives: &BTreeMap<String, RowDoc>) -> String {
    let anchor = |heading: &str| heading.replace(['(', ')', ','], "").replace(' ', "-");
    let link = |(heading, row): (&String, &RowDoc)| {
        let (name, context) = heading.split_once(' ').unwrap_or((heading, ""));
        format!("- [`{name}`{}{context}]({}#{})", spaced(context), page_of(row), anchor(heading))
    };
    directives.iter().map(link).collect::<Vec<_>>().join("\n")
}

fn spaced(context: &str) -> &'static str {
    if context.is_empty() { "" } else { " " }
}

/// Writes all pages anew. A section is taken from wherever it stands, so that one in the index (where directives were
/// described once) moves to its page.
fn write_directives(directives: &BTreeMap<String, RowDoc>) {
    let mut known = read_sections(INDEX);
    let pages: Vec<(&str, String)> = page_names()
        .map(|page| {
            let mut sections = read_sections(page);
            let introduction = sections.remove("").expect("a page has a beginning");
            known.extend(sections);
            (page, introduction)
        })
        .collect();
    for (name, introduction) in pages {
        let mut text = introduction + "\n";
        for (heading, row) in directives.iter().filter(|(_, row)| page_of(row) == name) {
            let below = known.get(heading).map_or("", |section| split(section).1);
            let (name, context) = heading.split_once(' ').unwrap_or((heading, ""));
            let title = format!("`{name}`{}{context}", spaced(context));
            write!(text, "\n## {title}\n\n{}\n\n{below}\n", head(row)).expect("a string takes all");
        }
        fs::write(page(name), text).unwrap();
    }
    let text = format!("{}\n\n## {BY_NAME}\n\n{}\n", known[""], index(directives));
    fs::write(page(INDEX), text).unwrap();
}

#[test]
fn every_directive_has_an_example() {
    let sections: Sections = page_names().flat_map(read_sections).collect();
    let lacks_it = |heading: &String, row: &RowDoc| {
        let section = sections.get(heading).map_or("", String::as_str);
        !examples(section).any(|(_, text)| text.contains(row.name))
    };
    let directives = directives();
    let lacking = directives.iter().filter(|(heading, row)| lacks_it(heading, row));
    let lacking: Vec<&String> = lacking.map(|(heading, _)| heading).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn the_configurations_in_all_pages_are_accepted() {
    let mut wrong = String::new();
    for path in pages() {
        for (context, text) in examples(&fs::read_to_string(&path).unwrap()) {
            if let Err(complaint) = accept(context, text) {
                writeln!(wrong, "{}: {complaint}\n{text}", path.display()).expect("a string takes all");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_links_in_all_pages_lead_somewhere() {
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            let full = path.parent().expect("a page is in a directory").join(target);
            assert!(full.exists(), "{} links to {target}", path.display());
        }
    }
}

/// Returns all pages of the project.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_owned(), root.join("docs"), root.join("docs/directives")];
    let listed = folders.into_iter().flat_map(|dir| fs::read_dir(dir).unwrap());
    let paths = listed.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Returns the fenced blocks with the context that stands behind "```nginx".
fn examples(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("```nginx ").skip(1).filter_map(|block| {
        let (context, rest) = block.split_once('\n')?;
        Some((context, rest.split("```").next()?))
    })
}

/// Files that are opened while a configuration is read.
const OPENED: [&str; 1] = ["passphrases"];

/// Reads an example in the surroundings that its context needs.
fn accept(context: &str, example: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    for name in OPENED {
        fs::write(dir.path().join(name), "secret\n").unwrap();
    }
    let events = "events {}";
    let http = "proxy_cache_path cache keys_zone=pages:1m; log_format site '$request';
        upstream app { server 127.0.0.1:3000; }";
    let text = match context {
        "main" if example.contains("events") => example.to_owned(),
        "main" => format!("{events} {example}"),
        "events" => format!("events {{ {example} }}"),
        "http" => format!("{events} http {{ {http} {example} }}"),
        "server" => format!("{events} http {{ {http} server {{ {example} }} }}"),
        "location" => format!("{events} http {{ {http} server {{ location / {{ {example} }} }} }}"),
        "upstream" => format!("{events} http {{ {http} upstream group {{ {example} }} }}"),
        other => return Err(format!("\"{other}\" is no context")),
    };
    let main = MainText::Embedded { name: PathBuf::from("example"), text };
    let source = Source { prefix: dir.path().to_owned(), main, globals: None, error_log: None };
    config::load(&source, &Loopback)
        .map(|_| ())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Every name is this machine.
struct Loopback;

impl HostLookup for Loopback {
    fn lookup(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)])
    }

    fn hostname(&self) -> String {
        "localhost".to_owned()
    }
}

#[test]
fn every_variable_is_described() {
    let text = fs::read_to_string(page("variables.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `$")?.split('`').next());
    let (families, plain): (BTreeSet<&str>, BTreeSet<&str>) = rows.partition(|name| name.contains("NAME"));
    assert_eq!(plain, Variable::names().collect());
    for family in &families {
        assert!(Variable::named(&family.replace("NAME", "x")).is_some(), "{family}");
    }
    assert_eq!(families.len(), 8, "{families:?}");
}

#[test]
fn the_map_names_every_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let layout =
        text.split("## Layout").nth(1).and_then(|rest| rest.split("```").nth(1)).expect("it has a layout");
    let mut named = BTreeSet::new();
    let mut folder = "";
    for line in layout.lines() {
        for word in line.split_whitespace() {
            if let Some(path) = word.strip_suffix('/').filter(|_| line.starts_with(word)) {
                folder = path;
            } else if word.ends_with(".rs") {
                named.insert(format!("{folder}/{word}"));
            }
        }
    }
    let mut found = BTreeSet::new();
    for package in ["src", "cache-manager", "cache-loader"] {
        rust_files(&root.join(package), root, &mut found);
    }
    // Folders whose files are alike are named as one.
    let is_named = |file: &String| {
        let folder = Path::new(file).parent().map(|folder| format!("{}/*.rs", folder.display()));
        named.contains(file) || folder.is_some_and(|all| named.contains(&all))
    };
    let unnamed: Vec<_> = found.iter().filter(|file| !is_named(file)).collect();
    assert!(unnamed.is_empty(), "ARCHITECTURE.md does not name {unnamed:#?}");
    let gone: Vec<_> =
        named.iter().filter(|name| !name.ends_with("*.rs") && !root.join(name).exists()).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names what is not there: {gone:#?}");
}

/// Collects the files of a folder, but those that only tie a folder together and those that only test.
fn rust_files(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                rust_files(&path, root, found);
            }
        } else if name.ends_with(".rs") && name != "mod.rs" && !name.ends_with("tests.rs") {
            let path = path.strip_prefix(root).expect("it is below");
            found.insert(path.display().to_string());
        }
    }
}
