//! A configuration text, from bytes to the typed tree or its diagnostics: nothing panics, and what is wrong
//! can be shown.

#![no_main]

use std::{io, net::SocketAddr, path::PathBuf};

use libfuzzer_sys::fuzz_target;

use config::{HostLookup, MainText, Source, load};

struct NoNames;

impl HostLookup for NoNames {
    fn lookup(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn hostname(&self) -> String {
        "localhost".to_owned()
    }
}

fuzz_target!(|text: &str| {
    // What a file of the machine holds is no input of ours.
    if text.contains("include") {
        return;
    }
    let source = Source {
        prefix: PathBuf::from("/nonexistent"),
        main: MainText::Embedded { name: PathBuf::from("fuzz.conf"), text: text.to_owned() },
        globals: None,
        error_log: None,
    };
    match load(&source, &NoNames) {
        Ok(loaded) => assert!(loaded.files.iter().any(|file| *file.text == *text.as_bytes())),
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                let _ = diagnostic.to_string();
            }
        }
    }
});
