//! The program `larder`. All it does is in [`larder::process`].

use std::process::ExitCode;

fn main() -> ExitCode {
    larder::process::run(std::env::args_os().collect())
}
