//! The agent's program.

use clap::Parser;
use faultline_agent::commands::{Cli, execute};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match faultline_agent::threads::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(execute(cli));
    // Disk work that is under way is finished; nothing else is waited for.
    runtime.shutdown_timeout(Duration::from_secs(2));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {:#}", failed.error);
            ExitCode::from(failed.code)
        }
    }
}
