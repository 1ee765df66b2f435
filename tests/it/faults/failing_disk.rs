//! A disk that fails where a script says: the program's own file operations return errors, in any phase of what it does.
//!
//! No rights are needed: a few functions of the C library are replaced in the program under test (`failing_disk.c`).

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use super::{
    NOT_CACHED, ask, bytes_of, conf_of, left_behind, origin_of_pages, page, said, stored, wait_for_hit,
};
use crate::support::{
    Origin, Ranged, Server, conf::cached, location, peers::Program, server::new_dir, wait_until,
};

/// The replaced functions, and the program with them.
struct Failing {
    dir: TempDir,
    program: Program,
}

impl Failing {
    /// Makes the program; nothing, with the reason printed, where it cannot be had.
    fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
        let mut program = Program::larder();
        if program.is_nginx() {
            return None;
        }
        let (_, library) = BUILT.get_or_init(build).as_ref()?;
        let dir = new_dir();
        let start = format!(
            "#!/bin/sh\nLD_PRELOAD='{}' LARDER_FAILING_DISK='{}' exec '{}' \"$@\"\n",
            library.display(),
            dir.path().join("script").display(),
            program.path.display()
        );
        program.path = dir.path().join("larder");
        fs::write(&program.path, start).unwrap();
        fs::set_permissions(&program.path, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { dir, program })
    }

    fn start(&self, conf: &crate::support::Conf) -> Server {
        Server::start_program(&self.program, conf)
    }

    /// Has operations on files whose paths are like this fail from now on.
    fn fail(&self, operation: &str, pattern: &str, errno: i32) {
        self.write(&format!("{operation} {pattern} {errno}\n"));
    }

    /// Has nothing fail any more.
    fn heal(&self) {
        self.write("");
    }

    fn write(&self, script: &str) {
        // Whole at any time.
        let new = self.dir.path().join("new");
        fs::write(&new, script).unwrap();
        fs::rename(new, self.dir.path().join("script")).unwrap();
    }
}

fn build() -> Option<(TempDir, PathBuf)> {
    let dir = new_dir();
    let library = dir.path().join("failing_disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/failing_disk.c");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    match compiled {
        Ok(output) if output.status.success() => Some((dir, library)),
        outcome => {
            println!("skipped: no C compiler makes the failing disk here ({outcome:?})");
            None
        }
    }
}

const ERRORS: [i32; 3] = [libc::EIO, libc::ENOSPC, libc::EROFS];

/// Phases of a fill: the operation, the file, and a word that the log has then.
const PHASES: [(&str, &str, &str); 9] = [
    ("create", "*/cache/?/??/*.*", NOT_CACHED),
    ("write", "*/cache/?/??/*.*", NOT_CACHED),
    ("append", "*/cache/?/??/*.*", NOT_CACHED),
    ("sync", "*/cache/?/??/*.*", NOT_CACHED),
    ("rename", "*/cache/?/??/*", NOT_CACHED),
    ("append", "*/larder.mdb", "could not write the index"),
    ("write", "*/larder.mdb", ""),
    ("sync", "*/larder.mdb", ""),
    ("create", "*/cache/larder*", ""),
];

