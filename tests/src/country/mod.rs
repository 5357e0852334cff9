//! The emulated country: real programs on real sockets, behind providers that can be told to censor.
//!
//! A [`scenario::Scenario`] is read from a TOML file. [`launch`] starts the `country` binary again as the first
//! process of new network, mount and process namespaces (and a user namespace, when it is not root), so that
//! everything vanishes with that process, whatever ends it. There [`inside`] lays out namespaces and links
//! ([`netns`]) and starts the parts as processes ([`roles`]): the [`world`] outside, one [`middlebox`] per
//! provider, gateway and for the sites, one [`resolver`] per provider, and a [`relay`] to the reader's machine.
//! [`run`] then starts Faultline's own programs in it and [`truth`] says what they ought to find.

pub mod addresses;
pub mod ask;
pub mod blueprint;
pub mod cases;
pub mod chaos;
pub mod endpoints;
pub mod enter;
pub mod export;
pub mod inside;
pub mod launch;
pub mod list;
pub mod middlebox;
pub mod mix;
pub mod netns;
pub mod pace;
pub mod programs;
pub mod progress;
pub mod readers;
pub mod relay;
pub mod resolver;
pub mod roles;
pub mod run;
pub mod scenario;
pub mod score;
pub mod timeline;
pub mod truth;
pub mod visit;
pub mod world;
