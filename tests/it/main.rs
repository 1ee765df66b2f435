//! Behaviour through the real program: a configuration, scripted origins, raw bytes.

mod support;

#[path = "../parity/mod.rs"]
mod parity;
mod caching;
mod command_line;
mod crashes;
mod docs;
mod examples;
mod processes;
mod proxying;
mod readme;
mod real_files;
mod starting;
