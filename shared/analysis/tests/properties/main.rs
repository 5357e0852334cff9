//! Properties of detection that hold for every country, order and naming.
//!
//! - `order`: when and how often results come, and when they are looked at, decides nothing;
//! - `names`: what agents, networks, targets and cohorts are called, and who else is there, decides nothing;
//! - `limits`: what must never be said, and what must be, whatever the numbers;
//! - `form`: what holds for every incident that is ever published.
//!
//! That a live run and its replay agree is tested where live runs are simulated: `tests/live/recorded.rs`. Liars are in
//! `tests/liars.rs`.

mod form;
mod limits;
mod names;
mod order;
mod world;
