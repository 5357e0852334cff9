//! The agent's program.

use clap::Parser;
use faultline_agent::commands::{Cli, execute};
use std::process::ExitCode;
use std::time::Duration;

/// The agent waits for the network nearly all of its time; two workers keep its memory small.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = match runtime {
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
