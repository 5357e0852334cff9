//! The way to the coordinator: one connection, over which the stream of orders and the uploads go.
//!
//! TLS 1.3 only, the coordinator's authority pinned by the invite, the agent's own certificate shown. Both users of
//! the connection try again by themselves with full jitter; measuring goes on meanwhile.

mod enrol;
mod intake;
mod journal;
mod upload;
mod watch;

pub use enrol::{EnrolError, Enrolled, Enrolment, enrol};
pub use intake::Intake;
pub use upload::upload;
pub use watch::watch;

use crate::scrub::Own;
use crate::state::AgentRecord;
use faultline_runtime::tls::{Identity, PeerError, client_config, dial};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint, Uri};

/// A TCP connection and a TLS handshake with the coordinator end within this time.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// A quiet connection is probed after this time; address translators forget quiet ones.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// A probe that is not answered by then means that the connection is dead.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Waits between tries. While something happens in a country, seconds matter.
const LEAST_WAIT: Duration = Duration::from_millis(250);
const MOST_WAIT: Duration = Duration::from_secs(10);

/// Makes the connection's handle; it connects when it is first used, and again after it broke.
///
/// # Errors
/// Says why the TLS identity cannot be used.
pub fn channel(record: &AgentRecord, identity: &Identity, own: &Arc<Own>) -> Result<Channel, PeerError> {
    let config = client_config(&record.authority(), Some(identity))?;
    Ok(connector(record.addresses.clone(), config, Arc::clone(own)))
}

fn connector(addresses: Vec<String>, config: ClientConfig, own: Arc<Own>) -> Channel {
    let config = Arc::new(config);
    let connect = tower::service_fn(move |_: Uri| {
        let (addresses, config, own) = (addresses.clone(), Arc::clone(&config), Arc::clone(&own));
        async move {
            let stream = dial(&addresses, config, DIAL_DEADLINE).await?;
            // Where the coordinator really is: no check may take that for a way around censorship.
            if let Ok(peer) = stream.get_ref().0.peer_addr() {
                own.coordinator_at(peer.ip());
            }
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    // The name is only what HTTP/2 needs to be asked for; addresses and TLS names come from the invite.
    Endpoint::from_static("http://coordinator.invalid")
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connect)
}

/// Returns a status with its causes, for people.
fn explain(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
