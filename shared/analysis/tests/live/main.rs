//! The detector in live operation, played against a small deterministic country.

mod scenarios;
mod simulator;
