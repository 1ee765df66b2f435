//! Which programs are run: Larder, and for comparison the nginx of this machine.

use std::{env, path::PathBuf, process::Command};

/// A program that runs nginx's configuration files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Larder,
    Nginx,
}

impl Program {
    /// Returns the program under test.
    ///
    /// `LARDER_TEST_PROGRAM` names another file; an nginx there shows what the tests themselves are worth.
    pub fn larder() -> Self {
        match env::var_os("LARDER_TEST_PROGRAM") {
            Some(path) => {
                let path = PathBuf::from(path);
                let is_nginx =
                    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nginx"));
                Self { path, kind: if is_nginx { Kind::Nginx } else { Kind::Larder } }
            }
            None => Self { path: PathBuf::from(env!("CARGO_BIN_EXE_larder")), kind: Kind::Larder },
        }
    }

    /// Returns the machine's nginx; `None`, with the reason printed, where there is none.
    ///
    /// # Panics
    /// If there is none and `LARDER_REQUIRE_PEERS=1` says that there must be.
    pub fn nginx() -> Option<Self> {
        let path =
            env::var_os("LARDER_TEST_NGINX").map_or_else(|| PathBuf::from("/usr/sbin/nginx"), PathBuf::from);
        match Command::new(&path).arg("-v").output() {
            Ok(output) if output.status.success() => Some(Self { path, kind: Kind::Nginx }),
            outcome => {
                let required = env::var_os("LARDER_REQUIRE_PEERS").is_some_and(|value| value == "1");
                assert!(
                    !required,
                    "LARDER_REQUIRE_PEERS=1, but {} does not run: {outcome:?}",
                    path.display()
                );
                println!("skipped: nothing to compare with, {} does not run", path.display());
                None
            }
        }
    }

    /// Whether this is nginx, be it as itself or in Larder's place.
    pub fn is_nginx(&self) -> bool {
        self.kind == Kind::Nginx
    }

    /// Returns a short name for messages.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Larder => "larder",
            Kind::Nginx => "nginx",
        }
    }

    /// Returns the directives that keep all temporary files in the server's directory.
    pub fn temp_paths(&self) -> &'static str {
        match self.kind {
            Kind::Larder => "client_body_temp_path temp_body; proxy_temp_path temp_proxy;",
            Kind::Nginx => {
                "client_body_temp_path temp_body; proxy_temp_path temp_proxy; fastcgi_temp_path temp_fastcgi; \
                 uwsgi_temp_path temp_uwsgi; scgi_temp_path temp_scgi;"
            }
        }
    }
}

/// Returns a command of this machine; `None`, with the reason printed, where it has none of that name.
///
/// # Panics
/// If there is none and `LARDER_REQUIRE_PEERS=1` says that there must be.
pub fn tool(name: &str) -> Option<Command> {
    match Command::new(name).arg("--version").output() {
        Ok(_) => Some(Command::new(name)),
        Err(error) => {
            let required = env::var_os("LARDER_REQUIRE_PEERS").is_some_and(|value| value == "1");
            assert!(!required, "LARDER_REQUIRE_PEERS=1, but {name} does not run: {error}");
            println!("skipped: {name} does not run ({error})");
            None
        }
    }
}
