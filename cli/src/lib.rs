//! The command line of Faultline: operators invite agents and push task lists, researchers read what is said
//! and replay recorded data through the same detection.
//!
//! - [`Arguments`]: what can be typed;
//! - `commands`: one file per command, thin: fetch, then show;
//! - `list`: task list files, their checks, their differences and their cost;
//! - `show`: tables, the matrix and incidents, as text;
//! - `connect`: the two ways to a coordinator, operators' (mutual TLS) and researchers' (read only).

mod arguments;
mod commands;
mod connect;
mod country;
mod fingerprints;
mod home;
mod lines;
mod list;
mod objects;
mod ooni;
mod output;
mod profile;
mod show;
mod trouble;

pub use arguments::Arguments;

use std::process::ExitCode;
use trouble::Exit;

/// Carries out what was typed, reports trouble on standard error, and returns the exit code.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    faultline_runtime::init_telemetry("warn", faultline_runtime::LogFormat::Text);
    // Fails only when another provider was installed before, and there is no other in the tree.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return trouble::report(&anyhow::Error::new(error).context("starting the runtime")),
    };
    let outcome = runtime.block_on(commands::run(arguments));
    // A download or stream that still runs must not hold the exit up.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => Exit::Success.into(),
        Err(error) => trouble::report(&error),
    }
}
