//! What the kernel counts: CPU times, memory, bytes on loopback.

use anyhow::{Context, Result};
use std::fs;
use std::ops::AddAssign;
use std::path::Path;

/// The kernel's unit for CPU times in `/proc`, which is fixed on Linux (proc(5), `USER_HZ`).
const TICK_MS: f64 = 10.0;

/// What some checks cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    checks: f64,
    cpu_ms: f64,
    bytes: f64,
}

impl Cost {
    /// Returns the CPU time of one check in milliseconds.
    pub(super) fn cpu_ms(&self) -> f64 {
        self.cpu_ms / self.checks
    }

    /// Returns the bytes on the wire of one check, both ways, with all headers.
    pub(super) fn bytes(&self) -> f64 {
        self.bytes / self.checks
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.checks += other.checks;
        self.cpu_ms += other.cpu_ms;
        self.bytes += other.bytes;
    }
}

/// Measures what checks cost a process.
pub(super) fn cost(pid: u32, checks: usize, work: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (cpu, bytes) = (cpu_ms(pid)?, loopback_bytes()?);
    work()?;
    let checks = f64::from(u32::try_from(checks).unwrap_or(u32::MAX));
    Ok(Cost { checks, cpu_ms: cpu_ms(pid)? - cpu, bytes: loopback_bytes()? - bytes })
}

/// Returns a size in a process's status, in MiB.
pub(super) fn resident_mib(pid: u32, key: &str) -> Result<f64> {
    let text = read(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    size.map(|kib| kib / 1024.0).with_context(|| format!("no {key} of process {pid}"))
}

fn cpu_ms(pid: u32) -> Result<f64> {
    let text = read(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name, which may hold anything but is closed by the last parenthesis.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let field = |at: usize| rest.split_whitespace().nth(at)?.parse::<f64>().ok();
    let ticks = field(11).zip(field(12)).map(|(user, system)| user + system);
    Ok(ticks.with_context(|| format!("no times of process {pid}"))? * TICK_MS)
}

fn loopback_bytes() -> Result<f64> {
    // Not `/sys`, which shows the namespace in which it was mounted.
    let text = read("/proc/net/dev")?;
    tx_of(&text).context("no count of bytes on loopback")
}

fn tx_of(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:"))?;
    line.split_whitespace().nth(8)?.parse().ok()
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    fs::read_to_string(path.as_ref()).with_context(|| format!("reading {}", path.as_ref().display()))
}
