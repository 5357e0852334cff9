//! The agent: runs on a volunteer's line, obeys only signed task lists and its own policy, reports facts.
//!
//! [`checks`] run over [`net`], the one way to the network. [`policy`] decides what is done at all, [`schedule`] when,
//! [`runner`] does it, [`scrub`] takes the volunteer out of it, [`spool`] keeps what was seen until [`uplink`] has handed it over.

pub mod agent;
pub mod checks;
pub mod commands;
pub mod consent;
pub mod latest;
pub mod line;
pub mod net;
pub mod policy;
pub mod recent;
pub mod runner;
pub mod schedule;
pub mod scrub;
pub mod spool;
pub mod state;
pub mod status;
pub mod threads;
pub mod uplink;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
