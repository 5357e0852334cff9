//! A network of its own for the run: only loopback, and a resolver of our own in `/etc/resolv.conf`.

use super::program;
use anyhow::{Context, Result, ensure};
use faultline_tests::country::launch::namespace_options;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use tempfile::TempDir;

/// The argument that says that the namespace is made.
pub(super) const ROLE: &str = "inside";

/// Starts this program again in namespaces of its own.
pub(super) fn enter() -> Result<ExitCode> {
    let mut inside = Command::new("unshare");
    inside.args(namespace_options()?).arg("--").arg(program()?).arg(ROLE);
    let path = std::env::var("PATH").unwrap_or_default();
    let status = inside.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")).status();
    let is_fine = status.context("running unshare, which is part of util-linux")?.success();
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The furnished namespace.
pub(super) struct Inside(TempDir);

impl Inside {
    /// Raises loopback and names our resolver.
    pub(super) fn furnish() -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder")?;
        let resolvers = folder.path().join("resolv.conf");
        fs::write(&resolvers, "nameserver 127.0.0.1\n").context("naming the resolver")?;
        // Processes have other numbers here.
        run(Command::new("mount").args(["-t", "proc", "proc", "/proc"]))?;
        run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
        run(Command::new("mount").arg("--bind").arg(&resolvers).arg("/etc/resolv.conf"))?;
        Ok(Self(folder))
    }

    /// Returns a folder of the run.
    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Lets every packet to an address vanish.
    pub(super) fn swallow(&self, address: &str) -> Result<()> {
        run(Command::new("iptables-nft").args(["-A", "INPUT", "-d", address, "-j", "DROP"]))
    }
}

/// Runs a command that has to succeed.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
