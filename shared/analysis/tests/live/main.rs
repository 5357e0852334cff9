//! The detector in live operation, played against a small deterministic country.

mod country;
mod presence;
mod recorded;
mod scenarios;
mod silences;
mod simulator;
