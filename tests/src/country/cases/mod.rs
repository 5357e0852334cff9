//! Cases: one small country each, one line, one target, and what is true of it.
//!
//! A case file is a scenario file with the keys of [`file`] before it and a `base` whose blocks come first. The
//! country is built as for any scenario (`visits`); the agent's own checks run on the subscriber's line and at the
//! controls at the same time, and what they print is judged as the coordinator judges it (`judged`). The truth is
//! written in the file: it says what the rules of the file do, not what anybody's rules make of it.

mod file;
mod judged;
mod place;
mod table;
mod visits;

pub use file::{At, Case, CaseError, Expected, Ooni};
pub use judged::{Outcome, judge_case};
pub use place::Place;
pub use table::{MARK_BEGIN, MARK_END, fixed_columns, rows};
pub use visits::{CaseOptions, Seen, Vantage, visit_all};
