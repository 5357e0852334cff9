//! The TLS identity of coordinators, agents and operators.
//!
//! A coordinator is its own certificate authority. Agents and operators pin that authority from their invite or
//! credential, speak TLS 1.3 only, and show client certificates whose subject says who they are:
//! `CN` the name, `OU` the role. Nobody trusts the public web's authorities here, and there is no plaintext.

mod authority;
mod config;
mod identity;

pub use authority::{AuthorityError, CertificateAuthority};
pub use config::{PeerError, client_config, dial, peer_identity, provider, server_config};
pub use identity::{Identity, IdentityError, PeerIdentity, PeerRole};