#[test]
fn errors_in_any_phase_of_a_fill_cost_no_answer() {
    for (operation, pattern, word) in PHASES {
        let Some(disk) = Failing::new() else { return };
        let origin = origin_of_pages();
        let server = disk.start(&conf_of("cache", "use_temp_path=off fsync=file", &origin));
        wait_for_hit(&server, "/small/before");
        wait_for_hit(&server, "/large/before");
        let worker = server.worker();
        for errno in ERRORS {
            let name = format!("{operation} {pattern} {errno}");
            disk.fail(operation, pattern, errno);
            for kind in ["small", "large", "open"] {
                let target = format!("/{kind}/{errno}");
                (0..2).for_each(|_| drop(ask(&server, &target)));
                for response in server.get_at_once(&format!("{target}/at-once"), 4).0 {
                    let whole = page(&format!("{target}/at-once"), bytes_of(&target));
                    assert!(response.status() == 200 && response.body == whole, "{name}: {target}");
                }
            }
            assert_eq!(ask(&server, "/large/before"), "HIT", "{name}");
            disk.heal();
            wait_for_hit(&server, &format!("/small/after/{errno}"));
            wait_for_hit(&server, &format!("/large/after/{errno}"));
        }
        assert_eq!(server.worker(), worker, "{operation} {pattern}: it lives");
        let log = server.read("error.log");
        assert!(log.contains(word), "{operation} {pattern}: {log}");
        assert!(said(&server, NOT_CACHED) <= 2, "{operation} {pattern}: one line a minute: {log}");
        let cache = server.dir().join("cache");
        wait_until("no temporary file is left", || left_behind(&cache).is_empty());
    }
}

#[test]
fn a_list_of_parts_that_cannot_be_written_costs_no_answer() {
    for (operation, errno) in [("create", libc::EIO), ("write", libc::ENOSPC), ("rename", libc::EROFS)] {
        let Some(disk) = Failing::new() else { return };
        let file = Ranged::new(100_000, "a");
        let body = file.body.clone();
        let origin = Origin::answering(move |asked| file.reply(asked));
        let server = disk.start(&location("proxy_cache zone; proxy_cache_rfc on;", &origin));
        let range = |first: usize, last: usize| {
            let mut client = server.client();
            client.send(format!("GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes={first}-{last}\r\n\r\n"));
            let response = client.response();
            assert!(
                response.status() == 206 && response.body == body[first..=last],
                "{operation}: {response}"
            );
            origin.request_count()
        };
        range(0, 999);
        wait_until("a part and the list are stored", || stored(&server).len() == 2);
        for path in stored(&server) {
            // One of them is the list; the other is not written again.
            let digest = path.file_name().unwrap().to_str().unwrap().to_owned();
            let pattern = if operation == "rename" { format!("*/{digest}") } else { format!("*/{digest}.*") };
            disk.fail(operation, &pattern, errno);
            range(2000, 2999);
            range(5000, 5999);
        }
        disk.heal();
        let asked = origin.request_count();
        wait_until("parts are kept again", || {
            range(2000, 2999);
            let before = origin.request_count();
            range(2000, 2999) == before
        });
        assert!(origin.request_count() >= asked);
    }
}

#[test]
fn a_purge_that_cannot_be_written_is_refused_and_not_half_done() {
    let zone = "map $request_method $purges { PURGE 1; default 0; }
         proxy_cache_path cache levels=1:2 keys_zone=zone:1m use_temp_path=off;";
    let inside = "proxy_cache zone; proxy_cache_key $uri; proxy_cache_purge $purges;";
    let Some(disk) = Failing::new() else { return };
    let origin = origin_of_pages();
    let mut server = disk.start(&cached(zone, inside, &origin));
    server.allow_in_log("could not write a purge");
    let purge = || server.client().send("PURGE /small/* HTTP/1.1\r\nHost: a\r\n\r\n").response().status();
    wait_for_hit(&server, "/small/a");
    assert_eq!(purge(), 204);
    for (operation, errno) in
        [("append", libc::EIO), ("append", libc::ENOSPC), ("sync", libc::EIO), ("append", libc::EROFS)]
    {
        wait_for_hit(&server, "/small/a");
        disk.fail(operation, "*/larder.purges", errno);
        assert_eq!(purge(), 500, "{operation} {errno}");
        assert_eq!(ask(&server, "/small/a"), "HIT", "{operation} {errno}: nothing is purged");
        disk.heal();
        assert_eq!(purge(), 204, "{operation} {errno}");
        assert_eq!(ask(&server, "/small/a"), "MISS", "{operation} {errno}");
    }
    server.wait_for_log("could not write a purge");
}
