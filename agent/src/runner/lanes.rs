//! How many checks run at a time: as many as the kernel grants files for, up to a bound that keeps the memory small.
//!
//! A target that is silent holds its place until its deadline, so there must be more places than targets that can fall
//! silent together, as they do when a network goes down. Who is asked for confirmations is measured in places of their own.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Routine checks at a time, where the kernel grants as many files.
pub const MOST_AT_ONCE: usize = 200;
/// Confirmations at a time.
const MOST_CONFIRMATIONS: usize = 64;
/// Files that the agent itself needs: spool, status, the coordinator, the runtime.
const OWN_FILES: usize = 24;
/// Files that one check may have open at a time.
const FILES_OF_A_CHECK: usize = 8;

/// Places for checks that run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lanes {
    /// For routine work.
    pub(super) routine: usize,
    /// For confirmations.
    pub(super) confirmations: usize,
}

impl Lanes {
    /// Reads the kernel's limit for this process.
    pub(super) fn of_this_process() -> Self {
        // A kernel that does not say grants what every kernel grants.
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        Self::of(usize::try_from(files).unwrap_or(usize::MAX))
    }

    /// With few files fewer checks run at a time: a small machine measures slower instead of failing at its own sockets.
    fn of(files: usize) -> Self {
        let places = files.saturating_sub(OWN_FILES) / FILES_OF_A_CHECK;
        let confirmations = (places / 4).clamp(1, MOST_CONFIRMATIONS);
        let routine = places.saturating_sub(confirmations).clamp(1, MOST_AT_ONCE);
        Self { routine, confirmations }
    }
}

/// Raises this process's limit of open files to what the agent can use, as far as the machine lets it. Most systems begin
/// with 1,024 and allow many more.
pub fn raise_file_limit() {
    let wanted = OWN_FILES + (MOST_AT_ONCE + MOST_CONFIRMATIONS) * FILES_OF_A_CHECK;
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let new = wanted.min(hard);
        if new > soft { setrlimit(Resource::RLIMIT_NOFILE, new, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays; fewer checks run at a time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_few_files_fewer_checks_run_at_a_time() {
        let lanes = |routine, confirmations| Lanes { routine, confirmations };
        for (files, expected) in [(0, lanes(1, 1)), (20, lanes(1, 1)), (64, lanes(4, 1)), (256, lanes(22, 7))]
        {
            assert_eq!(Lanes::of(files), expected, "{files}");
        }
        for files in [48, 64, 256, 1024, 4096] {
            let Lanes { routine, confirmations } = Lanes::of(files);
            assert!(OWN_FILES + (routine + confirmations) * FILES_OF_A_CHECK <= files, "{files}");
        }
    }

    #[test]
    fn with_many_files_two_hundred_checks_run_at_a_time_and_never_more() {
        for files in [2_136, 65_536, usize::MAX] {
            assert_eq!(Lanes::of(files), Lanes { routine: MOST_AT_ONCE, confirmations: 64 }, "{files}");
        }
    }
}
