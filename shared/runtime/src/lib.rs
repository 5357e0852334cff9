//! What every program of Faultline needs and none should write twice: supervision, telemetry, the clock,
//! back-off, private files, operators' signatures and the TLS identity of agents, operators and coordinators.

mod backoff;
mod clock;
mod files;
mod invite;
mod sensitive;
mod signing;
mod supervisor;
mod telemetry;
pub mod tls;

pub use backoff::Backoff;
pub use clock::{now, random_bytes};
pub use files::{FileError, create_private_dir, read_bounded, write_private};
pub use invite::{Invite, InviteError};
pub use sensitive::Sensitive;
pub use signing::{OperatorKey, OperatorRoot, SigningError};
pub use supervisor::Supervisor;
pub use telemetry::{LogFormat, init_telemetry};
