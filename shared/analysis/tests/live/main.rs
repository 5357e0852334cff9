//! The detector in live operation, played against a small deterministic country.

mod presence;
mod recorded;
mod scenarios;
mod silences;
mod simulator;
