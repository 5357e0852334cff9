//! The coordinator: it keeps signed task lists, plans who looks at what, stores what agents saw, and says where the
//! internet broke.
//!
//! A measurement's way through this crate: [`api`] takes an upload at the door, `ingest` checks it and hands it to the
//! [`store`], which acknowledges what is on disk; the `pipeline` reads it back, judges it, and tells incidents; readers
//! see them through [`api`] and the `dashboard`. `planning` is pure; `fleet` knows who is connected. A volunteer's
//! address goes no further than the door's look-up of its network.

pub mod api;
mod baseline;
mod circumvention;
pub mod config;
mod coordinator;
mod counters;
mod countries;
mod dashboard;
mod enrolment;
pub mod export;
mod far_ends;
mod fleet;
mod ingest;
mod lists;
mod networks;
mod pipeline;
mod planner;
pub mod planning;
mod publish;
mod retention;
pub mod serve;
pub mod store;
