//! A directive that is accepted does something, or its row says why not: no setting is read and then ignored.
//!
//! The search is textual: the field of each row must be read somewhere outside `src/config`, unless
//! `directives/moot.rs` tells why the directive has no effect.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Fields that the configuration itself turns into others when it is read.
const RESOLVED_WHEN_READ: [&str; 9] = [
    "add_header_inherit",
    "add_trailer_inherit",
    "redirect_written",
    "startup",
    "hash",
    "ip_hash",
    "least_conn",
    "least_time",
    "random",
];

/// Rows that there are at least: fewer means that this test no longer finds them.
const ROWS_LEAST: usize = 100;

/// One row: its directive and its field.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    directive: String,
    field: String,
}

#[test]
fn every_setting_is_read_somewhere() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let directives = source.join("config/directives");
    let moot = fs::read_to_string(directives.join("moot.rs")).unwrap();
    let rows: Vec<Row> = files_below(&directives)
        .iter()
        .filter(|path| !path.ends_with("moot.rs"))
        .flat_map(|path| rows_of(&fs::read_to_string(path).unwrap()))
        .collect();
    let is_outside = |path: &&PathBuf| !path.starts_with(source.join("config"));
    let readers: Vec<String> = files_below(&source)
        .iter()
        .filter(is_outside)
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(rows.len() >= ROWS_LEAST, "only {} rows are found", rows.len());
    let ignored: Vec<&Row> = rows
        .iter()
        .filter(|row| !RESOLVED_WHEN_READ.contains(&row.field.as_str()))
        .filter(|row| !moot.contains(&format!("\"{}\",", row.directive)))
        .filter(|row| !readers.iter().any(|text| reads(text, &row.field)))
        .collect();
    assert!(ignored.is_empty(), "nobody reads {ignored:#?}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the project can be read") {
        let path = entry.expect("the project can be read").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The rows in the `settings!` groups of a file: `field: Type = default, "directive" in LEVELS, …;`.
fn rows_of(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for group in text.split("settings! {\n").skip(1) {
        let group = group.split("\n}\n").next().unwrap_or(group);
        let mut field = None;
        for line in group.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if let Some(name) = field_of(line) {
                field = Some(name);
            }
            let directive = line.split_once("\" in ").and_then(|(before, _)| before.rsplit('"').next());
            if let Some((directive, field)) = directive.zip(field.take_if(|_| directive.is_some())) {
                rows.push(Row { directive: directive.to_owned(), field: field.to_owned() });
            }
        }
    }
    rows
}

/// The name that a line of a group begins with, where it is indented as a row.
fn field_of(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("        ")?.split_once(": ")?;
    name.chars().all(is_part_of_name).then_some(name)
}

fn reads(text: &str, field: &str) -> bool {
    let wanted = format!(".{field}");
    text.match_indices(&wanted).any(|(at, _)| !text[at + wanted.len()..].starts_with(is_part_of_name))
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn rows_are_found_on_one_line_or_two() {
    let text = "settings! {\n    pub struct A {\n        /// \"x\" in y.\n        a: u8 = 1, \"one\" in H, once(SIZE);\n        \
                b: u8 = 1,\n            \"two\" in H, once(SIZE);\n    }\n}\n";
    let row = |directive: &str, field: &str| Row { directive: directive.to_owned(), field: field.to_owned() };
    assert_eq!(rows_of(text), [row("one", "a"), row("two", "b")]);
    assert!(reads("conf.core.a)", "a"));
    assert!(!reads("conf.core.ab", "a"));
}
