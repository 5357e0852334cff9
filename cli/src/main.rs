//! The `faultline` program; everything it does lives in the library.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    faultline::run(faultline::Arguments::parse())
}
