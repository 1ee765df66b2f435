//! A whole directory of real files behind the machine's nginx, fetched through the cache and compared.
//!
//! `LARDER_TEST_FILES` says how many files (500 unless told otherwise), `LARDER_TEST_DIRECTORY` where from.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    caching::files_below,
    support::{Client, Server, Stop, conf::http, peers::Program},
};

const CLIENTS: usize = 4;

#[test]
fn a_directory_of_real_files_is_served_twice_and_after_a_restart() {
    let Some(nginx) = Program::nginx() else { return };
    let directory =
        env::var_os("LARDER_TEST_DIRECTORY").map_or_else(|| PathBuf::from("/usr/share/doc"), PathBuf::from);
    let wanted = env::var("LARDER_TEST_FILES").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    let files = readable_files(&directory, wanted);
    if files.len() < 10 {
        println!("skipped: {} has too few files", directory.display());
        return;
    }
    let origin = Server::start_program(&nginx, &origin_conf(&directory));
    let conf = http(&format!(
        "proxy_cache_path cache levels=1:2 keys_zone=zone:10m inactive=1h;
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{
                proxy_pass http://{}; proxy_cache zone; proxy_cache_valid 200 1h;
                add_header X-Cache $upstream_cache_status always;
            }}
        }}",
        origin.address()
    ));
    let server = Server::start(&conf);
    let program = server.program().clone();
    fetch_all(&server, &directory, &files, "MISS");
    fetch_all(&server, &directory, &files, "HIT");
    let dir = server.stop_and_keep(Stop::Graceful);
    let server = Server::start_in(&program, &conf, dir);
    fetch_all(&server, &directory, &files, "HIT");
}

fn origin_conf(directory: &Path) -> crate::support::Conf {
    http(&format!("server {{ listen 127.0.0.1:%PORT%; root {}; }}", directory.display()))
}

/// Files that this process can read and whose names need no escape.
fn readable_files(directory: &Path, wanted: usize) -> Vec<String> {
    let mut files: Vec<String> = files_below(directory)
        .into_iter()
        .filter(|file| fs::metadata(file).is_ok_and(|file| file.is_file()) && fs::File::open(file).is_ok())
        .filter_map(|file| Some(file.strip_prefix(directory).ok()?.to_str()?.to_owned()))
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)))
        .collect();
    files.sort();
    files.truncate(wanted);
    files
}

/// Fetches every file over a few kept connections, and compares it with the disk.
fn fetch_all(server: &Server, directory: &Path, files: &[String], expected: &str) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(server.address());
                while let Some(name) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let response = client.get(&format!("/{name}"));
                    if response.field("Connection") == Some("close") {
                        client = Client::connect(server.address());
                    }
                    let body = fs::read(directory.join(name)).expect("it was readable before");
                    if response.cache() != expected || response.body != body {
                        let found = format!("{name}: {} {}", response.status_line, response.cache());
                        wrong.lock().expect("no holder panics").push(found);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no holder panics");
    assert!(
        wrong.is_empty(),
        "{} of {} are not {expected}: {:#?}",
        wrong.len(),
        files.len(),
        &wrong[..wrong.len().min(10)]
    );
}
