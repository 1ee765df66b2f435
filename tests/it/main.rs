//! Behaviour through the real program: a configuration, scripted origins, raw bytes.

mod support;

#[path = "../parity/mod.rs"]
mod parity;
mod docs;
mod examples;
mod serving;
