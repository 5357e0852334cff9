//! Judgement and detection: from what agents saw to what a reader is told.
//!
//! Three steps, all pure functions of stored facts (no IO, clock, randomness or store):
//! - [`judge`]: one measurement beside its controls becomes a class, a layer and a status;
//! - [`detect`]: judged records become evidence per cell, alarms, incidents and requests for more;
//! - [`profile`]: what a country's profile leaves unsaid, and which verdicts that disables;
//! - [`ooni`]: OONI's measurements become facts of ours, and ours become theirs;
//! - [`readiness`]: which verdicts the vantage points that there are could give, and how soon;
//! - [`tell`]: the questions that readers ask of an incident, claims, others' data and registers;
//! - [`replay`]: recorded rows go the same way, with the clock driven by the data.
//!
//! The method, its formulas and their sources are named in the modules that use them; section numbers are
//! those of the project's method page.

pub mod detect;
pub mod judge;
pub mod ooni;
pub mod profile;
pub mod readiness;
pub mod replay;
pub mod tell;
