//! The detector in live operation, played against a small deterministic country.

mod country;
mod presence;
mod recorded;
mod scenarios;
mod series;
mod silences;
mod simulator;
