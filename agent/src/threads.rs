//! The threads that the agent has.

use std::io;
use tokio::runtime::{Builder, Runtime};

/// How long an idle thread for disk work is kept.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(5);
/// Threads for disk work at a time; what else there is to write waits.
const DISK_THREADS: usize = 4;

/// Makes the agent's runtime: one thread for the network, and a few that come and go for the disk.
///
/// The agent waits nearly all of its time. With a second worker each step of a check wakes the other thread to look for
/// work that is not there, which costs more than the check's own arithmetic.
///
/// # Errors
/// Returns what the system refused.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS)
        .thread_keep_alive(KEEP_ALIVE)
        .build()
}
